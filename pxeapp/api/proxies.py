"""A reverse proxy in front: whom it speaks for is believed only when PXEAPP_TRUSTED_PROXIES names it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface
from netaddr import AddrFormatError, IPAddress, IPNetwork

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SCHEMES = ("http", "https")


class TrustedProxies:
    """Puts the client's own address and scheme in the place of the proxy's; anybody else's headers are ignored."""

    def __init__(self, inner: WSGIApplication, networks: Sequence[IPNetwork]) -> None:
        self._inner = inner
        self._networks = networks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Rewrite and pass on."""
        if self._trusted(environ.get("REMOTE_ADDR", "")):
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower()
            if scheme in SCHEMES:
                environ["wsgi.url_scheme"] = scheme
            hops = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
            # From the right: each trusted hop vouches for the one before it, and whoever writes more to the left lies.
            for hop in reversed([text.strip() for text in hops if text.strip()]):
                if _address(hop) is None:
                    break
                environ["REMOTE_ADDR"] = hop
                if not self._trusted(hop):
                    break
        return self._inner(environ, start_response)

    def _trusted(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


class SessionCookies(SecureCookieSessionInterface):
    """A cookie that came over HTTPS never goes over HTTP, and its name says so to the browser."""

    def get_cookie_name(self, app: Flask) -> str:
        """`__Host-`: no other host, no other path and no plain HTTP can have set it."""
        name = super().get_cookie_name(app)
        return f"__Host-{name}" if request.is_secure else name

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Whether this very request came over HTTPS."""
        return request.is_secure


def install(app: Flask, networks: Sequence[IPNetwork]) -> None:
    """Wrap the application."""
    app.session_interface = SessionCookies()
    app.wsgi_app = TrustedProxies(app.wsgi_app, networks)  # type: ignore[method-assign]


def _address(text: str) -> IPAddress | None:
    try:
        return IPAddress(text)
    except (AddrFormatError, ValueError):
        return None
