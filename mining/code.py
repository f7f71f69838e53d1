"""The code of one repository, held together: texts, classes, and what names mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from tree_sitter import Tree

from mining.extract import Extraction, extract, parse
from mining.hierarchy import Names, resolve_bases
from mining.imports import Import
from mining.records import ClassDefinition


class Outline:
    """What the files of a repository define and import, without their texts.

    Files are added one by one; what names mean can be asked once all are there.
    """

    def __init__(self) -> None:
        self._imports: dict[str, list[Import]] = {}
        self._definitions: dict[str, list[str]] = {}
        self._classes: list[ClassDefinition] = []

    def add(self, path: str, extraction: Extraction) -> None:
        """Take in what a file holds."""
        self._imports[path] = [i for i in extraction.imports if not i.scope]
        classes, snippets = extraction.classes, extraction.snippets
        self._definitions[path] = [c.qualname for c in classes] + [s.qualname for s in snippets]
        self._classes += extraction.classes

    @cached_property
    def names(self) -> Names:
        """What names mean at the module level of each file."""
        return Names(self._imports, self._definitions)

    @cached_property
    def classes(self) -> dict[str, ClassDefinition]:
        """Every class by its key, ``path::qualname``, with resolved bases.

        Of two classes with one qualname in a file, the later one counts, as at run time.
        """
        return {each.key: each for each in resolve_bases(self._classes, self.names)}


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

    @property
    def names(self) -> Names:
        """What names mean at the module level of each file."""
        return self._outline.names

    @property
    def classes(self) -> dict[str, ClassDefinition]:
        """Every class by its key; see Outline."""
        return self._outline.classes

    @cached_property
    def _outline(self) -> Outline:
        outline = Outline()
        for path, extraction in self.extractions.items():
            outline.add(path, extraction)
        return outline
