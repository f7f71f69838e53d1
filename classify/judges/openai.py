"""A language model behind an OpenAI-compatible server: ``vllm serve``, Ollama, llama.cpp, a cloud.

The key, if the server wants one, is read from ``OPENAI_API_KEY``; it is neither stored nor shown.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, as_completed, wait
from itertools import chain
from typing import TYPE_CHECKING, Annotated, cast

from anyio.from_thread import start_blocking_portal
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    Timeout,
)
from pydantic import BaseModel, Field, ValidationError

from classify.errors import JudgeError
from classify.judges import Answer, Completion, JudgeSettings, Request
from mining.study import JudgeStudySettings

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

_RETRIES = 4
"""How often the client asks again after a 429, a 5xx, a timeout or a lost connection."""
_CONNECT_S = 10.0

_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|(prompt|input)\b.{0,20} is too long|max_new_tokens",
    re.IGNORECASE,
)
"""What servers say of a prompt that no retry makes shorter."""


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Reply(BaseModel):
    """What is read of a reply; servers differ in all the rest."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Usage | None = None

    @property
    def prompt_tokens(self) -> int:
        return (self.usage and self.usage.prompt_tokens) or 0

    @property
    def answers(self) -> list[Answer]:
        """The choices; their tokens, which servers count together, are shared out evenly."""
        tokens = (self.usage and self.usage.completion_tokens) or 0
        each, rest = divmod(tokens, len(self.choices))
        return [
            Answer(
                choice.message.content or "",
                choice.finish_reason or "unknown",
                each + (number < rest),
            )
            for number, choice in enumerate(self.choices)
        ]


class OpenAIJudge:
    """Asks for all draws of a prompt in one request, as many requests at once as the study says.

    A server that gives one draw at a time is asked for the others one by one.
    """

    def __init__(self, study: JudgeStudySettings) -> None:
        """Take the settings; nothing is sent."""
        self._study = study
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        self._one_by_one = False
        self.settings = JudgeSettings(
            "openai",
            {
                "model": study.model,
                "temperature": study.temperature,
                "top_p": study.top_p,
                "max_tokens": study.max_tokens,
                "seed": study.seed,
            },
            "openai-compatible",
        )

    def answer(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer each request once, as replies come; what is under way at the end is cancelled.

        Raises JudgeError if the server is out of reach, or knows neither the key nor the model.
        """
        pending = iter(requests)
        first = next(pending, None)
        if first is None:
            return
        under_way: set[Future[Completion]] = set()
        # The client's event loop has a thread of its own, as a notebook's own thread has a loop.
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(self._client()) as client,
        ):
            try:
                portal.call(self._reach, client)
                for request in chain([first], pending):
                    if len(under_way) >= self._study.concurrency:
                        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                        for future in done:
                            yield future.result()
                    under_way.add(portal.start_task_soon(self._complete, client, request))
                for future in as_completed(under_way):
                    yield future.result()
            finally:
                for future in under_way:
                    future.cancel()

    def _client(self) -> AsyncOpenAI:
        return AsyncOpenAI(
            base_url=self._study.base_url,
            api_key=self._key or "none",  # the client wants one even where the server does not
            max_retries=_RETRIES,
            timeout=Timeout(self._study.timeout_s, connect=_CONNECT_S),
        )

    async def _reach(self, client: AsyncOpenAI) -> None:
        """Find out, before ten thousand prompts are tried, whether anybody is there."""
        try:
            await client.with_options(max_retries=0).models.with_raw_response.list()
        except (APIConnectionError, UnicodeError) as error:  # a key may not fit into a header
            raise JudgeError(
                f"Expected an OpenAI-compatible server at {self._study.base_url}, found none that "
                f"answers ({self._brief(error)}); start it, or set [judge] base_url."
            ) from None
        except (OpenAIError, ValueError):
            return  # someone answers; what counts is the answer to a prompt

    async def _complete(self, client: AsyncOpenAI, request: Request) -> Completion:
        answers: list[Answer] = []
        prompt_tokens = 0
        try:
            while len(answers) < request.draws:
                reply = await self._ask(client, request, len(answers))
                answers += reply.answers
                prompt_tokens = prompt_tokens or reply.prompt_tokens
        except (AuthenticationError, PermissionDeniedError, NotFoundError) as error:
            # without what was raised first: it carries the key
            raise JudgeError(
                f"Expected {self._study.base_url} to answer for {self._study.model} with the key "
                f"in OPENAI_API_KEY, found a refusal ({self._brief(error)}); mend [judge] model, "
                "[judge] base_url or the key."
            ) from None
        except (OpenAIError, ValueError) as error:
            if not answers:  # draws that were paid for are kept; the rest is asked again
                return Completion(request, error=self._brief(error), refused=_too_long(error))
        return Completion(request, tuple(answers[: request.draws]), prompt_tokens)

    async def _ask(self, client: AsyncOpenAI, request: Request, have: int) -> _Reply:
        """Ask for all draws at once, or for one if the server refuses that or some are there.

        Draw i has the seed of draw 0 plus i, as vLLM counts within a request.
        """
        seed = request.seed(self._study.seed) + have
        if have == 0 and request.draws > 1 and not self._one_by_one:
            try:
                return await self._create(client, request, request.draws, seed)
            except APIStatusError as error:
                if not _may_refuse_several(error):
                    raise
            reply = await self._create(client, request, 1, seed)
            self._one_by_one = True
            return reply
        return await self._create(client, request, 1, seed)

    async def _create(self, client: AsyncOpenAI, request: Request, n: int, seed: int) -> _Reply:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        response = await client.chat.completions.with_raw_response.create(
            model=self._study.model,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            n=n,
            seed=seed,
            temperature=self._study.temperature,
            top_p=self._study.top_p,
            max_tokens=self._study.max_tokens,
        )
        try:
            return _Reply.model_validate_json(response.content)
        except ValidationError:
            raise ValueError(f"the server's reply is no chat completion: {response.text}") from None

    def _brief(self, error: Exception) -> str:
        """Say in one line what went wrong, without the key."""
        body = error.body if isinstance(error, APIError) and isinstance(error.body, str) else ""
        reason = " ".join(filter(None, [str(error), body, str(error.__cause__ or "")]))
        if self._key:
            reason = reason.replace(self._key, "***")
        return textwrap.shorten(reason or type(error).__name__, 300, placeholder=" ...")


def _too_long(error: Exception) -> bool:
    """Tell whether a server refused a prompt for its length.

    Not for a 5xx: llama.cpp has one for a cache that is full for the moment.
    """
    status = error.status_code if isinstance(error, APIStatusError) else 0
    return status < 500 and _TOO_LONG.search(str(error)) is not None


def _may_refuse_several(error: APIStatusError) -> bool:
    """Tell whether an error may be about more than one draw in a request.

    A bad request says so in many words. llama.cpp once called it an error of the server.
    """
    return error.status_code in (400, 422) or "one completion choice" in str(error).lower()
