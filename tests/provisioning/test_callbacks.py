"""Reports from machines: applied at most once, forwards only, whatever order and however often they come."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from pxeapp.commits import GroupCommit
from pxeapp.db import Database
from pxeapp.errors import Invalid
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Event, Machine
from pxeapp.provisioning import activity, callbacks, grants, steps, tokens
from pxeapp.provisioning.callbacks import EFFECTS, Report
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.reconciler import Reconciler
from pxeapp.provisioning.steps import Step
from pxeapp.vault import open_vault
from tests.provisioning.conftest import ADDRESS, T0

MINUTE = dt.timedelta(minutes=1)


def report(database: Database, number: int, event: str, message: str = "", now: dt.datetime = T0) -> bool:
    vault = open_vault(Path(str(database.engine.url.database)).parent)
    token = tokens.derive(vault, deployment(database, number), tokens.CALLBACK)
    said = Report(event, message, ADDRESS)
    return callbacks.receive(database, GroupCommit(database), token, said, now=now).applied


def deployment(database: Database, number: int) -> Deployment:
    with database.read() as session:
        return session.get_one(Deployment, number)


def test_the_usual_order_walks_the_steps(database: Database, deployment_id: int) -> None:
    reached, words = [], []
    for event in ("started", "progress", "installed", "first_boot"):
        assert report(database, deployment_id, event, f"{event}!")
        reached.append(deployment(database, deployment_id).step)
        words.append(deployment(database, deployment_id).progress)
    assert reached == [Step.INSTALLING, Step.INSTALLING, Step.INSTALLED, Step.FIRST_BOOT]
    assert words == ["", "progress!", "", ""]


@pytest.mark.parametrize("event", EFFECTS)
def test_a_report_that_comes_again_changes_nothing(database: Database, deployment_id: int, event: str) -> None:
    assert report(database, deployment_id, event, "once")
    with database.read() as session:
        before = session.scalar(select(func.count()).select_from(Event))
    row = deployment(database, deployment_id)
    for _ in range(3):
        report(database, deployment_id, event, "once")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == before
    again = deployment(database, deployment_id)
    assert (again.step, again.step_since, again.outcome, again.reason) == (
        row.step,
        row.step_since,
        row.outcome,
        row.reason,
    )


@given(st.lists(st.sampled_from(sorted(EFFECTS)), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_no_order_of_reports_goes_back_or_ends_twice(database: Database, deployment_id: int, events: list[str]) -> None:
    with database.write() as session:  # each example begins anew on the same rows
        row = session.get_one(Deployment, deployment_id)
        row.step, row.outcome, row.steps, row.grant = Step.ARMED, None, [], grants.ARMED
        session.get_one(Machine, row.machine_id).state = State.DEPLOYING
    seen = [deployment(database, deployment_id)]
    for event in events:
        report(database, deployment_id, event)
        seen.append(deployment(database, deployment_id))
    for earlier, later in itertools.pairwise(seen):
        assert steps.rank(later.step) >= steps.rank(earlier.step)
        assert earlier.outcome is None or later.outcome == earlier.outcome
    names = [entry["step"] for entry in seen[-1].steps]
    assert len(names) == len(set(names))


def test_installed_disarms_in_the_same_commit(database: Database, deployment_id: int) -> None:
    report(database, deployment_id, "installed")
    row = deployment(database, deployment_id)
    assert (row.step, row.grant) == (Step.INSTALLED, grants.DISARMED)


def test_a_first_boot_counts_and_disarms_when_installed_was_lost(database: Database, deployment_id: int) -> None:
    report(database, deployment_id, "started")
    assert report(database, deployment_id, "first_boot")
    row = deployment(database, deployment_id)
    assert (row.step, row.grant) == (Step.FIRST_BOOT, grants.DISARMED)


def test_progress_starts_the_installers_patience_anew_but_not_past_the_attempt(
    database: Database, deployment_id: int
) -> None:
    report(database, deployment_id, "started")
    report(database, deployment_id, "progress", "Packages 10 %", T0 + 50 * MINUTE)
    assert deployment(database, deployment_id).step_deadline == T0 + 110 * MINUTE
    report(database, deployment_id, "progress", "Packages 99 %", T0 + 230 * MINUTE)
    row = deployment(database, deployment_id)
    assert row.step_deadline == row.deadline


def test_progress_counts_as_the_start_when_that_was_lost(database: Database, deployment_id: int) -> None:
    assert report(database, deployment_id, "progress", "Partitioning")
    row = deployment(database, deployment_id)
    assert (row.step, row.progress) == (Step.INSTALLING, "Partitioning")


def test_a_failure_ends_the_attempt_with_the_installers_words(database: Database, deployment_id: int) -> None:
    assert report(database, deployment_id, "failed", "No space left on device")
    row = deployment(database, deployment_id)
    assert (row.outcome, row.reason_code) == ("failed", "installer_failed")
    assert "No space left on device" in row.reason
    for late in EFFECTS:
        assert not report(database, deployment_id, late)
    assert deployment(database, deployment_id).outcome == "failed"


def test_a_failure_after_the_installation_is_noted_and_ends_nothing(database: Database, deployment_id: int) -> None:
    report(database, deployment_id, "installed")
    assert not report(database, deployment_id, "failed", "%post of an add-on")
    assert deployment(database, deployment_id).outcome is None
    with database.read() as session:
        noted = session.scalar(select(Event).where(Event.kind == "failed"))
        assert noted is not None
        assert noted.message == "%post of an add-on"


def test_a_role_that_is_set_up_starts_the_patience_anew_and_is_not_up_before_it_calls_in(
    database: Database, deployment_id: int
) -> None:
    report(database, deployment_id, "installed")
    assert report(database, deployment_id, "setting_up", "Keystone's database", T0 + 20 * MINUTE)
    row = deployment(database, deployment_id)
    assert (row.step, row.progress, row.outcome) == (Step.INSTALLED, "Keystone's database", None)
    assert row.step_deadline == T0 + 50 * MINUTE
    assert report(database, deployment_id, "first_boot")
    assert not report(database, deployment_id, "setting_up", "late")
    assert deployment(database, deployment_id).step == Step.FIRST_BOOT


def test_the_installers_last_words_are_not_taken_for_those_of_the_installed_system(
    database: Database, deployment_id: int
) -> None:
    report(database, deployment_id, "progress", "Packages 99 %")
    report(database, deployment_id, "installed")
    assert deployment(database, deployment_id).progress == ""
    report(database, deployment_id, "setting_up", "Its own address")
    assert activity.sets_up(deployment(database, deployment_id))


def test_a_role_whose_setting_up_goes_silent_says_where_it_was(database: Database, deployment_id: int) -> None:
    report(database, deployment_id, "installed")
    report(database, deployment_id, "setting_up", "Keystone's database", T0 + MINUTE)
    vault = open_vault(Path(str(database.engine.url.database)).parent)
    assert Reconciler(database, vault, "worker:1").look(deployment_id, now=T0 + 32 * MINUTE)
    row = deployment(database, deployment_id)
    assert (row.outcome, row.reason_code) == ("failed", "setup_silent")
    assert "Keystone's database" in row.reason


def test_setting_up_counts_as_installed_when_that_was_lost(database: Database, deployment_id: int) -> None:
    report(database, deployment_id, "started")
    assert report(database, deployment_id, "setting_up", "Its own address")
    row = deployment(database, deployment_id)
    assert (row.step, row.grant) == (Step.INSTALLED, grants.DISARMED)


def test_a_role_that_cannot_be_set_up_fails_the_attempt_until_the_machine_is_up(
    database: Database, deployment_id: int
) -> None:
    report(database, deployment_id, "installed")
    assert report(database, deployment_id, "setup_failed", "The volume group: sdb holds something")
    row = deployment(database, deployment_id)
    assert (row.outcome, row.reason_code) == ("failed", "setup_failed")
    assert "sdb holds something" in row.reason


def test_an_unknown_event_is_refused_with_the_known_ones(database: Database, deployment_id: int) -> None:
    with pytest.raises(Invalid) as caught:
        report(database, deployment_id, "exploded")
    assert all(event in caught.value.hint for event in EFFECTS)
