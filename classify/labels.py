"""A reader's labels: the file that holds them, and what each keystroke does to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from classify.errors import GoldError
from classify.gold import KEY, line_number, records
from classify.placement import Category
from classify.rendering import csv_text, defused
from classify.special_cases import NO_SPECIAL_CASE, SpecialCase
from classify.special_cases import read as read_cases
from classify.special_cases import written as written_cases
from classify.types import STANDALONE, UnknownType
from mining.artifacts import write_atomically
from mining.locking import in_turn

LABEL_COLUMNS = ["label", "unknown_type", "special_cases", "note", "reader"]
"""What a labels file has beyond the columns of its queue; for ``special_cases`` see
special_cases.written."""

CATEGORY_KEYS: Mapping[str, Category] = {
    "r": Category.LOSS_IN_RUNNER,
    "m": Category.LOSS_IN_MODEL,
    "b": Category.LOSS_IN_MODEL_RUNNER,
    "u": Category.LOSS_UNKNOWN,
    "n": Category.NO_LOSS,
}
TYPE_KEYS: Mapping[str, UnknownType] = {
    "o": UnknownType.STANDALONE_MODEL_OUTPUT_ONLY,
    "m": UnknownType.STANDALONE_MODEL_DEPENDENCY,
    "k": UnknownType.TASK_STRUCTURE,
    "t": UnknownType.TEST,
    "e": UnknownType.EVALUATION,
    "p": UnknownType.OPTIMIZER,
    "f": UnknownType.TF_ESTIMATOR,
    "s": UnknownType.SAMPLER,
    "h": UnknownType.HOOK,
    "d": UnknownType.DATASET,
    "v": UnknownType.QUANTIZER,
    "g": UnknownType.GRADIENT_CALCULATION,
    "i": UnknownType.DISTRIBUTION,
    "c": UnknownType.REINFORCEMENT,
    "l": UnknownType.RETURNS_LOSS_FUNCTION,
    "x": UnknownType.OTHER,
}

CASE_KEYS: Mapping[str, SpecialCase] = {
    "m": SpecialCase.MULTIPLE_LOSSES,
    "e": SpecialCase.EXTRA_METRICS_RETURNED,
    "b": SpecialCase.BACKWARD,
    "r": SpecialCase.REGULARIZATION,
    "g": SpecialCase.GRADIENT_RETURNED,
    "o": SpecialCase.OPTIMIZER_VALUE_RETURNED,
}

SnippetKey = tuple[str, str, int]
"""repository, path, start_line: names a snippet in a queue and in a gold file."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a reader said of one snippet; ``category`` is None where there is only a note.

    ``special_cases`` of a standalone loss: None where the reader was not asked.
    """

    category: Category | None = None
    unknown_type: UnknownType | None = None
    special_cases: frozenset[SpecialCase] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """Snippets to be labelled, in their order, with the columns of their file."""

    columns: tuple[str, ...]
    rows: Mapping[SnippetKey, Mapping[str, str]]


def read_queue(path: Path) -> Queue:
    """Read a queue: CSV with the columns repository, path and start_line, others are kept.

    Columns of labels, as in a labels file that is read again, are left out. Raises GoldError if
    it is not such a table, or holds a snippet twice.
    """
    rows: dict[SnippetKey, dict[str, str]] = {}
    columns: tuple[str, ...] = tuple(KEY)
    for line, row in records(path, KEY):
        key = _key(row, f"line {line} of {path}")
        if key in rows:
            raise GoldError(
                f"Expected each snippet once in {path}, found {' '.join(map(str, key))} again in "
                f"line {line}; delete one of them."
            )
        columns = tuple(name for name in row if name not in LABEL_COLUMNS)
        rows[key] = {name: row[name] for name in columns}
    if not rows:
        raise GoldError(f"Expected snippets to label in {path}, found none; draw some by `sample`.")
    return Queue(columns, rows)


class Labels:
    """The labels of one reader, on disk after every change: a killed session loses nothing."""

    def __init__(self, path: Path, reader: str, queue: Queue) -> None:
        """Take up the labels at ``path``, if there are any.

        Raises GoldError if they are another reader's, or cannot be read.
        """
        self.path = path
        self._reader = reader
        self._queue = queue
        self._labels: dict[SnippetKey, Label] = {}
        self._kept: dict[SnippetKey, dict[str, str]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take up what is in the file now, which another session may have changed."""
        self._labels, self._kept = {}, {}
        if self.path.exists():
            for line, row in records(self.path, [*KEY, "label", "reader"]):
                key = _key(row, f"line {line} of {self.path}")
                if row["reader"] != self._reader:
                    raise GoldError(
                        f"Expected the labels of {self._reader} in {self.path}, found those of "
                        f"{row['reader']!r} in line {line}; give each reader a file."
                    )
                self._labels[key] = _label(row, f"line {line} of {self.path}")
                self._kept[key] = row

    def __getitem__(self, key: SnippetKey) -> Label:
        """Return what was said of a snippet, an empty label where nothing was."""
        return self._labels.get(key, Label())

    def set(self, key: SnippetKey, label: Label) -> Label:
        """Change the label of one snippet, and write the file; an empty label takes it out.

        Returns what the file said of the snippet until now. Labels that another session of the
        same reader has written meanwhile stay.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with in_turn(self.path.parent):
            self.refresh()
            before = self[key]
            if label == Label():
                self._labels.pop(key, None)
            else:
                self._labels[key] = label
            self._write()
        return before

    def open(self, keys: Iterable[SnippetKey]) -> list[SnippetKey]:
        """Return those snippets that have no category yet, in order."""
        return [key for key in keys if self[key].category is None]

    def _write(self) -> None:
        # in the order of the queue; labels of snippets that are not in it any more come last
        order = [key for key in self._queue.rows if key in self._labels]
        order += [key for key in self._labels if key not in self._queue.rows]
        rows = [[*self._queue.columns, *LABEL_COLUMNS], *map(self._row, order)]
        write_atomically(self.path, csv_text([defused(cell) for cell in row] for row in rows))

    def _row(self, key: SnippetKey) -> list[str]:
        row = self._queue.rows.get(key) or self._kept[key]
        label = self._labels[key]
        return [
            *(row.get(name, "") for name in self._queue.columns),
            label.category or "",
            label.unknown_type or "",
            "" if label.special_cases is None else written_cases(label.special_cases),
            label.note,
            self._reader,
        ]


class Session:
    """Where a reader is in a queue, and what undo takes back. Keys in, labels out."""

    def __init__(self, queue: Queue, labels: Labels) -> None:
        self._labels = labels
        self._waiting = labels.open(queue.rows)
        waiting = set(self._waiting)
        # what an earlier session labelled can be undone too
        self._done = [
            (key, Label(note=labels[key].note)) for key in queue.rows if key not in waiting
        ]
        self.total = len(queue.rows)

    @property
    def current(self) -> SnippetKey | None:
        """The snippet to be labelled now, None at the end."""
        return self._waiting[0] if self._waiting else None

    @property
    def labelled(self) -> int:
        """How many snippets of the queue have a category."""
        return self.total - len(self._waiting)

    @property
    def note(self) -> str:
        """The note on the current snippet."""
        return self._labels[self._now()].note

    def label(
        self,
        category: Category,
        unknown_type: UnknownType | None = None,
        special_cases: frozenset[SpecialCase] | None = None,
    ) -> None:
        """Label the current snippet, keep its note, and go on to the next."""
        key = self._now()
        before = self._labels[key]
        self._labels.set(key, Label(category, unknown_type, special_cases, before.note))
        self._done.append((key, before))
        self._waiting.pop(0)

    def skip(self) -> None:
        """Put the current snippet off to the end."""
        self._waiting.append(self._waiting.pop(0))

    def annotate(self, note: str) -> None:
        """Write a note on the current snippet, in place of the one it has."""
        key = self._now()
        self._labels.set(key, replace(self._labels[key], note=note))

    def undo(self) -> bool:
        """Take back the last label and go back to its snippet; False where there is none."""
        if not self._done:
            return False
        key, before = self._done.pop()
        self._labels.set(key, before)
        self._waiting.insert(0, key)
        return True

    def _now(self) -> SnippetKey:
        if self.current is None:
            raise IndexError("the queue is at its end")
        return self.current


def _key(row: Mapping[str, str], where: str) -> SnippetKey:
    return row["repository"], row["path"], line_number(row["start_line"], where)


def _label(row: Mapping[str, str], where: str) -> Label:
    category, unknown_type = row["label"], row.get("unknown_type", "")
    if category and category not in list(Category):
        raise _unknown("label", category, Category, where)
    if unknown_type:
        checked_type(unknown_type, where)
    return Label(
        Category(category) if category else None,
        UnknownType(unknown_type) if unknown_type else None,
        checked_cases(row.get("special_cases", ""), unknown_type, where),
        row.get("note", ""),
    )


def checked_type(text: str, where: str) -> UnknownType:
    """Return the type that a label has; raises GoldError, which names ``where`` it stands."""
    if text not in list(UnknownType):
        raise _unknown("unknown_type", text, UnknownType, where)
    return UnknownType(text)


def checked_cases(text: str, unknown_type: str, where: str) -> frozenset[SpecialCase] | None:
    """Return the special cases that a label has, None where it says nothing of them.

    Raises GoldError if one is none, or the label's type is no standalone loss.
    """
    try:
        cases = read_cases(text)
    except ValueError:
        raise GoldError(
            f"Expected special_cases out of {', '.join(SpecialCase)}, with ';' between, or "
            f"{NO_SPECIAL_CASE}, found {text!r} in {where}; mend it, or leave it empty."
        ) from None
    if cases is not None and unknown_type not in STANDALONE:
        raise GoldError(
            f"Expected special_cases only of the types {' and '.join(STANDALONE)}, found {text!r} "
            f"of the type {unknown_type!r} in {where}; mend one of them."
        )
    return cases


def _unknown(column: str, value: str, known: Iterable[str], where: str) -> GoldError:
    return GoldError(
        f"Expected a {column} out of {', '.join(known)}, found {value!r} in {where}; mend it, or "
        "leave it empty."
    )
