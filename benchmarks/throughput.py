r"""Output tokens per second of our judge beside those of vLLM's own offline benchmark, in one run.

    python benchmarks/throughput.py [--model NAME] [--corpus DIR] [--engine KEY=VALUE ...]

One engine answers the same prompts, n draws each, of the same length, in turn through our judge
(chat template, seeds, streaming, votes read and stored) and through the code of
`vllm.benchmarks.throughput`, which hands over all prompts at once. The engine's benchmark gets
them as text, as from its own data sets, samples without seeds and stores nothing. Then the judge
asks with the prompts as they are (instructions first, snippet last) and the other way round, to
show what the layout is worth with prefix caching. Each pass begins with an empty prefix cache.

On a CPU that others use too, VLLM_ENABLE_V1_MULTIPROCESSING=0 keeps engine and judge in one
process, and OMP_NUM_THREADS=1 in one thread: then the ratio by processor time is the one to read.

Without --model it makes a tiny random Mixtral, which runs anywhere and shows our own cost at its
worst, as the model costs next to nothing. On a GPU without weights at hand:

    python benchmarks/throughput.py --model mistralai/Mixtral-8x7B-Instruct-v0.1 \
        --engine load_format=dummy tensor_parallel_size=2 --prompts 2000 --output-tokens 200
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tiny model of the tests

from classify.judges import Request
from classify.judges.asking import Asking
from classify.judges.engine import engine_name
from classify.judges.vllm import VllmJudge
from classify.prompts import Prompts, read_prompts
from classify.questions import Ask, Question
from classify.store import Store
from classify.votes import reading
from mining.extract import extract
from mining.records import Snippet
from mining.shipped import shipped
from mining.study import JudgeStudySettings

TINY_ENGINE: dict[str, Any] = {
    "dtype": "float32",
    "max_model_len": 4096,
    "max_num_seqs": 64,
    "enforce_eager": True,
    "gpu_memory_utilization": 0.25,
    "kv_cache_memory_bytes": 2**28,
    "enable_chunked_prefill": False,
    "use_tqdm_on_load": False,
}
CODE_AT_END = "The code:\n\n{code}"


@dataclass(frozen=True)
class Pass:
    """One way through all prompts: what came out of it, and how long it took."""

    seconds: float
    processor_seconds: float
    """Of this process and its threads."""
    output_tokens: int
    cached: float
    """Share of the prompts' tokens that the prefix cache held."""

    @property
    def rate(self) -> float:
        """Output tokens per second."""
        return self.output_tokens / self.seconds


class FixedLength(Asking):
    """Our way to ask, but for answers of one length, as the engine's benchmark has them."""

    def sampling(self, request: Request) -> Any:
        """Return how the answers are drawn."""
        params = super().sampling(request)
        params.ignore_eos = True
        return params


class Bench:
    """The engine, with the prompts to be put to it."""

    def __init__(self, study: JudgeStudySettings, snippets: Sequence[Snippet], prompts: int):
        self.study = study
        self.judge = VllmJudge(study)
        running = self.judge._start()
        asking = FixedLength(*(getattr(running.asking, each.name) for each in fields(Asking)))
        self.asking = asking
        self.judge._running = replace(running, asking=asking)
        self.llm = running.llm
        self.requests = self._fitting(snippets, read_prompts(), prompts)
        self.reversed = [
            replace(request, messages=snippet_first().messages(request.ask))
            for request in self.requests
        ]

    def _fitting(self, snippets: Sequence[Snippet], prompts: Prompts, number: int) -> list[Request]:
        asks = (
            Ask(q, s) for s in snippets for q in (Question.LOSS_RELATED, Question.TRAINING_LOOP)
        )
        requests = (Request(ask, prompts.messages(ask), 0, self.study.votes) for ask in asks)
        fitting = (r for r in requests if len(self.tokens(r)) <= self.asking.room)
        return list(islice(fitting, number))

    def tokens(self, request: Request) -> list[int]:
        """Return the prompt as the engine gets it."""
        return self.asking.chat.tokens(request.messages)

    def ours(self, requests: Sequence[Request]) -> Pass:
        """Have our judge answer, and keep each vote as a run does."""
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "votes.sqlite") as store:

            def work() -> int:
                output_tokens = 0
                for completion in self.judge.answer(requests):
                    store.add(completion, self.judge.settings)
                    for answer in completion.answers:
                        reading(answer.text, answer.finish_reason)
                        output_tokens += answer.output_tokens
                return output_tokens

            return self._timed(work)

    def theirs(self, requests: Sequence[Request]) -> Pass:
        """Have the engine's benchmark ask the same."""
        from vllm.benchmarks import throughput
        from vllm.benchmarks.datasets import SampleRequest

        samples = [
            SampleRequest(self._text(request), len(self.tokens(request)), self.study.max_tokens)
            for request in requests
        ]
        outputs: list[Any] = []

        def work() -> int:
            _, done = throughput._run_vllm_requests(
                self.llm, samples, self.study.votes, False, False, False, False
            )
            outputs.extend(done)
            return sum(len(answer.token_ids) for output in done for answer in output.outputs)

        with Path(os.devnull).open("w") as sink, redirect_stdout(sink), redirect_stderr(sink):
            return self._timed(work)

    def _text(self, request: Request) -> Any:
        """Return the prompt as text of which the engine makes the same tokens, or else as these."""
        conversation = [{"role": role, "content": content} for role, content in request.messages]
        tokenizer = self.llm.get_tokenizer()
        text = tokenizer.apply_chat_template(
            conversation, add_generation_prompt=True, tokenize=False
        )
        tokens = self.tokens(request)
        for prompt in (text, text.removeprefix(tokenizer.bos_token or "")):
            if tokenizer(prompt)["input_ids"] == tokens:
                return prompt
        return {"prompt_token_ids": tokens}

    def _timed(self, work: Callable[[], int]) -> Pass:
        assert self.llm.reset_prefix_cache()
        asked, held = self._prefixes()
        begun, begun_processor = time.perf_counter(), time.process_time()
        output_tokens = work()
        seconds = time.perf_counter() - begun
        processor_seconds = time.process_time() - begun_processor
        asked_after, held_after = self._prefixes()
        share = (held_after - held) / max(asked_after - asked, 1)
        return Pass(seconds, processor_seconds, output_tokens, share)

    def _prefixes(self) -> tuple[int, int]:
        found = {metric.name: getattr(metric, "value", 0) for metric in self.llm.get_metrics()}
        return found["vllm:prefix_cache_queries"], found["vllm:prefix_cache_hits"]


def snippet_first() -> Prompts:
    """Return our prompts the other way round: the snippet, then the instructions."""
    templates = {}
    for question, text in read_prompts().templates.items():
        instructions = text.strip().removesuffix(CODE_AT_END)
        assert instructions != text.strip()
        templates[question] = f"{CODE_AT_END}\n\n{instructions}"
    return Prompts(templates)


def snippets_of(folder: Path) -> list[Snippet]:
    """Return the functions and loops of all Python files in a folder, in the order of paths."""
    return [
        snippet
        for path in sorted(folder.rglob("*.py"))
        for snippet in extract("o/n", None, str(path), path.read_text("utf-8", "replace")).snippets
    ]


def measure(bench: Bench, repetitions: int) -> dict[str, Any]:
    """Take the passes in turn, the first of each kind for warming up."""
    passes: dict[str, list[Pass]] = {"judge": [], "engine": [], "snippet_first": []}
    kinds: dict[str, Callable[[], Pass]] = {
        "judge": lambda: bench.ours(bench.requests),
        "engine": lambda: bench.theirs(bench.requests),
        "snippet_first": lambda: bench.ours(bench.reversed),
    }
    for repetition in range(-1, repetitions):
        # the order changes, so that whatever drifts hits all alike
        for kind in list(kinds) if repetition % 2 else reversed(kinds):
            done = kinds[kind]()
            if repetition >= 0:
                passes[kind].append(done)
            print(f"  {kind:14} {done.rate:9.1f} tokens/s {done.cached:6.1%} cached", flush=True)
    return {
        "tokens_per_second": {k: spread([p.rate for p in done]) for k, done in passes.items()},
        "judge_over_engine": spread(
            [a.rate / b.rate for a, b in zip(passes["judge"], passes["engine"], strict=True)]
        ),
        "judge_over_engine_by_processor": spread(
            [
                b.processor_seconds / a.processor_seconds
                for a, b in zip(passes["judge"], passes["engine"], strict=True)
            ]
        ),
        "snippet_last_over_first": spread(
            [a.rate / b.rate for a, b in zip(passes["judge"], passes["snippet_first"], strict=True)]
        ),
        "prefix_cached": {kind: done[-1].cached for kind, done in passes.items()},
        "output_tokens": {kind: done[-1].output_tokens for kind, done in passes.items()},
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median of some values with the least and the most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def value(text: str) -> Any:
    """Read the value of an engine's argument: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> None:
    """Print the rates and their ratios; write them as JSON where --out says."""
    parser = argparse.ArgumentParser(description="Our judge beside vLLM's own benchmark.")
    parser.add_argument("--model", help="default: a tiny random Mixtral")
    parser.add_argument("--corpus", type=Path, default=shipped("data/sample"))
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--votes", type=int, default=5)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--engine", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    engine = {key: value(text) for key, _, text in (o.partition("=") for o in options.engine)}
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            from tests.classify.judges.tiny_mixtral import make_tiny_mixtral

            engine = TINY_ENGINE | engine
            model = str(make_tiny_mixtral(Path(folder), engine["max_model_len"]))
        study = JudgeStudySettings(
            kind="vllm",
            model=model,
            votes=options.votes,
            temperature=1.0,  # as the engine's benchmark
            top_p=1.0,
            max_tokens=options.output_tokens,
            engine={"disable_log_stats": False} | engine,
        )
        bench = Bench(study, snippets_of(options.corpus), options.prompts)
        lengths = [len(bench.tokens(request)) for request in bench.requests]
        print(f"{len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens", flush=True)
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "engine": engine_name(),
            "model": options.model or "tiny random Mixtral",
            "arguments": engine,
            "prompts": len(lengths),
            "prompt_tokens": sum(lengths),
            "votes": options.votes,
            "output_tokens_each": options.output_tokens,
            **measure(bench, options.repetitions),
        }
    ratio = result["judge_over_engine"]
    by_processor = result["judge_over_engine_by_processor"]["median"]
    layout = result["snippet_last_over_first"]["median"]
    print(
        f"judge over engine: {ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['most']:.3f}), "
        f"by processor time {by_processor:.3f}; snippet last over snippet first: {layout:.3f}"
    )
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
