"""A Redfish service over TLS with the illnesses that real ones have, which writes down every command that arrives."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER, PASSWORD = "admin", "correct-horse"
SYSTEM = "/redfish/v1/Systems/437XR1138R2"
CHASSIS = "/redfish/v1/Chassis/1U"
MANAGER = "/redfish/v1/Managers/BMC"
LOG = f"{SYSTEM}/LogServices/SEL"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
CLEAR = f"{LOG}/Actions/LogService.ClearLog"


def link(place: str) -> dict[str, str]:
    return {"@odata.id": place}


TREE: dict[str, dict[str, Any]] = {
    "/redfish/v1/": {
        "@odata.id": "/redfish/v1/", "Id": "RootService", "Name": "Root", "RedfishVersion": "1.6.0",
        "Systems": link("/redfish/v1/Systems"), "SessionService": link("/redfish/v1/SessionService"),
    },
    "/redfish/v1/Systems": {"Members": [link(SYSTEM)]},
    SYSTEM: {
        "@odata.id": SYSTEM, "Id": "437XR1138R2", "Name": "Web Front End", "Manufacturer": "Contoso",
        "Model": "3500RX", "SerialNumber": "437XR1138R2", "UUID": "38947555-7742-3448-3784-823347823834",
        "PowerState": "Off", "Status": {"State": "Enabled", "Health": "OK"}, "IndicatorLED": "Off",
        "Boot": {
            "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None",
            "BootSourceOverrideMode": "UEFI",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd", "Cd", "BiosSetup"],
        },
        "Actions": {"#ComputerSystem.Reset": {
            "target": RESET, "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown"],
        }},
        "Links": {"Chassis": [link(CHASSIS)], "ManagedBy": [link(MANAGER)]},
        "LogServices": link(f"{SYSTEM}/LogServices"),
    },
    MANAGER: {"@odata.id": MANAGER, "Id": "BMC", "FirmwareVersion": "1.45.455b66-rev4"},
    CHASSIS: {
        "@odata.id": CHASSIS, "Id": "1U", "Thermal": link(f"{CHASSIS}/Thermal"), "Power": link(f"{CHASSIS}/Power"),
    },
    f"{CHASSIS}/Thermal": {
        "Temperatures": [
            {"Name": "CPU1 Temp", "ReadingCelsius": 41, "UpperThresholdNonCritical": 42, "UpperThresholdCritical": 45,
             "UpperThresholdFatal": 48, "Status": {"State": "Enabled", "Health": "OK"}},
            {"Name": "CPU3 Temp", "ReadingCelsius": None, "Status": {"State": "Disabled"}},
        ],
        "Fans": [
            {"Name": "BaseBoard System Fan", "Reading": 2100, "ReadingUnits": "RPM", "LowerThresholdFatal": 0,
             "Status": {"State": "Enabled", "Health": "Critical"}},
            {"Name": "Fan 2", "Status": {"State": "Absent"}},
        ],
    },
    f"{CHASSIS}/Power": {
        "Voltages": [{"Name": "VRM1", "ReadingVolts": 12.1, "Status": {"State": "Enabled", "Health": "OK"}}],
        "PowerControl": [{"Name": "System Power", "PowerConsumedWatts": 344}],
        "PowerSupplies": [
            {"Name": "PSU 1", "LastPowerOutputWatts": 325, "Status": {"State": "Enabled", "Health": "Warning"}},
        ],
    },
    f"{SYSTEM}/LogServices": {"Members": [link(f"{SYSTEM}/LogServices/Audit"), link(LOG)]},
    f"{SYSTEM}/LogServices/Audit": {
        "Id": "Audit", "LogEntryType": "Oem", "Entries": link(f"{SYSTEM}/LogServices/Audit/Entries"),
    },
    LOG: {
        "Id": "SEL", "LogEntryType": "SEL", "MaxNumberOfRecords": 1000, "OverWritePolicy": "WrapsWhenFull",
        "Entries": link(f"{LOG}/Entries"), "Actions": {"#LogService.ClearLog": {"target": CLEAR}},
    },
    f"{LOG}/Entries": {"Members": [
        {"Id": "2", "Created": "2026-03-01T10:00:05Z", "Severity": "Critical", "SensorType": "Fan",
         "EntryCode": "Assert", "Message": "Fan 1 failed"},
        {"Id": "1", "Created": "2026-03-01T11:00:00+01:00", "Severity": "OK", "SensorType": "Chassis",
         "EntryCode": "Deassert", "Message": "Door\u0000 closed"},
    ], "Members@odata.nextLink": f"{LOG}/Entries2"},
    f"{LOG}/Entries2": {"Members": [
        {"Id": "3", "Created": "2026-03-02T00:00:00Z", "Severity": "Warning", "Message": "Power supply input lost"},
    ]},
}  # fmt: skip


class Service(ThreadingHTTPServer):
    """It runs until the block ends. `illness` is what it suffers from, `commands` is what arrived."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tree = copy.deepcopy(TREE)
        self.illness = ""
        self.commands: list[str] = []
        self.refused = 0
        self.asked: list[str] = []
        self.session_only = False
        self.sessions: set[str] = set()
        self.takes_s = 0.0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self.fingerprint = hashlib.sha256(
            ssl.PEM_cert_to_DER_cert(
                certificate.read_text().partition("-----BEGIN CERT")[2].join(["-----BEGIN CERT", ""])
            )
        ).hexdigest()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def power(self) -> str:
        return str(self.tree[SYSTEM]["PowerState"])

    def get_request(self) -> tuple[socket.socket, Any]:
        """Over TLS; the handshake is the handler's, so that a slow client holds up nobody."""
        plain, client = super().get_request()
        return self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), client

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event."""

    def order(self, path: str, said: dict[str, Any]) -> int:
        """Carry out what changes something; the status."""
        system = self.tree[SYSTEM]
        if path == RESET:
            self.commands.append(f"reset {said.get('ResetType')}")
            if self.illness != "lying":
                system["PowerState"] = "On" if said["ResetType"] == "On" else "Off"
        elif path == CLEAR:
            self.commands.append("clear log")
            self.tree[f"{LOG}/Entries"]["Members"], self.tree[f"{LOG}/Entries2"]["Members"] = [], []
        elif path == SYSTEM:
            self.commands.append(f"patch {json.dumps(said, sort_keys=True)}")
            system["Boot"].update(said.get("Boot", {}))
            system.update({name: value for name, value in said.items() if name != "Boot"})
        else:
            return 404
        return 204


class _Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def finish(self) -> None:
        if self.server.illness == "slow_to_hang_up":
            time.sleep(0.1)
        super().finish()

    def _answer(self, method: str) -> None:
        own, path = self.server, self.path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = json.loads(body) if body else {}
        own.asked.append(f"{method} {path}")
        if own.illness == "silent":
            time.sleep(15)
            return
        if path == "/redfish/v1/SessionService/Sessions" and method == "POST":
            self._sign_in(said)
            return
        if not self._known():
            own.refused += 1
            scheme = "X-Auth-Token" if own.session_only else 'Basic realm="bmc"'
            self._say(401, {"error": {"message": "who?"}}, {"WWW-Authenticate": scheme})
            return
        if method == "DELETE":
            own.sessions.discard(path.rpartition("/")[2])
            self._say(204)
            return
        if method == "GET":
            self._show(path)
            return
        if own.illness == "refusing":
            self._say(403, {"error": {"message": "Insufficient privilege"}})
            return
        if own.illness == "busy":
            self._say(503, {"error": {"message": "try later"}})
            return
        status = own.order(path, said)
        if own.illness == "losing_replies" or (own.illness == "losing_one_reply" and not setattr(own, "illness", "")):
            self.connection.close()
            return
        self._say(status)

    def _show(self, path: str) -> None:
        own = self.server
        if own.illness == "garbage":
            self._raw(200, b"<html>\xff\xfe not for you")
        elif own.illness == "list":
            self._raw(200, b"[1, 2]")
        elif own.illness == "huge":
            self._raw(200, b'{"a": "' + b"x" * 5_000_000 + b'"}')
        elif own.illness == "redirecting":
            self._raw(302, b"", {"Location": "http://127.0.0.1:1/"})
        elif own.illness == "broken":
            self._say(500, {"error": {"message": "internal"}})
        elif path in own.tree:
            self._say(200, own.tree[path])
        else:
            self._say(404, {"error": {"message": "nothing"}})

    def _known(self) -> bool:
        own = self.server
        if self.path == "/redfish/v1/":
            return True
        if own.session_only:
            return self.headers.get("X-Auth-Token") in own.sessions
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        return base64.b64decode(given).decode() == f"{USER}:{PASSWORD}"

    def _sign_in(self, said: dict[str, str]) -> None:
        if said != {"UserName": USER, "Password": PASSWORD}:
            self.server.refused += 1
            self._say(401, {"error": {"message": "no"}})
            return
        self.server.sessions.add("t1")
        self._say(201, {"Id": "t1"}, {"X-Auth-Token": "t1", "Location": "/redfish/v1/SessionService/Sessions/t1"})

    def _say(self, status: int, said: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(said).encode() if said is not None else b"", headers)

    def _raw(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def certificate(folder: Path, name: str = "bmc") -> Path:
    """A self-signed one with its key, as BMCs make them: for another name than anybody uses."""
    path = folder / f"{name}.pem"
    if not path.exists():
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={name}.invalid",
        ]
        made = subprocess.run(
            [*command, "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        del made
        path.write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())
    return path


@contextmanager
def running(pem: Path) -> Iterator[Service]:
    service = Service(pem)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()
        thread.join()
