"""The pages in a real Chromium, served by the real web process: live, calm, and without a word in the console."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from pxeapp.db import now
from pxeapp.machines import selectors, timeline
from pxeapp.machines.lifecycle import State
from pxeapp.provisioning import lifecycle, steps
from pxeapp.provisioning.steps import Step
from tests.ui import browser as browsers
from tests.ui import rack
from tests.ui.browser import Browser
from tests.ui.served import PASSWORD, Appliance, needs_assets

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.network,
    pytest.mark.skipif(bool(browsers.missing()), reason=f"{browsers.missing()} is not installed"),
    needs_assets,
]
# Counts every shift of the layout that nobody asked for by typing or clicking.
WATCH_SHIFTS = (
    "window.shifts = 0;"
    "new PerformanceObserver(list => list.getEntries().forEach(entry => window.shifts += entry.value))"
    ".observe({type: 'layout-shift', buffered: false});"
)


@pytest.fixture(scope="module")
def appliance(served: Appliance) -> Appliance:
    """A running web process and the database behind it."""
    return served


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One window for all: a browser takes longer to start than all that is asked of it."""
    with browsers.browser(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture
def window(appliance: Appliance, opened: Browser) -> Browser:
    """The window of somebody who has just signed in."""
    opened.devtools("Network.clearBrowserCookies")
    opened.resize(1280, 900)
    opened.sign_in(appliance.url, "admin", PASSWORD)
    opened.complaints()
    return opened


def test_the_list_follows_the_rows_and_disturbs_nobody(appliance: Appliance, window: Browser) -> None:
    window.go(f"{appliance.url}/machines")
    assert "compute-01" in window.text(".list")
    window.run(WATCH_SHIFTS)
    window.run("document.querySelector('.list tbody tr:first-child a').focus()")
    focused = window.run("return document.activeElement.textContent")
    window.run("getSelection().selectAllChildren(document.querySelector('.list .mono'))")
    selected = window.run("return String(getSelection())")
    window.run("document.querySelector('main input[type=search]').value = 'half-typed'")
    row = "[...document.querySelectorAll('.list tr')].find(each => each.textContent.includes('spare-01'))"
    assert "available" in window.run(f"return {row}.textContent")

    with appliance.database.write() as session:
        machine = selectors.get(session, "spare-01")
        machine.state, machine.role, machine.release = State.DEPLOYING, "compute", "debian-13"
        rack.tell(session, machine, until=Step.KERNEL_FETCHED, began=now() - dt.timedelta(seconds=30))

    window.until(lambda: "kernel fetched" in window.run(f"return {row}.textContent"), "the new step of spare-01")
    assert "deploying" in window.run(f"return {row}.textContent")
    assert window.run("return document.activeElement.textContent") == focused == "compute-01"
    assert window.run("return String(getSelection())") == selected == "52:54:00:00:01:01"
    assert window.run("return document.querySelector('main input[type=search]').value") == "half-typed"
    assert window.run("return window.shifts") == 0
    assert window.complaints() == []


def test_a_machines_timeline_grows_while_one_looks_at_it(appliance: Appliance, window: Browser) -> None:
    window.go(f"{appliance.url}/machines")
    window.click(".list a[href$='/machines/storage-01']")
    window.until(lambda: window.text("h1") == "storage-01", "the machine's page")
    assert "Waiting until it fetches a boot loader" in window.text("#step-nbp_fetched")
    with appliance.database.write() as session:
        deployment = lifecycle.latest(session, selectors.get(session, "storage-01").id)
        assert deployment is not None
        fetched = {"source": "tftp", "message": "Fetched undionly.kpxe.", "bytes": 73000}
        steps.advance(session, deployment, Step.NBP_FETCHED, now=now(), **fetched)  # type: ignore[arg-type]
    window.until(lambda: "Fetched undionly.kpxe." in window.text(".timeline"), "the new event")
    assert "bytes=73000" in window.text(".timeline li:first-child")
    assert window.run("return document.querySelector('#step-nbp_fetched').className") == "reached"

    with appliance.database.write() as session:
        machine = selectors.get(session, "storage-01")
        machine.state, machine.fault = State.DEPLOY_FAILED, "It fetched no kernel."
        timeline.note(
            session, machine_id=machine.id, at=now(), source="reconciler", kind="deploy failed", message=machine.fault
        )
    window.until(lambda: "deploy failed" in window.text(".title"), "the new state")
    assert "It fetched no kernel." in window.text(".timeline")
    assert window.complaints() == []


def test_when_the_session_ends_the_page_asks_to_sign_in_and_goes_on_where_it_was(
    appliance: Appliance, window: Browser
) -> None:
    window.go(f"{appliance.url}/machines/compute-01")
    window.run("fetch('/logout', {method: 'POST', headers: JSON.parse(document.body.getAttribute('hx-headers'))})")
    window.until(lambda: "/login" in window.address(), "the sign-in page")
    assert "Sign in" in window.text("h1")
    window.type("input[name=name]", "admin")
    window.type("input[name=password]", PASSWORD)
    window.click("main button")
    window.until(lambda: window.address() == f"{appliance.url}/machines/compute-01", "the page of before")
    assert window.complaints() == []


def test_nothing_is_wider_than_a_phone(appliance: Appliance, window: Browser) -> None:
    window.resize(375, 800)
    for path in ("/", "/machines", "/machines/compute-04", "/machines/storage-02", "/nothing-here"):
        window.go(appliance.url + path)
        assert window.run("return document.documentElement.scrollWidth") <= 375, path
    assert [text for text in window.complaints() if "nothing-here" not in text] == [], "a 404 is told in the console"
