"""CHECKLIST.md of a bundle: what a study that a model judged must report, as far as known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from classify.evaluate import Evaluation
from classify.judges import JudgeSettings


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What a run says of itself. Hashes are SHA-256; counts are of what the bundle holds.

    ``decisions`` counts the votes that say yes, no, or nothing readable; ``unanimous`` the
    prompts whose votes all say the same, of ``prompts``. ``as_of`` is the search's instant, None
    of a local corpus.
    """

    lossplace: str
    judge: JudgeSettings
    engines: tuple[str, ...]
    votes_each: int
    prompts: int
    unanimous: int
    refused: int
    decisions: Mapping[str, int]
    tokens: tuple[int, int]
    prompt_files: Mapping[str, str]
    queries: tuple[str, ...]
    as_of: str | None
    repositories: int
    lost: int
    with_commit: int
    with_text: int
    snippets: int
    unplaced: int
    placement: Mapping[str, str]
    evaluation: Evaluation | None


def checklist(facts: Facts) -> str:
    """Return the checklist; what the run knows is ticked, what only its authors know is open."""
    sections = {
        "The judge": _judge(facts),
        "Prompts": _prompts(facts),
        "Votes": _votes(facts),
        "Corpus": _corpus(facts),
        "Baseline": _baseline(facts),
        "Hand labels and intervals": _labels(facts),
        "What the numbers do not say": _limits(facts),
        "This package": _package(facts),
    }
    lines = [
        "# Checklist for a software-engineering study in which a model judges",
        "",
        "A tick was set by lossplace from the run. An open box is for the authors: answer it "
        "here, or say where the paper does.",
    ]
    for title, items in sections.items():
        lines += ["", f"## {title}", "", *items]
    return "\n".join(lines) + "\n"


def _done(text: str) -> str:
    return f"- [x] {text}"


def _open(text: str) -> str:
    return f"- [ ] {text}"


def _judge(facts: Facts) -> Iterator[str]:
    judge = facts.judge
    yield _done(f"Who answered: `{judge.name}`, run by {_list(facts.engines)}.")
    if judge.kind == "rules":
        yield _done(
            f"No language model: rules over the syntax tree, the same in every run (hash of their "
            f"source `{judge.text.get('rules')}`)."
        )
        return
    if judge.text.get("revision"):
        yield _done(f"Revision of the model: `{judge.text['revision']}`.")
    else:
        yield _open("Revision of the model: none was named. Which weights were these?")
    settings = {k: v for k, v in judge.text.items() if k not in {"model", "revision"}}
    yield _done("Settings: " + ", ".join(f"{k} `{v}`" for k, v in sorted(settings.items())) + ".")
    yield _open("When were the votes sampled, on which hardware, and what did it cost?")
    yield _open("Licence of the model, and why this one. Can others run the same?")
    yield _open(
        "May the model have seen the corpus in training? Its cut-off date, and what of the corpus "
        "is newer."
    )
    yield _open("Where else was a model used: to write code, prompts, labels or text?")


def _prompts(facts: Facts) -> Iterator[str]:
    if not facts.prompt_files:
        yield _done("None: the rules read code, not prompts.")
        return
    for name, digest in facts.prompt_files.items():
        yield _done(f"`{name}`, `{digest}`.")
    yield _open("How were the prompts developed, and on which snippets? None of the gold ones?")
    yield _open("How far do the results depend on their wording?")


def _votes(facts: Facts) -> Iterator[str]:
    said = facts.decisions
    yield _done(
        f"{sum(said.values())} answers to {facts.prompts} distinct prompts, {facts.votes_each} "
        "each, all with their text in `votes.sqlite`; the majority counts, a tie decides nothing."
    )
    yield _done(
        f"They say yes {said['yes']} times, no {said['no']}, nothing readable {said['none']}."
    )
    if facts.votes_each > 1:
        yield _done(
            f"On {facts.unanimous} of {facts.prompts} prompts all votes agree; {facts.refused} "
            "prompts were refused."
        )
    yield _done(f"{facts.unplaced} of {facts.snippets} snippets are unplaced, and count as such.")
    if any(facts.tokens):
        yield _done(f"Tokens: {facts.tokens[0]} read, {facts.tokens[1]} written.")


def _corpus(facts: Facts) -> Iterator[str]:
    if facts.as_of is None:
        yield _open("A folder of repositories was given. How were they chosen, and when?")
    else:
        yield _done(f"Found on GitHub as of {facts.as_of}, by {len(facts.queries)} queries:")
        yield from (f"  - `{query}`" for query in facts.queries)
        yield _open("Why do these queries stand for the code that the paper speaks of?")
    yield _done(
        f"{facts.repositories} repositories, of which {facts.lost} could not be had (why is in "
        f"`corpus.parquet`); the commit is known of {facts.with_commit}."
    )
    yield _done(f"{facts.snippets} snippets, {facts.with_text} of them with their text here.")
    readings = ", ".join(f"{name} `{value}`" for name, value in facts.placement.items())
    yield _done(f"Reading of the placement algorithm: {readings}.")


def _baseline(facts: Facts) -> Iterator[str]:
    if facts.judge.kind == "rules":
        yield _done("This run is the baseline without a model.")
        yield _open("The run of the model, and `lossplace compare` of the two.")
    else:
        yield _open(
            "A judge without a model on the same corpus and labels: `lossplace run` with the judge "
            "`rules`, and `lossplace compare`."
        )
        yield _open("Another model, an open one if this is not.")


def _labels(facts: Facts) -> Iterator[str]:
    evaluation = facts.evaluation
    if evaluation is None:
        yield _open("No hand labels: how often is the judge right?")
        return
    yield _done(
        f"`gold.csv`: {evaluation.labelled} labels, {len(evaluation.rows)} of them about snippets "
        f"of this run; {evaluation.contested} contested rows are left out."
    )
    for name, sample in evaluation.samples.items():
        for interval in (*sample.sample_intervals, *sample.population):
            yield _done(
                f"Weighted F1, sample `{name}`, n = {sample.n}: {interval.estimate:.2f}, "
                f"{interval.confidence:.0%} interval {interval.low:.2f} to {interval.high:.2f} "
                f"({interval.method}; assumes that {interval.assumption})."
            )
        yield _done(f"Share of the sample `{name}` that has a placement: {sample.coverage:.2f}.")
    yield _open("Who labelled, by which written guide, and blind to the judge?")
    yield _open("Agreement between readers (`lossplace agree`), and how differences were settled.")
    yield _open("How was the sample drawn (`lossplace sample`), and of what population?")


def _limits(facts: Facts) -> Iterator[str]:
    yield _open("What the counts are once the judge's errors are accounted for (Table 4.1).")
    yield _open("Threats: wrong or missing code, forks and copies, what the categories leave out.")
    if facts.judge.kind != "rules":
        yield _open("Would the same votes come out again? Seeds bind one engine on one machine.")


def _package(facts: Facts) -> Iterator[str]:
    yield _done(f"Made by lossplace {facts.lossplace}; `lossplace verify` recomputes it.")
    yield _open("Authors, title and DOI in `CITATION.cff`.")
    yield _open("Licence of what is yours: labels, tables, text.")
    if facts.judge.kind != "rules" and facts.with_text < facts.snippets:
        yield _open(
            "Answers of a model may quote code whose text is left out here; is that short enough?"
        )
    if facts.evaluation is not None:
        yield _open("`gold.csv` names no reader who did not agree to be named.")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "an engine that is not recorded"
