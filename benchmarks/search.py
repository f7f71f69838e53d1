"""How many requests a complete search takes, what it misses, and what kills cost it.

    python benchmarks/search.py [--repositories N] [--populations M] [--kills K]

Runs `search.population = "all"` against the tests' GitHub on loopback: 30 requests a minute and
token, the first 1,000 results of a search, 100 on a page. Prints, for M synthetic populations of
N repositories, the requests against the theoretical least (full pages and nothing else), the gap,
and how long GitHub's rate limit makes it last with one token and with three (its clock is turned,
not waited for); the same for a GitHub that fails, limits, runs out of time, drifts and changes
while it is read; then kills the real process (SIGKILL) K times at random points and says what was
lost and what was asked twice. Writes benchmarks/results/search.json.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import command_line, write_result  # noqa: E402
from mining.artifacts import Run  # noqa: E402
from mining.github import search_all  # noqa: E402
from mining.ledger import LEDGER  # noqa: E402
from mining.pages import REPOSITORIES, SEARCH  # noqa: E402
from mining.study import SearchSettings  # noqa: E402
from tests.mining.github_server import (  # noqa: E402
    NOW,
    Asked,
    GitHubServer,
    iso,
    population,
    primary_limit,
    secondary_limit,
    server_error,
)

QUERY = {"frameworks": ("PyTorch",), "architectures": ("CNN",), "population": "all"}
TOKENS = ("ghp_one", "ghp_two", "ghp_three")


class Clock:
    """Lets time pass on the server instead of here."""

    def __init__(self, server: GitHubServer) -> None:
        self.server, self.start = server, server.virtual_now

    def wait(self, seconds: float, _why: str) -> None:
        """Turn the clock."""
        self.server.virtual_now += seconds

    def now(self) -> float:
        """Return the seconds since the start."""
        return self.server.virtual_now - self.start


def searched(server: GitHubServer, folder: Path, tokens: int = 1) -> dict[str, Any]:
    """Search everything; return the row of the ledger, and what the server knows."""
    clock, run = Clock(server), Run(folder)
    server.token, server.other_tokens = TOKENS[0], set(TOKENS[1:tokens])
    settings = SearchSettings(base_url=server.base_url, max_gap_percent=100, **QUERY)
    search_all(run, settings, lambda: TOKENS[:tokens], clock.wait, clock.now)
    (row,) = run.read(LEDGER).to_dict("records")
    truth = {each["id"] for each in server.results["PyTorch CNN"]}
    found = set(run.read(REPOSITORIES)["repository_id"])
    return {
        **row,
        "requests": len(server.asked),
        "requests_by_least": len(server.asked) / row["pages_least"],
        "missing": len(truth - found),
        "waited_minutes": clock.now() / 60,
    }


def against_least(repositories: int, populations: int, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each population."""
    rows = []
    for seed in range(populations):
        found = population(repositories, seed)
        with GitHubServer({"PyTorch CNN": found}) as server:
            row = searched(server, folder / f"one-{seed}")
        with GitHubServer({"PyTorch CNN": found}) as server:
            three = searched(server, folder / f"three-{seed}", tokens=3)
        rows.append({"seed": seed, **row, "waited_minutes_of_three": three["waited_minutes"]})
    return rows


def against_faults(repositories: int, folder: Path) -> dict[str, Any]:
    """Return the row of a search at a GitHub of which every tenth answer is something else."""
    rng = random.Random(0)
    found = population(repositories, 0)
    faults = [
        server_error(502),
        secondary_limit(),
        secondary_limit(429, 20),
        primary_limit(),
    ]
    with GitHubServer({"PyTorch CNN": found}) as server:

        def change(_: Asked) -> None:
            """One repository in two thousand is updated between two requests, one is renamed."""
            for _ in range(repositories // 2000):
                i = rng.randrange(repositories)
                found[i] = found[i] | {"updated_at": iso(NOW + len(server.asked))}
            i = rng.randrange(repositories)
            found[i] = found[i] | {"full_name": f"renamed/to{len(server.asked)}"}
            if rng.random() < 0.1:
                server.faults.append(rng.choice(faults))

        server.before = change
        server.count = lambda _query, _page, total: total + rng.choice((-1, 0, 0, 0, 1))
        server.incomplete = lambda _text, _page: rng.random() < 0.03
        return searched(server, folder / "faults")


def killed(repositories: int, kills: int, folder: Path) -> dict[str, Any]:
    """Kill the real process up to two seconds after its first request, and start it again."""
    rng = random.Random(0)
    found = population(repositories, 0)
    done = searches = requests = pages = missing = 0
    environment = {**os.environ, "GITHUB_TOKEN": TOKENS[0], "PYTHONPATH": str(ROOT)}
    while done < kills:
        with GitHubServer({"PyTorch CNN": found}, wall_clock=True) as server:
            server.token, server.per_minute, server.delay_s = TOKENS[0], 10**6, 0.1
            study = folder / f"killed{searches}.toml"
            study.write_text(
                '[search]\nframeworks = ["PyTorch"]\narchitectures = ["CNN"]\n'
                f'population = "all"\nbase_url = "{server.base_url}"\n'
            )
            run = Run(folder / f"killed{searches}")
            program = [*command_line(ROOT), "search", str(study)]
            program += ["--run-dir", str(run.folder)]
            while run.sidecar(REPOSITORIES) is None:
                process = subprocess.Popen(
                    program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                asked = len(server.asked)
                while done < kills and process.poll() is None and len(server.asked) == asked:
                    time.sleep(0.01)
                try:
                    process.wait(rng.uniform(0.0, 2.0) if done < kills else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    done += 1
            (row,) = run.read(LEDGER).to_dict("records")
            truth = {each["id"] for each in found}
            missing += len(truth - set(run.read(REPOSITORIES)["repository_id"]))
            files = {p for p in run.path(SEARCH).parent.rglob("*") if p.is_file()}
            assert not [p for p in files if p.name.endswith(".part")]
            requests += len(server.asked)
            pages += row["pages"]
            searches += 1
    return {
        "kills": done,
        "searches": searches,
        "pages": pages,
        "requests": requests,
        "asked_twice": requests - pages,
        "repositories_missing": missing,
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures."""
    print(f"{result['repositories']} repositories; requests against the least possible")
    for row in [*result["populations"], {"seed": "faults", **result["faults"]}]:
        minutes = f"{row['waited_minutes']:.0f} min of waiting"
        if "waited_minutes_of_three" in row:
            minutes += f", {row['waited_minutes_of_three']:.0f} with three tokens"
        print(
            f"  {row['seed']!s:>6}: {row['requests']} of {row['pages_least']} "
            f"({row['requests_by_least']:.2f}), {row['windows']} windows, gap "
            f"{row['gap_percent']:.2f} %, {row['missing']} missing, {minutes}"
        )
    print("kills: " + ", ".join(f"{n} {name}" for name, n in result["killed"].items()))


def main() -> None:
    """Print the figures, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Requests, gap and kills of a search.")
    parser.add_argument("--repositories", type=int, default=20_000)
    parser.add_argument("--populations", type=int, default=3)
    parser.add_argument("--kills", type=int, default=30)
    options = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        result = {
            "repositories": options.repositories,
            "populations": against_least(options.repositories, options.populations, folder),
            "faults": against_faults(options.repositories, folder),
            "killed": killed(options.repositories, options.kills, folder),
        }
    show(result)
    print(f"in {time.monotonic() - start:.0f} s")
    write_result("search", result, ("PyGithub", "pandas"))


if __name__ == "__main__":
    main()
