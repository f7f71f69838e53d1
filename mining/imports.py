"""The imports of a file: which dotted name stands behind each local one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node


@dataclass(frozen=True, slots=True)
class Import:
    """``local`` stands for ``target``, a dotted name; ``level`` counts leading dots.

    ``from .losses import kl as k`` is Import("k", "losses.kl", 1, ...); ``from m import *`` has
    the local name ``*`` and the module as target. ``scope`` is the qualname around the
    statement, empty for the module.
    """

    local: str
    target: str
    level: int
    scope: str


def imports_of(node: Node, scope: str) -> Iterator[Import]:
    """Give what an ``import`` or ``from ... import`` statement binds."""
    if node.type == "import_statement":
        for name in node.children_by_field_name("name"):
            if name.type == "aliased_import":
                yield Import(_alias(name), _imported(name), 0, scope)
            else:
                # `import a.b` binds a, and a.b is reached through it
                top = _text(name).split(".")[0]
                yield Import(top, top, 0, scope)
        return
    module_node = node.child_by_field_name("module_name")
    if module_node is None:
        return
    module = _text(module_node)
    level = len(module) - len(module.lstrip("."))
    module = module[level:]
    if any(child.type == "wildcard_import" for child in node.children):
        yield Import("*", module, level, scope)
    for name in node.children_by_field_name("name"):
        aliased = name.type == "aliased_import"
        imported = _imported(name) if aliased else _text(name)
        local = _alias(name) if aliased else imported
        yield Import(local, f"{module}.{imported}" if module else imported, level, scope)


def _imported(aliased: Node) -> str:
    name = aliased.child_by_field_name("name")
    return _text(name) if name is not None else ""


def _alias(aliased: Node) -> str:
    alias = aliased.child_by_field_name("alias")
    return _text(alias) if alias is not None else ""


def _text(node: Node) -> str:
    return "".join((node.text or b"").decode("utf-8", "replace").split())
