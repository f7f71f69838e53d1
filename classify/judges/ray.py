"""A language model run by vLLM on the engines of a Ray cluster, through Ray Data's batch engine.

One pipeline serves a whole run: its source hands on requests as they open, its engines start
once, and completions come back while requests go on. Nothing in it waits for a block to be full.
"""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from classify.errors import JudgeError
from classify.judges import Completion, Request
from classify.judges.asking import vllm_settings
from classify.judges.engine import arguments, brief, check_installed, quiet
from classify.judges.ray_silence import Silence
from classify.judges.shortening import Shortener
from mining.engines.ray import RayCluster, join
from mining.study import JudgeStudySettings, ScaleSettings

if TYPE_CHECKING:
    from classify.judges.ray_source import Numbered

_SEQUENCES = 1024
"""An engine's ``max_num_seqs`` where the study does not say: vLLM's own largest default."""
_TOGETHER = 4
"""Requests that go to an engine in one piece, at most: Ray moves about a hundred a second."""
_PIECES = 128
"""That an engine has at once, at most: each has a thread."""
_LEAVING_S = 10.0
_RETRIES = 3
"""So often requests are asked again whose engine died under them."""


class RayVllmJudge:
    """The ``vllm`` judge on a cluster: the same settings, prompts, seeds and texts.

    Twice as many draws are under way as all engines run at once. What was lost with an engine or
    a node is asked again.
    """

    def __init__(
        self,
        study: JudgeStudySettings,
        scale: ScaleSettings,
        shortener: Shortener | None = None,
    ) -> None:
        """Take the settings; nothing is started. Raises StudyError for a wrong one."""
        self.settings = vllm_settings(study, shortener)
        self._study = study
        self._scale = scale
        self._shortener = shortener
        RayCluster(scale)  # checks that there is one to be had

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """Answer each request once, as soon as an engine has all its draws.

        Raises JudgeError if no engine can start, if one dies again and again, or if the model's
        chat template does not take the conversation; ServiceError if there is no cluster.
        """
        pending = iter(requests)
        request = next(pending, None)
        if request is None:
            return
        pipeline = _Pipeline(self._study, self._scale, self._shortener)
        under_way: Numbered = {}
        draws = 0
        numbers = count()
        answered: list[int] = []
        try:
            while True:
                opened: Numbered = {}
                while request is not None and draws < pipeline.window:
                    opened[next(numbers)] = request
                    draws += request.draws
                    request = next(pending, None)
                under_way |= opened
                if not under_way:
                    return
                pipeline.add(opened, answered)
                answered = []
                came = pipeline.completions()
                # what came with an error that ends it was paid for
                for number in sorted(came, key=lambda each: isinstance(came[each], JudgeError)):
                    completion = came[number]
                    asked = under_way.pop(number, None)
                    if asked is None:  # given twice, since a worker was lost
                        continue
                    answered.append(number)
                    draws -= asked.draws
                    if isinstance(completion, JudgeError):
                        raise completion
                    yield replace(completion, request=asked)
                if request is None:
                    request = next(pending, None)  # an answer may have opened one
        finally:
            pipeline.close()


class _Pipeline:
    """A source that goes on for as long as requests come, and Ray's vLLM stage behind it."""

    def __init__(
        self, study: JudgeStudySettings, scale: ScaleSettings, shortener: Shortener | None
    ) -> None:
        quiet()
        check_installed(study.engine)
        join(scale)
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
        from vllm.platforms import current_platform

        # a logger with no handler would get one by Ray, and write to the terminal
        logging.getLogger("ray.llm").addHandler(logging.NullHandler())
        try:
            from classify.judges.ray_source import Open
            from classify.judges.ray_stage import JudgingStage
        except ImportError as error:
            raise JudgeError(
                f"Expected Ray's batch engine for vLLM as Ray 2.60 has it, found Ray "
                f"{ray.__version__} without it ({brief(error)}); install ray[data] 2.60."
            ) from error
        self._study = study
        self._stage = JudgingStage
        resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        on_gpus = not current_platform.is_cpu()
        engines = engines_of(scale, study.engine, int(resources.get("GPU", 0)) if on_gpus else None)
        sequences = study.engine.get("max_num_seqs", _SEQUENCES)
        self.window = 2 * engines * sequences
        here = ray.get_runtime_context().get_node_id()
        self._open: Any = (
            ray.remote(num_cpus=0)(Open)
            .options(scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False))
            .remote(_TOGETHER)
        )
        self._dataset = self._judged(shortener, engines, sequences, on_gpus=on_gpus)
        self._bundles: Iterator[Any] | None = None
        self._silence = Silence(JudgingStage.__name__)

    def add(self, requests: Numbered, answered: list[int]) -> None:
        """Open requests, and forget those that are answered."""
        self._open.add.remote(requests, answered)

    def completions(self) -> Mapping[int, Completion | JudgeError]:
        """Wait for some completions. Raises JudgeError if there can be none any more."""
        import ray

        from classify.judges.ray_source import COLUMN

        try:
            # this waits for the first ones, which need a request that is open
            with self._silence:
                self._bundles = self._bundles or iter(self._dataset.iter_internal_ref_bundles())
                bundle = next(self._bundles)
            return {
                number: completion
                for block in bundle.block_refs
                for row in ray.get(block).column(COLUMN).to_pylist()
                for number, completion in pickle.loads(row["completions"]).items()
            }
        except Exception as error:  # Ray's, and those of what it runs
            told = "\n".join(map(str, _causes(error)))
            ours = re.search(r"JudgeError: (.+)", told)
            first = re.search(r"\w+(?:Error|Exception): .+", told)
            raise JudgeError(
                ours[1]
                if ours
                else f"Expected vLLM on the Ray cluster to go on answering for "
                f"{self._study.model}, found that it does not "
                f"({brief(first[0] if first else told)}); the answers received are kept, see "
                "Ray's logs, and run the command again."
            ) from error

    def close(self) -> None:
        """Give the engines back."""
        import ray
        from ray.exceptions import RayError

        self._bundles = None
        self._silence.close()
        with suppress(RayError):  # of a cluster that is gone
            try:
                for engine in ray.get(self._open.engines.remote(), timeout=_LEAVING_S):
                    ray.kill(engine)
            finally:
                ray.kill(self._open)

    def _judged(
        self, shortener: Shortener | None, engines: int, sequences: int, *, on_gpus: bool
    ) -> Any:
        """Return the data set of completions; nothing runs yet."""
        import ray.data
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig

        from classify.judges.ray_source import OpenRequests

        engine: dict[str, Any] = {
            "disable_log_stats": True,
            "revision": self._study.revision,
            **arguments(self._study),
        }
        template = engine.pop("chat_template", None)
        config = vLLMEngineProcessorConfig(
            model_source=self._study.model,
            engine_kwargs=engine,
            concurrency=(engines, engines),
            batch_size=1,  # of rows: nothing waits for another
            max_concurrent_batches=min(2 * sequences, _PIECES),
            max_tasks_in_flight_per_actor=min(2 * sequences, _PIECES),
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
            log_engine_metrics=False,
        )
        processor = build_processor(config)
        # rows are as the stage wants and gives them
        processor.preprocess = processor.postprocess = None
        stage = processor.get_stage_by_name("vLLMEngineStage")
        stage.fn = self._stage
        stage.fn_constructor_kwargs.update(
            opened=self._open,
            judge=self._study,
            shortener=shortener,
            chat_template=template and _template(template),
        )
        stage.map_batches_kwargs.update(max_task_retries=_RETRIES)
        if not on_gpus:
            stage.map_batches_kwargs.update(num_gpus=0, num_cpus=1)
        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False
        context.target_max_block_size = 1  # bytes, so that each row goes on at once
        with ray.data.DataContext.current(context):
            return processor(
                ray.data.read_datasource(
                    OpenRequests(self._open), num_cpus=0, override_num_blocks=1
                )
            )


def engines_of(scale: ScaleSettings, engine: Mapping[str, Any], gpus: int | None) -> int:
    """Return how many engines a cluster is to run. ``gpus``: that it has; None: it needs none.

    Raises JudgeError if not even one has room, unless the study says how many there are to be:
    a cluster may grow.
    """
    each: int = engine.get("tensor_parallel_size", 1) * engine.get("pipeline_parallel_size", 1)
    if scale.engines is not None or gpus is None:
        return scale.engines or 1
    if gpus < each:
        raise JudgeError(
            f"Expected a Ray cluster with {each} GPUs or more for an engine of vLLM, found "
            f"{gpus}; lower tensor_parallel_size in [judge.engine], or, if the cluster grows when "
            "it is asked to, set engines in [scale]."
        )
    return gpus // each


def _template(template: str) -> str | None:
    """Return the text of a chat template that is given as such, or as a file of this machine."""
    from vllm.entrypoints.llm import load_chat_template

    text: str | None = load_chat_template(template)
    return text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error with what caused it; Ray keeps what a worker raised in ``cause``."""
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__
