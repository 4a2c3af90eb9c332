"""A small OpenStack that keeps state, over real HTTP: the routes of Keystone, Nova, Cinder and Neutron that we ask.

It is asked through the real openstacksdk. What moves goes on by one step each time that instances are listed or that
one is looked at, so that no test waits. Answers have the form of a real cloud's; `faults` makes some wrong.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PASSWORD = "a-long-password"
NO_HOST = "nova.exception.NoValidHost: No valid host was found. There are not enough hosts available."
Answer = tuple[int, Any]


class Refusal(Exception):
    """What a service says no with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Fault:
    """The next requests that fit are answered so; `done` lets the request have its effect first."""

    method: str
    path: str  # a regular expression
    code: int
    times: int = 1
    slow_s: float = 0.0
    done: bool = False
    message: str = "made up by a test"


@dataclass
class FakeCloud:
    """Everything it knows. `now` is its clock."""

    url: str = ""
    now: dt.datetime = dt.datetime(2026, 11, 26, 3, 0, tzinfo=dt.UTC)
    tells_time: bool = True  # by the header Date, which not every server in front of these APIs sends
    tokens: set[str] = field(default_factory=set)
    signed_in: int = 0
    password: str = PASSWORD
    catalog: tuple[str, ...] = ("compute", "volumev3", "network")
    services: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    migrations: list[dict[str, Any]] = field(default_factory=list)
    actions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    routers: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> {"name", "ha", "agents": {id: ha_state}}
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> {"name", "agents": [id]}
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    unmovable: dict[str, str] = field(default_factory=dict)  # server id -> why, as Nova writes it down
    becomes_error: set[str] = field(default_factory=set)
    steps: int = 2  # how often a host is listed until a migration has ended
    lock: threading.RLock = field(default_factory=threading.RLock)

    # --- What a test puts in -----------------------------------------------------------------------------------------

    def add_compute(self, host: str, *, status: str = "enabled", reason: str | None = None, state: str = "up") -> None:
        number = str(uuid.uuid5(uuid.NAMESPACE_DNS, host))
        self.services.append(self._service("nova-compute", host, status, reason, state) | {"id": number})

    def add_volume(self, host: str, *, status: str = "enabled", reason: str | None = None) -> None:
        self.volumes.append(self._service("cinder-volume", host, status, reason, "up"))

    def add_server(self, name: str, host: str, *, status: str = "ACTIVE", power: int = 1) -> str:
        number = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        self.servers[number] = {
            "id": number,
            "name": name,
            "status": status,
            "power": power,
            "task": None,
            "host": host,
        }
        return number

    def add_agent(self, kind: str, host: str, *, alive: bool = True, mode: str = "legacy", **more: Any) -> str:
        number = str(uuid.uuid5(uuid.NAMESPACE_OID, kind + host))
        self.agents[number] = {
            "id": number, "agent_type": kind, "host": host, "alive": alive, "admin_state_up": True, "description": None,
            "binary": kind.lower().replace(" ", "-"), "availability_zone": "nova", "heartbeat_timestamp": self._stamp(),
            "configurations": {"agent_mode": mode, "routers": 0, "networks": 0}, **more,
        }  # fmt: skip
        return number

    def add_router(self, name: str, *agents: str, ha: bool = False) -> str:
        number = str(uuid.uuid5(uuid.NAMESPACE_X500, name))
        states = {each: ("standby" if place else "active") if ha else "" for place, each in enumerate(agents)}
        self.routers[number] = {"id": number, "name": name, "ha": ha, "distributed": False, "agents": states}
        return number

    def add_network(self, name: str, *agents: str) -> str:
        number = str(uuid.uuid5(uuid.NAMESPACE_X500, "net" + name))
        self.networks[number] = {"id": number, "name": name, "agents": list(agents)}
        return number

    def service(self, host: str) -> dict[str, Any]:
        return next(each for each in [*self.services, *self.volumes] if each["host"] == host)

    def on(self, host: str) -> list[str]:
        return sorted(each["name"] for each in self.servers.values() if each["host"] == host)

    def count(self, method: str, path: str) -> int:
        return sum(1 for each in self.asked if each[0] == method and re.search(path, each[1]))

    def beat(self) -> None:
        """Time goes on, and everything that lives says so."""
        self.now += dt.timedelta(seconds=30)
        for each in [*self.services, *self.volumes]:
            if each["state"] == "up":
                each["updated_at"] = self._stamp()
        for agent in self.agents.values():
            if agent["alive"]:
                agent["heartbeat_timestamp"] = self._stamp()

    def _service(self, binary: str, host: str, status: str, reason: str | None, state: str) -> dict[str, Any]:
        return {
            "binary": binary, "host": host, "zone": "nova", "status": status, "state": state,
            "disabled_reason": reason, "updated_at": self._stamp(),
        }  # fmt: skip

    def _stamp(self) -> str:
        return self.now.replace(tzinfo=None).isoformat(timespec="microseconds")

    # --- What is asked -----------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, body: Any, token: str) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(target)
        path, query = parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self.lock:
            self.asked.append((method, target))
            fault = next((each for each in self.faults if each.method == method and re.search(each.path, target)), None)
            if fault is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
        if fault is not None and fault.slow_s:
            time.sleep(fault.slow_s)
        if fault is not None and not fault.done:
            return fault.code, {"error": {"message": fault.message, "code": fault.code}}, {}
        with self.lock:
            try:
                if path == "/identity/v3/auth/tokens" and method == "POST":
                    return self._sign_in(body)
                code, said = self._route(method, path, query, body, token)
            except Refusal as refusal:
                code, said = refusal.code, {"badRequest": {"message": str(refusal), "code": refusal.code}}
        if fault is not None:
            return fault.code, {"error": {"message": fault.message}}, {}
        return code, said, {}

    def _sign_in(self, body: Any) -> tuple[int, Any, dict[str, str]]:
        said = body["auth"]["identity"]
        secret = said.get("password", {}).get("user", {}).get("password") or said.get("application_credential", {}).get(
            "secret"
        )
        if secret != self.password:
            return 401, {"error": {"message": "The request you have made requires authentication.", "code": 401}}, {}
        token = uuid.uuid4().hex
        self.tokens.add(token)
        self.signed_in += 1
        places = {
            "compute": "/compute/v2.1",
            "volumev3": "/volume/v3/p1",
            "network": "/network",
            "identity": "/identity",
        }
        catalog = [
            {
                "id": kind, "type": kind, "name": kind,
                "endpoints": [
                    {"id": kind + interface, "interface": interface, "region": "RegionOne", "region_id": "RegionOne",
                     "url": self.url + places[kind]}
                    for interface in ("public", "internal", "admin")
                ],
            }
            for kind in (*self.catalog, "identity")
        ]  # fmt: skip
        until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        domain = {"id": "default", "name": "Default"}
        return 201, {
            "token": {
                "methods": ["password"], "expires_at": until.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
                "issued_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
                "user": {"id": "u1", "name": "admin", "domain": domain}, "audit_ids": ["a"], "catalog": catalog,
                "project": {"id": "p1", "name": "admin", "domain": domain}, "roles": [{"id": "r", "name": "admin"}],
            }
        }, {"X-Subject-Token": token}  # fmt: skip

    def _route(self, method: str, path: str, query: dict[str, str], body: Any, token: str) -> Answer:
        found = self._discovery(path) if method == "GET" else None
        if found is not None:
            return found
        if token not in self.tokens:
            return 401, {"error": {"code": 401, "message": "The request you have made requires authentication."}}
        for verb, pattern, handler in self._table():
            match = re.fullmatch(pattern, path)
            if verb == method and match is not None:
                return handler(*match.groups(), query=query, body=body)
        return 404, {"itemNotFound": {"message": f"{method} {path} is nothing that this cloud has.", "code": 404}}

    def _discovery(self, path: str) -> Answer | None:
        if path in ("/identity", "/identity/", "/identity/v3", "/identity/v3/"):
            version = {
                "id": "v3.14",
                "status": "stable",
                "links": [{"rel": "self", "href": f"{self.url}/identity/v3/"}],
            }
            return (200, {"version": version}) if "v3" in path else (300, {"versions": {"values": [version]}})
        if path.rstrip("/") in ("/compute", "/compute/v2.1"):
            version = {
                "id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1",
                "links": [{"rel": "self", "href": f"{self.url}/compute/v2.1/"}],
            }  # fmt: skip
            return (200, {"version": version}) if "v2.1" in path else (200, {"versions": [version]})
        if path.rstrip("/") in ("/volume", "/volume/v3", "/volume/v3/p1"):
            version = {
                "id": "v3.0", "status": "CURRENT", "version": "3.71", "min_version": "3.0",
                "links": [{"rel": "self", "href": f"{self.url}/volume/v3/"}],
            }  # fmt: skip
            return 200, {"versions": [version]}
        if path.rstrip("/") in ("/network", "/network/v2.0"):
            link = [{"rel": "self", "href": f"{self.url}/network/v2.0/"}]
            return 200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": link}]}
        return None

    def _table(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        nova, cinder, neutron = "/compute/v2.1", "/volume/v3/p1", "/network/v2.0"
        one = "([0-9a-f-]{36})"
        return [
            ("GET", f"{nova}/os-services", lambda query, **_: self._list(self.services, "services", query)),
            ("PUT", f"{nova}/os-services/{one}", self._set_service),
            ("GET", f"{nova}/servers/detail", self._list_servers),
            ("GET", f"{nova}/servers/{one}", self._one_server),
            ("POST", f"{nova}/servers/{one}/action", self._act),
            ("GET", f"{nova}/os-migrations", self._list_migrations),
            ("GET", f"{nova}/servers/{one}/os-instance-actions", self._list_actions),
            ("GET", f"{nova}/servers/{one}/os-instance-actions/([a-z0-9-]+)", self._one_action),
            ("GET", f"{cinder}/os-services", lambda query, **_: self._list(self.volumes, "services", query)),
            ("PUT", f"{cinder}/os-services/(disable-log-reason|enable)", self._set_volume),
            ("GET", f"{neutron}/agents", lambda query, **_: self._list(list(self.agents.values()), "agents", query)),
            ("PUT", f"{neutron}/agents/{one}", self._set_agent),
            ("GET", f"{neutron}/agents/{one}/l3-routers", self._routers_on),
            ("POST", f"{neutron}/agents/{one}/l3-routers", self._give_router),
            ("DELETE", f"{neutron}/agents/{one}/l3-routers/{one}", self._take_router),
            ("GET", f"{neutron}/agents/{one}/dhcp-networks", self._networks_on),
            ("POST", f"{neutron}/agents/{one}/dhcp-networks", self._give_network),
            ("DELETE", f"{neutron}/agents/{one}/dhcp-networks/{one}", self._take_network),
            ("GET", f"{neutron}/routers/{one}/l3-agents", self._agents_of_router),
            ("GET", f"{neutron}/networks/{one}/dhcp-agents", self._agents_of_network),
        ]

    def _list(self, rows: list[dict[str, Any]], key: str, query: dict[str, str]) -> Answer:
        filters = {name: value for name, value in query.items() if name in ("host", "binary", "agent_type")}
        return 200, {key: [row for row in rows if all(row.get(name) == value for name, value in filters.items())]}

    # --- Nova --------------------------------------------------------------------------------------------------------

    def _set_service(self, number: str, *, body: Any, **_: Any) -> Answer:
        row = next((each for each in self.services if each["id"] == number), None)
        if row is None:
            raise Refusal(404, "Service not found.")
        row.update(status=body["status"], disabled_reason=body.get("disabled_reason"))
        return 200, {"service": row}

    def _server(self, number: str) -> dict[str, Any]:
        row = self.servers.get(number)
        if row is None:
            raise Refusal(404, f"Instance {number} could not be found.")
        return {
            "id": row["id"], "name": row["name"], "status": row["status"], "tenant_id": "p2",
            "OS-EXT-SRV-ATTR:host": row["host"], "OS-EXT-STS:task_state": row["task"],
            "OS-EXT-STS:power_state": row["power"], "OS-EXT-STS:vm_state": row["status"].lower(),
        }  # fmt: skip

    def _list_servers(self, *, query: dict[str, str], **_: Any) -> Answer:
        for row in list(self.servers.values()):
            self._go_on(row)
        rows = [row for row in self.servers.values() if row["host"] == query.get("host", row["host"])]
        rows.sort(key=lambda row: row["id"])
        rows = [row for row in rows if row["id"] > query.get("marker", "")][: int(query.get("limit", 1000))]
        return 200, {"servers": [self._server(row["id"]) for row in rows]}

    def _one_server(self, number: str, **_: Any) -> Answer:
        self._go_on(self.servers.get(number, {}))
        return 200, {"server": self._server(number)}

    def _go_on(self, row: dict[str, Any]) -> None:
        """One step of whatever is being done to it."""
        if row.get("left", 0) > 0:
            row["left"] -= 1
            if row["left"] == 0:
                row["then"](row)

    def _act(self, number: str, *, body: Any, **_: Any) -> Answer:
        row = self.servers.get(number)
        if row is None:
            raise Refusal(404, f"Instance {number} could not be found.")
        action, said = next(iter(body.items()))
        handler = {
            "os-migrateLive": self._live, "migrate": self._cold, "confirmResize": self._confirm,
            "os-stop": self._stop, "os-start": self._start,
        }[action]  # fmt: skip
        handler(row, said)
        return 202, None

    def _needs(self, row: dict[str, Any], *statuses: str) -> None:
        if row["status"] not in statuses or row["task"]:
            raise Refusal(409, f"Cannot do this while instance {row['id']} is in vm_state {row['status'].lower()}")

    def _begin(self, row: dict[str, Any], action: str, task: str, then: Callable[[dict[str, Any]], None]) -> None:
        self.actions.setdefault(row["id"], []).append(
            {"action": action, "request_id": f"req-{len(self.actions)}-{action}", "start_time": self._stamp(),
             "message": None, "events": []}
        )  # fmt: skip
        row.update(task=task, left=self.steps, then=then)

    def _target(self, row: dict[str, Any]) -> str | None:
        """Where the scheduler puts it: an enabled host that lives and is another."""
        if row["id"] in self.unmovable:
            self._write_down(row, self.unmovable[row["id"]])
            return None
        for each in self.services:
            if each["status"] == "enabled" and each["state"] == "up" and each["host"] != row["host"]:
                return str(each["host"])
        self._write_down(row, NO_HOST)
        return None

    def _write_down(self, row: dict[str, Any], why: str) -> None:
        last = self.actions[row["id"]][-1]
        last["message"] = "Error"
        last["events"] = [{"event": "conductor_migrate", "result": "Error", "traceback": f"  File x, line 1\n{why}\n"}]

    def _live(self, row: dict[str, Any], said: Any) -> None:
        assert said == {"host": None, "block_migration": "auto"}
        self._needs(row, "ACTIVE", "PAUSED")
        before = row["status"]

        def arrive(row: dict[str, Any]) -> None:
            target = self._target(row)
            row.update(task=None, status="ERROR" if row["id"] in self.becomes_error else before)
            if target is not None and row["status"] != "ERROR":
                row["host"] = target

        self._begin(row, "live-migration", "migrating", arrive)
        row["status"] = "MIGRATING"

    def _cold(self, row: dict[str, Any], said: Any) -> None:
        assert said is None
        self._needs(row, "ACTIVE", "SHUTOFF")
        before = row["status"]

        def arrive(row: dict[str, Any]) -> None:
            target = self._target(row)
            row.update(task=None, status=before if target is None else "VERIFY_RESIZE", before=before)
            if target is not None:
                row["host"] = target

        self._begin(row, "migrate", "resize_migrating", arrive)
        row["status"] = "RESIZE"

    def _confirm(self, row: dict[str, Any], _said: Any) -> None:
        if row.get("left", 0):
            raise Refusal(400, "Instance has not been resized.")  # Nova's words while the first one is at work
        self._needs(row, "VERIFY_RESIZE")
        self._begin(row, "confirmResize", "", lambda row: row.update(task=None, status=row["before"]))
        row["task"] = None

    def _stop(self, row: dict[str, Any], _said: Any) -> None:
        self._needs(row, "ACTIVE", "ERROR")
        self._begin(row, "stop", "powering-off", lambda row: row.update(task=None, status="SHUTOFF", power=4))

    def _start(self, row: dict[str, Any], _said: Any) -> None:
        self._needs(row, "SHUTOFF")
        self._begin(row, "start", "powering-on", lambda row: row.update(task=None, status="ACTIVE", power=1))

    def _list_migrations(self, *, query: dict[str, str], **_: Any) -> Answer:
        assert dt.datetime.fromisoformat(query["changes-since"])
        host = query["host"]
        return 200, {
            "migrations": [row for row in self.migrations if host in (row["dest_compute"], row["source_compute"])]
        }

    def _list_actions(self, number: str, **_: Any) -> Answer:
        rows = [{name: row[name] for name in ("action", "request_id", "start_time", "message")}
                for row in reversed(self.actions.get(number, []))]  # fmt: skip
        return 200, {"instanceActions": rows}

    def _one_action(self, number: str, request: str, **_: Any) -> Answer:
        return 200, {"instanceAction": next(row for row in self.actions[number] if row["request_id"] == request)}

    # --- Cinder ------------------------------------------------------------------------------------------------------

    def _set_volume(self, what: str, *, body: Any, **_: Any) -> Answer:
        row = next(each for each in self.volumes if (each["host"], each["binary"]) == (body["host"], body["binary"]))
        row.update(status="enabled" if what == "enable" else "disabled", disabled_reason=body.get("disabled_reason"))
        return 200, row

    # --- Neutron -----------------------------------------------------------------------------------------------------

    def _set_agent(self, number: str, *, body: Any, **_: Any) -> Answer:
        self.agents[number].update(body["agent"])
        if not body["agent"].get("admin_state_up", True):
            for router in self.routers.values():  # VRRP: another one takes over
                if router["ha"] and router["agents"].pop(number, None) == "active" and router["agents"]:
                    router["agents"][next(iter(router["agents"]))] = "active"
                    router["agents"][number] = "standby"
        return 200, {"agent": self.agents[number]}

    def _routers_on(self, number: str, **_: Any) -> Answer:
        return 200, {"routers": [row for row in self.routers.values() if number in row["agents"]]}

    def _give_router(self, number: str, *, body: Any, **_: Any) -> Answer:
        row = self.routers[body["router_id"]]
        if number in row["agents"] or (row["agents"] and not row["ha"]):
            raise Refusal(409, f"The router {row['id']} has been already hosted by the L3 Agent.")
        row["agents"][number] = "standby" if row["ha"] else ""
        return 201, None

    def _take_router(self, number: str, router: str, **_: Any) -> Answer:
        if router not in self.routers or number not in self.routers[router]["agents"]:
            raise Refusal(404, "Router is not hosted by this L3 agent.")
        self.routers[router]["agents"].pop(number)
        return 204, None

    def _networks_on(self, number: str, **_: Any) -> Answer:
        return 200, {"networks": [row for row in self.networks.values() if number in row["agents"]]}

    def _give_network(self, number: str, *, body: Any, **_: Any) -> Answer:
        row = self.networks[body["network_id"]]
        if number in row["agents"]:
            raise Refusal(409, f"The network {row['id']} has been already hosted by the DHCP Agent {number}.")
        row["agents"].append(number)
        return 201, None

    def _take_network(self, number: str, network: str, **_: Any) -> Answer:
        if number not in self.networks[network]["agents"]:
            raise Refusal(409, f"The network {network} is not hosted by the DHCP agent {number}.")
        self.networks[network]["agents"].remove(number)
        return 204, None

    def _agents_of_router(self, router: str, **_: Any) -> Answer:
        if router not in self.routers:
            raise Refusal(404, f"Router {router} could not be found")
        states = self.routers[router]["agents"]
        return 200, {"agents": [self.agents[each] | {"ha_state": state or None} for each, state in states.items()]}

    def _agents_of_network(self, network: str, **_: Any) -> Answer:
        return 200, {"agents": [self.agents[each] for each in self.networks[network]["agents"]]}


@contextmanager
def running() -> Iterator[FakeCloud]:
    """One that listens on a port of its own."""
    cloud = FakeCloud()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two of them wait for each other
        disable_nagle_algorithm = True

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, said, headers = cloud.answer(self.command, self.path, body, self.headers.get("X-Auth-Token", ""))
            content = b"" if said is None else json.dumps(said, default=str).encode()
            self.send_response_only(code)
            if cloud.tells_time:
                self.send_header("Date", format_datetime(cloud.now, usegmt=True))
            for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(content)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
