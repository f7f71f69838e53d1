"""Which deep-learning frameworks a repository imports."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import pandas as pd

from mining.artifacts import Artifact, Run
from mining.extracted import Corpus
from mining.extraction import FILES
from mining.shipped import shipped

FRAMEWORKS = "frameworks.parquet"
COLUMNS = {"repository": "str", "framework": "str", "files": "int64"}
"""Of ``frameworks.parquet``, one row for each framework that a repository imports: in how many
of its files."""

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+\(?([^#\n;]*)|import[ \t]+([^#\n;]+))", re.M
)


@cache
def known_modules() -> Mapping[str, frozenset[str]]:
    """Return the modules of each framework, in ``data/frameworks.csv`` (framework, module)."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    with shipped("data/frameworks.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["framework"]].add(row["module"])
    return {framework: frozenset(modules) for framework, modules in found.items()}


def imported_modules(text: str) -> Iterator[str]:
    """Give the dotted names that a file's text imports; what is imported from is one, too."""
    for match in _IMPORT.finditer(text):
        module, names, modules = match.groups()
        if module:
            yield module
        for part in (names or modules or "").split(","):
            name = part.split(" as ")[0].strip(" \t()\\")
            if name:
                yield f"{module}.{name}" if module else name


def frameworks_of(text: str, modules: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the frameworks of which a file imports a module or a part of one."""
    imported: set[str] = set()
    for name in imported_modules(text):
        parts = name.split(".")
        imported.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return frozenset(framework for framework, known in modules.items() if known & imported)


def count_frameworks(run: Run) -> None:
    """Write ``frameworks.parquet``, if it is not done. Raises ArtifactError without extraction."""
    modules = known_modules()
    settings = {"modules": {name: sorted(known) for name, known in sorted(modules.items())}}
    artifact = Artifact("paper", settings, {FILES: run.sha256(FILES)})
    if run.is_done(FRAMEWORKS, artifact.settings, artifact.inputs):
        return
    corpus = Corpus(run)
    rows = [
        (repository, framework, files)
        for repository in corpus.repositories
        for framework, files in _files_importing(corpus.code(repository).texts.values(), modules)
    ]
    run.write(FRAMEWORKS, pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS), artifact)


def _files_importing(
    texts: Iterable[str], modules: Mapping[str, frozenset[str]]
) -> list[tuple[str, int]]:
    counts: defaultdict[str, int] = defaultdict(int)
    for text in texts:
        for framework in frameworks_of(text, modules):
            counts[framework] += 1
    return sorted(counts.items())
