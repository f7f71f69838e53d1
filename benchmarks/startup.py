"""How long `lossplace --help` takes to start, beside other programs in Python, and what for.

    python benchmarks/startup.py [--times N]

Each program is started N times, in turn with the others, on one core. Prints the median, the least
and the ratio to the interpreter alone, then the imports that take longest. Writes
benchmarks/results/startup.json.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import say, take, write_result  # noqa: E402

SCRIPTS = Path(sysconfig.get_path("scripts"))
ALONE = "python -c pass"
PROGRAMS: dict[str, list[object]] = {
    ALONE: [sys.executable, "-c", "pass"],
    "python -c 'import typer'": [sys.executable, "-c", "import typer"],
    "lossplace --help": [SCRIPTS / "lossplace", "--help"],
    "lossplace classify --help": [SCRIPTS / "lossplace", "classify", "--help"],
    "pip --help": [sys.executable, "-m", "pip", "--help"],
    "pytest --version": [sys.executable, "-m", "pytest", "--version"],
}
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|( +)(\S+)")


def main() -> None:
    """Print the times, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Start-up of the command line.")
    parser.add_argument("--times", type=int, default=20, help="how often each is started")
    options = parser.parse_args()
    core = {min(os.sched_getaffinity(0))}
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(options.times + 1):
        for name, command in PROGRAMS.items():
            taken = take(command, {}, core).seconds
            if turn:  # the first one reads from disk
                seconds[name].append(taken)
    rows: list[dict[str, Any]] = []
    alone = statistics.median(seconds[ALONE])
    say(f"{'':<28}{'median s':>10}{'least s':>10}{'of python':>11}")
    for name, all_ in seconds.items():
        middle = statistics.median(all_)
        rows.append(
            {
                "program": name,
                "median_s": round(middle, 3),
                "least_s": round(min(all_), 3),
                "ratio": round(middle / alone, 1),
            }
        )
        say(f"{name:<28}{middle:>10.3f}{min(all_):>10.3f}{middle / alone:>11.1f}")
    longest = imports()
    say("\nlongest imports of `lossplace --help` (with what they import; by themselves), ms")
    for row in longest:
        say(f"  {row['ms']:>7.1f}{row['own_ms']:>7.1f}  {row['module']}")
    result = {"times": options.times, "programs": rows, "imports": longest}
    say(f"written to {write_result('startup', result, ('typer', 'pip', 'pytest'))}")


def imports(most: int = 12) -> list[dict[str, Any]]:
    """Return the modules that take longest to import for `lossplace --help`."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(SCRIPTS / "lossplace"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [
        {"module": name, "ms": int(whole) / 1000, "own_ms": int(own) / 1000}
        for own, whole, _, name in _IMPORT.findall(done.stderr)
    ]
    return sorted(found, key=lambda row: -row["ms"])[:most]


if __name__ == "__main__":
    main()
