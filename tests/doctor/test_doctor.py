"""The doctor: each check can be well, and each can be ill, and says what to do. No network beyond loopback."""

from __future__ import annotations

import dataclasses
import datetime as dt
import http.server
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from click.testing import CliRunner
from netaddr import IPNetwork

from pxeapp.bmc import power
from pxeapp.boot import loaders
from pxeapp.boot.tftp import Absent, Data, Reply, Request, TftpServer
from pxeapp.cli import main
from pxeapp.config import Listen, Settings
from pxeapp.doctor import dhcp, host, wire, work
from pxeapp.doctor.examination import CHECKS, examine
from pxeapp.doctor.finding import Patient
from pxeapp.machines import timeline
from pxeapp.machines.models import Interface, Machine, Network
from pxeapp.provisioning import steps
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.queue import Queue
from pxeapp.software import adding, releases
from pxeapp.vault import open_vault
from tests.doctor.cases import sees
from tests.doctor.patients import LONG_AGO, NOW, add_machine, with_
from tests.ports import free_port


def test_nothing_is_made_where_no_appliance_is(settings: Settings) -> None:
    environment = {"PXEAPP_DATA_DIR": str(settings.data_dir)}
    result = CliRunner().invoke(main, ["doctor"], env=environment)
    assert result.exit_code == 1
    assert "does not exist" in result.stdout
    assert not settings.data_dir.exists()


def test_bad_settings_are_the_only_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_DHCP", "maybe")
    found = list(examine())
    assert [(name, each.status) for name, each in found] == [("settings", "fail")]
    assert "maybe" in found[0][1].sentence
    assert "off, proxy or full" in found[0][1].attempt


def test_an_appliance_that_does_not_run_fails_and_each_failure_says_what_to_do(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = patient.settings
    for name in ("data_dir", "http_listen", "node_listen", "tftp_listen"):
        monkeypatch.setenv(f"PXEAPP_{name.upper()}", str(getattr(settings, name)))
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1
    items = json.loads(result.stdout)["items"]
    assert [item["check"] for item in items] == ["settings", *(check.name for check in CHECKS)]
    failed = {item["check"] for item in items if item["status"] == "fail"}
    assert {"operators' HTTP", "node URL", "TFTP"} <= failed
    assert "database" not in failed
    assert all(item["try"] for item in items if item["status"] != "ok")


def test_without_a_sound_database_its_rows_are_not_judged(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(patient.settings.data_dir))
    (patient.settings.data_dir / "pxeapp.db").write_bytes(b"not a database" * 1000)
    found = dict(examine())
    assert found["database"].status == "fail"
    assert found["worker"].status == "warn"
    assert "database first" in found["worker"].attempt


@sees("data directory", "ok", "fail")
def test_a_data_directory_is_writable_and_of_one_owner(patient: Patient) -> None:
    assert host.data_directory(patient).status == "ok"
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(patient.settings.data_dir / "pxeapp.db", 1, 1)
    found = host.data_directory(patient)
    assert found.status == "fail"
    assert "chown -R" in found.attempt


@sees("data directory", "fail")
def test_a_missing_data_directory_fails(patient: Patient, tmp_path: Path) -> None:
    assert host.data_directory(with_(patient, data_dir=tmp_path / "nowhere")).status == "fail"


@sees("disk space", "ok", "warn", "fail")
def test_a_full_disk_fails_and_an_almost_full_one_warns(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(patient.settings.data_dir).free
    monkeypatch.setattr(host, "LEAST_FREE", 0)
    monkeypatch.setattr(host, "COMFORTABLE", 0)
    assert host.disk_space(patient).status == "ok"
    monkeypatch.setattr(host, "COMFORTABLE", free * 2)
    assert host.disk_space(patient).status == "warn"
    monkeypatch.setattr(host, "LEAST_FREE", free * 2)
    assert host.disk_space(patient).status == "fail"


@sees("key file", "ok", "fail")
def test_a_key_that_others_can_read_fails(patient: Patient) -> None:
    assert host.key_file(patient).status == "ok"
    key = patient.settings.data_dir / "secret.key"
    key.chmod(0o644)
    found = host.key_file(patient)
    assert (found.status, "chmod 600" in found.attempt) == ("fail", True)
    key.unlink()
    assert "backup" in host.key_file(patient).attempt
    assert not key.exists()


def test_a_key_of_another_database_fails(patient: Patient) -> None:
    add_machine(patient, address="10.0.0.7", password="secret")
    assert "opens the BMC passwords" in host.key_file(patient).sentence
    (patient.settings.data_dir / "secret.key").unlink()
    open_vault(patient.settings.data_dir)
    assert host.key_file(patient).status == "fail"


@sees("database", "ok", "fail")
def test_a_database_that_somebody_holds_is_said_to_be_locked(patient: Patient) -> None:
    assert host.database(patient).status == "ok"
    holder = sqlite3.connect(patient.settings.data_dir / "pxeapp.db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        found = host.database(patient)
    finally:
        holder.close()
    assert found.status == "fail"
    assert "locked" in found.sentence


def test_a_database_of_another_schema_asks_for_the_upgrade(patient: Patient) -> None:
    with sqlite3.connect(patient.settings.data_dir / "pxeapp.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    found = host.database(patient)
    assert (found.status, found.attempt) == ("fail", "Run: pxeapp db upgrade")


def test_a_database_that_is_not_there_is_not_made(patient: Patient, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    assert host.database(with_(patient, database_url=f"sqlite:///{path}")).status == "fail"
    assert not path.exists()


@sees("queue", "ok", "warn", "fail")
def test_a_queue_that_is_away_or_full_of_hints_is_noticed(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host.queue(with_(patient, queue_url=f"sqlite:///{tmp_path / 'none.db'}")).status == "fail"
    queue = Queue(patient.settings.queue_url)
    assert host.queue(patient).status == "ok"
    monkeypatch.setattr(host, "BACKLOG", 2)
    for number in range(3):
        queue.hint(number)
    found = host.queue(patient)
    assert (found.status, "3 hints" in found.sentence) == ("warn", True)


def test_a_redis_that_is_away_is_a_failure_and_not_a_traceback(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("redis")
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(patient.settings.data_dir))
    monkeypatch.setenv("PXEAPP_QUEUE_URL", f"redis://127.0.0.1:{free_port()}/0")
    found = dict(examine())["queue"]
    assert found.status == "fail"
    assert "PXEAPP_QUEUE_URL" in found.attempt


def test_a_hint_to_a_redis_that_is_away_costs_nothing() -> None:
    pytest.importorskip("redis")
    Queue(f"redis://127.0.0.1:{free_port()}/0").hint(1)  # a deployment was committed; it must not be answered with 500


@sees("boot programs", "ok", "warn", "fail")
def test_missing_boot_programs_are_named_with_their_packages(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.boot_programs(patient, root=tmp_path)
    assert found.status == "fail"
    assert "undionly.kpxe" in found.sentence
    assert "ipxe" in found.attempt.split()
    ipxe = tmp_path / "usr/lib/ipxe"
    ipxe.mkdir(parents=True)
    for name in ("undionly.kpxe", "ipxe.efi", "snponly.efi"):
        (ipxe / name).write_bytes(b"x")
    found = host.boot_programs(patient, root=tmp_path)
    assert found.status == "warn"
    assert "shim-signed" in found.attempt.split()
    for loader in loaders.LOADERS:
        path = tmp_path / loader.candidates[-1].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    grub = tmp_path / "grub-mkimage"
    grub.write_text("#!/bin/sh\n")
    grub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.boot_programs(patient, root=tmp_path).status == "ok"


@contextmanager
def _http(port: int, answer: Callable[[str], tuple[int, str]], address: str = "127.0.0.1") -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@sees("operators' HTTP", "ok", "fail")
@pytest.mark.network
def test_operators_http_is_ready_or_says_why_not(patient: Patient) -> None:
    assert "refused" in wire.operators_http(patient).sentence
    port = patient.settings.http_listen.port
    everywhere = with_(patient, http_listen=Listen("0.0.0.0", port))
    with _http(port, lambda _: (HTTPStatus.OK, "{}")):
        assert wire.operators_http(everywhere).status == "ok"
    with _http(port, lambda _: (HTTPStatus.SERVICE_UNAVAILABLE, '{"database": "is locked"}')):
        found = wire.operators_http(everywhere)
    assert (found.status, "is locked" in found.sentence) == ("fail", True)


@sees("node URL", "warn", "fail")
@pytest.mark.network
def test_a_node_url_that_only_this_host_understands_is_a_warning(patient: Patient) -> None:
    assert wire.node_url(patient).status == "fail"
    port = patient.settings.node_listen.port
    with _http(port, lambda _: (HTTPStatus.OK, "ok\n")):
        found = wire.node_url(patient)
    assert (found.status, "provisioning network" in found.attempt) == ("warn", True)
    with _http(port, lambda _: (HTTPStatus.NOT_FOUND, "no")):
        assert wire.node_url(patient).status == "fail"


@pytest.mark.network
@sees("node URL", "ok")
def test_a_node_url_with_an_address_of_this_host_is_well(patient: Patient) -> None:
    address = _outward()
    if address is None:
        pytest.skip("this host has no address but loopback")
    port = patient.settings.node_listen.port
    with _http(port, lambda _: (HTTPStatus.OK, "ok\n"), address):
        assert wire.node_url(with_(patient, node_url=f"http://{address}:{port}")).status == "ok"


def _outward() -> str | None:
    """The address that this host would be seen by; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("198.51.100.1", 9))
        except OSError:
            return None
        found = str(sock.getsockname()[0])
    return None if found.startswith("127.") else found


@contextmanager
def _tftp(patient: Patient, reply: Reply) -> Iterator[None]:
    def resolve(_request: Request) -> Reply:
        return reply

    listen = patient.settings.tftp_listen
    server = TftpServer((listen.host, listen.port), patient.settings.tftp_networks, resolve, resolve_fast=resolve)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        server.wake()
        thread.join()


@sees("TFTP", "ok", "warn", "fail")
@pytest.mark.network
def test_tftp_is_asked_as_a_firmware_would_ask(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    with _tftp(patient, Data(b"loader" * 1000)):
        assert wire.tftp(patient).status == "ok"
    with _tftp(patient, Absent("undionly.kpxe is not installed")):
        found = wire.tftp(patient)
    assert (found.status, "refuses" in found.sentence) == ("fail", True)
    monkeypatch.setattr(wire, "TFTP_TIMEOUT_S", 0.1)
    assert "does not answer" in wire.tftp(patient).sentence
    foreign = with_(patient, tftp_networks=(IPNetwork("203.0.113.0/24"),))
    assert wire.tftp(foreign).status == "warn"


@sees("mirror", "ok", "warn")
@pytest.mark.network
@pytest.mark.nginx
def test_a_mirror_whose_upstream_is_away_is_a_warning_in_the_fronts_own_words(patient: Patient) -> None:
    if wire.front.program() is None:
        pytest.skip("nginx is not installed")
    port = patient.settings.node_listen.port
    with _http(port, lambda path: (HTTPStatus.BAD_GATEWAY, f"The upstream of {path} does not answer")):
        found = wire.mirror(patient)
    assert (found.status, "/mirror/debian/" in found.sentence) == ("warn", True)
    with _http(port, lambda _: (HTTPStatus.NOT_FOUND, "The upstream of the mirror debian has no such file.")):
        assert wire.mirror(patient).status == "ok"
    assert wire.mirror(patient).status == "warn"


@sees("dnsmasq", "ok", "warn", "fail")
def test_dnsmasq_must_run_where_the_settings_ask_for_it(patient: Patient) -> None:
    assert dhcp.dnsmasq(patient).status == "ok"
    full = with_(patient, dhcp="full", dhcp_interface="lo")
    assert dhcp.dnsmasq(full).status == "fail"
    spread = with_(full, database_url="postgresql+psycopg://db/pxeapp")
    assert dhcp.dnsmasq(spread).status == "warn"


@pytest.mark.dnsmasq
def test_a_running_dnsmasq_is_known_by_its_configuration(patient: Patient) -> None:
    program = shutil.which("dnsmasq", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("dnsmasq is not installed")
    full = with_(patient, dhcp="full", dhcp_interface="lo")
    conf = patient.settings.run_dir / "dnsmasq.conf"
    conf.write_text("port=0\n")
    with subprocess.Popen(
        [program, "--no-daemon", f"--conf-file={conf}", "--pid-file"], stderr=subprocess.DEVNULL
    ) as it:
        conf.with_suffix(".pid").write_text(str(it.pid))
        deadline = time.monotonic() + 10
        # For a moment during exec the kernel shows no command line at all.
        while not Path(f"/proc/{it.pid}/cmdline").read_bytes() and time.monotonic() < deadline:
            time.sleep(0.01)
        found = dhcp.dnsmasq(full)
        it.terminate()
    assert found.status == "ok"
    assert dhcp.dnsmasq(full).status == "fail"


@sees("nginx", "warn")
def test_where_nginx_is_not_installed_somebody_should_know(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.front, "program", lambda: None)
    assert "apt-get install nginx-light" in dhcp.nginx(patient).attempt


@pytest.mark.nginx
@sees("nginx", "ok", "fail")
def test_nginx_must_run_where_it_is_installed(patient: Patient) -> None:
    program = wire.front.program()
    if program is None:
        pytest.skip("nginx is not installed")
    assert dhcp.nginx(patient).status == "fail"
    folder = patient.settings.run_dir / "front"
    folder.mkdir()
    conf = folder / "nginx.conf"
    conf.write_text(f"daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n")
    with subprocess.Popen([program, "-p", folder, "-c", conf, "-e", "stderr"], stderr=subprocess.DEVNULL) as it:
        deadline = time.monotonic() + 10
        while dhcp.nginx(patient).status != "ok" and time.monotonic() < deadline:
            time.sleep(0.05)
        it.terminate()
    assert dhcp.nginx(patient).status == "fail"


@sees("networks", "ok", "warn", "fail")
def test_the_dhcp_interface_must_lie_in_a_network_that_we_know(patient: Patient) -> None:
    assert dhcp.networks(patient).status == "ok"
    missing = dhcp.networks(with_(patient, dhcp="full", dhcp_interface="nosuch0"))
    assert (missing.status, "lo" in missing.attempt) == ("fail", True)
    full = with_(patient, dhcp="full", dhcp_interface="lo")
    assert "answers nobody" in dhcp.networks(full).sentence
    _add_network(patient, "rack", "10.77.0.0/24")
    assert "none of our networks holds it" in dhcp.networks(full).sentence
    _add_network(patient, "loop", "127.0.0.0/8")
    assert dhcp.networks(full).status == "warn"  # no range
    assert dhcp.networks(with_(full, dhcp="proxy")).status == "ok"
    far = with_(full, dhcp="proxy", node_url="http://10.99.0.1:8081")
    assert "has no gateway" in dhcp.networks(far).sentence


def _add_network(patient: Patient, name: str, cidr: str) -> None:
    with patient.database.write() as session:
        session.add(Network(name=name, cidr=cidr, dns=[], ntp=[], domain=""))


@sees("other DHCP servers", "ok", "warn")
def test_a_rival_of_yesterday_is_told_and_an_older_one_is_not(patient: Patient) -> None:
    machine = add_machine(patient)
    assert dhcp.rivals(patient).status == "ok"
    with patient.database.write() as session:
        for age in (dt.timedelta(hours=30), dt.timedelta(hours=2)):
            timeline.note(
                session, machine_id=machine, at=NOW - age, source="dhcp", kind="rival_dhcp", message="x", interface="e9"
            )
    found = dhcp.rivals(patient)
    assert found.status == "warn"
    assert "1 times" in found.sentence
    assert "e9" in found.sentence


@sees("worker", "ok", "fail")
def test_a_deployment_that_nobody_looks_at_means_that_the_worker_is_dead(patient: Patient) -> None:
    machine = add_machine(patient)
    with patient.database.write() as session:
        deployment = Deployment(
            machine_id=machine, attempt=1, release="debian-13", role="base", requested_by="user:ada",
            requested_at=NOW, step_since=NOW, step_deadline=NOW, deadline=NOW + steps.WHOLE_ATTEMPT, due_at=NOW,
        )  # fmt: skip
        session.add(deployment)
        session.flush()
        number = deployment.id
    assert work.worker(patient).status == "ok"
    assert work.worker(dataclasses.replace(patient, now=NOW + dt.timedelta(minutes=2))).status == "fail"
    with patient.database.write() as session:
        session.get_one(Deployment, number).lease_until = NOW + dt.timedelta(minutes=2)
    assert work.worker(dataclasses.replace(patient, now=NOW + dt.timedelta(minutes=2))).status == "ok"


@sees("BMC worker", "ok", "warn", "fail")
def test_bmcs_that_nobody_asks_mean_that_the_bmc_worker_is_dead(patient: Patient) -> None:
    assert work.bmc_worker(patient).status == "ok"
    first = add_machine(patient, "node1", address="10.0.0.7")
    assert work.bmc_worker(patient).status == "fail"
    add_machine(patient, "node2", address="10.0.0.8")
    with patient.database.write() as session:
        session.get_one(Machine, first).power_seen_at = NOW
    found = work.bmc_worker(patient)
    assert (found.status, "1 of 2" in found.sentence) == ("warn", True)


def test_a_power_action_that_waits_fails(patient: Patient) -> None:
    machine = add_machine(patient, address="10.0.0.7")
    with patient.database.write() as session:
        session.get_one(Machine, machine).power_seen_at = NOW
        power.request(session, machine_id=machine, goal="on", requested_by="user:ada", now=LONG_AGO)
    found = work.bmc_worker(patient)
    assert (found.status, "1 power actions" in found.sentence) == ("fail", True)


@sees("releases", "ok", "warn", "fail")
def test_an_altered_release_fails_and_its_row_stays_as_it_is(patient: Patient, tmp_path: Path) -> None:
    assert work.release_files(patient).status == "warn"
    for name in ("linux", "initrd.gz"):
        (tmp_path / name).write_bytes(name.encode())
    said = releases.Description(name="debian-13", family="debian", version="13")
    adding.from_directory(
        patient.database,
        patient.settings,
        said,
        tmp_path,
        kernel="linux",
        initrd="initrd.gz",
        actor="user:ada",
        now=NOW,
    )
    assert work.release_files(patient).status == "ok"
    kernel = next(patient.settings.media_dir.glob("debian-13/*/linux"))
    kernel.write_bytes(b"something else")
    assert "has changed" in work.release_files(patient).sentence
    with patient.database.read() as session:
        assert releases.get(session, "debian-13").ready


@sees("addresses", "ok", "warn")
def test_an_address_that_two_machines_have_is_named_with_them(patient: Patient) -> None:
    assert dhcp.shared(patient).status == "ok"
    _add_network(patient, "rack", "10.77.0.0/24")
    ids = [add_machine(patient, name) for name in ("node1", "node2")]
    with patient.database.write() as session:
        for number in ids:
            row = session.get_one(Machine, number)
            row.interfaces = [Interface(mac=row.mac, network="rack", address="10.77.0.10")]
    found = dhcp.shared(patient)
    assert (found.status, "10.77.0.10 of node1, node2" in found.sentence) == ("warn", True)
