"""Idempotency keys, rate limits, conditions and field selection: what holds for every route alike."""

from __future__ import annotations

import threading
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from pxeapp.db import now
from pxeapp.traffic import once
from pxeapp.traffic.models import KeptAnswer
from pxeapp.traffic.once import InProgress, Once
from pxeapp.traffic.rates import Rates
from tests.api.conftest import MAC, Api, Asker


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def test_a_request_that_comes_twice_is_done_once_and_answered_alike(api: Api, admin: Asker, machine: Any) -> None:
    headers = key()
    first = admin.post("/machines/node1/deploy", json={}, headers=headers)
    second = admin.post("/machines/node1/deploy", json={}, headers=headers)
    assert first.status_code == second.status_code == HTTPStatus.ACCEPTED
    assert first.json == second.json
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(admin.get("/deployments").json["items"]) == 1


def test_a_token_is_shown_to_who_asks_again_but_is_not_kept_readable(api: Api, admin: Asker) -> None:
    headers = key()
    made = admin.post("/tokens", json={"name": "ci"}, headers=headers)
    assert admin.post("/tokens", json={"name": "ci"}, headers=headers).json == made.json
    with api.read() as session:
        body = session.scalar(select(KeptAnswer.body))
    assert made.json["token"].encode() not in (body or b"")


def test_a_key_belongs_to_one_request_and_to_one_account(api: Api, admin: Asker) -> None:
    headers = key()
    assert admin.post("/machines", json={"name": "one", "mac": MAC}, headers=headers).status_code == HTTPStatus.CREATED
    other = admin.post("/machines", json={"name": "two", "mac": MAC}, headers=headers)
    assert other.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert other.json["errors"][0]["field"] == "Idempotency-Key"
    operator = api.of("operator").post("/machines", json={"name": "one", "mac": MAC}, headers=headers)
    assert operator.status_code == HTTPStatus.CONFLICT  # done anew, and refused for the name


def test_a_refusal_is_not_kept_so_that_the_request_can_be_mended(api: Api, admin: Asker) -> None:
    headers = key()
    assert admin.post("/machines", json={"name": "ONE"}, headers=headers).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert admin.post("/machines", json={"name": "one", "mac": MAC}, headers=headers).status_code == HTTPStatus.CREATED


@pytest.mark.parametrize("bad", ["", "x" * 256, "schlüssel"])
def test_an_odd_key_is_refused(admin: Asker, bad: str) -> None:
    reply = admin.post("/machines", json={"name": "one", "mac": MAC}, headers={"Idempotency-Key": bad})
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert admin.get("/machines").json["items"] == []


def test_of_many_at_the_same_moment_one_works_and_the_others_are_told_so(api: Api) -> None:
    keeper = Once(api.context.database, api.context.vault)
    found: list[Any] = []

    def begin() -> None:
        try:
            found.append(keeper.begin("me", "the-key", b"request", now=now()))
        except InProgress as error:
            found.append(error)

    threads = [threading.Thread(target=begin) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(type(each).__name__ for each in found) == ["InProgress"] * 4 + ["str"]


def test_one_that_broke_off_is_not_done_again_blindly(api: Api, admin: Asker) -> None:
    headers = key()
    assert admin.post("/machines", json={"name": "one", "mac": MAC}, headers=headers).status_code == HTTPStatus.CREATED
    with api.write() as session:
        session.execute(update(KeptAnswer).values(status=None, at=now() - once.PATIENCE))
    reply = admin.post("/machines", json={"name": "one", "mac": MAC}, headers=headers)
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "new Idempotency-Key" in reply.json["hint"]


def test_answers_are_kept_for_a_day(api: Api, admin: Asker) -> None:
    admin.post("/machines", json={"name": "one", "mac": MAC}, headers=key())
    with api.write() as session:
        session.execute(update(KeptAnswer).values(at=now() - once.KEPT * 2))
    Once(api.context.database, api.context.vault).forget_old(now=now())
    with api.read() as session:
        assert session.scalar(select(func.count()).select_from(KeptAnswer)) == 0


def test_who_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    rates, other_process = Rates(tmp_path / "rates"), Rates(tmp_path / "rates")
    assert [rates.take("a", 60, now=100.0) for _ in range(30)] == [0] * 30
    assert [other_process.take("a", 60, now=100.0) for _ in range(30)] == [0] * 30
    assert 0 < rates.take("a", 60, now=100.0) <= 1
    assert rates.take("b", 60, now=100.0) == 0
    assert rates.take("a", 60, now=101.1) == 0
    assert rates.take("a", 60, now=101.1) > 0
    assert rates.take("a", 60, now=5.0) == 0  # the host was started anew
    for number in range(20_000):  # a flood of addresses makes nothing grow, and locks nobody out
        assert rates.take(f"address {number}", 60, now=200.0) == 0
    rates.close()
    other_process.close()


def test_too_many_requests_are_a_429_that_says_when(api: Api, admin: Asker) -> None:
    object.__setattr__(api.context.settings, "requests_per_minute", 1)
    assert admin.get("/machines").status_code == HTTPStatus.OK
    reply = admin.get("/machines")
    assert reply.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert reply.mimetype == "application/problem+json"
    assert int(reply.headers["Retry-After"]) >= 1
    assert api.of("viewer").get("/machines").status_code == HTTPStatus.OK


def test_guessing_tokens_is_slowed_down_by_address(api: Api) -> None:
    object.__setattr__(api.context.settings, "requests_per_minute", 1)
    guesser = api.with_token("pxe_" + "A" * 43)
    assert guesser.get("/machines").status_code == HTTPStatus.UNAUTHORIZED
    assert guesser.get("/machines").status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_fields_are_chosen_of_one_and_of_many(admin: Asker, machine: Any) -> None:
    assert admin.get("/machines?fields=name,state").json["items"] == [{"name": "node1", "state": "enrolled"}]
    whole, some = admin.get("/machines/node1"), admin.get("/machines/node1?fields=mac")
    assert some.json == {"mac": MAC}
    assert some.headers["ETag"] == whole.headers["ETag"]
    wrong = admin.get("/machines?fields=name,colour")
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "'colour'" in wrong.json["errors"][0]["problem"]
    assert "serial" in wrong.json["errors"][0]["fix"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/networks/lan", {"cidr": "10.3.0.0/24", "dns": ["10.3.0.1"]}),
        ("/roles/mine", {"description": "ours", "packages": {"debian": ["htop"]}}),
        ("/clusters/prod", {"description": "production"}),
        ("/machines/one", {"name": "one", "mac": MAC, "labels": {"rack": "r1"}}),
        ("/webhooks/chat", {"url": "https://hooks.example.org/", "secret": "a-secret-of-some-length"}),
        ("/clouds/prod", {"auth_url": "https://c.example/v3", "username": "a", "project": "a", "secret": "of ours"}),
    ],
)
def test_a_put_by_name_creates_leaves_alone_and_replaces(admin: Asker, path: str, body: dict[str, Any]) -> None:
    assert admin.put(path, json=body, headers={"If-Match": '"1"'}).status_code == HTTPStatus.PRECONDITION_FAILED
    made = admin.put(path, json=body)
    assert made.status_code == HTTPStatus.CREATED, made.text
    rows = len(admin.get("/audit?limit=1000").json["items"])
    again = admin.put(path, json=body)
    assert (again.status_code, again.headers["ETag"]) == (HTTPStatus.OK, made.headers["ETag"])
    assert len(admin.get("/audit?limit=1000").json["items"]) == rows  # nothing changed, so nothing is written down
    assert admin.put(path, json=body, headers={"If-None-Match": "*"}).status_code == HTTPStatus.PRECONDITION_FAILED
    shown = admin.get(path)
    assert shown.headers["ETag"] == made.headers["ETag"]
    stale = {"If-Match": '"no-version-of-it"'}
    assert admin.put(path, json=body, headers=stale).status_code == HTTPStatus.PRECONDITION_FAILED
    assert admin.delete(path, headers=stale).status_code in (
        HTTPStatus.PRECONDITION_FAILED, HTTPStatus.METHOD_NOT_ALLOWED,
    )  # fmt: skip


def test_a_site_can_insist_on_if_match(api: Api, admin: Asker, machine: Any) -> None:
    object.__setattr__(api.context.settings, "require_if_match", True)
    refused = admin.patch("/machines/node1", json={"serial": "X1"})
    assert refused.status_code == HTTPStatus.PRECONDITION_REQUIRED
    assert 'If-Match: "' in refused.json["hint"]
    tag = admin.get("/machines/node1").headers["ETag"]
    assert admin.patch("/machines/node1", json={"serial": "X1"}, headers={"If-Match": tag}).status_code == HTTPStatus.OK
    assert admin.delete("/machines/node1", headers={"If-Match": "*"}).status_code == HTTPStatus.NO_CONTENT


def test_if_match_holds_for_users_and_saved_filters(admin: Asker) -> None:
    made = admin.post("/users", json={"name": "eve", "password": "a-password-of-length"})
    assert made.headers["ETag"] == admin.get("/users/eve").headers["ETag"]
    admin.patch("/users/eve", json={"role": "operator"})
    assert (
        admin.delete("/users/eve", headers={"If-Match": made.headers["ETag"]}).status_code
        == HTTPStatus.PRECONDITION_FAILED
    )
    assert admin.get("/users/eve").json["role"] == "operator"
    tag = admin.get("/users/eve").headers["ETag"]
    assert admin.delete("/users/eve", headers={"If-Match": tag}).status_code == HTTPStatus.NO_CONTENT

    path, body = "/filters/broken", {"query": "state=failed", "shared": True}
    assert admin.put(path, json=body, headers={"If-Match": "*"}).status_code == HTTPStatus.PRECONDITION_FAILED
    assert admin.get("/filters").json["items"] == []
    first = admin.put(path, json=body, headers={"If-None-Match": "*"}).headers["ETag"]
    assert admin.put(path, json=body, headers={"If-None-Match": "*"}).status_code == HTTPStatus.PRECONDITION_FAILED
    second = admin.put(path, json={**body, "query": "role=compute"}, headers={"If-Match": first})
    assert second.status_code == HTTPStatus.OK
    assert admin.put(path, json=body, headers={"If-Match": first}).status_code == HTTPStatus.PRECONDITION_FAILED
    assert admin.delete(f"{path}?shared=1", headers={"If-Match": first}).status_code == HTTPStatus.PRECONDITION_FAILED
    assert [each["query"] for each in admin.get("/filters").json["items"]] == ["role=compute"]
    deleted = admin.delete(f"{path}?shared=1", headers={"If-Match": second.headers["ETag"]})
    assert deleted.status_code == HTTPStatus.NO_CONTENT


def test_a_site_that_insists_on_if_match_means_users_templates_and_filters_too(api: Api, admin: Asker) -> None:
    admin.post("/users", json={"name": "eve", "password": "a-password-of-length"})
    filters, template = "/filters/all?shared=1", "/templates/kickstarts/monitor.ks"
    object.__setattr__(api.context.settings, "require_if_match", True)
    assert admin.put("/filters/all", json={"query": "", "shared": True}).status_code == HTTPStatus.OK  # it is new
    assert admin.put(template, json={"text": "one"}).status_code == HTTPStatus.OK
    for path in ("/users/eve", filters, template):
        assert admin.delete(path).status_code == HTTPStatus.PRECONDITION_REQUIRED
        assert admin.delete(path, headers={"If-Match": "*"}).status_code == HTTPStatus.NO_CONTENT
