"""A judge that has only what is stored: it never costs anything, and cannot make anything up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from classify.errors import MissingVoteError
from classify.judges import Completion, JudgeSettings, Request
from classify.store import Store


class ReplayJudge:
    """Stands in for a judge whose votes a store holds. A missing vote is an error."""

    def __init__(self, settings: JudgeSettings) -> None:
        self.settings = settings

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """Raise MissingVoteError for the first request: what is stored is never requested."""
        for request in filter(None, requests):
            snippet = request.ask.snippet
            raise MissingVoteError(
                f"Expected stored votes by {self.settings.name} on {request.ask.question} about "
                f"{snippet.repository}:{snippet.path}:{snippet.start_line}, found "
                f"{request.first_draw} where {request.first_draw + request.draws} are needed; "
                f"classify with that judge first, or lower [judge] votes."
            )
        yield from ()


def stored_judge(store: Store, model: str) -> JudgeSettings:
    """Return the settings of the judge to replay: the only one stored, or the one of ``model``.

    Raises MissingVoteError if there is none, or more than one to choose from.
    """
    judges = list(store.judges())
    if len(judges) > 1:
        judges = [j for j in judges if j.text.get("model") == model]
    if len(judges) != 1:
        raise MissingVoteError(
            f"Expected the votes of one judge to replay, found those of {len(judges)} that fit; "
            "name the model in [judge] model, or classify with a judge first."
        )
    return judges[0]
