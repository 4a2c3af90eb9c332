"""The machines' HTTP: what strangers, guessers and broken installers get, and that none of it moves anything."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import itertools
import json
import re
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from werkzeug.test import Client

from pxeapp.app import create_app
from pxeapp.db import now as present
from pxeapp.machines.models import Event, Sighting
from pxeapp.nodes.models import Node
from pxeapp.provisioning import callbacks, node_logs, tokens
from pxeapp.provisioning.models import NodeLog, NodeToken
from pxeapp.provisioning.node_app import EVENT_LIMIT, create_node_app
from pxeapp.provisioning.queue import Queue
from pxeapp.provisioning.steps import Step
from tests.provisioning.rack import MAC, Rack
from tests.provisioning.simulated import SimulatedMachine

STRANGER = "52:54:00:00:00:99"
GUESS = "A" * 43
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def installing(rack: Rack) -> tuple[Rack, int, SimulatedMachine]:
    """node1 has its answer file and knows where to report."""
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    machine.fetch_answer()
    return rack, number, machine


Installing = tuple[Rack, int, SimulatedMachine]


def seen(client: Client, method: str, path: str, **more: object) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Everything of a reply that a guesser could compare."""
    with client.open(path, method=method, **more) as reply:  # type: ignore[arg-type]
        return reply.status_code, reply.data, [pair for pair in reply.headers if pair[0] != "Date"]


@pytest.mark.parametrize("path", ["/boot/ipxe?mac={}", "/boot/ipxe?mac={}&serial=S1", "/boot/grub.cfg?mac={}"])
def test_a_known_and_an_unknown_machine_get_the_same_bytes(rack: Rack, path: str) -> None:
    replies = {str(seen(rack.client, "GET", path.format(mac))) for mac in (MAC, STRANGER)}
    assert len(replies) == 1
    assert "200" in replies.pop()


NO_MACS = ("", "x", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "12", "a0:00:02:20:fe:80:" * 4, "%00", "' OR 1=1")


def test_a_card_whose_address_cannot_be_read_boots_from_its_disk(rack: Rack) -> None:
    usual = seen(rack.client, "GET", f"/boot/ipxe?mac={STRANGER}&serial=S1")
    for mac in NO_MACS:
        assert seen(rack.client, "GET", f"/boot/ipxe?mac={mac}") == usual
        assert seen(rack.client, "GET", f"/boot/grub.cfg?mac={mac}")[0] == 200
    with rack.provisioner.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Sighting)) == 1


def test_no_wrong_token_can_be_told_from_another(installing: Installing) -> None:
    rack, _, machine = installing
    config, callback = machine.answer_url.split("/")[2], machine.callback_url.split("/")[2]
    wrong_for_reading = [GUESS, "x", callback, config[:-1], config + "x", "%00", "%ff", "..", "é" * 50]
    assert len({str(seen(rack.client, "GET", f"/a/{token}/kickstart")) for token in wrong_for_reading}) == 1
    wrong_for_writing = [GUESS, config, callback.swapcase(), callback[1:]]
    bodies: list[dict[str, object]] = [{"json": {"event": "installed"}}, {"data": b"["}, {"data": b"x" * 50_000}]
    replies = {
        str(seen(rack.client, "POST", f"/c/{token}/events", **body)) for token in wrong_for_writing for body in bodies
    }
    replies |= {str(seen(rack.client, "PUT", f"/c/{token}/logs/a", data=b"x")) for token in wrong_for_writing}
    replies |= {str(seen(rack.client, "PUT", f"/c/{token}/logs/BAD NAME", data=b"x")) for token in wrong_for_writing}
    assert len(replies) == 1
    assert "404" in replies.pop()


def test_the_answer_file_is_given_a_few_times_only(installing: Installing) -> None:
    rack, _, machine = installing
    path = f"{machine.answer_url}/kickstart"
    statuses = [machine.get(path)[0] for _ in range(tokens.CONFIG_FETCHES + 3)]
    assert statuses == [200] * (tokens.CONFIG_FETCHES - 1) + [404] * 4
    assert seen(rack.client, "GET", path) == seen(rack.client, "GET", f"/a/{GUESS}/kickstart")


def test_the_answer_file_is_gone_after_an_hour_and_after_the_installation(installing: Installing) -> None:
    rack, _, machine = installing
    path = f"{machine.answer_url}/kickstart"
    assert machine.get(path)[0] == 200
    with rack.provisioner.database.write() as session:
        session.execute(
            update(NodeToken).where(NodeToken.scope == tokens.CONFIG).values(expires_at=present() - dt.timedelta(1))
        )
    assert machine.get(path)[0] == 404
    with rack.provisioner.database.write() as session:
        session.execute(update(NodeToken).where(NodeToken.scope == tokens.CONFIG).values(expires_at=present() + MINUTE))
    assert machine.get(path)[0] == 200
    machine.report("installed")
    assert machine.get(path)[0] == 404


def test_a_kind_that_the_installer_does_not_read_is_not_there_and_costs_nothing(installing: Installing) -> None:
    rack, number, machine = installing
    for _ in range(tokens.CONFIG_FETCHES * 2):
        assert machine.get(f"{machine.answer_url}/meta-data")[0] == 404
    assert machine.get(f"{machine.answer_url}/kickstart")[0] == 200
    assert rack.deployment(number).outcome is None


ODD_EVENTS = [
    b"",
    b"null",
    b'"started"',
    b"[1, 2]",
    b"{}",
    b'{"event": null}',
    b'{"event": ["started"]}',
    b'{"event": ""}',
    b'{"event": "Started"}',
    b'{"event": "started\\u0000"}',
    b'{"event": "\\ud800"}',
    b'{"event": "started", "message": {}}',
    b'{"event": "started", "message": 1e999}',
    b"[" * 8000,
    b'{"event": {"a":' * 1000,
    b'{"event": ' + b"9" * 10_000 + b"}",
    b"\xff\xfe\x00",
    b'{"event": "started"',
    b'{"event": "started"} extra',
    b'{"event": "started", "message": "' + b"x" * EVENT_LIMIT + b'"}',
]


def test_odd_events_are_refused_and_change_nothing(installing: Installing) -> None:
    rack, number, machine = installing
    types = ("application/json", "text/plain", "multipart/form-data; boundary=x")
    for body, content_type in itertools.product(ODD_EVENTS, types):
        reply = rack.client.post(f"{machine.callback_url}/events", data=body, content_type=content_type)
        assert reply.status_code in (400, 413, 422), body[:40]
        assert reply.mimetype == "text/plain"
    assert rack.step(number) == Step.ANSWER_FETCHED


@pytest.mark.parametrize("body", [b'{"event": "started"}', '{"event": "started"}'.encode("utf-16")])
@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_an_event_counts_whatever_a_small_installers_curl_calls_it(
    installing: Installing, body: bytes, content_type: str
) -> None:
    rack, number, machine = installing
    reply = rack.client.post(f"{machine.callback_url}/events", data=body, content_type=content_type)
    assert (reply.status_code, rack.step(number)) == (200, Step.INSTALLING)


KEYS = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBy0SnphSkVLeedvDbM+k+0OhMnR/cIGmA4mseaRnGMN",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDuWCNj/E355P8u0huhSN91/iprN15uebfYBbPI3F6NG",
]


def report_keys(rack: Rack, machine: SimulatedMachine, host_keys: object) -> int:
    """The first boot's report, as boot/first-boot.sh sends it."""
    body = {"event": "first_boot", "message": "", "host_keys": host_keys}
    return int(rack.client.post(f"{machine.callback_url}/events", json=body).status_code)


def node(rack: Rack) -> Node | None:
    with rack.provisioner.database.read() as session:
        return session.scalar(select(Node))


def test_a_first_boot_pins_the_systems_host_keys_and_no_later_report_replaces_them(installing: Installing) -> None:
    rack, number, machine = installing
    assert report_keys(rack, machine, [f"{KEYS[0]} root@node1", "ssh-dss AAAA", "nonsense", 7, KEYS[0]]) == 200
    assert rack.step(number) == Step.FIRST_BOOT
    known = node(rack)
    assert known is not None
    assert (known.host_keys, known.keys_from) == ([KEYS[0]], "first_boot")
    assert known.reported_address
    assert report_keys(rack, machine, [KEYS[1]]) == 200, "it is told that it may stop asking"
    again = node(rack)
    assert again is not None
    assert again.host_keys == [KEYS[0]]


def test_an_installation_does_not_fail_for_want_of_host_keys(installing: Installing) -> None:
    rack, number, machine = installing
    assert report_keys(rack, machine, {"a": 1}) == 422
    assert report_keys(rack, machine, ["ssh-ed25519 AAAA" + "A" * 4000]) == 200
    assert (rack.step(number), node(rack)) == (Step.FIRST_BOOT, None)


def test_only_a_first_boot_tells_host_keys(installing: Installing) -> None:
    rack, _, machine = installing
    body = {"event": "installed", "host_keys": KEYS}
    assert rack.client.post(f"{machine.callback_url}/events", json=body).status_code == 200
    assert node(rack) is None


def test_a_message_is_cut_and_cleaned_before_anybody_sees_it(installing: Installing) -> None:
    rack, _, machine = installing
    message = "first" + "." * 6000 + "\x1b[2J\x00\ud800 no space left\n"
    assert machine.report("progress", message) == 200
    with rack.provisioner.database.read() as session:
        kept = session.scalar(select(Event).where(Event.kind == "progress"))
        assert kept is not None
    assert len(kept.message) <= callbacks.MESSAGE_LIMIT
    assert kept.message.endswith("�[2J�� no space left\n"), "the tail is what says why"


def test_compressed_bodies_are_refused(installing: Installing) -> None:
    rack, number, machine = installing
    body = gzip.compress(json.dumps({"event": "installed"}).encode())
    ways = itertools.product(("gzip", "deflate", "br", "GZIP", "identity, gzip"), ("POST events", "PUT logs/syslog"))
    for encoding, way in ways:
        method, path = way.split()
        headers = {"Content-Encoding": encoding}
        reply = rack.client.open(f"{machine.callback_url}/{path}", method=method, data=body, headers=headers)
        assert reply.status_code == 422
    assert rack.step(number) == Step.ANSWER_FETCHED


def chunked(client: Client, method: str, path: str, body: bytes) -> int:
    """A body without a length, as gunicorn hands on a chunked one."""
    environ = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    return client.open(path, method=method, environ_overrides=environ).status_code


def test_a_chunked_body_has_the_same_limits(installing: Installing) -> None:
    rack, number, machine = installing
    events, log = f"{machine.callback_url}/events", f"{machine.callback_url}/logs/syslog"
    assert chunked(rack.client, "POST", events, b'{"event": "installed"}' + b" " * EVENT_LIMIT) == 413
    assert chunked(rack.client, "PUT", log, b"x" * (node_logs.LIMIT + 1)) == 413
    assert rack.step(number) == Step.ANSWER_FETCHED
    assert chunked(rack.client, "PUT", log, b"x" * node_logs.LIMIT) == 201
    assert chunked(rack.client, "POST", events, b'{"event": "installed"}') == 200
    assert rack.step(number) == Step.INSTALLED


def put(rack: Rack, machine: SimulatedMachine, name: str, content: bytes = b"log") -> int:
    return rack.client.put(f"{machine.callback_url}/logs/{name}", data=content).status_code


def test_a_log_of_10_mb_is_refused_with_what_would_fit(installing: Installing) -> None:
    rack, _, machine = installing
    reply = rack.client.put(f"{machine.callback_url}/logs/syslog", data=bytes(10_000_000))
    assert reply.status_code == 413
    assert str(node_logs.LIMIT) in reply.text
    with rack.provisioner.database.read() as session:
        assert session.scalar(select(func.count()).select_from(NodeLog)) == 0


def test_a_log_may_come_by_post_too(installing: Installing) -> None:
    """busybox's wget, which older installers of Ubuntu have, knows no PUT."""
    rack, number, machine = installing
    assert rack.client.post(f"{machine.callback_url}/logs/syslog", data=b"by post").status_code == 201
    assert put(rack, machine, "syslog", b"by put") == 201
    with rack.provisioner.database.read() as session:
        kept = session.scalars(select(NodeLog.content).where(NodeLog.deployment_id == number)).all()
    assert kept == [b"by put"]


def test_a_logs_name_is_a_name(installing: Installing) -> None:
    rack, _, machine = installing
    for name in ("..", ".hidden", "a/b", "%2e%2e%2fetc", "UPPER", "a b", "a%00", "a%0ab", "é", "x" * 65):
        assert put(rack, machine, name) in (404, 405, 422), name


def test_logs_are_replaced_by_name_and_limited_in_number(installing: Installing) -> None:
    rack, number, machine = installing
    for index in range(node_logs.NAMES_LIMIT):
        assert put(rack, machine, f"log-{index}") == 201
    assert put(rack, machine, "one-more") == 422
    assert put(rack, machine, "log-0", b"newer") == 201
    with rack.provisioner.database.read() as session:
        assert session.scalar(select(NodeLog.content).where(NodeLog.name == "log-0")) == b"newer"
        assert len(node_logs.listing(session, number)) == node_logs.NAMES_LIMIT


def test_a_late_report_is_answered_during_the_grace_and_changes_nothing(installing: Installing) -> None:
    rack, number, machine = installing
    machine.report("failed", "no disk")
    assert machine.report("installed") == 200
    assert rack.deployment(number).outcome == "failed"
    with rack.provisioner.database.write() as session:
        session.execute(update(NodeToken).values(expires_at=present() - dt.timedelta(seconds=1)))
    assert machine.report("installed") == 404


def test_the_former_attempts_tokens_move_nothing_in_the_next_one(installing: Installing) -> None:
    rack, _, machine = installing
    machine.report("failed", "no disk")
    second = rack.deploy()
    rack.work(second)
    step = rack.step(second)
    for event in ("started", "installed", "first_boot"):
        assert machine.report(event) == 200, "it is told that it may stop asking"
    assert rack.step(second) == step
    assert machine.get(f"{machine.answer_url}/kickstart")[0] == 404


def test_a_second_claimant_freezes_the_attempt_and_gets_what_a_stranger_gets(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    stranger = SimulatedMachine(rack.client, STRANGER).netboot()
    rack.simulated().netboot()
    forger = rack.simulated("10.77.0.66")
    assert forger.netboot() == stranger
    assert rack.deployment(number).frozen
    assert rack.simulated().netboot() == stranger, "from now on nobody gets it"


@pytest.mark.parametrize("field", ["serial", "uuid", "manufacturer", "product"])
def test_what_firmware_says_of_itself_never_reaches_a_script(rack: Rack, field: str) -> None:
    number = rack.deploy()
    rack.work(number)
    evil = "S1\n\r\x1b[2Jchain http://evil/\u2028${x}\x00 || shell"
    reply = rack.client.get("/boot/ipxe", query_string={"mac": MAC, field: evil})
    assert "/media/" in reply.text
    assert not re.search(r"evil|\x1b|\x00|\r|\u2028", reply.text)
    with rack.provisioner.database.read() as session:
        kept = getattr(session.get_one(Sighting, MAC), field)
        assert kept.isprintable()
        assert kept.startswith("S1")


def test_a_host_header_never_reaches_a_script(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    said = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    reply = rack.client.get(f"/boot/ipxe?mac={MAC}", headers=said)
    assert "http://10.77.0.1:8081/media/" in reply.text
    assert "evil" not in reply.text


@pytest.mark.parametrize("behind_front", [True, False])
def test_the_fronts_word_for_an_address_counts_only_behind_the_front(rack: Rack, behind_front: bool) -> None:
    number = rack.deploy()
    rack.work(number)
    settings = rack.provisioner.settings
    client = Client(create_node_app(rack.provisioner, Queue(settings.queue_url), behind_front=behind_front))
    said = {"X-Real-IP": "10.77.0.55", "X-Forwarded-For": "10.77.0.66", "Forwarded": "for=10.77.0.67"}
    client.get(f"/boot/ipxe?mac={MAC}", headers=said, environ_overrides={"REMOTE_ADDR": "10.77.0.11"})
    claimed = rack.deployment(number).claimed_address
    assert claimed == ("10.77.0.55" if behind_front else "10.77.0.11")


def test_no_operator_route_is_reachable_here(rack: Rack) -> None:
    operators = create_app(rack.provisioner.settings)
    machines = create_node_app(rack.provisioner, Queue(rack.provisioner.settings.queue_url), behind_front=False)
    ours = {route.path for route in machines.routes}
    for rule in operators.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "1", str(rule.rule))
        if str(rule.rule) in ours:
            assert path == "/healthz"
            continue
        for method in rule.methods or ():
            reply = rack.client.open(path, method=method)
            assert reply.status_code in (404, 405), f"{method} {path}"


NO_PATHS = (
    "/media/rocky-9/../../pxeapp.db",
    "/media/rocky-9/%2e%2e/%2e%2e/pxeapp.db",
    "/media/rocky-9/..%2f..%2fpxeapp.db",
    "/media/rocky-9/%00",
    "/media/%00/vmlinuz",
    "/media/rocky-9//etc/passwd",
    "/media/plan9/vmlinuz",
    "/media/",
    "/efi/../../pxeapp.db",
    "/a/",
    "/c/x/events",
)


def test_nothing_else_is_there(rack: Rack) -> None:
    for path in NO_PATHS:
        assert rack.client.get(path, follow_redirects=True).status_code in (404, 405), path


def test_media_are_handed_to_the_front_by_their_place_below_the_media_folder(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    front = create_node_app(rack.provisioner, Queue(rack.provisioner.settings.queue_url), behind_front=True)
    said = {"X-Real-IP": machine.address, "X-Sendfile-Type": "X-Accel-Redirect"}
    reply = Client(front).get(machine.media[0], headers=said)
    assert reply.status_code == 200
    place = reply.headers["X-Accel-Redirect"].removeprefix("/_media/")
    assert (Path(rack.provisioner.settings.media_dir) / place).read_bytes() == b"kernel" * 1000
    assert rack.step(number) == Step.KERNEL_FETCHED
    with Client(front).get(machine.media[0], headers={"X-Real-IP": machine.address}) as plain:  # a front of others
        assert (plain.data, "X-Accel-Redirect" in plain.headers) == (b"kernel" * 1000, False)
