"""A language model run in this process by vLLM, as an offline batch.

The engine starts at the first request, so a run whose votes are all stored needs neither a GPU
nor vLLM itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from classify.errors import JudgeError
from classify.judges import Completion, Request
from classify.judges.asking import Asked, Asking, vllm_settings
from classify.judges.chat import Chat
from classify.judges.engine import brief, provenance, start
from classify.judges.shortening import Shortener
from mining.study import JudgeStudySettings

if TYPE_CHECKING:
    from vllm import LLM


@dataclass(frozen=True, slots=True)
class _Running:
    """The engine, with how it is asked."""

    llm: LLM
    asking: Asking


class VllmJudge:
    """Asks a model by name, all draws of a prompt in one request, with a seed for each prompt.

    Requests are taken up as fast as the engine works them off: twice as many draws are under way
    as it runs at once, so that its batch stays full and memory flat. A prompt that is too long
    goes by the rule of ``shortener``, or is refused where there is none.
    """

    def __init__(self, study: JudgeStudySettings, shortener: Shortener | None = None) -> None:
        """Take the settings; nothing is started. Raises StudyError for a wrong one."""
        self.settings = vllm_settings(study, shortener)
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
        under_way: dict[str, Asked] = {}
        draws = 0
        keys = map(str, count())
        try:
            while True:
                while request is not None and draws < window:
                    key = next(keys)
                    with self._going_on(under_way):
                        asked = self._add(running, key, request)
                    if isinstance(asked, str):
                        yield Completion(request, error=asked, refused=True)
                    else:
                        under_way[key] = asked
                        draws += request.draws
                    request = next(pending, None)
                if not under_way:
                    return
                with self._going_on(under_way):
                    outputs: list[Any] = engine.step()
                for output in outputs:
                    asked = under_way.pop(output.request_id)
                    draws -= asked.request.draws
                    yield running.asking.completion(asked, output)
                if outputs and request is None:
                    request = next(pending, None)  # an answer may have opened one
        finally:
            # whoever stops listening leaves no draws behind for the next call
            engine.abort_request(list(under_way))

    def _start(self) -> _Running:
        llm = start(self._study)
        chat = Chat(llm.get_tokenizer(), llm.chat_template)
        config = llm.llm_engine.vllm_config
        context = config.model_config.max_model_len
        return _Running(
            llm, Asking(self._study, self._shortener, chat, context, provenance(config))
        )

    def _add(self, running: _Running, key: str, request: Request) -> Asked | str:
        """Hand a request to the engine, or say why it refuses the prompt."""
        from vllm import TokensPrompt
        from vllm.exceptions import VLLMClientError

        asked = running.asking.asked(request)
        if isinstance(asked, str):
            return asked
        try:
            [prompt] = running.llm.renderer.render_cmpl(
                [TokensPrompt(prompt_token_ids=asked.tokens)]
            )
            running.llm.llm_engine.add_request(key, prompt, asked.params)
        except VLLMClientError as error:
            return brief(error)
        return asked

    @contextmanager
    def _going_on(self, under_way: dict[str, Asked]) -> Iterator[None]:
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
