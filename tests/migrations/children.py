"""Run as a program, so that it may fork: upgrades that are killed at each moment, and many at once.

python -m tests.migrations.children killed URL N       at N moments of one upgrade (0: each); prints how often it died
python -m tests.migrations.children together URL N     N processes upgrade at the same time
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sqlalchemy import event, inspect, text

from pxeapp import migrations
from pxeapp.db import Database


def state(url: str) -> list[str]:
    """Everything that a half-done upgrade would have changed: the schema's own text, and the revision."""
    database = Database(url)
    try:
        with database.read() as session:
            tables = inspect(session.connection()).get_table_names()
            found = [str(migrations.present_revision(database.engine))]
            if database.engine.dialect.name == "sqlite":
                found += [str(row) for row in session.execute(text("SELECT name, sql FROM sqlite_master ORDER BY 1"))]
            return found + [
                f"{name}: {session.scalar(text(f'SELECT count(*) FROM {name}'))}"  # noqa: S608
                for name in sorted(tables)
            ]
    finally:
        database.dispose()


def upgrade(url: str, die_at: int, tell: int = -1) -> None:
    """Upgrade, and be killed at this moment: before and after each statement, and before each commit.

    `tell`: a pipe, which the number of the moment of the commit is written to; that is the moment of death then.
    """
    database = Database(url)
    moments = 0

    def moment(*_: Any) -> None:
        nonlocal moments
        moments += 1
        if moments == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def commit(*_: Any) -> None:
        moment()
        if tell >= 0:
            os.write(tell, str(moments).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "after_cursor_execute"):
        event.listen(database.engine, name, moment)
    event.listen(database.engine, "commit", commit)
    migrations.upgrade(database)


def fork(url: str, die_at: int, tell: int = -1) -> int:
    """The number of a child that does it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            upgrade(url, die_at, tell)
            code = 0
        finally:
            os._exit(code)
    return child


def moments_of(url: str) -> int:
    """How many moments an upgrade has until it commits, at which it is killed."""
    reader, writer = os.pipe()
    os.waitpid(fork(url, 0, writer), 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        return int(said.read())


def killed(url: str, times: int) -> None:
    """Die later and later until an upgrade comes through; each time nothing may have changed, or all of it."""
    before, head = state(url), migrations.head_revision()
    moments = moments_of(url)
    assert state(url) == before, f"killed at moment {moments}, before its commit, it is at {state(url)}"
    step = max(1, moments // times) if times else 1
    deaths = 1
    for die_at in range(1, 100_000, step):
        _, status = os.waitpid(fork(url, die_at), 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"the upgrade failed after it was killed at moment {die_at - step}"
            break
        deaths += 1
        now = state(url)
        assert now == before or now[0] == head, f"killed at moment {die_at}, it is at {now}, before {before}"
    assert state(url)[0] == head
    print(deaths)


def together(url: str, number: int) -> None:
    """All of them succeed, whoever was first."""
    children = [fork(url, 0) for _ in range(number)]
    codes = [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * number, codes
    print(number)


if __name__ == "__main__":
    {"killed": killed, "together": together}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
