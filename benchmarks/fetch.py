"""What fetching only code saves, and what a fetch that is killed loses: real repositories.

    python benchmarks/fetch.py FOLDER [--repositories N] [--kills N]

FOLDER holds bare repositories of git, at any depth; N of them, drawn at random, are served by
git's own smart HTTP on loopback. What each costs is measured side by side: only its code, as
`lossplace fetch` gets it (also with notebooks, and as of five years before the newest commit); the
tarball that a host makes of the newest commit (`git archive`, unpacked); a full clone. Bytes are
those of requests and answers, without HTTP headers. Loopback costs no time, so that seconds are
those of git, and a slow line adds the bytes.

Then `lossplace fetch` of all of them, from a server slowed down to `--rate` bytes a second and
connection, is killed (SIGKILL of its process group) at random instants and begun again, `--kills`
times in all, and what it left is compared with what was never interrupted. Writes
benchmarks/results/fetch.json.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import command_line, write_result  # noqa: E402
from mining.artifacts import Run  # noqa: E402
from mining.clone import Clone, files_of_clone, open_clone  # noqa: E402
from mining.clones import CLONES  # noqa: E402
from mining.corpus import git_blob_sha1  # noqa: E402
from mining.errors import ArtifactError  # noqa: E402
from mining.fetch import fetch_repositories  # noqa: E402
from mining.pipeline import CORPUS  # noqa: E402
from mining.study import CorpusSettings, ScaleSettings  # noqa: E402
from tests.mining.git_server import GitServer  # noqa: E402

WAYS = ("code", "code_and_notebooks", "code_as_of", "tarball", "full_clone")
LONGEST_S = 6.0
"""A fetch is killed at most so long after its first request."""


def repositories_below(folder: Path, count: int, seed: int) -> dict[str, Path]:
    """Return bare repositories that are whole, by names of our own: ``r/<folder's name>``."""
    found: dict[str, Path] = {}
    for objects in sorted(folder.glob("**/objects")):
        place = objects.parent
        if (place / "HEAD").is_file() and (place / "refs").is_dir():
            name = next(p for p in (place.name, place.parent.name, place.parent.parent.name)
                        if p not in (".git", "repo"))  # fmt: skip
            found[f"r/{name.removesuffix('.git').replace('+', '.')}"] = place
    names = sorted(found)
    random.Random(seed).shuffle(names)
    whole = (name for name in names if _is_whole(found[name]))
    return {name: found[name] for _, name in zip(range(count), whole, strict=False)}


def compare(server: GitServer, name: str, place: Path) -> dict[str, Any]:
    """Measure the ways to one repository's code."""
    row: dict[str, Any] = {"repository": name.partition("/")[2]}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clone: Clone | None = None
        for way in ("code", "code_and_notebooks", "code_as_of"):
            newest = clone.commit.committed_at if clone else None
            settings = CorpusSettings(
                clone_url=server.clone_url,
                notebooks=way == "code_and_notebooks",
                as_of=newest - timedelta(days=5 * 365) if way == "code_as_of" and newest else None,
            )
            with _measured(server, row, way):
                done, _ = fetch_repositories(
                    Run(folder / way), {name: None}, settings, scale=ScaleSettings()
                )
            if way == "code":
                clone = done[name]
                row["files"] = sum(1 for _ in files_of_clone(clone.folder, 10**9, notebooks=False))
                row["python_files"] = sum(
                    each.content is not None
                    for each in files_of_clone(clone.folder, 10**9, notebooks=False)
                )
                row["disk_bytes"] = clone.size_bytes
            elif way == "code_as_of" and not done:
                row[way] = None  # it is younger
        started = time.perf_counter()
        archive = folder / "archive.tar.gz"
        with archive.open("wb") as file:
            subprocess.run(
                ["git", "--git-dir", str(place), "archive", "--format=tar.gz", "HEAD"],
                stdout=file,
                check=True,
            )
        (folder / "unpacked").mkdir()
        subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder / "unpacked")], check=True)
        seconds = time.perf_counter() - started
        row["tarball"] = {"bytes": archive.stat().st_size, "seconds": round(seconds, 3)}
        with _measured(server, row, "full_clone"):
            url = server.clone_url.replace("{repository}", name)
            command = ["git", "clone", "--quiet", url, str(folder / "full")]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return row


def kill_and_resume(
    served: Path, names: list[str], kills: int, rate: float, seed: int
) -> dict[str, Any]:
    """Kill `lossplace fetch` again and again; return what that cost."""
    draw = random.Random(seed)
    total = dict.fromkeys(
        ("kills", "runs", "lost", "damaged", "fetched_again", "begun_again", "left_running"), 0
    )
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "list.csv"
        listed.write_text("repository,commit\n" + "".join(f"{name},\n" for name in names))
        with GitServer(served) as server:
            whole = _study(Path(scratch), "whole", server, listed)
            _fetch(whole).wait()
            expected = _rows(whole)
        while total["kills"] < kills:
            with GitServer(served, bytes_per_s=rate) as server:
                run = _study(Path(scratch), f"run{total['runs']}", server, listed)
                total["runs"] += 1
                finished: set[str] = set()
                while total["kills"] < kills:
                    before = len(server.requests)
                    process = _fetch(run)
                    while process.poll() is None and len(server.requests) == before:
                        time.sleep(0.01)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(draw.uniform(0, LONGEST_S))
                        break
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    total["kills"] += 1
                    time.sleep(0.5)
                    total["left_running"] += _running(run)
                    asked = {each.repository for each in server.requests[before:]}
                    total["fetched_again"] += len(asked & finished)
                    there, damaged = _clones(run)
                    total["damaged"] += damaged
                    total["lost"] += len(finished - there)
                    total["begun_again"] += len(asked - there)
                    finished = there
                server.bytes_per_s = None
                before = len(server.requests)
                _fetch(run).wait()
                asked = {each.repository for each in server.requests[before:]}
                total["fetched_again"] += len(asked & finished)
                total["lost"] += len(expected - _rows(run))
            print(f"killed {total['kills']} times: {total}", flush=True)
    return {**total, "rate": rate, "repositories": len(names)}


def main() -> None:
    """Print the measurements, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Bytes and time of fetching code; kills.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repositories", type=int, default=40)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--rate", type=float, default=100_000, help="bytes a second, each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = repositories_below(options.folder, options.repositories, options.seed)
    if not found:
        sys.exit(f"Expected bare repositories below {options.folder}, found none.")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        served = Path(scratch)
        for name, place in found.items():
            (served / name).parent.mkdir(exist_ok=True)
            (served / f"{name}.git").symlink_to(place.resolve())
        with GitServer(served) as server:
            for name, place in found.items():
                rows.append(compare(server, name, place))
                print(_line(rows[-1]), flush=True)
        killed = kill_and_resume(served, list(found), options.kills, options.rate, options.seed)
    total = _total(rows)
    print(_line(total))
    git = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout
    result = {
        "seed": options.seed,
        "git": git.split()[2],
        "total": total,
        "kills": killed,
        "rows": rows,
    }
    write_result("fetch", result, ("pandas", "pyarrow"))


@contextmanager
def _measured(server: GitServer, row: dict[str, Any], way: str) -> Iterator[None]:
    bytes_before, started = server.bytes, time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    time.sleep(0.05)  # the server notes a request after the client has its last byte
    row[way] = {"bytes": server.bytes - bytes_before, "seconds": round(seconds, 3)}


def _is_whole(place: Path) -> bool:
    """Tell whether a full clone can be made of it: some snapshots are shallow or incomplete."""
    if (place / "shallow").exists() and (place / "shallow").stat().st_size:
        return False
    command = ["git", "--git-dir", str(place), "rev-list", "--objects", "--quiet", "HEAD", "--all"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _study(folder: Path, name: str, server: GitServer, listed: Path) -> Run:
    study = folder / f"{name}.toml"
    study.write_text(
        f'[corpus]\ncommits = "{listed.name}"\nclone_url = "{server.clone_url}"\n', "utf-8"
    )
    return Run(folder / name)


def _fetch(run: Run) -> subprocess.Popen[bytes]:
    study = run.folder.with_suffix(".toml")
    return subprocess.Popen(
        [*command_line(ROOT), "fetch", str(study), "--run-dir", str(run.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _rows(run: Run) -> set[tuple[object, ...]]:
    columns = ["repository", "commit", "committed_at", "tree_sha256", "python_files"]
    return set(run.read(CORPUS, columns).itertuples(index=False, name=None))


def _running(run: Run) -> int:
    """Count the processes that still write into the run."""
    commands = (path.read_bytes() for path in _readable(Path("/proc").glob("[0-9]*/cmdline")))
    return sum(str(run.folder).encode() in command for command in commands)


def _readable(paths: Iterator[Path]) -> Iterator[Path]:
    for path in paths:
        with suppress(OSError):
            path.read_bytes()
            yield path


def _clones(run: Run) -> tuple[set[str], int]:
    """Return what looks finished, and how many of those are not: every hash is computed anew."""
    there, damaged = set(), 0
    for folder in run.path(CLONES).glob("[!.]*.git"):
        there.add(folder.name.removesuffix(".git").replace("__", "/", 1))
        try:
            open_clone(folder)
            damaged += any(
                each.content is not None and git_blob_sha1(each.content) != each.git_sha1
                for each in files_of_clone(folder, 10**9, notebooks=False)
            )
        except (ArtifactError, OSError):
            damaged += 1
    return there, damaged


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {"repository": f"all {len(rows)}"}
    for way in WAYS:
        had = [row[way] for row in rows if row[way]]
        total[way] = {
            "repositories": len(had),
            "bytes": sum(each["bytes"] for each in had),
            "seconds": round(sum(each["seconds"] for each in had), 1),
        }
    for key in ("files", "python_files", "disk_bytes"):
        total[key] = sum(row[key] for row in rows)
    return total


def _line(row: dict[str, Any]) -> str:
    cells = (
        f"{row[way]['bytes'] / 1e6:9.2f} MB{row[way]['seconds']:7.1f} s" if row[way] else " " * 21
        for way in WAYS
    )
    return f"{row['repository'][:34]:<34}" + "".join(cells)


if __name__ == "__main__":
    main()
