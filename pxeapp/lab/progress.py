"""The demo's terminal: one line per machine while it goes, a table of every step when it is over."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

STEPS = (
    "armed",
    "power_cycled",
    "dhcp_seen",
    "nbp_fetched",
    "kernel_fetched",
    "answer_fetched",
    "installing",
    "installed",
    "first_boot",
    "verified",
)
# How far an installation is when Debian's installer begins one of its menu items, by the time that they take.
SHARES = {
    "download-installer": 0.02,
    "partman-base": 0.10,
    "bootstrap-base": 0.14,
    "apt-setup-udeb": 0.70,
    "pkgsel": 0.74,
    "grub-installer": 0.83,
    "finish-install": 0.95,
}
INSTALLING = "installing"
COUNTED = re.compile(r"(?P<item>[a-z-]+): (?P<done>\d+) of (?P<known>\d+) packages")  # as preseeds/installer.sh says it
COLOURS = {"succeeded": "green", "failed": "red", "aborted": "red"}


def share(progress: str) -> float:
    """How much of an installation is done when its installer says this; 0 for words that we do not know."""
    if progress in SHARES:
        return SHARES[progress]
    counted = COUNTED.match(progress)
    if counted is None or counted["item"] not in SHARES:
        return 0.0
    begins = SHARES[counted["item"]]
    ends = min((later for later in SHARES.values() if later > begins), default=1.0)
    # Unpacking comes first and takes half of the time; meanwhile hardly one is configured.
    configured = int(counted["done"]) / max(1, int(counted["known"]))
    return begins + (ends - begins) * (0.5 + configured / 2) if configured > 0.1 else begins


@dataclass
class Row:
    """What is known of one machine's deployment, as the API last told it."""

    name: str
    what: str  # "UEFI, rocky-9 (stand-in), compute"
    deployment: dict[str, Any] = field(default_factory=dict)
    _share: float = 0.0

    @property
    def step(self) -> str:
        return str(self.deployment.get("step", "waiting"))

    @property
    def outcome(self) -> str | None:
        return self.deployment.get("outcome")

    def reached(self) -> dict[str, dt.datetime]:
        """Step -> the moment it was reached."""
        return {step["step"]: dt.datetime.fromisoformat(step["at"]) for step in self.deployment.get("steps", [])}

    def done(self) -> float:
        """How many steps are done, the installation in parts."""
        if self.step == INSTALLING:
            self._share = max(self._share, share(str(self.deployment.get("progress"))))
            return len(self.reached()) + self._share
        return len(self.reached())

    def evidence(self) -> str:
        """The last thing that was seen of it."""
        if self.outcome in ("failed", "aborted"):
            return str(self.deployment.get("reason", ""))
        progress = self.deployment.get("progress")
        if progress and self.step == INSTALLING:
            return str(progress)
        steps = self.deployment.get("steps", [])
        return str(steps[-1]["message"]) if steps else ""

    def elapsed(self, now: dt.datetime) -> float:
        """Seconds since the deployment was asked for."""
        asked = self.deployment.get("requested_at")
        if asked is None:
            return 0.0
        finished = self.deployment.get("finished_at")
        until = dt.datetime.fromisoformat(finished) if finished else now
        return (until - dt.datetime.fromisoformat(asked)).total_seconds()


class Progress:
    """Live lines on a terminal; plain lines, one per change, where the output is a file or CI's log."""

    def __init__(self, rows: list[Row], console: Console | None = None) -> None:
        self.rows = rows
        self.console = console or Console(width=None if Console().is_terminal else 160)
        self._live = Live(console=self.console, refresh_per_second=4) if self.console.is_terminal else None
        self._said: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, now: dt.datetime) -> None:
        """Draw the present state."""
        if self._live:
            self._live.update(self._screen(now))
            return
        for row in self.rows:
            said = (row.outcome or row.step, row.evidence())
            if self._said.get(row.name) != said:
                self._said[row.name] = said
                self.console.print(f"{row.elapsed(now):7.1f} s  {row.name:<8} {said[0]:<15} {said[1]}", soft_wrap=True)

    def _screen(self, now: dt.datetime) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for row in self.rows:
            table.add_row(
                Text(row.name, style="bold"),
                ProgressBar(total=len(STEPS), completed=row.done(), width=30),
                Text(row.outcome or row.step, style=COLOURS.get(row.outcome or "", "cyan")),
                Text(f"{row.elapsed(now):6.0f} s", style="dim"),
                Text(row.evidence().splitlines()[0][:100] if row.evidence() else ""),
            )
        return Group(table)

    def summary(self) -> None:
        """The table of every step's time, in seconds since the deployment was asked for."""
        table = Table(title="Seconds from the order to each step")
        table.add_column("machine")
        table.add_column("what")
        for step in STEPS:
            table.add_column(step.replace("_", "\n"), justify="right")
        table.add_column("outcome")
        for row in self.rows:
            asked = row.deployment.get("requested_at")
            reached = row.reached()
            start = dt.datetime.fromisoformat(asked) if asked else None
            cells = [
                f"{(reached[step] - start).total_seconds():.0f}" if start and step in reached else "·" for step in STEPS
            ]
            outcome = row.outcome or "unfinished"
            table.add_row(row.name, row.what, *cells, Text(outcome, style=COLOURS.get(outcome, "yellow")))
        self.console.print(table)
