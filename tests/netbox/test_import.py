"""NetBox's devices become machines: read page by page from a server that speaks its JSON; shown, then imported."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from pxeapp import config
from pxeapp.cli import main
from pxeapp.errors import Invalid, Unavailable
from pxeapp.netbox.reading import NetBox
from pxeapp.netbox.translating import Choices, machines, name_of
from pxeapp.processes.serve import prepare

TOKEN = "0123456789abcdef0123456789abcdef01234567"


def device(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "name": f"R1-Node{number}.example.org", "serial": f"S{number}",
        "role": {"id": 1, "name": "Hypervisor", "slug": "hypervisor"},
        "site": {"id": 1, "name": "Berlin", "slug": "berlin"}, "location": None,
        "rack": {"id": 3, "name": "R1"}, "position": float(number), "face": {"value": "front", "label": "Front"},
        "status": {"value": "active", "label": "Active"}, "tags": [{"id": 1, "name": "Cloud", "slug": "cloud"}],
        "oob_ip": None, **more,
    }  # fmt: skip


def card(number: int, of: int, mac: str | None, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "device": {"id": of, "name": "x"}, "name": f"eno{number % 10}", "enabled": True,
        "mgmt_only": False, "mac_address": mac, "tags": [], **more,
    }  # fmt: skip


DEVICES = [
    *(device(number) for number in range(1, 6)),
    device(6, name=None),
    device(7, oob_ip={"id": 9, "address": "10.0.9.7/24", "family": 4}, position=12.5),
]
CARDS = [
    *(card(10 * number + 1, number, f"52:54:00:00:0A:{number:02X}") for number in range(1, 5)),
    card(19, 1, "52:54:00:00:0B:01", mgmt_only=True),
    card(21, 7, "52:54:00:00:0C:01"),
    card(22, 7, None, primary_mac_address={"mac_address": "52:54:00:00:0C:02"}, tags=[{"slug": "pxe"}]),
]
ADDRESSES = [
    {"id": 1, "address": "10.0.0.1/24", "assigned_object_type": "dcim.interface", "assigned_object_id": 11},
    {"id": 2, "address": "10.0.9.1/24", "assigned_object_type": "dcim.interface", "assigned_object_id": 19},
    {
        "id": 3,
        "address": "10.0.0.99/24",
        "assigned_object_type": "virtualization.vminterface",
        "assigned_object_id": 11,
    },
]
LISTS = {"/api/dcim/devices/": DEVICES, "/api/dcim/interfaces/": CARDS, "/api/ipam/ip-addresses/": ADDRESSES}


@dataclass
class Box:
    url: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    status: int = 200
    garbage: bytes = b""


@pytest.fixture
def box() -> Iterator[Box]:
    found = Box()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            found.tokens.add(self.headers.get("Authorization", ""))
            self.send_response(found.status)
            self.send_header("Location", "http://192.0.2.1/")
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(found.garbage or json.dumps(self._page()).encode())

        def _page(self) -> dict[str, Any]:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            whole, start = LISTS[parts.path], int(query.get("offset", 0))
            following = None
            if start + 3 < len(whole):  # small pages; and behind its proxy it calls itself otherwise
                following = f"http://inside.example{parts.path}?limit=3&offset={start + 3}"
            return {"count": len(whole), "next": following, "previous": None, "results": whole[start : start + 3]}

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


def run(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    password = tmp_path / "password"
    password.write_text("a-long-password")
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PXEAPP_ADMIN_PASSWORD_FILE", str(password))
    if not (tmp_path / "data").exists():
        prepare(config.load())
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    return CliRunner().invoke(main, ["netbox", "import", "--url", box.url, "--token-file", str(token), *words])


def test_devices_are_shown_first_then_imported_and_again_nothing_changes(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--map-role", "hypervisor=compute", "--json")
    dry = json.loads(run(box, tmp_path, monkeypatch, *words, "--dry-run").stdout)
    assert (dry["created"], dry["dry_run"]) == (["r1-node1", "r1-node2", "r1-node3", "r1-node4", "r1-node7"], True)
    assert dry["skipped"] == [
        {"device": "R1-Node5.example.org", "why": "no card of it has a MAC address"},
        {"device": "device 6", "why": "it has no name"},
    ]
    assert json.loads(run(box, tmp_path, monkeypatch, *words).stdout)["created"] == dry["created"]
    again = json.loads(run(box, tmp_path, monkeypatch, *words).stdout)
    assert (again["created"], again["updated"], again["unchanged"]) == ([], [], 5)
    shown = json.loads(CliRunner().invoke(main, ["machine", "show", "r1-node1", "--json"]).stdout)
    assert shown["mac"] == "52:54:00:00:0a:01"
    assert shown["role"] == "compute"
    assert shown["location"] == {"site": "Berlin", "rack": "R1", "unit": 1}
    assert shown["bmc"]["address"] == "10.0.9.1"
    assert shown["interfaces"][0]["address"] == "10.0.0.1"
    assert shown["labels"] == {"netbox": "1", "tag/cloud": "yes"}
    assert box.tokens == {f"Token {TOKEN}"}
    assert any("status=active&status=planned" in each for each in box.asked)


def test_the_tagged_card_is_the_one_it_boots_from_and_half_units_stay() -> None:
    found, _ = machines(DEVICES[6:], CARDS, ADDRESSES, Choices(bmc_username="root", bmc_password="secret"))
    assert found[0]["mac"] == "52:54:00:00:0c:02"
    assert found[0]["location"]["unit"] == "12.5"
    assert found[0]["bmc"] == {"type": "ipmi", "address": "10.0.9.7", "username": "root", "password": "secret"}


@pytest.mark.parametrize(
    ("said", "name"),
    [("Node 1 (old)", "node-1-old"), ("sw_1.dc1.example", "sw-1"), ("--", ""), ("x" * 80, "x" * 63), ("Ä", "")],
)
def test_names_become_host_names(said: str, name: str) -> None:
    assert name_of(said) == name


@pytest.mark.parametrize(
    ("status", "garbage", "said"),
    [
        (403, b"", "does not take this token"), (302, b"", "redirects"), (500, b"", "answers 500"),
        (200, b"<html>", "no JSON"), (200, b'{"a": 1}', "no list"), (200, b'"x"', "no list"),
    ],
)  # fmt: skip
def test_what_is_no_netbox_is_said_in_one_sentence(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, garbage: bytes, said: str
) -> None:
    box.status, box.garbage = status, garbage
    done = run(box, tmp_path, monkeypatch)
    assert done.exit_code == 1
    assert said in done.output
    assert TOKEN not in done.output


def test_nobody_there_and_no_address_at_all_are_said_too() -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        list(NetBox("http://127.0.0.1:1", TOKEN).every("dcim/devices"))
    for url in ("ftp://x", "netbox", "http://user:secret@x/"):
        with pytest.raises(Invalid):
            NetBox(url, TOKEN)
    with pytest.raises(Unavailable, match="too long"):
        list(NetBox("http://127.0.0.1:1", TOKEN, deadline_s=-1).every("dcim/devices"))
