"""What killing each command costs, and what is then left of it.

    python benchmarks/kills.py [--kills N] [--command NAME ...] [--seed S]

Runs a small study against the tests' GitHub, git host and model, on loopback. Each command is
started as a process N times and stopped by SIGKILL, SIGTERM or SIGINT in turn: half the times
right before one of its steps (each file that it opens for writing, renames or removes), half at
a random time, there by Ctrl-C's way to the whole process group every other time; up to three
times in a row. Then it runs to its end, and all that it leaves is compared with what the unbroken
command leaves. Prints a table and writes benchmarks/results/kills.json, anew after each command.
With --command the other commands' rows of as many kills and the same seed stay in that file: so a
long measurement can be made a command at a time. ``slowest`` is the longest time from SIGTERM or
SIGINT to the end, ``children`` the longest that a process of its own lived on, ``again`` what was
on disk and was paid for once more, ``repeated`` requests beyond those of the unbroken command (what
was under way), ``outside`` signals that came before the first line of lossplace or after its last
(Python answers those), ``wrong`` are tracebacks and ends that do not say how to go on. Nine of ten
trials fork a process that has the modules loaded, so that the signals fall into the work; the
tenth starts Python anew, and so does the unbroken command that all are compared with.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import RESULTS, write_result  # noqa: E402
from tests.killing.harness import differences  # noqa: E402
from tests.killing.trials import Found, Stop, try_out, whole  # noqa: E402
from tests.killing.warm import Warm  # noqa: E402
from tests.killing.world import World  # noqa: E402

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Parse, kill, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of each command")
    parser.add_argument("--command", action="append", help="this one only; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # a shell has what it puts in the background ignore Ctrl-C, and so would all that starts here
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows = kept(options.kills, options.seed) if options.command else {}
    measured = []
    with (
        tempfile.TemporaryDirectory(prefix="kills") as folder,
        World(Path(folder)) as world,
        Warm() as warm,
    ):
        world.build(set(options.command or ()) or None, warm)
        print(f"{'command':<20} KILL TERM  INT  reruns  differ  again  repeated", end="")
        print("  slowest  children  outside  wrong  each")
        for name in world.cases:
            rng = random.Random(f"{name} {options.seed}")
            row = measure(world, name, options.kills, rng, warm)
            measured.append(row)
            rows[name] = row
            result = {"kills": options.kills, "seed": options.seed, "rows": list(rows.values())}
            write_result("kills", result, ("pyarrow", "pandas"))
            kills = "".join(f"{row['kills'][each.name]:>5}" for each in SIGNALS)
            print(
                f"{name:<19}{kills}{row['reruns']:>8}{len(row['differed']):>8}"
                f"{row['paid_again']:>7}{row['repeated']:>10}{row['slowest_s']:>7.2f} s"
                f"{row['outlived_s']:>8.2f} s{row['outside']:>9}{len(row['wrong']):>7}"
                f"{row['each_s']:>4.1f} s",
                flush=True,
            )
            for line in (*row["differed"], *row["wrong"]):
                print(f"    {line}")
    if any(row["differed"] or row["wrong"] or row["paid_again"] for row in measured):
        sys.exit(1)


def kept(kills: int, seed: int) -> dict[str, dict[str, Any]]:
    """Return the rows that are there already of so many kills and this seed, by command."""
    path = RESULTS / "kills.json"
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if (found.get("kills"), found.get("seed")) != (kills, seed):
        return {}
    return {row["command"]: row for row in found["rows"]}


def measure(world: World, name: str, kills: int, rng: random.Random, warm: Warm) -> dict[str, Any]:
    """Kill a command so often, and return what came of it."""
    cold, found, began = world.cases[name], Found(), perf_counter()
    forked = replace(cold, command=replace(cold.command, warm=warm))
    folder = world.folder / "trials" / name
    folder.mkdir(parents=True)
    unbroken = whole(world, cold, folder)
    unkilled = whole(world, forked, folder)
    found.differed += differences(unkilled.state, unbroken.state)
    ran_s = {True: unbroken.ended.ran_s, False: unkilled.ended.ran_s}
    tries = trials = 0
    while found.kills.total() < kills and tries < 3 * kills:  # who comes late kills nobody
        stops, starts = [], trials % 10 == 9
        trials += 1
        for _ in range(min(rng.randint(1, 3), kills - found.kills.total())):
            number = SIGNALS[tries % 3]
            tries += 1
            if unbroken.steps and rng.random() < 0.5:
                stops.append(Stop(number, step=rng.randint(1, len(unbroken.steps))))
            else:
                at = rng.uniform(0, ran_s[starts])
                stops.append(Stop(number, seconds=at, group=rng.random() < 0.5))
        try_out(world, cold if starts else forked, unbroken, stops, folder, found)
    return {
        "command": name,
        "steps": len(unbroken.steps),
        "kills": {each.name: found.kills[each.name] for each in SIGNALS},
        "reruns": found.reruns,
        "differed": sorted(set(found.differed)),
        "paid_again": found.paid_again,
        "repeated": found.repeated,
        "slowest_s": round(found.slowest_s, 3),
        "outlived_s": round(found.outlived_s, 3),
        "outside": found.outside,
        "each_s": round((perf_counter() - began) / max(1, found.kills.total()), 2),
        "wrong": sorted(set(found.wrong)),
    }


if __name__ == "__main__":
    main()
