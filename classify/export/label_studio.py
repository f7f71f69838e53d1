"""Label Studio: snippets out as tasks, annotations back in. Pure.

Nothing in a task says where the judge placed the snippet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from classify.export.annotations import Annotated, read_annotations
from classify.export.snippets import LEFT_OUT, OF_PLACEMENT
from classify.placement import Category
from classify.readings import PARTS, Readings
from classify.special_cases import NO_SPECIAL_CASE, SpecialCase
from classify.types import STANDALONE, UnknownType


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
                text=shown["text"].fillna(LEFT_OUT),
            ).to_dict("records")
        ],
        indent=1,
        ensure_ascii=False,
    )


def interface() -> str:
    """Return the labelling interface that the tasks are for, in Label Studio's XML."""
    of_unknown = f'visibleWhen="choice-selected" whenTagName="label" {_when(Category.LOSS_UNKNOWN)}'
    of_standalone = f'visibleWhen="choice-selected" whenTagName="unknown_type" {_when(*STANDALONE)}'
    cases = [*SpecialCase, NO_SPECIAL_CASE]
    return "".join(
        [
            "<View>\n",
            '  <Header value="$where"/>\n',
            '  <Text name="address" value="$permalink"/>\n',
            '  <View style="white-space: pre-wrap; font-family: monospace">\n',
            '    <Text name="code" value="$text"/>\n',
            "  </View>\n",
            _choices("label", Category, 'choice="single" required="true"'),
            f"  <View {of_unknown}>\n",
            _choices("unknown_type", UnknownType, 'choice="single"'),
            "  </View>\n",
            f"  <View {of_standalone}>\n",
            _choices("special_cases", cases, 'choice="multiple"'),
            "  </View>\n",
            '  <TextArea name="note" toName="code"/>\n',
            "</View>\n",
        ]
    )


def _choices(name: str, values: Iterable[str], attributes: str) -> str:
    choices = "".join(f"    <Choice value={quoteattr(each)}/>\n" for each in values)
    return f'  <Choices name="{name}" toName="code" {attributes}>\n{choices}  </Choices>\n'


def _when(*values: str) -> str:
    return f"whenChoiceValue={quoteattr(','.join(values))}"


def readings(exported: list[Any]) -> Readings:
    """Return what the annotators of an export say.

    ``exported`` are the tasks with all annotations, as Label Studio writes them in JSON. Raises
    ValueError, which says what is wrong.
    """
    return read_annotations(exported, "task", _annotated)


def _annotated(task: Mapping[str, Any]) -> Annotated:
    return Annotated(
        task["data"],
        [
            (_reader(annotation), _said(annotation["result"]))
            for annotation in task["annotations"]
            if not annotation.get("was_cancelled")
        ],
    )


def _reader(annotation: Mapping[str, Any]) -> str:
    """Return who annotated: an email address, or the number that Label Studio knows them by."""
    by = annotation.get("completed_by", "reader")
    return str(by.get("email") or by["id"]) if isinstance(by, dict) else str(by)


def _said(result: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the answer to each question; several are put together with ``;``."""
    return {
        each["from_name"]: (";" if "choices" in each["value"] else "; ").join(
            each["value"].get("choices") or each["value"].get("text") or []
        )
        for each in result
        if each["from_name"] in PARTS
    }
