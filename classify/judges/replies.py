"""What OpenAI-compatible servers send back: replies, and errors told apart by what helps."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Annotated

import httpx2
from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
)
from pydantic import BaseModel, Field, ValidationError

from classify.judges import Answer
from classify.judges.engine import MOST_READ

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


_Tokens = Annotated[int, Field(ge=0, lt=2**53)]
"""A count that a store, and a number of JSON, can hold."""


class _Usage(BaseModel):
    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None


class Reply(BaseModel):
    """What is read of a reply; servers differ in all the rest."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None

    @classmethod
    def parse(cls, content: bytes, text: str) -> Reply:
        """Read a reply, given as bytes and as text. Raises ValueError for anything else."""
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            raise ValueError(
                f"the server's reply is no chat completion: {text[:MOST_READ]}"
            ) from None

    @property
    def prompt_tokens(self) -> int:
        """Of the one prompt; 0 where the server does not count."""
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


class _Model(BaseModel):
    id: str = ""
    root: str | None = None
    owned_by: str | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None


class _Models(BaseModel):
    data: list[_Model] = []


class Facts(BaseModel):
    """What a server tells of itself and of the model."""

    software: str | None = None
    version: str | None = None
    root: str | None = None
    owned_by: str | None = None
    context: int | None = None
    """Tokens that prompt and answer may have together."""

    @property
    def is_vllm(self) -> bool:
        """Whether vLLM's own additions to the protocol are there."""
        return self.owned_by == "vllm"

    @property
    def engine(self) -> str | None:
        """The server's name and version, as far as it tells them."""
        if self.is_vllm:
            return f"vllm {self.version}" if self.version else "vllm"
        return self.software


def facts(models: bytes, name: str, software: str | None) -> Facts:
    """Read a list of models for what it says of one; ``software`` is the header ``Server``."""
    try:
        listed = _Models.model_validate_json(models).data
    except ValidationError:
        listed = []
    model = next((each for each in listed if each.id == name), _Model())
    return Facts(
        software=software,
        root=model.root,
        owned_by=model.owned_by,
        context=model.max_model_len or model.context_length or model.context_window,
    )


class Fault(Enum):
    """What kind of error came instead of a reply."""

    GONE = auto()
    """Nobody is there to be asked: another server may be, and this one later."""
    BUSY = auto()
    """It asks for less at once (429)."""
    SLOW = auto()
    """No reply in time."""
    BROKEN = auto()
    """It failed in a way that may pass (5xx, a connection that was cut)."""
    SHUT = auto()
    """It knows neither the key nor the model, or says to ask elsewhere."""
    FINAL = auto()
    """The same request would fail again."""


def fault(error: Exception) -> Fault:
    """Tell an error of the client's apart."""
    if isinstance(error, APITimeoutError):
        gone = isinstance(error.__cause__, httpx2.ConnectTimeout)
        return Fault.GONE if gone else Fault.SLOW
    if isinstance(error, APIConnectionError):
        gone = isinstance(error.__cause__, httpx2.ConnectError)
        return Fault.GONE if gone else Fault.BROKEN
    if isinstance(error, AuthenticationError | PermissionDeniedError | NotFoundError):
        return Fault.SHUT
    if not isinstance(error, APIStatusError):
        return Fault.FINAL
    if error.status_code < 400:  # a redirection, which nobody follows: it is not the server
        return Fault.SHUT
    match error.response.headers.get("x-should-retry"), error.status_code:
        case "false", _:
            return Fault.FINAL
        case _, 429:
            # of an account that is empty: waiting does not fill it
            return Fault.FINAL if error.code == "insufficient_quota" else Fault.BUSY
        case "true", _:
            return Fault.BROKEN
        case _, status:
            return Fault.BROKEN if status in (408, 409) or status >= 500 else Fault.FINAL


def retry_after(error: Exception) -> float | None:
    """Return for how many seconds a server asks to be left alone; None where it does not say."""
    if not isinstance(error, APIStatusError):
        return None
    headers = error.response.headers
    try:
        if "retry-after-ms" in headers:
            wait = float(headers["retry-after-ms"]) / 1000
        else:
            wait = float(headers["retry-after"])
    except KeyError:
        return None
    except ValueError:
        try:
            wait = parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
        except (KeyError, ValueError):
            return None
    return wait if wait >= 0 else None  # not for a NaN either


def too_long(error: Exception) -> bool:
    """Tell whether a server refused a prompt for its length.

    Not for a 5xx: llama.cpp has one for a cache that is full for the moment.
    """
    status = error.status_code if isinstance(error, APIStatusError) else 0
    return status < 500 and _TOO_LONG.search(str(error)) is not None


def may_refuse_several(error: Exception) -> bool:
    """Tell whether an error may be about more than one draw in a request.

    A bad request says so in many words. llama.cpp once called it an error of the server.
    """
    return isinstance(error, APIStatusError) and (
        error.status_code in (400, 422) or "one completion choice" in str(error).lower()
    )
