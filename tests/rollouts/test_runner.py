"""The runner: wave after wave, never more down than allowed, pausing where it must, through crashes."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp import versions
from pxeapp.answers.models import TemplateVersion
from pxeapp.appliance import observing
from pxeapp.audit import AuditRow
from pxeapp.errors import Unavailable
from pxeapp.machines.lifecycle import State
from pxeapp.rollouts import changed, control, service, waves
from pxeapp.rollouts.leases import LEASE
from pxeapp.rollouts.port import Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.rehearse import Fault, Simulated
from pxeapp.rollouts.runner import Runner
from tests.rollouts.stage import HOUR, MINUTE, QUICK, SECOND, T0, Deadly, Killed, Observer, Stage, spec

FAILS = {"kind": "fails", "share": 100}


def fault(machine: str, step: str = "reboot", kind: str = "fails") -> Fault:
    return Fault(machine, step, kind)


def test_canaries_first_then_wave_by_wave_and_never_more_down_than_allowed(stage: Stage) -> None:
    stage.machines(12)
    order = {"canary": 2, "waves": {"by": "count", "size": 5}, "max_unavailable": 3, "soak": "1m"}
    number = stage.rollout(spec(order=order))
    row = stage.ends(stage.runner(), number)
    observer = Observer(stage, number)
    assert set(stage.states(number).values()) == {"done"}
    assert observer.worst() == 3
    began = [wave for wave, _ in observer.order()]
    assert began == sorted(began) == [0] * 2 + [1] * 5 + [2] * 5
    assert row.finished_at is not None
    assert {stage.machine(name).state for name in stage.states(number)} == {State.ACTIVE}


def test_a_wave_is_watched_before_the_next_begins(stage: Stage) -> None:
    stage.machines(2)
    number = stage.rollout(spec(order={"waves": {"by": "count", "size": 9}, "soak": "1h"}))
    stage.ends(stage.runner(), number)
    events = stage.events(number)
    canary_serves = next(each.at for each in events if each.kind == "serves")
    wave_begins = next(each.at for each in events if each.kind == "wave")
    assert wave_begins - canary_serves >= HOUR


@pytest.mark.parametrize(("borne", "failing", "ends"), [(0, 1, "paused"), (2, 2, "done"), (2, 3, "paused")])
def test_a_limit_is_kept_when_it_is_reached_and_pauses_when_it_is_exceeded(
    stage: Stage, borne: int, failing: int, ends: str
) -> None:
    names = stage.machines(8)
    said = spec(order={"canary": 0, "waves": {"by": "count", "size": 30}, "max_failures": borne, "soak": "0s",
                       "max_unavailable": "50%"})  # fmt: skip
    number = stage.rollout(said)
    bad = names[3 : 3 + failing]
    runner = stage.runner(*[fault(name) for name in bad])
    stage.until(runner, lambda: stage.row(number).state != "running")
    row = stage.row(number)
    assert row.state == ends
    failed = {name for name, state in stage.states(number).items() if state == "failed"}
    assert failed == set(bad)
    assert all(stage.machine(name).state == State.SERVICE_FAILED for name in failed)
    if ends == "paused":
        assert row.reason_code == waves.TOO_MANY
        assert f"{borne} may in total" in row.reason


def test_a_canary_that_fails_keeps_all_others_from_beginning(stage: Stage) -> None:
    names = stage.machines(10)
    number = stage.rollout(spec())
    runner = stage.runner(fault(names[0], "drain"))
    row = stage.ends(runner, number, in_state="paused")
    assert [name for _, name in Observer(stage, number).order()] == [names[0]]
    assert names[0] in row.reason
    assert stage.machine(names[0]).state == State.DRAIN_FAILED
    assert "drain was made to fail" in stage.machine(names[0]).fault


def test_a_canary_that_falls_silent_while_it_is_watched_counts_as_failed(stage: Stage) -> None:
    names = stage.machines(10)
    number = stage.rollout(spec(order={"soak": "30m"}))
    row = stage.ends(stage.runner(fault(names[0], "soak")), number, in_state="paused")
    assert row.reason_code == waves.TOO_MANY
    assert stage.machine(names[0]).state == State.ACTIVE  # it serves, whatever the gates say of it


def test_a_step_that_hangs_ends_at_its_deadline_with_what_it_said_last(stage: Stage) -> None:
    names = stage.machines(3)
    number = stage.rollout(spec())
    stage.ends(stage.runner(fault(names[0], "reboot", "hangs")), number, in_state="paused")
    member = stage.member(number, names[0])
    assert (member.state, member.reason_code) == ("failed", "reboot_timeout")
    assert member.reason == "It took longer than 45m. It hangs."


def test_failures_of_one_wave_have_their_own_limit(stage: Stage) -> None:
    names = stage.machines(21)
    said = spec(order={"canary": 0, "waves": {"by": "count", "size": 7}, "max_failures": 10, "soak": "0s",
                       "max_failures_per_wave": 1, "max_unavailable": 21})  # fmt: skip
    number = stage.rollout(said)
    runner = stage.runner(*[fault(name) for name in (names[0], names[7], names[8])])
    row = stage.ends(runner, number, in_state="paused")
    assert row.wave == 2
    assert "2 machines" in row.reason or f"{names[7]}, {names[8]}" in row.reason


def test_whoever_resumes_accepts_what_has_failed_and_the_limit_holds_anew(stage: Stage) -> None:
    names = stage.machines(6)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s", "max_unavailable": 3}))
    runner = stage.runner(fault(names[0]), fault(names[4]))
    stage.ends(runner, number, in_state="paused")
    stage.say(number, control.resume)
    row = stage.ends(runner, number, in_state="paused")
    assert names[4] in row.reason
    assert names[0] not in row.reason
    stage.say(number, control.resume)
    stage.ends(runner, number)


def test_a_failed_machine_that_does_not_serve_counts_against_the_budget(stage: Stage) -> None:
    names = stage.machines(4)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s", "max_failures": 4}))
    runner = stage.runner(fault(names[0]))
    stage.until(runner, lambda: "waits: 1 may be down" in stage.row(number).says)
    assert [name for _, name in Observer(stage, number).order()] == [names[0]]
    stage.say(number, control.skip, machine=names[0])  # a person says that it is not waited for
    stage.ends(runner, number)


def test_a_failed_machine_is_tried_again_where_it_failed_and_one_that_serves_begins_anew(stage: Stage) -> None:
    names = stage.machines(3)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s"}))
    runner = stage.runner(fault(names[0], "verify"))
    stage.ends(runner, number, in_state="paused")
    stage.say(number, control.retry, machine=names[0])
    stage.say(number, control.resume)
    stage.until(runner, lambda: stage.member(number, names[0]).state == "done")
    assert stage.steps(number, names[0]) == [
        ("drain", "done"), ("reboot", "done"), ("verify", "failed"), ("verify", "done"), ("undrain", "done"),
    ]  # fmt: skip


def test_a_failed_machine_is_put_back_into_service_without_another_try(stage: Stage) -> None:
    names = stage.machines(2)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s", "max_failures": 2}))
    runner = stage.runner(fault(names[0]))
    stage.until(runner, lambda: stage.member(number, names[0]).state == "failed")
    stage.say(number, control.retry, machine=names[0], step="undrain")
    stage.ends(runner, number)
    assert stage.states(number) == {names[0]: "aborted", names[1]: "done"}  # it was never restarted
    assert stage.machine(names[0]).state == State.ACTIVE


@pytest.mark.parametrize("at", ["drain", "reboot", "verify"])
def test_an_abort_brings_what_is_in_hand_to_a_safe_end(stage: Stage, at: str) -> None:
    names = stage.machines(10)
    number = stage.rollout(spec(order={"canary": 1, "soak": "10m"}))
    runner = stage.runner()
    stage.until(runner, lambda: stage.member(number, names[0]).step == at)
    stage.say(number, control.abort, reason="wrong night")
    row = stage.ends(runner, number, in_state="aborted")
    states = stage.states(number)
    assert states[names[0]] == ("aborted" if at == "drain" else "done")
    assert {states[name] for name in names[1:]} == {"aborted"}
    assert all(stage.machine(name).state == State.ACTIVE for name in names)
    if at == "drain":
        assert [step for step, _ in stage.steps(number, names[0])] == ["drain", "undrain"]
    assert "wrong night" in row.reason


def test_paused_begins_nothing_and_brings_to_its_end_what_is_in_hand(stage: Stage) -> None:
    names = stage.machines(10)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s"}))
    runner = stage.runner()
    stage.until(runner, lambda: stage.member(number, names[0]).step == "reboot")
    stage.say(number, control.pause, reason="lunch")
    stage.until(runner, lambda: stage.member(number, names[0]).state == "done")
    for _ in range(20):
        stage.once(runner)
        stage.clock.now += MINUTE
    assert list(stage.states(number).values()).count("waiting") == 9
    stage.say(number, control.resume)
    stage.ends(runner, number)


def test_it_stops_after_the_waves_that_a_person_wants_to_see(stage: Stage) -> None:
    stage.machines(9)
    order = {"canary": 1, "waves": {"by": "count", "size": 4}, "soak": "0s", "pause_after": ["canary", 1]}
    number = stage.rollout(spec(order=order))
    runner = stage.runner()
    row = stage.ends(runner, number, in_state="paused")
    assert (row.reason_code, row.wave) == (waves.PAUSE_POINT, 0)
    stage.say(number, control.go_on, wave=None)
    row = stage.ends(runner, number, in_state="paused")
    assert row.wave == 1
    stage.say(number, control.resume)
    stage.ends(runner, number)


def test_a_window_that_closes_keeps_machines_from_beginning_and_lets_the_begun_end(stage: Stage) -> None:
    names = stage.machines(12)
    window = {"from": "02:00", "to": "02:12"}
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s", "windows": [window]}))
    runner = stage.runner()
    stage.until(runner, lambda: "window" in stage.row(number).says.lower())
    begun = [each for each in stage.events(number) if each.kind == "begin"]
    assert 0 < len(begun) < len(names)
    assert all(each.at < T0 + 12 * MINUTE for each in begun)
    stage.until(runner, lambda: set(stage.states(number).values()) == {"waiting", "done"})
    while stage.clock.now < T0 + 23 * HOUR + 30 * MINUTE:  # a day of looks, a quarter of an hour apart
        stage.clock.now += 15 * MINUTE
        stage.once(runner)
    stage.until(runner, lambda: stage.row(number).state == "done")
    for each in stage.events(number):
        if each.kind == "begin":
            assert each.at.astimezone(dt.UTC).time() < dt.time(2, 12)
            assert each.at.hour == 2


def test_what_cannot_be_kept_as_it_was_pauses_it_and_other_edits_do_not(stage: Stage) -> None:
    names = stage.machines(4)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s"}), start=False)
    with stage.database.write() as session:  # a reinstallation, whose target this stage does not have
        service.get(session, number).spec = {
            **stage.row(number).spec,
            "action": {"reinstall": {"release": "debian-13"}},
        }
    stage.say(number, control.start)
    runner = stage.runner()
    stage.until(runner, lambda: stage.member(number, names[0]).state == "running")
    with stage.database.write() as session:
        about = {"action": "change", "at": stage.clock.now}
        versions.record(session, "releases", "rocky-9", None, {"a": 1}, author="user:eve", **about)  # not its own
        versions.record(session, "clusters", "a", None, {"a": 1}, author="system:secrets", **about)  # nobody's edit
    stage.until(runner, lambda: stage.member(number, names[0]).state == "done")
    assert stage.row(number).state == "running"
    with stage.database.write() as session:
        versions.record(session, "clusters", "a", {"a": 1}, {"a": 2}, author="user:eve", **about)
        template = {"number": 1, "sha256": "", "author": "user:eve", "at": stage.clock.now, "content": ""}
        session.add(TemplateVersion(path="kickstarts/base.ks", **template))
    stage.until(runner, lambda: stage.member(number, names[1]).state == "done")
    assert stage.row(number).state == "running"
    with stage.database.write() as session:
        replaced = {**about, "action": "replace"}
        versions.record(session, "releases", "debian-13", {"a": 1}, {"a": 2}, author="user:eve", **replaced)
        session.add(TemplateVersion(path="boot/install.ipxe", **template))
    row = stage.ends(runner, number, in_state="paused")
    assert row.reason_code == waves.EDITED
    assert row.reason == (
        "Since it was started the template boot/install.ipxe was edited by user:eve, the release debian-13 got other "
        "files by user:eve. Whoever resumes it takes everything as it is now."
    )
    before = changed.edition(row)
    stage.say(number, control.resume)
    assert changed.edition(stage.row(number)) != before
    stage.ends(runner, number)


def test_a_deadline_pauses_it(stage: Stage) -> None:
    stage.machines(4)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s", "deadline": "1h"}))
    slow = {key: type(spread)(300, 400, 500) for key, spread in QUICK.items()}
    row = stage.ends(stage.runner(times=slow), number, in_state="paused")
    assert row.reason_code == waves.TOO_LATE
    stage.say(number, control.resume)
    stage.ends(stage.runner(), number)


def test_nothing_moves_while_the_appliance_only_observes(stage: Stage) -> None:
    names = stage.machines(3)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s"}))
    runner = stage.runner()
    stage.until(runner, lambda: stage.member(number, names[0]).state == "running")
    with stage.database.write() as session:
        observing.begin(session, reason="Restored.", actor="user:ada", now=stage.clock.now)
    for _ in range(30):
        stage.once(runner)
        stage.clock.now += 10 * SECOND
    assert stage.member(number, names[0]).step == "drain"
    assert "only observes" in stage.member(number, names[0]).says


def test_two_rollouts_that_share_machines_never_run_together(stage: Stage) -> None:
    stage.machines(6)
    first = stage.rollout(spec())
    with pytest.raises(Exception, match="cannot be") as caught:
        stage.rollout(spec(name="y"))
    assert f"rollout {first}" in str(caught.value.problems).lower()  # type: ignore[attr-defined]


def test_two_rollouts_over_one_cluster_share_what_may_be_down(stage: Stage) -> None:
    """Ten compute nodes, of which one may be down: two rollouts, half of them each."""
    names = stage.machines(10, role="compute")
    halves = [names[:5], names[5:]]
    numbers = [
        stage.rollout(spec(name=f"half-{n}", machines={"names": half}, order={"canary": 0, "soak": "0s"}))
        for n, half in enumerate(halves)
    ]
    runner = stage.runner()
    stage.until(runner, lambda: all(stage.row(number).state == "done" for number in numbers))
    lines = sorted(
        (each.at, each.id, each.kind, each.evidence.get("machine"))
        for number in numbers
        for each in stage.events(number)
    )
    down: set[str] = set()
    for _, _, kind, machine in lines:
        if kind == "begin":
            down.add(machine)
        elif kind == "done":
            down.discard(machine)
        assert len(down) <= 1


def test_a_machine_that_an_operator_took_fails_with_that_and_is_not_touched(stage: Stage) -> None:
    names = stage.machines(3)
    number = stage.rollout(spec(order={"canary": 0}))
    stage.set(names[0], locked=True)
    runner = stage.runner()
    row = stage.ends(runner, number, in_state="paused")
    assert stage.member(number, names[0]).reason == f"{names[0]} is locked. End that and retry it, or skip it."
    assert stage.machine(names[0]).state == State.ACTIVE
    assert names[0] in row.reason
    stage.set(names[0], locked=False)
    stage.say(number, control.retry, machine=names[0])
    stage.say(number, control.resume)
    stage.ends(runner, number)
    assert set(stage.states(number).values()) == {"done"}


class Once:
    """A step with one effect, which must happen once; its look waits until somebody lets it go on."""

    def __init__(self) -> None:
        self.during: Any = None
        self.looks = 0

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        self.looks += 1
        if self.during is not None:
            self.during()
        return Done("Done.", {"by": subject.token})


def test_a_worker_that_wakes_up_late_changes_nothing(stage: Stage) -> None:
    names = stage.machines(3)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s"}))
    late, step = stage.runner(owner="late"), Once()
    late = stage.runner(owner="late", steps={"drain": step})
    other = stage.runner(owner="other")

    def meanwhile() -> None:
        """The lease ends, and another worker brings the machine far beyond."""
        stage.clock.now += LEASE + SECOND
        stage.until(other, lambda: stage.member(number, names[0]).state == "done")

    late.look(number)
    step.during = meanwhile
    member = stage.member(number, names[0])
    assert late.work(member.id) is False
    assert stage.member(number, names[0]).state == "done"
    assert [step for step, _ in stage.steps(number, names[0])] == ["drain", "reboot", "verify", "undrain"]


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_look_it_goes_on_without_repeating_or_exceeding(stage: Stage, seed: int) -> None:
    names = stage.machines(12)
    said = spec(order={"canary": 1, "waves": {"by": "count", "size": 8}, "max_unavailable": 3, "soak": "1m"})
    number = stage.rollout(said)
    dice = random.Random(seed)
    deadly = Deadly(Simulated(QUICK), dice, 0.15)

    def born() -> Runner:
        steps = dict.fromkeys(("drain", "reboot", "verify", "undrain", "soak"), deadly)
        return stage.runner(owner=f"process {dice.random()}", steps=steps)

    runner = born()
    deaths = 0
    while stage.row(number).state == "running":
        try:
            if not stage.once(runner):
                stage.clock.now = max(stage.clock.now + SECOND, stage.next_due())
        except Killed:
            deaths += 1
            runner = born()
            stage.clock.now += dt.timedelta(seconds=dice.randint(0, 120))
    assert deaths > 3
    assert stage.states(number) == dict.fromkeys(names, "done")
    assert Observer(stage, number).worst() <= 3
    for name in names:
        assert [step for step, _ in stage.steps(number, name)] == ["drain", "reboot", "verify", "undrain", "soak"]


class Raises:
    """A step that meets trouble first."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        if self.troubles:
            raise self.troubles.pop(0)
        return Done("Done.", memory=memory)


def test_what_passes_by_itself_is_waited_for_and_a_fault_of_ours_is_not_the_machines(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    names = stage.machines(1)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s"}))
    step = Raises(Unavailable("The cloud is away."), RuntimeError("a bug"))
    runner = stage.runner(steps={"drain": step})
    stage.until(runner, lambda: stage.member(number, names[0]).says == "The cloud is away.")
    stage.until(runner, lambda: "our side" in stage.member(number, names[0]).says)
    stage.ends(runner, number)
    assert "a bug" in caplog.text


def test_every_change_of_a_machine_has_its_line_and_its_audit_row(stage: Stage) -> None:
    names = stage.machines(1)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s"}))
    stage.ends(stage.runner(), number)
    with stage.database.read() as session:
        said = session.scalars(select(AuditRow.action).where(AuditRow.subject == names[0]).order_by(AuditRow.id)).all()
    assert list(said) == [
        "rollout.machine.begin", "rollout.machine.step", "rollout.machine.step", "rollout.machine.step",
        "rollout.machine.done",
    ]  # fmt: skip


class Talks:
    """A step that writes a long log."""

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        number = int(memory.get("number", 0)) + 1
        if number > 6:
            return Failed("x", "No.", "Fix it.", {"n": number}, memory, log="the end\n")
        return Waiting("It talks.", {"number": number}, log=f"{number}" * 100_000 + "\n")


def test_the_last_part_of_a_steps_log_is_kept(stage: Stage) -> None:
    names = stage.machines(1)
    number = stage.rollout(spec(order={"canary": 0}))
    stage.ends(stage.runner(steps={"drain": Talks()}), number, in_state="paused")
    with stage.database.read() as session:
        from pxeapp.rollouts.models import RolloutStep

        row = session.scalars(select(RolloutStep)).one()
        assert len(row.log) == 256 * 1024
        assert row.log.endswith(b"6\nthe end\n")
        assert (row.outcome, row.code, row.says) == ("failed", "x", "No.")
    assert stage.member(number, names[0]).hint == "Fix it."


def test_it_runs_by_itself_in_a_thread_and_stops_when_told(stage: Stage) -> None:
    import threading

    stage.machines(4)
    number = stage.rollout(spec(order={"canary": 0, "soak": "0s", "max_unavailable": 4}))  # fmt: skip
    runner = stage.runner(steps=dict.fromkeys(("drain", "reboot", "verify", "undrain"), Once()))
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    try:
        with contextlib.suppress(StopIteration):
            for _ in range(300):
                if stage.row(number).state == "done":
                    break
                stage.clock.now += 2 * SECOND
                stop.wait(0.1)
    finally:
        stop.set()
        thread.join(10)
    assert stage.row(number).state == "done"
