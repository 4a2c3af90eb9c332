"""`/live` of the real web process: 200 connections that cost no thread, and end when their account's session does."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from pxeapp.accounts import service
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.db import now
from pxeapp.machines import selectors, sightings
from pxeapp.machines.lifecycle import State
from pxeapp.ui.live import MOST_TOPICS, Seen
from pxeapp.webserver import THREADS, WORKERS
from tests.ui.served import PASSWORD, Appliance

pytestmark = pytest.mark.network
MANY = 200
WITHIN_S = 30.0


class Tab:
    """One open page: a connection that listens."""

    def __init__(self, url: str, cookies: str, topics: str, *headers: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.sock = socket.create_connection((host, int(port)), timeout=WITHIN_S)
        lines = [f"GET /live/{topics} HTTP/1.1", f"Host: {host}", f"Cookie: {cookies}", *headers]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.heard = b""

    def until(self, text: bytes) -> bytes:
        """Listen until a text comes; everything that was heard so far."""
        while text not in self.heard:
            piece = self.sock.recv(65536)
            assert piece, f"the stream ended after {self.heard!r}"
            self.heard += piece
        return self.heard

    def to_the_end(self) -> bytes:
        """Listen until the server hangs up."""
        while piece := self.sock.recv(65536):
            self.heard += piece
        return self.heard


@pytest.fixture
def http(served: Appliance) -> Iterator[requests.Session]:
    """Somebody signed in."""
    with requests.Session() as session:
        sign_in(session, served, "admin")
        yield session


def sign_in(session: requests.Session, served: Appliance, name: str) -> str:
    """The cookies that it has then."""
    session.trust_env = False
    page = session.get(f"{served.url}/login", timeout=WITHIN_S).text
    said = {"name": name, "password": PASSWORD, "csrf": re.findall(r'name="csrf" value="([^"]+)"', page)[0]}
    reply = session.post(f"{served.url}/login", data=said, timeout=WITHIN_S, allow_redirects=False)
    assert reply.status_code == 303
    return "; ".join(f"{each.name}={each.value}" for each in session.cookies)


Listen = Callable[..., Tab]


@pytest.fixture
def listen(served: Appliance, http: requests.Session) -> Iterator[Listen]:
    """Opens a tab of somebody signed in; closes all of them at the end."""
    opened: list[Tab] = []

    def listen(topics: str, *headers: str) -> Tab:
        cookies = "; ".join(f"{each.name}={each.value}" for each in http.cookies)
        opened.append(Tab(served.url, cookies, topics, *headers))
        return opened[-1]

    yield listen
    for tab in opened:
        tab.sock.close()


def test_two_hundred_tabs_cost_no_thread_and_are_all_told(
    served: Appliance, http: requests.Session, listen: Listen
) -> None:
    tabs = [listen("machines,deployments,sightings") for _ in range(MANY)]
    for tab in tabs:
        tab.until(b"retry: 2000")
    assert http.get(f"{served.url}/machines", timeout=WITHIN_S).status_code == 200, "ordinary requests are served"
    assert _threads(served.process.pid) <= WORKERS * (THREADS + 5) + 5
    with served.database.write() as session:
        selectors.get(session, "spare-01").state = State.RESERVED
    for tab in tabs:
        tab.until(b"event: machines\n")
    with served.database.write() as session:
        sightings.record(session, mac="52:54:00:aa:00:77", now=now())
    for tab in tabs:
        assert b"event: deployments\n" not in tab.until(b"event: sightings\n"), "nothing happened to those"

    token = re.search(r'name="csrf" value="([^"]+)"', http.get(f"{served.url}/", timeout=WITHIN_S).text)
    assert token
    http.post(f"{served.url}/logout", data={"csrf": token[1]}, timeout=WITHIN_S)
    for tab in tabs:
        heard = tab.to_the_end()
        assert b"event: bye\n" in heard
        assert heard.endswith(b"0\r\n\r\n"), "the answer ends as HTTP has it"


def test_only_the_machine_that_is_listened_for_is_told(served: Appliance, listen: Listen) -> None:
    with served.database.read() as session:
        mine, other = selectors.get(session, "compute-04").id, selectors.get(session, "storage-01").id
    tab, neighbour = (listen(f"machine-{each}") for each in (mine, other))
    for each in (tab, neighbour):
        each.until(b"retry")
    control = listen("machines")
    control.until(b"retry")
    with served.database.write() as session:
        selectors.get(session, "compute-04").power = "off"
    tab.until(f"event: machine-{mine}\n".encode())
    control.until(b"event: machines\n")
    assert b"event: " not in neighbour.heard


def test_who_reconnects_is_told_what_was_missed_and_no_more(listen: Listen) -> None:
    first = listen("machines")
    number = re.findall(rb"id: (\d+)", first.until(b"id: "))[-1].decode()
    again = listen("machines", f"Last-Event-ID: {int(number) - 60_000}")
    again.until(b"event: machines\n")
    later = listen("machines", f"Last-Event-ID: {int(number) + 600_000}")
    assert b"event: machines" not in later.until(b":\n\n")


@pytest.mark.parametrize(
    "topics",
    [
        "nothing", "machine-", "machine-0", "machines,users", "machines,",
        ",".join(f"machine-{each}" for each in range(1, MOST_TOPICS + 2)),
    ],
    ids=lambda topics: topics[:20],
)  # fmt: skip
def test_what_is_no_topic_is_not_found(served: Appliance, http: requests.Session, topics: str) -> None:
    assert http.get(f"{served.url}/live/{topics}", timeout=WITHIN_S).status_code == 404


def test_a_stranger_gets_no_stream(served: Appliance) -> None:
    reply = requests.get(f"{served.url}/live/machines", timeout=WITHIN_S, allow_redirects=False)
    assert (reply.status_code, reply.headers["Location"].split("?")[0]) == (303, "/login")


def test_what_changed_while_nobody_looked_counts_as_changed() -> None:
    seen, keep = Seen(), frozenset({"machines"})
    seen.begin({"machines": 1}, 10_000)
    assert seen.missed(["machines"], 9_000) == ["machines"]
    assert seen.missed(["machines"], 20_000) == []
    assert seen.compare({"machines": 2}, 30_000, keep=keep) == {"machines"}
    assert seen.missed(["machines"], 20_000) == ["machines"]
    assert seen.compare({"machines": 2}, 40_000, keep=keep) == set()
    assert seen.missed(["machines"], 39_000) == []
    seen.compare({}, 50_000, keep=frozenset())
    assert seen.missed(["machines"], 60_000) == ["machines"], "forgotten: it may have changed"


def test_who_is_limited_to_projects_hears_of_no_other_machine(served: Appliance) -> None:
    with served.database.write() as session:
        service.create_user(
            session, name="eve", role=OPERATOR, password=PASSWORD, projects=["web"], actor="test", now=now()
        )
        mine, other = selectors.get(session, "compute-02"), selectors.get(session, "storage-02")
        mine.project, other.project = "web", "db"
        own, foreign = mine.id, other.id
    with requests.Session() as session_of_eve:
        tab = Tab(served.url, sign_in(session_of_eve, served, "eve"), f"machine-{own},machine-{foreign},sightings")
    with contextlib.closing(tab.sock):
        tab.until(b"retry")
        with served.database.write() as session:
            sightings.record(session, mac="52:54:00:aa:00:78", now=now())
            selectors.get(session, "storage-02").power = "off"
        with served.database.write() as session:
            selectors.get(session, "compute-02").power = "off"
        heard = tab.until(f"event: machine-{own}\n".encode())
        assert f"machine-{foreign}".encode() not in heard
        assert b"sightings" not in heard
        with served.database.write() as session:
            service.change_user(session, "eve", projects=["db"], actor="test", now=now())
        assert b"event: bye\n" in tab.to_the_end()


def test_the_process_ends_at_once_though_tabs_are_open(served: Appliance, listen: Listen) -> None:
    """The last test: it stops the appliance."""
    tabs = [listen("machines") for _ in range(20)]
    for tab in tabs:
        tab.until(b"retry")
    os.kill(served.process.pid, signal.SIGTERM)
    for tab in tabs:
        assert tab.to_the_end().endswith(b"0\r\n\r\n")
    assert served.process.wait(WITHIN_S) == 0


def _threads(parent: int) -> int:
    """Of the web process and its children."""
    found = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if re.search(rf"^(Pid|PPid):\t{parent}$", text, re.MULTILINE):
            found += int(re.search(r"^Threads:\t(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return found
