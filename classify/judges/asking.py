"""How a request is put to vLLM's engine, and how its output is read, wherever the engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from classify.errors import JudgeError
from classify.judges import Answer, Completion, JudgeSettings, Messages, Request
from classify.judges.chat import Chat, ChatError, TemplateError
from classify.judges.engine import brief, checked, engine_name, naming
from classify.judges.sampling import sampling_text, structure
from classify.judges.shortening import Shortener
from mining.study import JudgeStudySettings

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams

_NOT_AN_END = frozenset({"abort", "error"})
"""Finish reasons of an answer that the engine gave up."""


def vllm_settings(study: JudgeStudySettings, shortener: Shortener | None) -> JudgeSettings:
    """Return what names a judge by vLLM, wherever it runs. Raises StudyError for a wrong one."""
    checked(study.engine)
    text = {
        **sampling_text(study, shortener),
        "revision": study.revision,
        "engine": naming(study.engine),
    }
    return JudgeSettings("vllm", text, engine_name(), study.max_tokens)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as an engine gets it; ``shortened``: how its prompt was, where it was too long."""

    request: Request
    tokens: list[int]
    params: SamplingParams
    shortened: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Asking:
    """What is put to one engine: the model's chat template, its context, and what it runs.

    Raises JudgeError if the context leaves no room for a prompt.
    """

    study: JudgeStudySettings
    shortener: Shortener | None
    chat: Chat
    context: int
    """Tokens of the model's context, prompt and answer together."""
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.room < 1:
            raise JudgeError(
                f"Expected [judge] max_tokens to leave room for a prompt, found "
                f"{self.study.max_tokens} of the {self.context} tokens of the context; lower it, "
                "or raise max_model_len in [judge.engine]."
            )

    @property
    def room(self) -> int:
        """Tokens of the longest prompt that leaves room for a whole answer."""
        return self.context - self.study.max_tokens

    def asked(self, request: Request) -> Asked | str:
        """Return what the engine is to be given, or why the prompt is refused.

        Raises JudgeError for settings, or a chat template, with which nothing can be asked.
        """
        from vllm.exceptions import VLLMClientError

        try:
            tokens, shortened = self._fitting(request)
        except ChatError as error:
            return f"the prompt cannot be given to the model as it is: {error}"
        if len(tokens) > self.room:
            rule = self.shortener.rule if self.shortener else "refuse"
            return (
                f"the prompt of {len(tokens)} tokens leaves no room for an answer of "
                f"{self.study.max_tokens} in {self.context} (too_long: {rule})"
            )
        try:
            return Asked(request, tokens, self.sampling(request), shortened)
        except (ValueError, VLLMClientError) as error:
            raise JudgeError(
                f"Expected settings that vLLM samples with in [judge], found others "
                f"({brief(error)}); change them."
            ) from error

    def sampling(self, request: Request) -> SamplingParams:
        """Return how the answers to a request are drawn."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        study = self.study
        return SamplingParams(
            n=request.draws,
            seed=request.seed(study.seed),
            temperature=study.temperature,
            top_p=study.top_p,
            max_tokens=study.max_tokens,
            structured_outputs=(
                StructuredOutputsParams(regex=structure(study.max_tokens))
                if study.structured
                else None
            ),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def completion(self, asked: Asked, output: RequestOutput) -> Completion:
        """Read what the engine gave for a request."""
        request = asked.request
        answers = tuple(
            Answer(sample.text, sample.finish_reason or "unknown", len(sample.token_ids))
            for sample in sorted(output.outputs, key=lambda sample: sample.index)
        )
        given_up = {answer.finish_reason for answer in answers} & _NOT_AN_END
        if given_up:
            return Completion(request, error=f"the engine gave an answer up ({given_up.pop()})")
        shortened = {"too_long": asked.shortened} if asked.shortened else {}
        return Completion(
            request,
            answers,
            len(output.prompt_token_ids or ()),
            provenance={**self.provenance, **shortened},
            seed=request.seed(self.study.seed),
        )

    def _fitting(self, request: Request) -> tuple[list[int], Mapping[str, Any] | None]:
        """Return the prompt's tokens, of a shorter one if there is one that fits."""
        tokens = whole = self._tokens(request.messages)
        if len(whole) > self.room and self.shortener is not None:
            share = self.room / len(whole)
            for presented in self.shortener.presentations(request.ask, share):
                tokens = self._tokens(presented.messages)
                if len(tokens) <= self.room:
                    return tokens, {**presented.how, "tokens": len(whole), "room": self.room}
        return whole, None

    def _tokens(self, messages: Messages) -> list[int]:
        try:
            return self.chat.tokens(messages)
        except TemplateError as error:
            roles = ", ".join(role for role, _ in messages)
            raise JudgeError(
                f"Expected {self.study.model} to have a chat template for a conversation of "
                f"{roles}, found none that takes it ({brief(error)}); choose a model that was "
                f"tuned for instructions, or set chat_template in [judge.engine]."
            ) from error
