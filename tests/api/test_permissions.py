"""Every route against the one permission table: nobody gets in who is not in it, and nothing is forgotten."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.routing import Rule

from pxeapp.accounts import service
from pxeapp.accounts.models import ApiToken
from pxeapp.accounts.permissions import (
    ADMIN,
    BY_HAND,
    OPERATOR,
    PERMISSIONS,
    PUBLIC,
    READS,
    ROLES,
    VIEWER,
    WHOLE,
    allows,
)
from pxeapp.app import create_app
from pxeapp.db import now
from tests.api.conftest import MAC, Api, Asker, token_of, user

REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What stands for each variable part of a route.
VALUES: dict[str, object] = {
    "key": "node1", "name": "nothing-of-this-name", "number": 4711, "kind": "static", "path": "boot/nothing.ipxe",
    "wave": 1, "file": "nothing.001-of-001", "fingerprint": "0" * 40, "verb": "verify",
}  # fmt: skip


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """Each endpoint with its method and a path that leads to it."""
    found = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            path = _path(app, rule)
            found += [(rule.endpoint, method, path) for method in METHODS if method in (rule.methods or ())]
    return sorted(found)


def _path(app: Flask, rule: Rule) -> str:
    values = {name: VALUES[name] for name in rule.arguments}
    return app.url_for(rule.endpoint, **values)


def test_every_route_is_in_the_table_and_the_table_holds_nothing_else(api: Api) -> None:
    known = {rule.endpoint for rule in api.app.url_map.iter_rules()}
    assert known - PERMISSIONS.keys() == set(), "routes without a permission; add them to accounts/permissions.py"
    assert PERMISSIONS.keys() - known == set(), "permissions of routes that do not exist any more"


def test_a_route_that_is_not_in_the_table_is_refused_to_everybody(api: Api) -> None:
    app = create_app(api.context.settings)
    app.add_url_rule("/forgotten", endpoint="forgotten", view_func=lambda: "a secret")
    for role in (None, *ROLES):
        reply = Asker(app.test_client(), api.tokens[role] if role else None).ask("GET", "/forgotten")
        assert reply.status_code == HTTPStatus.FORBIDDEN
        assert "secret" not in reply.text
    app.extensions["pxeapp"].database.dispose()


@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_role_reaches_exactly_what_the_table_gives_it(api: Api, role: str | None) -> None:
    for endpoint, method, path in routes(api.app):
        expected = PERMISSIONS[endpoint] == PUBLIC or (role is not None and _by_token(endpoint, role))
        assert _got_in(api.of(role), endpoint, method, path) == expected, f"{role} at {method} {path} ({endpoint})"


def _by_token(endpoint: str, role: str) -> bool:
    """Whether a token of a role gets in: not where only somebody at a browser may."""
    return allows(role, PERMISSIONS[endpoint]) and endpoint not in BY_HAND


@pytest.mark.parametrize("role", [VIEWER, OPERATOR])
def test_who_is_limited_to_projects_reaches_nothing_that_concerns_the_whole_appliance(api: Api, role: str) -> None:
    with api.write() as session:
        _, secret = service.create_token(session, name="t", role=role, projects=["web"], actor="test", now=now())
    asker = api.with_token(secret)
    for endpoint, method, path in routes(api.app):
        least = PERMISSIONS[endpoint]
        expected = least == PUBLIC or (_by_token(endpoint, role) and endpoint not in WHOLE)
        assert _got_in(asker, endpoint, method, path) == expected, f"{method} {path} ({endpoint})"


def test_a_token_that_only_reads_changes_nothing_whatever_its_role(api: Api) -> None:
    with api.write() as session:
        _, secret = service.create_token(session, name="t", role=ADMIN, read_only=True, actor="test", now=now())
    asker = api.with_token(secret)
    for endpoint, method, path in routes(api.app):
        reads = method == "GET" or endpoint in READS
        expected = PERMISSIONS[endpoint] == PUBLIC or (_by_token(endpoint, ADMIN) and reads)
        assert _got_in(asker, endpoint, method, path) == expected, f"{method} {path} ({endpoint})"


@pytest.mark.parametrize("kind", ["expired", "revoked", "of a removed user", "of a disabled user", "made up"])
def test_a_dead_token_opens_nothing_that_is_not_public(api: Api, kind: str) -> None:
    asker = api.with_token(_dead_token(api, kind))
    for endpoint, method, path in routes(api.app):
        assert _got_in(asker, endpoint, method, path) == (PERMISSIONS[endpoint] == PUBLIC), f"{method} {path}"


@pytest.mark.parametrize("role", ROLES)
def test_a_token_of_a_demoted_user_reaches_no_further_than_its_user(api: Api, role: str) -> None:
    with api.write() as session:
        owner = user(session, "eve", ADMIN)
        asker = api.with_token(token_of(session, owner, ADMIN))
        owner.role = role
    for endpoint, method, path in routes(api.app):
        expected = PERMISSIONS[endpoint] == PUBLIC or _by_token(endpoint, role)
        assert _got_in(asker, endpoint, method, path) == expected, f"{method} {path}"


def test_a_token_is_refused_from_the_very_request_after_its_user_was_removed(api: Api) -> None:
    with api.write() as session:
        secret = token_of(session, user(session, "eve", OPERATOR), OPERATOR)
    asker = api.with_token(secret)
    assert asker.get("/machines").status_code == HTTPStatus.OK
    assert api.of(ADMIN).delete("/users/eve").status_code == HTTPStatus.NO_CONTENT
    assert asker.get("/machines").status_code == HTTPStatus.UNAUTHORIZED


def test_a_refusal_names_the_role_that_is_needed_and_the_one_that_was_there(api: Api) -> None:
    reply = api.of(VIEWER).post("/machines", json={"name": "node1", "mac": MAC})
    assert reply.status_code == HTTPStatus.FORBIDDEN
    assert "operator" in reply.json["detail"]
    assert "viewer" in reply.json["detail"]


def test_without_a_token_the_answer_says_how_to_get_in(api: Api) -> None:
    reply = api.of(None).get("/machines")
    assert reply.status_code == HTTPStatus.UNAUTHORIZED
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert "Authorization" in reply.json["hint"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "bearer \x7f", "Bearer " + "x" * 3000]
)
def test_an_odd_authorization_header_is_a_401(api: Api, header: str) -> None:
    reply = api.of(None).get("/machines", headers={"Authorization": header})
    assert reply.status_code == HTTPStatus.UNAUTHORIZED
    assert reply.mimetype == "application/problem+json"


def _got_in(asker: Asker, endpoint: str, method: str, path: str) -> bool:
    """Whether the guard let the request through; what the handler then says of it is another matter."""
    reply = asker.ask(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)
    turned_away = reply.status_code in REFUSED or reply.headers.get("Location", "").startswith("/login")
    if endpoint == "ui.sign_out" and asker.token and reply.status_code == HTTPStatus.SEE_OTHER:
        return True  # there is no session to end; it went through, to the sign-in page
    if endpoint.startswith("ui.") and PERMISSIONS[endpoint] == PUBLIC and method == "POST":
        return "too old or came from another site" in reply.text  # open to everybody, from a page of ours
    return not turned_away


def _dead_token(api: Api, kind: str) -> str:
    with api.write() as session:
        if kind == "expired":
            return token_of(session, None, ADMIN, expires_at=now() - dt.timedelta(seconds=1))
        if kind == "made up":
            return "pxe_" + "A" * 43
        owner = user(session, "eve", ADMIN)
        secret = token_of(session, owner, ADMIN)
        if kind == "revoked":
            number = session.scalar(select(func.max(ApiToken.id)))
            service.revoke_token(session, number, actor="test", now=now())
        elif kind == "of a removed user":
            service.delete_user(session, "eve", actor="test", now=now())
        else:
            owner.disabled = True
        return secret
