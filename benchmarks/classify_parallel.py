"""How fast the rules place a corpus: on one core, on two, and beside another checkout.

    python benchmarks/classify_parallel.py REPOSITORIES [--against CHECKOUT] [--times N]

REPOSITORIES is a folder of `owner__name` folders. They are extracted once; then `lossplace
classify` runs N times in each way, in turn with the others, from nothing to placements.parquet.
Prints snippets a second of the fastest time, start-up included, the ratio to one core, and the
memory; all ways must give the same placements, byte for byte. CHECKOUT is another version of this
repository, which runs on one core too. Writes benchmarks/results/classify_parallel.json.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import Taken, lossplace, say, write_result  # noqa: E402
from mining.artifacts import Run  # noqa: E402
from mining.extraction import SNIPPETS  # noqa: E402

WRITTEN = ("placements.parquet", "costs.parquet")


def extracted(repositories: Path, folder: Path, code: Path) -> Run:
    """Extract the repositories by a checkout, which may write other tables than this one."""
    folder.mkdir()
    study = folder / "study.toml"
    study.write_text(f'name = "rules"\n[corpus]\nlocal = "{repositories.resolve()}"\n', "utf-8")
    run = Run(folder / "run")
    for stage in ("fetch", "extract"):
        lossplace(stage, study, "--run-dir", run.folder, code=code)
    return run


def classified(run: Run, code: Path, cores: set[int]) -> tuple[Taken, bytes]:
    """Classify a copy of a run; return what it took, and the bytes that it wrote."""
    folder = run.folder.with_name("copy")
    shutil.copytree(run.folder, folder)
    try:
        taken = lossplace("classify", folder, code=code, cores=cores, memory=True)
        return taken, b"".join((folder / name).read_bytes() for name in WRITTEN)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Print the speeds, and write them as JSON."""
    parser = argparse.ArgumentParser(description="The rules judge on one core and on two.")
    parser.add_argument("repositories", type=Path)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--times", type=int, default=3, help="how often in each way")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    ways = {"one core": (ROOT, set(cores[:1])), "two cores": (ROOT, set(cores[:2]))}
    if options.against is not None:
        ways["the other checkout, one core"] = (options.against.resolve(), set(cores[:1]))
    with TemporaryDirectory() as temporary:
        codes = {code for code, _ in ways.values()}
        runs = {
            code: extracted(options.repositories, Path(temporary, f"code{number}"), code)
            for number, code in enumerate(codes)
        }
        snippets = len(runs[ROOT].read(SNIPPETS, ["repository"]))
        fastest: dict[str, Taken] = {}
        written: set[bytes] = set()
        for _ in range(options.times):
            for way, (code, on) in ways.items():
                taken, result = classified(runs[code], code, on)
                written.add(result)
                if way not in fastest or taken.seconds < fastest[way].seconds:
                    fastest[way] = taken
    rows: list[dict[str, Any]] = []
    same = len(written) == 1
    say(f"{snippets} snippets; placements {'equal, byte for byte' if same else 'differ'}")
    say(f"{'':<30}{'seconds':>9}{'snippets/s':>12}{'processor s':>13}{'ratio':>7}{'MiB':>7}")
    for way, taken in fastest.items():
        ratio = fastest["one core"].seconds / taken.seconds
        rows.append(
            {
                "way": way,
                "seconds": round(taken.seconds, 2),
                "snippets_per_second": round(snippets / taken.seconds),
                "processor_s": round(taken.processor_s, 2),
                "ratio": round(ratio, 2),
                "peak_mib": round(taken.peak_mib or 0),
            }
        )
        say(
            f"{way:<30}{taken.seconds:>9.2f}{snippets / taken.seconds:>12.0f}"
            f"{taken.processor_s:>13.2f}{ratio:>7.2f}{taken.peak_mib or 0:>7.0f}"
        )
    fields = {
        "snippets": snippets,
        "times": options.times,
        "equal": len(written) == 1,
        "ways": rows,
    }
    say(f"written to {write_result('classify_parallel', fields, ('tree-sitter', 'pyarrow'))}")


if __name__ == "__main__":
    main()
