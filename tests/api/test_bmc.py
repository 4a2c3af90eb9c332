"""Sensors, event log, boot device and console by the API: orders are left for the worker, facts have their time."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.bmc.asking import Asker
from pxeapp.bmc.connect import FAKE_FOLDER, Connector
from pxeapp.bmc.fake import FakeBmc
from pxeapp.bmc.models import BmcOrder
from pxeapp.cli import main
from pxeapp.commits import GroupCommit
from pxeapp.consoles import recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.consoles.recordings import Recorder
from pxeapp.db import now
from pxeapp.machines import selectors
from tests.api.conftest import Api
from tests.api.conftest import Asker as Client

NODE = "/machines/node1"


@pytest.fixture
def fake(api: Api, machine: dict[str, Any]) -> FakeBmc:
    """The machine's BMC, made of files."""
    with api.context.database.write() as session:
        bmc = selectors.get(session, machine["name"]).bmc
        assert bmc is not None
        bmc.type, bmc.address = "fake", "node1"
    return FakeBmc(api.context.settings.data_dir / FAKE_FOLDER, "node1")


def work(api: Api) -> None:
    """What the BMC worker does."""
    own = api.context
    asker = Asker(own.database, Connector(own.settings, own.vault), GroupCommit(own.database), "worker:1", now)
    for _ in range(10):
        with own.database.write() as session:
            for order in session.scalars(select(BmcOrder).where(BmcOrder.finished_at.is_(None))):
                order.due_at = now()  # the spacing has a test of its own
        claimed = asker.claim(limit=5)
        if not claimed:
            return
        for asked in claimed:
            asker.carry_out(asked)


def test_sensors_are_read_by_an_order_that_can_be_watched(api: Api, admin: Client, fake: FakeBmc) -> None:
    assert admin.get(f"{NODE}/sensors").json["seen_at"] is None
    asked = admin.post(f"{NODE}/sensors/refresh", json={})
    assert asked.status_code == HTTPStatus.ACCEPTED
    assert asked.json["outcome"] is None
    work(api)
    place = asked.headers["Location"].removeprefix("/api/v1")
    assert admin.get(place).json["outcome"] == "done"
    found = admin.get(f"{NODE}/sensors").json
    assert found["health"] == "ok"
    assert {each["name"] for each in found["items"]} == {"Inlet", "Fan 1"}
    assert found["items"][0]["thresholds"]["upper_critical"] == 42.0


def test_the_event_log_is_paged_and_cleared_by_an_admin_only(api: Api, admin: Client, fake: FakeBmc) -> None:
    fake.log("one", "two failure", "three")
    admin.post(f"{NODE}/sel/refresh", json={})
    work(api)
    first = admin.get(f"{NODE}/sel?limit=2").json
    rest = admin.get(f"{NODE}/sel?limit=2&after={first['next']}").json
    assert [each["event"] for each in first["items"] + rest["items"]] == ["one", "two failure", "three"]
    assert rest["next"] is None
    operator = api.of("operator")
    assert operator.post(f"{NODE}/sel/clear", json={}).status_code == HTTPStatus.FORBIDDEN
    assert admin.post(f"{NODE}/sel/clear", json={}).status_code == HTTPStatus.ACCEPTED
    work(api)
    assert "clear log" in [each["command"] for each in fake.received()]
    assert len(admin.get(f"{NODE}/sel").json["items"]) == 3


def test_the_boot_device_is_set_and_read(api: Api, admin: Client, fake: FakeBmc) -> None:
    assert admin.get(f"{NODE}/boot-device").json["device"] is None
    wrong = admin.post(f"{NODE}/boot-device", json={"device": "tape"})
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    asked = admin.post(f"{NODE}/boot-device", json={"device": "network", "persistent": True})
    assert asked.status_code == HTTPStatus.ACCEPTED
    work(api)
    found = admin.get(f"{NODE}/boot-device").json
    assert (found["device"], found["persistent"], found["confirmed"]) == ("network", True, True)


def test_a_machine_that_is_deployed_is_not_led_astray(api: Api, admin: Client, fake: FakeBmc) -> None:
    with api.context.database.write() as session:
        selectors.get(session, "node1").state = "deploying"
    refused = admin.post(f"{NODE}/boot-device", json={"device": "disk"})
    assert refused.status_code == HTTPStatus.CONFLICT
    assert admin.post(f"{NODE}/sensors/refresh", json={}).status_code == HTTPStatus.ACCEPTED


def test_the_bmc_says_who_it_is(api: Api, admin: Client, fake: FakeBmc) -> None:
    admin.post(f"{NODE}/bmc/refresh", json={})
    admin.post(f"{NODE}/identify", json={"seconds": 5})
    work(api)
    assert admin.get(f"{NODE}/bmc").json["identity"]["product"] == "A BMC of files"
    assert "identify 5" in [each["command"] for each in fake.received()]


def test_a_console_without_its_process_is_a_sentence_and_no_crash(api: Api, admin: Client, fake: FakeBmc) -> None:
    answer = admin.get(f"{NODE}/console")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "console process" in answer.json["detail"]
    assert admin.post(f"{NODE}/console/keys", json={"text": "x" * 5000}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_typing_is_noted_before_it_happens_and_not_what_was_typed(api: Api, admin: Client, fake: FakeBmc) -> None:
    admin.post(f"{NODE}/console/keys", json={"text": "hunter2\r"})
    with api.context.database.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == "console.type")).all()
    assert "hunter2" not in repr([(row.actor, row.subject, row.details) for row in rows])


def test_recordings_are_listed_and_given_as_they_are_and_as_text(api: Api, admin: Client, fake: FakeBmc) -> None:
    with api.context.database.write() as session:
        row = ConsoleRecording(machine_id=selectors.get(session, "node1").id, title="attempt 1", started_at=now())
        session.add(row)
        session.flush()
        number = row.id
    recorder = Recorder(recordings.path_of(api.context.settings.data_dir, number), started_at=now(), title="attempt 1")
    recorder.heard(b"\x1b[1mhello\x1b[0m\r\n", now=now())
    recorder.close()
    assert admin.get(f"{NODE}/console/recordings").json["items"][0]["title"] == "attempt 1"
    assert admin.get(f"{NODE}/console/recordings/{number}/text").text == "hello\n"
    assert admin.get(f"{NODE}/console/recordings/{number}").mimetype == "application/x-asciicast"
    assert admin.get(f"{NODE}/console/recordings/999").status_code == HTTPStatus.NOT_FOUND


def test_the_commands_show_the_same(api: Api, admin: Client, fake: FakeBmc, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.log("fan failure")
    for what in ("sensors", "sel", "boot-device"):
        admin.post(f"{NODE}/{what}/refresh", json={})
    work(api)
    own = api.context.settings
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(own.data_dir))
    monkeypatch.setenv("PXEAPP_DATABASE_URL", own.database_url)
    runner = CliRunner()
    sensors = runner.invoke(main, ["machine", "sensors", "node1"])
    assert "Inlet" in sensors.output
    assert "22.5" in sensors.output
    assert "fan failure" in runner.invoke(main, ["machine", "sel", "node1"]).output
    assert "node1: none" in runner.invoke(main, ["machine", "boot-device", "node1"]).output
