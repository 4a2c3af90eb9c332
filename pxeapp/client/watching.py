"""`--watch`: the same picture again whenever something changed, until it is done, nobody waits longer, or Ctrl-C."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.text import Text

from pxeapp.client import Appliance, Unreachable
from pxeapp.commandline import PIPE_WIDTH, print_json, print_table, table

# The steps within an attempt are no changes of the audit, so that who watches looks by itself as well.
LOOK_EVERY_S = 3.0
AT_MOST_EVERY_S = 0.5  # a job of a thousand machines is a thousand changes in a second
PATIENCE = 5  # looks that may fail one after the other: the appliance is being restarted
watch = click.option("--watch", "-w", is_flag=True, help="Go on showing it, until Ctrl-C or until it is over.")
timeout = click.option(
    "--timeout", type=click.FloatRange(1, 7 * 86400), default=None, help="Watch no longer than so many seconds."
)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown now. `over`: nothing more will come; `failed`: and it did not end well."""

    value: Any  # for --json
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    lines: Sequence[str] = ()
    over: bool = False
    failed: bool = False

    def drawn(self) -> RenderableType:
        """For a terminal, or for a pipe."""
        parts: list[RenderableType] = [table(self.head, self.rows)] if self.head else []
        return Group(*parts, *(Text(line) for line in self.lines))

    def text(self) -> str:
        """The same in plain lines."""
        console = Console(file=io.StringIO(), width=PIPE_WIDTH)
        console.print(self.drawn(), crop=False)
        return str(console.file.getvalue()).rstrip("\n")  # type: ignore[attr-defined]  # a StringIO, as we said


def shown(
    own: Appliance, look: Callable[[], Picture], *, events: str, watch: bool, timeout: float | None, as_json: bool
) -> Picture:
    """Print it once or, with --watch, again and again; the last picture."""
    if watch:
        return follow(own, look, events=events, timeout=timeout, as_json=as_json)
    picture = look()
    if as_json:
        print_json(picture.value)
        return picture
    if picture.head:
        print_table(picture.head, picture.rows)
    for line in picture.lines:
        click.echo(line)
    return picture


def follow(
    own: Appliance, look: Callable[[], Picture], *, events: str, timeout: float | None = None, as_json: bool = False
) -> Picture:
    """The last picture. Raises Unreachable when the time is over first; a failed look is tried again a few times."""
    until = None if timeout is None else time.monotonic() + timeout
    animated = sys.stdout.isatty() and not as_json
    with own.transport.listening(events) as listening:
        if not animated:
            return _each(listening.wait, look, until, _Lines(as_json=as_json))
        from rich.live import Live  # cost: most commands that could watch do not

        with Live(auto_refresh=False, vertical_overflow="visible") as live:
            return _each(listening.wait, look, until, lambda picture: live.update(picture.drawn(), refresh=True))


class _Lines:
    """Where no terminal is: whole, and only when it is another than before."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._before = ""

    def __call__(self, picture: Picture) -> None:
        text = json.dumps(picture.value) if self._as_json else picture.text()
        if text != self._before:
            self._before = text
            click.echo(text)
            sys.stdout.flush()


def _each(
    wait: Callable[[float], None],
    look: Callable[[], Picture],
    until: float | None,
    show: Callable[[Picture], None],
) -> Picture:
    failures = 0
    while True:
        began = time.monotonic()
        try:
            picture = look()
        except Unreachable:
            failures += 1
            if failures > PATIENCE:
                raise
        else:
            failures = 0
            show(picture)
            if picture.over:
                return picture
        left = LOOK_EVERY_S if until is None else min(LOOK_EVERY_S, until - time.monotonic())
        if left <= 0:
            raise Unreachable("It was not over in time.", hint="It goes on; look again, or give a longer --timeout.")
        wait(left)
        time.sleep(max(0.0, AT_MOST_EVERY_S - (time.monotonic() - began)))
