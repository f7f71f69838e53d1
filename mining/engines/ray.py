"""Work by a Ray cluster, through Ray Data: one block for each item.

The address is ``auto`` (the cluster that this machine belongs to), ``local`` (one that is started
here, and ends with this process), or ``HOST:PORT`` of a cluster that this machine belongs to. Ray
does again what was lost with a worker or a node. Every node needs this version of lossplace.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from enum import IntEnum
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, TypeVar

from mining.engines import NO_SURVIVOR, begin_order, portable
from mining.engines.ray_head import watch_head
from mining.errors import LossplaceError, ServiceError, StudyError
from mining.study import ScaleSettings
from mining.waiting import within

T = TypeVar("T")
R = TypeVar("R")

_ATTEMPTS = 3
"""So often an item is begun before it is given up: a node may die of something else."""

_AT_ONCE = 5_000
"""Items given to Ray at a time, so that what it holds of them stays small."""

_ANSWER_S, _START_S = 10.0, 120.0
"""The longest waits for a cluster: until it answers at all, and until it is joined or started."""

_OBJECT_STORE_BYTES = 100_000_000
"""Of a cluster started here: items and results are small."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # a node that is cut off without a word is asked whether it lives, and given up if it is silent
    # so long; a node ends the connection of who asks more often than each minute
    "RAY_grpc_client_keepalive_time_ms": "65000",
    "RAY_grpc_client_keepalive_timeout_ms": "20000",
}

_HOST_AND_PORT = re.compile(r"([^/\s]+):(\d{1,5})")


class RayCluster:
    """An engine of a cluster's workers: one for each core, or as many as the settings say."""

    def __init__(self, settings: ScaleSettings, at_once: int | None = None) -> None:
        """Take the settings; see open_engine.

        Raises StudyError without Ray, or for what is no address of a cluster.
        """
        if find_spec("ray") is None:
            raise StudyError(
                "Expected Ray for scale.engine ray (--ray), found it not installed; "
                "install it with `pip install 'lossplace[ray]'`."
            )
        address = settings.address
        if address not in ("auto", "local") and not _HOST_AND_PORT.fullmatch(address):
            raise StudyError(
                "Expected scale.address (--ray) auto, local, or a cluster's address such as "
                f"10.0.0.1:6379, found {address!r}."
            )
        self._settings = settings
        self._at_once = at_once or settings.workers

    def map(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        lost: Callable[[T, str], R],
        expected_s: Callable[[T], float] = lambda _: 0.0,
    ) -> Generator[R]:
        """Do the work; see Engine. An item is lost when three workers died of it, or beside it.

        Raises ServiceError if there is no cluster, or it fails as a whole.
        """
        if not items:
            return
        join(self._settings)
        import ray
        from ray.exceptions import RayError

        cores = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        workers = self._at_once or int(cores)
        for start in range(0, len(items), _AT_ONCE):
            given = items[start : start + _AT_ONCE]
            order = begin_order(list(map(expected_s, given)), workers)
            ended: dict[int, tuple[Ending, Any]] = {}
            with closing(self._endings(work, [given[number] for number in order])) as endings:
                coming = zip(order, endings, strict=True)
                for number, item in enumerate(given):
                    try:
                        while number not in ended:
                            ended.update([next(coming)])
                    except RayError as error:
                        raise _failed(self._settings.address, str(error)) from error
                    ending, result = ended.pop(number)
                    if ending is Ending.LOST:
                        yield lost(item, result)
                    elif ending is Ending.DONE:
                        yield result
                    elif ending is Ending.RAISED:
                        raise result
                    else:
                        raise _failed(self._settings.address, result)

    def _endings(
        self, work: Callable[[Any], Any], items: Sequence[Any]
    ) -> Generator[tuple[Ending, Any]]:
        import ray.data

        rows = [{"item": pickle.dumps(item)} for item in items]
        workers = self._at_once
        each: Any = attempt  # Ray's types know of no further arguments
        done: Any = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            each,
            fn_args=(pickle.dumps(work), version("lossplace")),
            compute=ray.data.TaskPoolStrategy(workers and min(workers, len(rows))),
            num_cpus=1,
        )
        blocks = iter(done.iter_batches(batch_size=None, batch_format="pyarrow"))
        with closing(blocks):  # also ends what runs in the cluster
            for block in blocks:
                for row in block.to_pylist():
                    yield Ending(row["ending"]), pickle.loads(row["result"])


class Ending(IntEnum):
    """How an attempt at an item ended."""

    DONE = 0
    """Its result is what the work returned."""
    RAISED = 1
    """What the work raised."""
    LOST = 2
    """Why nobody tries again."""
    UNFIT = 3
    """Why this worker cannot do it."""


def attempt(row: dict[str, Any], work: bytes, of_version: str) -> dict[str, Any]:
    """Work on an item, in a worker of the cluster."""
    from ray._private import worker  # there is no public way to the number

    core: Any = vars(worker.global_worker)["core_worker"]
    number = core.get_current_task_attempt_number()
    ending = Ending.DONE
    result: Any = None
    if version("lossplace") != of_version:
        ending, result = Ending.UNFIT, _unfit(version("lossplace"), of_version)
    elif number >= _ATTEMPTS:
        ending, result = Ending.LOST, NO_SURVIVOR
    else:
        try:
            result = pickle.loads(work)(pickle.loads(row["item"]))
        except Exception as error:
            ending, result = Ending.RAISED, portable(error)
    return {"ending": int(ending), "result": pickle.dumps(result)}


def _unfit(found: str, wanted: str) -> str:
    return f"lossplace {found} on {socket.gethostname()}, where this is {wanted}"


def join(settings: ScaleSettings) -> None:
    """Make this process a driver of the cluster, once; a cluster begun here ends with it."""
    for name, value in _ENVIRONMENT.items():  # which Ray reads when it is imported
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    if ray.is_initialized():
        return
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # as on macOS: what is started here listens on loopback alone, else on every interface
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = settings.address != "local"
    # what a node says when it dies is in its logs; Ray has no setting for that
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    on_sigterm = signal.getsignal(signal.SIGTERM)  # which Ray would replace
    try:
        if settings.address == "local":
            ray.init(
                "local",
                num_cpus=settings.workers,
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        else:
            _check_answer(settings.address)
            within(_START_S, lambda: ray.init(settings.address, **quiet))
    except (RuntimeError, ValueError, OSError, SystemExit) as error:
        raise _failed(settings.address, str(error)) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)
    watch_head()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True


def _check_answer(address: str) -> None:
    named = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if not (parts := _HOST_AND_PORT.fullmatch(named)):
        return
    host, port = parts.groups()
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise _failed(address, str(error)) from error


def _failed(address: str, reason: str) -> LossplaceError:
    where = {"auto": "that this machine belongs to", "local": "on this machine"}
    said = re.sub(r"\x1b\[[0-9;]*m", "", reason)
    telling = [line.strip() for line in said.splitlines() if line.strip()]
    missing = re.search(r"No module named '(?:mining|lossplace)[^']*'", said)
    short = missing[0] if missing else (telling or ["no reason given"])[0][:300]
    return ServiceError(
        f"Expected a Ray cluster {where.get(address, f'at {address}')} with this version of "
        f"lossplace on every node, found that it does not do the work ({short}); "
        "see docs/scale.md, and run the command again: what is done stays."
    )
