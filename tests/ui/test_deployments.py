"""Deployments, reports and settings as pages."""

from __future__ import annotations

import json
import os
import re

import pytest
from sqlalchemy import select

from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.provisioning import lifecycle, steps
from pxeapp.provisioning.models import Deployment, DeploymentRecord
from pxeapp.provisioning.steps import Step
from tests.api.conftest import Api
from tests.ui import rack
from tests.ui.forms import Person, person


@pytest.fixture
def somebody(api: Api) -> Person:
    rack.fill(api.context.database, api.context.vault, now=now())
    return person(api)


def listed(text: str) -> list[str]:
    return re.findall(r'class="go" href="[^"]+">([^<]+)<', text)


def test_what_is_in_flight_and_what_has_ended_newest_first(somebody: Person) -> None:
    assert listed(somebody.get("/deployments").text)[:3] == ["storage-03", "storage-02", "storage-01"]
    assert listed(somebody.get("/deployments?outcome=running").text) == ["storage-01", "compute-04"]
    assert listed(somebody.get("/deployments/part?outcome=failed&machine=GE-02").text) == ["storage-02"]
    assert "No deployment matches." in somebody.get("/deployments?role=nobody").text


@pytest.mark.parametrize(
    ("step", "progress", "said"),
    [
        (Step.REQUESTED, "It waits for its turn.", "It waits for its turn."),
        (Step.ARMED, "", "its BMC confirms off, boot device network, on"),
        (Step.INSTALLING, "Formats its disk", "Formats its disk"),
        (Step.INSTALLED, "The database answers", "The database answers"),
        (Step.FIRST_BOOT, "The database answers", "the reconciler verifies it"),
    ],
)
def test_every_list_says_the_same_of_what_is_under_way(
    api: Api, somebody: Person, step: Step, progress: str, said: str
) -> None:
    with api.write() as session:
        attempt = lifecycle.latest(session, selectors.get(session, "storage-01").id)
        assert attempt is not None
        attempt.step, attempt.progress = step, progress
    for path in ("/deployments/part?machine=storage-01", "/machines-table?q=name=storage-01", "/overview"):
        text = somebody.get(path).text
        assert said in text, path
        assert f"{steps.percent(step)} %</progress>" in text, path


def test_one_in_flight_is_aborted_from_the_list(api: Api, somebody: Person) -> None:
    text = somebody.get("/deployments?outcome=running").text
    place = re.search(r'action="(/deployments/\d+/abort)"', text)
    assert place is not None
    reply = somebody.post(place[1], outcome="running")
    assert reply.headers["Location"] == "/deployments?outcome=running"
    with api.read() as session:
        row = session.scalars(select(DeploymentRecord)).one()
        assert (row.outcome, row.reason_code, row.machine) == ("aborted", "aborted", "storage-01")
        assert row.dhcp_seen == 5700, "how long after the step before it"


def test_one_that_failed_is_tried_again_unless_something_was_begun_since(api: Api, somebody: Person) -> None:
    text = somebody.get("/deployments?machine=storage-02").text
    place = re.search(r'action="(/deployments/\d+/retry)"', text)
    assert place is not None
    reply = somebody.post(place[1])
    assert reply.status_code == 303, reply.text
    with api.read() as session:
        machine = selectors.get(session, "storage-02")
        attempts = session.scalars(
            select(Deployment).where(Deployment.machine_id == machine.id).order_by(Deployment.id)
        ).all()
        assert [(each.release, each.role) for each in attempts] == [("debian-13", "storage")] * 2
    again = somebody.get("/deployments?machine=storage-02").text
    assert "/retry" not in again
    assert "/abort" in again


def test_the_reports_page_says_every_number_in_a_table_too(api: Api, somebody: Person) -> None:
    assert "No deployment has ended in this period." in somebody.get("/reports").text
    with api.write() as session:
        for name in ("compute-04", "storage-01"):
            machine = selectors.get(session, name)
            deployment = lifecycle.latest(session, machine.id)
            assert deployment is not None
            if name == "compute-04":
                lifecycle.succeed(session, machine, deployment, now=now())
            else:
                lifecycle.fail(session, machine, deployment, code="no_loader", reason="It fetched none.", now=now())
    text = somebody.get("/reports?days=7&role=").text
    assert "50%" in text
    assert re.findall(r"<td>([^<]+)</td><td>1</td><td>100%</td>", text) == ["no loader"]
    assert len(re.findall(r'<svg class="chart', text)) == 3
    assert not re.search(r"<svg(?![^>]*role=\"img\" aria-label=)", text), "each chart is told in words"


def test_settings_are_shown_with_where_they_come_from_and_without_passwords(somebody: Person) -> None:
    text = somebody.get("/settings").text
    assert "PXEAPP_DATA_DIR" in text
    assert "0.0.0.0:8080" in text
    assert "SECRET" not in re.sub(r"PXEAPP_[A-Z_]+", "", text)


def test_what_the_doctor_found_is_shown_worst_first_and_only_one_looks_at_a_time(api: Api, somebody: Person) -> None:
    run_dir = api.context.settings.run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    items = [
        {"check": "clock", "status": "ok", "sentence": "The clock is right.", "try": ""},
        {"check": "disk space", "status": "fail", "sentence": "It is <full>.", "try": "Make room."},
    ]
    (run_dir / "doctor.json").write_text(json.dumps({"items": items, "at": now().isoformat()}))
    text = somebody.get("/settings").text
    assert re.findall(r'<tr id="check-\d+"><td>([a-z ]+) <span', text) == ["disk space", "clock"]
    assert "It is &lt;full&gt;." in text
    assert somebody.get("/settings/doctor").status_code == 286, "nothing more is to be expected"
    mark = run_dir / "doctor.running"
    mark.touch()
    assert "It is looking" in somebody.get("/settings/doctor").text
    assert somebody.get("/settings/doctor").status_code == 200
    assert somebody.post("/settings/doctor").status_code == 409
    long_ago = now().timestamp() - 3600
    os.utime(mark, (long_ago, long_ago))
    assert somebody.get("/settings/doctor").status_code == 286, "whoever looked then was killed"
