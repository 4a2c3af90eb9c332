"""The same on a server: whatever ends a restore in its middle, nobody sees half of it or makes an empty appliance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text

from pxeapp import migrations
from pxeapp.appliance import observing
from pxeapp.backup import places, restoring
from pxeapp.db import Database, now
from pxeapp.machines.models import Machine
from pxeapp.processes.serve import prepare
from pxeapp.storage import postgresql
from pxeapp.storage.faults import DatabaseLost
from pxeapp.storage.postgresql import DRAFT, ToolFailed
from pxeapp.vault import open_vault
from tests.backup.conftest import Pxeapp, at, backup, restore

pytestmark = pytest.mark.postgresql


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "data"


@pytest.fixture
def two_servers_databases(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    from tests.postgres import _new_database

    server = request.getfixturevalue("postgresql_server")
    with _new_database(server) as one, _new_database(server) as other:
        yield one, other


def test_an_appliance_on_postgresql_is_dumped_and_loaded(
    pxeapp: Pxeapp, two_servers_databases: tuple[str, str], tmp_path: Path, elsewhere: Path
) -> None:
    here, there = two_servers_databases
    database = Database(here)
    migrations.upgrade(database)
    with database.write() as session:
        session.add(Machine(name="node7", mac="52:54:00:00:00:07", created_at=now(), updated_at=now()))
    database.dispose()
    source = tmp_path / "b.tar.gz"
    made = pxeapp("backup", str(source), url=here)
    assert made.exit_code == 0, made.output
    assert pxeapp("restore", str(source), data_dir=elsewhere).exit_code == 1  # not into SQLite
    done = pxeapp("restore", str(source), data_dir=elsewhere, url=there)
    assert done.exit_code == 0, done.output
    again = pxeapp("restore", str(source), data_dir=elsewhere, url=there)
    assert (again.exit_code, "--replace" in again.output) == (1, True)
    replaced = pxeapp("restore", "--replace", "--yes", str(source), data_dir=elsewhere, url=there)
    assert replaced.exit_code == 0, replaced.output
    loaded = Database(there)
    with loaded.read() as session:
        assert session.scalars(select(Machine.name)).all() == ["node7"]
        assert observing.present(session) is not None
        kept = session.scalars(
            text("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'before_restore%'")
        )
        assert len(kept.all()) == 1
    loaded.dispose()


def with_a_machine(url: str, name: str) -> None:
    database = Database(url)
    migrations.upgrade(database)
    with database.write() as session:
        session.add(Machine(name=name, mac="52:54:00:00:00:07", created_at=now(), updated_at=now()))
    database.dispose()


def machines(url: str) -> list[str]:
    database = Database(url)
    with database.read() as session:
        found = list(session.scalars(select(Machine.name)))
    database.dispose()
    return found


def schemas(url: str) -> list[str]:
    database = Database(url)
    with database.read() as session:
        found = list(session.scalars(text("SELECT nspname FROM pg_namespace WHERE nspname ~ 'restore'")))
    database.dispose()
    return found


@pytest.fixture
def source(two_servers_databases: tuple[str, str], tmp_path: Path) -> Path:
    """A backup of an appliance with one machine, node7."""
    with_a_machine(two_servers_databases[0], "node7")
    here = at(tmp_path / "lost", two_servers_databases[0])
    open_vault(here.data_dir)
    return backup(here, tmp_path / "b.tar.gz")


@pytest.mark.parametrize("moment", ["load", "loaded", "held", "aside", "key"])
@pytest.mark.parametrize("replace", [False, True])
def test_one_that_is_killed_anywhere_leaves_the_old_with_its_key_or_says_that_it_is_missing_and_is_done_again(
    two_servers_databases: tuple[str, str], source: Path, elsewhere: Path, moment: str, replace: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    there = two_servers_databases[1]
    settings = at(elsewhere, there)
    if replace:
        prepare(settings)
        with_a_machine(there, "precious")
        key = (elsewhere / "secret.key").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_a, **_k: None)
        _die_at(patched, moment)
        with pytest.raises(KeyboardInterrupt):
            restore(source, elsewhere, replace=replace, url=there)
    if replace and moment not in ("aside", "key"):
        prepare(settings)
        assert machines(there) == ["precious"]
        assert (elsewhere / "secret.key").read_bytes() == key
    elif schemas(there):
        database = Database(there)
        with pytest.raises(DatabaseLost, match="restore") as refused:
            migrations.upgrade(database)
        database.dispose()
        assert "pxeapp restore BACKUP" in str(refused.value.hint)
    else:
        assert not replace
    restore(source, elsewhere, replace=replace, url=there)
    assert machines(there) == ["node7"]
    assert DRAFT not in schemas(there)
    prepare(settings)
    database = Database(there)
    with database.read() as session:
        assert observing.present(session) is not None
    database.dispose()


def _die_at(patched: pytest.MonkeyPatch, moment: str) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    load = postgresql.load

    def load_and_die(url: str, draft: Path) -> None:
        load(url, draft)
        raise KeyboardInterrupt

    if moment == "load":
        patched.setattr(postgresql, "moving", die)
    elif moment == "loaded":
        patched.setattr(postgresql, "load", load_and_die)
    elif moment == "held":
        patched.setattr(places.Postgresql, "put_aside", die)
    elif moment == "aside":
        patched.setattr(restoring, "_move_in", die)
    else:
        patched.setattr(places.Postgresql, "move_in", die)


def test_a_load_that_ends_in_its_middle_leaves_everything_as_it_was(
    two_servers_databases: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pg_restore that says half of it and fails: what it said must not be committed."""
    here, there = two_servers_databases
    for url, name in ((here, "node7"), (there, "precious")):
        with_a_machine(url, name)
    postgresql.dump(here, tmp_path / "whole")
    liar = tmp_path / "bin" / "pg_restore"
    liar.parent.mkdir()
    liar.write_text(f'#!/bin/sh\n{shutil.which("pg_restore")} "$@" | head -c 20000\necho broke >&2\nexit 1\n')
    liar.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{liar.parent}:/usr/bin:/bin")
        with pytest.raises(ToolFailed, match="broke"):
            postgresql.load(there, tmp_path / "whole")
    assert machines(there) == ["precious"]
    assert schemas(there) == []


def test_what_stands_in_its_way_is_said(two_servers_databases: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"no dump")
    postgresql.dump(two_servers_databases[0], tmp_path / "whole")
    with pytest.raises(ToolFailed, match="pg_restore failed"):
        postgresql.load(two_servers_databases[0], tmp_path / "none")
    with pytest.raises(ToolFailed, match="psql failed"):
        postgresql.load(two_servers_databases[0].replace("/test", "/no_such"), tmp_path / "whole")


def test_a_backup_after_a_restore_holds_the_present_appliance_only_and_can_be_restored_over_it(
    two_servers_databases: tuple[str, str], source: Path, elsewhere: Path, tmp_path: Path
) -> None:
    there = two_servers_databases[1]
    with_a_machine(there, "precious")
    restore(source, elsewhere, replace=True, url=there)
    again = backup(at(elsewhere, there), tmp_path / "again.tar.gz")
    done = restore(again, elsewhere, replace=True, url=there)
    assert machines(there) == ["node7"]
    assert any(name.startswith("the schema before_restore_") for name in done.aside)


def test_no_empty_appliance_is_made_beside_one_that_was_put_aside(two_servers_databases: tuple[str, str]) -> None:
    """As a restore of an earlier version left it, which emptied the place before it began to load."""
    database = Database(two_servers_databases[0])
    with database.write() as session:
        session.execute(text("CREATE SCHEMA before_restore_20261126_120000"))
    with pytest.raises(DatabaseLost, match="before_restore_20261126_120000"):
        migrations.upgrade(database)
    with database.write() as session:
        session.execute(text("DROP SCHEMA before_restore_20261126_120000"))
        session.execute(text("CREATE SCHEMA beforexrestorexours"))
    assert migrations.upgrade(database)[0] is None
    database.dispose()


def test_one_that_cannot_be_made_ready_leaves_nothing_of_itself(
    two_servers_databases: tuple[str, str], source: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = two_servers_databases[1]
    with_a_machine(there, "precious")

    def broken(*_: object) -> None:
        raise ToolFailed("It cannot be held.")

    monkeypatch.setattr(places, "_hold", broken)
    with pytest.raises(ToolFailed, match="held"):
        restore(source, elsewhere, replace=True, url=there)
    assert machines(there) == ["precious"]
    assert schemas(there) == []
    assert not elsewhere.exists()


def test_who_owns_neither_the_database_nor_public_can_restore_and_replace(
    two_servers_databases: tuple[str, str], source: Path, elsewhere: Path, tmp_path: Path
) -> None:
    """As before PostgreSQL 15, where `public` belongs to the server's superuser whoever owns the database."""
    there = two_servers_databases[1]
    name = there.partition("@/")[2].partition("?")[0]
    admin = create_engine(there.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE {name} TO app"))
        connection.execute(text("ALTER SCHEMA public OWNER TO pxeapp; GRANT ALL ON SCHEMA public TO app"))
    admin.dispose()
    url = there.replace("pxeapp@", "app@")
    try:
        restore(source, elsewhere, url=url)
        again = backup(at(elsewhere, url), tmp_path / "again.tar.gz")
        restore(again, elsewhere, url=url, replace=True)
        assert machines(url) == ["node7"]
    finally:
        with admin.connect() as connection:
            connection.execute(text("DROP OWNED BY app CASCADE; DROP ROLE app"))
        admin.dispose()
