"""The pages of the cache: an upstream added, kept otherwise, switched off, seeded, forgotten; by whoever may."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from pxeapp.accounts import service as users
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.db import now
from pxeapp.software.cache import configured, packages, service, statistics
from pxeapp.software.cache.access_log import summed
from pxeapp.software.cache.configured import Configured
from pxeapp.software.tasks import service as tasks
from tests.api.conftest import PASSWORD, Api
from tests.ui.forms import person

KEPT = {"url": "http://dl.example.org/pub/rocky", "kind": "yum", "max_gib": "50", "freshness_minutes": "10"}


def known(api: Api) -> Configured:
    with api.context.database.read() as session:
        return configured.effective(session, api.context.settings)["rocky"]


def added(api: Api) -> None:
    with api.write() as session:
        said = {"name": "rocky", "url": KEPT["url"], "kind": "yum"}
        service.create(session, api.context.settings, said, actor="user:ops", now=now())


def test_an_upstream_is_added_kept_otherwise_and_forgotten(api: Api) -> None:
    admin = person(api)
    wrong = admin.post("/software/cache", name="rocky", url="ftp://x", kind="yum")
    assert (wrong.status_code, "is no address of an upstream" in wrong.text) == (422, True)
    made = admin.post("/software/cache", name="rocky", url=KEPT["url"], kind="yum")
    assert made.status_code == HTTPStatus.SEE_OTHER
    aliases = "dl.example.net/rocky\n mirror.example.net/rocky"
    assert admin.post("/software/cache/rocky", **{**KEPT, "aliases": aliases}).status_code == HTTPStatus.SEE_OTHER
    found = known(api)
    assert (found.max_bytes, found.freshness_s, found.keep_packages) == (50 * 1024**3, 600, False)
    assert found.aliases == ("dl.example.net/rocky", "mirror.example.net/rocky")
    refused = admin.post("/software/cache/rocky", **{**KEPT, "max_gib": "many"})
    assert (refused.status_code, "is no whole number" in refused.text) == (422, True)
    assert admin.post("/software/cache/rocky/delete").status_code == HTTPStatus.SEE_OTHER
    assert admin.get("/software/cache/rocky").status_code == HTTPStatus.NOT_FOUND
    assert admin.post("/software/cache/rocky/switch", to="offline").status_code == HTTPStatus.NOT_FOUND


def test_what_was_asked_and_what_is_wrong_is_shown_and_nothing_in_it_is_a_tag(api: Api) -> None:
    added(api)
    said = {"at": f"{now():%Y-%m-%d}", "bytes": "2048", "mirror": "rocky", "index": "", "received": ""}
    asked = [{**said, "status": "200", "cache": "HIT", "file": "a.rpm"}]
    asked += [{**said, "status": "404", "cache": "MISS", "file": "<b>x</b>.rpm"}]
    with api.write() as session:
        statistics.add(session, summed([json.dumps(each).encode() for each in asked]), {}, ["rocky"], now())
        root = {"root": "9/BaseOS", "kind": "yum", "checked": 1e9, "changed": 1e9, "dated": 1e9}
        sets = [{**root, "indexes": 3, "bytes": 4096, "problem": ""}]
        statistics.observe(session, "rocky", "The upstream <i>lies</i>.", sets, now())
    admin = person(api)
    text = admin.get("/software/cache/rocky").text
    assert all(each in text for each in ("2.0 KiB", "9/BaseOS", "&lt;b&gt;x&lt;/b&gt;.rpm", "the upstream has none"))
    assert "The upstream &lt;i&gt;lies&lt;/i&gt;." in text
    assert "100 %" in admin.get("/software/cache").text
    assert "9/BaseOS" in admin.get("/software/cache/rocky/part").text


def test_the_form_has_what_is_there_and_what_nobody_touched_stays(api: Api) -> None:
    added(api)
    with api.write() as session:
        said = {"max_bytes": 512 * 1024**2, "freshness_s": 90, "aliases": ["dl.example.net/rocky"]}
        service.change(session, api.context.settings, "rocky", said, actor="user:ops", now=now())
    admin = person(api)
    text = admin.get("/software/cache/rocky").text
    assert all(f'value="{each}"' in text for each in (KEPT["url"], "1"))
    assert "dl.example.net/rocky</textarea>" in text
    shown = {**KEPT, "max_gib": "1", "freshness_minutes": "1", "keep_packages": "1", "aliases": ""}
    moved = {**shown, "url": "http://near.example.org/rocky"}
    assert admin.post("/software/cache/rocky", **moved).status_code == HTTPStatus.SEE_OTHER
    found = known(api)
    assert (found.url, found.max_bytes, found.freshness_s) == (moved["url"], 512 * 1024**2, 90)
    assert admin.post("/software/cache/rocky/switch", to="offline").status_code == HTTPStatus.SEE_OTHER
    refused = admin.post("/software/cache/rocky", **shown)
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "cannot change while rocky is offline" in refused.text
    seeded = admin.post("/software/cache/rocky/seed", release="rocky-9", packages="chrony").text
    assert f'value="{moved["url"]}"' in seeded  # the other form has what is there, as before


def test_what_came_wrong_is_thrown_away_by_its_button(api: Api) -> None:
    added(api)
    package = packages.place(api.context.settings.data_dir / "cache/packages", known(api), "9/x.rpm")
    package.parent.mkdir(parents=True)
    package.write_bytes(b"x" * 2048)
    admin = person(api)

    def purged(path: str, name: str = "rocky") -> Any:
        return admin.client.post(f"/software/cache/{name}/purge", data={"csrf": admin.csrf, "path": path})

    assert "1 file went: 2.0 KiB." in purged("9/x.rpm").text
    assert "Nothing of 9/x.rpm was here." in purged("9/x.rpm").text
    wrong = purged("../x")
    assert (wrong.status_code, 'value="../x"' in wrong.text) == (422, True)
    assert purged("/", "none").status_code == HTTPStatus.NOT_FOUND


def test_an_operator_seeds_and_only_an_admin_switches_it_off(api: Api) -> None:
    added(api)
    with api.write() as session:
        users.create_user(session, name="olga", password=PASSWORD, role=OPERATOR, actor="test", now=now())
    olga, admin = person(api, "olga"), person(api)
    assert olga.post("/software/cache/rocky/switch", to="offline").status_code == HTTPStatus.FORBIDDEN
    seeded = olga.post("/software/cache/rocky/seed", release="rocky-9", packages="chrony\nvim", base="1")
    assert seeded.status_code == HTTPStatus.SEE_OTHER, seeded.text
    with api.context.database.read() as session:
        row = tasks.listing(session, limit=1)[0]
    assert (row.kind, row.subject, row.options["mirror"]["packages"]) == ("cache.seed", "rocky", ["chrony", "vim"])
    assert admin.post("/software/cache/rocky/switch", to="offline").status_code == HTTPStatus.SEE_OTHER
    assert known(api).offline
    refused = olga.post("/software/cache/rocky/seed", release="rocky-9", packages="chrony")
    assert (refused.status_code, "offline here" in refused.text) == (HTTPStatus.CONFLICT, True)
