"""A repository's code as the rules read it: its functions and classes, and what names mean."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Literal
from weakref import WeakKeyDictionary

from tree_sitter import Node

from classify.judges.rules.shipped_names import listed
from classify.judges.rules.tree import (
    FUNCTION,
    LOOPS,
    arguments_of,
    callee_of,
    find,
    last_name,
    line_of,
    parameters_of,
    path_of,
    receiver_of,
    statements,
    targets_of,
    text_of,
)
from classify.judges.rules.words import mentions_loss
from mining.code import RepositoryCode
from mining.extract import parse
from mining.hierarchy import ancestry
from mining.imports import Import
from mining.records import Kind, Snippet

Bases = Literal["follow", "ignore"]
"""Whether base classes of the repository are looked into."""
_MAX_BOUND = 100
"""Of what a name is assigned in a function, so many values are looked at."""
_ABSTRACT = re.compile(r"NotImplemented|abstractmethod|\bpass\s*$")
"""What shows that a method only stands for those of subclasses."""


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of code to be ruled on: a function, a method or a module-level loop.

    ``key`` is ``path::qualname``, unique but for loops; ``class_key`` names the innermost class.
    """

    path: str
    qualname: str
    class_key: str | None
    node: Node

    @property
    def key(self) -> str:
        """``path::qualname``, as in ``RepositoryCode.classes``."""
        return f"{self.path}::{self.qualname}"

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.qualname.rpartition(".")[2]


class Program:
    """The syntax trees of a repository, indexed. Built as far as it is asked for."""

    def __init__(self, code: RepositoryCode, bases: Bases = "follow") -> None:
        path_of.cache_clear()  # its nodes keep whole trees alive, of the repository before
        self.texts = code.texts
        self.names = code.names
        self.classes = code.classes
        self._bases = bases
        self._extractions = code.extractions
        self._trees = code.trees
        self._nodes: dict[str, dict[tuple[int, str], Node]] = {}
        self._aliases: dict[str, dict[str, str]] = {}
        self._resolved: dict[tuple[str, str, str], str] = {}
        self._attributes: dict[str, dict[str, list[tuple[Code, Node]]]] = {}
        self._ancestors: dict[str, tuple[str, ...]] = {}
        self._overriding: dict[str, tuple[Code, ...]] = {}
        self._bound: dict[tuple[str, str], list[tuple[Code, Node]]] = {}
        self._local_imports: dict[str, dict[tuple[str, str], tuple[int, Import]]] = {}
        self._deep: dict[str, bool] = {}
        self._averages: dict[str, bool] = {}
        self._nested: dict[tuple[str, int, int], list[Code]] = {}
        self._bindings: dict[tuple[str, int, int], dict[str, list[Node]]] = {}

    def code_of(self, snippet: Snippet) -> Code | None:
        """Find a snippet's node in its file; None where the file does not hold it."""
        name = snippet.qualname.rpartition(".")[2]
        node = self._nodes_of(snippet.path).get((snippet.start_line, name))
        if node is None:
            return None
        return Code(snippet.path, snippet.qualname, _class_key(snippet), node)

    @cached_property
    def functions(self) -> dict[str, Code]:
        """Every function and method by its key; of two with one key the later one."""
        found: dict[str, Code] = {}
        for each in self._extractions.values():
            for snippet in each.snippets:
                if snippet.kind is not Kind.LOOP and (code := self.code_of(snippet)) is not None:
                    found[code.key] = code
        return found

    @cached_property
    def _at(self) -> dict[tuple[str, int], Code]:
        return {(c.path, c.node.start_byte): c for c in self.functions.values()}

    def within(self, code: Code) -> list[Code]:
        """Return a piece of code and the functions nested in it."""
        place = (code.path, code.node.start_byte, code.node.end_byte)
        if place not in self._nested:
            found = [code]
            for node in find(code.node, FUNCTION) if _may_nest(code.node) else ():
                if node.start_byte != code.node.start_byte:
                    name = text_of(node.child_by_field_name("name"))
                    inner = Code(code.path, f"{code.qualname}.{name}", code.class_key, node)
                    found.append(self._at.get((code.path, node.start_byte), inner))
            self._nested[place] = found
        return self._nested[place]

    @cached_property
    def methods_named(self) -> dict[str, tuple[Code, ...]]:
        """Every method by its bare name."""
        found: defaultdict[str, list[Code]] = defaultdict(list)
        for code in self.functions.values():
            if code.class_key is not None and code.class_key.count(".") == code.key.count(".") - 1:
                found[code.name].append(code)
        return {name: tuple(codes) for name, codes in found.items()}

    @cached_property
    def methods_of(self) -> dict[str, dict[str, Code]]:
        """The functions inside each class, by their name; nested ones by their inner name."""
        found: defaultdict[str, dict[str, Code]] = defaultdict(dict)
        for code in self.functions.values():
            if code.class_key is not None:
                own = code.qualname.count(".") == code.class_key.rpartition("::")[2].count(".") + 1
                if own or code.name not in found[code.class_key]:
                    found[code.class_key][code.name] = code
        return dict(found)

    def module(self, path: str) -> Node | None:
        """Return the root of a file's tree."""
        tree = self._trees.get(path)
        return tree.root_node if tree is not None else None

    def ancestors(self, class_key: str) -> tuple[str, ...]:
        """Return a class and its bases: keys, and dotted names of what is outside.

        Where bases are ignored, those of the class's own head that are outside.
        """
        if class_key not in self._ancestors:
            found = ancestry(class_key, self.classes)
            if self._bases == "ignore":
                own = self.classes[class_key].resolved_bases if class_key in self.classes else ()
                found = [class_key, *(base for base in own if "::" not in base)]
            self._ancestors[class_key] = tuple(found)
        return self._ancestors[class_key]

    def method(self, class_key: str | None, name: str) -> Code | None:
        """Find a method of a class or of its bases within the repository."""
        for key in self.ancestors(class_key) if class_key else ():
            if (code := self.methods_of.get(key, {}).get(name)) is not None:
                return code
        return None

    def overriding(self, method: Code) -> tuple[Code, ...]:
        """Return a function with what it may be at run time: its namesakes in subclasses.

        Only of an abstract method.
        """
        if method.class_key is None:
            return (method,)
        if method.key not in self._overriding:
            abstract = _ABSTRACT.search(text_of(method.node)) is not None
            heirs = self.heirs(method.class_key) if abstract else ()
            named = (self.functions.get(f"{heir}.{method.name}") for heir in heirs)
            self._overriding[method.key] = (method, *(each for each in named if each is not None))
        return self._overriding[method.key]

    @cached_property
    def _heirs(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for key in self.classes:
            for base in self.ancestors(key)[1:]:
                found[base].append(key)
        return dict(found)

    def heirs(self, class_key: str) -> list[str]:
        """Return the classes of the repository that derive from a class, also indirectly."""
        return self._heirs.get(class_key, [])

    def attribute(self, class_key: str | None, name: str) -> list[tuple[Code, Node]]:
        """Return what is assigned to ``self.name`` anywhere in a class or its bases."""
        if class_key is None:
            return []
        if (class_key, name) not in self._bound:
            found: list[tuple[Code, Node]] = []
            for key in self.ancestors(class_key):
                found += self._attributes_of(key).get(name, ())
            self._bound[class_key, name] = found[:_MAX_BOUND]
        return self._bound[class_key, name]

    def averages(self, key: str) -> bool:
        """Say whether a function only returns the mean or sum of what it is given first."""
        if key not in self._averages:
            code = self.functions.get(key)
            self._averages[key] = code is not None and _averages(code.node)
        return self._averages[key]

    def resolve(self, code: Code, dotted: str) -> str:
        """Return what a dotted name means where ``code`` stands.

        ``path::qualname`` if the repository defines it, else a dotted name with its imports
        written out; aliases made by assignment at module level are followed once.
        """
        place = (code.path, code.qualname, dotted)
        if place not in self._resolved:
            self._resolved[place] = self._resolve(code, dotted)
        return self._resolved[place]

    def _resolve(self, code: Code, dotted: str) -> str:
        scope = code.qualname
        while scope:
            if f"{code.path}::{scope}.{dotted}" in self.functions:
                return f"{code.path}::{scope}.{dotted}"
            scope = scope.rpartition(".")[0]
        head, _, rest = dotted.partition(".")
        if (statement := self._imported_around(code, head)) is not None:
            target = f"{statement.target}.{rest}" if rest else statement.target
            found = self.names.resolve(code.path, target)
            return _plain(self._in_module(target, statement.level, code.path) or found)
        found = self.names.resolve(code.path, dotted)
        if found == dotted and (alias := self._aliases_of(code.path).get(head)):
            found = self.names.resolve(code.path, f"{alias}.{rest}" if rest else alias)
        return _plain(found)

    def _imported_around(self, code: Code, local: str) -> Import | None:
        """Return the last import of a name inside the functions and classes around some code."""
        if code.path not in self._local_imports:
            self._local_imports[code.path] = {
                (each.local, each.scope): (number, each)
                for number, each in enumerate(self._imports(code.path))
                if each.scope
            }
        found: list[tuple[int, Import]] = []
        scope = code.qualname
        while scope and self._local_imports[code.path]:
            if (at := self._local_imports[code.path].get((local, scope))) is not None:
                found.append(at)
            scope = scope.rpartition(".")[0]
        return max(found, key=itemgetter(0))[1] if found else None

    @cached_property
    def losses(self) -> frozenset[str]:
        """The names which some file binds to a loss function, by an import or an assignment."""
        found = {
            statement.local
            for each in self._extractions.values()
            for statement in each.imports
            if mentions_loss(statement.target)
        }
        for path in self.texts:
            root = self.module(path)
            for name, values in self.bindings(path, root).items() if root is not None else ():
                made = [path_of(v.child_by_field_name("function")) for v in values]
                if any(mentions_loss(each) for each in (*made, *map(path_of, values))):
                    found.add(last_name(name))
        return frozenset(found)

    def bindings(self, path: str, node: Node) -> dict[str, list[Node]]:
        """Return what each name is assigned anywhere below a node of a file."""
        place = (path, node.start_byte, node.end_byte)
        if place not in self._bindings:
            found: defaultdict[str, list[Node]] = defaultdict(list)
            for each in find(node, "assignment"):
                for name, value in assignments(each):
                    if len(found[name]) < _MAX_BOUND:
                        found[name].append(value)
            self._bindings[place] = dict(found)
        return self._bindings[place]

    def is_deep(self, path: str) -> bool:
        """Say whether a file may use a framework: one that imports only NumPy does not."""
        if path not in self._deep:
            heads = {i.target.partition(".")[0] for i in self._imports(path) if not i.level}
            shallow = "numpy" in heads and listed("framework").isdisjoint(heads)
            self._deep[path] = not shallow
        return self._deep[path]

    def _imports(self, path: str) -> tuple[Import, ...]:
        extraction = self._extractions.get(path)
        return extraction.imports if extraction is not None else ()

    def _in_module(self, target: str, level: int, seen_from: str) -> str | None:
        """Find ``module.name`` as imported inside a function."""
        module, _, name = target.rpartition(".")
        path = self.names.modules.find(module, level, seen_from)
        found = self.names.resolve(path, name) if path is not None else ""
        return found if "::" in found else None

    def _aliases_of(self, path: str) -> dict[str, str]:
        if path not in self._aliases:
            found: dict[str, str] = {}
            root = self.module(path)
            for statement in statements(root) if root is not None else ():
                for name, value in assignments(statement.node):
                    target = path_of(value)
                    if name.isidentifier() and re.fullmatch(r"[\w.]+", target) and target != name:
                        found[name] = target
            self._aliases[path] = found
        return self._aliases[path]

    def _attributes_of(self, class_key: str) -> dict[str, list[tuple[Code, Node]]]:
        if class_key not in self._attributes:
            found: defaultdict[str, list[tuple[Code, Node]]] = defaultdict(list)
            for code in self.methods_of.get(class_key, {}).values():
                for name, bound in self.bindings(code.path, code.node).items():
                    if name.startswith("self.") and name.count(".") == 1:
                        found[last_name(name)] += [(code, value) for value in bound]
            self._attributes[class_key] = dict(found)
        return self._attributes[class_key]

    def _nodes_of(self, path: str) -> dict[tuple[int, str], Node]:
        """Return a file's functions and loops by their line and name, of two the first."""
        if path not in self._nodes:
            found: dict[tuple[int, str], Node] = {}
            root = self.module(path)
            for node in find(root, FUNCTION, *LOOPS) if root is not None else ():
                name = text_of(node.child_by_field_name("name")) or "<unnamed>"
                name = "<loop>" if node.type in LOOPS else name
                found.setdefault((line_of(node), name), node)
            self._nodes[path] = found
        return self._nodes[path]


def assignments(node: Node) -> list[tuple[str, Node]]:
    """Return the names that a plain assignment binds, each with the expression it is bound to.

    A tuple of names bound to a tuple of as many values is taken apart; other names in a pattern
    are left out. ``a = b = c`` binds both.
    """
    if node.type == "expression_statement" and node.named_children:
        node = node.named_children[0]
    if node.type != "assignment":
        return []
    targets, value = targets_of(node)
    if value is None:
        return []
    found: list[tuple[str, Node]] = []
    for target in targets:
        if target.type in ("identifier", "attribute", "subscript"):
            found.append((path_of(target), value))
        elif value.type in ("expression_list", "tuple", "list"):
            names, values = target.named_children, value.named_children
            if len(names) == len(values):
                found += [(path_of(n), v) for n, v in zip(names, values, strict=True)]
    return [(name, bound) for name, bound in found if name]


_PROGRAMS: WeakKeyDictionary[RepositoryCode, Program] = WeakKeyDictionary()


def program_of(code: RepositoryCode) -> Program:
    """Return the index of a repository's code, made once for each."""
    if code not in _PROGRAMS:
        _PROGRAMS[code] = Program(code)
    return _PROGRAMS[code]


def standalone(snippet: Snippet) -> Code | None:
    """Read a snippet without its file, from its text alone."""
    root = parse(snippet.code.encode("utf-8", "replace")).root_node
    found = find(root, FUNCTION, *LOOPS)
    return Code(snippet.path, snippet.qualname, _class_key(snippet), found[0]) if found else None


def _averages(function: Node) -> bool:
    """Say whether a function's one return is ``mean(x)`` or ``x.mean()`` of its parameter."""
    returned = find(function, "return_statement")
    call = (
        returned[0].named_children[0] if len(returned) == 1 and returned[0].named_children else None
    )
    first = next(iter(parameters_of(function)), "")
    if call is None or call.type != "call" or callee_of(call) not in listed("reduces"):
        return False
    return path_of(receiver_of(call)) == first or path_of(arguments_of(call).get(0)) == first


def _may_nest(node: Node) -> bool:
    """Say whether a function may stand in another or in a loop; most hold none."""
    return node.has_error or (node.text or b"").count(b"def") > (node.type == FUNCTION)


def _class_key(snippet: Snippet) -> str | None:
    return f"{snippet.path}::{snippet.class_qualname}" if snippet.class_qualname else None


def _plain(dotted: str) -> str:
    """Write a framework's old and private names as the public one."""
    if "::" in dotted:
        return dotted
    return dotted.replace("compat.v1.", "").replace("compat.v2.", "").replace("compat.as_", "as_")
