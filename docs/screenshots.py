"""Takes the pictures of the README from a running appliance: `make screenshots URL=... PASSWORD_FILE=...`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import requests

from tests.ui.browser import Browser, browser, missing

IMAGES = Path(__file__).parent / "images"
MOST_BYTES = 200_000  # a clone carries every version of a picture for ever
HEIGHTS = (1400, 1200, 1000, 850, 700)


def main() -> int:
    """Sign in, look at the list and at one machine, and keep both."""
    said = _arguments()
    if lacking := missing():
        print(f"screenshots: {lacking} is not installed; run: make setup-test", file=sys.stderr)
        return 1
    password = said.password_file.read_text().strip()
    requests.get(f"{said.url}/healthz", timeout=10).raise_for_status()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder), width=said.width, dark=said.dark) as window:
        window.sign_in(said.url, said.user, password)
        machine = said.machine or _most_telling(window)
        if not machine:
            print("screenshots: the appliance has no machines to show; deploy some first", file=sys.stderr)
            return 1
        _keep(window, "machines.png")
        window.go(f"{said.url}/machines/{machine}")
        _keep(window, "machine.png")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--url", required=True, type=lambda text: text.rstrip("/"), help="http://host:8080")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password-file", required=True, type=Path)
    parser.add_argument("--machine", default="", help="Left out: the one with the longest story.")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--dark", action="store_true")
    return parser.parse_args()


def _most_telling(window: Browser) -> str:
    """The machine of the first page that has got furthest; with a failed one beside it the working one wins."""
    return str(
        window.run(
            "const rows = [...document.querySelectorAll('.machines tbody tr')];"
            "const score = row => (row.querySelector('.pill.active') ? 2 : row.querySelector('progress') ? 1 : 0);"
            "rows.sort((a, b) => score(b) - score(a));"
            "return rows.length ? rows[0].querySelector('.name a').textContent : '';"
        )
    )


def _keep(window: Browser, name: str) -> None:
    """The whole page, or as much of its top as makes a small file."""
    picture = window.picture(whole=True)
    for height in HEIGHTS:
        if len(picture) <= MOST_BYTES:
            break
        picture = window.picture(height=height)
    draft = IMAGES / f".{name}"
    draft.write_bytes(picture)
    draft.rename(IMAGES / name)
    print(f"screenshots: docs/images/{name} ({len(picture) // 1000} kB)")


if __name__ == "__main__":
    try:
        code = main()
    except (OSError, RuntimeError, AssertionError, requests.RequestException) as error:
        print(f"screenshots: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
