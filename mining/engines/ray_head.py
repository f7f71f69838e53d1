"""The end of this process, with a sentence, where the head of its Ray cluster is gone.

Ray ends the process itself, a minute after it lost the head, from a thread and in words of its own;
no error reaches whoever waits for a result.
"""

from __future__ import annotations

import os
import socket
import threading
import time

from mining.progress import say

GONE_S = 40.0
"""So long the head may be away: one that starts again within a minute goes on with its cluster."""
_LOOK_S = 5.0


def watch_head() -> None:
    """Watch the head of the cluster that this process has joined, for as long as it belongs to it.

    What is lost with the process is as much as with SIGKILL: nothing that is done.
    """
    threading.Thread(target=_watch, args=(_head(),), daemon=True).start()


def _watch(head: str | None) -> None:
    seen = time.monotonic()
    while head is not None and head == _head():
        if _answers(head):
            seen = time.monotonic()
        elif (gone_s := time.monotonic() - seen) > GONE_S:
            say(
                f"lossplace: Expected the head of the Ray cluster at {head} to answer, found that "
                f"it has not for {gone_s:.0f} s; what is done is kept: start a cluster, and run "
                "the command again."
            )
            os._exit(1)
        time.sleep(_LOOK_S)


def _head() -> str | None:
    """Return the address of the head, HOST:PORT, or None for a process that is in no cluster."""
    import ray

    return ray.get_runtime_context().gcs_address if ray.is_initialized() else None


def _answers(head: str) -> bool:
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _LOOK_S).close()
    except OSError:
        return False
    return True
