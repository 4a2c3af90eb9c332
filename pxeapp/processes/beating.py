"""How a part says that it is there: a byte a second on a pipe that `pxeapp serve` gave it (supervisor/liveness.py).

So nothing has to reach it: no address that it listens on, no network that it answers. A beat comes from where no long
task stands in its way: being busy is not being silent.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

import click

EVERY_S = 1.0
option = click.option("--beat", type=int, hidden=True, help="Beat on this file descriptor.")


class Heart:
    """Beats on a pipe; without one it does nothing."""

    def __init__(self, pipe: int | None, lives: Callable[[], bool] = lambda: True) -> None:
        """`lives` is asked before each beat of `run`."""
        self._pipe = pipe
        self._lives = lives
        if pipe is not None:
            os.set_inheritable(pipe, False)  # the programs that a part starts do not speak for it

    def beat(self) -> None:
        """Once."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):  # full of proof that we live, or nobody listens any more
                os.write(self._pipe, b".")

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.wait(EVERY_S):
            if self._lives():
                self.beat()

    def begin(self, stop: threading.Event) -> None:
        """The same, in a thread of its own."""
        threading.Thread(target=self.run, args=(stop,), name="beat", daemon=True).start()
