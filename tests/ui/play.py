"""Playwright over Debian's own Chromium; nothing is downloaded. One browser for a module: see conftest.py.

def test_something(served: Appliance, chromium: Browser) -> None:
    page = signed_in(chromium, served.url, locale="zh-CN", color_scheme="dark")
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.ui.browser import PROGRAMS
from tests.ui.served import PASSWORD

ARGUMENTS = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-dev-shm-usage"]


def missing() -> str:
    """What is not installed here, or an empty text."""
    return "" if any(shutil.which(name) for name in PROGRAMS) else "chromium"


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser without a window, closed at the end."""
    program = next(path for name in PROGRAMS if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=ARGUMENTS, chromium_sandbox=os.geteuid() != 0, timeout=120_000
        )
        try:
            yield browser
        finally:
            browser.close()


def signed_in(browser: Browser, url: str, name: str = "admin", password: str = PASSWORD, **context: Any) -> Page:
    """A page of a fresh profile, behind the sign-in. `context`: locale, color_scheme, viewport, ..."""
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/login")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.click("main button")
    page.wait_for_url(lambda place: "/login" not in place)
    return page


def complaints(page: Page) -> list[str]:
    """A list that fills with what the console says from now on: script errors, failed loads, the policy's refusals."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard
