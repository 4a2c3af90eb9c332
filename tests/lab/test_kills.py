"""Which unconfirmed power action a kill may have caused: the judge of the crash tests is judged here."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.lab.kills import AT_WORK, Kill, caused, most_unconfirmed

T0 = dt.datetime(2026, 11, 26, 21, 0, tzinfo=dt.UTC)
DONE = [("off_due", 0), ("off_intended", 1), ("off_sent", 2), ("boot_due", 4), ("boot_intended", 4), ("boot_sent", 5)]
CUT_TWICE = [*DONE, ("on_due", 6), ("on_intended", 7), ("on_intended", 40)]


def at(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def log(entries: list[tuple[str, float]]) -> list[dict[str, str]]:
    return [{"phase": phase, "at": at(seconds).isoformat(), "note": ""} for phase, seconds in entries]


def kill(part: str, began: float, over: float | None = None) -> Kill:
    return Kill(part, at(began), at(began if over is None else over))


def test_two_kills_of_those_who_switch_are_a_cause() -> None:
    assert caused(log(CUT_TWICE), [kill("bmc-worker", 7.1), kill("web", 8), kill("bmc-worker", 41)])
    assert caused(log(CUT_TWICE), [kill("serve", 3, 12), kill("bmc-worker", 41)]), "what serve left lived on"


@pytest.mark.parametrize(
    ("entries", "kills"),
    [
        (CUT_TWICE, []),
        (CUT_TWICE, [kill("bmc-worker", 7.1)]),
        (CUT_TWICE, [kill("bmc-worker", 7.1), kill("web", 41), kill("worker", 41)]),
        (CUT_TWICE, [kill("bmc-worker", -20), kill("bmc-worker", 41)]),  # long before the first intent
        (CUT_TWICE, [kill("bmc-worker", 7.1), kill("bmc-worker", 62)]),  # when the second could not be sent any more
        ([*DONE, ("on_due", 6), ("on_intended", 7)], [kill("bmc-worker", 7.1), kill("bmc-worker", 41)]),
        ([*CUT_TWICE, ("on_sent", 41)], [kill("bmc-worker", 7.1), kill("bmc-worker", 41)]),
        ([], [kill("bmc-worker", 7.1), kill("bmc-worker", 41)]),
    ],
)
def test_anything_else_is_none(entries: list[tuple[str, float]], kills: list[Kill]) -> None:
    assert not caused(log(entries), kills)


def test_every_second_kill_may_end_what_the_threads_had_in_hand() -> None:
    assert most_unconfirmed([kill("web", 1), kill("serve", 2)]) == 0
    assert most_unconfirmed([kill("serve", 1), kill("bmc-worker", 2), kill("serve", 3)]) == AT_WORK
