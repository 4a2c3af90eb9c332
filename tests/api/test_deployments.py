"""Deploying over HTTP: answered at once, aborted, released, explained; what the machine is given, tokens masked."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.provisioning import lifecycle, steps
from pxeapp.provisioning.models import NodeLog, Served
from pxeapp.provisioning.steps import Step
from tests.api.conftest import BMC_PASSWORD, Api, Asker


def run(api: Api, until: Step) -> int:
    """Take node1's running deployment as far as `until`, as the evidence would."""
    with api.write() as session:
        deployment = lifecycle.latest(session, selectors.get(session, "node1").id)
        assert deployment is not None
        for step in steps.ORDER[1 : steps.ORDER.index(until) + 1]:
            steps.advance(session, deployment, step, now=now(), source="http", message=f"Seen: {step}.")
        return deployment.id


def test_a_deployment_is_accepted_at_once_with_what_was_asked_for(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.post("/machines/node1/deploy", json={"release": "debian-13", "role": "storage"})
    assert reply.status_code == HTTPStatus.ACCEPTED
    body = reply.json
    assert (body["machine"], body["release"], body["role"]) == ("node1", "debian-13", "storage")
    assert (body["step"], body["outcome"], body["attempt"]) == ("requested", None, 1)
    assert body["requested_by"] == "token:the-admin"
    assert admin.get("/machines/node1").json["state"] == "deploying"


def test_without_a_body_the_machines_own_release_and_role_are_taken(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.post("/machines/node1/deploy")
    assert reply.status_code == HTTPStatus.ACCEPTED
    assert (reply.json["release"], reply.json["role"]) == ("debian-13", "compute")


def test_an_unknown_release_or_role_is_refused_and_nothing_began(admin: Asker, machine: dict[str, Any]) -> None:
    for said in ({"release": "debian-99"}, {"role": "king"}):
        reply = admin.post("/machines/node1/deploy", json=said)
        assert reply.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY), reply.text
        assert reply.json["detail"]
    assert admin.get("/machines/node1").json["state"] == "enrolled"
    assert admin.get("/deployments").json["items"] == []


def test_of_two_deployments_at_once_the_second_is_a_409(admin: Asker, machine: dict[str, Any]) -> None:
    assert admin.post("/machines/node1/deploy").status_code == HTTPStatus.ACCEPTED
    assert admin.post("/machines/node1/deploy").status_code == HTTPStatus.CONFLICT
    assert len(admin.get("/deployments?running=1").json["items"]) == 1


def test_while_it_is_deployed_its_labels_may_change_and_its_role_may_not(admin: Asker, machine: dict[str, Any]) -> None:
    admin.post("/machines/node1/deploy")
    shown = admin.get("/machines/node1").json
    assert admin.put("/machines/node1", json={**shown, "labels": {"a": "b"}}).status_code == HTTPStatus.OK
    assert admin.patch("/machines/node1", json={"role": "storage"}).status_code == HTTPStatus.CONFLICT
    assert admin.delete("/machines/node1").status_code == HTTPStatus.CONFLICT


def test_an_aborted_deployment_says_who_aborted_it_and_may_be_repeated(admin: Asker, machine: dict[str, Any]) -> None:
    admin.post("/machines/node1/deploy")
    reply = admin.post("/machines/node1/abort")
    assert (reply.json["outcome"], reply.json["reason_code"]) == ("aborted", "aborted")
    assert "token:the-admin" in reply.json["reason"]
    assert admin.get("/machines/node1").json["state"] == "deploy failed"
    assert admin.post("/machines/node1/abort").status_code == HTTPStatus.CONFLICT
    assert admin.post("/machines/node1/deploy").json["attempt"] == 2


def test_an_active_machine_is_erased_only_on_purpose_and_released_without(
    api: Api, admin: Asker, machine: dict[str, Any]
) -> None:
    admin.post("/machines/node1/deploy")
    run(api, Step.VERIFIED)
    with api.write() as session:
        row = selectors.get(session, "node1")
        deployment = lifecycle.latest(session, row.id)
        assert deployment is not None
        lifecycle.succeed(session, row, deployment, now=now())
    reply = admin.post("/machines/node1/deploy")
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "reimage" in reply.json["hint"]
    assert admin.post("/machines/node1/release").json["state"] == "available"
    assert admin.post("/machines/node1/release").status_code == HTTPStatus.CONFLICT


def test_a_deployment_shows_its_steps_with_evidence_and_the_hashes_of_what_was_given(
    api: Api, admin: Asker, machine: dict[str, Any]
) -> None:
    admin.post("/machines/node1/deploy")
    number = run(api, Step.DHCP_SEEN)
    with api.write() as session:
        session.add(Served(deployment_id=number, at=now(), kind="ipxe", sha256="ab" * 32, size=700))
    body = admin.get(f"/deployments/{number}").json
    assert [step["step"] for step in body["steps"]] == ["armed", "power_cycled", "dhcp_seen"]
    assert all(step["at"] and step["message"] for step in body["steps"])
    assert [(each["kind"], each["sha256"]) for each in body["served"]] == [("ipxe", "ab" * 32)]


def test_the_logs_of_an_installer_are_listed_and_given_as_plain_text(
    api: Api, admin: Asker, machine: dict[str, Any]
) -> None:
    number = admin.post("/machines/node1/deploy").json["id"]
    text = b"<script>alert(1)</script>\n"
    with api.write() as session:
        session.add(NodeLog(deployment_id=number, name="syslog", at=now(), content=text))
    assert [item["name"] for item in admin.get(f"/deployments/{number}/logs").json["items"]] == ["syslog"]
    reply = admin.get(f"/deployments/{number}/logs/syslog")
    assert (reply.data, reply.mimetype) == (text, "text/plain")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_explain_says_what_was_seen_what_is_awaited_and_what_to_try(
    api: Api, admin: Asker, machine: dict[str, Any]
) -> None:
    admin.post("/machines/node1/deploy")
    run(api, Step.DHCP_SEEN)
    body = admin.get("/machines/node1/explain").json
    assert body["step"] == "dhcp_seen"
    assert "loader" in body["expected_next"]
    assert body["causes"]
    assert all(cause["cause"] and cause["try"] for cause in body["causes"])


def test_what_a_machine_would_be_given_is_shown_without_tokens_and_passwords(
    admin: Asker, machine: dict[str, Any]
) -> None:
    admin.post("/machines/node1/deploy")
    reply = admin.get("/machines/node1/rendered")
    assert reply.status_code == HTTPStatus.OK, reply.text
    files = {item["kind"]: item["text"] for item in reply.json["items"]}
    assert {"ipxe", "grub", "pxelinux", "preseed"} <= files.keys()
    assert "d-i" in files["preseed"]
    assert BMC_PASSWORD not in reply.text
    for token in re.findall(r"/[ac]/([^/\s\"']+)", "\n".join(files.values())):
        assert not re.search(r"[A-Za-z0-9_-]{16}", token), f"{token} looks like a real token"


def test_one_kind_of_file_may_be_asked_for_and_an_unknown_one_is_a_422(admin: Asker, machine: dict[str, Any]) -> None:
    assert [item["kind"] for item in admin.get("/machines/node1/rendered?kind=grub").json["items"]] == ["grub"]
    reply = admin.get("/machines/node1/rendered?kind=kickstart")
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "preseed" in reply.text


def test_a_power_order_is_accepted_recorded_and_never_repeated_meanwhile(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.post("/machines/node1/power", json={"action": "cycle"})
    assert reply.status_code == HTTPStatus.ACCEPTED
    assert (reply.json["goal"], reply.json["outcome"]) == ("cycle", None)
    assert admin.post("/machines/node1/power", json={"action": "off"}).status_code == HTTPStatus.CONFLICT
    shown = admin.get("/machines/node1/power").json
    assert (shown["power"], shown["seen_at"], shown["action"]["goal"]) == ("unknown", None, "cycle")


@pytest.mark.parametrize("action", ["reset", "netboot", "", None, 1])
def test_a_power_order_that_is_not_one_of_ours_is_a_422(admin: Asker, machine: dict[str, Any], action: object) -> None:
    reply = admin.post("/machines/node1/power", json={"action": action})
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_machine_that_is_being_deployed_takes_no_power_order(admin: Asker, machine: dict[str, Any]) -> None:
    admin.post("/machines/node1/deploy")
    reply = admin.post("/machines/node1/power", json={"action": "off"})
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "deploying" in reply.json["detail"]


def test_a_machine_without_a_bmc_cannot_be_switched_from_here(admin: Asker) -> None:
    admin.post("/machines", json={"name": "node2", "mac": "52:54:00:00:00:02"})
    reply = admin.post("/machines/node2/power", json={"action": "on"})
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "BMC" in reply.json["detail"]
