"""Labelling in the terminal: shows a snippet with its surroundings, takes keys, saves labels.

The reader sees code and nothing that a judge, or another reader, said of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from classify.errors import GoldError
from classify.labels import (
    CASE_KEYS,
    CATEGORY_KEYS,
    TYPE_KEYS,
    Labels,
    Queue,
    Session,
    SnippetKey,
    read_queue,
)
from classify.placement import Category
from classify.special_cases import SpecialCase, written
from classify.types import STANDALONE
from mining.artifacts import Run
from mining.extracted import Corpus
from mining.hierarchy import ancestry, functions_by_class
from mining.records import ClassDefinition, Snippet

_COMMANDS = {"s": "skip", "z": "undo", "t": "note", "q": "quit", "?": "keys"}
_TAB = 4


@dataclass(frozen=True, slots=True)
class Shown:
    """A snippet with what is shown around it.

    ``classes`` are the class that it is in and the bases of that in the repository, nearest
    first, each with its methods by line.
    """

    snippet: Snippet
    classes: tuple[tuple[ClassDefinition, tuple[Snippet, ...]], ...]


def label_queue(
    run: Run,
    queue_path: Path,
    reader: str,
    out: Path | None = None,
    ask: Callable[[str], str | None] | None = None,
) -> None:
    """Have ``reader`` label the queue's snippets, whose code the run holds; print to stdout.

    Labels go to ``out``, else beside the queue as ``<queue>.<reader>.csv``; what is in there is
    gone on with. ``ask`` gives a key (for ``key``) or a line (for ``line``), None at the end of
    the input; default: the terminal, or lines of stdin where it is none.

    Raises GoldError if the queue or the labels cannot be used, or name a snippet that the run
    does not hold.
    """
    queue, labels = open_labels(queue_path, reader, out)
    shown = snippets_of(run, queue)
    console = Console(highlight=False)
    _converse(console, Session(queue, labels), shown, ask or _input(console))
    console.print(Text(f"labels are in {labels.path}"), soft_wrap=True)


def open_labels(queue_path: Path, reader: str, out: Path | None = None) -> tuple[Queue, Labels]:
    """Return a queue and what ``reader`` has labelled of it, at ``out`` or beside the queue.

    Raises GoldError if they cannot be used.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", reader):
        raise GoldError(
            f"Expected a reader's name of letters, digits, '.', '_' and '-', found {reader!r}; "
            f"it names a file."
        )
    queue = read_queue(queue_path)
    labels_path = out or queue_path.with_name(f"{queue_path.stem}.{reader}.csv")
    if labels_path.exists() and labels_path.samefile(queue_path):
        raise GoldError(
            f"Expected another file for the labels than the queue {queue_path}; choose one with "
            f"--out."
        )
    return queue, Labels(labels_path, reader, queue)


def snippets_of(run: Run, queue: Queue) -> dict[SnippetKey, Shown]:
    """Return each snippet of the queue with its class. Raises GoldError if one is not there."""
    corpus = Corpus(run)
    found: dict[SnippetKey, Shown] = {}
    for repository in dict.fromkeys(key[0] for key in queue.rows):
        snippets = corpus.snippets(repository)
        classes = {each.key: each for each in corpus.classes(repository)}
        methods = functions_by_class(snippets, classes.values(), follow=False)
        for snippet in snippets:
            key = (snippet.repository, snippet.path, snippet.start_line)
            if key in queue.rows and key not in found:
                around = ancestry(f"{snippet.path}::{snippet.class_qualname}", classes)
                found[key] = Shown(
                    snippet,
                    tuple((classes[k], tuple(methods.get(k, ()))) for k in around if k in classes),
                )
    missing = [key for key in queue.rows if key not in found]
    if missing:
        raise GoldError(
            f"Expected every snippet of the queue in {run.folder}, found no "
            f"{' '.join(map(str, missing[0]))} ({len(missing)} missing); give the run that the "
            f"queue was drawn from with --run."
        )
    return found


def permalink(snippet: Snippet) -> str | None:
    """Return the address of a snippet's lines on GitHub; None where the commit is not known.

    That of a snippet in a notebook is the notebook's, where GitHub shows cells and no lines.
    """
    if snippet.commit is None:
        return None
    lines = "" if snippet.cell else f"#L{snippet.start_line}-L{snippet.end_line}"
    return (
        f"https://github.com/{quote(snippet.repository)}/blob/{snippet.commit}/"
        f"{quote(snippet.path)}{lines}"
    )


def outline(shown: Shown) -> list[str]:
    """Return the classes around a snippet: each one's bases, and the lines of its methods.

    What a name of a base means, where that is not its own text, stands in brackets.
    """
    lines = []
    for definition, methods in shown.classes:
        bases = ", ".join(
            base if base == meant else f"{base} [{meant}]"
            for base, meant in zip(definition.bases, definition.resolved_bases, strict=False)
        )
        file = "" if definition.path == shown.snippet.path else f"{definition.path} "
        lines.append(f"class {definition.qualname}({bases}), {file}line {definition.start_line}")
        for method in methods:
            here = ">" if method.snippet_id == shown.snippet.snippet_id else " "
            name = method.qualname.removeprefix(f"{definition.qualname}.")
            lines.append(f" {here} {method.start_line:>5}  {name}")
    return lines


def harmless(text: str) -> str:
    """Return text in which nothing steers a terminal: what does not print is written out."""
    lines = text.expandtabs(_TAB).split("\n")
    return "\n".join("".join(c if c.isprintable() else repr(c)[1:-1] for c in x) for x in lines)


def _converse(
    console: Console,
    session: Session,
    shown: dict[SnippetKey, Shown],
    ask: Callable[[str], str | None],
) -> None:
    while (key := session.current) is not None:
        _show(console, session, shown[key])
        # until something is done that another snippet follows
        while session.current == key:
            pressed = ask("key")
            if pressed is None or pressed == "q":
                return
            if pressed in CATEGORY_KEYS:
                category = CATEGORY_KEYS[pressed]
                if category is not Category.LOSS_UNKNOWN:
                    session.label(category)
                    _say(console, f"-> {category}")
                elif not _label_unknown(console, session, ask):
                    return
            elif pressed == "s":
                session.skip()
                _say(console, "-> skipped, comes again at the end")
                break
            elif pressed == "z":
                _say(console, "-> undone" if session.undo() else "nothing to undo")
            elif pressed == "t":
                _say(console, "note:")
                note = ask("line")
                if note is None:
                    return
                session.annotate("".join(c for c in note if c.isprintable()).strip())
                _say(console, "-> noted")
            else:
                _keys(console)
    _say(console, f"all {session.total} snippets are labelled")


def _label_unknown(console: Console, session: Session, ask: Callable[[str], str | None]) -> bool:
    """Ask for the type of standalone loss; False at the end of the input."""
    legend = _legend((k, v.value) for k, v in TYPE_KEYS.items()) + "   z back"
    _say(console, legend)
    while (pressed := ask("key")) is not None and pressed != "q":
        if pressed == "z":
            _keys(console)
            return True
        if pressed not in TYPE_KEYS:
            _say(console, f"{harmless(pressed)!r} is no type")
            continue
        type_, cases = TYPE_KEYS[pressed], None
        if type_ in STANDALONE:
            ended, cases = _special_cases(console, ask)
            if ended:
                return False
            if cases is None:
                _say(console, legend)
                continue
        session.label(Category.LOSS_UNKNOWN, type_, cases)
        said = [Category.LOSS_UNKNOWN.value, type_.value]
        said += [] if cases is None else [f"special cases: {written(cases)}"]
        _say(console, f"-> {', '.join(said)}")
        return True
    return False


def _special_cases(
    console: Console, ask: Callable[[str], str | None]
) -> tuple[bool, frozenset[SpecialCase] | None]:
    """Ask which special cases of a standalone loss hold: whether the input ended, and which.

    None where the reader wants back to the types.
    """
    _say(console, _legend((k, v.value) for k, v in CASE_KEYS.items()) + "   . done   z back")
    cases: frozenset[SpecialCase] = frozenset()
    while (pressed := ask("key")) is not None and pressed != "q":
        if pressed == ".":
            return False, cases
        if pressed == "z":
            return False, None
        if pressed in CASE_KEYS:
            cases ^= {CASE_KEYS[pressed]}
            _say(console, f"special cases: {written(cases)}")
        else:
            _say(console, f"{harmless(pressed)!r} is no special case; press . when done")
    return True, None


def _show(console: Console, session: Session, shown: Shown) -> None:
    snippet = shown.snippet
    console.print()
    console.rule(Text(f"{session.labelled} of {session.total} labelled"))
    lines = f"{snippet.start_line}-{snippet.end_line}"
    _say(console, f"{snippet.repository}  {snippet.path}:{lines}", style="bold")
    _say(console, f"{snippet.kind} {snippet.qualname}")
    if (address := permalink(snippet)) is not None:
        _say(console, address)
    for line in outline(shown):
        _say(console, line, style="dim")
    console.print(
        Syntax(
            harmless(snippet.text),
            "python",
            theme="ansi_dark",
            line_numbers=True,
            start_line=snippet.start_line,
            word_wrap=True,
        )
    )
    if session.note:
        _say(console, f"note: {session.note}")
    _keys(console)


def _keys(console: Console) -> None:
    _say(console, _legend((k, v.value) for k, v in CATEGORY_KEYS.items()))
    _say(console, _legend(_COMMANDS.items()))


def _legend(keys: Iterable[tuple[str, str]]) -> str:
    return "   ".join(f"{key} {meaning}" for key, meaning in keys)


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(harmless(line), style=style), soft_wrap=not console.is_terminal)


def _input(console: Console) -> Callable[[str], str | None]:
    if not sys.stdin.isatty():
        lines = iter(sys.stdin)

        def from_lines(_: str) -> str | None:
            line = next(lines, None)
            return None if line is None else line.strip()

        return from_lines

    def from_terminal(what: str) -> str | None:
        try:
            return _pressed() if what == "key" else console.input()
        except EOFError:
            return None

    return from_terminal


def _pressed() -> str | None:
    """Return one key without waiting for the end of a line; None for Ctrl-D."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        key = sys.stdin.read(1)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
    return None if key in ("", "\x04") else key
