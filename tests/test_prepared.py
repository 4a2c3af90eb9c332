"""Prepared statements say on either database what sessions say, and are committed or undone as a whole."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import Text, bindparam, cast, func, insert, select, update

from pxeapp.db import Database
from pxeapp.machines.models import Event, Machine
from pxeapp.prepared import Prepared, reading, within, writing

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
NAMED = Prepared(
    select(
        Machine.id, Machine.name, Machine.labels, cast(Machine.vars, Text), Machine.created_at, Machine.serial
    ).where(Machine.name == bindparam("wanted"), Machine.power == "unknown")
)
RENAMED = Prepared(update(Machine).where(Machine.name == bindparam("old")).values(name=bindparam("new")))
NOTED = Prepared(
    insert(Event)
    .values(
        {
            name: bindparam(name)
            for name in ("machine_id", "deployment_id", "at", "source", "kind", "message", "evidence")
        }
    )
    .inline()
)


@pytest.fixture
def database(any_database: Database) -> Database:
    with any_database.write() as session:
        for name in ("a", "b"):
            session.add(
                Machine(
                    name=name, mac=f"52:54:00:00:00:0{name}", labels={"rack": "é"}, vars={"n": [1]}, created_at=T0,
                    updated_at=T0,
                )
            )  # fmt: skip
    return any_database


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Machine.name).order_by(Machine.name)))


def test_a_row_comes_back_with_the_types_of_its_columns(database: Database) -> None:
    with reading(database) as run:
        row = run.first(NAMED, wanted="a")
        assert run.first(NAMED, wanted="nobody") is None
        assert len(run.all(NAMED, wanted="b")) == 1
    assert row is not None
    assert row[1:3] == ("a", {"rack": "é"})
    assert row[3].replace(" ", "") == '{"n":[1]}'
    assert row[4:] == (T0, None)


def test_one_statement_with_many_values_says_how_many_rows_it_touched(database: Database) -> None:
    at = T0 + dt.timedelta(hours=1)
    with writing(database) as run:
        assert run.each(RENAMED, [{"old": "a", "new": "c"}, {"old": "gone", "new": "d"}, {"old": "b", "new": "e"}]) == 2
        row = run.first(NAMED, wanted="c")
        assert row is not None
        event = {"machine_id": row[0], "deployment_id": None, "source": "test", "kind": "k", "message": "m"}
        assert run.each(NOTED, [{**event, "at": at, "evidence": {"x": number}} for number in range(3)]) == 3
    assert names(database) == ["c", "e"]
    with database.read() as session:
        events = session.scalars(select(Event).order_by(Event.id)).all()
        assert [event.evidence for event in events] == [{"x": 0}, {"x": 1}, {"x": 2}]
        assert {event.at for event in events} == {at}


def test_a_value_is_a_value_whatever_it_looks_like(database: Database) -> None:
    odd = "x'; DROP TABLE machines; -- %s :old"
    with writing(database) as run:
        run.each(RENAMED, [{"old": "a", "new": odd}])
    assert names(database) == ["b", odd]


def test_what_raises_commits_nothing_and_leaves_the_connection_good(database: Database) -> None:
    def give_up_in_the_middle() -> None:
        with writing(database) as run:
            run.each(RENAMED, [{"old": "a", "new": "c"}])
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        give_up_in_the_middle()
    assert names(database) == ["a", "b"]
    with writing(database) as run:
        run.each(RENAMED, [{"old": "a", "new": "c"}])
    assert names(database) == ["b", "c"]


def test_a_part_is_undone_and_the_rest_stays(database: Database) -> None:
    with writing(database) as run:
        run.each(RENAMED, [{"old": "a", "new": "c"}])
        with contextlib.suppress(RuntimeError), run.all_or_none():
            run.each(RENAMED, [{"old": "b", "new": "d"}])
            raise RuntimeError
    assert names(database) == ["b", "c"]


def test_inside_a_session_it_belongs_to_the_sessions_transaction(database: Database) -> None:
    with contextlib.suppress(RuntimeError), database.write() as session:
        within(database, session).each(RENAMED, [{"old": "a", "new": "c"}])
        assert session.scalar(select(func.count()).where(Machine.name == "c")) == 1
        raise RuntimeError
    assert names(database) == ["a", "b"]


@pytest.mark.parametrize("way", [reading, writing])
def test_whatever_happens_the_connection_goes_back(database: Database, way: Any) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), way(database):
            raise error
    database.before_each = Mock(side_effect=OSError)
    with pytest.raises(OSError), way(database):
        pass
    database.before_each = None
    with way(database) as run, pytest.raises(Exception, match="nothing"):
        run._plain("SELECT nothing")
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
