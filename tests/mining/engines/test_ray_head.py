"""A real head that is killed, of a cluster that a process of its own has started."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from mining.engines import ray as engine
from mining.engines import ray_head
from mining.study import ScaleSettings

ROOT = Path(__file__).parents[3]


def begins_and_does_not_end(place):
    place.touch()
    time.sleep(3600)


def kill_the_head_once(begun):
    from ray._private import worker

    while not begun.exists():
        time.sleep(0.05)
    [head] = worker._global_node.all_processes["gcs_server"]
    os.kill(head.process.pid, signal.SIGKILL)


def wait_for_a_result(begun):
    """The program of a process of its own, since that ends."""
    ray_head.GONE_S, ray_head._LOOK_S = 1, 0.1
    cluster = engine.RayCluster(ScaleSettings(engine="ray", address="local", workers=1))
    threading.Thread(target=kill_the_head_once, args=(begun,), daemon=True).start()
    list(cluster.map(begins_and_does_not_end, [begun], print))


@pytest.mark.ray
def test_who_waits_when_the_head_is_killed_ends_with_a_sentence(tmp_path):
    module = "tests.mining.engines.test_ray_head"
    program = f"from pathlib import Path; from {module} import *; wait_for_a_result(Path({str(tmp_path / 'begun')!r}))"
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as short:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"RAY_TMPDIR": short, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert ended.returncode == 1
    assert "lossplace: Expected the head of the Ray cluster at " in ended.stderr
    assert "Traceback" not in ended.stderr
