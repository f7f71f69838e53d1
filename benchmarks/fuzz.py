"""Look for inputs that break lossplace: each target of tests/fuzz for some time, led by coverage.

    pip install -e '.[test,fuzz]'
    python benchmarks/fuzz.py --seconds 300 --code FOLDER [TARGET ...]

``--code`` is a folder of real repositories, whose Python files are what the search begins with
beside the sample's own; it may be given more than once. What breaks a target is written below
``--found``, by default ``fuzz-found/<target>/``; put it into tests/fuzz/corpus/<target>/ with its
mend. ``--resume`` leaves out what results/fuzz.json says was searched as long without a finding.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fuzz.json"
OF_CODE = ("extraction", "rules", "shortening")
MOST_BYTES = 16_384
SLOW_S = 25
"""An input that takes longer is a finding too."""
_STATUS = re.compile(r"#(\d+)\s+(INITED|DONE|NEW|pulse|REDUCE|RELOAD)\s+cov: (\d+) ft: (\d+)")


def main() -> int:
    """Run the targets one after the other, and say what came of each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument(
        "--code", type=Path, action="append", default=[], help="a folder of real repositories"
    )
    parser.add_argument("--resume", action="store_true", help="only what is not done")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if arguments.child:
        return search(arguments.targets[0], arguments.seconds, arguments.code, arguments.found)
    from tests.fuzz.targets import TARGETS

    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {unknown.pop()}; there are {', '.join(TARGETS)}")
    done = {row["target"]: row for row in _before()}
    broken = False
    for name in arguments.targets or TARGETS:
        if arguments.resume and _searched(done.get(name), arguments.seconds):
            continue
        row = done[name] = one(name, arguments.seconds, arguments.code, arguments.found)
        broken |= bool(row["found"])
        facts = {
            "python": python_version(),
            "atheris": version("atheris"),
            "lossplace": version("lossplace"),
            "targets": [done[each] for each in TARGETS if each in done],
        }
        RESULTS.write_text(json.dumps(facts, indent=1) + "\n")
    return int(broken)


def one(name: str, seconds: int, code: Sequence[Path], found: Path) -> dict[str, object]:
    """Search for inputs that break a target, in a process of its own."""
    found.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--child", name, f"--seconds={seconds}"]
    command += [f"--found={found}", *(f"--code={folder}" for folder in code)]
    began = time.monotonic()
    ended = subprocess.run(command, capture_output=True, check=False)
    told = (ended.stdout + ended.stderr).decode("utf-8", "replace")
    (found / f"{name}.log").write_text(told, "utf-8")
    states = [tuple(map(int, (n, c, f))) for n, _, c, f in _STATUS.findall(told)] or [(0, 0, 0)]
    inited = next((int(c) for _, kind, c, _ in _STATUS.findall(told) if kind == "INITED"), 0)
    row: dict[str, object] = {
        "target": name,
        "executions": states[-1][0],
        "seconds": round(time.monotonic() - began),
        "coverage_of_seeds": inited,
        "coverage": states[-1][1],
        "found": ended.returncode != 0,
    }
    print(
        f"{name:14} {row['executions']:>9} executions in {row['seconds']:>4} s, coverage "
        f"{inited:>6} -> {states[-1][1]:>6}, {'FOUND' if ended.returncode else 'nothing found'}",
        flush=True,
    )
    return row


def search(name: str, seconds: int, code: Sequence[Path], found: Path) -> int:
    """Search in this process; atheris ends it."""
    import atheris

    with atheris.instrument_imports(include=["mining", "classify"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.inputs import SEEDS

    TARGETS[name](b"")  # what is made once takes longer than an input may
    with TemporaryDirectory() as folder:
        for seed in SEEDS[name]:
            data = seed if isinstance(seed, bytes) else json.dumps(seed).encode()
            Path(folder, sha256(data).hexdigest()).write_bytes(data)
        files = sorted(file for repositories in code for file in repositories.rglob("*.py"))
        for path in files[::7] if name in OF_CODE else ():
            if path.is_file() and path.stat().st_size < MOST_BYTES:
                data = path.read_bytes()
                Path(folder, sha256(data).hexdigest()).write_bytes(data)
        (found / name).mkdir(exist_ok=True)
        options = {
            "max_total_time": seconds,
            "max_len": MOST_BYTES,
            "timeout": SLOW_S,
            "rss_limit_mb": 4096,
            "artifact_prefix": f"{found / name}/",
        }
        flags = [f"-{option}={value}" for option, value in options.items()]
        atheris.Setup([sys.argv[0], folder, *flags], TARGETS[name])
        atheris.Fuzz()
    return 0


def _before() -> list[dict[str, Any]]:
    """Return what earlier runs said of targets, which stays where only some are run."""
    return json.loads(RESULTS.read_text())["targets"] if RESULTS.exists() else []


def _searched(row: dict[str, Any] | None, seconds: int) -> bool:
    """Say whether a target was searched for so long, and held."""
    return row is not None and not row["found"] and row["seconds"] >= seconds


if __name__ == "__main__":
    sys.exit(main())
