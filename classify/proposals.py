"""The types stage: what the rules propose for each snippet placed loss_unknown, on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from classify.classification import PLACEMENTS
from classify.gold import KEY
from classify.labels import checked_cases, checked_type
from classify.placement import Category
from classify.special_cases import SpecialCase, written
from classify.subjects import SNIPPET_COLUMNS
from classify.types import Proposal, known_signs, propose
from mining.artifacts import Artifact, Run
from mining.extracted import Corpus
from mining.extraction import CLASSES, FILES, SNIPPETS
from mining.progress import track
from mining.records import Snippet
from mining.shipped import shipped

TYPES = "types.parquet"
LABEL_TYPES = "label_types.parquet"

COLUMNS = {
    **SNIPPET_COLUMNS,
    "type": "str",
    "reason": "str",
    **{case.value: "bool" for case in SpecialCase},
}
"""Of ``types.parquet``, one row for each snippet placed loss_unknown: the proposed type (see
types.UnknownType), the line that speaks for it, and which special cases hold (see
special_cases.SpecialCase; only of standalone losses)."""

LABEL_COLUMNS = {
    "repository": "str",
    "path": "str",
    "start_line": "int64",
    "qualname": "str",
    "unknown_type": "str",
    "special_cases": "str",
    "type": "str",
    "reason": "str",
    "proposed_cases": "str",
}
"""Of ``label_types.parquet``, one row for each snippet whose type a reader labelled: the label's
``unknown_type`` and ``special_cases`` (empty: not said), and what the rules propose."""

_SOURCES = ("types.py", "special_cases.py", "reading.py", "judges/rules")
"""What decides a proposal, in this package."""


def propose_types(run: Run) -> bool:
    """Write ``types.parquet``; False if it is done already.

    Raises ArtifactError unless the run's snippets are extracted and placed.
    """
    inputs = {name: run.sha256(name) for name in (FILES, SNIPPETS, CLASSES, PLACEMENTS)}
    artifact = Artifact("types", {"rules_sha256": _rules_sha256()}, inputs)
    if run.is_done(TYPES, artifact.settings, artifact.inputs):
        return False
    placements = run.read(PLACEMENTS, ["snippet_id", "repository", "placement"])
    unknown = placements[placements["placement"] == Category.LOSS_UNKNOWN.value]
    wanted: dict[str, set[str]] = {}
    for repository, snippet_id in unknown[["repository", "snippet_id"]].itertuples(index=False):
        wanted.setdefault(repository, set()).add(snippet_id)
    corpus = Corpus(run)
    rows = [
        {
            **{name: getattr(snippet, name) for name in COLUMNS if hasattr(snippet, name)},
            "type": proposal.type.value,
            "reason": proposal.reason,
            **{case.value: case in proposal.special_cases for case in SpecialCase},
        }
        for repository in track(list(wanted), "proposing types", len(wanted))
        for snippet, proposal in _proposals(
            corpus,
            repository,
            [s for s in corpus.snippets(repository) if s.snippet_id in wanted[repository]],
        )
    ]
    run.write(TYPES, pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS), artifact)
    return True


def propose_for_labels(run: Run, labels: pd.DataFrame) -> pd.DataFrame:
    """Propose the type of every snippet whose type is labelled, wherever the run placed it.

    ``labels`` are rows of a gold file (gold.Gold). Returns those with an ``unknown_type`` about
    snippets of the run, with the columns ``LABEL_COLUMNS``, and keeps them
    (``label_types.parquet``). Raises GoldError on a type, or a special case, that is none.
    """
    typed = _typed(labels)
    keys = typed[[*KEY, "unknown_type", "special_cases"]].to_csv(index=False)
    inputs = {name: run.sha256(name) for name in (FILES, SNIPPETS, CLASSES)}
    inputs["labels"] = hashlib.sha256(keys.encode()).hexdigest()
    artifact = Artifact("types", {"rules_sha256": _rules_sha256()}, inputs)
    if not run.is_done(LABEL_TYPES, artifact.settings, artifact.inputs):
        run.write(LABEL_TYPES, _typed_proposals(run, typed), artifact)
    return run.read(LABEL_TYPES)


def _typed_proposals(run: Run, typed: pd.DataFrame) -> pd.DataFrame:
    corpus = Corpus(run)
    rows = []
    for repository in typed["repository"].unique():
        of_repository = typed[typed["repository"] == repository]
        by_hand = {
            (path, line): said
            for path, line, *said in of_repository[
                ["path", "start_line", "unknown_type", "special_cases"]
            ].itertuples(index=False)
        }
        snippets = [s for s in corpus.snippets(repository) if (s.path, s.start_line) in by_hand]
        rows += [
            (
                *(s.repository, s.path, s.start_line, s.qualname),
                *by_hand[s.path, s.start_line],
                *(proposal.type.value, proposal.reason, written(proposal.special_cases)),
            )
            for s, proposal in _proposals(corpus, repository, snippets)
        ]
    return pd.DataFrame(rows, columns=list(LABEL_COLUMNS)).astype(LABEL_COLUMNS)


def _typed(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the labels that have a type, with ``special_cases`` as special_cases.written."""
    if "unknown_type" not in labels.columns:
        return labels.head(0).assign(unknown_type="", special_cases="")
    said = labels if "special_cases" in labels.columns else labels.assign(special_cases="")
    typed = said[(said["unknown_type"] != "") | (said["special_cases"] != "")]
    cases = []
    for *place, type_, text in typed[[*KEY, "unknown_type", "special_cases"]].itertuples(
        index=False
    ):
        where = f"the label of {' '.join(map(str, place))}"
        found = checked_cases(text, checked_type(type_, where) if type_ else "", where)
        cases.append("" if found is None else written(found))
    return typed.assign(special_cases=cases)


def _proposals(
    corpus: Corpus, repository: str, snippets: Iterable[Snippet]
) -> Iterator[tuple[Snippet, Proposal]]:
    code = corpus.code(repository)
    for snippet in snippets:
        yield snippet, propose(snippet, code, known_signs())


def _rules_sha256() -> str:
    """Return a hash over all that decides a proposal: a changed rule makes the stage run again."""
    here = Path(__file__).parent
    paths = [shipped("data/unknown_types.csv")]
    for source in _SOURCES:
        path = here / source
        paths += sorted(path.glob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
