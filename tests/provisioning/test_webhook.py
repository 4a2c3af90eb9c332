"""What Ubuntu's installer posts of itself: signs of life, stages in words, and nothing that moves an attempt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.errors import Invalid
from pxeapp.machines.models import Event
from pxeapp.provisioning import webhook
from pxeapp.provisioning.steps import Step
from tests.provisioning.rack import Rack
from tests.provisioning.simulated import SimulatedMachine


def event(name: str, kind: str = "start", description: str = "", **more: Any) -> dict[str, Any]:
    """As curtin's events.py makes it."""
    return {
        "name": name, "description": description, "event_type": kind, "origin": "curtin", "timestamp": 1764072000.1,
        "level": "INFO", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (event("subiquity/Install/install/curtin_install", description="installing system"),
         "curtin install: installing system"),
        (event("subiquity/Install/install/postinstall", description="final system configuration"),
         "postinstall: final system configuration"),
        (event("subiquity/Install/install/postinstall/install_openssh-server", description="installing openssh-server"),
         "install openssh-server: installing openssh-server"),
        (event("cmd-install/stage-partitioning", description="configuring storage"),
         "stage-partitioning: configuring storage"),
        (event("cmd-install/stage-partitioning/builtin/cmd-block-meta", description="x"), ""),
        (event("subiquity/Install/install/curtin_install", "finish", "installing system", result="SUCCESS"), ""),
        (event("subiquity/Install/install/curtin_install", "finish", "installing system", result="FAIL"),
         "curtin install failed: installing system"),
        (event("subiquity/Early/run", description=""), ""),
        (event("subiquity/Early/run/command_0", description="wget http://10.77.0.1:8081/a/SECRET/script"), ""),
        (event("subiquity/Early/run/command_0", "finish", "wget http://h/a/SECRET/script", result="FAIL"), ""),
        (event("subiquity/Meta/status_GET"), ""),
        (event("subiquity/Network/apply_autoinstall_config"), ""),
    ],
)  # fmt: skip
def test_stages_are_said_in_words_and_the_rest_is_a_sign_of_life(body: dict[str, Any], words: str) -> None:
    assert webhook.is_one(body)
    assert webhook.said(body) == words


@pytest.mark.parametrize(
    "body", [{"event_type": "start"}, event(""), {**event("a"), "name": 7}, event("a", description=[])]
)
def test_what_is_no_such_event_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="has no name"):
        webhook.said(body)


def test_our_own_events_are_not_taken_for_it() -> None:
    assert not webhook.is_one({"event": "progress", "message": "x", "event_type": "start"})
    assert not webhook.is_one({"name": "x"})


def _post(machine: SimulatedMachine, body: object) -> int:
    with machine.client.post(f"{machine.callback_url}/events", data=json.dumps(body)) as reply:
        return reply.status_code


def test_the_installers_own_reports_show_in_the_timeline_and_end_nothing(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    machine.fetch_answer()
    stage = event("cmd-install/stage-extract", description="writing install sources to disk")
    assert _post(machine, stage) == 200
    assert rack.step(number) == Step.INSTALLING, "whoever reports a stage has started"
    for body in (
        event("subiquity/Meta/status_GET"),
        event("cmd-install/stage-extract", "finish", "writing install sources to disk", result="FAIL"),
        {**event("x" * 500, description="\x1b[31m" + "y" * 500), "files": []},
    ):
        assert _post(machine, body) == 200
    assert _post(machine, {"event_type": "start"}) == 422
    deployment = rack.deployment(number)
    assert (deployment.step, deployment.outcome) == (Step.INSTALLING, None)
    assert deployment.progress == "stage-extract failed: writing install sources to disk"
    with rack.provisioner.database.read() as session:
        said = session.scalars(select(Event.message).where(Event.kind == "progress").order_by(Event.id)).all()
    assert said == [
        "stage-extract: writing install sources to disk",
        "stage-extract failed: writing install sources to disk",
    ]
    assert machine.report("installed") == 200
    assert _post(machine, stage) == 200
    assert rack.step(number) == Step.INSTALLED
