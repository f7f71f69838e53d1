"""Label Studio: snippets out as tasks, annotations back in as gold. Pure.

Nothing in a task says where the judge placed the snippet.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from classify.export.snippets import OF_PLACEMENT
from classify.gold import KEY
from classify.placement import Category

_LEFT_OUT = "The text is left out; read it at the address above."


def tasks(frame: pd.DataFrame) -> str:
    """Return the tasks to import, as JSON; ``frame`` is that of snippets.snippets_table."""
    shown = frame.drop(columns=OF_PLACEMENT)
    return json.dumps(
        [
            {"data": {name: None if pd.isna(value) else value for name, value in row.items()}}
            for row in shown.assign(
                where=shown["repository"]
                + " "
                + shown["path"]
                + ":"
                + shown["start_line"].map(str),
                permalink=shown["permalink"].fillna(""),
                text=shown["text"].fillna(_LEFT_OUT),
            ).to_dict("records")
        ],
        indent=1,
        ensure_ascii=False,
    )


def interface() -> str:
    """Return the labelling interface that the tasks are for, in Label Studio's XML."""
    choices = "".join(f"    <Choice value={quoteattr(each)}/>\n" for each in Category)
    return (
        "<View>\n"
        '  <Header value="$where"/>\n'
        '  <Text name="address" value="$permalink"/>\n'
        '  <View style="white-space: pre-wrap; font-family: monospace">\n'
        '    <Text name="code" value="$text"/>\n'
        "  </View>\n"
        '  <Choices name="label" toName="code" choice="single" required="true">\n'
        f"{choices}"
        "  </Choices>\n"
        '  <TextArea name="note" toName="code"/>\n'
        "</View>\n"
    )


def gold(export: str) -> pd.DataFrame:
    """Read an export of all annotations (JSON) as rows of a gold file.

    Each annotated task is a row with what the task held, but for its text; ``label``;
    ``contested``, true where readers differ, with an empty label; and ``readers``, how many
    there were. Raises ValueError, which says what is wrong.
    """
    exported = json.loads(export)
    if not isinstance(exported, list):
        raise ValueError("not a list of tasks")
    rows = []
    for number, task in enumerate(exported, 1):
        try:
            labels = [
                label
                for annotation in task["annotations"]
                if not annotation.get("was_cancelled")
                for label in _labels(annotation["result"])
            ]
            place = {key: task["data"][key] for key in KEY}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"task {number} has no {error}") from None
        unknown = sorted(set(labels) - set(Category))
        if unknown:
            raise ValueError(f"task {number} has the label {unknown[0]!r}")
        if labels:
            agreed = len(set(labels)) == 1
            more = {
                k: v for k, v in task["data"].items() if k not in _NOT_IN_GOLD and v is not None
            }
            rows.append(
                {
                    **place,
                    **more,
                    "label": labels[0] if agreed else "",
                    "contested": "false" if agreed else "true",
                    "readers": len(labels),
                }
            )
    columns = list(dict.fromkeys(name for row in rows for name in row))
    last = ["label", "contested", "readers"]
    ordered = [*KEY, *(c for c in columns if c not in {*KEY, *last}), *last]
    return pd.DataFrame(rows, columns=ordered)


_NOT_IN_GOLD = frozenset({"text", "where", "permalink", "license"})


def _labels(result: Sequence[dict[str, Any]]) -> list[str]:
    return [
        str(choice)
        for each in result
        if each["from_name"] == "label"
        for choice in each["value"]["choices"]
    ]
