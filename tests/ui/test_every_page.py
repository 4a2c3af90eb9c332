"""Every page that the navigation leads to, and a machine's: accessible, inert against stored scripts, and light."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import JSON, String, Table, select, update

from pxeapp import config, templates
from pxeapp.db import Base
from pxeapp.provisioning.plan import Tools
from pxeapp.templates import Templates
from tests.ui import rolling
from tests.ui.play import complaints, signed_in
from tests.ui.served import Appliance, needs_assets

AXE = Path(os.environ.get("VIRTUAL_ENV", "") or Path(__file__).parents[2] / ".venv") / "axe" / "axe.min.js"
MOST_JS = 30_000
MORE_PAGES = ("/machines/compute-04", "/machines/storage-02", "/machines/compute-04/edit",
              "/machines/compute-04/console", "/sightings/adopt?mac=52:54:00:aa:00:01",
              "/catalogue/roles/compute", "/catalogue/roles/compute/versions/1")  # fmt: skip
# What a maker, a BMC, an installer or a colleague could have written anywhere.
EVIL = "'\"><img src=x onerror=window.evil=1 data-evil><script data-evil>window.evil=1</script>{{7*7}}"
# By table: whatever is a text, or holds texts, and is not what rows are found by.
TEXTS = {
    "machines": ("serial", "maintenance_reason", "fault", "labels", "location", "vars"),
    "bmcs": ("username",),
    "events": ("message", "evidence"),
    "deployments": ("progress", "reason", "release", "role"),
    "sightings": ("address", "arch", "vendor_class", "serial", "manufacturer", "product"),
    "networks": ("domain",),
    "clusters": ("description",),
    "versions": ("author", "action", "comment", "body"),
}
pytestmark = [pytest.mark.chromium, pytest.mark.network, needs_assets]


@pytest.fixture(scope="module", autouse=True)
def _rolled(served: Appliance, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A rollout with machines in every mood."""
    rolling.fill(served.database)
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path_factory.mktemp("rolled"))})
    rolling.begin(served.database, Tools(settings, served.vault, Templates(settings.templates_dir)))


def _pages(page: Page, url: str) -> list[str]:
    """Where the navigation of an administrator leads, and what lies behind it."""
    page.goto(url)
    links = page.eval_on_selector_all(".shell > nav a", "links => links.map(each => each.getAttribute('href'))")
    assert "/machines" in links
    return [*links, *MORE_PAGES]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there; run: make setup-test")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(served: Appliance, chromium: Browser, scheme: str) -> None:
    page = signed_in(chromium, served.url, color_scheme=scheme, locale="zh-CN" if scheme == "dark" else "en")
    page.context.add_init_script(path=str(AXE))
    found = []
    for path in ["/login", *_pages(page, served.url)]:
        page.goto(served.url + path)
        result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        found += [
            f"{path}: {each['id']} ({each['impact']}): {each['help']}: {each['nodes'][0]['html'][:200]}"
            for each in result["violations"]
            if each["impact"] in ("serious", "critical")
        ]
    page.context.close()
    assert found == []


def test_stored_scripts_run_nowhere(served: Appliance, chromium: Browser) -> None:
    _poison(served)
    page = signed_in(chromium, served.url)
    heard = complaints(page)
    for path in _pages(page, served.url):
        answer = page.goto(served.url + path)
        assert answer is not None
        assert answer.status < 500, path
        assert page.evaluate("() => [window.evil, document.querySelectorAll('[data-evil]').length]") == [None, 0], path
        assert "49" not in page.title(), path
    page.context.close()
    assert [line for line in heard if "Content Security Policy" in line] == [], "something tried to run"


def _poison(served: Appliance) -> None:
    """Put the script into every column of TEXTS: straight into the rows, as if no check had ever been made."""
    with served.database.write() as session:
        for name, columns in TEXTS.items():
            table: Table = Base.metadata.tables[name]
            for column in columns:
                kind = table.c[column].type
                if isinstance(kind, JSON):
                    for key, value in session.execute(select(table.c.id, table.c[column])).all():
                        poisoned = {**(value or {}), EVIL: EVIL, "note": EVIL}
                        session.execute(update(table).where(table.c.id == key).values({column: poisoned}))
                elif isinstance(kind, String) and not table.c[column].unique:
                    session.execute(update(table).values({column: EVIL}))


def test_our_own_scripts_stay_light() -> None:
    files = list((templates.data_root() / "web" / "static").glob("**/*.js"))
    sizes = {file.name: file.stat().st_size for file in files}
    assert sum(sizes.values()) < MOST_JS, json.dumps(sizes)
