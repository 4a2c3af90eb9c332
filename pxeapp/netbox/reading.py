"""NetBox's REST interface, read only: pages followed on the same host, each request bounded in time and length."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from pxeapp.errors import FieldProblem, Invalid, Unavailable

PAGE = 500
TIMEOUT_S = 15.0  # of a request: to connect, and for each silence
DEADLINE_S = 600.0  # of the whole reading
MOST_BYTES = 64 * 1024 * 1024  # of one page
MOST_PAGES = 1000
CHUNK = 64 * 1024


class NetBox:
    """One NetBox. `token` is sent to it, and to no other host."""

    def __init__(self, url: str, token: str, *, verify: bool | str = True, deadline_s: float = DEADLINE_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            fix = "Write https://netbox.example.org, without a user name."
            raise Invalid("This is no NetBox.", problems=[FieldProblem("--url", f"{url[:80]!r} is no address.", fix)])
        self._base = url.rstrip("/").removesuffix("/api") + "/api/"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc decides where the token goes
        scheme = "Bearer" if token.startswith("nbt_") else "Token"  # NetBox 4.5 has a second kind
        self._session.headers.update({"Authorization": f"{scheme} {token}", "Accept": "application/json"})
        self._session.verify = verify
        self._until = time.monotonic() + deadline_s

    def every(self, path: str, **narrowed: Any) -> Iterator[Mapping[str, Any]]:
        """Every object of a list, page after page."""
        query = urlencode({"limit": PAGE, **narrowed}, doseq=True)
        url: str | None = urljoin(self._base, f"{path}/?{query}")
        for _ in range(MOST_PAGES):
            if url is None:
                return
            page = self._page(url)
            yield from (each for each in page["results"] if isinstance(each, Mapping))
            url = self._following(page.get("next"))
        raise Unavailable(f"NetBox' list {path} does not end.", hint="Narrow it with --site, --role or --tag.")

    def close(self) -> None:
        """Give its connections back."""
        self._session.close()

    def _page(self, url: str) -> Mapping[str, Any]:
        if time.monotonic() > self._until:
            raise Unavailable("NetBox takes too long.", hint="Narrow it with --site, --role or --tag.")
        try:
            with self._session.get(url, timeout=TIMEOUT_S, stream=True, allow_redirects=False) as answer:
                _refuse(answer, url)
                found = json.loads(self._body(answer))
        except requests.RequestException as error:
            raise Unavailable(
                f"NetBox cannot be read: {type(error).__name__} at {urlsplit(url).hostname}.", hint="Check --url."
            ) from error
        except ValueError as error:
            raise Unavailable(f"{url} answers what is no JSON: is it NetBox?", hint="Check --url.") from error
        if not isinstance(found, Mapping) or not isinstance(found.get("results"), list):
            raise Unavailable(f"{url} answers no list: is it NetBox?", hint="Check --url.")
        return found

    def _body(self, answer: requests.Response) -> bytes:
        whole = bytearray()
        for chunk in answer.iter_content(CHUNK):
            whole += chunk
            if len(whole) > MOST_BYTES:
                raise Unavailable(f"A page of NetBox is longer than {MOST_BYTES} bytes.")
            if time.monotonic() > self._until:
                raise Unavailable("NetBox takes too long.", hint="Narrow it with --site, --role or --tag.")
        return bytes(whole)

    def _following(self, said: Any) -> str | None:
        """The next page, asked at the address that we were given: behind a proxy NetBox may call itself otherwise."""
        if not said:
            return None
        query = urlsplit(str(said))
        place = query.path.partition("/api/")[2]
        return urljoin(self._base, f"{place}?{query.query}")


def _refuse(answer: requests.Response, url: str) -> None:
    status = answer.status_code
    if status in (401, 403):
        raise Unavailable(f"NetBox does not take this token ({status}).", hint="It needs read access to DCIM and IPAM.")
    if status in range(300, 400):
        raise Unavailable(f"{url} redirects; the token is not sent on.", hint="Give the final address.")
    if status != 200:
        raise Unavailable(f"NetBox answers {status} at {url}.", hint="Check --url and NetBox itself.")
