"""The stages of mining, in order: each brings its artifacts up to date, or finds them so.

Every stage returns the lines that say what there is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mining.artifacts import Artifact, Run
from mining.checkout import CHECKOUTS, commit_of, fetch_repositories
from mining.corpus import folder_name, local_repositories, tree_sha256
from mining.extraction import FILES, SCHEMAS, extract_corpus, extraction_settings
from mining.github import search_all
from mining.pages import REPOSITORIES, finished_search, search_settings
from mining.progress import track
from mining.rank import RANKING, rank_repositories, ranking_inputs, ranking_settings
from mining.records import Dropped
from mining.study import CorpusSettings, Study

CORPUS = "corpus.parquet"
COLUMNS = {
    "repository": "str",
    "query": "str",
    "position": "int64",
    "score": "float64",
    "commit": "str",
    "tree_sha256": "str",
    "python_files": "int64",
    "reason": "str",
}
"""Of ``corpus.parquet``, one row for each selected repository. ``position`` is 1-based among
those taken from the query. ``reason`` says why one could not be had (null for the others). A
local corpus has the one query ``local``, names in alphabetical order, and no score."""


def search(study: Study, run: Run) -> list[str]:
    """Ask GitHub for the repositories of every query (``repositories.parquet``)."""
    if not run.is_done(REPOSITORIES, search_settings(study.search), {}):
        search_all(run, study.search)
    results = run.read(REPOSITORIES, ["query", "repository"])
    return [
        f"search: {results['repository'].nunique()} repositories, "
        f"{len(results)} results of {len(study.search.queries)} queries",
        *(f"warning: {warning}" for warning in finished_search(run).warnings),
    ]


def rank(study: Study, run: Run) -> list[str]:
    """Score and select the repositories found (``ranking.parquet``); needs no network."""
    changes: list[str] = []
    if not run.is_done(RANKING, ranking_settings(study.ranking), ranking_inputs(run)):
        ranking = rank_repositories(run, study.ranking)
        changes = [
            f"  {row.change}: {row.repository} ({row.query}, rank {row.rank})"
            for row in ranking.changes.itertuples()
        ]
    selected = run.read(RANKING, ["selected"])["selected"]
    return [f"rank: {selected.sum()} repositories selected of {len(selected)} results", *changes]


def fetch(study: Study, run: Run) -> list[str]:
    """Get the code of the selected repositories, or look at the local ones (``corpus.parquet``).

    A local corpus is looked at anew each time: only a changed one makes later stages stale.
    """
    if study.corpus.local is not None:
        _fetch_local(run, study.corpus.local, study.corpus)
    else:
        _fetch_selected(run, study.corpus)
    reasons = run.read(CORPUS, ["reason"])["reason"]
    return [f"fetch: {reasons.isna().sum()} repositories, {reasons.notna().sum()} dropped"]


def extract(study: Study, run: Run) -> list[str]:
    """Extract files, snippets and classes (``files.parquet`` and its neighbours)."""
    settings, inputs = extraction_settings(study.corpus), {CORPUS: run.sha256(CORPUS)}
    if not all(run.is_done(name, settings, inputs) for name in SCHEMAS):
        corpus = run.read(CORPUS)
        lost = corpus[corpus["reason"].notna()]
        dropped = [
            Dropped(name, "fetch", reason)
            for name, reason in zip(lost["repository"], lost["reason"], strict=True)
        ]
        if study.corpus.local is not None:
            folders, beside = local_repositories(study.corpus.local)
            dropped += beside
        else:
            folders = {
                name: run.path(CHECKOUTS) / folder_name(name) for name in corpus["repository"]
            }
        ready = corpus[corpus["reason"].isna()]
        extract_corpus(
            run,
            [
                (name, None if pd.isna(commit) else commit, folders[name])
                for name, commit in zip(ready["repository"], ready["commit"], strict=True)
            ],
            dropped,
            study.corpus,
            inputs,
        )
    files = run.read(FILES, ["outcome", "snippets"])
    outcomes = ", ".join(
        f"{count} {outcome}" for outcome, count in files["outcome"].value_counts().items()
    )
    return [f"extract: {files['snippets'].sum()} snippets of {len(files)} files ({outcomes})"]


def _fetch_local(run: Run, folder: Path, settings: CorpusSettings) -> None:
    folders, _ = local_repositories(folder)
    chosen = pd.DataFrame(
        {
            "repository": list(folders),
            "query": "local",
            "position": range(1, len(folders) + 1),
            "score": float("nan"),
        }
    )
    found = {name: (path, commit_of(path)) for name, path in folders.items()}
    artifact = Artifact("fetch", {"source": "local", **extraction_settings(settings)}, {})
    _write_corpus(run, chosen, found, {}, settings, artifact)


def _fetch_selected(run: Run, settings: CorpusSettings) -> None:
    artifact = Artifact(
        "fetch",
        {"source": settings.clone_url, **extraction_settings(settings)},
        {RANKING: run.sha256(RANKING)},
    )
    if run.is_done(CORPUS, artifact.settings, artifact.inputs):
        return
    ranking = run.read(RANKING, ["repository", "query", "position", "score", "selected"])
    chosen = ranking[ranking["selected"]].drop(columns="selected")
    checkouts, dropped = fetch_repositories(run, list(chosen["repository"]), settings.clone_url)
    found = {each.repository: (each.folder, each.commit) for each in checkouts}
    reasons = {each.subject: each.reason for each in dropped}
    _write_corpus(run, chosen, found, reasons, settings, artifact)


def _write_corpus(
    run: Run,
    chosen: pd.DataFrame,
    found: Mapping[str, tuple[Path, str | None]],
    reasons: Mapping[str, str],
    settings: CorpusSettings,
    artifact: Artifact,
) -> None:
    """Write the chosen repositories with the state of their folders, or why there is none."""
    states = [
        (name, commit, *tree_sha256(path, settings.max_file_bytes))
        for name, (path, commit) in track(found.items(), "reading", len(found))
    ]
    columns = ["repository", "commit", "tree_sha256", "python_files"]
    corpus = chosen.merge(pd.DataFrame(states, columns=columns), on="repository", how="left")
    corpus["python_files"] = corpus["python_files"].fillna(0)
    corpus["reason"] = corpus["repository"].map(dict(reasons))
    run.write(CORPUS, corpus[list(COLUMNS)].astype(COLUMNS), artifact)
