"""How fast `lossplace extract` is beside the parser that it rests on, and how much memory it takes.

    python benchmarks/extraction.py REPOSITORIES... [--pairs N] [--against DIR] [--profile]

Each of REPOSITORIES is a folder of real repositories, ``owner__name`` each. Measured are:

* **speed**: `lossplace extract`, a process as its users start it, which reads, decodes, parses,
  extracts, hashes and writes Parquet, on one core; against tree-sitter's mere parse of the same
  files, held in memory, on the same core. The two take turns, so that both meet the same weather.
* **two cores**: the same process on two cores against one; and, since two cores may share more
  than their name says, two processes that merely parse, at once, against one.
* **peers**: what else parses Python or finds its functions, on a sample of the files: MB/s, and how
  many functions each finds, with where they differ.
* **growth**: one core and all of them, and the largest sum of memory over all processes, as the
  corpus grows by copies.

``--against DIR`` measures the checkout of lossplace in DIR too, in turn with this one.
``--profile`` says where `lossplace extract` spends its time, and measures nothing else. Megabytes
are 10^6 bytes.
Writes benchmarks/results/extraction.json. Needs the packages of the extra ``bench``.
"""

from __future__ import annotations

import argparse
import ast
import gc
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pandas as pd
import tree_sitter_python
from tree_sitter import Language, Node, Parser, Query, QueryCursor

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.corpora import link_copies, python_files, repositories_of  # noqa: E402
from benchmarks.measuring import Taken, command_line, lossplace, say, write_result  # noqa: E402
from mining.decode import decode  # noqa: E402

PYTHON = Language(tree_sitter_python.language())
FUNCTIONS = Query(PYTHON, "(function_definition name: (identifier) @name) @function")
Reader = tuple[Callable[[Any], int | None], bool]
"""Reads a file and says how many functions it found; whether it takes text, or bytes."""
NAMES = ("lossplace", "lossplace, against")
PARSE, TWO, IDLE = "tree-sitter, parse", ", two cores", ", nothing to do"


def main() -> None:
    """Print the tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Speed and memory of `lossplace extract`.")
    parser.add_argument("repositories", nargs="+", type=Path, help="folders of repositories")
    parser.add_argument("--pairs", type=int, default=5, help="how often the sides take turns")
    parser.add_argument("--against", type=Path, help="another checkout of lossplace")
    parser.add_argument("--peers-mb", type=float, default=10, help="size of the peers' sample")
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 2, 4], help="for growth")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.add_argument("--lines", type=int, default=25, help="of the profile")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = repositories_of(options.repositories)
    checkouts = dict(zip(NAMES, filter(None, (ROOT, options.against)), strict=False))
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        link_copies(found, corpus, 1)
        runs = {name: fetched(corpus, Path(scratch) / name, at) for name, at in checkouts.items()}
        if options.profile:
            for name, run in runs.items():
                profile(run, options.lines, f"lossplace at {checkouts[name]}")
            return
        files = {p.relative_to(corpus).as_posix(): p.read_bytes() for p in python_files(corpus)}
        megabytes = sum(map(len, files.values())) / 1e6
        say(f"{len(found)} repositories, {len(files)} Python files, {megabytes:.1f} MB")
        result: dict[str, Any] = {
            "repositories": len(found),
            "files": len(files),
            "megabytes": round(megabytes, 1),
            "pairs": options.pairs,
        }
        result["speed"] = speed(runs, list(files.values()), megabytes, options.pairs)
        sample = drawn(files, options.peers_mb, options.seed)
        rate = result["speed"]["lossplace"]["mb_per_s"]
        result["peers"] = peers(sample, runs["lossplace"], rate)
        del files
        result["growth"] = growth(found, Path(scratch), options.copies)
    packages = ("tree-sitter", "tree-sitter-python", "pyarrow", "libcst", "ast-grep-py")
    say(f"written to {write_result('extraction', result, packages)}")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A run of which the corpus is done and nothing else, and the checkout that is measured."""

    folder: Path
    code: Path
    kept: frozenset[str]

    def extract(self, cores: int, *, memory: bool = False) -> Taken:
        """Run the extraction from nothing, on so many cores."""
        self.forget()
        return self.again(cores, memory=memory)

    def again(self, cores: int, *, memory: bool = False) -> Taken:
        """Run the command, whatever is done already."""
        first = sorted(os.sched_getaffinity(0))[:cores]
        return lossplace("extract", self.folder, code=self.code, cores=first, memory=memory)

    def forget(self) -> None:
        """Remove what the extraction wrote."""
        for path in self.folder.iterdir():
            if path.name not in self.kept and path.is_file():
                path.unlink()


def fetched(corpus: Path, folder: Path, code: Path) -> Fetched:
    """Return a run whose corpus is a folder of repositories."""
    lossplace("fetch", "--local", corpus, "--run-dir", folder, code=code)
    return Fetched(folder, code, frozenset(path.name for path in folder.iterdir()))


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of the clock, and of the processors."""

    seconds: float
    processor_s: float


def speed(
    runs: dict[str, Fetched], contents: list[bytes], megabytes: float, pairs: int
) -> dict[str, dict[str, Any]]:
    """Measure each run and the mere parse, in turn, on one core and on two."""
    sides: dict[str, Callable[[], Taken | Spent]] = {PARSE: lambda: parse_all(contents)}
    for name, run in runs.items():
        sides[name] = lambda run=run: run.extract(1)
        sides[name + TWO] = lambda run=run: run.extract(2)
    sides[PARSE + TWO] = lambda: parse_twice(contents)
    busy = list(sides)
    for name, run in runs.items():
        sides[name + IDLE] = lambda run=run: run.again(1)
    idle = list(sides)[len(busy) :]  # there is nothing to do once all is done
    taken: dict[str, list[Taken | Spent]] = {name: [] for name in sides}
    for pair in range(pairs):
        turn = [*busy, *idle] if pair % 2 == 0 else [*reversed(busy), *idle]
        for name in turn:
            taken[name].append(sides[name]())
    clock = {name: [each.seconds for each in all_] for name, all_ in taken.items()}
    processor = {name: [each.processor_s for each in all_] for name, all_ in taken.items()}
    rows: dict[str, dict[str, Any]] = {}
    say(f"\n{'':<36}{'s':>8}{'MB/s':>8}   of the parse's speed (min to max); by processor time")
    for name in sides:
        row: dict[str, Any] = {
            "seconds": rounded(clock[name]),
            "processor_s": rounded(processor[name]),
        }
        middle = statistics.median(clock[name])
        line = f"{name:<36}{middle:>8.2f}"
        if not name.endswith(IDLE):
            parsed = megabytes * (2 if name == PARSE + TWO else 1)
            row["mb_per_s"] = round(parsed / middle, 2)
            line += f"{row['mb_per_s']:>8.2f}"
        if name in runs:
            ratios = ratios_of(clock[PARSE], clock[name])
            row["ratio"] = {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
            row["ratio_by_processor_time"] = median(ratios_of(processor[PARSE], processor[name]))
            row["ratio_without_start"] = median(
                ratios_of(clock[PARSE], clock[name], clock[name + IDLE])
            )
            line += (
                f"   {row['ratio']['median']:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
                f"{row['ratio_by_processor_time']:.2f}; without the process's start "
                f"{row['ratio_without_start']:.2f}"
            )
        if name.endswith(TWO):
            one = name.removesuffix(TWO)
            work = 2 if one == PARSE else 1
            row["times_one_core"] = median([work * r for r in ratios_of(clock[one], clock[name])])
            line += f"   {row['times_one_core']:.2f} times one core"
            if one != PARSE:
                both = zip(clock[one], clock[name], clock[one + IDLE], strict=True)
                row["times_one_core_without_start"] = median(
                    [(o - i) / (t - i) for o, t, i in both]
                )
                line += f"; {row['times_one_core_without_start']:.2f} without the process's start"
        rows[name] = row
        say(line)
    return rows


def ratios_of(
    before: list[float], after: list[float], start: list[float] | None = None
) -> list[float]:
    """Return the pairs' ratios of times; ``start`` is taken off the later ones."""
    pairs = zip(before, after, start or [0.0] * len(after), strict=True)
    return rounded([b / (a - s) for b, a, s in pairs])


def median(values: list[float]) -> float:
    """Return the rounded median."""
    return round(statistics.median(values), 2)


def rounded(values: list[float]) -> list[float]:
    """Return rounded values."""
    return [round(value, 3) for value in values]


def parse_all(contents: list[bytes]) -> Spent:
    """Return what tree-sitter takes to parse all files, on the first core."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        return _parse_each(contents)
    finally:
        os.sched_setaffinity(0, everywhere)


def parse_twice(contents: list[bytes]) -> Spent:
    """Return what two processes take that parse all files each, at once, on a core each."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    spawn = get_context("spawn")
    together = spawn.Barrier(2)
    with spawn.Pool(2, _hold, (contents, together)) as pool:
        both = pool.map(_parse_on, cores, chunksize=1)
    return Spent(max(b.seconds for b in both), sum(b.processor_s for b in both))


_held: tuple[list[bytes], Any]


def _hold(contents: list[bytes], together: Any) -> None:
    global _held
    _held = (contents, together)


def _parse_on(core: int) -> Spent:
    contents, together = _held
    os.sched_setaffinity(0, {core})
    together.wait()
    return _parse_each(contents)


def _parse_each(contents: list[bytes]) -> Spent:
    parser = Parser(PYTHON)
    gc.collect()
    started, before = perf_counter(), process_time()
    for content in contents:
        parser.parse(content)
    return Spent(perf_counter() - started, process_time() - before)


def drawn(files: dict[str, bytes], megabytes: float, seed: int) -> dict[str, bytes]:
    """Return files drawn at random until they are of some size together."""
    paths = sorted(files)
    random.Random(seed).shuffle(paths)
    sample: dict[str, bytes] = {}
    size = 0
    for path in paths:
        if size >= megabytes * 1e6:
            break
        sample[path] = files[path]
        size += len(files[path])
    return sample


def peers(sample: dict[str, bytes], run: Fetched, rate: float) -> list[dict[str, Any]]:
    """Measure what else reads Python, file by file; print where they find other functions."""
    from ast_grep_py import SgRoot
    from libcst import parse_module

    parser = Parser(PYTHON)

    def query(content: bytes) -> int:
        captures = QueryCursor(FUNCTIONS).captures(parser.parse(content).root_node)
        return len(captures.get("function", ()))

    def parse_and_walk(text: str) -> int:
        nodes = ast.walk(ast.parse(text))
        return sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)

    def ast_grep(text: str) -> int:
        return len(SgRoot(text, "python").root().find_all(kind="function_definition"))

    def only(parse: Callable[[Any], object]) -> Callable[[Any], None]:
        def reader(given: Any) -> None:
            parse(given)

        return reader

    def code_search_net(content: bytes) -> int:
        return len(list(functions_below(parser.parse(content).root_node, content)))

    read = read_all(
        {
            PARSE: (only(parser.parse), False),
            "tree-sitter, one query": (query, False),
            "ast-grep, all functions": (ast_grep, True),
            "CodeSearchNet-like walk": (code_search_net, False),
            "ast.parse": (only(ast.parse), True),
            "ast.parse and ast.walk": (parse_and_walk, True),
            "libcst, parse": (only(parse_module), True),
        },
        sample,
    )
    found = functions_by_file(run, sample)
    parse_rate = read[PARSE].mb_per_s
    size = sum(map(len, sample.values()))
    say(f"\npeers, on {len(sample)} of the files ({size / 1e6:.1f} MB)")
    say(f"{'':<28}{'MB/s':>8}{'of parse':>10}{'functions':>11}{'files not read':>16}")
    rows = [
        {
            "peer": "lossplace extract",
            "mb_per_s": rate,
            "note": "all files, end to end: reads, decodes, hashes, writes",
            "functions": sum(found.values()),
            "files_not_read": sum(path not in found for path in sample),
        }
    ]
    for name, reading in read.items():
        rows.append(
            {
                "peer": name,
                "mb_per_s": round(reading.mb_per_s, 2),
                "ratio": round(reading.mb_per_s / parse_rate, 2),
                "functions": reading.total,
                "files_not_read": len(sample) - len(reading.counts),
            }
        )
    for row in rows:
        functions = "" if row["functions"] is None else row["functions"]
        say(
            f"{row['peer']:<28}{row['mb_per_s']:>8.2f}{row.get('ratio', ''):>10}{functions:>11}"
            f"{row['files_not_read']:>16}"
        )
    for row in rows[1:]:
        counts = read[str(row["peer"])].counts
        if row["functions"] is None:
            continue
        unread = sum(found.get(path, 0) for path in sample if path not in counts)
        other = {p: (found.get(p, 0), n) for p, n in counts.items() if n != found.get(p, 0)}
        row["differs"] = {
            "functions_of_lossplace_in_files_it_does_not_read": unread,
            "files_with_another_count": len(other),
            "functions_more_or_less_there": sum(n - ours for ours, n in other.values()),
        }
        say(
            f"{row['peer']}: in {row['files_not_read']} files that it does not read lossplace has "
            f"{unread} functions; {len(other)} other files differ "
            f"{dict(sorted(other.items())[:3]) or ''}"
        )
    return rows


@dataclass(slots=True)
class Reading:
    """How long a reader takes for the files that it reads, and the functions in each."""

    seconds: float = 0.0
    size: int = 0
    counts: dict[str, int | None] = field(default_factory=dict)

    @property
    def mb_per_s(self) -> float:
        """Megabytes a second."""
        return self.size / 1e6 / self.seconds

    @property
    def total(self) -> int | None:
        """All functions; None of a reader that finds none, since it only parses."""
        counts = [count for count in self.counts.values() if count is not None]
        return sum(counts) if counts else None


def read_all(readers: dict[str, Reader], sample: dict[str, bytes]) -> dict[str, Reading]:
    """Have each reader read each file, in turn with the others.

    What a reader fails on counts neither as time nor as size.
    """
    readings = {name: Reading() for name in readers}
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes in what is parsed
        for path, content in sample.items():
            text = decoded(content)
            for name, (reader, of_text) in readers.items():
                given = text if of_text else content
                with suppress(Exception):
                    started = perf_counter()
                    found = reader(given)
                    readings[name].seconds += perf_counter() - started
                    readings[name].size += len(content)
                    readings[name].counts[path] = found
    return readings


def functions_below(node: Node, source: bytes) -> Iterator[tuple[str, str]]:
    """Give every function below a node, with name and text, by a walk over all nodes in Python.

    So do the scripts that follow CodeSearchNet's function parser.
    """
    for child in node.children:
        if child.type == "function_definition":
            name = next((each for each in child.children if each.type == "identifier"), None)
            named = source[name.start_byte : name.end_byte].decode() if name else ""
            yield named, source[child.start_byte : child.end_byte].decode("utf-8", "replace")
        yield from functions_below(child, source)


def functions_by_file(run: Fetched, sample: dict[str, bytes]) -> dict[str, int]:
    """Return how many functions lossplace found in each file of a sample that it read."""
    run.extract(2)
    columns = ["repository", "path"]
    read = pd.read_parquet(run.folder / "files.parquet", columns=[*columns, "text"])
    snippets = pd.read_parquet(run.folder / "snippets.parquet", columns=[*columns, "kind"])
    counts = Counter(paths_in_corpus(snippets[snippets["kind"] != "loop"]))
    return {
        path: counts[path] for path in paths_in_corpus(read[read["text"].notna()]) if path in sample
    }


def paths_in_corpus(rows: pd.DataFrame) -> pd.Series:
    """Return where each row's file is, from the corpus's folder."""
    return rows["repository"].str.replace("/", "__", n=1) + "/" + rows["path"]


def decoded(content: bytes) -> str:
    """Return a file's text, as lossplace reads it."""
    found = decode(content)
    return found.text if found else ""


def growth(found: dict[str, Path], scratch: Path, copies: list[int]) -> list[dict[str, Any]]:
    """Measure one core against all, and the peak over all processes, as the corpus grows."""
    rows = []
    cores = len(os.sched_getaffinity(0))
    heads = f"{'copies':>8}{'repositories':>14}{'MB':>8}{'one core s':>12}{f'{cores} cores s':>12}"
    say(f"\n{heads}{'times':>8}{'peak MiB':>10}")
    for number in copies:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            corpus = Path(folder) / "corpus"
            link_copies(found, corpus, number)
            megabytes = sum(path.stat().st_size for path in python_files(corpus)) / 1e6
            run = fetched(corpus, Path(folder) / "run", ROOT)
            alone = run.extract(1).seconds
            together = run.extract(cores).seconds
            peak_mib = run.extract(cores, memory=True).peak_mib  # to look takes time, too
        assert peak_mib is not None
        row = {
            "copies": number,
            "repositories": number * len(found),
            "megabytes": round(megabytes, 1),
            "one_core_seconds": round(alone, 1),
            "seconds": round(together, 1),
            "times_one_core": round(alone / together, 2),
            "peak_mib": round(peak_mib),
        }
        rows.append(row)
        say(
            f"{number:>8}{row['repositories']:>14}{megabytes:>8.1f}{alone:>12.1f}"
            f"{together:>12.1f}{row['times_one_core']:>8}{peak_mib:>10.0f}"
        )
    return rows


def profile(run: Fetched, lines: int, title: str) -> None:
    """Print in which functions the processes of an extraction are, by samples of their stacks."""
    spy = Path(sysconfig.get_path("scripts"), "py-spy")
    run.forget()
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks"
        subprocess.run(
            [
                *(str(spy), "record", "--rate", "200", "--format", "raw", "--output", str(stacks)),
                *("--subprocesses", "--native", "--function"),
                *("--", *command_line(run.code), "extract", str(run.folder)),
            ],
            env={**os.environ, "PYTHONPATH": str(run.code)},
            check=True,
            capture_output=True,
        )
        own: Counter[str] = Counter()
        within: Counter[str] = Counter()
        for line in stacks.read_text("utf-8").splitlines():
            stack, _, samples = line.rpartition(" ")
            frames = [frame for frame in stack.split(";") if not frame.startswith("process ")]
            own[frames[-1]] += int(samples)
            within.update(dict.fromkeys(frames, int(samples)))
    total = own.total()
    say(f"\n{title}: {total} samples; share of the time with what is called, and of its own")
    shown = [frame for frame, _ in within.most_common() if is_ours(frame)]
    for frame in [*shown[:lines], "", *(frame for frame, _ in own.most_common(lines))]:
        if frame:
            say(f"{within[frame] / total:>8.1%}{own[frame] / total:>8.1%}  {frame}")
        else:
            say("by their own time:")


def is_ours(frame: str) -> bool:
    """Tell whether a frame is of this project, or an entry to a library that it calls."""
    entries = ("ts_parser_parse_string", "query_cursor_", "parquet/core.py", "hashlib")
    return frame.partition("(")[2].startswith(("mining/", "classify/")) or any(
        entry in frame for entry in entries
    )


if __name__ == "__main__":
    main()
