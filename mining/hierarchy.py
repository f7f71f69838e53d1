"""Base classes followed through a repository's imports. Pure: records in, records out."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath

from mining.imports import Import
from mining.records import ClassDefinition, Snippet

_MAX_HOPS = 8
"""Re-exports followed from module to module; real ones need two or three."""
_MAX_PARTS = 40
"""Parts of a dotted name that may together be a module's."""
_MAX_STARS = 100
"""Of the ``import *`` of a file, so many are looked through for a name."""
_MAX_LOOKED = 50
"""In so many other modules a name is looked for: modules that import all of each other would
otherwise be entered in every order."""
_MAX_ANCESTORS = 100
"""Bases of a class that are known, the nearest; in real code there were five at most."""


class Modules:
    """The modules of one repository: which file a dotted name means, seen from another file.

    Where the folders on ``sys.path`` are unknown, a dotted module name is matched against the
    ends of the repository's paths; the file nearest to the importing one wins.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._found: dict[tuple[str, int, tuple[str, ...]], str | None] = {}
        self._by_last: defaultdict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        self._exact: dict[tuple[str, ...], str] = {}
        for path in sorted(paths):
            parts = _module_parts(path)
            if parts and not path.endswith(".ipynb"):  # which no import finds
                self._by_last[parts[-1]].append((parts, path))
                self._exact.setdefault(parts, path)

    def find(self, module: str, level: int, seen_from: str) -> str | None:
        """Return the path of the file that holds ``module``, or None if it is not in here.

        ``level`` is the number of leading dots of a relative import.
        """
        folder = tuple(seen_from.split("/")[:-1])
        asked = (module, level, folder)
        if asked not in self._found:
            self._found[asked] = self._find(module, level, folder)
        return self._found[asked]

    def _find(self, module: str, level: int, folder: tuple[str, ...]) -> str | None:
        wanted = tuple(module.split(".")) if module else ()
        if level:
            base = folder[: len(folder) - (level - 1)] if level > 1 else folder
            return self._exact.get(base + wanted)
        if not wanted:
            return None
        fitting = [
            (parts, path)
            for parts, path in self._by_last.get(wanted[-1], ())
            if parts[-len(wanted) :] == wanted
        ]
        # the file that shares most folders with the importing one, then the shallowest
        fitting.sort(key=lambda item: (-_shared(item[0], folder), len(item[0]), item[1]))
        return fitting[0][1] if fitting else None


class Names:
    """What names mean at the module level of each file of a repository."""

    def __init__(
        self, imports: Mapping[str, Iterable[Import]], definitions: Mapping[str, Iterable[str]]
    ) -> None:
        """Take each file's imports, and the qualnames that it defines."""
        self.modules = Modules(definitions)
        self._definitions = {path: frozenset(names) for path, names in definitions.items()}
        self._resolved: dict[tuple[str, str], str] = {}
        self._imports: dict[str, dict[str, Import]] = {}
        self._stars: dict[str, list[Import]] = {}
        for path, statements in imports.items():
            statements = list(statements)
            self._imports[path] = {i.local: i for i in statements if i.local != "*"}
            stars = dict.fromkeys(i for i in statements if i.local == "*")
            self._stars[path] = list(stars)[:_MAX_STARS]

    def resolve(self, path: str, dotted: str) -> str:
        """Return what ``dotted`` means in the file ``path``.

        ``path::qualname`` where the repository defines it, otherwise the dotted name with its
        alias replaced by what was imported (``F.l1_loss`` -> ``torch.nn.functional.l1_loss``).
        """
        if (path, dotted) not in self._resolved:
            self._resolved[path, dotted] = self._resolve(path, dotted, _MAX_HOPS, set())
        return self._resolved[path, dotted]

    def _resolve(self, path: str, dotted: str, hops: int, looked: set[tuple[str, str]]) -> str:
        if dotted in self._definitions.get(path, ()):
            return f"{path}::{dotted}"
        head, _, rest = dotted.partition(".")
        statement = self._imports.get(path, {}).get(head)
        if statement is not None:
            target = f"{statement.target}.{rest}" if rest else statement.target
            return self._follow(path, target, statement.level, hops, looked) or target
        if hops:
            for star in self._stars.get(path, ()):
                target = f"{star.target}.{dotted}" if star.target else dotted
                found = self._follow(path, target, star.level, hops, looked)
                if found is not None and "::" in found:
                    return found
        return dotted

    def _follow(
        self, path: str, target: str, level: int, hops: int, looked: set[tuple[str, str]]
    ) -> str | None:
        """Look for ``module.name`` in the repository, the longest module name first.

        ``looked`` are the names in modules that were looked for.
        """
        if not hops:
            return None
        parts = target.split(".")
        for cut in range(min(len(parts) - 1, _MAX_PARTS), -1, -1):
            module = self.modules.find(".".join(parts[:cut]), level, path)
            if module is None or module == path:
                continue
            name = ".".join(parts[cut:])
            if (module, name) in looked or len(looked) >= _MAX_LOOKED:
                return None
            looked.add((module, name))
            found = self._resolve(module, name, hops - 1, looked)
            if "::" in found or found != name:
                return found
            # the module is in the repository, but the name is made at run time
            return None
        return None


def resolve_bases(classes: Iterable[ClassDefinition], names: Names) -> Iterator[ClassDefinition]:
    """Give each class with its ``resolved_bases`` filled in."""
    for each in classes:
        yield replace(
            each, resolved_bases=tuple(_resolve_base(each, base, names) for base in each.bases)
        )


def ancestry(key: str, classes: Mapping[str, ClassDefinition]) -> list[str]:
    """Return a class and its bases, nearest first, each once.

    ``classes`` maps ``path::qualname`` to its class. What the repository does not define is
    given by its dotted name (``torch.nn.Module``). Cycles, which broken code can hold, end, and
    so do more bases than anyone writes.
    """
    order: dict[str, None] = {}
    queue = deque([key])
    while queue and len(order) < _MAX_ANCESTORS:
        current = queue.popleft()
        if current in order:
            continue
        order[current] = None
        if current in classes:
            queue.extend(islice(classes[current].resolved_bases, _MAX_ANCESTORS))
    return list(order)


def functions_by_class(
    snippets: Iterable[Snippet], classes: Iterable[ClassDefinition], *, follow: bool
) -> dict[str, list[Snippet]]:
    """Return the functions of each class of one repository, by the class's key.

    A class's own come first; with ``follow``, those of its bases in the repository after them,
    nearest base first.
    """
    own: defaultdict[str, list[Snippet]] = defaultdict(list)
    for snippet in snippets:
        if snippet.class_qualname is not None:
            own[f"{snippet.path}::{snippet.class_qualname}"].append(snippet)
    if not follow:
        return dict(own)
    by_key = {each.key: each for each in classes}
    return {key: [s for k in ancestry(key, by_key) for s in own.get(k, ())] for key in own}


def with_class_functions(
    snippets: Sequence[Snippet], classes: Iterable[ClassDefinition], *, follow: bool
) -> Iterator[tuple[Snippet, Sequence[Snippet]]]:
    """Give each snippet with the functions of its class; none for what is no method.

    ``follow``: see ``functions_by_class``.
    """
    functions = functions_by_class(snippets, classes, follow=follow)
    for snippet in snippets:
        yield snippet, functions.get(f"{snippet.path}::{snippet.class_qualname}", ())


def _resolve_base(each: ClassDefinition, base: str, names: Names) -> str:
    # a class nested in a class or function may name a sibling of its own scope
    scope = each.qualname
    while "." in scope:
        scope = scope.rpartition(".")[0]
        found = names.resolve(each.path, f"{scope}.{base}")
        if "::" in found and found != each.key:
            return found
    found = names.resolve(each.path, base)
    # `class Model(base.Model)` within the module that it imports would be its own base
    return found if found != each.key else base


def _module_parts(path: str) -> tuple[str, ...]:
    parts = PurePosixPath(path).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _shared(parts: tuple[str, ...], folder: tuple[str, ...]) -> int:
    count = 0
    for ours, theirs in zip(parts, folder, strict=False):
        if ours != theirs:
            break
        count += 1
    return count
