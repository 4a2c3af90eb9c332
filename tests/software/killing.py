"""A worker that is killed in the last moment: what it worked on is whole, and its task is not recorded as done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.software import kinds
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.runner import Runner
from pxeapp.software.tasks.running import Run


class Killed(BaseException):
    """As if the process were gone: nobody handles it."""


class _Dying(Runner):
    ended = ""

    def _end(self, run: Run, outcome: str, *, problem: str = "", result: dict[str, object] | None = None) -> None:
        del run, result
        self.ended = f"{outcome} {problem}".strip()
        raise Killed


def killed_at_the_end(settings: Settings, database: Database) -> None:
    """Do the task that waits up to the commit that would say so, and leave it as a worker does that is gone."""
    runner = _Dying(replace(settings, database_url=database.url), kinds.loaders())
    with pytest.raises(Killed):
        runner.look()
    assert runner.ended == "done"
    free(database)


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> Iterator[None]:
    """Whoever calls this function of a module within the block is killed before it does anything."""

    def killed(*_args: object, **_said: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, name, killed)
        with pytest.raises(Killed):
            yield


def free(database: Database) -> None:
    """The lease of the killed worker is over."""
    with database.write() as session:
        session.execute(
            update(SoftwareTask).where(SoftwareTask.finished_at.is_(None)).values(lease_until=None, lease_owner=None)
        )
