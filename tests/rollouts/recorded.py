"""What a real Nova was asked and answered while a machine was drained, and the same drain again with nobody there.

`make soak ARGS="-k drain_nova"` with PXEAPP_GOLDEN=1 writes the recordings; test_drain_recorded.py plays them: every
look has to ask the same in the same order, and to say the same of what it is told.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from netaddr import IPNetwork
from requests.adapters import HTTPAdapter

from pxeapp.clouds.directory import Clouds
from pxeapp.db import Database
from pxeapp.machines import sealed
from pxeapp.machines.models import Cluster, Machine
from pxeapp.rollouts.port import Outcome, Waiting
from tests.answers.roles.cloud import CONTROLLER
from tests.answers.roles.cluster import CLUSTER
from tests.rollouts.draining import T0, VAULT, Bench, Course

FOLDER = Path(__file__).parent / "recordings"
NETWORKS = (IPNetwork("10.77.0.0/24"),)
PATIENCE_S = 15 * 60
HEADERS = ("Content-Type", "Date", "Location", "OpenStack-API-Version", "X-Subject-Token")
EXPIRES, FAR = re.compile(r'(?<="expires_at": ")[^"]+'), "2099-01-01T00:00:00.000000Z"
TOKEN = "X-Subject-Token"


def known(database: Database) -> None:
    """The cluster as a deployment would have left it, and a machine of it."""
    secret = sealed.seal(VAULT, CLUSTER["admin_password"], by="system:clusters", now=T0, generated=True)
    with database.write() as session:
        session.add(
            Cluster(name="prod", description="", vars={"controller": CONTROLLER}, secrets={"admin_password": secret},
                    created_at=T0, updated_at=T0)
        )  # fmt: skip
        session.add(Machine(name="node1", mac="52:54:00:00:00:01", created_at=T0, updated_at=T0))


def course(database: Database, said: dict[str, Any]) -> Course:
    """Looks at the machine that the cloud calls cmp1."""
    made = Course(database, None, Bench(), {"openstack": {"cloud": "cluster:prod", "host": "cmp1", **said}}, 1)
    made.clouds = Clouds(database, VAULT, NETWORKS)
    return made


@dataclass
class Recording:
    """The looks of one course in their order, and what went over the wire."""

    said: dict[str, Any]
    looks: list[dict[str, Any]] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)

    def save(self, name: str) -> None:
        """Write it down; an answer that comes again and again, as while a migration runs, is in it once."""
        bodies = list(dict.fromkeys(each["body"] for each in self.exchanges))
        places = {body: place for place, body in enumerate(bodies)}
        exchanges = [{**each, "body": places[each["body"]]} for each in self.exchanges]
        FOLDER.mkdir(exist_ok=True)
        text = json.dumps({"said": self.said, "looks": self.looks, "exchanges": exchanges, "bodies": bodies}, indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n")

    @classmethod
    def load(cls, name: str) -> Recording:
        found = json.loads((FOLDER / f"{name}.json").read_text())
        exchanges = [{**each, "body": found["bodies"][each["body"]]} for each in found["exchanges"]]
        return cls(found["said"], found["looks"], exchanges)


@dataclass
class Live:
    """A course over a cloud that is there; what happens is written down."""

    course: Course
    recording: Recording
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    @classmethod
    def of(cls, database: Database, **said: Any) -> Live:
        return cls(course(database, said), Recording(said))

    def over(self, step: str) -> Outcome:
        """Look until it is over."""
        until = time.monotonic() + PATIENCE_S
        self.course.memory = {}
        with self._listening():
            while time.monotonic() < until:
                self.course.now = self.clock()
                look = {"step": step, "now": self.course.now.isoformat(), "tries": self.course.tries}
                found = self.course.look(step)
                self.recording.looks.append({**look, "outcome": type(found).__name__, "says": found.says})
                if not isinstance(found, Waiting):
                    self.course.earlier[step] = dict(found.memory)
                    return found
                time.sleep(min(found.again.total_seconds(), 5))
        raise AssertionError(self.course.says[-5:])

    @contextmanager
    def _listening(self) -> Iterator[None]:
        send = HTTPAdapter.send

        def sent(adapter: HTTPAdapter, request: requests.PreparedRequest, **more: Any) -> requests.Response:
            response = send(adapter, request, **more)
            content = response.content  # the whole of it; whoever asked reads it again below
            response.raw = _raw(response.status_code, dict(response.headers), content)
            response._content, response._content_consumed = False, False  # type: ignore[attr-defined]
            headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
            if TOKEN in headers:
                headers[TOKEN] = "a-token"
            body = EXPIRES.sub(FAR, content.decode())  # else we would sign in anew, from an hour after it on
            self.recording.exchanges.append(
                {**_asked(request), "status": response.status_code, "headers": headers, "body": body}
            )
            return response

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(HTTPAdapter, "send", sent)
            yield


def played(made: Course, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same looks at the same moments, told what the cloud told then."""
    left = list(recording.exchanges)

    def sent(adapter: HTTPAdapter, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        assert left, f"nobody asked {request.method} {request.url} then"
        then = left.pop(0)
        expected = {name: then[name] for name in ("method", "path", "said")}
        assert _asked(request) == expected, f"{_asked(request)}, and then it was {expected}"
        raw = _raw(then["status"], then["headers"], then["body"].encode())
        return adapter.build_response(request, raw)

    monkeypatch.setattr(HTTPAdapter, "send", sent)
    for then in recording.looks:
        made.now, made.tries = dt.datetime.fromisoformat(then["now"]), then["tries"]
        found = made.look(then["step"])
        assert (type(found).__name__, found.says) == (then["outcome"], then["says"])
        if not isinstance(found, Waiting):
            made.earlier[then["step"]] = dict(found.memory)
            made.memory = {}
    assert not left, "something is not asked any more"


def _asked(request: requests.PreparedRequest) -> dict[str, Any]:
    parts = urlsplit(str(request.url))
    said = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
    return {
        "method": request.method, "path": parts.path + (f"?{parts.query}" if parts.query else ""),
        "said": said.replace(CLUSTER["admin_password"], "a-password"),
    }  # fmt: skip


def _raw(status: int, headers: dict[str, str], content: bytes) -> urllib3.HTTPResponse:
    of_transport = ("content-encoding", "content-length", "transfer-encoding")
    plain = {name: value for name, value in headers.items() if name.lower() not in of_transport}
    return urllib3.HTTPResponse(io.BytesIO(content), headers=plain, status=status, preload_content=False)
