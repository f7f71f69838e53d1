"""A language model behind an OpenAI-compatible server: ``vllm serve``, Ollama, llama.cpp, a cloud.

The key, if the server wants one, is read from ``OPENAI_API_KEY``; it is neither stored nor shown.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, as_completed, wait
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, cast
from urllib.request import getproxies, proxy_bypass

import httpx2
from anyio import create_task_group
from anyio.from_thread import start_blocking_portal
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncOpenAI,
    OpenAIError,
    Timeout,
)

from classify.errors import JudgeError
from classify.judges import Answer, Completion, JudgeSettings, Messages, Request
from classify.judges.client import BoundedClient
from classify.judges.engine import brief, without_folder
from classify.judges.replies import Facts, Reply, facts, may_refuse_several, too_long
from classify.judges.sampling import DECISION_SCHEMA, sampling_text, structure
from classify.judges.servers import NoServerError, Server, Servers
from classify.judges.shortening import Presented, Shortener
from mining.study import JudgeStudySettings

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

_CONNECT_S = 10.0
_INTRODUCTION_S = 30.0
"""For what a server tells of itself, which needs no model."""
_BYTES_PER_TOKEN = 2.5
"""For the length of a prompt where no tokenizer is at hand: Python code in UTF-8 has rather more
bytes to a token of today's vocabularies, so that the estimate errs towards too long."""
_KEY_LENGTH = 16
"""Characters from which on a key is a secret; there are ``none``, ``EMPTY``, ``token-abc123``."""
_TEMPLATE_TOKENS = 64
"""More than a chat template adds to one message."""


class OpenAIJudge:
    """Asks for all draws of a prompt in one request, as many requests at once as servers can take.

    A server that gives one draw at a time is asked for the others one by one. A prompt that is too
    long goes by the rule of ``shortener``, or is refused where there is none.
    """

    def __init__(self, study: JudgeStudySettings, shortener: Shortener | None = None) -> None:
        """Take the settings; nothing is sent."""
        self._study = study
        self._shortener = shortener
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        self._urls = (study.base_url,) if isinstance(study.base_url, str) else study.base_url
        self._place = ", ".join(map(_public, self._urls))
        self.settings = JudgeSettings(
            "openai",
            sampling_text(study, shortener),
            "openai-compatible",
            study.max_tokens,
            self._place,
        )

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """Answer each request once, as replies come; what is under way at the end is cancelled.

        Raises JudgeError if no server is in reach, or none knows both the key and the model.
        """
        pending = iter(requests)
        first = next(pending, None)
        if first is None:
            return
        window = self._study.concurrency * len(self._urls)
        under_way: set[Future[Completion]] = set()
        # The clients' event loop has a thread of its own, as a notebook's own thread has a loop.
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(AsyncExitStack()) as clients,
        ):
            try:
                servers = portal.call(self._reach, clients)
                for request in chain([first], pending):
                    if request is None or len(under_way) >= window:
                        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                        # what came with an error that ends it was paid for
                        for future in sorted(done, key=lambda ended: bool(ended.exception())):
                            yield future.result()
                    if request is not None:
                        under_way.add(portal.start_task_soon(self._complete, servers, request))
                for future in as_completed(under_way):
                    yield future.result()
            finally:
                for future in under_way:
                    future.cancel()

    async def _reach(self, clients: AsyncExitStack) -> Servers:
        """Find out, before ten thousand prompts are tried, who is there, and what they tell."""
        servers = [
            Server(
                await clients.enter_async_context(
                    AsyncOpenAI(
                        base_url=url,
                        api_key=self._key or "none",  # the client wants one even if nobody else
                        max_retries=0,
                        timeout=Timeout(self._study.timeout_s, connect=_CONNECT_S),
                        http_client=BoundedClient(),
                    )
                ),
                self._study.concurrency,
            )
            for url in self._urls
        ]
        away: list[str] = []

        async def meet(server: Server) -> None:
            try:
                await self._facts(server)
            except (APIConnectionError, UnicodeError) as error:  # a key may not fit into a header
                away.append(self._brief(error))

        async with create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(meet, server)
        if len(away) == len(servers):
            raise JudgeError(
                f"Expected an OpenAI-compatible server at {self._place}, "
                f"found none that answers ({away[0]}); start it, or set [judge] base_url."
            )
        return Servers(servers)

    async def _facts(self, server: Server) -> Facts:
        """Return what a server tells of itself; it is asked once. Raises APIConnectionError."""
        if server.facts is None:
            timeout_s = min(_INTRODUCTION_S, self._study.timeout_s)
            client = server.client.with_options(timeout=timeout_s)
            told = Facts()
            # who answers is there, with a list or without: what counts is the answer to a prompt
            try:
                listed = await client.models.with_raw_response.list()
                told = facts(listed.content, self._study.model, listed.headers.get("server"))
                if told.is_vllm:
                    own = await client.get(_beside(client, "version"), cast_to=object)
                    told.version = str(own["version"]) if isinstance(own, dict) else None
            except APIConnectionError:
                raise
            except (OpenAIError, LookupError):
                pass
            server.facts = told
        return server.facts

    async def _complete(self, servers: Servers, request: Request) -> Completion:
        try:
            return await self._fitting(servers, request)
        except NoServerError as error:
            # without what was raised first: it carries the key
            raise JudgeError(
                f"Expected {self._place} to answer for "
                f"{self._study.model} with the key in OPENAI_API_KEY, found none that does "
                f"({self._brief(cast('Exception', error.__cause__))}); start it, or mend "
                "[judge] model, [judge] base_url or the key."
            ) from None

    async def _fitting(self, servers: Servers, request: Request) -> Completion:
        """Answer a request, by the rule of the study where its prompt is too long.

        That a prompt is too long is measured or, where nobody tells the context, learnt from a
        server's refusal; then ever less is tried, half as much each time.
        """
        known = next((s for s in servers.all if s.facts and s.facts.context), servers.all[0])
        room = self._room(known.facts)
        whole = await self._tokens(known, request.messages, room)
        if room is None or whole <= room:
            completion = await self._draws(servers, request, Presented(request.messages, "", {}))
            share = 0.5
        else:
            rule = self._shortener.rule if self._shortener else "refuse"
            refusal = (
                f"the prompt of about {whole} tokens leaves no room for an answer of "
                f"{self._study.max_tokens} in {room + self._study.max_tokens} (too_long: {rule})"
            )
            completion = Completion(request, error=refusal, refused=True)
            share = room / whole
        if not completion.refused or self._shortener is None:
            return completion
        largest = len(request.ask.snippet.code)
        for presented in self._shortener.presentations(request.ask, share):
            size = len(presented.code)
            tokens = await self._tokens(known, presented.messages, room)
            if size > largest or (room is not None and tokens > room):
                continue
            how = {"too_long": {**presented.how, "tokens": whole, "room": room}}
            completion = await self._draws(servers, request, replace(presented, how=how))
            if not completion.refused:
                break
            largest = size // 2
        return completion

    async def _draws(self, servers: Servers, request: Request, presented: Presented) -> Completion:
        """Ask for all draws at once, or for one if the server refuses that or some are there.

        Draw i has the seed of draw 0 plus i, as vLLM counts within a request.
        """
        messages = presented.messages
        answers: list[Answer] = []
        prompt_tokens = 0
        seed = request.seed(self._study.seed)
        ran: dict[str, Any] = {}

        async def put(server: Server) -> Reply:
            told = await self._facts(server)
            several = request.draws > 1 and not answers and not server.one_by_one
            try:
                reply = await self._create(
                    server, messages, request.draws if several else 1, seed + len(answers)
                )
            except OpenAIError as error:
                if not (several and may_refuse_several(error)):
                    raise
                reply = await self._create(server, messages, 1, seed)
                server.one_by_one = True
            ran.update(_provenance(told, reply))
            self._check_kept(reply, ran)
            return reply

        try:
            while len(answers) < request.draws:
                reply = await servers.ask(put)
                answers += reply.answers
                prompt_tokens = prompt_tokens or reply.prompt_tokens
        except (OpenAIError, ValueError) as error:
            if not answers:  # draws that were paid for are kept; the rest is asked again
                return Completion(request, error=self._brief(error), refused=too_long(error))
        return Completion(
            request,
            tuple(answers[: request.draws]),
            prompt_tokens,
            provenance={**ran, **presented.how},
            seed=seed,
        )

    async def _create(self, server: Server, messages: Messages, n: int, seed: int) -> Reply:
        study = self._study
        constraint = (
            _constraint(server.facts or Facts(), study.max_tokens) if study.structured else None
        )
        response = await server.client.chat.completions.with_raw_response.create(
            model=study.model,
            messages=cast("list[ChatCompletionMessageParam]", _conversation(messages)),
            n=n,
            seed=seed,
            temperature=study.temperature,
            top_p=study.top_p,
            max_tokens=study.max_tokens,
            extra_body=constraint,
        )
        return Reply.parse(response.content, response.text)

    def _room(self, told: Facts | None) -> int | None:
        """Return the tokens of the longest prompt that leaves room for a whole answer."""
        contexts = [c for c in (self._study.context, told.context if told else None) if c]
        if not contexts:
            return None
        room = min(contexts) - self._study.max_tokens
        if room < 1:
            raise JudgeError(
                f"Expected [judge] max_tokens to leave room for a prompt, found "
                f"{self._study.max_tokens} of the {min(contexts)} tokens of the context; lower it."
            )
        return room

    async def _tokens(self, server: Server, messages: Messages, room: int | None) -> int:
        """Count a prompt's tokens, with vLLM's own tokenizer where it may matter."""
        size = sum(len(content.encode("utf-8", "replace")) for _, content in messages)
        # no token is shorter than a byte, so that most prompts fit for certain
        may_matter = room is not None and size + _TEMPLATE_TOKENS > room
        if may_matter and server.facts and server.facts.is_vllm:
            with suppress(OpenAIError, LookupError):
                told = await server.client.post(
                    _beside(server.client, "tokenize"),
                    cast_to=object,
                    body={"model": self._study.model, "messages": _conversation(messages)},
                )
                if isinstance(told, dict):
                    return int(told["count"])
        return min(size, math.ceil(size / _BYTES_PER_TOKEN)) + _TEMPLATE_TOKENS

    def _check_kept(self, reply: Reply, ran: Mapping[str, Any]) -> None:
        """Raise JudgeError if a server repeats the key, which would then be stored."""
        said = [*map(str, ran.values()), *(f"{a.text} {a.finish_reason}" for a in reply.answers)]
        # a key of a few letters, as servers without any take, may be a word of an answer
        if len(self._key) >= _KEY_LENGTH and any(self._key in text for text in said):
            raise JudgeError(
                f"Expected {', '.join(map(_public, self._urls))} to keep the key in OPENAI_API_KEY "
                "to itself, found it repeated in an answer, which was thrown away; do not use this "
                "server."
            )

    def _brief(self, error: Exception) -> str:
        """Say in one line what went wrong, without the key."""
        body = error.body if isinstance(error, APIError) and isinstance(error.body, str) else ""
        elsewhere = ""
        if isinstance(error, APIStatusError) and error.status_code < 400:
            elsewhere = f"a redirection to {error.response.headers.get('location', 'nowhere')}"
        cause, system = str(error.__cause__ or ""), _of_the_system(error)
        parts = [elsewhere or str(error), body, cause, "" if system in cause else f"({system})"]
        if isinstance(error, APIConnectionError) and (proxy := _proxy_for(error.request.url)):
            parts.append(f"(through the proxy in {proxy})")
        reason = " ".join(filter(None, parts))
        if self._key:
            reason = reason.replace(self._key, "***")
        return brief(reason or type(error).__name__)


def _proxy_for(url: httpx2.URL) -> str:
    """Return the variable that names a proxy for an address, or nothing."""
    proxies = getproxies()
    scheme = next((each for each in (url.scheme, "all") if each in proxies), None)
    return f"{scheme}_proxy" if scheme and not proxy_bypass(url.host) else ""


def _of_the_system(error: BaseException | None) -> str:
    """Return the operating system's word for what is behind an error, if it has one."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return ""


def _conversation(messages: Messages) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def _constraint(told: Facts, max_tokens: int) -> dict[str, Any]:
    """Return what makes a server constrain an answer: vLLM by its text, others by JSON schema."""
    if not told.is_vllm:
        schema = {"name": "answer", "strict": True, "schema": DECISION_SCHEMA}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    numbers = re.match(r"0\.(\d+)\b", told.version or "")
    if numbers is not None and int(numbers[1]) < 11:
        return {"guided_regex": structure(max_tokens)}
    return {"structured_outputs": {"regex": structure(max_tokens)}}


def _provenance(told: Facts, reply: Reply) -> dict[str, Any]:
    """Return what a server tells of what ran, without where: votes are published."""
    ran = {
        "engine": told.engine,
        "model": reply.model,
        "system_fingerprint": reply.system_fingerprint,
        "owned_by": told.owned_by,
        "root": told.root and without_folder(told.root),
        "max_model_len": told.context,
    }
    return {key: value for key, value in ran.items() if value is not None}


def _beside(client: AsyncOpenAI, name: str) -> str:
    """Return the address of what vLLM serves beside ``/v1``."""
    return f"{str(client.base_url).rstrip('/').removesuffix('/v1')}/{name}"


def _public(url: str) -> str:
    """Return an address without a user's name and password."""
    return re.sub(r"//[^/@]*@", "//", url)
