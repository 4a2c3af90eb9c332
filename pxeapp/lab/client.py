"""The appliance's public API, as any script would use it."""

from __future__ import annotations

import time
from typing import Any

import requests

from pxeapp.errors import Unavailable

TIMEOUT_S = 30


class Api:
    """One appliance, one token."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url
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
        """GET below /api/v1."""
        return self._answer(self._session.get(f"{self._url}/api/v1{path}", timeout=TIMEOUT_S))

    def post(self, path: str, body: Any) -> Any:
        """POST below /api/v1."""
        return self._answer(self._session.post(f"{self._url}/api/v1{path}", json=body, timeout=TIMEOUT_S))

    def patch(self, path: str, body: Any) -> Any:
        """PATCH below /api/v1."""
        return self._answer(self._session.patch(f"{self._url}/api/v1{path}", json=body, timeout=TIMEOUT_S))

    @staticmethod
    def _answer(response: requests.Response) -> Any:
        if response.ok:
            return response.json() if response.content else None
        raise Unavailable(f"The appliance answered {response.status_code}: {response.text[:500]}")
