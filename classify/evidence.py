"""What a finished run's placements rest on: which votes answer which ask about which snippet."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from classify.ask import Ballots
from classify.classification import (
    PLACEMENTS,
    STORE,
    names_known_loss,
    open_replay,
    placements,
)
from classify.judges import JudgeSettings
from classify.store import Store
from mining.artifacts import Run
from mining.errors import ArtifactError
from mining.extraction import Corpus
from mining.study import Study


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The judge of a run's placements, how many votes count, and the asks.

    ``asks`` has the columns snippet_id, question and prompt_sha256, a row for each question
    about each snippet whose answer a placement may rest on, sorted.
    """

    judge: JudgeSettings
    votes: int
    asks: pd.DataFrame


def evidence(study: Study, run: Run) -> Evidence:
    """Replay a run's placements from its votes, and return what they rest on.

    Raises ArtifactError if the run is not placed, or otherwise than its votes say;
    MissingVoteError if a vote is not there.
    """
    judge, votes = placed_by(run)
    corpus = Corpus(run)
    with Store(run.path(STORE)) as store:
        opened = open_replay(study, corpus, judge)
        ballots = Ballots(store, opened.judge, opened.messages, votes, store.refusals(judge))
        replayed = placements(
            corpus,
            study.placement,
            ballots,
            opened.reads_repository,
            names_known_loss(),
            "replaying",
        )
    if not replayed.equals(run.read(PLACEMENTS)):
        raise ArtifactError(
            f"Expected the placements in {run.folder} to be what its votes and study give, found "
            "others; run `lossplace classify` first."
        )
    rows = sorted(
        (id_, question.value, hash_) for (question, id_), hash_ in ballots.prompts.items()
    )
    return Evidence(judge, votes, pd.DataFrame(rows, columns=list(ASKS_COLUMNS)))


ASKS_COLUMNS = ("snippet_id", "question", "prompt_sha256")


def placed_by(run: Run) -> tuple[JudgeSettings, int]:
    """Return the judge that placed a run, and how many of its votes on a prompt count.

    Raises ArtifactError if the run is not placed, or the judge's votes are not there.
    """
    run.sha256(PLACEMENTS)
    sidecar = run.sidecar(PLACEMENTS)
    settings = {} if sidecar is None else sidecar.settings
    with Store(run.path(STORE)) as store:
        for judge in store.judges():
            if judge.sha256 == settings.get("judge_sha256"):
                return judge, int(settings["votes"])
    raise ArtifactError(
        f"Expected the votes of the judge {settings.get('judge')} in {run.path(STORE)}, found "
        "none; run `lossplace classify` again."
    )
