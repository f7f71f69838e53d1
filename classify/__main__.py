"""The program ``lossplace``, which a signal ends within a second; also ``python -m classify``.

What a signal does is settled before anything else is imported.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
PATIENCE_S = 0.5
"""So long the work may take to end by itself."""

_KEPT = {
    "search": "every page of results that came",
    "fetch": "every repository that was fetched",
    "extract": "every repository that was extracted",
    "plan": "every vote that came",
    "classify": "every vote that came",
    "label": "every label",
    "run": "every page, repository and vote that came",
}


class Interrupted(BaseException):
    """A signal asked the program to end; no handler of errors is to stop it."""


class Ending:
    """Ends the program by a signal: once what is under way is left, or by force after a while.

    A second signal ends it at once. Whatever may be cut off, no file is left half-written under
    its name: such an end is as good as SIGKILL.
    """

    def __init__(self) -> None:
        """From here on signals are heeded; those that were ignored, as by nohup, stay so."""
        self.signal: int | None = None
        self._over = False
        self._unsaid = threading.Lock()
        # the work may be in C for long, where no handler runs: then a thread hears of the signal
        heard, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        threading.Thread(target=self._force, args=(heard,), daemon=True).start()
        os.register_at_fork(after_in_child=_heed_nothing)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def over(self) -> None:
        """From here on a signal has nothing to interrupt."""
        self._over = True

    def say(self, number: int) -> None:
        """Say, once, what ended the program, what is kept, and how to go on."""
        if self._unsaid.acquire(blocking=False):
            command = next((word for word in sys.argv[1:] if word in _KEPT), "")
            kept = f"{_KEPT[command]} is kept, and " if command else ""
            said = (
                f"lossplace: Stopped by {SIGNALS[signal.Signals(number)]}; {kept}no file is left "
                "half-written. Run the same command again to go on.\n"
            )
            with suppress(OSError):  # nobody may be there to read it
                os.write(2, said.encode())

    def _interrupt(self, number: int, _: object) -> None:
        if self.signal is not None or self._over:
            self.say(number)
            os._exit(128 + number)
        self.signal = number
        # what breaks off now has nothing to tell, in no thread
        sys.unraisablehook = threading.excepthook = _say_nothing
        if "logging" in sys.modules:
            sys.modules["logging"].disable()
        raise Interrupted

    def _force(self, heard: int) -> None:
        while True:
            for number in os.read(heard, 1):
                if number in SIGNALS:
                    time.sleep(PATIENCE_S)
                    if os.isatty(2):
                        os.write(2, b"\033[?25h\n")  # a progress bar hides the cursor
                    self.say(number)
                    os._exit(128 + number)


def main() -> None:
    """Run the command line; a signal ends it with exit status 128 and its number."""
    ending = Ending()
    try:
        from classify.cli import main as command_line

        command_line()
    except BaseException:
        if ending.signal is None:
            raise
    finally:
        ending.over()
    if ending.signal is not None:
        ending.say(ending.signal)
        sys.exit(128 + ending.signal)


def _say_nothing(_: object) -> None:
    """Take the place of what prints a traceback."""


def _heed_nothing() -> None:
    """Have signals end a fork as they would any process; else its parent would hear of them."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
