"""How clearly a run's judge voted on what each placement rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from classify.classification import PLACEMENTS, STORE
from classify.designs import Margin
from classify.evidence import evidence, placed_by
from classify.placement import functions_asked
from classify.questions import OF_CLASS, Question
from classify.stopping import Tally
from classify.store import Store
from classify.votes import reading
from mining.artifacts import Run
from mining.extracted import Corpus
from mining.hierarchy import with_class_functions
from mining.records import Kind
from mining.study import Study

"""The questions that, about a method, are asked of all functions of its class."""


def vote_margins(study: Study, run: Run) -> pd.Series[str] | None:
    """Return the ``Margin`` of each placement of a run; None of a judge that votes once.

    Its index is that of ``placements.parquet``. Raises as evidence.evidence.
    """
    judge, rule = placed_by(run)
    if rule.votes == 1:
        return None
    asks = evidence(study, run).asks
    leads: dict[tuple[str, str, str], float] = {}
    with Store(run.path(STORE)) as store:
        for prompt, of_prompt in asks.groupby("prompt_sha256"):
            votes = store.votes(str(prompt), judge)
            tally = rule.tally(reading(vote.text, vote.finish_reason).decision for vote in votes)
            keys = of_prompt[["snippet_id", "question", "apart"]].itertuples(index=False, name=None)
            leads |= dict.fromkeys(keys, lead_of(tally))
    methods = _functions_of_methods(study, Corpus(run))
    rows = run.read(PLACEMENTS, ["snippet_id", *(question.value for question in Question)])
    return pd.Series(
        [
            margin_of(
                smallest_lead(
                    row["snippet_id"],
                    methods.get(row["snippet_id"], {}),
                    {q: row[q] for q in Question if not pd.isna(row[q])},
                    leads,
                )
            ).value
            for row in rows.to_dict("records")
        ],
        index=rows.index,
        dtype="str",
    )


def lead_of(tally: Tally) -> float:
    """Return by what share of the votes a yes leads, or a no: below 0. 0 without a vote."""
    votes = tally.yes + tally.no + tally.abstained
    return (tally.yes - tally.no) / votes if votes else 0.0


def smallest_lead(
    snippet_id: str,
    class_functions: Mapping[str, Sequence[str]],
    verdicts: Mapping[str, str],
    leads: Mapping[tuple[str, str, str], float],
) -> float:
    """Return by how little the closest verdict on the way to a placement was decided.

    ``class_functions`` are, for a method, the snippet_ids that each question about its class is
    put to. ``verdicts`` are those of the questions asked, ``leads`` by snippet_id, question and
    ``apart`` (see questions.Ask): nobody, the placed snippet, the one asked about, or both. Of a
    question about the functions of a class, a yes is as clear as its clearest yes, since one
    decides, and a no as its closest no. What was placed without a question counts as unanimous.
    """
    found = []
    for question, verdict in verdicts.items():
        around = class_functions.get(question, (snippet_id,))
        known = [
            leads[each, question, apart]
            for each in around
            for apart in {"", snippet_id, each, snippet_id + each}
            if (each, question, apart) in leads
        ]
        if verdict == "none" or not known:
            found.append(0.0)
        else:
            found.append(max(known) if verdict == "yes" else -max(known))
    return max(0.0, min(found, default=1.0))


def margin_of(lead: float) -> Margin:
    """Return the class of a lead."""
    if lead == 1:
        return Margin.UNANIMOUS
    return Margin.CLEAR if lead >= 0.5 else Margin.CLOSE


def _functions_of_methods(study: Study, corpus: Corpus) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return whom each question about a method's class is put to, by the method."""
    found = {}
    for repository in corpus.repositories:
        for snippet, around in with_class_functions(
            corpus.snippets(repository),
            corpus.classes(repository),
            follow=study.placement.bases == "follow",
        ):
            if snippet.kind is Kind.METHOD:
                found[snippet.snippet_id] = {
                    question.value: tuple(
                        each.snippet_id for each in functions_asked(question, snippet, around)
                    )
                    for question in OF_CLASS
                }
    return found
