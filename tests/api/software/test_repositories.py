"""What is particular to the API of repositories; that each operation answers as it says is the tour's to see."""

from __future__ import annotations

from http import HTTPStatus

from pxeapp.db import now
from pxeapp.software.content.store import Store
from pxeapp.software.repositories import publishing
from pxeapp.software.tasks import service as tasks
from tests.api.conftest import Api

BASE = "/api/v1/software/repositories"


def idle(api: Api) -> None:
    """Nothing is ordered any more."""
    with api.write() as session:
        for row in tasks.listing(session, limit=10, running=True):
            tasks.cancel(session, row.id, actor="test", now=now())


def created(api: Api, name: str = "tools") -> None:
    made = api.of("admin").ask("POST", BASE, json={"name": name, "kind": "deb"})
    assert made.status_code == HTTPStatus.CREATED, made.text
    idle(api)


def test_an_upload_that_never_came_is_told_before_anything_is_ordered(api: Api) -> None:
    created(api)
    lost = {"add": [{"upload": "0" * 64, "name": "lost.deb"}]}
    assert api.of("admin").ask("POST", f"{BASE}/tools/packages", json=lost).status_code == HTTPStatus.NOT_FOUND
    here = Store(api.context.settings.data_dir / "software").add_bytes(b"x").sha256
    good = {"add": [{"upload": here, "name": "here.deb", "component": "none"}]}
    refused = api.of("admin").ask("POST", f"{BASE}/tools/packages", json=good)
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert refused.json["errors"][0]["field"] == "add.0.component"
    nothing = api.of("admin").ask("POST", f"{BASE}/tools/packages", json={})
    assert nothing.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_of_two_who_change_it_the_second_is_told(api: Api) -> None:
    created(api)
    etag = api.of("admin").ask("GET", f"{BASE}/tools").headers["ETag"]
    changed = api.of("admin").ask("PATCH", f"{BASE}/tools", json={"suite": "noble"}, headers={"If-Match": etag})
    assert (changed.status_code, changed.json["suite"]) == (HTTPStatus.OK, "noble")
    idle(api)
    for method in ("PATCH", "DELETE"):
        late = api.of("admin").ask(method, f"{BASE}/tools", json={"suite": "jammy"}, headers={"If-Match": etag})
        assert late.status_code == HTTPStatus.PRECONDITION_FAILED


def test_one_that_a_release_reads_is_not_deleted_wherever_the_release_names_it(api: Api) -> None:
    created(api)
    admin = api.of("admin")
    release = f"/api/v1/releases/{admin.ask('GET', '/api/v1/releases').json['items'][0]['name']}"
    for said in (
        {"install_url": "{node_url}/repo/tools"},
        {"repositories": [{"name": "tools", "url": "{node_url}/repo/tools/", "suite": "stable", "components": "main"}]},
        {"settings": {"archive": "{node_url}/repo/tools"}},
    ):
        before = admin.ask("GET", release).json
        assert admin.ask("PATCH", release, json=said).status_code == HTTPStatus.OK
        refused = admin.ask("DELETE", f"{BASE}/tools")
        assert refused.status_code == HTTPStatus.CONFLICT, said
        assert "is read by release" in refused.json["detail"]
        assert admin.ask("PATCH", release, json={key: before[key] for key in said}).status_code == HTTPStatus.OK
    other = {"repositories": [{"name": "t", "url": "{node_url}/repo/tools2", "suite": "stable", "components": "main"}]}
    assert admin.ask("PATCH", release, json=other).status_code == HTTPStatus.OK
    assert admin.ask("DELETE", f"{BASE}/tools").status_code == HTTPStatus.NO_CONTENT


def test_a_mirror_is_listed_and_not_changed_here(api: Api) -> None:
    created(api)
    with api.write() as session:
        publishing.get(session, "tools").origin = "mirror"
    admin = api.of("admin")
    assert [each["origin"] for each in admin.ask("GET", f"{BASE}?origin=mirror").json["items"]] == ["mirror"]
    assert admin.ask("GET", f"{BASE}?origin=local").json["items"] == []
    assert admin.ask("PATCH", f"{BASE}/tools", json={"suite": "x"}).status_code == HTTPStatus.CONFLICT
    assert admin.ask("DELETE", f"{BASE}/tools").status_code == HTTPStatus.CONFLICT
    assert admin.ask("POST", f"{BASE}/tools/packages", json={"remove": ["x"]}).status_code == HTTPStatus.CONFLICT


def test_metrics_count_repositories_and_those_that_fail(api: Api) -> None:
    created(api)
    with api.write() as session:
        row = publishing.get(session, "tools")
        row.package_count, row.bytes, row.problem = 3, 4096, "A file could not be read."
    told = api.of("admin").ask("GET", "/metrics").text
    for line in (
        'pxeapp_repositories{origin="local"} 1', 'pxeapp_repositories{origin="mirror"} 0',
        'pxeapp_repository_packages{origin="local"} 3', 'pxeapp_repository_bytes{origin="local"} 4096',
        'pxeapp_repositories_failing{origin="local"} 1',
    ):  # fmt: skip
        assert line in told
