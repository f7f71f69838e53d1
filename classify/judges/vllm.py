"""A language model run in this process by vLLM, as an offline batch.

The engine starts at the first request, so a run whose votes are all stored needs neither a GPU
nor vLLM itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from classify.errors import JudgeError
from classify.judges import Answer, Completion, JudgeSettings, Messages, Request
from classify.judges.chat import Chat, ChatError, TemplateError
from classify.judges.engine import brief, checked, engine_name, naming, provenance, start
from classify.judges.sampling import sampling_text, structure
from classify.judges.shortening import Shortener
from mining.study import JudgeStudySettings

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams

_NOT_AN_END = frozenset({"abort", "error"})
"""Finish reasons of an answer that the engine gave up."""


@dataclass(frozen=True, slots=True)
class _Running:
    """The engine, with what is asked of it again and again."""

    llm: LLM
    chat: Chat
    room: int
    """Tokens of the longest prompt that leaves room for a whole answer."""
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A request that the engine has; ``shortened``: how its prompt was, where it was too long."""

    request: Request
    shortened: Mapping[str, Any] | None


class VllmJudge:
    """Asks a model by name, all draws of a prompt in one request, with a seed for each prompt.

    Requests are taken up as fast as the engine works them off: twice as many draws are under way
    as it runs at once, so that its batch stays full and memory flat. A prompt that is too long
    goes by the rule of ``shortener``, or is refused where there is none.
    """

    def __init__(self, study: JudgeStudySettings, shortener: Shortener | None = None) -> None:
        """Take the settings; nothing is started. Raises StudyError for a wrong one."""
        checked(study.engine)
        text = {
            **sampling_text(study, shortener),
            "revision": study.revision,
            "engine": naming(study.engine),
        }
        self.settings = JudgeSettings("vllm", text, engine_name(), study.max_tokens)
        self._study = study
        self._shortener = shortener
        self._running: _Running | None = None

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """Answer each request once, as soon as the engine has all its draws.

        Raises JudgeError if the engine cannot start or ends, or if the model's chat template
        does not take the conversation.
        """
        pending = iter(requests)
        request = next(pending, None)
        if request is None:
            return
        running = self._running = self._running or self._start()
        engine = running.llm.llm_engine
        window = 2 * engine.vllm_config.scheduler_config.max_num_seqs
        under_way: dict[str, _UnderWay] = {}
        draws = 0
        keys = map(str, count())
        try:
            while True:
                while request is not None and draws < window:
                    key = next(keys)
                    with self._going_on(under_way):
                        added = self._add(running, key, request)
                    if isinstance(added, str):
                        yield Completion(request, error=added, refused=True)
                    else:
                        under_way[key] = added
                        draws += request.draws
                    request = next(pending, None)
                if not under_way:
                    return
                with self._going_on(under_way):
                    outputs: list[Any] = engine.step()
                for output in outputs:
                    answered = under_way.pop(output.request_id)
                    draws -= answered.request.draws
                    yield self._completion(running, answered, output)
                if outputs and request is None:
                    request = next(pending, None)  # an answer may have opened one
        finally:
            # whoever stops listening leaves no draws behind for the next call
            engine.abort_request(list(under_way))

    def _start(self) -> _Running:
        llm = start(self._study)
        limit = llm.model_config.max_model_len
        room = limit - self._study.max_tokens
        if room < 1:
            raise JudgeError(
                f"Expected [judge] max_tokens to leave room for a prompt, found "
                f"{self._study.max_tokens} of the {limit} tokens of the context; lower it, or "
                "raise max_model_len in [judge.engine]."
            )
        return _Running(llm, Chat(llm.get_tokenizer(), llm.chat_template), room, provenance(llm))

    def _add(self, running: _Running, key: str, request: Request) -> _UnderWay | str:
        """Hand a request to the engine, or say why it refuses the prompt."""
        from vllm import TokensPrompt
        from vllm.exceptions import VLLMClientError

        try:
            tokens, shortened = self._fitting(running, request)
        except ChatError as error:
            return f"the prompt cannot be given to the model as it is: {error}"
        if len(tokens) > running.room:
            rule = self._shortener.rule if self._shortener else "refuse"
            return (
                f"the prompt of {len(tokens)} tokens leaves no room for an answer of "
                f"{self._study.max_tokens} in {running.llm.model_config.max_model_len} "
                f"(too_long: {rule})"
            )
        try:
            params = self._sampling(request)
        except (ValueError, VLLMClientError) as error:
            raise JudgeError(
                f"Expected settings that vLLM samples with in [judge], found others "
                f"({brief(error)}); change them."
            ) from error
        try:
            [prompt] = running.llm.renderer.render_cmpl([TokensPrompt(prompt_token_ids=tokens)])
            running.llm.llm_engine.add_request(key, prompt, params)
        except VLLMClientError as error:
            return brief(error)
        return _UnderWay(request, shortened)

    def _fitting(
        self, running: _Running, request: Request
    ) -> tuple[list[int], Mapping[str, Any] | None]:
        """Return the prompt's tokens, of a shorter one if there is one that fits."""
        tokens = whole = self._tokens(running.chat, request.messages)
        if len(whole) > running.room and self._shortener is not None:
            share = running.room / len(whole)
            for presented in self._shortener.presentations(request.ask, share):
                tokens = self._tokens(running.chat, presented.messages)
                if len(tokens) <= running.room:
                    return tokens, {**presented.how, "tokens": len(whole), "room": running.room}
        return whole, None

    def _sampling(self, request: Request) -> SamplingParams:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        study = self._study
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

    def _tokens(self, chat: Chat, messages: Messages) -> list[int]:
        try:
            return chat.tokens(messages)
        except TemplateError as error:
            roles = ", ".join(role for role, _ in messages)
            raise JudgeError(
                f"Expected {self._study.model} to have a chat template for a conversation of "
                f"{roles}, found none that takes it ({brief(error)}); choose a model that was "
                f"tuned for instructions, or set chat_template in [judge.engine]."
            ) from error

    def _completion(
        self, running: _Running, answered: _UnderWay, output: RequestOutput
    ) -> Completion:
        request = answered.request
        answers = tuple(
            Answer(sample.text, sample.finish_reason or "unknown", len(sample.token_ids))
            for sample in sorted(output.outputs, key=lambda sample: sample.index)
        )
        given_up = {answer.finish_reason for answer in answers} & _NOT_AN_END
        if given_up:
            return Completion(request, error=f"the engine gave an answer up ({given_up.pop()})")
        shortened = {"too_long": answered.shortened} if answered.shortened else {}
        return Completion(
            request,
            answers,
            len(output.prompt_token_ids or ()),
            provenance={**running.provenance, **shortened},
            seed=request.seed(self._study.seed),
        )

    @contextmanager
    def _going_on(self, under_way: dict[str, _UnderWay]) -> Iterator[None]:
        """Turn the end of the engine into a JudgeError."""
        try:
            yield
        except JudgeError:
            raise
        except Exception as error:
            under_way.clear()  # a dead engine aborts nothing
            self._running = None
            raise JudgeError(
                f"Expected vLLM to go on answering for {self._study.model}, found that its engine "
                f"ended ({brief(error)}); the answers received are kept, run the command again."
            ) from error
