from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.db import now
from pxeapp.software.cache import configured, packages, statistics
from pxeapp.software.cache.access_log import summed
from tests.api.conftest import Api

SAID = {"name": "rocky", "url": "https://dl.example.org/pub/rocky", "kind": "yum"}


@pytest.fixture
def rocky(api: Api) -> dict[str, Any]:
    made = api.of("admin").post("/software/upstreams", json=SAID)
    assert made.status_code == HTTPStatus.CREATED, made.text
    return dict(made.json)


def known_as(api: Api, name: str) -> configured.Configured:
    with api.read() as session:
        return configured.effective(session, api.context.settings)[name]


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


def test_a_new_address_is_taken_and_the_audit_has_both(api: Api, rocky: dict[str, Any]) -> None:
    admin = api.of("admin")
    mirror = {"name": "web", "sources": [{"upstream": "rocky", "path": "9/BaseOS/x86_64/os"}], "family": "el",
              "packages": ["chrony"]}  # fmt: skip
    assert admin.post("/software/mirrors", json=mirror).status_code == HTTPStatus.CREATED
    changed = admin.patch("/software/upstreams/rocky", json={"url": "https://near.example.org/rocky/"})
    assert (changed.json["url"], changed.json["mirrors"]) == ("https://near.example.org/rocky", ["web"])
    row = next(each for each in admin.get("/audit?limit=20").json["items"] if each["action"] == "upstream.change")
    assert (row["before"]["url"], row["after"]["url"]) == (SAID["url"], "https://near.example.org/rocky")


def test_an_address_is_not_changed_where_nothing_would_be_served_or_another_answers(
    api: Api, rocky: dict[str, Any]
) -> None:
    admin = api.of("admin")
    admin.post("/software/upstreams", json={"name": "other", "url": "http://o.example.org/x", "aliases": ["b.org/c"]})
    assert fields(admin.patch("/software/upstreams/rocky", json={"url": "http://B.org/c/"})) == ["url"]
    admin.patch("/software/upstreams/rocky", json={"offline": True})
    elsewhere = {"url": "https://near.example.org/rocky"}
    refused = admin.patch("/software/upstreams/rocky", json=elsewhere)
    assert fields(refused) == ["url"]
    assert "pxeapp cache online rocky" in refused.json["errors"][0]["fix"]
    assert admin.patch("/software/upstreams/rocky", json={"freshness_s": 60}).status_code == HTTPStatus.OK
    both = admin.patch("/software/upstreams/rocky", json={**elsewhere, "offline": False})
    assert (both.status_code, both.json["url"]) == (HTTPStatus.OK, elsewhere["url"])


def test_what_came_wrong_is_purged_and_the_second_time_there_is_nothing(api: Api, rocky: dict[str, Any]) -> None:
    own = api.context.settings
    package = packages.place(own.data_dir / "cache/packages", known_as(api, "rocky"), "9/x.rpm")
    package.parent.mkdir(parents=True)
    package.write_bytes(b"what came wrong")
    operator, where = api.of("operator"), "/software/upstreams/rocky/purge"
    assert api.of("viewer").post(where, json={"path": "9/x.rpm"}).status_code == HTTPStatus.FORBIDDEN
    found = {"name": "rocky", "path": "9/x.rpm", "sets": []}
    assert operator.post(where, json={"path": "/9/x.rpm"}).json == {**found, "files": 1, "bytes": 15}
    assert operator.post(where, json={"path": "9/x.rpm"}).json == {**found, "files": 0, "bytes": 0}
    assert fields(operator.post(where, json={"path": "../x"})) == ["path"]
    assert fields(operator.post(where, json={})) == ["path"]
    assert operator.post(where.replace("rocky", "none"), json={"path": "/"}).status_code == HTTPStatus.NOT_FOUND
    (row,) = [each for each in api.of("admin").get("/audit").json["items"] if each["action"] == "upstream.purge"]
    assert row["details"] == {"path": "9/x.rpm", "files": 1, "bytes": 15, "sets": []}
    api.of("admin").patch("/software/upstreams/rocky", json={"offline": True})
    assert operator.post(where, json={"path": "9/x.rpm"}).status_code == HTTPStatus.CONFLICT


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
