"""Rollouts over the API: planned in YAML and JSON, refused at their fields, steered, and seen by whom they may."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.accounts import service as accounts
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.api.rollouts import EXAMPLE, STEERING
from pxeapp.db import now
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import breaker
from pxeapp.provisioning.models import Breaker
from pxeapp.rollouts import text
from tests.api.conftest import Api, Asker

YAML = {"Content-Type": "application/yaml"}
PLAN = """\
name: reboot-web
machines: {role: web}
action: reboot
order:
  canary: 1
  waves: {by: count, size: 2}
  max_unavailable: 2
  pause_after: [canary]
"""
SPEC = {"name": "json", "machines": {"names": ["w3"]}, "action": {"reboot": {}}, "order": {"canary": 0}}


@pytest.fixture
def rack(api: Api) -> Api:
    """Five machines that serve as web, two of them of the project shop; and one that does not serve."""
    with api.write() as session:
        for number in range(1, 6):
            session.add(
                Machine(
                    name=f"w{number}", mac=f"52:54:00:00:01:0{number}", state=State.ACTIVE, power="on", role="web",
                    project="shop" if number > 3 else None, location={"rack": f"r{number % 2}"}, created_at=now(),
                    updated_at=now(),
                )
            )  # fmt: skip
        session.add(Machine(name="off1", mac="52:54:00:00:01:09", state=State.AVAILABLE, power="off", role="spare",
                            created_at=now(), updated_at=now()))  # fmt: skip
    return api


def made(asker: Asker, plan: str = PLAN) -> dict[str, Any]:
    reply = asker.post("/rollouts", data=plan, headers=YAML)
    assert reply.status_code == HTTPStatus.CREATED, reply.text
    return dict(reply.json)


def steer(asker: Asker, number: int, verb: str, body: Any = None, **headers: str) -> Any:
    return asker.post(f"/rollouts/{number}/{verb}", json=body or {}, headers=headers)


def test_a_plan_in_yaml_says_its_waves_its_limits_and_how_long_and_saves_nothing(rack: Api) -> None:
    asker = rack.of(OPERATOR)
    for path in ("/rollouts/preview", "/rollouts?dry_run=1"):
        reply = asker.post(path, data=PLAN, headers=YAML)
        assert reply.status_code == HTTPStatus.OK, reply.text
        plan = reply.json["plan"]
        assert [wave["names"] for wave in plan["waves"]] == [["w1"], ["w2", "w3"], ["w4", "w5"]]
        assert [wave["pause"] for wave in plan["waves"]] == [True, False, False]
        assert (reply.json["total"], plan["max_unavailable"]) == (5, 2)
        assert reply.json["forecast"]["guessed"]
    assert asker.get("/rollouts").json["items"] == []


def test_what_is_wrong_is_said_at_its_field_and_line_and_nothing_is_saved(rack: Api) -> None:
    asker = rack.of(OPERATOR)
    wrong = PLAN.replace("canary: 1", "canary: [w1, w9]").replace("size: 2", "size: none")
    for path in ("/rollouts", "/rollouts/preview"):
        reply = asker.post(path, data=wrong, headers=YAML)
        assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert [(each["field"], each["line"]) for each in reply.json["errors"]] == [("order.waves.size", 6)]
    unknown = asker.post("/rollouts", data=PLAN.replace("canary: 1", "canary: [w1, w9]"), headers=YAML)
    assert [(each["field"], each["line"]) for each in unknown.json["errors"]] == [("order.canary", 5)]
    nobody = asker.post("/rollouts", data=PLAN.replace("role: web", "role: nobody"), headers=YAML)
    assert "machines" in {each["field"] for each in nobody.json["errors"]}
    spare = asker.post("/rollouts", data=PLAN.replace("role: web", "role: spare"), headers=YAML)
    assert "off1 (available)" in spare.text
    assert asker.get("/rollouts").json["items"] == []
    assert asker.post("/rollouts", data="name: [", headers=YAML).json["errors"][0]["field"] == "text"
    csv = asker.post("/rollouts", data=PLAN, headers={"Content-Type": "text/csv"})
    assert csv.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def test_json_is_taken_as_well_and_the_example_of_the_document_is_understood(rack: Api) -> None:
    reply = rack.of(OPERATOR).post("/rollouts", json=SPEC)
    assert reply.status_code == HTTPStatus.CREATED
    assert reply.headers["Location"] == f"/api/v1/rollouts/{reply.json['id']}"
    assert reply.json["spec"]["action"] == {"reboot": {}}
    text.understood(EXAMPLE)
    broken = rack.of(OPERATOR).post("/rollouts", json={**SPEC, "action": {"fly": {}}})
    assert [each["field"] for each in broken.json["errors"]] == ["action.fly"]


def test_one_is_looked_at_whole_by_machine_by_event_and_by_forecast(rack: Api) -> None:
    asker = rack.of("viewer")
    number = made(rack.of(OPERATOR))["id"]
    found = asker.get(f"/rollouts/{number}").json
    assert (found["state"], found["counts"]["waiting"], found["total"]) == ("planned", 5, 5)
    assert found["budget"][0] == {"name": "rollout", "down": 0, "allowed": 2, "says": "", "who": [], "more": 0}
    members = asker.get(f"/rollouts/{number}/members?wave=1&limit=1&fields=machine,state").json
    assert members["items"] == [{"machine": "w2", "state": "waiting"}]
    assert asker.get(f"/rollouts/{number}/members?wave=1&after={members['next']}").json["items"][0]["machine"] == "w3"
    assert asker.get(f"/rollouts/{number}/members/w2").json["steps"] == []
    assert asker.get(f"/rollouts/{number}/members/52-54-00-00-01-02").json["machine"] == "w2"
    assert [each["kind"] for each in asker.get(f"/rollouts/{number}/events").json["items"]] == ["planned"]
    assert [each["number"] for each in asker.get(f"/rollouts/{number}/forecast").json["waves"]] == [0, 1, 2]
    assert asker.get("/rollouts?state=planned&fields=id,name").json["items"] == [{"id": number, "name": "reboot-web"}]
    assert asker.get("/rollouts?state=running").json["items"] == []
    for path in ("/rollouts/999", f"/rollouts/{number}/members/off1", f"/rollouts/{number}/members/nothing"):
        assert asker.get(path).status_code == HTTPStatus.NOT_FOUND


def test_it_is_steered_and_each_step_leaves_its_line(rack: Api) -> None:
    asker = rack.of(OPERATOR)
    number = made(asker)["id"]
    assert steer(asker, number, "resume").status_code == HTTPStatus.CONFLICT
    assert steer(asker, number, "start").json["state"] == "running"
    assert steer(asker, number, "pause", {"reason": "a look"}).json["reason"] == "Paused by token:the-operator: a look"
    assert steer(asker, number, "resume").json["state"] == "running"
    assert steer(asker, number, "continue", {"wave": 0}).json["passed"] == [{"wave": 0}]
    assert steer(asker, number, "continue", {"wave": 2}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert steer(asker, number, "members/w5/skip").json["counts"]["skipped"] == 1
    assert steer(asker, number, "members/w5/retry").status_code == HTTPStatus.CONFLICT
    assert steer(asker, number, "waves/1/skip").json["counts"]["skipped"] == 3
    assert steer(asker, number, "waves/1/retry").status_code == HTTPStatus.CONFLICT
    assert steer(asker, number, "abort", {"reason": "enough"}).json["state"] in ("aborting", "aborted")
    kinds = [each["kind"] for each in asker.get(f"/rollouts/{number}/events").json["items"]]
    assert kinds[:5] == ["planned", "start", "pause", "resume", "continue"]
    told = rack.of("admin").get("/audit?limit=100").json["items"]
    assert {"rollout.create", "rollout.start", "rollout.pause", "rollout.machine.skip"} <= {
        each["action"] for each in told
    }


def test_what_another_changed_meanwhile_is_not_steered_and_a_key_steers_once(rack: Api) -> None:
    asker = rack.of(OPERATOR)
    reply = asker.post("/rollouts", data=PLAN, headers=YAML)
    number, tag = reply.json["id"], reply.headers["ETag"]
    same = asker.get(f"/rollouts/{number}", headers={"If-None-Match": tag})
    assert same.status_code == HTTPStatus.OK, "how far it is changes without its version"
    assert same.headers["ETag"] == tag
    once = {"Idempotency-Key": "a-key", "If-Match": tag}
    assert steer(asker, number, "start", **once).json["state"] == "running"
    again = steer(asker, number, "start", **once)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (HTTPStatus.OK, "true")
    stale = steer(asker, number, "pause", **{"If-Match": tag})
    assert stale.status_code == HTTPStatus.PRECONDITION_FAILED
    assert asker.get(f"/rollouts/{number}").json["state"] == "running"


def test_a_viewer_looks_and_does_nothing(rack: Api) -> None:
    number = made(rack.of(OPERATOR))["id"]
    viewer = rack.of("viewer")
    assert viewer.get(f"/rollouts/{number}").status_code == HTTPStatus.OK
    assert viewer.post("/rollouts/preview", data=PLAN, headers=YAML).status_code == HTTPStatus.FORBIDDEN
    for verb in ("start", "pause", "abort", "continue", "members/w1/skip", "waves/0/retry"):
        assert steer(viewer, number, verb).status_code == HTTPStatus.FORBIDDEN, verb


def test_whoever_is_limited_to_projects_sees_only_rollouts_that_are_wholly_theirs(rack: Api) -> None:
    with rack.write() as session:
        _, secret = accounts.create_token(session, name="t", role=OPERATOR, projects=["shop"], actor="test", now=now())
    shop = rack.with_token(secret)
    everybodys = made(rack.of(OPERATOR))["id"]
    assert shop.get("/rollouts").json["items"] == []
    for path in ("", "/members", "/members/w5", "/events", "/forecast"):
        assert shop.get(f"/rollouts/{everybodys}{path}").status_code == HTTPStatus.NOT_FOUND, path
    for verb in ("start", "abort", "members/w5/skip"):
        assert steer(shop, everybodys, verb).status_code == HTTPStatus.NOT_FOUND, verb
    mine = made(shop)
    assert [wave["total"] for wave in mine["plan"]["waves"]] == [1, 1], "of the role web, they see two"
    named = shop.post("/rollouts", json=SPEC)
    assert named.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert steer(shop, mine["id"], "start").status_code == HTTPStatus.OK


def test_metrics_count_rollouts_and_their_machines_by_state(rack: Api) -> None:
    made(rack.of(OPERATOR))
    page = rack.of("admin").ask("GET", "/metrics").text
    assert 'pxeapp_rollouts{state="planned"} 1' in page
    assert 'pxeapp_rollout_machines{state="waiting"} 5' in page
    assert 'pxeapp_rollouts{state="running"} 0' in page


def test_the_document_describes_them_whole(rack: Api) -> None:
    document = rack.of(None).ask("GET", "/api/v1/openapi.json").json
    named = {each["operationId"]: each for path in document["paths"].values() for each in path.values()}
    content = named["rollouts.create"]["requestBody"]["content"]
    assert content.keys() == {"application/json", "application/yaml"}
    assert "order" in document["components"]["schemas"]["Spec"]["properties"]
    assert {"200", "201", "422"} <= named["rollouts.create"]["responses"].keys()
    assert "304" not in named["rollouts.show"]["responses"]
    for endpoint in STEERING:
        parameters = {each["name"] for each in named[endpoint]["parameters"]}
        assert {"If-Match", "Idempotency-Key"} <= parameters, endpoint
        assert "ETag" in named[endpoint]["responses"]["200"]["headers"], endpoint


def test_what_a_patch_would_change_is_asked_of_each_machine_and_who_cannot_be_asked_is_named(rack: Api) -> None:
    asker = rack.of(OPERATOR)
    patch = PLAN.replace("action: reboot", "action: {patch: {packages: security}}")
    reply = asker.post("/rollouts/packages", data=patch, headers=YAML)
    assert reply.status_code == HTTPStatus.OK, reply.text
    assert reply.json["groups"] == []
    assert reply.json["not_asked"].keys() == {"w1", "w2", "w3", "w4", "w5"}
    assert all(reply.json["not_asked"].values())
    other = asker.post("/rollouts/packages", data=PLAN, headers=YAML)
    assert [(each["field"], each["line"]) for each in other.json["errors"]] == [("action", 3)]


def test_the_breaker_is_seen_by_all_and_reset_by_who_may(rack: Api) -> None:
    asker = rack.of(OPERATOR)
    assert asker.get("/breaker").json["open"] is False
    assert asker.post("/breaker/reset").status_code == HTTPStatus.CONFLICT
    with rack.write() as session:
        session.add(Breaker(id=breaker.ONLY, opened_at=now(), reason="reinstalling is stopped, since 3 failed"))
    assert rack.of("viewer").get("/breaker").json["reason"] == "reinstalling is stopped, since 3 failed"
    assert "pxeapp_breaker_open 1" in rack.of("admin").ask("GET", "/metrics").text
    assert "since 3 failed" in rack.of("viewer").ask("GET", "/rollouts").text
    assert "Reinstall again" not in rack.of("viewer").ask("GET", "/rollouts").text
    assert "Reinstall again" in asker.ask("GET", "/rollouts").text
    assert "since 3 failed" in asker.ask("GET", "/overview").text
    assert rack.of("viewer").post("/breaker/reset").status_code == HTTPStatus.FORBIDDEN
    assert asker.post("/breaker/reset").json["open"] is False


@pytest.mark.network
def test_a_cloud_that_does_not_answer_is_refused_at_its_line_before_anything_is_kept(rack: Api) -> None:
    login = {"username": "admin", "project": "admin", "secret": "s"}
    cloud = {"name": "prod", "auth_url": "http://127.0.0.1:9/v3", **login}
    assert rack.of("admin").post("/clouds", json=cloud).status_code == HTTPStatus.CREATED
    plan = f"{PLAN}drain:\n  openstack:\n    cloud: prod\n"
    for path in ("/rollouts/preview", "/rollouts"):
        reply = rack.of(OPERATOR).post(path, data=plan, headers=YAML)
        assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        (found,) = reply.json["errors"]
        assert (found["field"], found["line"]) == ("drain.openstack.cloud", plan.count("\n"))
        assert found["problem"].startswith("We are not let in: ")
    assert rack.of(OPERATOR).get("/rollouts").json["items"] == []
