"""A clock that jumps by a day ends nothing and makes nothing live for ever; neither does an absence."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp.appliance import clock
from pxeapp.appliance.clock import MOMENTS, Clock
from pxeapp.appliance.models import Appliance
from pxeapp.audit import AuditRow
from pxeapp.bmc import power
from pxeapp.bmc.models import PowerAction
from pxeapp.db import Base, Database, Timestamp
from pxeapp.migrations import tables
from pxeapp.prepared import reading
from pxeapp.provisioning import grants, leases, tokens
from pxeapp.provisioning.models import Deployment, NodeToken
from pxeapp.provisioning.reconciler import Reconciler
from pxeapp.provisioning.steps import Step
from pxeapp.provisioning.tokens import UnknownToken
from pxeapp.vault import Vault, open_vault
from tests.provisioning.conftest import T0, add_deployment, add_machine
from tests.provisioning.rack import Rack, rack, rack_database_url

__all__ = ["rack", "rack_database_url"]

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
jumps = pytest.mark.parametrize("jump", [DAY, -DAY], ids=["a day forward", "a day back"])
# What tells when something happened, and decides nothing (or, api_tokens, is a date that somebody wrote).
RECORDS = {
    "api_tokens.created_at", "api_tokens.expires_at", "api_tokens.last_used_at", "appliance.clock_at",
    "appliance.observing_since", "audit.at", "audit_prunes.at", "clusters.created_at",
    "clusters.updated_at", "deployments.claimed_at",
    "deployments.finished_at", "deployments.requested_at", "events.at", "given_bases.at",
    "machines.created_at", "machines.power_seen_at", "machines.updated_at",
    "node_logs.at", "nodes.keys_at", "power_actions.finished_at", "power_actions.requested_at", "releases.created_at",
    "releases.updated_at", "served.at", "sightings.first_seen", "sightings.last_seen", "sign_in_tries.at",
    "user_sessions.created_at", "user_sessions.previous_until", "user_sessions.seen_at", "users.created_at",
    "users.last_sign_in_at", "users.password_until",
    "bmc_facts.seen_at", "bmc_orders.finished_at", "bmc_orders.requested_at", "console_recordings.ended_at",
    "console_recordings.started_at", "deployment_records.finished_at", "deployment_records.requested_at",
    "clouds.created_at", "clouds.updated_at", "job_items.at",
    "jobs.finished_at", "jobs.requested_at", "kept_answers.at", "saved_filters.updated_at", "sel_entries.at",
    "sel_entries.seen_at", "template_versions.at", "versions.at",
    "webhook_deliveries.created_at", "webhook_deliveries.finished_at",
    "webhooks.created_at", "webhooks.updated_at",
    "breaker.opened_at", "breaker.reset_at",
    "software_tasks.requested_at", "software_tasks.started_at", "software_tasks.finished_at",
    "software_upstreams.created_at", "software_upstreams.updated_at", "software_upstream_states.updated_at",
    "software_upstream_missing.last_at",
    "software_repositories.published_at", "software_repositories.created_at", "software_repositories.updated_at",
    "software_signing_keys.created_at", "software_signing_keys.retired_at",
    "software_snapshots.taken_at", "software_snapshots.published_at", "software_snapshots.deleted_at",
    "software_media.created_at", "software_media.updated_at",
    "software_channels.created_at", "software_channels.updated_at", "software_channel_moves.at",
    "software_snapshot_uses.at", "software_bundles.at",
    "rollouts.created_at", "rollouts.started_at", "rollouts.finished_at", "rollout_members.started_at",
    "rollout_members.finished_at", "rollout_steps.finished_at", "rollout_events.at",
}  # fmt: skip
LEASES = {
    "deployments.lease_until", "power_actions.lease_until", "bmc_orders.lease_until", "rollouts.lease_until",
    "rollout_members.lease_until",
}  # fmt: skip


@dataclass
class Time:
    """A wall clock that can be set, and one that cannot."""

    wall: dt.datetime = T0
    boot: float = 1000.0

    def pass_by(self, length: dt.timedelta) -> None:
        self.wall += length
        self.boot += length.total_seconds()

    def watch(self, database: Database) -> Clock:
        found = Clock(database, wall=lambda: self.wall, since_boot=lambda: self.boot)
        database.before_each = found.check
        return found


@pytest.fixture
def time(database: Database) -> Time:
    """The database is watched, and a worker has just written the time down."""
    found = Time()
    found.watch(database).beat()
    return found


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(tmp_path)


def fifty(database: Database, vault: Vault) -> list[int]:
    """Deployments at all steps, armed, with tokens, as they are a minute after they got there."""
    steps = [step for step in Step if step not in (Step.REQUESTED, Step.VERIFIED, Step.FIRST_BOOT)]
    numbers = []
    with database.write() as session:
        for number in range(50):
            machine = add_machine(session, name=f"node{number}", mac=f"52:54:00:00:01:{number:02x}")
            row = add_deployment(session, machine, step=steps[number % len(steps)])
            grants.arm(session, vault, row, now=T0)
            numbers.append(row.id)
    return numbers


def audits(database: Database) -> list[AuditRow]:
    with database.read() as session:
        return list(session.scalars(select(AuditRow).where(AuditRow.action == "clock.moved")))


def test_every_moment_that_is_kept_is_either_moved_or_a_mere_record() -> None:
    """Whoever adds a moment says here which of the two it is."""
    assert tables
    kept = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Timestamp)
    }
    moved = {f"{each.table}.{column}" for each in MOMENTS for column in each.columns}
    assert not moved & RECORDS
    assert moved | RECORDS | LEASES == kept


@jumps
def test_no_deployment_runs_out_of_time_and_each_keeps_what_it_had_left(
    database: Database, vault: Vault, time: Time, jump: dt.timedelta
) -> None:
    numbers = fifty(database, vault)
    worker = Reconciler(database, vault, "worker:1")
    time.pass_by(MINUTE)
    time.wall += jump
    for number in numbers:
        worker.look(number, now=time.wall)
    with database.read() as session:
        rows = session.scalars(select(Deployment)).all()
    assert {row.outcome for row in rows} == {None}
    assert {row.step_deadline - time.wall for row in rows} == {30 * MINUTE}  # as when the time was last written down
    assert {row.lease_until for row in rows} == {None}
    (said,) = audits(database)
    assert {table: rows for table, rows in said.details["rows"].items() if rows} == {
        "deployments": 50,
        "node_tokens": 100,
    }
    assert abs(said.details["seconds"] - jump.total_seconds()) <= 60


@jumps
def test_time_still_runs_out_after_a_jump(database: Database, vault: Vault, time: Time, jump: dt.timedelta) -> None:
    numbers = fifty(database, vault)
    worker = Reconciler(database, vault, "worker:1")
    time.wall += jump
    worker.look(numbers[0], now=time.wall)
    time.pass_by(31 * MINUTE)
    for number in numbers:
        worker.look(number, now=time.wall)
    with database.read() as session:
        assert {row.outcome for row in session.scalars(select(Deployment))} == {"failed"}


@jumps
def test_a_token_lives_as_long_as_before_and_no_longer(
    database: Database, vault: Vault, time: Time, jump: dt.timedelta
) -> None:
    number = fifty(database, vault)[0]
    with database.read() as session:
        row = session.get_one(Deployment, number)
        secrets = {scope: tokens.derive(vault, row, scope) for scope in (tokens.CONFIG, tokens.CALLBACK)}

    def works(scope: str) -> bool:
        with reading(database) as run:
            try:
                tokens.check(run, secrets[scope], scope, now=time.wall)
            except UnknownToken:
                return False
            return True

    time.wall += jump
    assert works(tokens.CONFIG)
    assert works(tokens.CALLBACK)
    time.pass_by(61 * MINUTE)
    assert not works(tokens.CONFIG)
    assert works(tokens.CALLBACK)
    time.pass_by(3 * 60 * MINUTE + 15 * MINUTE)
    assert not works(tokens.CALLBACK)


def test_a_token_whose_row_promises_it_a_long_life_has_none(database: Database, vault: Vault) -> None:
    """Even where nobody noticed that the clock was set back: what cannot have been issued now is not taken."""
    with database.write() as session:
        row = add_deployment(session, add_machine(session), step=Step.ARMED)
        grants.arm(session, vault, row, now=T0)
        secret = tokens.derive(vault, row, tokens.CALLBACK)
    with reading(database) as run, pytest.raises(UnknownToken):
        tokens.check(run, secret, tokens.CALLBACK, now=T0 - DAY)


@jumps
def test_only_the_first_process_that_notices_moves_anything(
    database: Database, vault: Vault, time: Time, jump: dt.timedelta
) -> None:
    fifty(database, vault)
    others = [Database(database.url) for _ in range(4)]
    for other in others:
        time.watch(other).check()
    time.wall += jump
    start = threading.Barrier(len(others))

    def look(other: Database) -> None:
        start.wait(30)
        with other.read() as session:
            assert {row.outcome for row in session.scalars(select(Deployment))} == {None}

    threads = [threading.Thread(target=look, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for other in others:
        other.dispose()
    assert len(audits(database)) == 1
    with database.read() as session:
        assert {row.deadline for row in session.scalars(select(Deployment))} == {T0 + dt.timedelta(hours=4) + jump}


@jumps
def test_a_jump_while_nothing_ran_is_noticed_at_the_start(
    database: Database, vault: Vault, time: Time, jump: dt.timedelta
) -> None:
    numbers = fifty(database, vault)
    later = Time(T0 + jump, boot=5.0)  # the host was restarted as well
    again = Database(database.url)
    later.watch(again)
    worker = Reconciler(again, vault, "worker:2")
    for number in numbers:
        worker.look(number, now=later.wall)
    with again.read() as session:
        assert {row.outcome for row in session.scalars(select(Deployment))} == {None}
    again.dispose()
    assert len(audits(database)) == 1


def test_the_time_in_which_nobody_was_here_does_not_count(database: Database, vault: Vault, time: Time) -> None:
    """What installers reported to an appliance that was off for an hour, they report now; until then nothing ends."""
    number = fifty(database, vault)[0]
    again = Database(database.url)
    time.pass_by(60 * MINUTE)
    time.watch(again).beat()
    Reconciler(again, vault, "worker:2").look(number, now=time.wall)
    with again.read() as session:
        row = session.get_one(Deployment, number)
    again.dispose()
    assert row.outcome is None
    assert row.step_deadline == T0 + 90 * MINUTE


def test_a_worker_that_stood_still_notices_it_by_its_own_beat(database: Database, vault: Vault) -> None:
    time = Time()
    watching = time.watch(database)
    watching.beat()
    number = fifty(database, vault)[0]
    time.pass_by(10 * MINUTE)
    watching.beat()
    with database.read() as session:
        assert session.get_one(Deployment, number).step_deadline == T0 + 40 * MINUTE
    time.pass_by(5 * dt.timedelta(seconds=1))
    watching.beat()
    assert len(audits(database)) == 1


def test_small_corrections_and_passing_time_move_nothing(database: Database, vault: Vault, time: Time) -> None:
    fifty(database, vault)
    watching = Clock(database, wall=lambda: time.wall, since_boot=lambda: time.boot)
    database.before_each = watching.check
    for _ in range(200):
        time.pass_by(dt.timedelta(seconds=5))
        time.wall += dt.timedelta(seconds=1)  # far more than NTP ever slews
        watching.beat()
    assert audits(database) == []
    with database.read() as session:
        assert session.get_one(Appliance, 1).clock_at == time.wall


def test_two_hosts_whose_clocks_differ_do_not_play_ball_with_the_rows(
    database: Database, vault: Vault, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    fifty(database, vault)
    mine = Clock(database, wall=lambda: time.wall, since_boot=lambda: time.boot)
    mine.beat()
    with database.write() as session:
        session.get_one(Appliance, 1).clock_at = time.wall + DAY  # another host's worker wrote that
    caplog.set_level(logging.ERROR)
    for _ in range(3):
        time.pass_by(dt.timedelta(seconds=5))
        mine.beat()
    assert audits(database) == []
    assert len([record for record in caplog.records if "NTP" in record.message]) == 1


def test_a_jump_that_cannot_be_written_down_is_tried_again(database: Database, vault: Vault, time: Time) -> None:
    number = fifty(database, vault)[0]
    time.wall += DAY
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO away")
    with pytest.raises(Exception, match="audit"), database.read():
        pytest.fail("nothing is decided by a time that the rows do not know")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit")
    with database.read() as session:
        assert session.get_one(Deployment, number).step_deadline == T0 + DAY + 30 * MINUTE


def test_a_lease_in_the_far_future_strands_no_row(database: Database, vault: Vault) -> None:
    number = fifty(database, vault)[0]
    with database.write() as session:
        session.get_one(Deployment, number).lease_until = T0 + DAY
    assert number in leases.due(database, now=T0)
    assert leases.take(database, number, owner="worker:2", now=T0) is not None
    assert leases.take(database, number, owner="worker:3", now=T0) is None  # an ordinary lease holds


@jumps
def test_a_power_cycle_goes_on_and_repeats_nothing(rack: Rack, jump: dt.timedelta) -> None:
    """At each look of the cycle the clock jumps once; the BMC's own log has each command once."""
    commands = [_cycle(rack, jump if place % 2 else -jump, place) for place in range(6)]
    assert commands == [["power off", "power on"]] * len(commands)


def _cycle(rack: Rack, jump: dt.timedelta, place: int) -> list[str]:
    database = rack.provisioner.database
    time = Time(T0 + place * 10 * MINUTE)
    with database.write() as session:
        session.merge(Appliance(id=1, observing_reason="")).clock_at = time.wall
    time.watch(database)
    carrier = replace(rack.carrier, clock=lambda: time.wall)
    carrier.timings = replace(rack.carrier.timings, settle=dt.timedelta(seconds=2))
    before = len(rack.bmc.received())
    with database.write() as session:
        action = power.request(
            session, machine_id=rack.machine().id, goal="cycle", requested_by="user:ada", now=time.wall
        )
        number = action.id
    looks = 0
    for _ in range(30):
        for hand in carrier.claim(limit=5):
            while carrier.step(hand):
                looks += 1
                if looks == place + 1:
                    time.wall += jump
                time.pass_by(dt.timedelta(seconds=1))
        time.pass_by(dt.timedelta(seconds=1))
        with database.read() as session:
            row = session.get_one(PowerAction, number)
        if row.finished_at is not None:
            break
    assert row.outcome == "done", f"jump at look {place}: {row.outcome} {row.error}"
    assert abs(row.finished_at - time.wall) < MINUTE  # type: ignore[operator]
    database.before_each = None
    return [each["command"] for each in rack.bmc.received()[before:] if each["command"].startswith("power")]


def test_a_command_from_the_future_does_not_hold_the_next_one_back(rack: Rack) -> None:
    """The clock was set back after the last one was sent: the pause between two commands is not a day."""
    database = rack.provisioner.database
    database.before_each = None
    machine_id = rack.machine().id
    with database.write() as session:
        first = power.request(session, machine_id=machine_id, goal="off", requested_by="user:ada", now=T0 + DAY)
        first.command_at = first.finished_at = T0 + DAY
    with database.write() as session:
        second = power.request(session, machine_id=machine_id, goal="off", requested_by="user:ada", now=T0)
        assert second.command_at == T0


def test_the_slack_is_more_than_a_tick_and_less_than_any_allowance() -> None:
    assert dt.timedelta(seconds=30) < clock.SLACK <= dt.timedelta(minutes=1)
    assert NodeToken.__tablename__ in {each.table for each in MOMENTS}
