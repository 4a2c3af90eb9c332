from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.db import now
from pxeapp.software.cache import statistics
from pxeapp.software.cache.access_log import summed
from tests.api.conftest import Api

SAID = {"name": "rocky", "url": "https://dl.example.org/pub/rocky", "kind": "yum"}


@pytest.fixture
def rocky(api: Api) -> dict[str, Any]:
    made = api.of("admin").post("/software/upstreams", json=SAID)
    assert made.status_code == HTTPStatus.CREATED, made.text
    return dict(made.json)


def fields(answer: Any) -> list[str]:
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text
    return [each["field"] for each in answer.json["errors"]]


def test_an_upstream_is_added_changed_and_removed_and_the_audit_knows_it(api: Api, rocky: dict[str, Any]) -> None:
    admin = api.of("admin")
    assert (rocky["origin"], rocky["freshness_s"], rocky["problem"], rocky["sets"]) == ("operator", 300, "", [])
    shown = admin.get("/software/upstreams/rocky")
    changed = admin.patch(
        "/software/upstreams/rocky", json={"offline": True}, headers={"If-Match": shown.headers["ETag"]}
    )
    assert (changed.json["offline"], changed.json["version"]) == (True, 2)
    stale = admin.patch("/software/upstreams/rocky", json={"offline": False}, headers={"If-Match": '"1"'})
    assert stale.status_code == HTTPStatus.PRECONDITION_FAILED
    assert "rocky" in [each["name"] for each in admin.get("/software/upstreams").json["items"]]
    assert admin.delete("/software/upstreams/rocky").status_code == HTTPStatus.NO_CONTENT
    assert admin.get("/software/upstreams/rocky").status_code == HTTPStatus.NOT_FOUND
    actions = [row["action"] for row in admin.get("/audit?limit=20").json["items"]]
    assert {"upstream.create", "upstream.change", "upstream.delete"} <= set(actions)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"url": "ftp://x/y"}, "url"),
        ({"url": "http+unix:///run/docker.sock:/x"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://127.0.0.1/x"}, "url"),
        ({"url": "http://u:p@x/y"}, "url"),
        ({"url": "http://x/y;z"}, "url"),
        ({"url": "http://x:99999/y"}, "url"),
        ({"url": "http://x/../y"}, "url"),
        ({"aliases": ["x.example.org/a b"]}, "aliases[0]"),
        ({"aliases": ["x.example.org/$host"]}, "aliases[0]"),
        ({"keyring": "/etc/shadow"}, "keyring"),
        ({"keyring": "/usr/share/keyrings/../../../etc/passwd"}, "keyring"),
    ],
)
def test_what_could_lead_elsewhere_is_refused_by_its_field(
    api: Api, rocky: dict[str, Any], said: dict[str, Any], field: str
) -> None:
    admin = api.of("admin")
    assert fields(admin.patch("/software/upstreams/rocky", json=said)) == [field]
    assert fields(admin.post("/software/upstreams", json={**SAID, "name": "other", **said})) == [field]
    assert admin.get("/software/upstreams/rocky").json == rocky


def test_an_alias_belongs_to_one_upstream(api: Api, rocky: dict[str, Any]) -> None:
    admin = api.of("admin")
    other = {"name": "other", "url": "http://o.example.org/x", "aliases": ["DL.example.org/pub/rocky/"]}
    assert fields(admin.post("/software/upstreams", json=other)) == ["aliases[0]"]


def test_only_administrators_change_upstreams_and_everybody_sees_them(api: Api, rocky: dict[str, Any]) -> None:
    viewer, operator = api.of("viewer"), api.of("operator")
    assert viewer.get("/software/upstreams/rocky").status_code == HTTPStatus.OK
    assert operator.patch("/software/upstreams/rocky", json={"offline": True}).status_code == HTTPStatus.FORBIDDEN
    assert operator.post("/software/upstreams", json={**SAID, "name": "x"}).status_code == HTTPStatus.FORBIDDEN
    assert operator.delete("/software/upstreams/rocky").status_code == HTTPStatus.FORBIDDEN
    assert viewer.post("/software/upstreams/rocky/seed", json={}).status_code == HTTPStatus.FORBIDDEN


def test_a_seed_is_a_task_and_needs_an_upstream_that_is_asked(api: Api, rocky: dict[str, Any]) -> None:
    operator, admin = api.of("operator"), api.of("admin")
    said = {"sources": [{"upstream": "rocky", "path": "9/BaseOS/x86_64/os"}], "family": "el", "packages": ["chrony"]}
    ordered = operator.post("/software/upstreams/rocky/seed", json=said)
    assert (ordered.status_code, ordered.json["kind"]) == (HTTPStatus.ACCEPTED, "cache.seed")
    assert operator.post("/software/upstreams/rocky/seed", json=said).status_code == HTTPStatus.CONFLICT
    admin.post(f"/software/tasks/{ordered.json['id']}/cancel")
    elsewhere = {**said, "sources": [{"upstream": "http://elsewhere.example.org/x"}]}
    assert operator.post("/software/upstreams/rocky/seed", json=elsewhere).status_code == HTTPStatus.NOT_FOUND
    admin.patch("/software/upstreams/rocky", json={"offline": True})
    assert "offline" in operator.post("/software/upstreams/rocky/seed", json=said).json["detail"]


def test_statistics_are_shown_by_day_with_what_was_missing(api: Api, rocky: dict[str, Any]) -> None:
    said = {"at": f"{now():%Y-%m-%d}", "bytes": "10", "mirror": "rocky", "file": "a.rpm", "index": ""}
    asked = (("200", "HIT", ""), ("200", "MISS", "12"), ("404", "MISS", "5"))
    lines = [
        json.dumps({**said, "status": status, "cache": cache, "received": received}).encode()
        for status, cache, received in asked
    ]
    with api.write() as session:
        statistics.add(session, summed(lines), {"rocky": 100}, ["rocky"], now())
    found = api.of("viewer").get("/software/upstreams/rocky/statistics?days=1").json
    counted = {key: found[key] for key in ("requests", "hits", "misses", "absent", "bytes_from_cache")}
    assert counted == {"requests": 3, "hits": 1, "misses": 1, "absent": 1, "bytes_from_cache": 10}
    assert found["bytes_from_upstream"] == 112
    assert [(each["path"], each["why"], each["count"]) for each in found["missing"]] == [("a.rpm", "absent", 1)]
    page = api.of("admin").ask("GET", "/metrics").text
    assert 'pxeapp_cache_requests_total{upstream="rocky",result="hit"} 1' in page
    assert 'pxeapp_cache_bytes_total{upstream="rocky",from="upstream"} 112' in page
    assert 'pxeapp_cache_problem{upstream="rocky"} 0' in page
