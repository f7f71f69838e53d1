"""The manual analysis, half automatic: what rules propose and readers label, as tables."""

from __future__ import annotations

import pandas as pd

from classify.evaluate import Evaluation
from classify.gold import Gold
from classify.manual_tables import table_4_2, table_4_3, table_4_4, tables_a
from classify.proposals import TYPES, propose_for_labels, propose_types
from classify.published import published
from classify.rendering import Table
from mining.artifacts import Run
from mining.extraction import FILES
from mining.frameworks import FRAMEWORKS, count_frameworks, known_modules


def analysis_tables(
    run: Run, corpus: pd.DataFrame, gold: Gold | None, evaluation: Evaluation | None
) -> tuple[list[Table], dict[str, str]]:
    """Return the tables 4.2 to 4.4 and A.1, A.2, A.4, with the hashes of what they rest on.

    4.2 needs an ``evaluation``; all others need the run's files, of which types.parquet and
    frameworks.parquet are made if they are not done. ``corpus`` are the rows of corpus.parquet.
    """
    tables = []
    if evaluation is not None:
        tables.append(table_4_2(evaluation.rows, published("table_4_2_misclassified_unknown")))
    if run.sidecar(FILES) is None:
        return tables, {}
    propose_types(run)
    count_frameworks(run)
    proposed = run.read(TYPES)
    by_hand = None if gold is None else propose_for_labels(run, gold.rows)
    tables += [
        table_4_3(proposed, published("table_4_3_unknown_types"), by_hand),
        table_4_4(proposed, published("table_4_4_standalone_special_cases"), by_hand),
        *tables_a(
            published("appendix_a_frameworks"),
            run.read(FRAMEWORKS),
            list(known_modules()),
            int(corpus["reason"].isna().sum()),
        ),
    ]
    return tables, {name: run.sha256(name) for name in (TYPES, FRAMEWORKS)}
