"""A rehearsal does what the real thing would, on copies, and leaves nothing behind."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from pxeapp.errors import Invalid
from pxeapp.machines.lifecycle import State
from pxeapp.rollouts.models import Rollout
from pxeapp.rollouts.rehearse import Fault, Rehearsal, rehearse
from pxeapp.rollouts.spec import Spec
from tests.rollouts.stage import T0, Stage, spec

ORDER = {"canary": 1, "waves": {"by": "count", "size": 4}, "max_unavailable": 2, "soak": "1m"}


def rehearsed(stage: Stage, said: Spec, *faults: str, go_on: bool = False) -> Rehearsal:
    found = [Fault.parse(each, said) for each in faults]
    return rehearse(stage.database, said, tools=stage.tools, faults=found, now=T0, go_on=go_on)


def test_it_tells_how_it_would_go_and_touches_nothing(stage: Stage) -> None:
    names = stage.machines(9)
    found = rehearsed(stage, spec(order=ORDER))
    assert (found.state, found.ended, found.worst, found.allowed) == ("done", {"done": 9}, 2, 2)
    assert [each["machines"] for each in found.waves] == [1, 4, 4]
    begins = [each["begins_s"] for each in found.waves]
    assert begins == sorted(begins)
    assert found.took.total_seconds() > 3 * 60
    with stage.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Rollout)) == 0
    assert {stage.machine(name).state for name in names} == {State.ACTIVE}


def test_the_same_seed_is_the_same_rehearsal(stage: Stage) -> None:
    stage.machines(5)
    said = spec(order=ORDER)
    assert rehearsed(stage, said).to_dict() == rehearsed(stage, said).to_dict()


def test_a_node_that_does_not_come_back_and_a_drain_that_hangs_show_where_it_would_stop(stage: Stage) -> None:
    names = stage.machines(9)
    said = spec(order=ORDER)
    found = rehearsed(stage, said, f"{names[2]}:reboot=hangs")
    assert found.state == "paused"
    assert f"{names[2]} failed" in found.says
    assert found.ended["failed"] == 1
    found = rehearsed(stage, said, f"{names[0]}:drain=hangs", go_on=True)
    assert found.state == "done"
    assert found.ended == {"done": 8, "failed": 1}


def test_where_all_that_is_allowed_to_be_down_has_failed_it_ends_stuck_and_says_so(stage: Stage) -> None:
    stage.machines(5)
    found = rehearsed(stage, spec(order={**ORDER, "max_failures": 5}), "*:verify=fails")
    assert found.state == "stuck"
    assert "waits: 2 may be down" in found.says


def test_a_window_is_waited_for_in_no_time(stage: Stage) -> None:
    stage.machines(5)
    window = {"days": ["sun"], "from": "03:00", "to": "05:00"}
    found = rehearsed(stage, spec(order={**ORDER, "windows": [window]}))
    assert found.state == "done"
    assert found.took.days >= 4  # it was a Tuesday


def test_a_pause_point_is_passed_for_it_is_there_for_a_person(stage: Stage) -> None:
    stage.machines(5)
    assert rehearsed(stage, spec(order={**ORDER, "pause_after": ["every"]})).state == "done"


@pytest.mark.parametrize(
    "said", ["x", "a:lunch=fails", "a:drain=explodes", "a:drain", "a b:drain=fails", "*:patch=fails"]
)
def test_what_is_no_fault_is_refused_with_how_one_is_written(said: str) -> None:
    with pytest.raises(Invalid) as caught:
        Fault.parse(said, spec())
    assert "MACHINE:STEP=KIND" in str(caught.value.problems[0])


def test_what_a_preview_refuses_is_refused(stage: Stage) -> None:
    stage.machines(3)
    with pytest.raises(Invalid):
        rehearsed(stage, spec(machines={"cluster": "nowhere"}))
