"""How figures look, and how they become files: the same bytes wherever the same matplotlib is."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
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
"""Settings of matplotlib under which a figure is made: with its own font and without chance."""


def files_of(figure: Figure) -> dict[str, bytes]:
    """Return a figure as SVG and PDF, undated, under ``svg`` and ``pdf``."""
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    files = {}
    with mpl.rc_context(STYLE):
        # laid out once and not for each file, which takes most of the time
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for kind, metadata in undated.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            files[kind] = buffer.getvalue()
    return files
