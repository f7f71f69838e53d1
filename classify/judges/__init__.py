"""Who answers the questions: one protocol, which implementers do not inherit.

``rules`` reads the syntax; ``vllm`` runs a model in this process; ``openai`` asks a server;
``replay`` has only what is stored. A judge streams: requests in, completions out, in any order.
Concurrency and retries are its own business.

The stream is fed while it runs, since an answer may open the next question. Whoever feeds it
gives None where nothing is open until an answer comes: the judge then goes on with what is under
way, and looks again after its next completion.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from classify.questions import Ask

Messages = tuple[tuple[str, str], ...]
"""A rendered prompt: (role, content) pairs."""


@dataclass(frozen=True)
class JudgeSettings:
    """What names a judge. ``text`` holds every setting that can change an answer's text.

    ``engine`` (name and version of what ran the model) is stored with each vote, but does not
    void it. ``max_tokens`` is the limit of an answer, None where there is none: a higher one
    voids only the answers that a lower one cut off. ``place`` is where it is asked, for whoever
    runs it: it is neither stored nor published. Not slotted, because its hash is computed
    once and kept.
    """

    kind: str
    text: Mapping[str, Any]
    engine: str
    max_tokens: int | None = None
    place: str | None = None

    @cached_property
    def sha256(self) -> str:
        """The judge's part of a vote's key."""
        fields = json.dumps({"kind": self.kind, **self.text}, sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Return what tables call the judge: its kind, and its model if it has one."""
        model = self.text.get("model")
        return f"{self.kind}:{model}" if model else self.kind

    @property
    def name_and_place(self) -> str:
        """Return what errors call it."""
        return f"{self.name} at {self.place}" if self.place else self.name


@dataclass(frozen=True)
class Request:
    """``draws`` more answers to one rendered prompt; the first has the number ``first_draw``.

    ``ask`` is the first of the asks that share the prompt: a judge that reads the repository
    looks there, a language model sees only ``messages``. Two requests may be about one prompt,
    for other draws. The limit of an answer is the judge's own setting. Not slotted, because its
    hash is computed once and kept.
    """

    ask: Ask
    messages: Messages
    first_draw: int
    draws: int

    @cached_property
    def prompt_sha256(self) -> str:
        """The prompt's part of a vote's key."""
        return prompt_sha256(self.messages, self.ask.apart)

    def seed(self, base: int) -> int:
        """Return the sampler's seed of the first draw; that of each next one is higher by one.

        So a draw has the same seed in whichever request it is asked for.
        """
        digest = hashlib.sha256(f"{base}/{self.prompt_sha256}".encode()).hexdigest()
        return (int(digest[:8], 16) >> 2) + self.first_draw


@dataclass(frozen=True, slots=True)
class Answer:
    """One sampled answer. ``finish_reason`` is ``stop``, ``length`` or the engine's own word."""

    text: str
    finish_reason: str
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """The answers to a request, or ``error``: why there are none.

    ``refused`` says that asking again cannot help (the prompt is too long for the model); other
    errors may pass, and are asked again by the next run. An error is never stored as an answer.

    ``provenance`` says what really ran, in plain JSON values: engine and version, model and
    commit as resolved, dtype, quantisation, a server's fingerprint. ``seed`` is the sampler's
    for the first answer, each next one's is higher by one; None where there was none.
    """

    request: Request
    answers: tuple[Answer, ...] = ()
    prompt_tokens: int = 0
    error: str | None = None
    refused: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


class Judge(Protocol):
    """Anything that answers requests."""

    settings: JudgeSettings

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """Answer each request once, in any order, as soon as it can.

        None among the requests: no further one is open until a completion is given. It never
        comes while nothing is under way.
        """
        ...


def prompt_sha256(messages: Messages, apart: str = "") -> str:
    """Return the hash of a rendered prompt; see Ask for ``apart``."""
    text = json.dumps(messages, ensure_ascii=False) + apart
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def short_hash(sha256: str) -> int:
    """Return 60 bits of a hash, which take a third of its memory and still tell all apart."""
    return int(sha256[:15], 16)
