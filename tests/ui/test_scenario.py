"""A day at the rack in one browser: a whole appliance with 10,000 machines, three of which are simulated and alive.

Sign in, import, deploy, watch it without touching the page, type on the console, adopt a stranger, change a template,
act on many at once, another language, a session that ends.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests
from playwright.sync_api import Browser, Page
from sqlalchemy import delete, insert, select

from pxeapp.accounts import service
from pxeapp.accounts.models import UserSession
from pxeapp.db import Database, now
from pxeapp.lab.fleet.fleet import PASSWORD as BMC_PASSWORD
from pxeapp.lab.fleet.fleet import USER, Fleet
from pxeapp.lab.fleet.machine import Pace
from pxeapp.machines.models import Interface, Machine
from tests.lab.playing import playing
from tests.loopback import RELEASE, LoopbackAppliance
from tests.ui import play
from tests.ui.served import PASSWORD, needs_assets

pytestmark = [pytest.mark.chromium, pytest.mark.network, pytest.mark.nginx, needs_assets]
MANY = 10_000
STEPS = (
    "armed",
    "nbp_fetched",
    "kernel_fetched",
    "answer_fetched",
    "installing",
    "installed",
    "first_boot",
    "verified",
)
QUICK = Pace(self_test_s=0.3, start_s=0.2, install_s=1.0, words=2, reboot_s=0.3)
SCREEN = "document.querySelector('.xterm-rows').innerText"


@dataclass
class Site:
    """The appliance, its database, and the machines that live."""

    appliance: LoopbackAppliance
    database: Database
    fleet: Fleet

    @property
    def url(self) -> str:
        return self.appliance.url


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "password").write_text(PASSWORD)
    appliance = LoopbackAppliance(folder, admin_password_file=str(folder / "password"))
    appliance.start()
    database = Database(f"sqlite:///{folder / 'data' / 'pxeapp.db'}")
    try:
        appliance.add_release()
        with database.write() as session:
            service.create_user(session, name="viewer", role="viewer", password=PASSWORD, actor="test", now=now())
        fill(database)
        fleet = Fleet(3, appliance.seen_by_machines, pace=QUICK, bmc_takes_s=0.1)
        with playing(fleet):
            yield Site(appliance, database, fleet)
    finally:
        database.dispose()
        appliance.stop()


def fill(database: Database) -> None:
    """10,000 machines in 250 racks, by rows: an import of as many is another test's subject."""
    at = now()
    machines = [
        {
            "name": f"m{number:05}", "mac": f"52:54:01:00:{number >> 8:02x}:{number & 255:02x}", "created_at": at,
            "updated_at": at, "rack": f"r{number // 40:03}", "location": {"rack": f"r{number // 40:03}"},
            "labels": {"half": "upper" if number >= MANY // 2 else "lower"},
        }
        for number in range(MANY)
    ]  # fmt: skip
    with database.write() as session:
        session.execute(insert(Machine), machines)
        numbers = dict(session.query(Machine.mac, Machine.id).all())
        session.execute(
            insert(Interface), [{"machine_id": numbers[each["mac"]], "mac": each["mac"]} for each in machines]
        )


@pytest.fixture(scope="module")
def page(site: Site, chromium: Browser) -> Iterator[Page]:
    """The tab of an administrator, who is signed in all day."""
    tab = play.signed_in(chromium, site.url, locale="en")
    yield tab
    tab.context.close()


@pytest.fixture(scope="module")
def deploying(site: Site, page: Page) -> Page:
    """Two machines imported from a file, and one of them deployed, in a second tab that nobody touches afterwards."""
    page.goto(f"{site.url}/machines/import")
    file = json.dumps(site.fleet.machines_file(role="base", release=RELEASE)[:2]).encode()
    page.set_input_files("#f-file", {"name": "rack.json", "mimeType": "application/json", "buffer": file})
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("2 machines would be registered").wait_for()
    page.get_by_role("button", name="Import them").click()
    page.get_by_text("2 machines were registered").wait_for()
    tab = page.context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(f"{site.url}/machines/sim00001")
    tab.locator("#actions").get_by_role("button", name="Deploy").click()
    tab.wait_for_selector("#steps")
    tab.evaluate("window.sameDocument = true")
    return tab


def until(there: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline, f"waited a minute for {what}"
        time.sleep(0.02)


def sees(page: Page, text: str) -> None:
    def there() -> bool:
        page.wait_for_timeout(20)
        return text in page.evaluate(SCREEN)

    until(there, f"{text!r} on the screen")


def names(page: Page) -> list[str]:
    return [each.strip() for each in page.locator(".list a.go").all_inner_texts()]


def test_a_stranger_that_netboots_appears_and_is_adopted(site: Site, page: Page, deploying: Page) -> None:
    stranger = site.fleet.machines[2]
    page.goto(f"{site.url}/sightings")
    page.get_by_text("Nobody unknown was seen.").wait_for()
    asks = f"/boot/ipxe?mac={stranger.mac}&serial=SN-77&platform=pcbios&manufacturer=Example&product=R1"
    assert requests.get(site.appliance.environment["PXEAPP_NODE_URL"] + asks, timeout=10).ok
    page.get_by_label(f"Tick {stranger.mac}").check()
    page.get_by_role("button", name="Adopt the ticked ones").click()
    page.get_by_label(f"Name ({stranger.mac})").fill("no name at all")
    page.get_by_label(f"Address of its BMC ({stranger.mac})").fill(stranger.bmc.address)
    page.fill("#f-bmc_username", USER)
    page.fill("#f-bmc_password", BMC_PASSWORD)
    page.get_by_role("button", name="Register them").click()
    field = page.locator("input[aria-invalid=true]")
    assert field.input_value() == "no name at all", "the error stands at its field, which keeps what was typed"
    field.fill("found-77")
    page.fill("#f-bmc_password", BMC_PASSWORD)
    page.get_by_role("button", name="Register them").click()
    page.goto(f"{site.url}/machines/found-77")
    assert "SN-77" in page.inner_text("main")
    page.goto(f"{site.url}/sightings")
    page.get_by_text("Nobody unknown was seen.").wait_for()


def test_the_timeline_moved_by_itself_until_the_machine_was_active(site: Site, deploying: Page) -> None:
    for step in STEPS:
        deploying.wait_for_selector(f"#step-{step}.reached")
    deploying.wait_for_selector(".pill.active")
    assert "It runs from its simulated disk." in deploying.inner_text("#timeline")
    assert deploying.evaluate("window.sameDocument"), "nobody loaded the page anew"
    assert site.fleet.machines[0].doing == "running"


def test_what_is_typed_reaches_the_machine_its_echo_comes_back_and_others_look_on(
    site: Site, chromium: Browser, page: Page, deploying: Page
) -> None:
    deploying.wait_for_selector("#step-verified.reached")
    machine = site.fleet.machines[0]
    until(lambda: machine.doing == "running", "a system whose terminal echoes")
    before = len(machine.bmc.typed)

    def typed() -> bytes:
        return machine.bmc.typed[before:]

    page.goto(f"{site.url}/machines/sim00001/console")
    page.wait_for_selector("#console-status[data-state=open]")
    sees(page, "sim00001: installing")  # what it said before anybody looked
    page.keyboard.type("uname -a")
    page.keyboard.press("Enter")
    sees(page, "uname -a")
    page.keyboard.press("Control+c")
    sees(page, "^C")
    page.evaluate(
        "text => { const data = new DataTransfer(); data.setData('text/plain', text);"
        "document.querySelector('.xterm-helper-textarea').dispatchEvent("
        "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})); }",
        "echo one\necho " + "x" * 3000,
    )
    until(lambda: typed().endswith(b"x" * 3000), "the paste")
    assert typed() == b"uname -a\r\x03echo one\recho " + b"x" * 3000

    other = play.signed_in(chromium, site.url, "viewer", locale="en")
    other.goto(f"{site.url}/machines/sim00001/console")
    sees(other, "xxxx")
    until(lambda: page.inner_text("#console-viewers") == "2", "the second viewer")
    assert "typing needs the role operator" in other.inner_text("main")
    told = len(typed())
    other.click(".xterm-screen")
    other.keyboard.type("reboot")
    refused = other.evaluate(
        "() => fetch('/machines/sim00001/console/keys', {method: 'POST', body: 'reboot', headers:"
        " JSON.parse(document.body.getAttribute('hx-headers'))}).then(answer => answer.status)"
    )
    assert refused == 403
    page.keyboard.type("!")  # keys come in their order: what went before it would be there by now
    until(lambda: typed().endswith(b"!"), "the last key")
    assert len(typed()) == told + 1
    sees(other, "x!")
    other.context.close()


def test_a_changed_template_shows_its_difference_before_it_is_saved(site: Site, page: Page, deploying: Page) -> None:
    page.goto(f"{site.url}/templates/edit/kickstarts/base.ks")
    editor = page.locator("textarea[data-editor]")
    ours = editor.input_value()
    editor.fill(ours.replace("{% block site %}", "{% block site %}\n# a line of our site", 1))
    page.get_by_role("button", name="Difference for all machines").click()
    page.locator(".comes", has_text="+# a line of our site").first.wait_for()
    page.get_by_text(re.compile(r"2 of \d[\d,]* machines would be given something else.")).wait_for()
    editor.fill("{{ oops")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("kickstarts/base.ks, line 1").first.wait_for()
    assert editor.input_value() == "{{ oops"
    editor.fill(ours.replace("{% block site %}", "{% block site %}\n# a line of our site", 1))
    page.fill("input[name=comment]", "Our site has a line")
    page.get_by_role("button", name="Save").click()
    page.locator("#h-versions ~ table").get_by_text("Our site has a line").wait_for()


def test_ten_thousand_machines_are_paged_sorted_filtered_and_scrolled(site: Site, page: Page, deploying: Page) -> None:
    with site.database.read() as session:
        known = sorted(session.scalars(select(Machine.name)))
    page.goto(f"{site.url}/machines")
    assert page.inner_text("#s-all b") == f"{len(known):,}"
    first = names(page)
    assert first == known[: len(first)]

    def at_the_end() -> bool:
        page.keyboard.press("End")  # a page that is still being laid out has no end to go to
        return bool(page.evaluate("window.scrollY") > 0)

    until(at_the_end, "the end of the page")
    page.click("#p-next")
    page.wait_for_url("**after=**")
    assert names(page)[0] == known[len(first)]
    page.click("#h-name")
    page.wait_for_url("**sort=-name**")
    assert names(page)[:3] == ["sim00002", "sim00001", f"m{MANY - 1:05}"]
    page.fill("#q", "rack=r007 -name=m0028*")
    page.keyboard.press("Enter")
    page.get_by_text("30 machines of").wait_for()
    assert names(page)[-1] == "m00290"
    page.get_by_role("link", name="Without rack=r007").click()
    page.get_by_text(f"{len(known) - 10:,} machines of {len(known):,}").wait_for()


def test_a_whole_filter_is_acted_on_once_its_number_is_typed(site: Site, page: Page, deploying: Page) -> None:
    page.goto(f"{site.url}/machines?q=label.half%3Dupper")
    page.get_by_label(re.compile("All 5,000 that the filter finds")).check()
    page.select_option("select[name=do]", "reinstall")
    page.get_by_role("button", name="Go on").click()
    assert "5,000 machines" in page.inner_text("h1")
    assert "Type the number of machines to go on: 5000" in page.inner_text("main")
    page.goto(f"{site.url}/machines?q=name%3Dsim*")
    page.get_by_label(re.compile("All 2 that the filter finds")).check()
    page.select_option("select[name=do]", "lock")
    page.get_by_role("button", name="Go on").click()
    page.fill("#f-typed", "5000")
    page.get_by_role("button", name="Lock: 2 machines").click()
    page.get_by_text("Type how many machines it is: 2.").wait_for()
    page.fill("#f-typed", "2")
    page.get_by_role("button", name="Lock: 2 machines").click()
    page.get_by_text("Finished.").wait_for()
    assert page.inner_text("#o-done b") == "2"


def test_another_language_is_one_click_away_on_every_page_and_so_is_the_way_back(
    site: Site, page: Page, deploying: Page
) -> None:
    place = f"{site.url}/machines?q=rack%3Dr001"
    page.goto(place)
    page.click("button[name=language][value=zh]")
    page.wait_for_selector("html[lang=zh-Hans]")
    assert page.url == place
    assert "机器" in page.inner_text("h1")
    page.click("button[name=language][value=en]")
    page.wait_for_selector("html[lang=en]")
    assert page.inner_text("h1") == "Machines"


@pytest.mark.parametrize("place", ["/machines?q=rack%3Dr001", "/machines/sim00001/console"])
def test_who_was_signed_out_meanwhile_signs_in_and_is_where_they_were(
    site: Site, page: Page, deploying: Page, place: str
) -> None:
    page.goto(site.url + place)
    with site.database.write() as session:
        session.execute(delete(UserSession))
    if "console" not in place:  # where the stream ends by itself, within seconds
        page.reload()
    page.wait_for_url("**/login?back=**")
    page.fill("input[name=name]", "admin")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(site.url + place)
