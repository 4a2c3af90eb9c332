"""A headless Chromium over the W3C WebDriver protocol: JSON over HTTP, so that no library is needed."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import requests

from tests.ports import free_port

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip
STARTED_WITHIN_S = 60.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the W3C's own key for a reference to an element


def missing() -> str:
    """What is not installed here, or an empty text."""
    if not any(shutil.which(name) for name in PROGRAMS):
        return "chromium"
    return "" if shutil.which("chromedriver") else "chromedriver"


class Browser:
    """One window with a fresh profile."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy of the environment does not lead to loopback
        self._session = ""

    def start(self, profile: Path, *, dark: bool = False, width: int = 1280, height: int = 900) -> None:
        """Open the window."""
        program = next(path for name in PROGRAMS if (path := shutil.which(name)))
        arguments = [*ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        options = {"binary": program, "args": arguments}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        opened = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{opened['sessionId']}"
        self.resize(width, height)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.devtools("Emulation.setEmulatedMedia", features=scheme)

    def go(self, url: str) -> None:
        """Load a page; returns when it is loaded."""
        self._call("POST", f"{self._session}/url", {"url": url})

    def address(self) -> str:
        """Where the window is."""
        return str(self._call("GET", f"{self._session}/url"))

    def text(self, css: str) -> str:
        """The visible text of the first match."""
        return str(self._call("GET", f"{self._session}/element/{self._find(css)}/text"))

    def type(self, css: str, text: str) -> None:
        """Type into the first match."""
        self._call("POST", f"{self._session}/element/{self._find(css)}/value", {"text": text})

    def click(self, css: str) -> None:
        """Click the first match."""
        self._call("POST", f"{self._session}/element/{self._find(css)}/click", {})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a function body in the page; returns what it returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self) -> list[str]:
        """What the console holds since the last call: script errors, failed loads, violations of the policy."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    def until(self, seen: Callable[[], Any], what: str, *, within_s: float = 30.0) -> Any:
        """Wait until something is true, and return it."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if found := seen():
                return found
            time.sleep(0.1)
        raise AssertionError(f"{what} did not come within {within_s:.0f} s; the page says: {self.text('body')[:2000]}")

    def picture(self, *, whole: bool = False, height: int = 0) -> bytes:
        """A PNG of the window, of its first `height` pixels, or of the whole page."""
        if whole:
            height = self.run("return Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)")
        if height:
            self.resize(self.run("return window.innerWidth"), height)
        return base64.b64decode(self._call("GET", f"{self._session}/screenshot"))

    def sign_in(self, url: str, name: str, password: str) -> None:
        """Sign in at the appliance's own page."""
        self.go(f"{url}/login")
        self.type("input[name=name]", name)
        self.type("input[name=password]", password)
        self.click("main button")
        self.until(lambda: not self.address().startswith(f"{url}/login"), "a page behind the sign-in")

    def stop(self) -> None:
        """Close the window; safe to repeat."""
        if self._session:
            with contextlib.suppress(requests.RequestException, RuntimeError):
                self._call("DELETE", self._session)
            self._session = ""

    def resize(self, width: int, height: int) -> None:
        """Make the page as large as this, whatever the window is."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def _find(self, css: str) -> str:
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": css})
        return str(found[ELEMENT])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = self._http.request(method, self._base + path, json=body, timeout=90)
        value = reply.json()["value"]
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{value['error']}: {str(value.get('message', '')).splitlines()[0]}")
        return value


@contextlib.contextmanager
def browser(folder: Path, *, dark: bool = False, width: int = 1280, height: int = 900) -> Iterator[Browser]:
    """A window that is closed at the end, and its driver with it."""
    with _driver(folder) as base:
        window = Browser(base)
        try:
            window.start(folder / "profile", dark=dark, width=width, height=height)
            yield window
        finally:
            window.stop()


@contextlib.contextmanager
def _driver(folder: Path) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = folder / "chromedriver.log"
    with log.open("wb") as output, _ended(["chromedriver", f"--port={port}"], stdout=output, stderr=output) as process:
        deadline = time.monotonic() + STARTED_WITHIN_S
        while not re.search(r"started successfully", log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"chromedriver did not start: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _ended(argv: Sequence[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process group that is ended with the block: the driver's browser as well, should it be left over."""
    with subprocess.Popen(argv, start_new_session=True, **more) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
