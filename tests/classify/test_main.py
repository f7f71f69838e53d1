"""How signals end the program, each time a real process. See also tests/test_kills.py."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import functools, os, signal, sqlite3, sys, time
from classify import __main__ as program
sys.argv[1:] = ["classify"]
ending = program.Ending()
"""


@pytest.fixture
def started():
    """Start a script after BEGIN, and wait for its first line."""
    processes = []

    def start(script):
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", BEGIN + script],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        assert processes[-1].stdout.readline() == "here\n"
        return processes[-1]

    yield start
    for each in processes:
        each.kill()
        each.communicate()


@pytest.mark.parametrize(
    ("number", "called"),
    [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")],
)
def test_work_that_is_stuck_in_c_is_ended_by_force(started, number, called):
    process = started(
        "database = sqlite3.connect(':memory:')\n"
        "database.create_function('here', 0, functools.partial(os.write, 1, b'here\\n'))\n"
        "database.execute('WITH RECURSIVE endless(x) AS (SELECT here() UNION ALL SELECT x + 1 FROM"
        " endless) SELECT sum(x * 0) FROM endless').fetchall()\n"
    )
    process.send_signal(number)
    assert process.communicate() == (
        "",
        f"lossplace: Stopped by {called}; every vote that came is kept, and no file is left "
        "half-written. Run the same command again to go on.\n",
    )
    assert process.returncode == 128 + number


def test_a_second_signal_ends_it_at_once(started):
    process = started(
        "program.PATIENCE_S = 600\n"
        "try:\n"
        "    print('here', flush=True)\n"
        "    time.sleep(600)\n"
        "finally:\n"
        "    print('leaving', flush=True)\n"
        "    time.sleep(600)\n"
    )
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "leaving\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM


def test_a_signal_after_the_work_says_how_to_go_on_too(started):
    process = started("ending.over()\nprint('here', flush=True)\ntime.sleep(60)\n")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert said.startswith("lossplace: Stopped by Ctrl-C; ")
    assert process.returncode == 130


def test_what_breaks_off_says_nothing(started):
    """Neither a thread, nor an object that is freed, nor a log, prints a traceback."""
    process = started(
        "import logging, threading\n"
        "program.PATIENCE_S = 600\n"
        "class Freed:\n"
        "    def __del__(self):\n"
        "        raise ValueError\n"
        "try:\n"
        "    print('here', flush=True)\n"
        "    time.sleep(600)\n"
        "except BaseException:\n"
        "    Freed()\n"
        "    thread = threading.Thread(target=lambda: 1 / 0)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "    logging.getLogger('x').exception('broken')\n"
    )
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == ""


def test_a_signal_to_a_fork_is_none_to_its_parent(started):
    process = started(
        "ours, theirs = os.pipe()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os.write(theirs, b'!')\n"
        "    signal.pause()\n"
        "os.read(ours, 1)\n"
        "os.kill(child, signal.SIGTERM)\n"
        "print('here', flush=True)\n"
        "by = os.WTERMSIG(os.waitpid(child, 0)[1])\n"
        "time.sleep(2 * program.PATIENCE_S)\n"
        "print(by)\n"
    )
    assert process.communicate() == (f"{int(signal.SIGTERM)}\n", "")
    assert process.returncode == 0


def test_what_nohup_has_ignored_stays_so(started):
    process = started(
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "program.Ending()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('here', flush=True)\n"
    )
    assert process.wait() == 0


def test_an_error_is_no_signal():
    process = subprocess.run(
        [sys.executable, "-m", "classify", "status", "/nowhere.toml"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr.startswith("lossplace: Expected ")
