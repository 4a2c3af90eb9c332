"""`/templates` and `/reports`: with ETags and versions; numbers as JSON and CSV."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api, Asker

PATH = "/templates/kickstarts/monitor.ks"


def test_a_template_is_put_read_changed_with_its_etag_and_deleted(admin: Asker) -> None:
    made = admin.put(PATH, json={"text": "one", "comment": "first"})
    assert made.status_code == 200, made.text
    assert {**made.json, "ours": None} == made.json
    tag = made.headers["ETag"]
    assert admin.put(PATH, json={"text": "two"}, headers={"If-Match": tag}).status_code == 200
    assert admin.put(PATH, json={"text": "three"}, headers={"If-Match": tag}).status_code == 412
    assert admin.get(PATH).json["text"] == "two"
    versions = admin.get(f"{PATH}/versions").json["items"]
    assert [(each["version"], each["text"], each["author"], each["comment"]) for each in versions] == [
        (2, "two", "token:the-admin", ""),
        (1, "one", "token:the-admin", "first"),
    ]
    assert admin.post(f"{PATH}/rollback", json={"version": 1}).json["text"] == "one"
    assert admin.post(f"{PATH}/rollback", json={"version": 9}).status_code == 404
    assert admin.delete(PATH).status_code == 204
    assert admin.get(PATH).status_code == 404
    assert admin.delete(PATH).status_code == 404


def test_if_match_on_a_template_that_is_not_there_creates_none(admin: Asker) -> None:
    for tag in ('"1"', "*"):
        refused = admin.put(PATH, json={"text": "one"}, headers={"If-Match": tag})
        assert refused.status_code == 412
        assert admin.get(PATH).status_code == 404
    assert admin.delete(PATH, headers={"If-Match": '"1"'}).status_code == 404


def test_ours_are_listed_and_read_but_never_deleted(admin: Asker) -> None:
    items = {each["path"]: each["of"] for each in admin.get("/templates").json["items"]}
    assert items["preseeds/base.cfg"] == "ours"
    assert items["roles/compute/role.yaml"] == "ours"
    shown = admin.get("/templates/preseeds/base.cfg").json
    assert shown["text"] == shown["ours"]
    assert admin.delete("/templates/preseeds/base.cfg").status_code == 404


@pytest.mark.parametrize(
    "path", ["/templates/etc/passwd", "/templates/kickstarts", "/templates/kickstarts/..%2f..%2fx"]
)
def test_nothing_is_written_elsewhere(admin: Asker, path: str) -> None:
    assert admin.put(path, json={"text": "x"}).status_code in (404, 422)


@pytest.mark.parametrize("name", ["durations", "success", "failures", "repairs", "inventory"])
def test_every_report_is_json_and_csv(api: Api, name: str) -> None:
    viewer = api.of("viewer")
    reply = viewer.get(f"/reports/{name}")
    assert reply.status_code == 200
    assert reply.json["next"] is None
    assert isinstance(reply.json["items"], list)
    table = viewer.get(f"/reports/{name}?format=csv")
    assert (table.status_code, table.mimetype) == (200, "text/csv")
    assert "," in table.text.splitlines()[0]


@pytest.mark.parametrize("query", ["days=0", "since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z", "since=yesterday",
                                   "format=xml", "role=%00", "until=0001-01-01T00:00:00Z"])  # fmt: skip
def test_a_period_that_is_none_is_refused(admin: Asker, query: str) -> None:
    assert admin.get(f"/reports/failures?{query}").status_code == 422
