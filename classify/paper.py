"""The tables and figures of the study, written into a run's ``paper/`` folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from classify.evaluate import Evaluation
from classify.figures import draw_4_1, draw_4_2, draw_4_2_upset, figure_4_1, figure_4_2
from classify.published import compare_table_4_1
from classify.rendering import Table
from classify.tables import evaluation_tables, table_4_1, table_4_1_corrected
from mining.artifacts import Artifact, Run

FOLDER = "paper"


def write_paper(
    run: Run,
    placements: pd.DataFrame,
    corpus: pd.DataFrame,
    evaluation: Evaluation | None,
    provenance: Artifact,
    transferred: Table | None = None,
    analysis: Sequence[Table] = (),
    *,
    drawings: bool = True,
) -> list[str]:
    """Write every table and figure; return their names within the run, in order.

    Each table is written as CSV, Markdown and LaTeX, each figure as SVG and PDF beside the CSV
    of what it shows (figure 4.2 in two drawings). The tables D.1 to D.5 and the corrected 4.1
    need an ``evaluation``; ``transferred`` stands beside them where there is one. ``analysis``
    holds those of the manual analysis (analysis.analysis_tables). ``provenance`` says which
    settings and inputs stand behind them all; its ``rows`` are set for each file. Without
    ``drawings`` only the numbers of the figures are written.
    """
    tables = [table_4_1(placements), compare_table_4_1(placements)]
    if evaluation is not None:
        tables += [table_4_1_corrected(placements, evaluation), *evaluation_tables(evaluation)]
    tables += [] if transferred is None else [transferred]
    tables += analysis
    shares, overlaps = figure_4_1(placements, corpus), figure_4_2(placements, corpus)
    files: list[tuple[str, bytes, int]] = []
    for table in tables:
        forms = {"csv": table.to_csv(), "md": table.to_markdown(), "tex": table.to_latex()}
        files += [(f"{table.name}.{k}", t.encode(), len(table.frame)) for k, t in forms.items()]
    for name, frame, draws in (
        ("figure_4_1", shares, {"": draw_4_1}),
        ("figure_4_2", overlaps, {"": draw_4_2, "_upset": draw_4_2_upset}),
    ):
        for suffix, draw in draws.items() if drawings else ():
            files += [(f"{name}{suffix}.{k}", b, len(frame)) for k, b in draw(frame).items()]
        files.append((f"{name}.csv", Table(name, name, frame).to_csv().encode(), len(frame)))
    for name, content, rows in files:
        run.write_bytes(f"{FOLDER}/{name}", content, replace(provenance, rows=rows))
    written = [f"{FOLDER}/{name}" for name, _, _ in files]
    run.keep_only(FOLDER, written)  # tables of labels that are no longer given would mislead
    return written
