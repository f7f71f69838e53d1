"""The stages of mining, in order: each brings its artifacts up to date, or finds them so.

Every stage returns the lines that say what there is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd

from mining.artifacts import Artifact, Run, file_sha256
from mining.clone import Commit, Wanted, commit_of
from mining.clones import Place, open_clones
from mining.commits import read_commits
from mining.corpus import local_repositories, tree_sha256
from mining.engines import open_engine
from mining.errors import ArtifactError
from mining.extraction import (
    FILES,
    SCHEMAS,
    Source,
    extract_corpus,
    extraction_settings,
    files_of,
)
from mining.fetch import fetch_repositories
from mining.funnel import FUNNEL, funnel, funnel_lines
from mining.ledger import LEDGER, ledger_lines
from mining.pages import REPOSITORIES, SEARCH, search_settings
from mining.parts import open_parts
from mining.progress import track
from mining.rank import (
    RANKING,
    ahead,
    measure_sensitivity,
    rank_repositories,
    ranking_inputs,
    ranking_settings,
)
from mining.records import Dropped
from mining.selection import unfit
from mining.sensitivity import sensitivity_lines
from mining.study import CorpusSettings, Study, utc

_LOOK_UPS = 16
"""Clones looked up at once: storage answers after some milliseconds."""

CORPUS = "corpus.parquet"
COLUMNS = {
    "repository": "str",
    "query": "str",
    "position": "int64",
    "score": "float64",
    "commit": "str",
    "committed_at": "str",
    "tree_sha256": "str",
    "python_files": "int64",
    "reason": "str",
}
"""Of ``corpus.parquet``, one row for each selected repository. ``position`` is 1-based among
those taken from the query. ``committed_at`` is the commit's date in UTC. ``python_files`` counts
the files that are read. ``reason`` says why one could not be had (null for the others). A local
corpus has the one query ``local``, names in alphabetical order, and no score; one that is fetched
by a list of commits has what the list says of them, or the one query ``given``."""


def search(study: Study, run: Run) -> list[str]:
    """Ask GitHub for the repositories of every query (``repositories.parquet``), with a ledger."""
    settings = search_settings(study.search)
    if not all(run.is_done(name, settings, {}) for name in (LEDGER, SEARCH, REPOSITORIES)):
        # half a second to import, and most commands do not ask GitHub
        from mining.github import search_all

        search_all(run, study.search)
    results = run.read(REPOSITORIES, ["query", "repository"])
    return [
        f"search: {results['repository'].nunique()} repositories, "
        f"{len(results)} results of {len(study.search.queries)} queries",
        *ledger_lines(run.read(LEDGER)),
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
        changes += ahead(run, ranking.changes, study.scale).lines() if changes else []
    results = run.read(RANKING, ["repository", "reason", "selected"])
    _keep_funnel(run)
    return [
        f"rank: {results['selected'].sum()} repositories selected of {len(results)} results",
        *changes,
        *funnel_lines(funnel(results)),  # whatever has become of a corpus
    ]


def sensitivity(study: Study, run: Run) -> list[str]:
    """Say what other weights would select (``sensitivity.parquet`` and its neighbours)."""
    found = measure_sensitivity(run, study)
    return [
        *sensitivity_lines(found, study.ranking.weights, study.sensitivity),
        f"written to {run.folder}",
    ]


def fetch(study: Study, run: Run) -> list[str]:
    """Get the code of the selected repositories, or look at the local ones (``corpus.parquet``).

    A local corpus is looked at anew each time: only a changed one makes later stages stale.
    """
    if study.corpus.local is not None:
        _fetch_local(run, study.corpus.local.resolve(), study)
    else:
        _fetch_clones(run, study)
    reasons = run.read(CORPUS, ["reason"])["reason"]
    lines = [f"fetch: {reasons.isna().sum()} repositories, {reasons.notna().sum()} dropped"]
    if study.corpus.searched:
        _keep_funnel(run)
        lines += funnel_lines(run.read(FUNNEL))
    return lines


def extract(study: Study, run: Run) -> list[str]:
    """Extract files, snippets and classes (``files.parquet`` and its neighbours)."""
    if not _is_extracted(run, study.corpus):
        corpus = run.read(CORPUS)
        lost = corpus[corpus["reason"].notna()]
        dropped = [
            Dropped(name, "fetch", reason)
            for name, reason in zip(lost["repository"], lost["reason"], strict=True)
        ]
        ready = corpus[corpus["reason"].isna()]
        places: Mapping[str, Place]
        if study.corpus.local is not None:
            places, beside = local_repositories(study.corpus.local.resolve())
            dropped += beside
        else:
            places = _clones(run, ready, study)
        if lacking := set(ready["repository"]) - set(places):
            raise ArtifactError(
                f"Expected the code of {min(lacking)} at the commit of {CORPUS}, for {run.folder}, "
                f"found nothing such ({len(lacking)} missing); run `lossplace fetch`, which gets "
                "or looks for it again."
            )
        extract_corpus(
            run,
            [
                Source(name, None if pd.isna(commit) else commit, places[name], tree, files)
                for name, commit, tree, files in ready[
                    ["repository", "commit", "tree_sha256", "python_files"]
                ].itertuples(index=False)
            ],
            dropped,
            study.corpus,
            {CORPUS: run.sha256(CORPUS)},
            study.scale,
        )
    elif study.scale.storage is None:  # what a kill after the last table has left
        open_parts(run, study.scale, "extract").clear()
    files = run.read(FILES, ["outcome", "snippets"])
    outcomes = ", ".join(
        f"{count} {outcome}" for outcome, count in files["outcome"].value_counts().items()
    )
    return [f"extract: {files['snippets'].sum()} snippets of {len(files)} files ({outcomes})"]


def _fetch_local(run: Run, folder: Path, study: Study) -> None:
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
    artifact = Artifact("fetch", {"source": "local", **extraction_settings(study.corpus)}, {})
    _write_corpus(run, chosen, found, {}, study, artifact)


def _fetch_clones(run: Run, study: Study) -> None:
    settings = study.corpus
    if settings.commits is not None:
        chosen = read_commits(settings.commits)
        inputs = {"commits": file_sha256(settings.commits)}
    else:
        ranking = run.read(RANKING, ["repository", "query", "position", "score", "selected"])
        chosen = ranking[ranking["selected"]].drop(columns="selected").assign(commit=None)
        inputs = {RANKING: run.sha256(RANKING)}
    artifact = Artifact(
        "fetch",
        {
            "source": settings.clone_url,
            "as_of": settings.as_of and utc(settings.as_of),
            "max_repository_bytes": settings.max_repository_bytes,
            "timeout_s": settings.timeout_s,
            "copies": settings.copies,
            **extraction_settings(settings),
        },
        inputs,
    )
    if run.is_done(CORPUS, artifact.settings, artifact.inputs):
        _restore_clones(run, study, artifact)
        return
    commits = chosen.pop("commit")
    clones, dropped = fetch_repositories(
        run,
        {
            name: None if pd.isna(commit) else commit
            for name, commit in zip(chosen["repository"], commits, strict=True)
        },
        settings,
        scale=study.scale,
    )
    found = {name: (clone, clone.commit) for name, clone in clones.items()}
    reasons = {each.subject: each.reason for each in dropped}
    _write_corpus(run, chosen, found, reasons, study, artifact)


def _restore_clones(run: Run, study: Study, artifact: Artifact) -> None:
    """Fetch anew, at the same commits, what a finished corpus lacks and extraction needs.

    A run that was copied without its clones ends with the same corpus, unless a host no longer
    has a commit.
    """
    corpus = run.read(CORPUS)
    ready = corpus[corpus["reason"].isna()]
    if _is_extracted(run, study.corpus) or len(_clones(run, ready, study)) == len(ready):
        return
    wanted = dict(zip(ready["repository"], ready["commit"], strict=True))
    _, dropped = fetch_repositories(run, wanted, study.corpus, scale=study.scale)
    if dropped:
        reasons = {each.subject: each.reason for each in dropped}
        corpus["reason"] = corpus["reason"].fillna(corpus["repository"].map(reasons))
        run.write(CORPUS, corpus.astype(COLUMNS), artifact)


def _is_extracted(run: Run, settings: CorpusSettings) -> bool:
    inputs = {CORPUS: run.sha256(CORPUS)}
    return all(run.is_done(name, extraction_settings(settings), inputs) for name in SCHEMAS)


def _clones(run: Run, corpus: pd.DataFrame, study: Study) -> dict[str, Place]:
    """Return the clones that hold the repositories of a corpus at its commits."""
    clones = open_clones(run, study.scale)
    with ThreadPoolExecutor(_LOOK_UPS) as pool:
        found = list(pool.map(clones.find, corpus["repository"]))
    return {
        name: clone
        for name, commit, clone in zip(corpus["repository"], corpus["commit"], found, strict=True)
        if clone and clone.serves(Wanted(commit, notebooks=study.corpus.notebooks))
    }


def _keep_funnel(run: Run) -> None:
    """Bring ``funnel.parquet`` up to date.

    A corpus that was fetched for another ranking has no part in it.
    """
    inputs = {RANKING: run.sha256(RANKING)}
    fetched = run.sidecar(CORPUS) if run.is_sound(CORPUS) else None
    of_this_ranking = fetched is not None and fetched.inputs.get(RANKING) == inputs[RANKING]
    if of_this_ranking:
        inputs[CORPUS] = run.sha256(CORPUS)
    if not run.is_done(FUNNEL, {}, inputs):
        columns = ["repository", "reason"]
        corpus = run.read(CORPUS, columns) if of_this_ranking else None
        found = funnel(run.read(RANKING, columns), corpus)
        run.write(FUNNEL, found, Artifact("rank", {}, inputs))


def _write_corpus(
    run: Run,
    chosen: pd.DataFrame,
    found: Mapping[str, tuple[Place, Commit | None]],
    reasons: Mapping[str, str],
    study: Study,
    artifact: Artifact,
) -> None:
    """Write the chosen repositories with the state of their files, or why there is none."""
    read = open_engine(study.scale).map(
        partial(_read, study.corpus), [place for place, _ in found.values()], _unread
    )
    states = [
        (
            name,
            commit and commit.sha1,
            commit and commit.committed_at and utc(commit.committed_at),
            *state,
        )
        for (name, (_, commit)), state in zip(
            found.items(), track(read, "reading", len(found)), strict=True
        )
    ]
    columns = ["repository", "commit", "committed_at", "tree_sha256", "python_files", "reason"]
    corpus = chosen.merge(pd.DataFrame(states, columns=columns), on="repository", how="left")
    corpus["python_files"] = corpus["python_files"].fillna(0)
    corpus["reason"] = corpus["reason"].fillna(corpus["repository"].map(dict(reasons)))
    if study.corpus.searched:  # what was given by hand is meant
        corpus["reason"] = unfit(corpus, copies=study.corpus.copies == "keep")
    run.write(CORPUS, corpus[list(COLUMNS)].astype(COLUMNS), artifact)


def _read(settings: CorpusSettings, place: Place) -> tuple[str | None, int, str | None]:
    return (*tree_sha256(files_of(place, settings)), None)


def _unread(_: Place, reason: str) -> tuple[str | None, int, str | None]:
    return None, 0, reason
