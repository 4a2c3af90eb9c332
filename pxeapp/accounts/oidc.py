"""Sign-in by OpenID Connect: authorization code with PKCE, and every check that RFC 7636 and OpenID Core ask for."""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pxeapp.accounts import asking
from pxeapp.config import Settings
from pxeapp.errors import Forbidden, Unauthenticated, Unavailable

# Signatures only that a provider makes with a key of its own: with HMAC or none, whoever knows our client could.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_S = 60  # two clocks
DISCOVERED_S = 600.0
PENDING_S = 600  # somebody types their password elsewhere meanwhile
_discovered: dict[str, tuple[float, Provider]] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider says of itself."""

    issuer: str
    authorize: str
    token: str
    keys: str
    userinfo: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What is kept between leaving for the provider and coming back."""

    state: str
    nonce: str
    verifier: str
    at: int

    def to_dict(self) -> dict[str, Any]:
        """For the browser's cookie."""
        return {"state": self.state, "nonce": self.nonce, "verifier": self.verifier, "at": self.at}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who came back, as the provider vouches for it."""

    external_id: str
    name: str
    groups: frozenset[str]


def begin(settings: Settings, redirect_uri: str, *, now: dt.datetime) -> tuple[str, Pending]:
    """Where to send the browser, and what to keep until it comes back."""
    provider = discover(settings.oidc_issuer)
    pending = Pending(
        secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), int(now.timestamp())
    )
    with _client(settings, redirect_uri) as client:
        url, _state = client.create_authorization_url(
            provider.authorize, state=pending.state, nonce=pending.nonce, code_verifier=pending.verifier
        )
    return str(url), pending


def finish(
    settings: Settings, redirect_uri: str, kept: Mapping[str, Any], said: Mapping[str, str], *, now: dt.datetime
) -> Identity:
    """Who came back with a code; raises Unauthenticated with what was wrong, or Unavailable."""
    try:
        pending = Pending(str(kept["state"]), str(kept["nonce"]), str(kept["verifier"]), int(kept["at"]))
    except (KeyError, TypeError, ValueError):
        raise _refused("This sign-in was not begun in this browser.") from None
    if not hmac.compare_digest(pending.state.encode(), said.get("state", "").encode()):
        raise _refused("This sign-in was not begun in this browser.")
    if now.timestamp() - pending.at > PENDING_S:
        raise _refused("This sign-in took too long.")
    if said.get("error") or not said.get("code"):
        reason = "".join(filter(str.isprintable, said.get("error", "no code")))[:60]
        raise _refused(f"The provider let nobody in ({reason}).")
    provider = discover(settings.oidc_issuer)
    if said.get("iss", provider.issuer) != provider.issuer:  # RFC 9207: the answer is another provider's
        raise _refused("Another provider answered.")
    answer = _fetch(settings, provider, redirect_uri, said["code"], pending.verifier)
    claims = _claims(settings, provider, str(answer.get("id_token", "")), pending.nonce, now)
    return _identity(settings, provider, claims, str(answer.get("access_token", "")))


def discover(issuer: str) -> Provider:
    """The provider's own description, remembered for ten minutes."""
    with _lock:
        until, known = _discovered.get(issuer, (0.0, None))
    if known is not None and time.monotonic() < until:
        return known
    what = "The identity provider"
    status, said = asking.get_json(what, f"{issuer.rstrip('/')}/.well-known/openid-configuration", {})
    if status != 200 or not isinstance(said, dict) or said.get("issuer") != issuer:
        raise Unavailable(
            f"{issuer} does not describe itself as an OpenID provider of that name.",
            hint="PXEAPP_OIDC_ISSUER must be, to the letter, what its discovery document calls issuer.",
        )
    fields = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
    places = [str(said.get(name, "")) for name in fields]
    for name, place in zip(fields, places, strict=True):
        secure = urlsplit(issuer).scheme == "https"
        if (name != "userinfo_endpoint" or place) and urlsplit(place).scheme not in (
            ("https",) if secure else ("http", "https")
        ):
            raise Unavailable(f"The identity provider's {name} is no https address.")
    found = Provider(issuer, *places)
    with _lock:
        _discovered[issuer] = (time.monotonic() + DISCOVERED_S, found)
    return found


def forget() -> None:
    """Ask the provider anew for its description."""
    with _lock:
        _discovered.clear()


def _client(settings: Settings, redirect_uri: str) -> Any:
    file = settings.oidc_client_secret_file
    secret = file.read_text().strip() if file is not None else None
    return OAuth2Session(  # type: ignore[no-untyped-call]  # authlib has no types
        settings.oidc_client_id, secret, scope=settings.oidc_scopes, redirect_uri=redirect_uri,
        code_challenge_method="S256", token_endpoint_auth_method="client_secret_basic" if secret else "none",
    )  # fmt: skip


def _fetch(settings: Settings, provider: Provider, redirect_uri: str, code: str, verifier: str) -> Mapping[str, Any]:
    try:
        with _client(settings, redirect_uri) as client:
            answer = client.fetch_token(
                provider.token, grant_type="authorization_code", code=code, code_verifier=verifier,
                timeout=asking.TIMEOUT_S, allow_redirects=False,
            )  # fmt: skip
            return dict(answer)
    except AuthlibBaseError as error:
        reason = "".join(filter(str.isprintable, str(error.error or "")))[:60]
        raise _refused(f"The provider did not take the code ({reason}).") from None
    except requests.RequestException as error:
        raise Unavailable(f"The identity provider does not answer ({type(error).__name__}).") from None
    except (ValueError, TypeError):
        raise Unavailable("The identity provider's answer cannot be read.") from None


def _claims(settings: Settings, provider: Provider, id_token: str, nonce: str, now: dt.datetime) -> dict[str, Any]:
    status, body = asking.get_json("The identity provider", provider.keys, {})
    try:
        if status != 200:
            raise Unavailable("The identity provider does not show its keys.")
        claims = dict(jwt.decode(id_token, KeySet.import_key_set(body), algorithms=list(ALGORITHMS)).claims)
    except (JoseError, ValueError, TypeError, KeyError):
        raise _refused("The provider's token is not signed by the provider.") from None
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    moment = now.timestamp()
    if claims.get("iss") != provider.issuer:
        raise _refused("The provider's token is another provider's.")
    if settings.oidc_client_id not in audiences:
        raise _refused("The provider's token is for another application.")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != settings.oidc_client_id:
        raise _refused("The provider's token is for another application.")
    if not _number(claims.get("exp")) or claims["exp"] <= moment - LEEWAY_S:
        raise _refused("The provider's token has expired.")
    if not _number(claims.get("iat")) or claims["iat"] > moment + LEEWAY_S:
        raise _refused("The provider's token is of a time to come.", "Compare the two clocks.")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _refused("The provider's token belongs to another sign-in.")
    if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
        raise _refused("The provider's token names nobody.")
    return claims


def _identity(settings: Settings, provider: Provider, claims: dict[str, Any], access_token: str) -> Identity:
    """Name and groups from the token; from the provider's userinfo where the token is kept short."""
    if provider.userinfo and access_token and settings.oidc_groups_claim not in claims:
        headers = {"Authorization": f"Bearer {access_token}"}
        status, said = asking.get_json("The identity provider", provider.userinfo, headers)
        if status == 200 and isinstance(said, dict) and said.get("sub") == claims["sub"]:
            claims = {**said, **claims}
    groups = claims.get(settings.oidc_groups_claim, [])
    listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    name = claims.get(settings.oidc_name_claim) or claims.get("email") or claims["sub"]
    if not isinstance(name, str):
        raise Forbidden("The provider gives no name that could be an account's.")
    return Identity(f"{provider.issuer}|{claims['sub']}", name, frozenset(map(str, listed)))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(sentence: str, hint: str = "Begin again.") -> Unauthenticated:
    return Unauthenticated(sentence, hint=hint)
