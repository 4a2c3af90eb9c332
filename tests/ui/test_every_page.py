"""Every page that the navigation leads to, and a machine's: accessible, inert against stored scripts, and light."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import JSON, String, Table, select, update

from pxeapp import config, templates
from pxeapp.db import Base
from pxeapp.provisioning.plan import Tools
from pxeapp.templates import Templates
from tests.ui import caching, rolling
from tests.ui.play import complaints, signed_in
from tests.ui.served import Appliance, needs_assets

AXE = Path(os.environ.get("VIRTUAL_ENV", "") or Path(__file__).parents[2] / ".venv") / "axe" / "axe.min.js"
MOST_JS = 30_000
MORE_PAGES = ("/machines/compute-04", "/machines/storage-02", "/machines/compute-04/edit",
              "/machines/compute-04/console", "/sightings/adopt?mac=52:54:00:aa:00:01",
              "/catalogue/roles/compute", "/catalogue/roles/compute/versions/1", "/software/cache",
              *(f"/software/cache/{name}" for name in caching.NAMES), "/software/media", "/software/mirrors",
              "/software/repositories", "/software/snapshots", "/software/bundles")  # fmt: skip
# A form that is sent with what cannot be comes back with its errors: page, its button's form, what is typed.
REFUSED = (
    ("/software/cache", "/software/cache", {"name": "NO NAME", "url": "ftp://x"}),
    ("/software/cache/rocky", "/software/cache/rocky", {"url": "ftp://x", "aliases": "no alias", "keyring": "../x"}),
    ("/software/cache/rocky", "/software/cache/rocky/seed", {"release": "none-1"}),
    ("/software/cache/rocky", "/software/cache/rocky/purge", {"path": "../secret.key"}),
    ("/software/bundles", "/software/bundles/import", {"path": "x", "trust": "no fingerprint"}),
)
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
    "software_upstreams": ("url", "keyring"),
    "software_upstream_states": ("problem",),
    "software_upstream_missing": ("path",),
    "software_tasks": ("requested_by", "says", "problem"),
}
pytestmark = [pytest.mark.chromium, pytest.mark.network, needs_assets]


@pytest.fixture(scope="module", autouse=True)
def _rolled(served: Appliance, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A rollout with machines in every mood."""
    rolling.fill(served.database)
    settings = config.load({"PXEAPP_DATA_DIR": str(tmp_path_factory.mktemp("rolled"))})
    caching.fill(served.database, settings)
    rolling.begin(served.database, Tools(settings, served.vault, Templates(settings.templates_dir)))


def _pages(page: Page, url: str) -> list[str]:
    """Where the navigation of an administrator leads, and what lies behind it."""
    page.goto(url)
    links = page.eval_on_selector_all(".shell > nav a", "links => links.map(each => each.getAttribute('href'))")
    assert "/machines" in links
    return [*links, *MORE_PAGES]


WIDER = """() => [...document.querySelectorAll('.field .help, .field .error')]
  .filter(each => each.getBoundingClientRect().right > each.closest('.field').getBoundingClientRect().right + 1)
  .map(each => each.textContent.trim())"""

# However long a label's name is, there is room for what it says.
SQUEEZED = """() => [...document.querySelectorAll('.facts dd')]
  .filter(each => each.offsetParent && each.offsetWidth < each.parentElement.offsetWidth / 4)
  .map(each => each.previousElementSibling.textContent)"""
# What is fetched anew by itself looks meanwhile as it did: a list that dims every second is not read.
DIMMED = """() => [...document.querySelectorAll('main [data-live]')].filter(part => {
  part.classList.add('htmx-request');
  const dim = getComputedStyle(part).opacity !== '1';
  part.classList.remove('htmx-request');
  return dim;
}).map(part => part.id)"""


def _violations(page: Page, where: str) -> list[str]:
    """What axe finds serious on the page, within what is folded too, in the dark; of daylight, the colours alone."""
    page.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = [f"{where}: the words at a field are wider than it: {words}" for words in page.evaluate(WIDER)]
    found += [f"{where}: {part} dims while it is fetched" for part in page.evaluate(DIMMED)]
    for scheme, rules in (("light", "{runOnly: ['color-contrast']}"), ("dark", "{}")):
        page.emulate_media(color_scheme=scheme)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # it is drawn so
        result = page.evaluate(f"() => axe.run(document, {{resultTypes: ['violations'], ...{rules}}})")
        found += [
            f"{where}, {scheme}: {each['id']} ({each['impact']}): {each['help']}: {each['nodes'][0]['html'][:200]}"
            for each in result["violations"]
            if each["impact"] in ("serious", "critical")
        ]
    return found


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there; run: make setup-test")
def test_axe_finds_nothing_serious_on_any_page(served: Appliance, chromium: Browser) -> None:
    page = signed_in(chromium, served.url, color_scheme="dark", locale="zh-CN")
    page.context.add_init_script(path=str(AXE))
    found = []
    for path in ["/login", *_pages(page, served.url)]:
        page.goto(served.url + path)
        found += _violations(page, path)
    for path, action, typed in REFUSED:
        page.goto(served.url + path)
        form = page.locator(f"form[action='{action}']")
        for name, value in typed.items():
            form.locator(f"[name={name}]").first.evaluate("(field, value) => { field.value = value; }", value)
        with page.expect_navigation() as came:
            form.evaluate("form => form.submit()")  # past what the browser itself would refuse
        assert came.value is not None
        assert came.value.status == HTTPStatus.UNPROCESSABLE_ENTITY, action
        assert page.locator("[aria-invalid=true]").count(), f"{action} names no field"
        found += _violations(page, f"{action}, refused")
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
        assert page.evaluate(SQUEEZED) == [], path
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
