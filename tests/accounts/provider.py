"""A small OpenID Connect provider and a small Keystone on loopback HTTP: real as far as we can see, and they lie."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "pxeapp", "client-secret"


@dataclass
class Provider:
    """What it says, and how it lies: `claims` are put over those of the token, `signed` says with what it is signed."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    signed: str = "RS256"
    document: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    stranger: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    asked: list[str] = field(default_factory=list)

    def authorize(self, address: str) -> str:
        """What a browser does there: sign in, and be sent back. Returns the address that it is sent to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.url})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """RFC 6749's token endpoint, with PKCE and the client's secret."""
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        begun = self.codes.pop(form.get("code", ""), None)
        if authorization != f"Basic {wanted}":
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if begun is None or begun["code_challenge"] != challenge or begun["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(begun["nonce"])}

    def id_token(self, nonce: str) -> str:
        moment = int(time.time())
        claims = {
            "iss": self.url, "sub": "1234", "aud": CLIENT, "exp": moment + 300, "iat": moment, "nonce": nonce,
            "preferred_username": "Ada", "groups": ["rack-team"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.signed in ("none", "HS256"):
            parts = [_plain(json.dumps(each).encode()) for each in ({"alg": self.signed, "kid": "one"}, claims)]
            # With the public key as the secret, the oldest trick of all.
            mac = hmac.digest(self.key.as_pem(private=False), ".".join(parts).encode(), "sha256")
            return ".".join([*parts, _plain(mac) if self.signed == "HS256" else ""])
        key = self.stranger if self.signed == "stranger" else self.key
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)

    def get(self, path: str, headers: Any) -> tuple[int, Any]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize", "jwks_uri": f"{self.url}/keys",
                "token_endpoint": f"{self.url}/token", "userinfo_endpoint": f"{self.url}/userinfo", **self.document,
            }  # fmt: skip
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False, use="sig", alg="RS256")]}
        if path == "/userinfo" and headers.get("Authorization") == "Bearer at":
            return 200, {"sub": "1234", **self.userinfo}
        return 404, {}


def _plain(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


@dataclass
class Keystone:
    """Keystone v3's GET /auth/tokens: a token may validate itself."""

    url: str = ""
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: int = 200
    body: Any = None
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, headers: Any) -> tuple[int, Any]:
        self.asked.append(path)
        subject, own = headers.get("X-Subject-Token"), headers.get("X-Auth-Token")
        if not path.startswith("/v3/auth/tokens"):
            return 404, {}
        if own not in self.tokens:
            return 401, {"error": {"code": 401}}
        if subject not in self.tokens:
            return 404, {"error": {"code": 404}}
        return self.status, {"token": self.tokens[subject]} if self.body is None else self.body


@contextlib.contextmanager
def served(what: Provider | Keystone) -> Iterator[None]:
    """Serve it on loopback until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*what.get(self.path, self.headers))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            assert isinstance(what, Provider)
            self._answer(*what.token(form, self.headers.get("Authorization", "")))

        def _answer(self, status: int, body: Any) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    what.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
