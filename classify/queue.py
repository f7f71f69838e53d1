"""The queue of snippets that are to be labelled next, drawn from a run's placements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from classify.classification import PLACEMENTS
from classify.designs import Design, Within
from classify.errors import GoldError
from classify.gold import Gold, match
from classify.margins import vote_margins
from classify.metrics import LOSSES
from classify.rendering import full_csv
from classify.sampling import (
    Stratum,
    allocation,
    draw_random,
    draw_stratified,
    draw_thesis,
    fewest_labels,
    half_width,
    kish,
    labels_needed,
    strata_of,
)
from mining.artifacts import Run, write_atomically
from mining.study import Study

COLUMNS = [
    "repository",
    "commit",
    "path",
    "start_line",
    "end_line",
    "kind",
    "qualname",
    "sampling_stratum",
    "stratum_size",
    "stratum_sampled",
    "inclusion_probability",
]
"""Of a queue (CSV), one row for each snippet: where it is, and how it was drawn. Nothing in it
says where the judge placed the snippet."""

DEFAULT_LABELS = {Design.RANDOM: 200, Design.STRATIFIED: 200, Design.THESIS: 30}


def write_queue(
    study: Study,
    run: Run,
    out: Path,
    design: Design,
    *,
    labels: int | None = None,
    wanted: float | None = None,
    gold: Gold | None = None,
    losses_only: bool = False,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[str]:
    """Draw a queue and write it to ``out``; return what is to be said of it.

    ``wanted`` is the half-width that the weighted F1's interval shall have: without ``labels``,
    as many are drawn as it needs. ``gold`` holds labels by which the error rates of the strata
    are known; without them they are guessed. With ``losses_only`` the population is what the
    run placed as a loss. Strata are made by placement and vote margin where the judge voted more
    than once, else by placement and kind. Beside the queue, ``<out>.design.json`` says which
    stratum is which: it is for who evaluates, not for who labels. Raises GoldError if another file
    is there already, and if so few are to be drawn that strata would have none.
    """
    population = run.read(PLACEMENTS)
    within = Within.KIND
    if design is Design.STRATIFIED and (margins := vote_margins(study, run)) is not None:
        within = Within.MARGIN
        population[within.value] = margins
    labelled = match(gold.rows, population).rows if gold is not None else None
    if losses_only or design is Design.THESIS:
        population = population[population["placement"].isin(LOSSES)]
    if population.empty:
        raise GoldError(
            f"Expected snippets to draw from in {run.path(PLACEMENTS)}, found none"
            f"{' placed as a loss' if losses_only or design == 'thesis' else ''}."
        )
    strata = strata_of(population, labelled, within)
    needed = None if wanted is None else labels_needed(strata, design, wanted, confidence)
    n = min(labels or needed or DEFAULT_LABELS[design], len(population))
    if design is Design.STRATIFIED and n < (fewest := fewest_labels(strata)):
        raise GoldError(
            f"Expected {fewest} labels or more, a few of each of the {len(strata)} strata, found "
            f"{n}; draw more with --labels, or take --design random."
        )
    match design:
        case Design.RANDOM:
            rows = draw_random(population, n, seed)
        case Design.STRATIFIED:
            rows = draw_stratified(population, strata, allocation(strata, n), seed, within)
        case Design.THESIS:
            rows = draw_thesis(population, n, seed)
    said = list(_said(strata, design, rows, wanted, needed, confidence))
    rates = "guessed" if labelled is None else f"measured on {len(labelled)} labels, and guessed"
    settings = {
        "design": design,
        "seed": seed,
        "confidence": confidence,
        "half_width": wanted,
        "losses_only": losses_only,
        "error_rates": rates,
    }
    texts = {
        _design_path(out): _design(run, design, settings, strata, within, rows),
        out: full_csv(rows[COLUMNS]),
    }
    for path, text in texts.items():
        # one that is the same is this command's own, killed between the two or at its end
        if path.exists() and path.read_bytes() != text.encode():
            raise GoldError(
                f"Expected no file at {path} yet, found one, which may be in use; choose another "
                "name with --out, or move it away."
            )
    for path, text in texts.items():
        write_atomically(path, text)
    return [
        f"sample: {len(rows)} of {len(population)} snippets, error rates {rates}",
        *said,
        f"written to {out}",
    ]


def _said(
    strata: Sequence[Stratum],
    design: Design,
    rows: pd.DataFrame,
    wanted: float | None,
    needed: int | None,
    confidence: float,
) -> list[str]:
    inflation = (
        kish(list(rows["stratum_size"] / rows["stratum_sampled"]))
        if design is Design.THESIS
        else 1.0
    )
    n = len(rows)
    found = half_width(
        strata, allocation(strata, n) if design is Design.STRATIFIED else n, confidence
    )
    lines = [
        f"with {n} labels, the {confidence:.0%} interval of the weighted F1 is expected to be "
        f"± {found:.3f}"
    ]
    if needed is not None:
        lines.append(f"± {wanted:g} needs {needed} labels")
    if design is Design.THESIS:
        lines.append(
            f"both as if of a random sample; weighted by the losses of each repository, as many "
            f"labels as these count for {inflation:.1f} times fewer"
        )
    return lines


def _design(
    run: Run,
    design: Design,
    settings: Mapping[str, object],
    strata: Sequence[Stratum],
    within: Within,
    rows: pd.DataFrame,
) -> str:
    expected = {(s.placement, s.part): s.error for s in strata}
    found = []
    for _, first in (
        rows.drop_duplicates("sampling_stratum").sort_values("sampling_stratum").iterrows()
    ):
        stratum: dict[str, object] = {
            "sampling_stratum": str(first["sampling_stratum"]),
            "size": int(first["stratum_size"]),
            "sampled": int(first["stratum_sampled"]),
        }
        match design:
            case Design.STRATIFIED:
                key = (str(first["placement"]), str(first[within]))
                if pd.isna(first["placement"]):
                    key = ("unplaced", key[1])
                stratum |= {"placement": key[0], within.value: key[1]}
                stratum["expected_error"] = expected[key]
            case Design.THESIS:
                stratum["repository"] = str(first["repository"])
        found.append(stratum)
    fields = {
        "settings": settings,
        "inputs": {PLACEMENTS: run.sha256(PLACEMENTS)},
        "strata": found,
    }
    return json.dumps(fields, indent=1) + "\n"


def _design_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.design.json")
