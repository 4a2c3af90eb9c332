"""Who typed is written down before a key leaves, by whichever way; and nobody waits for a console in a transaction."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
from sqlalchemy import event, select

from pxeapp.audit.models import AuditRow
from pxeapp.consoles import door, service
from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid, Unavailable
from pxeapp.machines.models import Machine
from tests.consoles.conftest import Desk, wait_until

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def nobody_was_noted() -> None:
    service._told.clear()


def noted(desk: Desk, action: str) -> list[str]:
    with desk.database.read() as session:
        return list(session.scalars(select(AuditRow.actor).where(AuditRow.action == action).order_by(AuditRow.id)))


def typed(desk: Desk) -> bytes:
    path = desk.fake._path.with_suffix(".typed")
    return path.read_bytes() if path.exists() else b""


def types(desk: Desk, data: bytes, *, later: dt.timedelta = dt.timedelta()) -> None:
    service.type_keys(desk.database, desk.settings, "node1", data, actor="user:ada", now=now() + later)


def test_who_types_is_noted_before_the_keys_leave_and_again_after_a_while(desk: Desk) -> None:
    with pytest.raises(Conflict, match="Open it first"):
        types(desk, b"x")
    assert noted(desk, "console.type") == ["user:ada"]
    with door.attach(desk.settings, desk.machine_id):
        wait_until(
            lambda: door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"] == "open", what="line"
        )
        types(desk, b"y")
        assert noted(desk, "console.type") == ["user:ada"]
        types(desk, b"z", later=service.TOLD_EVERY)
        assert noted(desk, "console.type") == ["user:ada"] * 2
        wait_until(lambda: typed(desk) == b"yz", what="what was typed")


def test_a_note_that_could_not_be_written_is_written_with_the_next_key(desk: Desk) -> None:
    def full(_: Any) -> None:
        raise Unavailable("The disk is full.")

    event.listen(desk.database.engine, "commit", full)
    try:
        with pytest.raises(Unavailable, match="full"):
            types(desk, b"x")
    finally:
        event.remove(desk.database.engine, "commit", full)
    assert noted(desk, "console.type") == []
    with pytest.raises(Conflict, match="Open it first"):
        types(desk, b"x")
    assert noted(desk, "console.type") == ["user:ada"]


def test_nothing_is_noted_where_nothing_can_be_typed(desk: Desk) -> None:
    with pytest.raises(Invalid, match="bytes"):
        types(desk, b"x" * (service.KEYS_LIMIT + 1))
    with desk.database.write() as session:
        session.add(Machine(name="node2", mac="52:54:00:00:00:02", created_at=now(), updated_at=now()))
    with pytest.raises(Conflict, match="no BMC"):
        service.type_keys(desk.database, desk.settings, "node2", b"x", actor="user:ada", now=now())
    assert noted(desk, "console.type") == []


def test_others_may_write_while_the_console_process_takes_its_time(desk: Desk) -> None:
    desk.end()
    wrote: list[str] = []

    def answer(server: socket.socket) -> None:
        sock, _ = server.accept()
        with sock:
            door.read_line(sock)
            with desk.database.write() as session:
                session.add(Machine(name="node2", mac="52:54:00:00:00:02", created_at=now(), updated_at=now()))
            wrote.extend(noted(desk, "console.take"))
            sock.sendall(b'{"ok": true}\n')

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(door.socket_path(desk.settings)))
        server.listen()
        slow = threading.Thread(target=answer, args=(server,))
        slow.start()
        service.act(desk.database, desk.settings, "node1", "take", actor="user:ada", now=now())
        slow.join(30)
    assert wrote == ["user:ada"], "it was noted before it was done"
    door.socket_path(desk.settings).unlink()
    desk.restart_after_end()


def test_who_types_in_a_terminal_is_noted(desk: Desk) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")}
    environ |= {"PXEAPP_DATA_DIR": str(desk.settings.data_dir), "PXEAPP_DATABASE_URL": desk.database.url}
    process = subprocess.Popen(
        [sys.executable, "-m", "pxeapp", "machine", "console", "node1"],
        env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        wait_until(
            lambda: door.ask(desk.settings, {"do": "state", "machine": desk.machine_id})["state"] == "open",
            seconds=120, what="line",
        )  # fmt: skip
        assert noted(desk, "console.open") == ["user:local"]
        assert noted(desk, "console.type") == []
        process.stdin.write(b"uname\r")
        process.stdin.flush()
        wait_until(lambda: typed(desk) == b"uname\r", seconds=60, what="what was typed")
        assert noted(desk, "console.type") == ["user:local"]
    finally:
        process.kill()
        process.communicate(timeout=30)
