"""A reader's queue as a page labels it: what a page is shown, and what becomes of its answers.

As in the terminal, whose keys and files these are: code, and nothing that a judge or another
reader said of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from classify.errors import GoldError
from classify.labelling import Shown, outline, permalink, snippets_of
from classify.labels import (
    CASE_KEYS,
    CATEGORY_KEYS,
    TYPE_KEYS,
    Label,
    Labels,
    Queue,
    SnippetKey,
    checked_cases,
    checked_type,
)
from classify.placement import Category
from classify.special_cases import SpecialCase, written
from classify.types import STANDALONE
from mining.artifacts import Run

MOST_OF_A_NOTE = 2000
"""Characters."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A queue with its snippets, which a page knows by their number in it, and the labels."""

    reader: str
    labels: Labels
    keys: tuple[SnippetKey, ...]
    shown: Mapping[SnippetKey, Shown]

    @classmethod
    def open(cls, run: Run, reader: str, queue: Queue, labels: Labels) -> Desk:
        """Read the queue's snippets from a run. Raises GoldError if one is not there."""
        return cls(reader, labels, tuple(queue.rows), snippets_of(run, queue))

    def queue(self) -> dict[str, Any]:
        """Return who labels what, the labels so far, and which key stands for which label."""
        self.labels.refresh()
        return {
            "reader": self.reader,
            "file": self.labels.path.name,
            "labels": [label_json(self.labels[key]) for key in self.keys],
            "keys": {"category": CATEGORY_KEYS, "type": TYPE_KEYS, "case": CASE_KEYS},
            "standalone": sorted(STANDALONE),
        }

    def snippet(self, number: int) -> dict[str, Any]:
        """Return a snippet with what stands around it. Raises GoldError if there is none."""
        shown = self.shown[self._key(number)]
        snippet = shown.snippet
        return {
            "repository": snippet.repository,
            "path": snippet.path,
            "start": snippet.start_line,
            "end": snippet.end_line,
            "kind": snippet.kind.value,
            "name": snippet.qualname,
            "link": permalink(snippet),
            "outline": outline(shown),
            "text": snippet.text,
        }

    def label(self, number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Write what a page says of a snippet, and return it as it stands in the file now.

        ``answer`` has ``label`` and ``before``, what the page took the label to be. If another
        page had given it another one meanwhile, that comes back as ``replaced``. Raises
        GoldError if there is no such snippet or label.
        """
        key = self._key(number)
        label = label_of(answer.get("label"))
        expected = label_of(answer.get("before"))
        before = self.labels.set(key, label)
        return {
            "label": label_json(label),
            "replaced": None if before in (expected, label) else label_json(before),
        }

    def _key(self, number: int) -> SnippetKey:
        if not 0 <= number < len(self.keys):
            raise GoldError(
                f"Expected the number of a snippet, 0 to {len(self.keys) - 1}, found {number}; "
                "load the page anew."
            )
        return self.keys[number]


def label_json(label: Label) -> dict[str, Any]:
    """Return a label as a page has it; everything is empty where nothing was said."""
    cases = label.special_cases
    return {
        "category": label.category,
        "unknown_type": label.unknown_type,
        "special_cases": None if cases is None else sorted(cases),
        "note": label.note,
    }


def label_of(fields: Any) -> Label:
    """Return the label that a page sent. Raises GoldError if it is none."""
    where = "what the page sent"
    if not isinstance(fields, Mapping):
        raise GoldError(f"Expected a label in {where}, found none; load the page anew.")
    category, unknown_type = fields.get("category"), fields.get("unknown_type")
    cases, note = fields.get("special_cases"), fields.get("note")
    if category is not None and category not in list(Category):
        raise GoldError(
            f"Expected a label out of {', '.join(Category)} in {where}, found {category!r}."
        )
    if unknown_type is not None and category != Category.LOSS_UNKNOWN:
        raise GoldError(f"Expected an unknown_type only of {Category.LOSS_UNKNOWN} in {where}.")
    if cases is not None and not (
        isinstance(cases, list) and all(each in list(SpecialCase) for each in cases)
    ):
        raise GoldError(
            f"Expected special_cases out of {', '.join(SpecialCase)} in {where}, found {cases!r}."
        )
    told = "" if cases is None else written(frozenset(SpecialCase(each) for each in cases))
    return Label(
        None if category is None else Category(category),
        None if unknown_type is None else checked_type(str(unknown_type), where),
        checked_cases(told, str(unknown_type or ""), where),
        "".join(c for c in str(note or "") if c.isprintable()).strip()[:MOST_OF_A_NOTE],
    )
