"""What a report says of a run as a whole: its numbers, Table 4.1, figures, and what was lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from classify.costs import COSTS
from classify.evaluate import Evaluation, interval_json
from classify.figures import figure_4_1, figure_4_2
from classify.metrics import LOSSES
from classify.rendering import Table
from classify.report.shards import columns_of
from classify.tables import table_4_1, table_4_1_corrected
from mining.artifacts import Run
from mining.extraction import FILES
from mining.funnel import FUNNEL
from mining.ledger import LEDGER
from mining.pipeline import CORPUS
from mining.rank import RANKING
from mining.records import EXTRACTED_OUTCOMES
from mining.study import Study

BLOCKS = (FUNNEL, LEDGER, COSTS)
"""What other stages may have counted; a run without one has its reasons."""


def overview(
    study: Study, run: Run, placements: pd.DataFrame, evaluation: Evaluation | None
) -> dict[str, Any]:
    """Return the first page's numbers, of which those of the paper are the paper's own."""
    corpus = run.read(CORPUS)
    files = run.read(FILES, ["outcome", "snippets"])
    tables = [table_4_1(placements)]
    if evaluation is not None:
        tables.append(table_4_1_corrected(placements, evaluation))
    return {
        "numbers": _numbers(corpus, files, placements, evaluation),
        "tables": [_table_json(table) for table in tables],
        "figure_4_1": columns_of(figure_4_1(placements, corpus, study.evaluation.confidence)),
        "figure_4_2": columns_of(figure_4_2(placements, corpus)),
        "flow": list(_flow(run, corpus, files, placements)),
        "blocks": {
            name.removesuffix(".parquet"): columns_of(run.read(name))
            for name in BLOCKS
            if run.sidecar(name) is not None
        },
        "searched": study.corpus.searched,
    }


def _table_json(table: Table) -> dict[str, Any]:
    """Return a table as its columns, with what stands around it."""
    return {
        "name": table.name,
        "number": table.number,
        "title": table.title,
        "note": table.note,
        "columns": columns_of(table.frame),
    }


def _numbers(
    corpus: pd.DataFrame,
    files: pd.DataFrame,
    placements: pd.DataFrame,
    evaluation: Evaluation | None,
) -> dict[str, Any]:
    losses = evaluation.losses if evaluation is not None else None
    sample = losses or (evaluation.everything if evaluation is not None else None)
    return {
        "repositories": int(corpus["reason"].isna().sum()),
        "selected": len(corpus),
        "files": int(files["outcome"].isin(list(EXTRACTED_OUTCOMES)).sum()),
        "snippets": len(placements),
        "texts": int(placements["code_sha256"].nunique()),
        "losses": int(placements["placement"].isin(LOSSES).sum()),
        "holding": int(
            placements.loc[placements["placement"].isin(LOSSES), "repository"].nunique()
        ),
        "unplaced": int(placements["placement"].isna().sum()),
        "f1": None
        if sample is None
        else {
            "estimate": sample.weighted_f1[0].estimate,
            "n": sample.n,
            "sample": sample.sample,
            "interval": interval_json(sample.clustered or sample.weighted_f1[0]),
        },
    }


def _flow(
    run: Run, corpus: pd.DataFrame, files: pd.DataFrame, placements: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """Give each stage: what it is of, how many reach it, and why the others do not.

    ``left`` are pairs of a reason and how many it holds for.
    """
    if run.sidecar(RANKING) is not None:
        ranking = run.read(RANKING, ["repository", "selected", "reason"])
        reasons = ranking["reason"].str.replace(
            r"^taken by .*", "taken by an earlier query", regex=True
        )
        yield _stage("found", "results of the queries", len(ranking), None)
        yield _stage("selected", "repositories", int(ranking["selected"].sum()), reasons)
    yield _stage("fetched", "repositories", int(corpus["reason"].isna().sum()), corpus["reason"])
    read = files["outcome"].isin(list(EXTRACTED_OUTCOMES))
    yield _stage("read", "Python files", int(read.sum()), files.loc[~read, "outcome"])
    yield _stage("extracted", "snippets", len(placements), None)
    placed = placements["placement"]
    yield _stage(
        "placed", "snippets", int(placed.notna().sum()), placements.loc[placed.isna(), "reason"]
    )
    no_loss = placed[placed.notna() & ~placed.isin(LOSSES)]
    yield _stage("placed as a loss", "snippets", int(placed.isin(LOSSES).sum()), no_loss)


def _stage(name: str, of: str, count: int, left: pd.Series | None) -> dict[str, Any]:
    counted = [] if left is None else left.dropna().value_counts().head(12).items()
    return {
        "stage": name,
        "of": of,
        "count": count,
        "left": [[str(reason), int(number)] for reason, number in counted],
    }
