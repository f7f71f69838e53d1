"""Argilla: snippets out as a data set that its SDK reads from disk, responses back in. Pure.

The files are those of Argilla 2's ``Dataset.to_disk`` and ``from_disk``. Nothing in a record
says where the judge placed the snippet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from classify.export.annotations import NOT_IN_GOLD, Annotated, read_annotations
from classify.export.guidelines import GUIDELINES
from classify.export.snippets import LEFT_OUT, OF_PLACEMENT
from classify.placement import Category
from classify.readings import Readings
from classify.special_cases import NO_SPECIAL_CASE, SpecialCase
from classify.types import UnknownType

DATASET, SETTINGS, RECORDS = ".argilla/dataset.json", ".argilla/settings.json", "records.json"
READERS = 2
"""Submitted responses after which a record counts as complete."""


def dataset(name: str) -> str:
    """Return the data set's own file: its name, and what the server has not yet given it."""
    return _json({"name": name, "status": "draft", "guidelines": GUIDELINES})


def settings() -> str:
    """Return the settings file: fields, questions and guidelines."""
    return _json(
        {
            "guidelines": GUIDELINES,
            "questions": [
                _choice("label", "Where is the loss?", Category),
                _choice("unknown_type", "If loss_unknown: which type?", UnknownType, False),
                _choice(
                    "special_cases",
                    "If standalone: which special cases?",
                    [*SpecialCase, NO_SPECIAL_CASE],
                    False,
                    several=True,
                ),
                _property("note", "Note", {"type": "text", "use_markdown": False}, False),
            ],
            "fields": [
                _property("where", "Snippet", {"type": "text", "use_markdown": False}),
                _property("address", "Address", {"type": "text", "use_markdown": True}, False),
                _property("code", "Code", {"type": "text", "use_markdown": True}),
            ],
            "vectors": [],
            "metadata": [],
            "allow_extra_metadata": True,
            "distribution": {"strategy": "overlap", "min_submitted": READERS},
            "mapping": None,
        }
    )


def records(frame: pd.DataFrame) -> str:
    """Return the records file; ``frame`` is that of snippets.snippets_table."""
    shown = frame.drop(columns=OF_PLACEMENT).drop_duplicates("snippet_id")
    rows = [
        {str(name): value for name, value in row.items() if not pd.isna(value)}
        for row in shown.to_dict("records")
    ]
    return _json([_record(row) for row in rows])


def readings(exported: list[Any]) -> Readings:
    """Return what the users of an export say, by their ids.

    ``exported`` are the records as Argilla writes them. Raises ValueError, which says what is
    wrong.
    """
    return read_annotations(exported, "record", _annotated)


def _annotated(record: Mapping[str, Any]) -> Annotated:
    said: dict[str, dict[str, str]] = {}
    for question, responses in record["responses"].items():
        for response in responses:
            value = response["value"]
            if value is not None:
                text = ";".join(value) if isinstance(value, list) else str(value)
                said.setdefault(str(response["user_id"]), {})[str(question)] = text
    return Annotated(record["metadata"], list(said.items()))


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    lines = f"{row['start_line']}-{row['end_line']}"
    fields = {
        "where": f"{row['repository']} {row['path']}:{lines}, {row['kind']} {row['qualname']}",
        "code": _fenced(row["text"]) if "text" in row else LEFT_OUT,
    }
    if "permalink" in row:
        fields["address"] = f"<{row['permalink']}>"
    return {
        "id": row["snippet_id"],
        "fields": fields,
        "metadata": {name: value for name, value in row.items() if name not in NOT_IN_GOLD},
        "suggestions": {},
        "responses": {},
        "vectors": {},
        "status": "pending",
        "_server_id": None,
    }


def _fenced(code: str) -> str:
    """Return code as a block of Markdown, with a fence that nothing in it closes."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{code}\n{fence}"


def _choice(
    name: str, title: str, values: Iterable[str], required: bool = True, *, several: bool = False
) -> dict[str, Any]:
    options = [{"value": str(each), "text": str(each), "description": None} for each in values]
    said: dict[str, Any] = {"type": "label_selection", "options": options}
    if several:
        said |= {"type": "multi_label_selection", "options_order": "natural"}
    return _property(name, title, {**said, "visible_options": len(options)}, required)


def _property(
    name: str, title: str, settings: Mapping[str, Any], required: bool = True
) -> dict[str, Any]:
    return {"name": name, "title": title, "required": required, "settings": dict(settings)}


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"
