"""The loop that runs every study: collect open asks, have the judge vote, store, again.

Batching, resuming after a crash, and replaying with another rule are this one loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from classify.errors import JudgeError
from classify.judges import Completion, Judge, Messages, Request, prompt_sha256
from classify.placement import Placement, Verdict, VerdictOf
from classify.questions import Ask, Question
from classify.store import Store
from classify.votes import decision, majority
from mining.records import Snippet

_ERRORS_IN_A_ROW = 16
"""So many asks in a row without an answer mean that the judge is gone, not that one is odd."""

PlaceOne = Callable[[Snippet, VerdictOf], "Placement | frozenset[Ask]"]


@dataclass(slots=True)
class Spent:
    """What a classification asked for, and what it found in the store."""

    asks: int = 0
    """Distinct prompts sent to the judge."""
    votes: int = 0
    """Answers received."""
    stored: int = 0
    """Distinct prompts whose verdict came from the store alone."""
    refused: int = 0
    """Prompts which the judge will never answer, such as too long ones."""
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class Ballots:
    """The verdicts of one judge, over a store. Asks with equal prompts share their votes.

    ``messages`` renders an ask; ``votes`` is how often each prompt is asked. ``refused`` are
    prompts known to be refused, with the reason. ``prompts`` holds the hash of each ask's
    rendered prompt, by question and snippet_id, as far as it was wanted.
    """

    store: Store
    judge: Judge
    messages: Callable[[Ask], Messages]
    votes: int
    refused: Mapping[str, str] = field(default_factory=dict)
    prompts: dict[tuple[Question, str], str] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    _verdicts: dict[str, Verdict] = field(default_factory=dict)
    _undecided: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take the known refusals for what they are: no verdict."""
        self._undecided |= self.refused
        self._verdicts |= dict.fromkeys(self.refused, Verdict.NONE)

    def verdict(self, ask: Ask) -> Verdict | None:
        """Return the verdict on an ask, or None while votes are missing."""
        prompt = self._prompt(ask)
        if prompt not in self._verdicts:
            stored = self.store.votes(prompt, self.judge.settings)[: self.votes]
            if len(stored) < self.votes:
                return None
            decisions = [decision(vote.text) for vote in stored]
            self._decide(prompt, decisions)
            self.spent.stored += 1
        return self._verdicts[prompt]

    def reason(self, ask: Ask) -> str:
        """Say why an ask has no verdict."""
        return f"no verdict on {ask.question}: {self._undecided[self._prompt(ask)]}"

    def collect(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Have the judge answer the requests, store each answer as it comes, and give it.

        Raises JudgeError once the judge is out of reach, or at the end if it could not answer
        some requests; the answers it gave are kept.
        """
        failed: list[Completion] = []
        in_a_row = 0
        silent = {request.prompt_sha256: request for request in requests}
        for completion in self.judge.answer(requests):
            prompt = completion.request.prompt_sha256
            del silent[prompt]
            if completion.error is None and not completion.answers:
                completion = replace(completion, error="an empty answer")
            if completion.refused:
                self.spent.refused += 1
                self._verdicts[prompt] = Verdict.NONE
                self._undecided[prompt] = completion.error or "refused"
                self.store.refuse(completion.request, self.judge.settings, self._undecided[prompt])
            elif completion.error is not None:
                failed.append(completion)
                in_a_row += 1
                if in_a_row >= _ERRORS_IN_A_ROW:
                    break
            else:
                in_a_row = 0
                self._keep(completion)
            yield completion
        else:
            failed += [Completion(r, error="no answer came") for r in silent.values()]
        if failed:
            raise JudgeError(
                f"Expected answers from {self.judge.settings.name} to {len(requests)} prompts, "
                f"found {len(failed)} without one (the first: {failed[0].error}); "
                f"the answers received are kept, run the command again for the rest."
            )

    def requests(self, asks: Iterable[Ask]) -> list[Request]:
        """Return one request for each distinct prompt, in an order that no hash seed changes."""
        ordered = sorted(
            asks,
            key=lambda ask: (
                ask.snippet.repository,
                ask.question,
                ask.snippet.path,
                ask.snippet.start_line,
                ask.snippet.qualname,
            ),
        )
        requests: dict[str, Request] = {}
        for ask in ordered:
            prompt = self._prompt(ask)
            if prompt not in requests:
                known = self.store.votes(prompt, self.judge.settings)
                first = known[-1].draw + 1 if known else 0
                requests[prompt] = Request(ask, self.messages(ask), first, self.votes - len(known))
        return list(requests.values())

    def _keep(self, completion: Completion) -> None:
        self.store.add(completion, self.judge.settings)
        self.spent.asks += 1
        self.spent.votes += len(completion.answers)
        self.spent.prompt_tokens += completion.prompt_tokens
        self.spent.output_tokens += sum(a.output_tokens for a in completion.answers)
        prompt = completion.request.prompt_sha256
        stored = self.store.votes(prompt, self.judge.settings)[: self.votes]
        if len(stored) == self.votes:
            self._decide(prompt, [decision(vote.text) for vote in stored])

    def _decide(self, prompt: str, decisions: Sequence[bool | None]) -> None:
        self._verdicts[prompt] = majority(decisions)
        if self._verdicts[prompt] is Verdict.NONE:
            yes, no = decisions.count(True), decisions.count(False)
            abstained = decisions.count(None)
            self._undecided[prompt] = f"{yes} yes, {no} no, {abstained} abstained"

    def _prompt(self, ask: Ask) -> str:
        key = (ask.question, ask.snippet.snippet_id)
        if key not in self.prompts:
            self.prompts[key] = prompt_sha256(self.messages(ask))
        return self.prompts[key]


def place_all(
    snippets: Sequence[Snippet],
    place_one: PlaceOne,
    ballots: Ballots,
    watch: Callable[[Iterator[Completion], int], Iterable[Completion]] = lambda stream, _: stream,
) -> list[Placement]:
    """Place every snippet, in the order given, asking the judge as often as it takes.

    ``watch`` passes on a stream of completions of known length, for a progress bar. Raises
    JudgeError; what was answered until then is in the store.
    """
    placements: dict[str, Placement] = {}
    waiting = list(snippets)
    while waiting:
        open_asks: set[Ask] = set()
        still_waiting = []
        for snippet in waiting:
            result = place_one(snippet, ballots.verdict)
            if isinstance(result, Placement):
                placements[snippet.snippet_id] = result
            else:
                open_asks |= result
                still_waiting.append(snippet)
        if open_asks:
            requests = ballots.requests(open_asks)
            for _ in watch(ballots.collect(requests), len(requests)):
                pass
        waiting = still_waiting
    return [placements[snippet.snippet_id] for snippet in snippets]
