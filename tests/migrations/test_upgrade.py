"""The migrations give exactly the models' schema, on both databases, and never lose a row on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import func, inspect, select, text

from pxeapp import migrations
from pxeapp.cli import main
from pxeapp.db import Base, Database, now
from pxeapp.errors import ConfigError
from pxeapp.machines.models import Bmc, Event, Machine
from pxeapp.migrations import tables
from tests.conftest import load_models

LATER_REVISION = '''
"""What a later revision may do: change a table that others point to."""
import sqlalchemy as sa
from alembic import op

revision = "later"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade():
    with op.batch_alter_table("machines", recreate="auto") as batch:
        batch.alter_column("name", existing_type=sa.String(63), type_=sa.String(64))
        batch.add_column(sa.Column("chassis", sa.String(20)))


def downgrade():
    pass
'''


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    sqlite = request.param == "sqlite"
    database = Database(f"sqlite:///{tmp_path / 'x.db'}" if sqlite else request.getfixturevalue("postgresql_url"))
    yield database
    database.dispose()


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))


def test_an_empty_database_gets_exactly_the_models_schema(empty: Database) -> None:
    load_models()
    assert migrations.present_revision(empty.engine) is None
    assert differences(empty)
    assert migrations.upgrade(empty) == (None, migrations.head_revision())
    assert differences(empty) == []
    found = set(inspect(empty.engine).get_table_names())
    assert found == set(Base.metadata.tables) | {"alembic_version"}


def test_upgrading_again_changes_nothing(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.write() as session:
        session.add(Machine(name="node1", mac="52:54:00:00:00:01", created_at=now(), updated_at=now()))
    head = migrations.head_revision()
    assert migrations.upgrade(empty) == (head, head)
    with empty.read() as session:
        assert session.scalars(select(Machine.name)).all() == ["node1"]


def test_going_down_leaves_nothing_behind_and_up_again_works(empty: Database) -> None:
    migrations.upgrade(empty)
    command.downgrade(migrations.alembic_config(empty), "base")
    assert set(inspect(empty.engine).get_table_names()) == {"alembic_version"}
    migrations.upgrade(empty)
    assert differences(empty) == []


def test_every_module_with_tables_is_known_to_the_migrations() -> None:
    modules = {getattr(tables, name).__name__ for name in tables.__all__}
    load_models()
    assert {mapper.class_.__module__ for mapper in Base.registry.mappers} == modules


def test_changing_a_table_keeps_the_rows_that_point_to_it(empty: Database, tmp_path: Path) -> None:
    """SQLite copies the table and drops the old one, which with foreign keys on deletes all that hangs off it."""
    migrations.upgrade(empty)
    with empty.write() as session:
        machine = Machine(name="node1", mac="52:54:00:00:00:01", created_at=now(), updated_at=now())
        machine.bmc = Bmc(type="fake", address="10.0.0.1")
        session.add(machine)
        session.flush()
        session.add(Event(machine_id=machine.id, at=now(), source="dhcp", kind="seen", message="x"))
    versions = tmp_path / "later"
    versions.mkdir()
    (versions / "later.py").write_text(LATER_REVISION.format(head=migrations.head_revision()))
    config = migrations.alembic_config(empty)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{Path(migrations.__file__).parent / 'versions'}\n{versions}")
    command.upgrade(config, "heads")
    with empty.read() as session:
        assert session.execute(text("SELECT chassis FROM machines")).all() == [(None,)]
        for table in (Bmc, Event):
            assert session.scalar(select(func.count()).select_from(table)) == 1
        if empty.engine.dialect.name == "sqlite":
            assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
            assert session.execute(text("PRAGMA foreign_key_check")).all() == []


def test_a_database_from_the_future_is_refused_with_a_sentence(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999") as caught:
        migrations.upgrade(empty)
    assert caught.value.hint


def test_the_command_says_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path))
    head = migrations.head_revision()
    first = CliRunner().invoke(main, ["db", "upgrade"])
    assert (first.exit_code, first.output) == (0, f"The schema went from empty to {head}.\n")
    second = CliRunner().invoke(main, ["db", "upgrade"])
    assert (second.exit_code, second.output) == (0, f"The schema is at {head}.\n")
