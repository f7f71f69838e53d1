"""Votes per second of the ``vllm`` judge through a Ray cluster beside those in process.

    python benchmarks/ray_judge.py [--prompts 300] [--votes 5] [--pairs 3]

The same prompts go in turn to the judge in a process of its own and to the judge on a Ray cluster
of this machine with one engine; the answers must be equal. What starts the engine is told apart:
a rate counts from the first completion to the last. The model is a tiny random Mixtral on CPU,
which costs next to nothing, so that what Ray adds to each prompt is seen at its worst.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import write_result
from benchmarks.throughput import TINY_ENGINE
from classify.judges import Request
from classify.judges.engine import engine_name
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from mining.extract import extract
from mining.shipped import shipped
from mining.study import JudgeStudySettings, ScaleSettings
from tests.classify.judges.tiny_mixtral import make_tiny_mixtral

CONTEXT = TINY_ENGINE["max_model_len"]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONWARNINGS": "ignore",
    "RAY_worker_niceness": "0",  # as the process beside it
}


def requests(number: int, votes: int) -> Iterator[Request]:
    """Give the prompts about the shipped sample that fit into the model's context."""
    prompts = read_prompts()
    folder = shipped("data/sample")
    asks = (
        Ask(question, snippet)
        for question in Question
        for path in sorted(folder.rglob("*.py"))
        for snippet in extract("o/n", None, str(path), path.read_text("utf-8", "replace")).snippets
        if len(snippet.text) < CONTEXT // 4
    )
    fitting = (ask for ask in asks if len(str(prompts.messages(ask))) < 0.9 * CONTEXT)
    for ask in islice(fitting, number):
        yield Request(ask, prompts.messages(ask), 0, votes)


def judged(where: str, study: JudgeStudySettings, number: int, votes: int) -> dict[str, Any]:
    """Have one judge answer all prompts."""
    judge: Any
    if where == "ray":
        from classify.judges.ray import RayVllmJudge

        judge = RayVllmJudge(study, ScaleSettings(engine="ray", address="local"))
    else:
        from classify.judges.vllm import VllmJudge

        judge = VllmJudge(study)
    begun = time.perf_counter()
    texts: dict[str, list[str]] = {}
    first = last = answers = 0.0
    for completion in judge.answer(requests(number, votes)):
        assert completion.error is None, completion.error
        last = time.perf_counter()
        first = first or last
        answers += len(completion.answers)
        texts[completion.request.prompt_sha256] = [each.text for each in completion.answers]
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    return {
        "start_s": first - begun,
        "prompts": len(texts),
        "votes": int(answers),
        "votes_per_s": (answers - votes) / (last - first),
        "answers_sha256": digest,
    }


def apart(where: str, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one judge in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as ray:
        command = [sys.executable, __file__, "--where", where, "--model", str(model)]
        command += ["--prompts", str(options.prompts), "--votes", str(options.votes)]
        command += ["--output-tokens", str(options.output_tokens)]
        environment = {**os.environ, **ENVIRONMENT, "RAY_TMPDIR": ray}
        output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(
        f"{where:12} {result['votes_per_s']:8.1f} votes/s, first answer after "
        f"{result['start_s']:.0f} s",
        flush=True,
    )
    return result


def main() -> None:
    """Print the rates side by side and their ratio, and keep them as JSON."""
    parser = argparse.ArgumentParser(description="The vllm judge through Ray and in process.")
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--votes", type=int, default=5)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--where", choices=("process", "ray"), help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.where:
        study = JudgeStudySettings(
            kind="vllm",
            model=str(options.model),
            votes=options.votes,
            max_tokens=options.output_tokens,
            engine=TINY_ENGINE,
        )
        print(json.dumps(judged(options.where, study, options.prompts, options.votes)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = make_tiny_mixtral(Path(folder), CONTEXT)
        pairs = [
            {where: apart(where, model, options) for where in ("process", "ray")}
            for _ in range(options.pairs)
        ]
    assert len({each["answers_sha256"] for pair in pairs for each in pair.values()}) == 1
    ratios = sorted(pair["ray"]["votes_per_s"] / pair["process"]["votes_per_s"] for pair in pairs)
    print(f"Ray over process: {ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    result = {
        "engine": engine_name(),
        "model": "tiny random Mixtral",
        "output_tokens_at_most": options.output_tokens,
        "passes": pairs,
        "ray_over_process": ratios,
    }
    write_result("ray_judge", result, ("ray",))


if __name__ == "__main__":
    main()
