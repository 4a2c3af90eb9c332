"""The console in a real browser: keys go to the machine, its words come back; what it writes reaches nothing else."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from pxeapp.bmc.connect import FAKE_FOLDER
from pxeapp.bmc.fake import FakeBmc
from pxeapp.consoles import recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.consoles.recordings import Recorder
from pxeapp.db import now
from pxeapp.machines import selectors
from tests.ui import play
from tests.ui.served import Appliance, needs_assets

pytestmark = [pytest.mark.chromium, pytest.mark.network, needs_assets]
SCREEN = "document.querySelector('.xterm-rows').innerText"  # evaluated by DevTools: the page's policy forbids eval


@pytest.fixture(scope="module")
def fake(served: Appliance) -> Iterator[FakeBmc]:
    """The BMC of compute-04, made of files; and the process that holds its console."""
    data_dir = Path(str(served.database.engine.url.database)).parent
    with served.database.write() as session:
        bmc = selectors.get(session, "compute-04").bmc
        assert bmc is not None
        bmc.type, bmc.address = "fake", "c4"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pxeapp", "console"], env={**environ, "PXEAPP_DATA_DIR": str(data_dir)},
        start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: (data_dir / "run" / "console.sock").exists(), "the console process")
        yield FakeBmc(data_dir / FAKE_FOLDER, "c4")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def until(there: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline, f"waited a minute for {what}"
        time.sleep(0.05)


def opened(chromium: Browser, served: Appliance) -> Page:
    page = play.signed_in(chromium, served.url)
    page.goto(f"{served.url}/machines/compute-04/console")
    page.wait_for_selector("#console-status[data-state=open]")
    return page


def sees(page: Page, text: str) -> None:
    def there() -> bool:
        page.wait_for_timeout(50)
        return text in page.evaluate(SCREEN)

    until(there, f"{text!r} on the screen")


def typed(fake: FakeBmc) -> bytes:
    path = fake._path.with_suffix(".typed")
    return path.read_bytes() if path.exists() else b""


def test_keys_go_to_the_machine_in_their_order_and_its_words_come_back(
    served: Appliance, chromium: Browser, fake: FakeBmc
) -> None:
    page = opened(chromium, served)
    heard = play.complaints(page)
    fake.says(b"node login: ")
    sees(page, "node login:")
    text = "echo abcdefghijklmnopqrstuvwxyz"
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    sees(page, text)
    assert typed(fake).endswith(text.encode() + b"\r")
    assert heard == []
    page.context.close()


def test_who_looks_on_sees_the_same_and_who_reconnects_misses_nothing(
    served: Appliance, chromium: Browser, fake: FakeBmc
) -> None:
    ada, bob = opened(chromium, served), opened(chromium, served)
    fake.says(b"\r\nfor everybody\r\n")
    for page in (ada, bob):
        sees(page, "for everybody")
    bob.context.close()
    ada.context.set_offline(offline=True)
    fake.says(b"said meanwhile\r\n")
    ada.context.set_offline(offline=False)
    sees(ada, "said meanwhile")
    ada.context.close()


def test_a_hostile_machine_reaches_nothing_but_its_screen(served: Appliance, chromium: Browser, fake: FakeBmc) -> None:
    page = opened(chromium, served)
    heard, title, before = play.complaints(page), page.title(), typed(fake)
    fake.says(
        b"\r\n\x1b]0;owned\x07\x1b]2;owned\x07\x1b]52;c;ZXZpbA==\x07"  # the title, the clipboard
        b"\x1b[c\x1b[>c\x1b[5n\x1b[6n\x1b[?6n\x1b[18t\x1b[21t\x1bP$qm\x1b\\\x1b]10;?\x07\x1b[?25$p\x1b[>q"  # questions
        b"\x1b]8;;https://evil.example/\x07link\x1b]8;;\x07 <img src=x onerror=alert(1)> \xff\xfe done\r\n"
    )
    sees(page, "done")
    page.wait_for_timeout(300)
    assert page.title() == title
    assert typed(fake) == before, "an answer was typed"
    assert page.locator(".console a, .console img").count() == 0
    assert page.evaluate(SCREEN).count("onerror=alert") == 1
    assert heard == []
    page.context.close()


def test_a_recording_is_played_sought_and_cut_short(served: Appliance, chromium: Browser, fake: FakeBmc) -> None:
    data_dir = fake._path.parent.parent
    with served.database.write() as session:
        row = ConsoleRecording(
            machine_id=selectors.get(session, "compute-04").id, title="attempt 1", started_at=now(), ended_at=now()
        )
        session.add(row)
        session.flush()
        number = row.id
    began = now()
    recorder = Recorder(recordings.path_of(data_dir, number), started_at=began, title="attempt 1")
    for seconds, text in ((1, b"first\r\n"), (2, b"second\r\n"), (600, b"third\r\n")):
        recorder.heard(text, now=began + dt.timedelta(seconds=seconds))
    recorder.close()
    page = play.signed_in(chromium, served.url)
    heard = play.complaints(page)
    page.goto(f"{served.url}/machines/compute-04/console/recordings/{number}")
    page.wait_for_selector("[data-ready]")
    assert page.get_attribute("#seek", "max") == "30", "ten minutes of silence became a second"
    page.select_option("#speed", "20")
    page.click("#play")
    sees(page, "third")
    page.locator("#seek").evaluate("seek => { seek.value = 15; seek.dispatchEvent(new Event('input')); }")
    sees(page, "first")
    assert "second" not in page.evaluate(SCREEN)
    assert heard == []
    page.context.close()
