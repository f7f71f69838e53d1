"""Who answers the questions: one protocol, which implementers do not inherit.

``rules`` reads the syntax; ``vllm`` runs a model in this process; ``openai`` asks a server;
``replay`` has only what is stored. A judge streams: requests in, completions out, in any order.
Concurrency and retries are its own business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from classify.questions import Ask

Messages = tuple[tuple[str, str], ...]
"""A rendered prompt: (role, content) pairs."""


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """What names a judge. ``text`` holds every setting that can change an answer's text.

    ``engine`` (name and version of what ran the model) is stored with each vote, but does not
    void it.
    """

    kind: str
    text: Mapping[str, Any]
    engine: str

    @property
    def sha256(self) -> str:
        """The judge's part of a vote's key."""
        fields = json.dumps({"kind": self.kind, **self.text}, sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Return what tables call the judge: its kind, and its model if it has one."""
        model = self.text.get("model")
        return f"{self.kind}:{model}" if model else self.kind


@dataclass(frozen=True, slots=True)
class Request:
    """``draws`` more answers to one rendered prompt; the first has the number ``first_draw``.

    ``ask`` is the first of the asks that share the prompt: a judge that reads the repository
    looks there, a language model sees only ``messages``.
    """

    ask: Ask
    messages: Messages
    first_draw: int
    draws: int

    @property
    def prompt_sha256(self) -> str:
        """The prompt's part of a vote's key."""
        return prompt_sha256(self.messages)

    def seed(self, base: int) -> int:
        """Return a seed for the sampler: other draws and other prompts have other seeds."""
        key = f"{base}/{self.prompt_sha256}/{self.first_draw}"
        return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) >> 1


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
    """

    request: Request
    answers: tuple[Answer, ...] = ()
    prompt_tokens: int = 0
    error: str | None = None
    refused: bool = False


class Judge(Protocol):
    """Anything that answers requests."""

    settings: JudgeSettings

    def answer(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer each request once, in any order, as soon as it can."""
        ...


def prompt_sha256(messages: Messages) -> str:
    """Return the hash of a rendered prompt."""
    return hashlib.sha256(
        json.dumps(messages, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()
