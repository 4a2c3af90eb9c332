"""Many threads, few transactions; each gets its own result or its own error."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import bindparam, event, func, select, update
from sqlalchemy.orm import Session

from pxeapp.commits import Change, GroupCommit, Overtaken
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


MOVED = Prepared(update(Machine).where(Machine.name == bindparam("old")).values(name=bindparam("new")))


def rename(old: str, new: str, rows: int | None = 1) -> Change:
    return Change(MOVED, {"old": old, "new": new}, rows)


def names(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(Machine.name)))


@pytest.fixture
def commits(any_database: Database) -> GroupCommit:
    with any_database.write() as session:
        session.add_all(machine(number) for number in range(20))
    return GroupCommit(any_database)


def test_changes_of_a_crowd_are_made_and_only_who_was_overtaken_is_told(
    commits: GroupCommit, any_database: Database
) -> None:
    hold, holding = threading.Event(), threading.Event()

    def stand_in_the_door(_session: Session) -> None:
        holding.set()
        hold.wait(10)

    def change(number: int) -> str:
        try:
            # Nobody is called gone: number 7 was made for something that is not so any more. Its first half is undone.
            second = rename("gone", "x") if number == 7 else rename(f"m{number}", f"k{number}")
            commits.change(rename(f"n{number}", f"m{number}"), second)
        except Overtaken:
            return "overtaken"
        return "changed"

    with ThreadPoolExecutor(21) as pool:
        door = pool.submit(commits.write, stand_in_the_door)
        assert holding.wait(10)
        crowd = [pool.submit(change, number) for number in range(20)]
        while len(commits._queue) < 20:  # all the others wait before it
            threading.Event().wait(0.01)
        hold.set()
        door.result()
        results = [each.result() for each in crowd]
    assert results == ["overtaken" if number == 7 else "changed" for number in range(20)]
    assert names(any_database) == {"n7", *(f"k{number}" for number in range(20) if number != 7)}


def test_of_two_that_want_the_same_one_is_overtaken(commits: GroupCommit, any_database: Database) -> None:
    def change(number: int) -> bool:
        try:
            commits.change(rename("n1", f"won{number}"))
        except Overtaken:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(change, range(8)))
    assert won.count(True) == 1
    assert f"won{won.index(True)}" in names(any_database)


def test_where_any_number_of_rows_is_right_nobody_is_overtaken(commits: GroupCommit) -> None:
    commits.change(rename("n1", "x", None), rename("nobody", "y", None))


def test_a_change_that_the_database_refuses_is_told_to_whoever_asked(commits: GroupCommit) -> None:
    with pytest.raises(Exception, match=r"(?i)unique"):
        commits.change(rename("n1", "n2"))
    commits.change(rename("n1", "free"))


@pytest.mark.postgresql
def test_crowds_of_two_hosts_that_lock_each_others_rows_all_get_through(postgresql_database: Database) -> None:
    """Each is about to change the row that the other one has changed. PostgreSQL ends one of the two."""
    with postgresql_database.write() as session:
        session.add_all(machine(number) for number in range(2))
    both = threading.Barrier(2)

    def crowd(commits: GroupCommit, name: str, order: tuple[int, int]) -> list[str]:
        hold, holding = threading.Event(), threading.Event()

        def door(_session: Session) -> None:
            holding.set()
            hold.wait(10)

        def note(number: int) -> str:
            def work(session: Session) -> str:
                row = session.scalars(select(Machine).where(Machine.name == f"n{number}").with_for_update()).one()
                row.fault = f"{row.fault}{name}"
                session.flush()
                if number == order[0]:
                    with contextlib.suppress(threading.BrokenBarrierError):
                        both.wait(5)  # the first time, until each of the two has locked a row
                return f"{name}{number}"

            return commits.write(work)

        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(commits.write, door)
            assert holding.wait(10)
            notes = []
            for place, number in enumerate(order):
                notes.append(pool.submit(note, number))
                while len(commits._queue) <= place:
                    threading.Event().wait(0.01)
            hold.set()
            first.result()
            return [each.result() for each in notes]

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(crowd, GroupCommit(postgresql_database), "a", (0, 1))
        other = pool.submit(crowd, GroupCommit(postgresql_database), "b", (1, 0))
        assert (one.result(), other.result()) == (["a0", "a1"], ["b1", "b0"])
    with postgresql_database.read() as session:
        assert {"".join(sorted(fault)) for fault in session.scalars(select(Machine.fault))} == {"ab"}
