"""The little client of keystone and nova: what is missing is made, what is there stays, and twice is once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pxeapp.templates import data_root

pytestmark = pytest.mark.network
CLIENT = Path(data_root()) / "roles/_openstack/cloud.py"
RIGHT = "right-password"


class Cloud:
    """As much of keystone, nova and neutron as the client asks for: collections of objects, found by their fields."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {
            "domains": [{"id": "default", "name": "Default"}], "os-aggregates": [], "os-services": [], "agents": [],
            "hypervisors": [],
        }  # fmt: skip
        self.made: list[str] = []
        self.given: list[str] = []
        self.versions: list[str | None] = []  # that nova was asked for its nodes in
        self.refuses: dict[str, int] = {}
        self.url = ""

    def catalogue(self) -> list[dict[str, Any]]:
        kinds = ("compute", "network")
        endpoint = {"region": "R1", "interface": "public", "url": self.url}
        return [{"type": kind, "endpoints": [endpoint]} for kind in kinds]

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        parts = path.removeprefix("/v3/").strip("/").removeprefix("v2.0/").split("/")
        kind = parts[0]
        if kind in self.refuses:
            return self.refuses[kind], {"error": "as the test wants it"}
        if parts[-1] == "action":
            row = next(row for row in self.rows[kind] if row["id"] == parts[1])
            row["hosts"].append(body["add_host"]["host"])
            return 200, {}
        if method == "PUT":
            self.given.append(path)
            return 204, None
        if kind == "os-hypervisors":
            if {"limit", "hypervisor_hostname_pattern"} <= query.keys():  # as Nova
                return 400, {"error": "Paging with a pattern is not supported."}
            rows = self.rows["hypervisors"]
            begin = next((at for at, row in enumerate(rows, 1) if row.get("id", "") == query.get("marker")), 0)
            return 200, {"hypervisors": rows[begin : begin + min(1000, int(query.get("limit", 1000)))]}
        rows = self.rows.setdefault(kind, [])
        if method == "POST":
            [(one, values)] = body.items()
            row = {"id": f"{kind}-{len(rows)}", "hosts": [], **values}
            rows.append(row)
            self.made.append(f"{one} {values.get('name') or values.get('interface') or values.get('id')}")
            return 201, {one: row}
        if len(parts) == 2:
            found = [row for row in rows if row["id"] == parts[1]]
            if found and method == "PATCH":
                found[0].update(next(iter(body.values())))
            return (200, {kind[:-1]: found[0]}) if found else (404, {"error": "none"})
        return 200, {
            kind.removeprefix("os-"): [row for row in rows if all(row.get(k) in (v, None) for k, v in query.items())]
        }


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    found = Cloud()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            where = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            extra = {}
            if where.path == "/v3/auth/tokens":
                right = body["auth"]["identity"]["password"]["user"]["password"] == RIGHT
                status, answer = (201, {"token": {"catalog": found.catalogue()}}) if right else (401, {"error": "no"})
                extra = {"X-Subject-Token": "t"}
            else:
                assert self.headers["X-Auth-Token"] == "t"
                if where.path.startswith("/os-hypervisors"):
                    found.versions.append(self.headers["X-OpenStack-Nova-API-Version"])
                status, answer = found.answer(self.command, where.path, dict(parse_qsl(where.query)), body)
            text = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**extra, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = _any  # noqa: N815 - as http.server calls them

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def ask(cloud: Cloud, action: str, said: dict[str, Any], password: str = RIGHT) -> subprocess.CompletedProcess[str]:
    environment = {
        "OS_AUTH_URL": f"{cloud.url}/v3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": "admin",
    }
    return subprocess.run(
        [sys.executable, str(CLIENT), action],
        input=json.dumps(said), env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


WISHES = {
    "region": "R1",
    "roles": ["member"],
    "users": [{"name": "nova", "password": "n"}],
    "services": [{"type": "image", "name": "glance", "url": "http://c:9292"}],
}


def test_the_catalogue_is_made_once(cloud: Cloud) -> None:
    first = ask(cloud, "identity", WISHES)
    assert (first.returncode, first.stderr) == (0, "")
    assert cloud.made == [
        "project service", "role admin", "role service", "role member", "user nova", "region R1", "service glance",
        "endpoint public", "endpoint internal", "endpoint admin",
    ]  # fmt: skip
    assert len(cloud.given) == 2  # nova is admin and service in the project service
    assert ask(cloud, "identity", WISHES).returncode == 0
    assert len(cloud.made) == 10
    changed = {**WISHES, "services": [{"type": "image", "name": "glance", "url": "http://new:9292"}]}
    assert ask(cloud, "identity", changed).returncode == 0
    assert {row["url"] for row in cloud.rows["endpoints"]} == {"http://new:9292"}


def test_a_compute_node_joins_its_zone_and_aggregates_once_nova_knows_it(cloud: Cloud) -> None:
    said = {"host": "node1", "region": "R1", "zone": "az-2", "aggregates": ["ssd"], "driver": "kvm"}
    assert "not up yet" in ask(cloud, "join", said).stderr
    cloud.rows["os-services"].append({"id": "1", "host": "node1", "state": "up"})
    assert "has not discovered node1 yet" in ask(cloud, "join", said).stderr
    cloud.rows["hypervisors"].append({"hypervisor_hostname": "node1.example.org", "service": {"host": "node1"}})
    for _ in range(2):
        assert ask(cloud, "join", said).returncode == 0
    assert [(row["name"], row["availability_zone"], row["hosts"]) for row in cloud.rows["os-aggregates"]] == [
        ("az-2", "az-2", ["node1"]),
        ("ssd", None, ["node1"]),
    ]


def test_a_node_is_told_who_it_was_and_a_new_one_nothing(cloud: Cloud) -> None:
    said = {"host": "node1", "region": "R1"}
    cloud.rows["hypervisors"] = [{"id": "0f-other", "service": {"host": "node10"}}]
    assert (ask(cloud, "node", said).returncode, ask(cloud, "node", said).stdout) == (0, "\n")
    cloud.rows["hypervisors"].append({"id": "0f-ours", "service": {"host": "node1"}})
    assert ask(cloud, "node", said).stdout == "0f-ours\n"
    assert cloud.versions == ["2.53"] * 3
    cloud.rows["hypervisors"].append({"id": "0f-second", "service": {"host": "node1"}})
    assert "more than one node of node1: 0f-ours, 0f-second" in ask(cloud, "node", said).stderr
    cloud.refuses["os-hypervisors"] = 406
    assert ask(cloud, "node", said).stdout == "\n"
    cloud.refuses["os-hypervisors"] = 500
    assert ask(cloud, "node", said).returncode == 1


def test_a_vsphere_node_is_found_by_its_service_among_thousands(cloud: Cloud) -> None:
    said = {"host": "node1", "region": "R1", "driver": "vmware"}
    cloud.rows["hypervisors"] = [{"id": f"{number}", "service": {"host": f"n{number}"}} for number in range(2000)]
    cloud.rows["hypervisors"].append({"id": "0f-ours", "service": {"host": "node1"}})
    assert ask(cloud, "node", said).stdout == "0f-ours\n"
    assert cloud.versions == ["2.53"] * 3


def test_agents_are_waited_for(cloud: Cloud) -> None:
    said = {"host": "node1", "region": "R1"}
    assert "heard nothing from node1" in ask(cloud, "agents", said).stderr
    cloud.rows["agents"].append({"host": "node1", "binary": "neutron-l3-agent", "alive": True})
    assert ask(cloud, "agents", said).returncode == 0


def test_what_goes_wrong_is_one_sentence_without_the_password(cloud: Cloud) -> None:
    refused = ask(cloud, "agents", {"host": "node1", "region": "R1"}, password="wrong-password")
    assert refused.returncode == 1
    assert "401" in refused.stderr
    assert "wrong-password" not in refused.stderr
    assert "has no network in Elsewhere" in ask(cloud, "agents", {"host": "node1", "region": "Elsewhere"}).stderr
