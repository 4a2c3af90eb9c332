"""A restored appliance is the one of the backup, and moves nothing until it is told to."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import select, text

from pxeapp import migrations
from pxeapp.appliance import observing
from pxeapp.audit import AuditRow
from pxeapp.backup.making import Wish
from pxeapp.backup.places import Occupied
from pxeapp.bmc.models import PowerAction
from pxeapp.config import Settings
from pxeapp.db import now
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.prepared import reading
from pxeapp.provisioning import tokens
from pxeapp.provisioning.models import Deployment, NodeToken
from pxeapp.provisioning.reconciler import Reconciler
from pxeapp.provisioning.steps import Step
from pxeapp.storage.sqlite import InUse
from pxeapp.vault import open_vault
from tests.backup.conftest import PASSWORD, Pxeapp, backup, bmc_password, database_of, restore
from tests.provisioning.rack import Rack

LATER = dt.timedelta(days=3)


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found = {name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}  # noqa: S608
    connection.close()
    return found


def test_a_clean_host_becomes_the_appliance(settings: Settings, tmp_path: Path, elsewhere: Path) -> None:
    source = backup(settings, tmp_path / "b.tar.gz", Wish(media=True))
    done = restore(source, elsewhere)
    assert done.aside == ()
    before, after = dump(settings.data_dir / "pxeapp.db"), dump(elsewhere / "pxeapp.db")
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"appliance", "audit", "machines"}  # machines: their power is unknown until it is read anew
    assert bmc_password(elsewhere, database_of(elsewhere)) == PASSWORD
    assert (elsewhere / "templates" / "kickstarts" / "monitor.ks").read_text() == "%packages\n%end\n"
    there = {path.relative_to(elsewhere): path.read_bytes() for path in (elsewhere / "media").rglob("*.img")}
    assert there
    assert all((settings.data_dir / name).read_bytes() == content for name, content in there.items())
    assert [path.name for path in elsewhere.iterdir() if path.name.startswith(".")] == []
    assert (elsewhere / "secret.key").stat().st_mode & 0o077 == 0
    assert (elsewhere / "pxeapp.db").stat().st_mode & 0o077 == 0


def test_it_only_observes_and_the_audit_says_who_restored_it(
    rack: Rack, settings: Settings, tmp_path: Path, elsewhere: Path
) -> None:
    restore(backup(settings, tmp_path / "b.tar.gz"), elsewhere)
    with database_of(elsewhere).read() as session:
        held = observing.present(session)
        actions = session.scalars(select(AuditRow.action)).all()
    assert held is not None
    assert "Restored from the backup of" in held.reason
    assert {"appliance.observe", "appliance.restore"} <= set(actions)


def under_way(rack: Rack, step: Step) -> int:
    """A deployment that stands at this step."""
    number = rack.deploy()
    if step == Step.REQUESTED:
        return number
    if step == Step.ARMED:
        rack.look(number)
        return number
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    if step == Step.INSTALLING:
        machine.fetch_kernel()
        machine.fetch_answer()
        assert machine.report("started") == 200
    assert rack.step(number) == step
    return number


def test_an_order_that_had_not_begun_ends_and_is_never_carried_out(
    rack: Rack, settings: Settings, tmp_path: Path, elsewhere: Path
) -> None:
    number = under_way(rack, Step.REQUESTED)
    done = restore(backup(settings, tmp_path / "b.tar.gz"), elsewhere)
    assert (done.found.ended, done.found.observed) == (1, 0)
    with database_of(elsewhere).read() as session:
        row = session.get_one(Deployment, number)
        machine = session.get_one(Machine, row.machine_id)
    assert (row.outcome, row.reason_code) == ("failed", "restored")
    assert machine.state == State.DEPLOY_FAILED
    assert "backup" in machine.fault


@pytest.mark.parametrize("step", [Step.ARMED, Step.NBP_FETCHED, Step.INSTALLING])
def test_what_was_under_way_is_observed_and_neither_armed_nor_switched_again(
    rack: Rack, settings: Settings, tmp_path: Path, elsewhere: Path, step: Step
) -> None:
    number = under_way(rack, step)
    done = restore(backup(settings, tmp_path / "b.tar.gz"), elsewhere, later=LATER)
    assert (done.found.ended, done.found.observed) == (0, 1)
    database, present = database_of(elsewhere), now() + LATER
    with database.write() as session:
        observing.end(session, actor="user:ada", now=present)  # even then
    worker = Reconciler(database, open_vault(elsewhere), "worker:2")
    for minute in range(4):
        worker.look(number, now=present + dt.timedelta(minutes=minute))
    with database.read() as session:
        row = session.get_one(Deployment, number)
        assert (row.outcome, row.step, row.grant) == (None, step, "disarmed")
        assert row.power_action_id is None
        assert row.step_deadline > present  # the three days in between do not count
        assert session.scalars(select(PowerAction).where(PowerAction.finished_at.is_(None))).all() == []
        scopes = session.scalars(select(NodeToken.scope).where(NodeToken.deployment_id == number)).all()
        assert scopes == [tokens.CALLBACK]
        secret = tokens.derive(open_vault(elsewhere), row, tokens.CALLBACK)
    with reading(database) as run:
        tokens.check(run, secret, tokens.CALLBACK, now=present)


def test_one_that_is_never_heard_of_again_fails_at_its_deadline(
    rack: Rack, settings: Settings, tmp_path: Path, elsewhere: Path
) -> None:
    number = under_way(rack, Step.INSTALLING)
    restore(backup(settings, tmp_path / "b.tar.gz"), elsewhere)
    database = database_of(elsewhere)
    Reconciler(database, open_vault(elsewhere), "worker:2").look(number, now=now() + dt.timedelta(hours=1, minutes=1))
    with database.read() as session:
        assert session.get_one(Deployment, number).reason_code == "installer_silent"


def test_a_power_action_of_before_ends_as_unconfirmed(
    rack: Rack, settings: Settings, tmp_path: Path, elsewhere: Path
) -> None:
    number = rack.deploy()
    rack.look(number, after=dt.timedelta())
    (hand,) = rack.carrier.claim(limit=5)
    rack.carrier.step(hand)  # the command to go off has left
    done = restore(backup(settings, tmp_path / "b.tar.gz"), elsewhere)
    assert done.found.power == 1
    with database_of(elsewhere).read() as session:
        action = session.get_one(PowerAction, hand.action_id)
        powers = set(session.scalars(select(Machine.power)))
    assert (action.outcome, action.error_code) == ("unconfirmed", "restored")
    assert "not known" in action.error
    assert powers == {"unknown"}


def test_an_appliance_that_is_there_is_not_touched_unless_told_to(
    settings: Settings, tmp_path: Path, elsewhere: Path, rack: Rack
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    restore(source, elsewhere)
    database = database_of(elsewhere)
    with database.write() as session:
        session.execute(text("UPDATE machines SET name = 'precious' WHERE name = 'node1'"))
    database.dispose()
    before = dump(elsewhere / "pxeapp.db")
    with pytest.raises(Occupied, match="already"):
        restore(source, elsewhere)
    assert dump(elsewhere / "pxeapp.db") == before
    done = restore(source, elsewhere, replace=True)
    (aside,) = done.aside
    assert dump(Path(aside) / "pxeapp.db") == before
    with database_of(elsewhere).read() as session:
        assert sorted(session.scalars(select(Machine.name))) == ["node1", "node2"]


def test_one_that_runs_is_not_replaced_under_its_feet(settings: Settings, tmp_path: Path, elsewhere: Path) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    restore(source, elsewhere)
    running = database_of(elsewhere)
    with running.read() as session:
        session.scalar(select(Machine.id))
    with pytest.raises(InUse, match="in use"):
        restore(source, elsewhere, replace=True)
    with running.read() as session:
        assert session.scalars(select(Machine.name)).all()
    running.dispose()
    restore(source, elsewhere, replace=True)


def test_a_lost_database_is_restored_in_its_place(settings: Settings, tmp_path: Path, rack: Rack) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    rack.provisioner.database.dispose()
    (settings.data_dir / "pxeapp.db").unlink()
    done = restore(source, settings.data_dir)
    assert done.aside  # key, templates and hints of before
    with database_of(settings.data_dir).read() as session:
        assert len(session.scalars(select(Machine.name)).all()) == 2


@pytest.mark.parametrize("content", [b"", b"nonsense", b"SQLite format 3\0" + b"\xee" * 8192])
def test_the_advice_for_a_damaged_or_empty_database_is_the_command_that_helps(
    settings: Settings, tmp_path: Path, rack: Rack, pxeapp: Pxeapp, content: bytes
) -> None:
    source = backup(settings, tmp_path / "b.tar.gz")
    rack.provisioner.database.dispose()
    for companion in ("-wal", "-shm"):
        (settings.data_dir / f"pxeapp.db{companion}").unlink(missing_ok=True)
    (settings.data_dir / "pxeapp.db").write_bytes(content)
    refused = pxeapp("db", "upgrade")
    assert refused.exit_code == 1
    advice = re.search(r"pxeapp restore( --replace)? BACKUP", " ".join(refused.output.split()))
    assert advice, refused.output
    assert bool(advice[1]) == bool(content)
    words = ["--replace", "--yes"] if advice[1] else []
    done = pxeapp("restore", *words, str(source))
    assert done.exit_code == 0, done.output
    with database_of(settings.data_dir).read() as session:
        assert sorted(session.scalars(select(Machine.name))) == ["node1", "node2"]


def test_an_older_schema_is_upgraded_and_a_newer_one_refused(
    settings: Settings, tmp_path: Path, elsewhere: Path, rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.downgrade(migrations.alembic_config(rack.provisioner.database), "0002")
    rack.provisioner.database.before_each = None  # this version would not run on that schema
    source = backup(settings, tmp_path / "old.tar.gz")
    assert restore(source, elsewhere).schema == ("0002", migrations.head_revision())
    shutil.rmtree(elsewhere)
    monkeypatch.setattr(migrations, "known_revisions", lambda: frozenset({"0001"}))
    with pytest.raises(Exception, match="does not know"):
        restore(source, elsewhere)
    assert not elsewhere.exists()


def test_without_the_right_key_nothing_is_restored(settings: Settings, tmp_path: Path, elsewhere: Path) -> None:
    source = backup(settings, tmp_path / "b.tar.gz", Wish(key=False))
    with pytest.raises(Exception, match="without the key"):
        restore(source, elsewhere)
    open_vault(elsewhere)  # another one
    with pytest.raises(Exception, match="not the one"):
        restore(source, elsewhere)
    assert not (elsewhere / "pxeapp.db").exists()
    shutil.copy2(settings.data_dir / "secret.key", elsewhere / "secret.key")
    restore(source, elsewhere)
    assert bmc_password(elsewhere, database_of(elsewhere)) == PASSWORD


def test_the_command_tells_what_it_found_and_how_to_go_on(
    pxeapp: Pxeapp, settings: Settings, tmp_path: Path, elsewhere: Path, rack: Rack
) -> None:
    under_way(rack, Step.ARMED)
    source = backup(settings, tmp_path / "b.tar.gz")
    said = pxeapp("restore", str(source), data_dir=elsewhere)
    assert said.exit_code == 0, said.output
    for words in ("1 deployments, which are observed", "pxeapp release verify", "pxeapp resume"):
        assert words in said.output
    refused = pxeapp("restore", str(source), data_dir=elsewhere)
    assert refused.exit_code == 1
    assert "--replace" in refused.output
    assert pxeapp("restore", str(tmp_path / "nothing"), data_dir=tmp_path / "x").exit_code == 1
    assert not (tmp_path / "x").exists()
    deploy = pxeapp("machine", "deploy", "node2", "--release", "rocky-9", "--role", "compute", data_dir=elsewhere)
    assert "only observes" in deploy.output


def test_what_root_restores_belongs_to_the_data_directorys_owner(
    settings: Settings, tmp_path: Path, elsewhere: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root can give files away.")
    source = backup(settings, tmp_path / "b.tar.gz")
    elsewhere.mkdir(parents=True)
    os.chown(elsewhere, 65534, 65534)
    restore(source, elsewhere)
    assert {path.stat().st_uid for path in elsewhere.rglob("*")} == {65534}
