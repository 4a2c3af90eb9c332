"""The demo's terminal: what a row says of a deployment as the API tells it."""

from __future__ import annotations

import datetime as dt
import io

from rich.console import Console

from pxeapp.lab.progress import STEPS, Progress, Row, share

ASKED = dt.datetime(2026, 11, 25, 2, 0, tzinfo=dt.UTC)


def deployment(*steps: str, **more: object) -> dict[str, object]:
    reached = [
        {"step": step, "at": (ASKED + dt.timedelta(seconds=10 * number)).isoformat(), "message": f"{step} was seen"}
        for number, step in enumerate(steps, 1)
    ]
    return {"step": steps[-1], "steps": reached, "requested_at": ASKED.isoformat(), "outcome": None, **more}


def test_an_installation_moves_the_bar_and_never_back() -> None:
    row = Row("node1", "BIOS", deployment(*STEPS[:7]))
    assert row.done() == 7
    row.deployment["progress"] = "pkgsel"
    further = row.done()
    assert 7 < further < 8
    row.deployment["progress"] = "something of a release to come"
    assert row.done() == further
    row.deployment = deployment(*STEPS[:8])
    assert row.done() == 8


def test_counted_packages_move_the_bar_within_their_stage() -> None:
    start, end = share("bootstrap-base"), share("apt-setup-udeb")
    said = [share(f"bootstrap-base: {done} of 140 packages are configured") for done in (0, 70, 140)]
    assert said == sorted(said)
    assert said[0] == start
    assert start < said[1] < end
    assert said[2] == end
    assert share("something: 3 of 4 packages are configured") == 0.0
    assert share("bootstrap-base: 0 of 0 packages are configured") == start


def test_a_failed_deployment_says_why_and_its_clock_stands() -> None:
    finished = (ASKED + dt.timedelta(seconds=90)).isoformat()
    row = Row("node1", "BIOS", deployment(*STEPS[:3], outcome="failed", reason="No loader.", finished_at=finished))
    assert row.evidence() == "No loader."
    assert row.elapsed(ASKED + dt.timedelta(hours=1)) == 90


def test_without_a_terminal_each_change_is_one_line_and_the_table_has_every_step() -> None:
    output = io.StringIO()
    row = Row("node1", "BIOS, base", deployment(*STEPS[:2]))
    with Progress([row], Console(file=output, width=200)) as progress:
        progress.show(ASKED)
        progress.show(ASKED)
        row.deployment = deployment(*STEPS, outcome="succeeded", finished_at=ASKED.isoformat())
        progress.show(ASKED)
    progress.summary()
    said = output.getvalue()
    assert said.count("power_cycled was seen") == 1
    assert said.count("verified was seen") == 1
    assert "100" in said.splitlines()[-2], "seconds from the order to the last step"
    assert "succeeded" in said.splitlines()[-2]
