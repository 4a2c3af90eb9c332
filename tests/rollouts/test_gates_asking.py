"""Gates that ask a URL, Prometheus, the cloud and the BMC's event log: over real HTTP, answers of every kind."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from pxeapp.bmc.models import BmcFact, BmcOrder, SelEntry
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.machines.models import Bmc, Interface
from pxeapp.rollouts.gates import asking
from pxeapp.rollouts.gates.all import AllGates
from pxeapp.rollouts.gates.gate import finding
from pxeapp.rollouts.gates.http import Http
from pxeapp.rollouts.gates.openstack import OpenStack
from pxeapp.rollouts.gates.prometheus import Prometheus
from pxeapp.rollouts.gates.sel import Sel
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import HttpGate, OpenStackGate, PrometheusGate, SelGate
from tests.clouds.fake_cloud import FakeCloud, running
from tests.rollouts.draining import LOOPBACK, T0, Bench, Course, add_machine, course

pytestmark = pytest.mark.network
Answer = tuple[int, bytes, dict[str, str]]


@dataclass
class Site:
    """A server that answers as a test says."""

    url: str = ""
    answer: Callable[[str], Answer] = lambda _path: (200, b"fine", {})
    asked: list[str] = field(default_factory=list)
    trickle_s: float = 0.0


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            code, body, headers = found.answer(self.path)
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                if found.trickle_s:
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(found.trickle_s)
                else:
                    self.wfile.write(body)
            except OSError:
                pass  # whoever asked has had enough

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def subject(database: Database) -> Subject:
    return Course(database, None, Bench(), {"none": {}}, add_machine(database)).subject("verify")


def test_http_looks_at_status_and_text_and_fills_in_the_machine(
    database: Database, subject: Subject, site: Site
) -> None:
    with database.write() as session:
        session.add(Interface(machine_id=subject.machine_id, mac="52:54:00:00:00:01", address="fd00::7"))
    gate = Http(database, LOOPBACK)
    said = HttpGate(url=f"{site.url}/of/{{machine}}?at={{address}}", contains="fine")
    assert gate.look(subject, said, now=T0) == finding("http", "It answers 200.", holds=True)
    assert site.asked == ["/of/node1?at=[fd00::7]"]
    assert not gate.look(subject, said.model_copy(update={"contains": "good"}), now=T0).holds
    site.answer = lambda _path: (503, b"", {})
    assert gate.look(subject, said, now=T0).says == "It answers 503, not 200."
    assert gate.look(subject, said.model_copy(update={"status": 503, "contains": ""}), now=T0).holds


def test_http_follows_no_redirect_and_reads_no_more_than_a_megabyte(
    database: Database, subject: Subject, site: Site
) -> None:
    gate = Http(database, LOOPBACK)
    site.answer = lambda _path: (302, b"", {"Location": "http://127.0.0.1:1/"})
    assert "Redirects are not followed" in gate.look(subject, HttpGate(url=site.url), now=T0).says
    site.answer = lambda _path: (200, b"x" * (2 * 1024 * 1024) + b"fine", {})
    assert gate.look(subject, HttpGate(url=site.url), now=T0).holds
    assert "the first 1024 KB" in gate.look(subject, HttpGate(url=site.url, contains="fine"), now=T0).says


def test_a_url_leads_to_no_forbidden_address(database: Database, subject: Subject, site: Site) -> None:
    with pytest.raises(PxeError, match="may not be contacted"):
        Http(database, ()).look(subject, HttpGate(url=site.url), now=T0)
    assert site.asked == []


def test_an_answer_that_trickles_is_cut(site: Site) -> None:
    site.answer = lambda _path: (200, b"x" * 1000, {})
    site.trickle_s = 0.05
    with pytest.raises(PxeError, match="within 0 s"):
        asking.get(site.url, LOOPBACK, deadline_s=0.4)


def test_a_machine_without_an_address_says_what_to_do(database: Database, subject: Subject, site: Site) -> None:
    with pytest.raises(PxeError, match="No address of node1 is known"):
        Http(database, LOOPBACK).look(subject, HttpGate(url="http://{address}/"), now=T0)


def vector(*samples: tuple[str, str]) -> bytes:
    rows = [{"metric": {"__name__": "up", "instance": name}, "value": [1, value]} for name, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": rows}}).encode()


@pytest.mark.parametrize(
    ("body", "holds", "says"),
    [
        (vector(("a", "1")), True, "1 sample, all true."),
        (vector(("a", "1"), ("b", "0.5")), True, "2 samples, all true."),
        (vector(), False, "The query gives no sample."),
        (vector(("a", "1"), ("b", "0")), False, "up{instance=b} is 0."),
        (vector(("a", "NaN")), False, "up{instance=a} is NaN."),
        (vector(*((str(each), "0") for each in range(5))), False, "and 2 more."),
        (b'{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}', True, "1 sample, all true."),
    ],
)
def test_prometheus_wants_a_sample_and_each_one_true(
    database: Database, subject: Subject, site: Site, body: bytes, holds: bool, says: str
) -> None:
    site.answer = lambda _path: (200, body, {})
    said = PrometheusGate(server=f"{site.url}/", query='up{instance=~"{machine}:.*"} == bool 1')
    found = Prometheus(database, LOOPBACK).look(subject, said, now=T0)
    assert found.holds is holds
    assert found.says.endswith(says)
    parts = urlsplit(site.asked[0])
    assert (parts.path, parse_qs(parts.query)) == (
        "/api/v1/query", {"query": ['up{instance=~"node1:.*"} == bool 1']},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (400, b'{"status":"error","errorType":"bad_data","error":"parse error at char 3"}', "parse error at char 3"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}', "gives a matrix"),
        (200, b"<html>a proxy</html>", "none of Prometheus's"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[{"metric":[]}]}}', "none of Prometheus's"),
    ],
)
def test_prometheus_that_cannot_be_understood_does_not_hold(
    database: Database, subject: Subject, site: Site, code: int, body: bytes, says: str
) -> None:
    site.answer = lambda _path: (code, body, {})
    with pytest.raises(PxeError, match=says):
        Prometheus(database, LOOPBACK).look(subject, PrometheusGate(server=site.url, query="up"), now=T0)


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running() as found:
        found.add_compute("node1")
        found.add_volume("node1@lvm")
        found.add_agent("Open vSwitch agent", "node1.example.org")
        yield found


def test_openstack_wants_a_sign_of_life_since_the_step_began(database: Database, cloud: FakeCloud) -> None:
    one = course(database, cloud)
    gate, subject = OpenStack(one.clouds), one.subject("verify")
    cloud.now += dt.timedelta(hours=-3)  # the cloud's clock is wrong, and everything there by the same
    cloud.beat()
    cloud.now += dt.timedelta(seconds=40)
    found = gate.look(subject, OpenStackGate(), now=T0 + dt.timedelta(seconds=5))
    assert not found.holds
    assert "nova-compute on node1 gave its last sign of life 40 s ago" in found.says
    cloud.beat()
    found = gate.look(subject, OpenStackGate(), now=T0 + dt.timedelta(seconds=35))
    assert found == finding("openstack", "3 services and agents are alive.", holds=True)
    cloud.services[0].update(status="disabled")  # as the drain left it
    assert gate.look(subject, OpenStackGate(), now=T0 + dt.timedelta(seconds=35)).holds


def test_openstack_without_a_clock_goes_by_ours(database: Database, cloud: FakeCloud) -> None:
    one = course(database, cloud)
    gate, subject = OpenStack(one.clouds), one.subject("verify")
    cloud.tells_time = False
    for each in (*cloud.services, *cloud.volumes):
        each["updated_at"] = "2026-11-26T02:59:00.000000"
    assert "80 s ago" in gate.look(subject, OpenStackGate(), now=T0 + dt.timedelta(seconds=20)).says
    cloud.beat()
    assert gate.look(subject, OpenStackGate(), now=T0 + dt.timedelta(seconds=35)).holds


def test_openstack_names_what_is_down_and_a_host_that_is_not_known(database: Database, cloud: FakeCloud) -> None:
    one = course(database, cloud)
    gate, subject = OpenStack(one.clouds), one.subject("verify")
    next(iter(cloud.agents.values()))["alive"] = False
    assert "Open vSwitch agent on node1.example.org is down" in gate.look(subject, OpenStackGate(), now=T0).says
    found = gate.look(subject, OpenStackGate(host="node7"), now=T0)
    assert found.says == "prod knows no service of node7."


def entry(database: Database, subject: Subject, raw: str, severity: str, at: dt.datetime) -> None:
    with database.write() as session:
        session.add(
            SelEntry(machine_id=subject.machine_id, raw=raw, record=1, sensor="CPU 1", event="IERR", severity=severity,
                     seen_at=at)
        )  # fmt: skip


def answer_bmc(database: Database, subject: Subject, at: dt.datetime, error: str = "") -> None:
    """What the BMC worker does."""
    with database.write() as session:
        for order in session.scalars(select(BmcOrder).where(BmcOrder.finished_at.is_(None))):
            order.outcome, order.error, order.finished_at = ("failed" if error else "done"), error, at
            if not error:
                session.merge(BmcFact(machine_id=subject.machine_id, kind="sel", seen_at=at, value={}))


def test_sel_reads_the_log_anew_and_names_errors_that_came(database: Database, subject: Subject) -> None:
    gate, later = Sel(database), T0 + dt.timedelta(seconds=20)
    assert "no BMC" in gate.look(subject, SelGate(), now=T0).says
    with database.write() as session:
        session.add(Bmc(machine_id=subject.machine_id, type="fake", address="10.0.0.7", port=623))
    entry(database, subject, "00", "critical", T0 - dt.timedelta(days=1))
    drained = {"drain": {"sel_seen": 1}}
    subject = Subject(
        **{name: getattr(subject, name) for name in subject.__slots__ if name != "earlier"}, earlier=drained
    )
    assert gate.look(subject, SelGate(), now=T0).says == "Its event log is being read."
    answer_bmc(database, subject, later)
    assert gate.look(subject, SelGate(), now=later).holds
    entry(database, subject, "01", "warning", later)
    assert gate.look(subject, SelGate(), now=later).holds
    entry(database, subject, "02", "critical", later)
    assert gate.look(subject, SelGate(), now=later).says == "New in the event log: CPU 1: IERR."
    with database.read() as session:
        assert len(session.scalars(select(BmcOrder)).all()) == 1


def test_sel_says_why_the_log_cannot_be_read_and_tries_again_later(database: Database, subject: Subject) -> None:
    gate = Sel(database)
    with database.write() as session:
        session.add(Bmc(machine_id=subject.machine_id, type="fake", address="10.0.0.7", port=623))
    gate.look(subject, SelGate(), now=T0)
    answer_bmc(database, subject, T0 + dt.timedelta(seconds=5), "No answer from 10.0.0.7.")
    found = gate.look(subject, SelGate(), now=T0 + dt.timedelta(seconds=10))
    assert found.says == "No answer from 10.0.0.7."
    gate.look(subject, SelGate(), now=T0 + dt.timedelta(seconds=90))
    with database.read() as session:
        assert len(session.scalars(select(BmcOrder)).all()) == 2


class Slow:
    """A gate that answers when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def look(self, subject: Subject, said: Any, *, now: dt.datetime) -> Finding:
        self.go_on.wait(30)
        return finding("ssh", "after all", holds=True)


class Raises:
    """A gate that cannot be asked."""

    def look(self, subject: Subject, said: Any, *, now: dt.datetime) -> Finding:
        raise PxeError("No way to it.")


class Holds:
    """A gate that holds."""

    def look(self, subject: Subject, said: Any, *, now: dt.datetime) -> Finding:
        return finding("services", "well", holds=True)


def test_a_gate_that_hangs_or_cannot_be_asked_costs_the_others_nothing(database: Database, subject: Subject) -> None:
    slow = Slow()
    gates = AllGates({"ssh": slow, "http": Raises(), "services": Holds()}, patience_s=0.3)
    said = [{"ssh": {}}, {"http": {"url": "http://x/"}}, {"services": {}}, {"sel": {}}]
    of_all = Course(database, None, Bench(), {"none": {}}, subject.machine_id, gates=tuple(said)).subject("verify")
    found = gates.check(of_all, now=T0)
    slow.go_on.set()
    assert [each.gate for each in found] == ["ssh", "http", "services", "sel"]
    assert [each.holds for each in found] == [False, False, True, False]
    assert found[0].says == "No answer within 20 s."
    assert found[1].says == "No way to it."
