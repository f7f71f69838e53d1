"""Where the files that ship with lossplace are: ``prompts/`` and ``data/``."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(relative: str) -> Path:
    """Return the path of a shipped file or folder, such as ``data/loss_functions.csv``.

    In a checkout they stand at its top; in an installed wheel, inside this package.
    """
    installed = _PACKAGE / "_shipped"
    return (installed if installed.is_dir() else _PACKAGE.parent) / relative
