import os
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.engines import begin_order
from mining.engines.processes import Processes, _received
from mining.errors import ServiceError

IMPORT = "__import__({!r}).".format
SLEEP, DIE, KILL = (
    IMPORT("time") + "sleep(60)",
    IMPORT("os") + "_exit(3)",
    IMPORT("os") + "abort()",
)


def lost(item, reason):
    return f"lost: {reason}"


def together(items, workers=2):
    """What comes of items, which are expressions, where none is worked on by this process."""
    return list(Processes(workers, alone_s=0).map(eval, items, lost))


def gone(pid):
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_results_come_in_the_order_of_the_items():
    slow = IMPORT("time") + "sleep(0.3) or 0"
    assert together([slow, *map(str, range(1, 50))]) == list(range(50))


def test_nothing_to_do():
    assert together([]) == []


def test_a_little_work_is_done_by_this_process():
    mine = IMPORT("os") + "getpid()"
    assert set(Processes(4).map(eval, [mine] * 3, lost)) == {os.getpid()}
    assert os.getpid() not in together([mine] * 3)
    assert set(Processes(1, alone_s=0).map(eval, [mine] * 3, lost)) == {os.getpid()}


def test_where_much_work_is_expected_all_of_it_is_done_by_workers():
    mine = IMPORT("os") + "getpid()"
    assert os.getpid() not in set(Processes(2).map(eval, [mine] * 3, lost, lambda _: 60))


@pytest.mark.parametrize(
    ("expected_s", "order"),
    [
        ([], []),
        ([0, 0, 0], [0, 1, 2]),
        ([1, 5, 1, 90, 1], [3, 1, 0, 2, 4]),  # so much of the whole that it must be the first
        ([1] * 8 + [2], [0, 1, 8, *range(2, 8)]),  # when what is left takes two workers 4 s
        ([3, *[1] * 20], [0, *range(1, 21)]),
        ([*[1] * 100, 8, *[1] * 100, 8], [*range(177), 201, *range(177, 201)]),
    ],
)
def test_the_largest_is_begun_while_enough_is_left_for_the_others(expected_s, order):
    assert begin_order(expected_s, 2) == order


@given(st.lists(st.floats(0, 1e6), max_size=30), st.integers(1, 9))
def test_every_item_is_begun_once(expected_s, workers):
    assert sorted(begin_order(expected_s, workers)) == list(range(len(expected_s)))


def test_results_keep_the_order_of_the_items_whichever_is_begun_first():
    items = list(map(str, range(30)))
    given = Processes(2).map(eval, items, lost, lambda item: int(item) ** 3)
    assert list(given) == list(range(30))


@pytest.mark.parametrize(
    ("item", "how"), [(DIE, "with status 3"), (KILL, "by SIGABRT")], ids=["exit", "signal"]
)
def test_an_item_that_no_worker_survives_is_lost_and_no_other(item, how, capfd):
    assert together(["1", item, "2", "3", item, "4"]) == [
        1,
        "lost: no process that worked on it survived",
        2,
        3,
        "lost: no process that worked on it survived",
        4,
    ]
    said = f"a worker process ended {how}; another one takes its place\n"
    assert capfd.readouterr().err.count(said) == 4


def test_an_item_whose_worker_died_once_is_done_again(tmp_path):
    once = f"1 if __import__('os').path.exists({str(tmp_path / 'x')!r}) else "
    once += f"(open({str(tmp_path / 'x')!r}, 'w').close(), {DIE})"
    assert together(["0", once, "2"]) == [0, 1, 2]


def test_what_the_work_raises_is_raised_here():
    with pytest.raises(ZeroDivisionError) as raised:
        together(["1", "1 / 0", *["2"] * 9])
    assert "line 1, in <module>" in "".join(raised.value.__notes__)


def test_what_is_raised_need_not_pickle():
    with pytest.raises(RuntimeError, match="ValueError: <function"):
        together(["1", "(_ for _ in ()).throw(ValueError(lambda: 1))"])


def test_a_result_that_does_not_pickle(capfd):
    with pytest.raises(ServiceError, match=r"ended with status 1 \(see above\)"):
        together(["1", "lambda: 1", "2"])
    assert "pickle" in capfd.readouterr().err


def test_work_that_a_worker_cannot_import(monkeypatch, capfd):
    nowhere = ModuleType("nowhere")
    exec("def work(item): return item", vars(nowhere))
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)
    with pytest.raises(ServiceError, match=r"ended with status 1 \(see above\)"):
        list(Processes(2, alone_s=0).map(nowhere.work, [1, 2, 3], lost))
    assert "No module named 'nowhere'" in capfd.readouterr().err


def test_the_current_folder_has_no_modules(monkeypatch, tmp_path):
    Path(tmp_path, "stray.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with pytest.raises(ModuleNotFoundError):
        together([IMPORT("stray") + "x"])


def test_a_worker_that_dies_within_its_message():
    pipe, its_pipe = Pipe()
    os.write(its_pipe.fileno(), b"\0\0\0\x64only some of it")
    its_pipe.close()
    with pytest.raises(EOFError):
        _received(pipe)


def test_closing_the_results_ends_the_workers():
    results = Processes(2, alone_s=0).map(eval, [IMPORT("os") + "getpid()", SLEEP, SLEEP], lost)
    worker = next(results)
    results.close()
    assert gone(worker)


SCRIPT = """
import sys
from mining.engines.processes import Processes
items = ["__import__('os').getpid()"] + ["__import__('time').sleep(60)"] * 4
for worker in Processes(2, alone_s=0).map(eval, items, None):
    print(worker, flush=True)
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "script.py"  # with no guard around its work, as a user may write it
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    worker = int(parent.stdout.readline())
    assert not gone(worker)
    parent.kill()
    parent.wait()
    wait_until(lambda: gone(worker))
