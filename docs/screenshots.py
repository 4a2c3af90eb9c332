"""Takes pictures of a running appliance: `make screenshots URL=... PASSWORD_FILE=...`.

The README's two go to docs/images. Every page, in both languages and both themes and once at a phone's width, goes to
`--all FOLDER` (`make screenshots ALL=FOLDER`), to be looked at.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import requests
from playwright.sync_api import Browser, Error, Page

from tests.ui import play

IMAGES = Path(__file__).parent / "images"
MOST_BYTES = 200_000  # a clone carries every version of a picture for ever
HEIGHTS = (1400, 1200, 1000, 850, 700)
LOOKS = [(locale, scheme) for locale in ("en", "zh-CN") for scheme in ("light", "dark")]
PHONE = {"width": 375, "height": 800}
# The first machine that is being deployed, has failed or is active, in this order: the one with most to show.
MOST_TELLING = """
    const rows = [...document.querySelectorAll('main tbody tr')];
    const telling = ['.pill.deploying', '.pill.deploy-failed', '.pill.active'];
    const score = row => telling.findIndex(css => row.querySelector(css));
    const found = rows.map(row => [score(row), row.querySelector('a[href^="/machines/"]')])
        .filter(([place, link]) => place >= 0 && link).sort((a, b) => a[0] - b[0]);
    return found.length ? found[0][1].getAttribute('href') : '';
"""


def main() -> int:
    """Sign in, look at the list and at one machine, and keep both; or at everything."""
    said = _arguments()
    if lacking := play.missing():
        print(f"screenshots: {lacking} is not installed; run: make setup-test", file=sys.stderr)
        return 1
    password = said.password_file.read_text().strip()
    requests.get(f"{said.url}/healthz", timeout=10).raise_for_status()
    with play.opened() as browser:
        if said.all:
            said.all.mkdir(parents=True, exist_ok=True)
            _everything(browser, said, password)
            return 0
        size = {"width": said.width, "height": 900}
        page = play.signed_in(browser, said.url, said.user, password, viewport=size, color_scheme=_scheme(said))
        machine = _machine(page, said)
        if not machine:
            print("screenshots: the appliance has no machines to show; deploy some first", file=sys.stderr)
            return 1
        IMAGES.mkdir(exist_ok=True)
        page.goto(f"{said.url}/machines")
        _keep(page, "machines.png")
        page.goto(said.url + machine)
        _keep(page, "machine.png")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--url", required=True, type=lambda text: text.rstrip("/"), help="http://host:8080")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password-file", required=True, type=Path)
    parser.add_argument("--machine", default="", help="Left out: the one with the longest story.")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--all", type=Path, help="a folder for pictures of every page in every look")
    return parser.parse_args()


def _scheme(said: argparse.Namespace) -> str:
    return "dark" if said.dark else "light"


def _machine(page: Page, said: argparse.Namespace) -> str:
    """The path of the machine's page that tells most."""
    if said.machine:
        return f"/machines/{said.machine}"
    page.goto(f"{said.url}/machines")
    return str(page.evaluate(f"() => {{ {MOST_TELLING} }}"))


def _everything(browser: Browser, said: argparse.Namespace, password: str) -> None:
    for locale, scheme in LOOKS:
        look = f"{locale[:2]}-{scheme}"
        page = play.signed_in(browser, said.url, said.user, password, locale=locale, color_scheme=scheme)
        for name, path in list(_pages(page, said)):
            page.set_viewport_size({"width": 1280, "height": 900})
            _open(page, said.url + path)
            page.screenshot(path=said.all / f"{name}-{look}.png", full_page=True)
            if (locale, scheme) == LOOKS[-1]:
                page.set_viewport_size(PHONE)
                page.screenshot(path=said.all / f"{name}-phone.png", full_page=True)
        page.context.close()
        print(f"screenshots: {look} is in {said.all}", flush=True)
    page = browser.new_page()
    page.goto(f"{said.url}/login")
    page.screenshot(path=said.all / "sign-in.png")


def _open(page: Page, url: str) -> None:
    """A page with a live stream is never idle; loaded is enough."""
    page.goto(url, wait_until="load")


def _pages(page: Page, said: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Each page that the navigation leads to, a machine, and the form that adopts what was seen."""
    machine = _machine(page, said)
    page.goto(f"{said.url}/")
    links = page.eval_on_selector_all(".shell > nav a", "links => links.map(each => each.getAttribute('href'))")
    for link in links:
        yield link.strip("/").replace("/", "-") or "overview", link
    if machine:
        yield "machine", machine
    page.goto(f"{said.url}/sightings")
    seen = page.eval_on_selector_all("input[name=mac]", "boxes => boxes.slice(0, 3).map(each => each.value)")
    if seen:
        yield "adopt", "/sightings/adopt?" + "&".join(f"mac={mac}" for mac in seen)


def _keep(page: Page, name: str) -> None:
    """The whole page, or as much of its top as makes a small file."""
    width = page.viewport_size["width"] if page.viewport_size else 1200
    picture = page.screenshot(full_page=True)
    for height in HEIGHTS:
        if len(picture) <= MOST_BYTES:
            break
        picture = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    draft = IMAGES / f".{name}"
    draft.write_bytes(picture)
    draft.rename(IMAGES / name)
    print(f"screenshots: docs/images/{name} ({len(picture) // 1000} kB)")


if __name__ == "__main__":
    try:
        code = main()
    except (OSError, Error, requests.RequestException) as error:
        print(f"screenshots: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
