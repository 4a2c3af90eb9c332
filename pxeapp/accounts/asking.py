"""Asking another system over HTTP: no redirect, no endless answer, and a deadline for the whole of it."""

from __future__ import annotations

import json
import time
from typing import Any

from pxeapp.errors import Unavailable

TIMEOUT_S = (3.05, 5.0)  # to connect; between two packets
WHOLE_S = 10.0
MOST_BYTES = 1024 * 1024


def get_json(what: str, url: str, headers: dict[str, str], **query: str) -> tuple[int, Any]:
    """Status and parsed body (None where it is no JSON); raises Unavailable where no answer comes in time."""
    import requests  # cost: the guard of every request imports this, and only sites with OIDC or Keystone ask

    until = time.monotonic() + WHOLE_S
    try:
        with requests.get(
            url, params=query, headers={"Accept": "application/json", **headers}, timeout=TIMEOUT_S,
            allow_redirects=False, stream=True,
        ) as answer:  # fmt: skip
            body = b""
            for part in answer.iter_content(65536):
                body += part
                if len(body) > MOST_BYTES or time.monotonic() > until:
                    raise Unavailable(f"The answer of {what} is too long or too slow.")
            return answer.status_code, _parsed(body)
    except requests.RequestException as error:
        raise Unavailable(f"{what} does not answer ({type(error).__name__}).", hint="Try again later.") from None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
