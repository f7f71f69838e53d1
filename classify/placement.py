"""Where a snippet's loss is: the published algorithm (Algorithm 2) as one pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from classify.likeliest import likeliest
from classify.questions import OF_CLASS, Ask, Question
from mining.records import Kind, Snippet


class Category(StrEnum):
    """The five places, in the order in which tables show them."""

    LOSS_IN_RUNNER = "loss_in_runner"
    LOSS_IN_MODEL = "loss_in_model"
    LOSS_IN_MODEL_RUNNER = "loss_in_model_runner"
    LOSS_UNKNOWN = "loss_unknown"
    """A loss outside of models and training loops: standalone."""
    NO_LOSS = "no_loss"


class Verdict(StrEnum):
    """What the votes on an ask decide."""

    YES = "yes"
    NO = "no"
    NONE = "none"
    """A tie, or no vote with a readable decision: nothing is decided."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The end of a snippet: its category, or the ask without verdict which kept it from one.

    ``verdicts`` holds the verdict of each question that was asked on the way. For a method,
    those of training_loop and model_definition speak of its class; see ``functions_asked``.
    ``unasked`` says why no question was asked at all.
    """

    snippet: Snippet
    category: Category | None
    verdicts: Mapping[Question, Verdict]
    undecided: Ask | None = None
    unasked: str | None = None


VerdictOf = Callable[[Ask], Verdict | None]
"""Gives the verdict on an ask, or None as long as the ask is open."""


def place(
    snippet: Snippet,
    class_functions: Sequence[Snippet],
    verdict_of: VerdictOf,
    names_loss: Callable[[Snippet], bool],
    gate: Literal["as_text", "as_printed"] = "as_text",
    *,
    stop_at_yes: bool = True,
    class_once: bool = True,
) -> Placement | frozenset[Ask]:
    """Return the snippet's placement, or the asks which must be answered before it has one.

    ``class_functions`` are the functions of a method's class, and of its base classes where
    they are followed. ``names_loss`` tells whether a snippet names a known loss function.
    For ``gate`` see mining.study.PlacementSettings, for ``stop_at_yes`` and ``class_once``
    mining.study.SavingsSettings: neither changes the placement. A question without verdict on
    the way leaves the snippet unplaced: it never counts as ``no_loss``.
    """
    verdicts: dict[Question, Verdict] = {}

    def placed(category: Category) -> Placement:
        return Placement(snippet, category, verdicts)

    def unplaced(ask: Ask) -> Placement:
        return Placement(snippet, None, verdicts, ask)

    gates = (Question.LOSS_RELATED, Question.LOSS_DEFINITION)
    for question in gates[gates.index(first_question(snippet, names_loss, gate)) :]:
        ask = Ask(question, snippet)
        if (verdict := verdict_of(ask)) is None:
            return frozenset({ask})
        verdicts[question] = verdict
        if verdict is Verdict.NO:
            return placed(Category.NO_LOSS)
        if verdict is Verdict.NONE:
            return unplaced(ask)

    if snippet.kind is Kind.LOOP:
        return placed(Category.LOSS_IN_RUNNER)

    around: dict[Question, Sequence[Snippet]] = {Question.TRAINING_LOOP: [snippet]}
    if snippet.kind is Kind.METHOD:
        around = {q: functions_asked(q, snippet, class_functions) for q in OF_CLASS}
    apart = "" if class_once or snippet.kind is not Kind.METHOD else snippet.snippet_id
    answers = {
        question: {ask: verdict_of(ask) for ask in (Ask(question, s, apart) for s in of_class)}
        for question, of_class in around.items()
    }
    decided = {question: any_of(of_class.values()) for question, of_class in answers.items()}
    open_asks: set[Ask] = set()
    for question, of_class in answers.items():
        if decided[question] is None:
            unanswered = [ask for ask, verdict in of_class.items() if verdict is None]
            open_asks |= {likeliest(unanswered)} if stop_at_yes else set(unanswered)
    if open_asks:
        return frozenset(open_asks)
    for question, verdict in decided.items():
        verdicts[question] = verdict or Verdict.NONE
    for question, of_class in answers.items():
        if verdicts[question] is Verdict.NONE:
            return unplaced(next(a for a, v in of_class.items() if v is Verdict.NONE))

    runner = verdicts[Question.TRAINING_LOOP] is Verdict.YES
    model = verdicts.get(Question.MODEL_DEFINITION) is Verdict.YES
    match model, runner:
        case True, True:
            return placed(Category.LOSS_IN_MODEL_RUNNER)
        case True, False:
            return placed(Category.LOSS_IN_MODEL)
        case False, True:
            return placed(Category.LOSS_IN_RUNNER)
        case _:
            return placed(Category.LOSS_UNKNOWN)


def functions_asked(
    question: Question, method: Snippet, class_functions: Sequence[Snippet]
) -> Sequence[Snippet]:
    """Return the functions of which one suffices to answer a question about a method's class.

    A network may stand in a base class, so that each of ``class_functions`` counts for
    model_definition; a class is a runner by a training loop of its own.
    """
    if question is Question.MODEL_DEFINITION:
        return class_functions
    own = (method.path, method.class_qualname)
    return [each for each in class_functions if (each.path, each.class_qualname) == own]


def first_question(
    snippet: Snippet,
    names_loss: Callable[[Snippet], bool],
    gate: Literal["as_text", "as_printed"] = "as_text",
) -> Question:
    """Return the question that is asked about a snippet before all others; see ``place``."""
    if names_loss(snippet) == (gate == "as_printed"):
        return Question.LOSS_RELATED
    return Question.LOSS_DEFINITION


def any_of(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Return whether some verdict is yes, or None while that is open.

    Kleene's "or": one yes decides whatever the others are; without a yes, one ask without
    verdict leaves the whole without. Of nothing, no.
    """
    found = set(verdicts)
    for decisive in (Verdict.YES, None, Verdict.NONE):
        if decisive in found:
            return decisive
    return Verdict.NO
