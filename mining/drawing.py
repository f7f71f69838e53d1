"""How figures look, and how they become files: the same bytes wherever the same matplotlib is."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "lossplace",
}


def styled() -> AbstractContextManager[None]:
    """Make figures with matplotlib's own font, without chance, and without the user's settings."""
    return style.context(["default", _STYLE])


def files_of(figure: Figure) -> dict[str, bytes]:
    """Return a figure as SVG and PDF, undated, under ``svg`` and ``pdf``."""
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    files = {}
    with styled():
        # laid out once and not for each file, which takes most of the time
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for kind, metadata in undated.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            files[kind] = buffer.getvalue()
    return files
