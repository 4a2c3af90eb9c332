"""The switch between working and only observing, and everywhere it is shown."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from tests.api.conftest import Api, Asker


def test_whoever_may_deploy_may_stop_everything_and_an_administrator_lets_it_go_on(
    api: Api, admin: Asker, machine: dict[str, Any]
) -> None:
    operator = api.of("operator")
    assert api.of("viewer").get("/appliance").json["observing"] is None
    held = operator.post("/appliance/observe", json={"reason": "Three BMCs went mad"})
    assert held.status_code == HTTPStatus.OK
    assert held.json["observing"]["reason"] == "Three BMCs went mad."
    for refused in (
        operator.post("/machines/node1/deploy", json={}),
        operator.post("/machines/node1/power", json={"action": "off"}),
    ):
        assert refused.status_code == HTTPStatus.CONFLICT
        assert refused.json["title"] == "Observing only"
        assert "Three BMCs went mad" in refused.json["detail"]
        assert "/api/v1/appliance/resume" in refused.json["hint"]
    assert operator.post("/appliance/resume").status_code == HTTPStatus.FORBIDDEN
    assert admin.post("/appliance/resume").json["observing"] is None
    assert operator.post("/machines/node1/deploy", json={}).status_code == HTTPStatus.ACCEPTED
    actions = [row["action"] for row in admin.get("/audit").json["items"]]
    assert {"appliance.observe", "appliance.resume"} <= set(actions)


def test_a_reason_is_needed(admin: Asker) -> None:
    assert admin.post("/appliance/observe", json={"reason": ""}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert admin.post("/appliance/observe", json={}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_it_is_ready_while_it_observes_and_says_so_everywhere(api: Api, admin: Asker) -> None:
    assert "observing" not in admin.ask("GET", "/readyz").json
    admin.post("/appliance/observe", json={"reason": "Restored"})
    ready = api.of(None).ask("GET", "/readyz")
    assert ready.status_code == HTTPStatus.OK
    assert "only observes" in ready.json["observing"]
    assert "pxeapp_observing 1" in admin.ask("GET", "/metrics").text
    page = admin.ask("GET", "/", headers={"Accept": "text/html"}).text
    assert "only observes" in page
    assert "pxeapp resume" in page
