"""What a run gives to other tools: one module for each format, which renders and nothing else.

``huggingface``: a folder with a Parquet file and its data card; ``label-studio``: a folder with
tasks and the labelling interface; ``argilla``: a folder that its SDK reads from disk; ``csv``
and ``sqlite``: one file. Code under a licence that
does not let it be passed on leaves as a permalink without text.
"""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What a run can be exported to."""

    HUGGINGFACE = "huggingface"
    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"
    CSV = "csv"
    SQLITE = "sqlite"
