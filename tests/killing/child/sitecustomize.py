"""Put on PYTHONPATH, this steers the process from within, so that lossplace has no code for it.

``LOSSPLACE_STEERED`` is JSON. ``folder``: each time that something below it is about to be opened
for writing, renamed, removed or made, a line goes to the file ``log``; at line ``at``, or at the first
that begins so, the process sends itself ``signal``. ``now``: what the wall clock shows, and ``jumps``: seconds that are added to
that, in turn, each time that it is read.
"""

import itertools
import json
import os
import sys

steered = json.loads(os.environ.pop("LOSSPLACE_STEERED", "{}"))  # of this process alone

if "folder" in steered:
    folder = os.path.realpath(steered["folder"]) + os.sep
    log = os.open(steered["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen = 0

    def watch(event, arguments):
        global seen
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in (
            "os.rename",
            "os.remove",
            "os.rmdir",
            "os.mkdir",
            "os.truncate",
            "sqlite3.connect",
        ):
            return
        path = arguments[0]
        if isinstance(path, int) or (event in ("os.remove", "os.rmdir") and arguments[1] != -1):
            return  # of a folder that is removed as a whole
        path = os.path.join(os.getcwd(), os.fsdecode(path))  # noqa: PTH109, PTH118
        if not path.startswith(folder) or path.endswith("/.lock"):
            return
        seen += 1
        step = f"{event} {path[len(folder) :]}"
        os.write(log, f"{step}\n".encode())
        at = steered.get("at")
        if seen == at or (isinstance(at, str) and step.startswith(at)):
            steered["at"] = None
            os.kill(os.getpid(), steered["signal"])

    sys.addaudithook(watch)

if "now" in steered:
    import builtins
    import datetime
    import time

    real, jumps, load = datetime.datetime, itertools.cycle(steered["jumps"]), builtins.__import__

    def now():
        return steered["now"] + next(jumps)

    class Steered(real):
        @classmethod
        def now(cls, tz=None):
            return real.fromtimestamp(now(), tz)

    seen_modules = 0

    def loading(name, *arguments, **options):
        """Give the modules of lossplace this clock, since libraries in C want the real class."""
        module = load(name, *arguments, **options)
        global seen_modules
        if name.startswith(("mining", "classify")) and len(sys.modules) != seen_modules:
            seen_modules = len(sys.modules)
            for each in [m for n, m in sys.modules.items() if n.startswith(("mining", "classify"))]:
                if vars(each).get("datetime") is real:
                    each.datetime = Steered
        return module

    time.time, builtins.__import__ = now, loading
