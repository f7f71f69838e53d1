"""Real Ray clusters on this machine, a node lost half-way, and the same bytes as without.

    python benchmarks/cluster.py FOLDER [FOLDER...] [--repositories N] [--nodes N]
    python benchmarks/cluster.py FOLDER [FOLDER...] --namespaces      (as root)

The folders hold repositories. They become git repositories, which `lossplace run` fetches, extracts
and has judged by the rules: once by the processes of this machine, then by a cluster of several
raylets, of which one is killed (SIGKILL) when half of the repositories are extracted. With
`--namespaces` each node has a network namespace and an address of its own, clones and parts go
through an S3-compatible server (moto).

Printed, and written to benchmarks/results/cluster.json (or cluster_namespaces.json): what was begun
and what was finished more than once, wall time, and whether every artifact is equal.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.corpora import repositories_of  # noqa: E402
from benchmarks.measuring import command_line, write_result  # noqa: E402
from tests.mining.git_server import Host  # noqa: E402

STORE_BYTES = 80_000_000
SUBNET = "10.213.77"
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_DEDUP_LOGS": "0"}
NOT_COMPARED = ("study.json", "votes.sqlite", ".lock")
"""Compared otherwise, or in words: settings, and the times at which votes were stored."""


def drive(scratch: Path, repositories: int, arguments: list[str]) -> None:
    """Run `lossplace`, and note each attempt that is begun, and that is finished.

    The first worker that begins an extraction after half of them is doomed: it says on which node
    it is, and waits for the end of that.
    """
    import ray

    from classify.__main__ import main as work
    from mining.engines import ray as engine

    log, doomed = scratch / "attempts", scratch / "doomed"

    def note(what: str, stage: str, work: bytes, item: bytes) -> None:
        with log.open("a") as file:
            file.write(f"{what} {stage} {hashlib.sha256(work + item).hexdigest()}\n")

    original = engine.attempt

    def attempt(row: dict[str, Any], work: bytes, of_version: str) -> dict[str, Any]:
        stage = next((name for word, name in STAGES.items() if word in work), "other")
        note("begun", stage, work, row["item"])
        half = log.read_text().count("done extract") >= repositories // 2
        if stage == "extract" and half and not doomed.exists():
            doomed.write_text(ray.get_runtime_context().get_node_id())
            time.sleep(60)
        result = original(row, work, of_version)
        if result["ending"] == engine.Ending.DONE:
            note("done", stage, work, row["item"])
        return result

    engine.attempt = attempt
    sys.argv = ["lossplace", *arguments]
    work()


STAGES = {
    b"mining.fetch": "fetch",
    b"mining.pipeline": "read",
    b"mining.extraction": "extract",
    b"classify": "classify",
}
"""What is named in a work's pickle, and what it then is."""


def main() -> None:
    """Measure, print, and write the result."""
    if sys.argv[1:2] == ["--drive"]:
        drive(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
        return
    parser = argparse.ArgumentParser(description="A Ray cluster loses a node.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--repositories", type=int, default=64)
    parser.add_argument("--nodes", type=int, default=2, help="that work; the head does not")
    parser.add_argument("--namespaces", action="store_true")
    options = parser.parse_args()
    if options.namespaces and not may_make_namespaces():
        sys.exit(
            "Expected to make network namespaces (ip netns), found that this is not allowed; "
            "run it as root, on a machine of your own or in a privileged container."
        )
    folders = list(repositories_of(options.folders).items())[: options.repositories]
    found = {name.replace("__", "/", 1): folder for name, folder in folders}
    with ExitStack() as stack:
        # short, since the names of sockets have at most 107 bytes
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lpc", dir="/tmp")))
        study = write_study(scratch, found)
        started = time.perf_counter()
        run(scratch, study, "alone", {}, None)
        local_s = time.perf_counter() - started
        print(f"processes of this machine: {local_s:.0f} s", flush=True)
        cluster = namespaces if options.namespaces else raylets
        address, lose, environment = stack.enter_context(cluster(scratch, options.nodes))
        if options.namespaces:
            with study.open("a") as file:
                file.write('[scale]\nstorage = "s3://lossplace/runs"\n')
        log = scratch / "attempts"
        log.touch()
        lost: list[str] = []
        ending = threading.Event()
        watching = threading.Thread(target=watch, args=(scratch, lose, lost, ending))
        watching.start()
        started = time.perf_counter()
        try:
            run(scratch, study, "cluster", environment, (address, len(found)))
        finally:
            ending.set()
            watching.join()
        ray_s = time.perf_counter() - started
        different = compare(scratch / "alone", scratch / "cluster")
        attempts = count(log)
    print(f"Ray, {options.nodes} nodes, one lost ({'; '.join(lost)}): {ray_s:.0f} s")
    print(f"{'stage':<10}{'repositories':>13}{'begun again':>13}{'finished again':>16}")
    for stage, row in attempts.items():
        print(f"{stage:<10}{row['repositories']:>13}{row['begun_again']:>13}"
              f"{row['finished_again']:>16}")  # fmt: skip
    print(f"artifacts that differ: {', '.join(different) or 'none'}")
    write_result(
        "cluster_namespaces" if options.namespaces else "cluster",
        {
            "repositories": len(found),
            "nodes": options.nodes,
            "lost": lost,
            "processes_s": round(local_s, 1),
            "ray_s": round(ray_s, 1),
            "attempts": attempts,
            "different": different,
        },
        ["ray"],
    )
    sys.exit(bool(different) or not lost)


def write_study(scratch: Path, repositories: Mapping[str, Path]) -> Path:
    """Make git repositories of folders, and a study that fetches them."""
    host = Host(scratch / "host")
    for name, folder in repositories.items():
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.py"))
            if path.is_file() and not path.is_symlink()
        }
        host.add(name, files)
    (scratch / "list.csv").write_text(
        "repository,commit\n" + "".join(f"{n},\n" for n in repositories)
    )
    study = scratch / "study.toml"
    study.write_text(
        f'[corpus]\ncommits = "list.csv"\nclone_url = "file://{scratch}/host/{{repository}}.git"\n'
    )
    return study


def run(
    scratch: Path,
    study: Path,
    name: str,
    environment: Mapping[str, str],
    cluster: tuple[str, int] | None,
) -> None:
    """Do a whole study, by this machine or by a cluster."""
    arguments = ["run", str(study), "--run-dir", str(scratch / name)]
    program = command_line(ROOT)
    if cluster is not None:
        address, repositories = cluster
        arguments += ["--ray", address]
        program = [sys.executable, __file__, "--drive", str(scratch), str(repositories)]
    ended = subprocess.run(
        [*program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **QUIET, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(f"lossplace ended with status {ended.returncode}:\n{ended.stderr[-3000:]}")


def watch(
    scratch: Path, lose: Callable[[str], str], lost: list[str], ending: threading.Event
) -> None:
    """Lose the node on which a worker is doomed; say how, and after how many extractions."""
    doomed = scratch / "doomed"
    while not ending.wait(0.05):
        if doomed.exists() and (node := doomed.read_text()):
            done = (scratch / "attempts").read_text().count("done extract")
            lost.append(f"{lose(node)}, {done} extracted")
            return


def count(log: Path) -> dict[str, dict[str, int]]:
    """Return by stage how many repositories were begun, or finished, more than once."""
    times = {"begun": Counter[tuple[str, str]](), "done": Counter[tuple[str, str]]()}
    for line in log.read_text().splitlines():
        what, stage, key = line.split()
        times[what][stage, key] += 1
    return {
        stage: {
            "repositories": sum(key[0] == stage for key in times["begun"]),
            "begun_again": sum(n > 1 for key, n in times["begun"].items() if key[0] == stage),
            "finished_again": sum(n > 1 for key, n in times["done"].items() if key[0] == stage),
        }
        for stage in dict.fromkeys(key[0] for key in times["begun"])
    }


def compare(one: Path, other: Path) -> list[str]:
    """Return the names of the artifacts that are not equal, byte by byte (votes: row by row)."""
    names = {
        path.relative_to(folder).as_posix()
        for folder in (one, other)
        for path in folder.rglob("*")
        if path.is_file() and "clones" not in path.parts and path.name not in NOT_COMPARED
    }
    different = [n for n in sorted(names) if _bytes(one / n) != _bytes(other / n)]
    if _votes(one) != _votes(other):
        different.append("votes.sqlite")
    return different


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _votes(run: Path) -> Counter[tuple[Any, ...]]:
    """Return all rows of all tables but for the instants in them; a vote stored twice counts 2."""
    rows: Counter[tuple[Any, ...]] = Counter()
    with sqlite3.connect(run / "votes.sqlite") as store:
        for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
            kept = ", ".join(c for c in columns if c not in ("answered_at", "failed_at"))
            rows.update((table, *row) for row in store.execute(f"SELECT {kept} FROM {table}"))
    return rows


@contextmanager
def raylets(
    scratch: Path, nodes: int
) -> Iterator[tuple[str, Callable[[str], str], dict[str, str]]]:
    """Give a cluster at one address, and what kills one of its nodes."""
    os.environ.update(QUIET, RAY_TMPDIR=str(scratch))
    (scratch / "ray").mkdir()
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        },
    )
    try:
        workers = [
            cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(nodes)
        ]

        def kill(node: str) -> str:
            cluster.remove_node(
                next(each for each in workers if each.node_id == node), allow_graceful=False
            )
            return "a node killed"

        yield cluster.address, kill, {}
    finally:
        cluster.shutdown()


def may_make_namespaces() -> bool:
    """Tell whether this machine lets us have network namespaces."""
    if shutil.which("ip") is None:
        return False
    name = f"lp{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made.returncode == 0


@contextmanager
def namespaces(
    scratch: Path, nodes: int
) -> Iterator[tuple[str, Callable[[str], str], dict[str, str]]]:
    """Give a cluster whose nodes have addresses of their own, and what kills one of them."""
    import boto3
    from moto.server import ThreadedMotoServer

    bridge = f"lp{os.getpid()}"[:15]
    head = f"{SUBNET}.1"
    with ExitStack() as stack:
        sh(f"ip link add {bridge} type bridge")
        stack.callback(sh, f"ip link del {bridge}")
        sh(f"ip addr add {head}/24 dev {bridge}")
        sh(f"ip link set {bridge} up")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address=head, port=0, verbose=False)
        server.start()
        stack.callback(server.stop)
        environment = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{head}:{server.get_host_and_port()[1]}",
        }
        os.environ.update(QUIET, **environment)
        boto3.client("s3").create_bucket(Bucket="lossplace")
        start = [
            str(Path(sys.executable).with_name("ray")), "start", "--block",
            f"--object-store-memory={STORE_BYTES}",
        ]  # fmt: skip
        port = 20000 + os.getpid() % 10000
        address = f"{head}:{port}"
        begin(stack, scratch, [*start, "--head", f"--port={port}", f"--node-ip-address={head}",
              "--num-cpus=0", "--include-dashboard=false",
              f"--temp-dir={scratch}/ray"])  # fmt: skip
        wait_for_nodes(scratch, address, 1)
        for number in range(nodes):
            name = f"{bridge}-{number}"
            own = f"{SUBNET}.{number + 2}"
            sh(f"ip netns add {name}")
            stack.callback(sh, f"ip netns del {name}")
            sh(f"ip link add {bridge[:12]}v{number} type veth peer name eth0 netns {name}")
            sh(f"ip link set {bridge[:12]}v{number} master {bridge} up")
            sh(f"ip -n {name} addr add {own}/24 dev eth0")
            sh(f"ip -n {name} link set lo up")
            sh(f"ip -n {name} link set eth0 up")
            begin(stack, scratch, ["ip", "netns", "exec", name, *start, f"--address={address}",
                  f"--node-ip-address={own}", "--num-cpus=1"])  # fmt: skip
            # one after the other: on one disk two nodes that start together take one socket's name
            wait_for_nodes(scratch, address, number + 2)

        def kill(node: str) -> str:
            ended = subprocess.run(
                [sys.executable, "-c", ADDRESS_OF, address, node],
                capture_output=True,
                text=True,
                check=True,
            )
            own = ended.stdout.split()[-1]
            name = f"{bridge}-{int(own.rpartition('.')[2]) - 2}"
            inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, check=True)
            for process in map(int, inside.stdout.split()):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return f"{own} killed"

        yield address, kill, environment


ADDRESS_OF = """
import ray, sys
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(next(n["NodeManagerAddress"] for n in ray.nodes() if n["NodeID"] == sys.argv[2]))
"""


def begin(stack: ExitStack, scratch: Path, command: list[str]) -> None:
    """Start a node, which is ended with all its processes when the stack unwinds."""
    log = stack.enter_context((scratch / "nodes.log").open("ab"))
    process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, start_new_session=True)

    def end() -> None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    stack.callback(end)


def wait_for_nodes(scratch: Path, address: str, count: int) -> None:
    """Wait until so many nodes belong to a cluster."""
    program = (
        "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR'); "
        "print(sum(node['Alive'] for node in ray.nodes()))"
    )
    for _ in range(12):
        said = subprocess.run(
            [sys.executable, "-c", program, address], capture_output=True, text=True, check=False,
            timeout=120,
        ).stdout  # fmt: skip
        if said.strip().isdigit() and int(said) >= count:
            return
        time.sleep(1)
    log = (scratch / "nodes.log").read_text()[-2000:]
    sys.exit(f"Expected {count} nodes at {address}, found {said.strip() or 'none'}:\n{log}")


def sh(command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command.split(), check=True)


if __name__ == "__main__":
    main()
