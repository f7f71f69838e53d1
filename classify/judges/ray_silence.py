"""What a user is told while no engine of a Ray cluster answers, since nothing else would say so."""

from __future__ import annotations

import threading
import time

from mining.progress import duration, say

_LOOK_S = 5.0
_SILENT_S = 60.0
"""So long nothing is said; from then on again whenever it has lasted ten times as long."""


class Silence:
    """A watch on the waits for an answer: ``with silence:`` around each one.

    It says so where a wait gets long and no engine runs. Nothing ends by that: a node may come
    back, or the cluster grow, and a batch of days goes on by itself then.
    """

    def __init__(self, engine: str) -> None:
        """``engine``: the name of the class that Ray's actors with an engine have."""
        self._engine = engine
        self._since: float | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since = None

    def close(self) -> None:
        """End the watch."""
        self._closed.set()

    def _watch(self) -> None:
        known: float | None = None
        patience_s = _SILENT_S
        while not self._closed.wait(_LOOK_S):
            if (since := self._since) is None:
                continue
            if since != known:
                known, patience_s = since, _SILENT_S
            silent_s = time.monotonic() - since
            if silent_s < patience_s or _running(self._engine):
                continue
            patience_s = 10 * silent_s
            say(
                f"no answer for {duration(silent_s)}, since no engine of vLLM runs on the Ray "
                "cluster; waiting until one has loaded the model, on a node with room for it "
                "(`ray status` on the head tells of nodes; if none will come, press Ctrl-C: "
                "what is answered stays)"
            )


def _running(engine: str) -> bool:
    """Tell whether an engine has started and lives; also where the cluster cannot say."""
    import ray
    from ray._private.state import actors  # ray.util.state needs a dashboard

    try:
        job = ray.get_runtime_context().get_job_id()
        alive = actors(job_id=ray.JobID.from_hex(job), actor_state_name="ALIVE")
    except Exception:  # it is ending; the wait itself will raise
        return True
    return any(engine in each["ActorClassName"] for each in alive.values())
