"""The appliance's public API, as any script would use it."""

from __future__ import annotations

import time
from typing import Any

import requests

from pxeapp.errors import Unavailable

TIMEOUT_S = 30
PATIENCE_S = 10.0  # with an appliance that does not answer: its parts are restarted when they die


class Gone(Unavailable):
    """Nobody answers at the appliance's address."""


class Api:
    """One appliance, one token."""

    def __init__(self, url: str, token: str = "", *, patience: float = PATIENCE_S) -> None:
        self._url = url
        self._patience = patience
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def await_ready(self, seconds: float) -> None:
        """Wait until it answers that it is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self._session.get(f"{self._url}/readyz", timeout=5).status_code == requests.codes.ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise Unavailable(f"The appliance did not become ready within {seconds:.0f} s.")

    def get(self, path: str) -> Any:
        """GET below /api/v1; asked again for a while where nobody answers."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._ask("GET", path)
            except Gone:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.5)

    def post(self, path: str, body: Any) -> Any:
        """POST below /api/v1."""
        return self._ask("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        """PATCH below /api/v1."""
        return self._ask("PATCH", path, body)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            response = self._session.request(method, f"{self._url}/api/v1{path}", json=body, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise Gone(
                f"The appliance at {self._url} does not answer any more ({type(error).__name__}).",
                hint="It was ended from outside, or has crashed: look at the end of its log.",
            ) from error
        return self._answer(response)

    @staticmethod
    def _answer(response: requests.Response) -> Any:
        if response.ok:
            return response.json() if response.content else None
        raise Unavailable(f"The appliance answered {response.status_code}: {response.text[:500]}")
