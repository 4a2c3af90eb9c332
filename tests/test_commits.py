"""Many threads, few transactions; each gets its own result or its own error."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import bindparam, event, func, select, update
from sqlalchemy.orm import Session

from pxeapp.commits import GroupCommit
from pxeapp.db import Database
from pxeapp.machines.models import Machine
from pxeapp.prepared import Prepared, Runner
from tests.bmc.conftest import T0

RENAMED = Prepared(update(Machine).where(Machine.name == bindparam("before")).values(name=bindparam("after")))


def machine(number: int) -> Machine:
    return Machine(name=f"n{number}", mac=f"52:54:00:00:02:{number:02x}", created_at=T0, updated_at=T0)


def test_value_comes_back_after_the_commit(database: Database) -> None:
    def add(session: Session) -> str:
        session.add(machine(1))
        return "added"

    assert GroupCommit(database).write(add) == "added"
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Machine)) == 1


def test_those_who_wait_together_share_a_transaction_and_no_error(database: Database) -> None:
    commits = GroupCommit(database)
    count = [0]
    event.listen(database.engine, "commit", lambda _: count.__setitem__(0, count[0] + 1))
    hold = threading.Event()

    def add(number: int) -> object:
        def work(session: Session) -> int:
            hold.wait(5)  # the first one holds the door until all the others stand before it
            session.add(machine(number % 19))  # the twentieth takes a name that exists
            session.flush()
            return number

        try:
            return commits.write(work)
        except Exception as error:  # noqa: BLE001 - which error it is, is the test
            return type(error).__name__

    with ThreadPoolExecutor(20) as pool:
        results = pool.map(add, range(20))
        threading.Timer(0.3, hold.set).start()
        told = list(results)
    assert told.count("IntegrityError") == 1
    assert len([one for one in told if isinstance(one, int)]) == 19
    assert count[0] <= 3
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Machine)) == 19


def test_commit_that_fails_is_told_to_everybody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Session) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Session, "commit", full)
    with pytest.raises(OSError, match="disk full"):
        GroupCommit(database).write(lambda session: session.add(machine(1)))


def test_quick_work_stands_in_the_same_line_and_fails_alone(database: Database) -> None:
    commits = GroupCommit(database)
    hold = threading.Event()
    with database.write() as session:
        session.add_all(machine(number) for number in range(7))

    def slow(session: Session) -> str:
        hold.wait(5)
        session.add(machine(9))
        return "session"

    def quick(number: int) -> object:
        def work(run: Runner) -> int:
            assert run.each(RENAMED, [{"before": f"n{number}", "after": f"q{number}"}]) == 1
            if number == 3:
                raise ValueError(number)
            return number

        try:
            return commits.run(work)
        except ValueError:
            return "alone"

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(commits.write, slow)
        others = pool.map(quick, range(7))
        threading.Timer(0.2, hold.set).start()
        assert first.result() == "session"
        assert list(others) == [0, 1, 2, "alone", 4, 5, 6]
    with database.read() as session:
        names = set(session.scalars(select(Machine.name)))
    assert names == {"n9", "q0", "q1", "q2", "n3", "q4", "q5", "q6"}, "what failed left nothing"
