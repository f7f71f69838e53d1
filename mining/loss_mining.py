"""Which names in a corpus may be losses: what is imported or called, resolved through imports.

What comes of it is a list for a person to confirm; ``mining.loss_names`` reads it then.
"""

from __future__ import annotations

import builtins
import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from tree_sitter import Node, Query, QueryCursor

from mining.artifacts import Run, write_atomically
from mining.code import RepositoryCode
from mining.errors import InputError
from mining.extract import PYTHON, text_of
from mining.extracted import Corpus
from mining.frameworks import known_modules
from mining.loss_hints import OWN, UNKNOWN, Suggestion, file_hint, may_be_loss, suggestion
from mining.loss_names import CONFIRMED, known_loss_names
from mining.progress import track

COLUMNS = (
    "name",
    "library",
    "form",
    "full_name",
    "framework",
    "repositories",
    "files",
    "uses",
    "suggestion",
    "why",
    "example",
    CONFIRMED,
)
"""Of the list, one row for each full name: ``name`` its last part and ``library`` the rest,
``(repository)`` where repositories define it themselves, ``(object)`` where it is called on
something that no import explains; form (``function`` or ``constructor``); the framework it
belongs to, if it is of one; in how many repositories and files it is used and how often; the
suggestion (known, likely, unlikely) and the rule behind it; a place where it is used
(``repository:path:line``); and ``confirmed``, empty, for a person's ``yes`` or ``no``."""

_HOPS = 8
_MAX_LEVELS = 10_000
"""Levels of a tree that are searched: below 65,535 a search takes the square of the depth."""
_USES = Query(
    PYTHON,
    """
    (attribute) @use
    (identifier) @use
    (module (expression_statement (assignment left: (identifier) right: [
        (identifier) (attribute)])) @alias)
    (module (_ (block (expression_statement (assignment left: (identifier) right: [
        (identifier) (attribute)])) @alias)))
    """,
)


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a name that may be a loss's is used. ``line`` is 1-based."""

    library: str
    name: str
    form: str
    path: str
    line: int


@dataclass(slots=True)
class _Count:
    """What of one full name is counted. ``places`` are repositories and paths."""

    forms: Counter[str] = field(default_factory=Counter)
    places: set[tuple[str, str]] = field(default_factory=set)
    example: str = ""


def write_loss_names(run: Run, out: Path, known: Path | None) -> list[str]:
    """Write the list of a run's corpus to ``out``, and return what there is to say.

    ``known`` is the study's own confirmed list. Raises InputError if another ``out`` is there: a
    person's answers may be in it; ArtifactError if the extraction is not done.
    """
    rows = loss_names(Corpus(run), frozenset(known_loss_names(known)))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # one that is the same is this command's own, killed before it could say so
    if out.exists() and out.read_bytes() != text.getvalue().encode():
        raise InputError(
            f"Expected no file at {out} yet, found one, in which names may be confirmed; "
            "choose another name with --out, or move it away."
        )
    write_atomically(out, text.getvalue())
    counts = Counter(row["suggestion"] for row in rows)
    likely = [row for row in rows if row["suggestion"] == Suggestion.LIKELY]
    return [
        f"loss-names: {len(rows)} names that may be losses, "
        + ", ".join(f"{counts[each]} {each}" for each in Suggestion),
        *(
            f"  {row['full_name']}: in {row['repositories']} repositories, {row['uses']} uses"
            for row in likely[:10]
        ),
        f"written to {out}; put yes or no into its column {CONFIRMED}, and name the file in the "
        "study as [placement] loss_functions",
    ]


def loss_names(corpus: Corpus, known: Set[str]) -> list[dict[str, object]]:
    """Return the rows of the list, with ``COLUMNS``: by suggestion, the most frequent first."""
    counts: defaultdict[tuple[str, str], _Count] = defaultdict(_Count)
    for repository in track(corpus.repositories, "reading names", len(corpus.repositories)):
        for use in uses_of(corpus.code(repository), known):
            count = counts[use.library, use.name]
            count.forms[use.form] += 1
            count.places.add((repository, use.path))
            count.example = count.example or f"{repository}:{use.path}:{use.line}"
    frameworks = known_modules()
    rows = []
    for (library, name), count in counts.items():
        form = min(count.forms, key=lambda form: (-count.forms[form], form))
        suggested, why = suggestion(library, name, form, known)
        rows.append(
            {
                "name": name,
                "library": library,
                "form": form,
                "full_name": f"{library}.{name}",
                "framework": _framework(library, frameworks),
                "repositories": len({repository for repository, _ in count.places}),
                "files": len(count.places),
                "uses": count.forms.total(),
                "suggestion": suggested.value,
                "why": why,
                "example": count.example,
                CONFIRMED: "",
            }
        )
    order = list(Suggestion)
    rows.sort(
        key=lambda row: (
            order.index(Suggestion(str(row["suggestion"]))),
            -int(str(row["repositories"])),
            -int(str(row["uses"])),
            str(row["full_name"]),
        )
    )
    return rows


def uses_of(code: RepositoryCode, known: Set[str]) -> Iterator[Use]:
    """Give every use, in a repository, of a name from elsewhere that may be a loss's.

    A use is a call or a mention (``loss=F.l1_loss``) of what an import or a module-level alias
    (``xent = F.cross_entropy``) brings into the file, or the call of an attribute. What a file
    defines itself and uses is no import, and left out. A local variable that hides an import is
    taken for it, and an import within a function for one of the whole file.
    """
    hint = file_hint(known)
    for path, text in code.texts.items():
        if not hint.search(text):
            continue
        cursor = QueryCursor(_USES)
        cursor.set_max_start_depth(_MAX_LEVELS)
        captures = cursor.captures(code.trees[path].root_node)
        # which come in an order of their own, that is another one in each process
        nodes, aliases = (
            sorted(captures.get(name, []), key=lambda node: (node.start_byte, -node.end_byte))
            for name in ("use", "alias")
        )
        file = _File(code, path, aliases, nodes, known)
        for node in nodes:
            found = file.use(node)
            if found is not None:
                yield Use(*found, path, node.start_point.row + 1)


class _File:
    """What dotted names mean in one file."""

    def __init__(
        self,
        code: RepositoryCode,
        path: str,
        aliases: Iterable[Node],
        uses: Iterable[Node],
        known: Set[str],
    ) -> None:
        self._known = known
        self._names = code.names
        self._path = path
        imports = code.extractions[path].imports
        self._imported = {i.local: i for i in imports if i.local != "*"}
        self._stars = [
            i.target
            for i in imports
            if i.local == "*" and not i.level and not self._is_here(i.target)
        ]
        self._bound = _bound(uses) if self._stars else frozenset()
        self._classes = frozenset(code.classes)
        self._aliases: dict[str, str] = {}
        for node in aliases:
            assignment = node.named_children[0]
            left, right = (assignment.child_by_field_name(side) for side in ("left", "right"))
            if left is not None and right is not None and text_of(left) not in self._imported:
                self._aliases[text_of(left)] = text_of(right)
        self._found: dict[tuple[str, bool], tuple[str, str, str] | None] = {}

    def use(self, node: Node) -> tuple[str, str, str] | None:
        """Return library, name and form of what a node uses; None where it can be no loss."""
        parent = node.parent
        if parent is None or _is_part(node, parent):
            return None
        called = parent.type == "call" and parent.child_by_field_name("function") == node
        key = (text_of(node), called)
        if key not in self._found:
            found = self._resolve(key[0]) or (self._unresolved(node) if called else None)
            may_be = found is not None and may_be_loss(found[0], found[1], self._known)
            self._found[key] = found if may_be else None
        return self._found[key]

    def _unresolved(self, called: Node) -> tuple[str, str, str] | None:
        """Return what the name of a call is that no import of a name explains."""
        name = text_of(called).rpartition(".")[2]
        if called.type == "attribute":
            return UNKNOWN, name, _form(name)
        # then nothing but `from module import *` can have brought it in
        from_star = self._stars and name not in self._bound and not hasattr(builtins, name)
        return (self._stars[-1], name, _form(name)) if from_star else None

    def _resolve(self, dotted: str) -> tuple[str, str, str] | None:
        head, _, rest = dotted.partition(".")
        for _ in range(_HOPS):
            if head not in self._aliases:
                break
            head, _, rest = ".".join(filter(None, (self._aliases[head], rest))).partition(".")
        dotted = f"{head}.{rest}" if rest else head
        if not dotted.replace(".", "").isidentifier():
            return None
        meant = self._names.resolve(self._path, dotted)
        if "::" in meant:
            return self._own(meant)
        if head in self._imported:
            statement = self._imported[head]
            meant = f"{statement.target}.{rest}" if rest else statement.target
            if statement.level or self._is_here(meant):
                return self._own(meant)
        else:
            return None
        library, _, name = meant.rpartition(".")
        return (library, name, _form(name)) if library else None

    def _own(self, meant: str) -> tuple[str, str, str] | None:
        """Return what the repository defines itself; None for what this very file does."""
        path, _, qualname = meant.rpartition("::")
        if path == self._path:
            return None
        name = qualname.rpartition(".")[2]
        is_class = meant in self._classes if path else _form(name) == "constructor"
        return OWN, name, "constructor" if is_class else "function"

    def _is_here(self, meant: str) -> bool:
        """Tell whether a module is the repository's, though what it is to hold was not found."""
        top = meant.partition(".")[0]
        of_framework = any(top in modules for modules in known_modules().values())
        return not of_framework and self._names.modules.find(top, 0, self._path) is not None


def _bound(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the bare names that something in the file binds, wherever."""
    return frozenset(
        text_of(node)
        for node in nodes
        if node.type == "identifier" and node.parent is not None and _binds(node, node.parent)
    )


def _is_part(node: Node, parent: Node) -> bool:
    """Tell whether a name is part of a longer one, or is bound there and not used."""
    return parent.type in _PART_OF or _binds(node, parent)


def _binds(node: Node, parent: Node) -> bool:
    bound_as = _BOUND_AS.get(parent.type)
    bound = bound_as is not None and parent.child_by_field_name(bound_as) == node
    return bound or parent.type in _BINDING


_PART_OF = frozenset(("attribute", "dotted_name", "aliased_import"))
_BINDING = frozenset(
    (
        "parameters",
        "lambda_parameters",
        "typed_parameter",
        "global_statement",
        "nonlocal_statement",
        "del_statement",
        "pattern_list",
        "tuple_pattern",
        "list_splat_pattern",
        "dictionary_splat_pattern",
        "as_pattern_target",
    )
)
_BOUND_AS = {
    "function_definition": "name",
    "class_definition": "name",
    "keyword_argument": "name",
    "default_parameter": "name",
    "typed_default_parameter": "name",
    "assignment": "left",
    "augmented_assignment": "left",
    "named_expression": "name",
    "for_statement": "left",
    "for_in_clause": "left",
}


def _form(name: str) -> str:
    return "constructor" if name[:1].isupper() and not name.isupper() else "function"


def _framework(library: str, frameworks: Mapping[str, Set[str]]) -> str:
    """Return the framework with the longest module that a library is or lies in, else ``""``."""
    parts = library.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        for framework, modules in frameworks.items():
            if module in modules:
                return framework
    return ""
