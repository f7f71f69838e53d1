"""What a finished run's placements rest on: which votes answer which ask about which snippet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from classify.classification import PLACEMENTS, STORE
from classify.judges import JudgeSettings
from classify.judging import open_ballots, open_replay
from classify.stopping import VotingRule
from classify.store import Store
from classify.subjects import placements, plan_of
from classify.watching import watch
from mining.artifacts import Run
from mining.errors import ArtifactError
from mining.extracted import Corpus
from mining.extraction import SNIPPETS
from mining.study import Study


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The judge of a run's placements, how many votes count, and the asks.

    ``asks`` has the columns snippet_id, question, apart and prompt_sha256, a row for each ask
    whose answer a placement may rest on, sorted. ``apart`` is empty unless the study has votes
    of their own for each snippet (see questions.Ask).
    """

    judge: JudgeSettings
    votes: int
    asks: pd.DataFrame


def evidence(study: Study, run: Run) -> Evidence:
    """Replay a run's placements from its votes, and return what they rest on.

    Raises ArtifactError if the run is not placed, or otherwise than its votes say;
    MissingVoteError if a vote is not there.
    """
    judge, rule = placed_by(run)
    corpus = Corpus(run)
    with Store(run.path(STORE)) as store:
        opened = replace(open_replay(study, corpus, judge), rule=rule)
        ballots = open_ballots(study, opened, store, store.reasons(judge))
        ballots.remember_all = True
        with watch(len(run.read(SNIPPETS, ["snippet_id"])), "replaying") as progress:
            replayed = placements(run, corpus, plan_of(study, corpus), ballots, progress)
    if not replayed.equals(run.read(PLACEMENTS)):
        raise ArtifactError(
            f"Expected the placements in {run.folder} to be what its votes and study give, found "
            "others; run `lossplace classify` first."
        )
    rows = sorted(ballots.asks())
    return Evidence(judge, rule.votes, pd.DataFrame(rows, columns=list(ASKS_COLUMNS)))


ASKS_COLUMNS = ("snippet_id", "question", "apart", "prompt_sha256")


def placed_by(run: Run) -> tuple[JudgeSettings, VotingRule]:
    """Return the judge that placed a run, and how its votes made verdicts.

    Raises ArtifactError if the run is not placed, or the judge's votes are not there.
    """
    run.sha256(PLACEMENTS)
    sidecar = run.sidecar(PLACEMENTS)
    settings = {} if sidecar is None else sidecar.settings
    with Store(run.path(STORE)) as store:
        for judge in store.judges():
            if judge.sha256 == settings.get("judge_sha256"):
                savings = settings.get("savings", {})
                return judge, VotingRule(
                    int(settings["votes"]),
                    int(settings.get("spare_votes", 0)),
                    max_flip_risk=savings.get("max_flip_risk"),
                )
    raise ArtifactError(
        f"Expected the votes of the judge {settings.get('judge')} in {run.path(STORE)}, found "
        "none; run `lossplace classify` again."
    )
