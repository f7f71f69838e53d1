"""What votes cost: ours against the algorithm as printed, after 50 kills, and in memory.

    python benchmarks/votes.py savings REPOSITORIES [--gold FILE.csv] [--disagreement 0.1]
    python benchmarks/votes.py kills REPOSITORIES [--kills 50]
    python benchmarks/votes.py memory [--snippets 200000]

REPOSITORIES is a folder with one folder ``owner__name`` for each repository; the first 30 by name
are taken. No model is asked: a stand-in says what the rules say, and in a share of its votes, the
disagreement, the opposite; which vote says what is decided by the hash of prompt and draw alone.
A prompt counts one token for each 3.5 characters, an answer 150 to 350. Each part adds its
figures, with the versions they are of, to benchmarks/results/votes.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.corpora import link_repositories, repositories_of
from benchmarks.measuring import RESULTS, ROOT, command_line, machine, write_result
from classify.classification import PLACEMENTS, STORE
from classify.costs import PrintedAsks, cost_line, costs_of
from classify.gate import gate_line
from classify.gold import read_gold
from classify.judges import Answer, Completion, JudgeSettings, Request, prompt_sha256
from classify.judges.rules import rule
from classify.judging import open_ballots, open_replay
from classify.questions import Question
from classify.store import Store
from classify.subjects import SCHEMA, placed, plan_of, with_snippets
from mining import pipeline as mining
from mining.artifacts import Artifact, Run, table_of
from mining.code import RepositoryCode
from mining.extracted import Corpus
from mining.extraction import CLASSES, FILES, SCHEMAS, SNIPPETS
from mining.opening import writing
from mining.records import Kind, Snippet
from mining.study import Study, override

PARTS = ("savings", "kills", "memory")
PACKAGES = ("pandas", "pyarrow", "openai", "tree-sitter")
SETTINGS = JudgeSettings("openai", {"model": "stand-in"}, "stand-in", 1024)
CHARS_A_TOKEN = 3.5
STEPS: dict[str, dict[str, Any]] = {
    "as printed": {},
    "equal code once": {"equal_code": True},
    "a class once": {"class_once": True},
    "stop at the first yes": {"stop_at_yes": True},
    "stop early": {"early_stop": True},
    "and a flip risk of 0.13": {"max_flip_risk": 0.13},
    "and the rules gate": {"max_flip_risk": None, "rules_gate": True},
    "and both": {"max_flip_risk": 0.13},
}
"""Savings, each added to those before it."""
LOSSLESS = 5
"""So many of the steps change no placement."""


def share(*parts: object) -> float:
    """Return a number in [0, 1) that depends on nothing but the parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


class StandIn:
    """Says what ``truth`` says of an ask, but for a share of its votes. Prompts count as text."""

    settings = SETTINGS

    def __init__(self, truth: Callable[[Question, str], bool], disagreement: float) -> None:
        self._truth = truth
        self._disagreement = disagreement

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """Answer each request at once."""
        for request in filter(None, requests):
            [(_, text)] = request.messages
            prompt = prompt_sha256(request.messages)  # equal for equal code, also where told apart
            truth = self._truth(request.ask.question, request.ask.snippet.code_sha256)
            answers = []
            for draw in range(request.first_draw, request.first_draw + request.draws):
                says = truth != (share(prompt, draw) < self._disagreement)
                tokens = 150 + int(200 * share(prompt, draw, "length"))
                answers.append(Answer(f"Decision: {says}", "stop", tokens))
            yield Completion(request, tuple(answers), round(len(text) / CHARS_A_TOKEN))


def rules_by_text(corpus: Corpus) -> Callable[[Question, str], bool]:
    """Return what the rules say of a text where it first occurs in the corpus."""
    first: dict[str, Snippet] = {}
    codes: dict[str, RepositoryCode] = {}
    for repository in corpus.repositories:
        codes[repository] = corpus.code(repository)
        for snippet in corpus.snippets(repository):
            first.setdefault(snippet.code_sha256, snippet)
    known: dict[tuple[Question, str], bool] = {}

    def truth(question: Question, code: str) -> bool:
        if (question, code) not in known:
            snippet = first[code]
            ruling = rule(question, snippet, codes[snippet.repository])
            known[question, code] = ruling.decision
        return known[question, code]

    return truth


def savings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure votes and tokens with one saving more at a time, and what each moves."""
    off = dict.fromkeys(("equal_code", "class_once", "stop_at_yes", "early_stop"), False)
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as temporary:
        study, run = extracted(arguments.repositories, Path(temporary), 30)
        corpus = Corpus(run)
        judge = StandIn(rules_by_text(corpus), arguments.disagreement)
        kept: dict[str, Any] = {}
        placed: pd.DataFrame | None = None
        for number, (name, step) in enumerate(STEPS.items()):
            kept |= step
            so_far = override(study, savings={**off, **kept})
            with Store(Path(temporary, f"{number}.sqlite")) as store:
                opened = replace(open_replay(so_far, corpus, SETTINGS), judge=judge)
                ballots = open_ballots(so_far, opened, store, {})
                printed = PrintedAsks()
                added = placed(corpus, plan_of(so_far, corpus), ballots, printed=printed)
                costs = costs_of(printed, ballots.paid(), opened.rule.votes)
            frame = pa.concat_tables(with_snippets(run, added)).to_pandas()
            placed = frame if placed is None else placed
            total = costs.drop(columns="question").sum()
            rows.append(
                {
                    "saving": name,
                    "lossless": number < LOSSLESS,
                    "asks": int(total["asks"]),
                    "votes": int(total["votes"]),
                    "tokens": int(total["prompt_tokens"] + total["output_tokens"]),
                    "placements_changed": int(
                        (frame["placement"].fillna("-") != placed["placement"].fillna("-")).sum()
                    ),
                    "estimate_of_printed": [
                        int(total["printed_votes"]),
                        int(total["printed_prompt_tokens"] + total["printed_output_tokens"]),
                    ],
                    "largest_flip_risk": float(frame["flip_risk"].max()),
                }
            )
            rows[-1]["times_fewer"] = {
                what: round(rows[0][what] / rows[-1][what], 2) for what in ("votes", "tokens")
            }
            said = f"{name}: {cost_line(costs)}; {rows[-1]['placements_changed']} moved"
            if so_far.savings.rules_gate:
                gold = None if arguments.gold is None else read_gold(arguments.gold)
                rows[-1]["gate"] = gate_line(frame, gold, 0.95)
                said += f"; {rows[-1]['gate']}"
            print(said, flush=True)
        return {
            "repositories": len(corpus.repositories),
            "snippets": len(frame),
            "votes_an_ask": study.judge.votes,
            "disagreement": arguments.disagreement,
            "steps": rows,
        }


def extracted(repositories: Path, folder: Path, at_most: int) -> tuple[Study, Run]:
    """Extract the first repositories of a folder into a run."""
    local = folder / "repositories"
    found = repositories_of([repositories])
    link_repositories(dict(islice(found.items(), at_most)), local)
    study = override(
        Study(name="votes"),
        corpus={"local": local},
        judge={"kind": "openai", "model": "stand-in", "spare_votes": 0},
    )
    run = Run(folder / "run")
    with writing(study, run):
        mining.fetch(study, run)
        mining.extract(study, run)
    return study, run


class SlowServer(ThreadingHTTPServer):
    """An OpenAI-compatible server that takes its time, and counts what it generates.

    ``paid`` counts the answers to each prompt and seed, ``tokens`` all tokens; an answer that
    nobody is there any more to receive counts in full.
    """

    daemon_threads = True

    def __init__(self, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.seconds = seconds
        self.paid: Counter[tuple[str, int]] = Counter()
        self.tokens = 0
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Say nothing of connections that a killed client leaves behind."""


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowServer

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "stand-in", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        seed, n = body["seed"], body.get("n", 1)
        question = hashlib.sha256(text.encode()).hexdigest()
        says = share(question) < 0.15
        each = [150 + int(200 * share(question, seed + i, "length")) for i in range(n)]
        tokens = round(len(text) / CHARS_A_TOKEN) + sum(each)
        time.sleep(self.server.seconds * (0.5 + share(question, seed)))
        with self.server.lock:
            self.server.tokens += tokens
            self.server.paid.update((question, seed + i) for i in range(n))
        choices = [
            {
                "index": i,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": f"Decision: {says != (share(question, seed + i) < 0.1)}",
                },
            }
            for i in range(n)
        ]
        usage = {"prompt_tokens": tokens - sum(each), "completion_tokens": sum(each)}
        self._send({"object": "chat.completion", "choices": choices, "usage": usage})

    def _send(self, reply: dict[str, Any]) -> None:
        content = json.dumps(reply).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def serving(seconds: float) -> Iterator[SlowServer]:
    """Serve on loopback while the block runs."""
    with SlowServer(seconds) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def kills(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill `lossplace classify` again and again, and count what is lost or paid twice."""
    chance = random.Random(0)
    with TemporaryDirectory() as temporary, serving(arguments.seconds) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/v1"
        at_once = {"base_url": address, "concurrency": arguments.concurrency}
        study, run = extracted(arguments.repositories, Path(temporary), arguments.take)
        study = override(study, judge=at_once)
        with writing(study, run):
            pass  # the study is noted
        whole = Run(Path(temporary, "whole"))
        shutil.copytree(run.folder, whole.folder)
        started = time.monotonic()
        classify_in_process(whole).wait()
        took = time.monotonic() - started
        once = server.tokens
        votes_of_one = votes_in(whole)

        server.tokens, server.paid = 0, Counter()
        lost = again = done = 0
        before: set[tuple[Any, ...]] = set()
        while done < arguments.kills:
            # votes are stored by prompt, and served by text and seed: both name a vote
            served = Counter(server.paid)
            process = classify_in_process(run)
            target = len(before) + chance.random() * 1.5 * len(votes_of_one) / arguments.kills
            while process.poll() is None and len(votes_in(run)) < target:
                time.sleep(0.02)
            if process.poll() is not None:
                break
            time.sleep(chance.random() * 2 * arguments.seconds)
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            after = votes_in(run)
            lost += len(before - after)
            again += stored_and_paid_again(before, served, server.paid)
            before = after
        served = Counter(server.paid)
        classify_in_process(run).wait()
        end = votes_in(run)
        lost += len(before - end)
        again += stored_and_paid_again(before, served, server.paid)
        tokens = server.tokens
        classify_in_process(run).wait()
        ours, theirs = (each.read("placements.parquet") for each in (run, whole))
        return {
            "kills": done,
            "votes_when_last_killed": len(before),
            "votes": len(end),
            "votes_of_an_uninterrupted_run": len(votes_of_one),
            "seconds_of_an_uninterrupted_run": round(took, 1),
            "concurrency": arguments.concurrency,
            "stored_votes_lost": lost,
            "stored_votes_paid_again": again,
            "votes_under_way_when_killed_and_paid_again": sum(n - 1 for n in server.paid.values()),
            "tokens_ratio": round(tokens / once, 5),
            "tokens_ratio_of_one_kill": round(1 + (tokens / once - 1) / max(1, done), 6),
            "tokens_that_a_finished_run_asks_for": server.tokens - tokens,
            "placements_equal": bool(ours.equals(theirs)),
        }


def stored_and_paid_again(
    stored: set[tuple[Any, ...]], served: Counter[tuple[str, int]], now: Counter[tuple[str, int]]
) -> int:
    """Return how many votes that were stored when a process began it had generated again."""
    known = {(text, seed) for _, text, seed in stored}
    return sum(n - served[vote] for vote, n in now.items() if vote in known)


def classify_in_process(run: Run) -> subprocess.Popen[bytes]:
    """Start `lossplace classify` on a run."""
    return subprocess.Popen(
        [*command_line(ROOT), "classify", str(run.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def votes_in(run: Run) -> set[tuple[Any, ...]]:
    """Return each stored vote: its answer's hash, the hash of its prompt's text, and its seed."""
    if not run.path(STORE).exists():
        return set()
    with closing(sqlite3.connect(f"file:{run.path(STORE)}?mode=ro", uri=True)) as store:
        try:
            rows = store.execute(
                "SELECT text, messages, seed FROM votes JOIN prompts USING (prompt_sha256)"
            )
            return {
                (text, hashlib.sha256(json.loads(messages)[-1][1].encode()).hexdigest(), seed)
                for text, messages, seed in rows
            }
        except sqlite3.OperationalError:
            return set()  # killed before its tables were there


def memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """Classify synthetic snippets with a stand-in, and report the peak of memory in use."""
    with TemporaryDirectory() as temporary:
        study, run = synthetic(Path(temporary), arguments.snippets)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        corpus = Corpus(run)
        judge = StandIn(lambda question, code: share(question.value, code) < 0.15, 0.1)
        started = time.monotonic()
        with Store(run.path(STORE)) as store:
            opened = replace(open_replay(study, corpus, SETTINGS), judge=judge)
            ballots = open_ballots(study, opened, store, {})
            printed = PrintedAsks()
            added = placed(corpus, plan_of(study, corpus), ballots, printed=printed)
            costs_of(printed, ballots.paid(), opened.rule.votes)
        run.write_pieces(PLACEMENTS, SCHEMA, with_snippets(run, added), Artifact("", {}, {}))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "snippets": len(added),
            "votes": ballots.spent.votes,
            "seconds": round(time.monotonic() - started, 1),
            "peak_mib": round(peak / 1024),
            "of_which_before_classifying_mib": round(base / 1024),
            "store_mib": round(run.path(STORE).stat().st_size / 2**20),
        }


def synthetic(folder: Path, snippets: int) -> tuple[Study, Run]:
    """Write the tables of a run with so many snippets, 100 a repository, no two alike."""
    import pyarrow.parquet as pq

    study = override(
        Study(name="memory"), judge={"kind": "openai", "model": "stand-in", "spare_votes": 0}
    )
    run = Run(folder / "run")
    artifact = Artifact("extract", {}, {}, rows=snippets)
    for name in (FILES, SNIPPETS, CLASSES):
        run.folder.mkdir(exist_ok=True)
        with (
            run.replacing(name, artifact) as (temporary, _),
            pq.ParquetWriter(temporary, SCHEMAS[name], compression="zstd") as writer,
        ):
            for first in range(0, snippets, 100) if name == SNIPPETS else ():
                group = [_snippet(n) for n in range(first, min(first + 100, snippets))]
                writer.write_table(table_of(SCHEMAS[name], group))
    return study, run


def _snippet(number: int) -> Snippet:
    """Return a method or a function of some 40 lines."""
    repository, place = divmod(number, 100)
    method = place % 2 == 0
    of_class = f"C{place // 10}" if method else None
    name = f"{of_class}.f{place}" if of_class else f"f{place}"
    lines = [f"def f{place}(x, y):"] + [
        f"    value_{i} = x.step_{number}({i}) * y + {i * number}" for i in range(40)
    ]
    return Snippet(
        f"owner{repository}/name",
        None,
        "module.py",
        50 * place + 1,
        50 * place + 41,
        Kind.METHOD if method else Kind.FUNCTION,
        name,
        of_class,
        "\n".join(lines) + "\n",
    )


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    for name in PARTS:
        part = parts.add_parser(name)
        if name != "memory":
            part.add_argument("repositories", type=Path)
    parts.choices["savings"].add_argument("--gold", type=Path)
    parts.choices["savings"].add_argument("--disagreement", type=float, default=0.1)
    parts.choices["kills"].add_argument("--kills", type=int, default=50)
    parts.choices["kills"].add_argument("--take", type=int, default=30, help="so many of them")
    parts.choices["kills"].add_argument("--concurrency", type=int, default=2)
    parts.choices["kills"].add_argument("--seconds", type=float, default=0.02)
    parts.choices["memory"].add_argument("--snippets", type=int, default=200_000)
    arguments = parser.parse_args()
    figures = {"savings": savings, "kills": kills, "memory": memory}[arguments.part](arguments)
    print(json.dumps(figures, indent=1))
    path = RESULTS / "votes.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    kept = {part: known[part] for part in PARTS if part in known}
    measured = {arguments.part: {**machine(PACKAGES), **figures}}
    write_result("votes", {**kept, **measured}, PACKAGES)


if __name__ == "__main__":
    main()
