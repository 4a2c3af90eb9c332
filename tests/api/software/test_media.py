"""Media over the API: ordered, shown with what vouches for them, and not deleted while a release installs from them."""

from __future__ import annotations

from pxeapp.db import now
from pxeapp.software import adding
from pxeapp.software.isos import service
from pxeapp.software.releases import Description
from tests.api.conftest import Api

ROW = {
    "title": "Rocky Linux 9.4 DVD", "layout": "enterprise", "family": "rocky", "version": "9.4", "kind": "dvd",
    "label": "Rocky-9-4-x86_64-dvd", "source": "dvd.iso", "iso_sha256": "0" * 64, "iso_bytes": 100, "manifest": "",
    "checks": [{"what": ".treeinfo", "verified": True, "says": "5 checksums in .treeinfo are right."}],
    "repositories": [{"name": "BaseOS", "path": "BaseOS"}],
}  # fmt: skip


def imported(api: Api, name: str) -> None:
    with api.write() as session:
        service.save(session, name, ROW, replace=False, actor="user:ops", now=now())


def test_an_import_is_ordered_by_administrators_and_answered_with_its_task(api: Api) -> None:
    incoming = api.context.settings.data_dir / "incoming"
    incoming.mkdir()
    (incoming / "dvd.iso").write_bytes(b"an image")
    reply = api.of("admin").post("/software/media", json={"path": "dvd.iso", "sha256": "A" * 64})
    assert reply.status_code == 202
    told = reply.get_json()
    assert (told["kind"], told["subject"], told["state"]) == ("media.import", "dvd.iso", "waiting")
    assert told["options"]["sha256"] == "a" * 64
    assert reply.headers["Location"] == f"/api/v1/software/tasks/{told['id']}"
    again = api.of("admin").post("/software/media", json={"path": "dvd.iso"})
    assert again.status_code == 409
    assert f"Task {told['id']} works on dvd.iso already" in again.get_json()["detail"]
    assert api.of("operator").post("/software/media", json={"path": "dvd.iso"}).status_code == 403


def test_every_wrong_field_of_an_order_is_named(api: Api) -> None:
    said = {"path": "../pxeapp.db", "name": "UPPER", "sha256": "x"}
    reply = api.of("admin").post("/software/media", json=said)
    assert reply.status_code == 422
    assert {each["field"] for each in reply.get_json()["errors"]} == {"path", "name", "sha256"}


def test_media_are_listed_and_shown_with_who_installs_from_them(api: Api) -> None:
    for name in ("rocky-9.4", "rocky-9.5"):
        imported(api, name)
    kernel = api.context.settings.data_dir / "kernel"
    kernel.write_bytes(b"kernel")
    description = Description("nine", "rocky", "9", install_url=service.url("rocky-9.4"))
    adding.register(
        api.context.database, api.context.settings, description, kernel=kernel, initrd=kernel, origin="test",
        actor="user:ops", now=now(),
    )  # fmt: skip
    first = api.of("viewer").get("/software/media?limit=1").get_json()
    assert [each["name"] for each in first["items"]] == ["rocky-9.4"]
    assert first["next"]
    shown = api.of("viewer").get("/software/media/rocky-9.4").get_json()
    assert (shown["releases"], shown["checks"]) == (["nine"], ROW["checks"])
    assert api.of("viewer").get("/software/media/rocky-9.5").get_json()["releases"] == []
    refused = api.of("admin").delete("/software/media/rocky-9.4")
    assert refused.status_code == 409
    assert "rocky-9.4 is what nine installs from" in refused.get_json()["detail"]
    assert api.of("operator").delete("/software/media/rocky-9.5").status_code == 403
    assert api.of("admin").delete("/software/media/rocky-9.5").status_code == 204
    assert api.of("viewer").get("/software/media/rocky-9.5").status_code == 404


def test_metrics_count_media(api: Api) -> None:
    imported(api, "rocky-9.4")
    told = api.of("viewer").ask("GET", "/metrics").text
    assert "pxeapp_media 1" in told
    assert "pxeapp_media_bytes 0" in told
