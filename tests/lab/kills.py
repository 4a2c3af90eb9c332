"""What a kill -9 may have caused: a power action ends unconfirmed only where two kills cut it off before its send."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pxeapp.bmc.power import PowerTimings
from pxeapp.bmc.worker import THREADS

SWITCHES = ("bmc-worker", "serve")  # whose end is the end of processes that talk to BMCs
PROCESSES = 2  # that `pxeapp bmc-worker` starts by itself
AT_WORK = PROCESSES * sum(THREADS.values())  # actions that are between two commits at any moment, at most
LEASE = PowerTimings().lease
ORPHANED = dt.timedelta(seconds=5)  # a killed part's own processes end themselves, or are ended before its restart


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill; `over` is when nothing of what it hit was left: the next `serve` ends what a killed one leaves."""

    part: str
    began: dt.datetime
    over: dt.datetime


def of_bmc_workers(kills: Iterable[Kill]) -> list[Kill]:
    """Those that may have ended a process that talks to BMCs."""
    return [kill for kill in kills if kill.part in SWITCHES]


def most_unconfirmed(kills: Iterable[Kill]) -> int:
    """How many power actions these kills can have left unconfirmed, at most.

    An intent that nothing came of is observed and renewed once, so it takes two kills to end an action; and a kill
    catches those between intent and send only, at most one in each thread.
    """
    return len(of_bmc_workers(kills)) // 2 * AT_WORK


def caused(log: Sequence[Mapping[str, Any]], kills: Sequence[Kill]) -> bool:
    """Whether the action of this log may end unconfirmed: its last command was intended twice, and twice a kill came.

    A command that was recorded as sent is no excuse: these BMCs do what they hear.
    """
    last = [entry for entry in log if entry["phase"].partition("_")[2] in ("due", "intended", "sent")][-2:]
    phases = [entry["phase"] for entry in last]
    if phases not in (["off_intended"] * 2, ["on_intended"] * 2):
        return False
    first, second = (_near(dt.datetime.fromisoformat(entry["at"]), kills) for entry in last)
    return any(one is not other for one in first for other in second)


def _near(intended: dt.datetime, kills: Iterable[Kill]) -> list[Kill]:
    """The kills that may be why nothing came of it; without its lease no command leaves any more."""
    return [
        kill for kill in of_bmc_workers(kills) if intended <= kill.over + ORPHANED and kill.began <= intended + LEASE
    ]
