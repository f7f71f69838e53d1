"""The code of one repository, held together: texts, classes, and what names mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from tree_sitter import Tree

from mining.extract import Extraction, extract, parse
from mining.hierarchy import Names, resolve_bases
from mining.records import ClassDefinition


class RepositoryCode:
    """The decoded Python files of one repository, by path. What is derived, is derived once."""

    def __init__(self, repository: str, commit: str | None, texts: Mapping[str, str]) -> None:
        self.repository = repository
        self.commit = commit
        self.texts = texts

    @cached_property
    def trees(self) -> dict[str, Tree]:
        """The syntax tree of each file, by path."""
        return {path: parse(text.encode("utf-8", "replace")) for path, text in self.texts.items()}

    @cached_property
    def extractions(self) -> dict[str, Extraction]:
        """What each file holds, by path."""
        return {
            path: extract(self.repository, self.commit, path, text, self.trees[path])
            for path, text in self.texts.items()
        }

    @cached_property
    def names(self) -> Names:
        """What names mean at the module level of each file."""
        return Names(
            {
                path: [i for i in each.imports if not i.scope]
                for path, each in self.extractions.items()
            },
            {
                path: [c.qualname for c in each.classes] + [s.qualname for s in each.snippets]
                for path, each in self.extractions.items()
            },
        )

    @cached_property
    def classes(self) -> dict[str, ClassDefinition]:
        """Every class by its key, ``path::qualname``, with resolved bases.

        Of two classes with one qualname in a file, the later one counts, as at run time.
        """
        found = [c for each in self.extractions.values() for c in each.classes]
        return {c.key: c for c in resolve_bases(found, self.names)}
