"""Building a report: a folder that any browser opens, from a file or from any static host."""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from classify.classification import PLACEMENTS
from classify.compare import SNIPPET, Comparison
from classify.evaluate import Evaluation
from classify.gold import DESIGN, KEY, Gold
from classify.metrics import CATEGORIES, LOSSES
from classify.questions import Question
from classify.report.asked import Records, records
from classify.report.overview import BLOCKS, overview
from classify.report.repositories import repositories_table
from classify.report.shards import Shards
from classify.report.snippets import KINDS, PLACES, VERDICTS, write_snippets
from mining.artifacts import Artifact, Run, beside, settle
from mining.errors import ArtifactError
from mining.extraction import CLASSES, FILES, SNIPPETS
from mining.frameworks import FRAMEWORKS
from mining.licenses import licenses_of
from mining.pipeline import CORPUS
from mining.rank import RANKING, SENSITIVITY
from mining.study import Study

FOLDER = "report"
INDEX = f"{FOLDER}/index.html"
STATIC = Path(__file__).parent / "static"


def build_report(
    study: Study,
    run: Run,
    provenance: Artifact,
    gold: Gold | None,
    evaluation: Evaluation | None,
    against: tuple[Comparison, pd.DataFrame] | None,
    *,
    public: bool,
) -> int:
    """Write the report of a run into its folder ``report``; return its size in bytes.

    ``evaluation`` is that of ``gold``; ``against`` is the comparison with another run, and the
    placements of that. A ``public`` report leaves out code that may not be passed on. The index
    comes last, with its sidecar, and only with it the report is done. Raises ArtifactError if
    the run is not placed, or otherwise than its votes say.
    """
    placements = run.read(PLACEMENTS)
    if placements.empty:
        raise ArtifactError(
            f"Expected snippets to report on in {run.folder}, found none; give a corpus that has "
            "Python code."
        )
    with beside(run.path(FOLDER)) as new:
        shutil.copytree(STATIC, new / "static", ignore=shutil.ignore_patterns("*.html"))
        (new / "data").mkdir()
        shards = Shards(new / "data")
        with records(study, run) as opened:
            finding = write_snippets(
                shards, opened, placements, licenses_of(run) if public else None
            )
            order = opened.corpus.repositories
            shards.write("repositories", repositories_table(study, run, placements, order))
            shards.write(
                "study",
                {
                    "about": _about(study, opened, public),
                    "finding": finding,
                    "overview": overview(study, run, placements, evaluation),
                    "evaluation": evaluation and evaluation.to_json(),
                    "comparison": against and against[0].to_json(),
                },
            )
        if gold is not None and evaluation is not None:
            shards.write("gold", _gold(gold, evaluation, placements))
        if against is not None:
            shards.write("other", _other(placements, against[1]))
        run.path(INDEX).unlink(missing_ok=True)
        shutil.rmtree(run.path(FOLDER), ignore_errors=True)
        settle(new, run.path(FOLDER))
    run.write_bytes(INDEX, (STATIC / "index.html").read_bytes(), provenance)
    return sum(path.stat().st_size for path in run.path(FOLDER).rglob("*") if path.is_file())


def report_inputs(run: Run) -> dict[str, str]:
    """Return the hashes of what a report of a run is made of. Raises ArtifactError without it."""
    needed = (CORPUS, FILES, SNIPPETS, CLASSES, PLACEMENTS)
    there = [name for name in (RANKING, SENSITIVITY, FRAMEWORKS, *BLOCKS) if run.sidecar(name)]
    return {name: run.sha256(name) for name in (*needed, *there)}


def static_sha256() -> str:
    """Return a hash over the pages that ship, so that a changed page makes a report stale."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _about(study: Study, opened: Records, public: bool) -> dict[str, Any]:
    """Return what a page must know to read the numbers: names, and the settings that count."""
    return {
        "name": study.name,
        "judge": opened.judge.name,
        "rules": opened.judge.kind == "rules",
        "votes": opened.votes,
        "gate": study.placement.gate,
        "bases": study.placement.bases,
        "weights": study.ranking.weights.model_dump(),
        "top": study.ranking.top,
        "places": PLACES,
        "losses": LOSSES,
        "categories": CATEGORIES,
        "kinds": KINDS,
        "verdicts": VERDICTS,
        "questions": [question.value for question in Question],
        "lossplace": version("lossplace"),
        "public": public,
    }


def _gold(gold: Gold, evaluation: Evaluation, placements: pd.DataFrame) -> dict[str, Any]:
    """Return the labelled snippets by number, with their labels and what else the file says."""
    first = placements.drop_duplicates(KEY)
    number = pd.Series(first.index, index=pd.MultiIndex.from_frame(first[KEY]))
    rows = evaluation.rows
    more = [c for c in gold.rows.columns if c not in {*placements.columns, *DESIGN, "label"}]
    details = gold.rows.set_index(KEY)[more]
    keys = list(rows[KEY].itertuples(index=False, name=None))
    return {
        "rows": [int(number[key]) for key in keys],
        "labels": [PLACES.index(label) for label in rows["label"]],
        "details": [
            {c: str(v) for c, v in details.loc[[key]].iloc[0].items() if v and not pd.isna(v)}
            for key in keys
        ],
    }


def _other(placements: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """Return the other run's placement and verdicts of each snippet, None where it has none."""
    asked = [question.value for question in Question]
    theirs = other[[*SNIPPET, "placement", *asked]].drop_duplicates(SNIPPET)
    both = placements[SNIPPET].merge(theirs, "left", SNIPPET, indicator=True)
    there = both.pop("_merge") == "both"
    places = both["placement"].fillna(PLACES[-1])
    return {
        "placed": [
            PLACES.index(place) if has else None for place, has in zip(places, there, strict=True)
        ],
        "verdicts": {
            name: [VERDICTS.index(v) if isinstance(v, str) else None for v in both[name]]
            for name in asked
        },
    }
