"""Snapshots, channels and bundles over the API: orders, refusals, who may do what, and what a deployment was given."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from pxeapp.db import now
from pxeapp.software.bundles import service as bundles
from pxeapp.software.content.store import Store
from pxeapp.software.repositories import signing
from pxeapp.software.snapshots import service
from pxeapp.vault import open_vault
from tests.api.conftest import Api
from tests.software.bundles.conftest import needs_gpg
from tests.software.snapshots.conftest import Site


@pytest.fixture
def site(api: Api) -> Site:
    own = api.context
    made = Site(own.settings, own.database, Store(own.settings.data_dir / "software"))
    made.publish("nova", {"nova_1": "one", "nova-api_1": "api"})
    return made


def test_a_snapshot_is_taken_shown_compared_and_says_who_holds_it(api: Api, site: Site) -> None:
    admin = api.of("admin")
    reply = admin.post("/software/snapshots", json={"name": "a", "description": "x"})
    assert reply.status_code == HTTPStatus.CREATED
    assert reply.json["published_at"] is None
    assert admin.post("/software/snapshots", json={"name": "a"}).json["digest"] == reply.json["digest"]
    site.work()
    site.publish("nova", {"nova_2": "two", "nova-api_1": "altered"})
    found = admin.get("/software/snapshots/a/difference").json
    assert (found["old"], found["new"]) == ("a", "now")
    (repository,) = found["items"]
    assert repository["counts"] == {"altered": 1, "downgraded": 0, "removed": 0, "upgraded": 1, "added": 0}
    role = {"vars": {"snapshot": "a"}}
    assert admin.patch("/roles/compute", json=role).status_code == HTTPStatus.OK
    shown = admin.get("/software/snapshots/a").json
    assert shown["held_by"] == ["role compute"]
    assert shown["published_at"] is not None
    refused = admin.delete("/software/snapshots/a")
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "held by role compute" in refused.json["detail"]
    unknown = admin.patch("/roles/compute", json={"vars": {"snapshot": "none"}})
    assert unknown.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert unknown.json["errors"][0]["field"] == "vars.snapshot"


def test_only_an_admin_leaves_the_order_of_channels_aside(api: Api, site: Site) -> None:
    with site.database.write() as session:
        service.take(session, "a", actor="user:ops", now=now())
    where = "/software/snapshots/a/promote"
    forced = {"to": "production", "force": True, "reason": "CVE"}
    assert api.of("viewer").post(where, json={}).status_code == HTTPStatus.FORBIDDEN
    assert api.of("operator").post(where, json=forced).status_code == HTTPStatus.FORBIDDEN
    assert api.of("operator").post(where, json={"to": "staging"}).status_code == HTTPStatus.CONFLICT
    assert api.of("operator").post(where, json={}).json["name"] == "dev"
    assert api.of("admin").post(where, json=forced).json["snapshot"] == "a"
    history = api.of("viewer").get("/software/channels/production/history").json["items"]
    assert [(each["forced"], each["reason"]) for each in history] == [(True, "CVE")]
    nothing = api.of("operator").post("/software/channels/dev/rollback", json={})
    assert nothing.status_code == HTTPStatus.CONFLICT


@needs_gpg
def test_a_bundle_is_made_fetched_in_pieces_verified_and_imported(api: Api, site: Site) -> None:
    own = api.context
    signing.add(own.database, open_vault(own.settings.data_dir), actor="test", now=now(), algorithm="ed25519")
    with site.database.write() as session:
        service.take(session, "a", actor="user:ops", now=now())
    admin = api.of("admin")
    order = admin.post("/software/bundles", json={"name": "site", "snapshots": ["a"]})
    assert order.status_code == HTTPStatus.ACCEPTED
    site.work()
    (part,) = admin.get("/software/bundles/site").json["parts"]
    where = f"/software/bundles/site/parts/{part['name']}"
    whole = admin.get(where).data
    rest = admin.get(where, headers={"Range": "bytes=1000-"})
    assert rest.status_code == HTTPStatus.PARTIAL_CONTENT
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
    assert (len(whole), rest.data) == (part["bytes"], whole[1000:])
    assert api.of("operator").get(where).status_code == HTTPStatus.FORBIDDEN
    assert admin.get(where.replace("001-of", "002-of")).status_code == HTTPStatus.NOT_FOUND
    sha256 = site.store.add_bytes(whole).sha256
    for path, kind in (("verify", bundles.VERIFY), ("import", bundles.IMPORT)):
        ordered = admin.post(f"/software/bundles/{path}", json={"uploads": [sha256]})
        assert (ordered.status_code, ordered.json["kind"]) == (HTTPStatus.ACCEPTED, kind)
        (task, *_) = site.work()
        assert task.problem == ""
    missing = admin.post("/software/bundles/import", json={"uploads": ["0" * 64]})
    assert missing.status_code == HTTPStatus.NOT_FOUND
