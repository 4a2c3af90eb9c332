"""Tasks: done once, told while they go, stopped when somebody says so, and never lost with the worker."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.software import kinds
from pxeapp.software.tasks import running, service
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.runner import BEGUN, Runner
from pxeapp.software.tasks.running import Run, Work


def ordered(database: Database, kind: str = "test", subject: str = "it", **options: Any) -> int:
    with database.write() as session:
        return service.order(session, kind, subject, options, actor="user:ops", now=now()).id


def wire(database: Database, number: int) -> dict[str, Any]:
    with database.read() as session:
        return service.wire(service.get(session, number))


@pytest.fixture
def runner(settings: Settings, database: Database) -> Callable[[Work], Runner]:
    def made(work: Work) -> Runner:
        return Runner(replace(settings, database_url=database.url), {"test": lambda: work})

    return made


def test_a_task_is_done_and_says_what_came_of_it(database: Database, runner: Callable[[Work], Runner]) -> None:
    number = ordered(database, colour="blue")

    def work(run: Run) -> dict[str, Any]:
        run.progress(1, 4, unit="files", says="Reading")
        shown = wire(database, number)
        assert (shown["state"], shown["done"], shown["total"], shown["says"]) == ("running", 1, 4, "Reading")
        run.progress(2)  # within the same second: not written down
        assert wire(database, number)["done"] == 1
        return {"colour": run.options["colour"]}

    assert runner(work).look()
    shown = wire(database, number)
    assert (shown["state"], shown["result"], shown["done"]) == ("done", {"colour": "blue"}, 4)
    assert not runner(work).look()


def test_a_refusal_is_kept_as_its_sentence_and_a_defect_is_not_shown(
    database: Database, runner: Callable[[Work], Runner]
) -> None:
    def refuses(_run: Run) -> dict[str, Any]:
        raise Invalid("The ISO is torn.", hint="Copy it again.")

    def breaks(_run: Run) -> dict[str, Any]:
        raise KeyError("secret")

    first, second = ordered(database), ordered(database, subject="other")
    assert runner(refuses).look()
    assert runner(breaks).look()
    assert wire(database, first)["problem"] == "The ISO is torn. Copy it again."
    assert wire(database, second)["state"] == "failed"
    assert "secret" not in wire(database, second)["problem"]


def test_two_of_the_same_are_refused_until_the_first_has_ended(
    database: Database, runner: Callable[[Work], Runner]
) -> None:
    first = ordered(database)
    with pytest.raises(Conflict, match=f"Task {first} works on it already"):
        ordered(database)
    assert runner(lambda _run: {}).look()
    assert ordered(database) > first


def test_a_task_that_waits_is_cancelled_at_once_and_one_that_runs_at_its_next_word(
    database: Database, runner: Callable[[Work], Runner]
) -> None:
    waiting = ordered(database)

    def cancel(number: int) -> None:
        with database.write() as session:
            service.cancel(session, number, actor="user:ops", now=now())

    cancel(waiting)
    assert wire(database, waiting)["state"] == "cancelled"
    with pytest.raises(Conflict):
        cancel(waiting)
    running = ordered(database)

    def work(run: Run) -> dict[str, Any]:
        cancel(running)
        assert wire(database, running)["cancelling"]
        run.says("On and on")
        raise AssertionError("it went on")

    assert runner(work).look()
    assert wire(database, running)["state"] == "cancelled"


def test_a_worker_that_is_told_to_stop_leaves_the_task_to_the_next_one(
    database: Database, runner: Callable[[Work], Runner]
) -> None:
    number = ordered(database)
    stop = threading.Event()
    stop.set()

    def work(run: Run) -> dict[str, Any]:
        run.progress(1)
        return {"done": True}

    assert runner(work).look(0, stop)
    assert wire(database, number)["state"] == "waiting"
    assert runner(work).look()
    assert wire(database, number)["state"] == "done"


def test_a_killed_workers_task_begins_again_and_the_late_one_changes_nothing(
    database: Database, runner: Callable[[Work], Runner]
) -> None:
    number = ordered(database)

    def late(run: Run) -> dict[str, Any]:
        with database.write() as session:  # its lease is over, and another worker takes the task
            session.get_one(SoftwareTask, number).lease_until = now() - dt.timedelta(seconds=1)
        other = runner(lambda _run: {"by": "the other"})
        assert other.look(1)
        run.says("Still here?")
        raise AssertionError("it went on")

    assert runner(late).look()
    assert wire(database, number)["result"] == {"by": "the other"}


def test_what_ends_the_worker_each_time_is_given_up(database: Database, runner: Callable[[Work], Runner]) -> None:
    number = ordered(database)
    with database.write() as session:
        session.get_one(SoftwareTask, number).begun = BEGUN
    assert not runner(lambda _run: {}).look()
    shown = wire(database, number)
    assert shown["state"] == "failed"
    assert "begun 5 times" in shown["problem"]


def test_an_ended_task_is_ordered_again_and_forgotten_in_the_end(
    database: Database, runner: Callable[[Work], Runner]
) -> None:
    number = ordered(database, colour="blue")
    with database.write() as session, pytest.raises(Conflict, match="has not ended"):
        service.retry(session, number, actor="user:ops", now=now())
    assert runner(lambda _run: {}).look()
    with database.write() as session:
        again = service.retry(session, number, actor="user:ops", now=now())
        assert (again.kind, again.options) == ("test", {"colour": "blue"})
        service.forget_old(session, now=now() + service.KEPT + dt.timedelta(minutes=1))
        assert list(session.scalars(select(SoftwareTask.id))) == [again.id]
    with database.read() as session, pytest.raises(NotFound):
        service.get(session, number)


def test_every_kind_has_its_work_where_the_table_says() -> None:
    for kind, load in kinds.loaders().items():
        assert callable(load()), kind
    assert all(callable(each) for each in kinds.regular())


def test_the_process_works_and_ends_when_it_is_told(
    database: Database, runner: Callable[[Work], Runner], tmp_path: Path
) -> None:
    stop, done = threading.Event(), threading.Event()

    def work(_run: Run) -> dict[str, Any]:
        (tmp_path / "done").touch()
        done.set()
        return {}

    number = ordered(database)
    thread = threading.Thread(target=runner(work).run, args=(stop,))
    thread.start()
    assert done.wait(20)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert wire(database, number)["state"] in ("done", "running")


def test_what_cannot_tell_how_far_it_is_keeps_its_task(
    database: Database, runner: Callable[[Work], Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = ordered(database)
    monkeypatch.setattr(running, "LEASE", dt.timedelta(seconds=0.4))
    leases: list[dt.datetime | None] = []

    def lease() -> dt.datetime | None:
        with database.read() as session:
            return service.get(session, number).lease_until

    def work(run: Run) -> dict[str, Any]:
        with run.busy("Counting sheep"):
            leases.append(lease())
            until = now() + dt.timedelta(seconds=20)
            while len(leases) < 3 and now() < until:
                if (found := lease()) != leases[-1]:
                    leases.append(found)
        return {}

    assert runner(work).look()
    assert len(leases) == 3
    assert wire(database, number)["says"] == "Counting sheep"
