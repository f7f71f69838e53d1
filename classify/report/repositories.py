"""The repositories of a report: where each comes from, its score, and where its losses are."""

from __future__ import annotations

from typing import Any

import pandas as pd

from classify.metrics import UNPLACED
from classify.report.shards import columns_of
from classify.report.snippets import PLACES
from mining.artifacts import Run
from mining.extraction import FILES
from mining.frameworks import FRAMEWORKS
from mining.pipeline import CORPUS
from mining.rank import RANKING, SENSITIVITY
from mining.records import EXTRACTED_OUTCOMES
from mining.study import SearchSettings, Study

_RANKED = [
    "repository",
    "rank",
    "stars",
    "forks",
    "pushed_at",
    "license",
    "f_stars",
    "f_forks",
    "f_recency",
]


def repositories_table(
    study: Study, run: Run, placements: pd.DataFrame, order: list[str]
) -> dict[str, Any]:
    """Return a row for each repository that was chosen, as lists by column.

    Those that have snippets come first, in the given ``order``, so that their place in the list
    is their number. Columns: those of corpus.parquet; ``framework`` and ``architecture`` of the
    query, or for a local corpus the framework that most of its files import; ``files`` that were
    read; one for each of ``PLACES`` with how many snippets are placed there; of a search also
    rank, stars, forks, pushed_at, license, and the three parts of the score before weights; and
    ``sensitivity``, in what share of other weights it is selected too, where that is known.
    """
    corpus = run.read(CORPUS).drop(columns=["tree_sha256", "python_files"])
    place = {name: number for number, name in enumerate(order)}
    corpus = corpus.assign(_order=corpus["repository"].map(place).fillna(len(place)))
    corpus = corpus.sort_values("_order", kind="stable").drop(columns="_order")
    names = corpus["repository"]
    files = run.read(FILES, ["repository", "outcome"])
    read = files[files["outcome"].isin(list(EXTRACTED_OUTCOMES))]
    corpus["files"] = names.map(read["repository"].value_counts()).fillna(0).astype(int)
    counts = pd.crosstab(
        placements["repository"], placements["placement"].fillna(UNPLACED).astype(object)
    )
    for each in PLACES:
        counted = counts[each] if each in counts else pd.Series(dtype="int64")
        corpus[each] = names.map(counted).fillna(0).astype(int)
    of_query = {query: parts_of(query, study.search) for query in corpus["query"].unique()}
    imported = _most_imported(run)
    corpus["framework"] = [
        of_query[query][0] or imported.get(name)
        for name, query in zip(names, corpus["query"], strict=True)
    ]
    corpus["architecture"] = [of_query[query][1] for query in corpus["query"]]
    if run.sidecar(RANKING) is not None:
        ranking = run.read(RANKING, [*_RANKED, "selected"])
        corpus = corpus.merge(ranking.loc[ranking["selected"], _RANKED], "left", "repository")
    if run.sidecar(SENSITIVITY) is not None:
        found = run.read(SENSITIVITY, ["repository", "share"]).set_index("repository")["share"]
        corpus["sensitivity"] = corpus["repository"].map(found)
    return columns_of(corpus)


def parts_of(query: str, search: SearchSettings) -> tuple[str | None, str | None]:
    """Return the framework and the architecture that a query asks for; None for what it is not."""
    for framework in search.frameworks:
        for architecture in search.architectures:
            if query == f"{framework} {architecture}":
                return framework, architecture
    return None, None


def _most_imported(run: Run) -> dict[str, str]:
    if run.sidecar(FRAMEWORKS) is None:
        return {}
    found = run.read(FRAMEWORKS).sort_values("files", ascending=False, kind="stable")
    first = found.drop_duplicates("repository")
    return dict(zip(first["repository"], first["framework"], strict=True))
