"""Webhooks: what changed is told, signed and in order, again until it arrives, and never to a forbidden address."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from netaddr import IPNetwork
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.db import now
from pxeapp.webhooks import sending, telling
from pxeapp.webhooks.models import Delivery, Webhook
from pxeapp.webhooks.telling import Teller
from tests.api.conftest import Api, Asker

LOOPBACK = (IPNetwork("127.0.0.0/8"),)
SECRET = "a-secret-of-some-length"


@dataclass
class Receiver:
    """What came in, and what is answered to the next ones."""

    url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def events(self) -> list[str]:
        return [json.loads(body)["event"] for _headers, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.answers.pop(0) if found.answers else 204)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://localhost:{server.server_address[1]}/hook?for=us"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def hook(admin: Asker, receiver: Receiver) -> dict[str, Any]:
    said = {"name": "chat", "url": receiver.url, "events": ["machine.*"], "secret": SECRET}
    made = admin.post("/webhooks", json=said)
    assert made.status_code == HTTPStatus.CREATED, made.text
    assert SECRET not in made.text
    return dict(made.json)


def teller(api: Api, networks: tuple[IPNetwork, ...] = LOOPBACK) -> Teller:
    return Teller(api.context.database, api.context.vault, networks)


def tell(one: Teller) -> None:
    one.tell()
    for number in one.due():
        one.send(number)


def at_once(api: Api) -> None:
    """Whoever waits for another attempt has waited long enough."""
    with api.write() as session:
        for row in session.scalars(select(Webhook)):
            row.due_at = now()


def add(admin: Asker, name: str, number: int) -> None:
    assert admin.post("/machines", json={"name": name, "mac": f"52:54:00:00:02:{number:02x}"}).status_code == 201


def test_what_changes_is_told_in_order_and_signed(api: Api, admin: Asker, hook: Any, receiver: Receiver) -> None:
    add(admin, "one", 1)
    admin.post("/networks", json={"name": "lan", "cidr": "10.9.0.0/24"})  # not asked for
    add(admin, "two", 2)
    admin.delete("/machines/one")
    tell(teller(api))
    assert receiver.events == ["machine.create", "machine.create", "machine.delete"]
    assert [json.loads(body)["subject"] for _, body in receiver.got] == ["one", "two", "one"]
    for headers, body in receiver.got:
        signed = hmac.new(SECRET.encode(), f"{headers['pxeapp-timestamp']}.".encode() + body, hashlib.sha256)
        assert headers["pxeapp-signature"] == f"sha256={signed.hexdigest()}"
        assert headers["pxeapp-event"] == json.loads(body)["event"]
    tell(teller(api))
    assert len(receiver.got) == 3  # nothing twice


def test_one_that_fails_holds_those_behind_it_and_comes_again(
    api: Api, admin: Asker, hook: Any, receiver: Receiver
) -> None:
    add(admin, "one", 1)
    add(admin, "two", 2)
    receiver.answers = [500, 302]
    one = teller(api)
    tell(one)
    assert len(receiver.got) == 1
    shown = admin.get("/webhooks/chat").json
    assert "500" in shown["problem"]
    assert shown["failing_since"]
    tell(one)
    assert len(receiver.got) == 1  # its time has not come
    at_once(api)
    tell(one)
    assert len(receiver.got) == 2
    assert "Redirects are not followed" in admin.get("/webhooks/chat").json["problem"]
    at_once(api)
    tell(one)
    subjects = [json.loads(body)["subject"] for _, body in receiver.got]
    assert subjects == ["one", "one", "one", "two"]
    assert {body for _, body in receiver.got[:3]} == {receiver.got[0][1]}  # the same change, byte for byte
    assert admin.get("/webhooks/chat").json["problem"] == ""
    first, _second = admin.get("/webhooks/chat/deliveries").json["items"]
    assert (first["outcome"], first["attempts"], first["status"]) == ("delivered", 3, 204)


def test_a_delivery_is_given_up_and_a_webhook_is_disabled_after_a_day_with_an_audit_row(
    api: Api, admin: Asker, hook: Any, receiver: Receiver
) -> None:
    add(admin, "one", 1)
    receiver.answers = [503] * 50
    one = teller(api)
    for _ in range(telling.ATTEMPTS):
        at_once(api)
        tell(one)
    assert [each["outcome"] for each in admin.get("/webhooks/chat/deliveries").json["items"]] == ["failed"]
    add(admin, "two", 2)
    with api.write() as session:
        row = session.scalars(select(Webhook)).one()
        row.failing_since = now() - telling.PATIENCE
        row.due_at = now()
    tell(one)
    shown = admin.get("/webhooks/chat").json
    assert not shown["enabled"]
    assert "a day" in shown["problem"]
    with api.read() as session:
        assert session.scalar(select(AuditRow.subject).where(AuditRow.action == "webhook.disable")) == "chat"
    before = len(receiver.got)
    at_once(api)
    tell(one)
    assert len(receiver.got) == before
    receiver.answers.clear()
    assert admin.patch("/webhooks/chat", json={"enabled": True}).json["problem"] == ""
    tell(one)
    assert [json.loads(body)["subject"] for _, body in receiver.got[before:]] == ["two"]


def test_a_delivery_is_replayed_and_a_test_is_sent(api: Api, admin: Asker, hook: Any, receiver: Receiver) -> None:
    add(admin, "one", 1)
    one = teller(api)
    tell(one)
    (sent,) = admin.get("/webhooks/chat/deliveries").json["items"]
    again = admin.post(f"/webhooks/chat/deliveries/{sent['id']}/replay")
    assert again.status_code == HTTPStatus.ACCEPTED
    assert admin.post(f"/webhooks/chat/deliveries/{again.json['id']}/replay").status_code == HTTPStatus.CONFLICT
    assert admin.post("/webhooks/chat/deliveries/4711/replay").status_code == HTTPStatus.NOT_FOUND
    assert admin.post("/webhooks/chat/test").status_code == HTTPStatus.ACCEPTED
    tell(one)
    assert receiver.events == ["machine.create", "machine.create", "webhook.test"]
    assert receiver.got[0][1] == receiver.got[1][1]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/", "http://169.254.169.254/latest", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/", "ftp://example.org/", "http://user:pass@example.org/", "nonsense", "http://a b/",
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_contacted_is_not_even_saved(admin: Asker, url: str) -> None:
    reply = admin.post("/webhooks", json={"name": "bad", "url": url})
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert reply.json["errors"][0]["field"] == "url"
    assert admin.get("/webhooks").json["items"] == []


def test_a_name_that_points_elsewhere_by_now_is_not_contacted(
    api: Api, admin: Asker, hook: Any, receiver: Receiver
) -> None:
    add(admin, "one", 1)
    tell(teller(api, ()))  # what is allowed by default: not this host
    assert receiver.got == []
    assert "may not be contacted" in admin.get("/webhooks/chat").json["problem"]


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def resolver(*_: Any, **__: Any) -> Any:
        asked.append(1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1" if len(asked) == 1 else "127.0.0.1", 80))]

    reached = []

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        reached.append(address[0])
        raise OSError("nobody there")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(socket, "create_connection", connect)
    sent = post("http://rebinding.example/")
    assert (asked, reached) == ([1], ["192.0.2.1"])
    assert "nobody there" in sent.problem


def test_a_receiver_that_trickles_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def trickle() -> None:
            client, _ = server.accept()
            with client:
                while not stop.wait(0.05):
                    try:
                        client.sendall(b"H")
                    except OSError:
                        return

        threading.Thread(target=trickle, daemon=True).start()
        sent = post(f"http://127.0.0.1:{server.getsockname()[1]}/", deadline_s=0.3)
        stop.set()
    assert sent.status is None
    assert sent.problem


def post(url: str, **more: Any) -> sending.Sent:
    networks = () if "rebinding" in url else LOOPBACK
    return sending.post(url, b"{}", secret=SECRET, event="x.y", delivery=1, timestamp=1, networks=networks, **more)


def test_a_secret_that_was_made_is_shown_once_and_is_kept_encrypted(api: Api, admin: Asker) -> None:
    made = admin.put("/webhooks/new", json={"url": "https://hooks.example.org/x"})
    assert made.status_code == HTTPStatus.CREATED
    secret = made.json["secret"]
    again = admin.put(
        "/webhooks/new", json={"url": "https://hooks.example.org/x"}, headers={"If-Match": made.headers["ETag"]}
    )
    assert (again.status_code, again.headers["ETag"]) == (HTTPStatus.OK, made.headers["ETag"])
    assert secret not in again.text + admin.get("/webhooks").text + admin.get("/audit?limit=1000").text
    with api.read() as session:
        row = session.scalars(select(Webhook)).one()
        assert secret not in row.secret_encrypted
        assert api.context.vault.decrypt(row.secret_encrypted) == secret


def test_accounts_are_told_only_to_whoever_names_them(api: Api, admin: Asker, receiver: Receiver) -> None:
    admin.post("/webhooks", json={"name": "all", "url": receiver.url})
    admin.post("/users", json={"name": "eve", "password": "a-long-password-indeed"})
    add(admin, "one", 1)
    tell(teller(api))
    assert receiver.events == ["machine.create"]
    admin.patch("/webhooks/all", json={"events": ["user.*"]})
    admin.delete("/users/eve")
    tell(teller(api))
    assert receiver.events == ["machine.create", "user.delete"]


def test_an_appliance_that_only_observes_tells_nobody_and_later_does(
    api: Api, admin: Asker, hook: Any, receiver: Receiver
) -> None:
    admin.post("/appliance/observe", json={"reason": "a restored copy"})
    add(admin, "one", 1)
    tell(teller(api))
    assert receiver.got == []
    admin.post("/appliance/resume")
    tell(teller(api))
    assert receiver.events == ["machine.create"]


def test_what_was_sent_is_forgotten_after_a_week(api: Api, admin: Asker, hook: Any, receiver: Receiver) -> None:
    add(admin, "one", 1)
    one = teller(api)
    tell(one)
    with api.write() as session:
        session.scalars(select(Delivery)).one().created_at = now() - telling.KEPT - dt.timedelta(hours=1)
    one.forget()
    assert admin.get("/webhooks/chat/deliveries").json["items"] == []
    assert admin.delete("/webhooks/chat").status_code == HTTPStatus.NO_CONTENT
