"""The page of media: what vouches for each, the form that imports another, and a deletion that is refused with why."""

from __future__ import annotations

from http import HTTPStatus

from pxeapp.accounts import service as users
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.db import now
from pxeapp.software import adding
from pxeapp.software.isos import service
from pxeapp.software.releases import Description
from pxeapp.software.tasks import service as tasks
from tests.api.conftest import PASSWORD, Api
from tests.api.software.test_media import imported
from tests.ui.forms import person


def test_media_are_listed_and_each_says_what_vouches_for_it(api: Api) -> None:
    admin = person(api)
    assert "No medium has been imported yet." in admin.get("/software/media").text
    imported(api, "rocky-9.4")
    assert "1 of 1" in admin.get("/software/media").text
    text = admin.get("/software/media/rocky-9.4").text
    assert "5 checksums in .treeinfo are right." in text
    assert "/repo/media/rocky-9.4/" in text
    assert admin.get("/software/media/nothing").status_code == HTTPStatus.NOT_FOUND
    admin.client.set_cookie("pxeapp_language", "zh")
    assert ".treeinfo 中的 5 个校验和正确。" in admin.get("/software/media/rocky-9.4").text


def test_an_import_is_ordered_by_a_form_and_what_is_wrong_stands_beside_its_field(api: Api) -> None:
    admin = person(api)
    wrong = admin.post("/software/media", url="ftp://x", name="UPPER", make_release="1")
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'value="UPPER"' in wrong.text
    assert "&#39;UPPER&#39; cannot be one." in wrong.text
    right = {"url": "http://host/dvd.iso", "sha256": "A" * 64, "make_release": "1"}
    assert admin.post("/software/media", **right).status_code == HTTPStatus.SEE_OTHER
    with api.read() as session:
        order = tasks.listing(session, limit=1)[0]
    assert (order.kind, order.options["sha256"], order.options["make_release"]) == ("media.import", "a" * 64, True)
    assert "dvd.iso" in admin.get("/software/media/part").text


def test_who_may_not_change_sees_no_form(api: Api) -> None:
    imported(api, "rocky-9.4")
    with api.write() as session:
        users.create_user(session, name="olga", password=PASSWORD, role=OPERATOR, actor="test", now=now())
    olga = person(api, "olga")
    assert "Import a medium" not in olga.get("/software/media").text
    assert "Delete this medium" not in olga.get("/software/media/rocky-9.4").text
    assert olga.post("/software/media", url="http://host/dvd.iso").status_code == HTTPStatus.FORBIDDEN
    assert olga.post("/software/media/rocky-9.4/delete").status_code == HTTPStatus.FORBIDDEN


def test_a_medium_that_a_release_installs_from_is_not_deleted(api: Api) -> None:
    for name in ("rocky-9.4", "rocky-9.5"):
        imported(api, name)
    kernel = api.context.settings.data_dir / "kernel"
    kernel.write_bytes(b"kernel")
    adding.register(
        api.context.database, api.context.settings,
        Description("nine", "rocky", "9", install_url=service.url("rocky-9.4")), kernel=kernel, initrd=kernel,
        origin="test", actor="user:ops", now=now(),
    )  # fmt: skip
    admin = person(api)
    refused = admin.post("/software/media/rocky-9.4/delete")
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "rocky-9.4 is what nine installs from." in refused.text
    assert admin.post("/software/media/rocky-9.5/delete").status_code == HTTPStatus.SEE_OTHER
    assert "rocky-9.5" not in admin.get("/software/media").text
