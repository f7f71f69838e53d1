"""What of a run is done."""

from __future__ import annotations

from dataclasses import dataclass

from classify.classification import PLACEMENTS
from classify.costs import COSTS
from classify.proposals import TYPES
from mining.artifacts import Run
from mining.extraction import CLASSES, DROPPED, FILES, SNIPPETS
from mining.frameworks import FRAMEWORKS
from mining.funnel import FUNNEL
from mining.ledger import LEDGER
from mining.pages import REPOSITORIES
from mining.pipeline import CORPUS
from mining.rank import RANKING

STAGES = {
    LEDGER: "search",
    REPOSITORIES: "search",
    RANKING: "rank",
    FUNNEL: "rank",
    CORPUS: "fetch",
    FILES: "extract",
    SNIPPETS: "extract",
    CLASSES: "extract",
    DROPPED: "extract",
    PLACEMENTS: "classify",
    COSTS: "classify",
    TYPES: "types",
    FRAMEWORKS: "paper",
    "paper/table_4_1.csv": "paper",
    "report/index.html": "report",
}
"""The artifacts of a run, in the order in which stages write them."""


@dataclass(frozen=True, slots=True)
class Status:
    """One artifact: the stage that writes it, and its rows, where it is done and has any."""

    artifact: str
    stage: str
    done: bool
    rows: int | None


def status_of(run: Run) -> list[Status]:
    """Return the state of each artifact of a run; what is damaged is not done."""
    found = {name: run.sidecar(name) if run.is_sound(name) else None for name in STAGES}
    return [
        Status(
            name,
            stage,
            (sidecar := found[name]) is not None,
            None if sidecar is None else sidecar.rows,
        )
        for name, stage in STAGES.items()
    ]
