"""Repositories to extract, from folders as they are now."""

from pathlib import Path

from mining.corpus import tree_sha256
from mining.extraction import Source, files_of
from mining.study import CorpusSettings


def source_of(
    repository: str,
    folder: Path,
    commit: str | None = None,
    settings: CorpusSettings | None = None,
) -> Source:
    """Return a folder as what fetching makes of it."""
    files = files_of(folder, settings or CorpusSettings())
    return Source(repository, commit, folder, tree_sha256(files)[0])
