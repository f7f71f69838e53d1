"""The stages of mining, in order: each brings its artifacts up to date, or finds them so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mining.artifacts import Artifact, Run
from mining.checkout import commit_of, fetch_repositories
from mining.corpus import folder_name, local_repositories, tree_sha256
from mining.extraction import SCHEMAS, extract_corpus, extraction_settings
from mining.github import REPOSITORIES, find_token, search_all, search_settings
from mining.progress import track
from mining.rank import RANKING, rank_repositories, ranking_settings
from mining.records import Dropped
from mining.study import Study

CORPUS = "corpus.parquet"
"""One row for each selected repository: repository, query, position (1-based among those taken
from the query), score, commit, tree_sha256, python_files, and for one that could not be had
the reason (null for the others)."""


def search(study: Study, run: Run) -> None:
    """Ask GitHub for the repositories of every query (``repositories.parquet``)."""
    if not run.is_done(REPOSITORIES, search_settings(study.search), {}):
        search_all(run, study.search, find_token)


def rank(study: Study, run: Run) -> None:
    """Score and select the repositories found (``ranking.parquet``); needs no network."""
    rank_repositories(run, study.ranking)


def fetch(study: Study, run: Run) -> None:
    """Get the code of the selected repositories, or look at the local ones (``corpus.parquet``)."""
    if study.corpus.local is not None:
        rows, dropped = _local_rows(study.corpus.local, study.corpus.max_file_bytes)
        ...
