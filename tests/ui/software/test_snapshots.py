"""The pages of snapshots and bundles: taken, compared, promoted and carried, in both languages, by who may."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from sqlalchemy import select

from pxeapp.accounts import service as users
from pxeapp.accounts.permissions import OPERATOR, VIEWER
from pxeapp.db import now
from pxeapp.software.bundles import service as bundles
from pxeapp.software.content.store import Store
from pxeapp.software.snapshots import channels, service
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask
from tests.api.conftest import PASSWORD, Api
from tests.software.snapshots.conftest import Site
from tests.ui.forms import Person, person


def site(api: Api) -> Site:
    own = api.context
    return Site(own.settings, own.database, Store(own.settings.data_dir / "software"))


def taken(api: Api, *names: str) -> Site:
    made = site(api)
    for number, name in enumerate(names):
        made.publish("nova", {"nova-common_1": str(number), f"nova-api_{number + 1}": "x"})
        with api.write() as session:
            service.take(session, name, description="<b>bold</b>", actor="user:ops", now=now())
    made.work()
    return made


def somebody(api: Api, role: str) -> Person:
    with api.write() as session:
        users.create_user(session, name=role, password=PASSWORD, role=role, actor="test", now=now())
    return person(api, role)


def test_a_snapshot_is_taken_by_a_form_and_what_is_wrong_stands_beside_its_field(api: Api) -> None:
    admin = person(api)
    assert "No snapshot has been taken yet." in admin.get("/software/snapshots").text
    site(api).publish("nova", {"nova_1": "one"})
    wrong = admin.post("/software/snapshots", name="UPPER", description="kept")
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'value="UPPER"' in wrong.text
    assert 'value="kept"' in wrong.text
    right = admin.post("/software/snapshots", name="2026-11", description="<b>bold</b>", repositories="nova")
    assert right.status_code == HTTPStatus.SEE_OTHER
    text = admin.get("/software/snapshots/part").text
    assert "2026-11" in text
    assert "<b>bold" not in text
    assert "/repo/snapshots/2026-11/" in admin.get("/software/snapshots/2026-11").text
    admin.client.set_cookie("pxeapp_language", "zh")
    assert "快照" in admin.get("/software/snapshots").text


def test_a_difference_says_loudly_what_has_other_content_under_the_same_version(api: Api) -> None:
    taken(api, "a", "b")
    admin = person(api)
    text = admin.get("/software/snapshots/a?to=b").text
    assert "other content under the same version" in text
    assert "nova-api" in text
    assert "Its metadata tell of no advisories" in text
    assert "There is no snapshot &#39;c&#39;" in admin.get("/software/snapshots/a?to=c").text
    assert admin.get("/software/snapshots/none").status_code == HTTPStatus.NOT_FOUND


def test_a_snapshot_is_promoted_rolled_back_verified_and_deleted_by_its_buttons(api: Api) -> None:
    made = taken(api, "a", "b")
    admin = person(api)
    for name in ("a", "b"):
        assert admin.post(f"/software/snapshots/{name}/promote", to="dev").status_code == HTTPStatus.SEE_OTHER
    made.work()
    assert "held by channel dev" in admin.post("/software/snapshots/b/delete").text
    assert admin.post("/software/channels/dev/rollback", reason="it broke").status_code == HTTPStatus.SEE_OTHER
    made.work()
    history = admin.get("/software/channels/dev").text
    assert history.index("rolled back") < history.index("promoted")
    assert "it broke" in history
    assert "led to nothing before" in admin.post("/software/channels/dev/rollback").text
    assert "never in dev" not in admin.post("/software/snapshots/a/promote", to="staging").text
    refused = admin.post("/software/snapshots/b/promote", to="production", force="1")
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert admin.post("/software/snapshots/b/verify").status_code == HTTPStatus.SEE_OTHER
    made.work()
    assert "verified" in admin.get("/software/snapshots/b/part").text
    assert admin.post("/software/snapshots/b/delete").status_code == HTTPStatus.SEE_OTHER
    assert admin.post("/software/channels/dev/delete").status_code == HTTPStatus.SEE_OTHER
    assert admin.get("/software/channels/dev").status_code == HTTPStatus.NOT_FOUND
    assert admin.post("/software/channels/dev/delete").status_code == HTTPStatus.NOT_FOUND
    assert admin.post("/software/snapshots/b/burn").status_code == HTTPStatus.NOT_FOUND


def test_a_channel_that_somebody_reads_says_so_and_is_not_deleted(api: Api) -> None:
    taken(api, "a")
    with api.write() as session:
        channels.promote(session, "a", "dev", actor="user:ops", now=now())
    assert api.of("admin").patch("/roles/compute", json={"vars": {"snapshot": "channel:dev"}}).status_code == 200
    admin = person(api)
    assert "Read by role compute." in admin.get("/software/channels/dev").text
    refused = admin.post("/software/channels/dev/delete")
    assert (refused.status_code, "Channel dev is read by role compute." in refused.text) == (HTTPStatus.CONFLICT, True)
    assert admin.get("/software/channels/dev").status_code == HTTPStatus.OK


def test_who_may_only_look_sees_no_button_and_an_operator_forces_nothing(api: Api) -> None:
    taken(api, "a")
    with api.write() as session:
        channels.promote(session, "a", "dev", actor="user:ops", now=now())
    viewer, operator = somebody(api, VIEWER), somebody(api, OPERATOR)
    for path in ("/software/snapshots", "/software/snapshots/a", "/software/channels/dev", "/software/bundles"):
        text = viewer.get(path).text
        for word in ("Take a snapshot", "Lead back to", "Delete the snapshot", "Delete the channel", "Make a bundle"):
            assert word not in text
    assert viewer.post("/software/snapshots", name="x").status_code == HTTPStatus.FORBIDDEN
    assert viewer.post("/software/snapshots/a/promote").status_code == HTTPStatus.FORBIDDEN
    assert operator.post("/software/snapshots/a/delete").status_code == HTTPStatus.FORBIDDEN
    assert operator.post("/software/channels/dev/delete").status_code == HTTPStatus.FORBIDDEN
    forced = operator.post("/software/snapshots/a/promote", to="production", force="1", reason="because")
    assert forced.status_code == HTTPStatus.FORBIDDEN
    assert operator.post("/software/bundles", name="x").status_code == HTTPStatus.FORBIDDEN


def test_a_bundle_is_ordered_and_imported_by_forms(api: Api) -> None:
    taken(api, "a")
    admin = person(api)
    assert "No bundle has been made or imported yet." in admin.get("/software/bundles").text
    wrong = admin.post("/software/bundles", name="site", part_size="4400M")
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert (
        admin.post("/software/bundles", name="site", snapshots="a", part_size="0").status_code == HTTPStatus.SEE_OTHER
    )
    with api.read() as session:
        (order,) = tasks.listing(session, limit=1, kind=bundles.CREATE)
    assert order.options["snapshots"] == ["a"]
    assert order.options["part_size"] == 0
    assert "bundle site" in admin.post("/software/snapshots/a/delete").text  # being made: it holds what it takes

    def ordered(**fields: str) -> Any:
        return admin.client.post("/software/bundles/import", data={"csrf": admin.csrf, **fields})

    assert ordered(path="none.001-of-001").status_code == HTTPStatus.NOT_FOUND
    assert "is no fingerprint" in ordered(path="x", trust="abc").text
    assert ordered(path="../secret.key", act="verify").status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    with api.read() as session:
        kinds = set(session.scalars(select(SoftwareTask.kind)))
    assert kinds & {bundles.IMPORT, bundles.VERIFY} == set()


def sent(api: Api, *names: str) -> str:
    """Parts as the page's script leaves them: lines of hash and name."""
    store = site(api).store
    return "\n".join(f"{store.add_bytes(name.encode()).sha256} {name}" for name in names)


def test_parts_that_were_sent_are_verified_and_then_imported_without_being_sent_again(api: Api) -> None:
    made = taken(api, "a")
    admin = person(api)
    assert (
        admin.post("/software/bundles", name="site", snapshots="a", part_size="0").status_code == HTTPStatus.SEE_OTHER
    )
    made.work()
    (part,) = sorted((made.settings.data_dir / "bundles/site").iterdir())
    line = f"{made.store.add_file(part).sha256} {part.name}"
    ordered = admin.post("/software/bundles/import", upload=line, act="verify")
    assert ordered.status_code == HTTPStatus.SEE_OTHER, ordered.text
    (verified,) = made.work()
    assert (verified.outcome, verified.subject) == ("done", part.name)
    assert f'href="/software/bundles?parts={verified.id}#import"' in admin.get("/software/bundles/part").text
    page = admin.get(f"/software/bundles?parts={verified.id}").text
    assert f'name="upload" value="{line}"' in page
    assert "One part has been sent already." in page
    assert admin.post("/software/bundles/import", upload=line, act="import").status_code == HTTPStatus.SEE_OTHER
    (imported,) = made.work()
    assert (imported.outcome, imported.problem) == ("done", "")
    assert not list((made.settings.data_dir / "cache").glob("bundle-*"))
    assert admin.get("/software/bundles?parts=1").status_code == HTTPStatus.NOT_FOUND  # another kind of task
    viewer = somebody(api, VIEWER)
    assert line not in viewer.get(f"/software/bundles?parts={verified.id}").text


def test_what_is_wrong_with_parts_that_were_sent_is_said_by_their_names(api: Api) -> None:
    admin, made = person(api), site(api)
    lines = sent(api, "site.001-of-002", "no part at all.iso")
    wrong = admin.post("/software/bundles/import", upload=f"{lines}\n{'0' * 64} site.002-of-002", trust="x")
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "site.002-of-002 was not sent, or too long ago." in wrong.text
    assert "Send all parts again." in wrong.text
    said = {"csrf": admin.csrf, "upload": lines, "path": "site.001-of-002"}
    both = admin.client.post("/software/bundles/import", data=said)
    assert "is said, and parts were sent as well" in both.text
    kept = admin.post("/software/bundles/import", upload=lines, trust="abc")
    assert "2 parts have been sent already." in kept.text  # a wrong fingerprint costs no second hour of sending
    many = "\n".join([lines.splitlines()[0]] * 1000)
    assert "are more than 999 files" in admin.post("/software/bundles/import", upload=many).text
    with api.read() as session:
        assert not tasks.listing(session, limit=1)
    assert admin.post("/software/bundles/import", upload=lines, act="verify").status_code == HTTPStatus.SEE_OTHER
    (task,) = made.work()
    assert "site.001-of-002 is no bundle" in task.problem or "site.001-of-002 is cut off" in task.problem
    assert f"parts={task.id}#import" in admin.get("/software/bundles/part").text
