"""The pages of mirrors: the form that makes one or says what it would come to, what each holds, a sync, a deletion."""

from __future__ import annotations

from http import HTTPStatus

from sqlalchemy import select

from pxeapp.accounts import service as users
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.db import now
from pxeapp.software.mirrors import service
from pxeapp.software.tasks.models import SoftwareTask
from tests.api.conftest import PASSWORD, Api
from tests.ui.forms import person

FORM = {"name": "compute-debian-13", "upstream": "debian", "release": "debian-13", "roles": "compute", "base": "1"}


def test_a_mirror_is_made_by_a_form_and_synced(api: Api) -> None:
    admin = person(api)
    assert "Nothing is mirrored yet." in admin.get("/software/mirrors").text
    answer = admin.post("/software/mirrors", **FORM, packages="htop\nnova-compute (>= 31), a | b")
    assert answer.status_code == HTTPStatus.SEE_OTHER
    with api.read() as session:
        row = service.get(session, "compute-debian-13")
        order = session.scalars(select(SoftwareTask)).one()
    assert (row.mirror["roles"], row.mirror["base"]) == ([{"role": "compute", "vars": {}}], True)
    assert row.mirror["packages"] == ["htop", "nova-compute (>= 31)", "a | b"]
    assert [source["suite"] for source in row.mirror["sources"]][:2] == ["trixie", "trixie-updates"]
    assert (order.kind, order.subject) == ("mirror.sync", "compute-debian-13")
    text = admin.get("/software/mirrors/compute-debian-13").text
    assert "/repo/compute-debian-13/" in text
    assert "not synced yet" in text
    # One sync at a time; said on the page.
    again = admin.post("/software/mirrors/compute-debian-13/sync")
    assert again.status_code == HTTPStatus.CONFLICT
    assert "works on compute-debian-13 already" in again.text
    assert admin.post("/software/mirrors/compute-debian-13/nothing").status_code == HTTPStatus.NOT_FOUND


def test_a_preview_makes_nothing_and_says_what_it_comes_to(api: Api) -> None:
    admin = person(api)
    answer = admin.post("/software/mirrors", **FORM, act="preview")
    assert answer.status_code == HTTPStatus.OK
    assert 'value="compute-debian-13"' in answer.text  # what was typed is still there
    with api.write() as session:
        order = session.scalars(select(SoftwareTask)).one()
        order.finished_at, order.outcome = now(), "done"
        missing = [{"what": "ghost", "by": ["role compute"], "architecture": "amd64"}]
        order.result = {"packages": 575, "bytes": 2**30, "missing": 1, "unsatisfied": missing,
                        "to_fetch": {"packages": 5, "bytes": 2**20}}  # fmt: skip
    text = admin.get("/software/mirrors/part").text
    assert "575 packages, 1.0 GiB; to be fetched: 1.0 MiB." in text
    assert "Missing upstream: ghost" in text
    admin.client.set_cookie("pxeapp_language", "zh")
    assert "575 个软件包" in admin.get("/software/mirrors/part").text
    assert "Nothing is mirrored yet." not in admin.get("/software/mirrors").text


def test_what_is_wrong_stands_beside_its_field(api: Api) -> None:
    admin = person(api)
    answer = admin.post("/software/mirrors", name="x", upstream="debian", release="beos-5", every_hours="often")
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "&#39;beos-5&#39; is not known." in answer.text
    answer = admin.post("/software/mirrors", **{**FORM, "name": "part"}, every_hours="-3")
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "is no name for a repository" in answer.text


def test_who_may_only_sync_sees_no_form_and_deletes_nothing(api: Api) -> None:
    admin = person(api)
    admin.post("/software/mirrors", **FORM)
    with api.write() as session:
        users.create_user(session, name="olga", password=PASSWORD, role=OPERATOR, actor="test", now=now())
    olga = person(api, "olga")
    assert "Mirror a part of an upstream" not in olga.get("/software/mirrors").text
    page = olga.get("/software/mirrors/compute-debian-13").text
    assert "Sync now" in page
    assert "Delete the mirror" not in page
    assert olga.post("/software/mirrors/compute-debian-13/delete").status_code == HTTPStatus.FORBIDDEN
    assert olga.post("/software/mirrors", **FORM).status_code == HTTPStatus.FORBIDDEN


def test_a_deleted_mirror_is_served_no_more(api: Api) -> None:
    admin = person(api)
    admin.post("/software/mirrors", **FORM)
    served = api.context.settings.data_dir / "repo/compute-debian-13"
    served.mkdir(parents=True)
    refused = admin.post("/software/mirrors/compute-debian-13/delete")
    assert (refused.status_code, served.exists()) == (HTTPStatus.CONFLICT, True)
    with api.write() as session:
        session.scalars(select(SoftwareTask)).one().finished_at = now()
    assert admin.post("/software/mirrors/compute-debian-13/delete").status_code == HTTPStatus.SEE_OTHER
    assert not served.exists()
    assert admin.get("/software/mirrors/compute-debian-13").status_code == HTTPStatus.NOT_FOUND
