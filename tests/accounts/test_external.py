"""Sign-in by OpenID Connect against a provider on loopback that lies in every way, and Keystone's tokens."""

from __future__ import annotations

import datetime as dt
import re
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import select

from pxeapp import config
from pxeapp.accounts import grants, keystone, oidc, service
from pxeapp.accounts.models import User
from pxeapp.api.context import actor
from pxeapp.api.events import Feed, Listener
from pxeapp.api.guard import credential
from pxeapp.app import create_app
from pxeapp.audit import AuditRow
from pxeapp.config import Grant
from pxeapp.db import now
from pxeapp.streams import Stream
from tests.accounts.provider import CLIENT, SECRET, Keystone, Provider, served
from tests.api.conftest import Api, api, prepared, routed
from tests.ports import free_port

__all__ = ["api", "prepared", "routed"]
pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def keys() -> Provider:
    """Making RSA keys takes longer than all that a test asks."""
    return Provider()


@pytest.fixture
def provider(keys: Provider) -> Iterator[Provider]:
    fresh = Provider(key=keys.key, stranger=keys.stranger)
    oidc.forget()
    with served(fresh):
        yield fresh


@pytest.fixture
def app(api: Api, provider: Provider, tmp_path: Path) -> Iterator[APIFlask]:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    app = create_app(
        config.load(
            {
                "PXEAPP_DATA_DIR": str(api.context.settings.data_dir),
                "PXEAPP_OIDC_ISSUER": provider.url,
                "PXEAPP_OIDC_CLIENT_ID": CLIENT,
                "PXEAPP_OIDC_CLIENT_SECRET_FILE": str(secret),
                "PXEAPP_OIDC_ROLES": "rack-team=operator:web+db,rack-admins=admin,everybody=viewer",
                "PXEAPP_OIDC_LABEL": "Example ID",
            }
        )
    )
    yield app
    app.extensions["pxeapp"].database.dispose()


def come_back(client: FlaskClient, provider: Provider, back: str = "") -> Any:
    """Press the button, sign in there, and be sent back."""
    away = client.get("/login/oidc", query_string={"back": back} if back else {})
    assert away.status_code == HTTPStatus.SEE_OTHER
    place = urlsplit(provider.authorize(away.headers["Location"]))
    return client.get(f"{place.path}?{place.query}")


def users(app: APIFlask) -> dict[str, tuple[str, list[str] | None]]:
    with app.extensions["pxeapp"].database.read() as session:
        found = session.scalars(select(User).where(User.source == "oidc"))
        return {row.name: (row.role, row.projects) for row in found}


def test_the_first_sign_in_makes_the_account_and_leads_to_where_one_wanted(app: APIFlask, provider: Provider) -> None:
    client = app.test_client()
    assert "Example ID" in client.get("/login").text
    reply = come_back(client, provider, "/machines?q=x")
    assert (reply.status_code, reply.headers["Location"]) == (HTTPStatus.SEE_OTHER, "/machines?q=x")
    assert users(app) == {"ada": ("operator", ["db", "web"])}
    said = client.get("/api/v1/account").json
    assert (said["actor"], said["role"], said["projects"]) == ("user:ada", "operator", ["db", "web"])


def test_each_sign_in_takes_role_and_projects_anew(app: APIFlask, provider: Provider) -> None:
    come_back(app.test_client(), provider)
    provider.claims = {"groups": ["rack-admins", "rack-team"], "preferred_username": "renamed"}
    come_back(app.test_client(), provider)
    assert users(app) == {"ada": ("admin", None)}, "the account is found by issuer and subject, not by name"


def test_groups_may_come_from_userinfo(app: APIFlask, provider: Provider) -> None:
    provider.claims, provider.userinfo = {"groups": None}, {"groups": ["everybody"]}
    come_back(app.test_client(), provider)
    assert users(app) == {"ada": ("viewer", None)}


def test_userinfo_of_somebody_else_is_nobodys(app: APIFlask, provider: Provider) -> None:
    provider.claims, provider.userinfo = {"groups": None}, {"groups": ["rack-admins"], "sub": "another"}
    assert come_back(app.test_client(), provider).status_code == HTTPStatus.FORBIDDEN


PAST, COMING = int(time.time()) - 3600, int(time.time()) + 3600


LIES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"nonce": "another"}, "RS256"), ({"nonce": None}, "RS256"), ({"aud": "another"}, "RS256"),
    ({"aud": None}, "RS256"), ({"aud": [CLIENT, "b"]}, "RS256"), ({"aud": [CLIENT, "b"], "azp": "b"}, "RS256"),
    ({"iss": "https://another.example"}, "RS256"), ({"exp": PAST}, "RS256"), ({"exp": None}, "RS256"),
    ({"exp": "never"}, "RS256"), ({"iat": COMING}, "RS256"), ({"iat": None}, "RS256"), ({"sub": None}, "RS256"),
    ({"sub": ""}, "RS256"), ({}, "none"), ({}, "HS256"), ({}, "stranger"),
)  # fmt: skip


def test_a_token_that_lies_lets_nobody_in(app: APIFlask, provider: Provider) -> None:
    for claims, signed in LIES:
        provider.claims, provider.signed = claims, signed
        client = app.test_client()
        assert come_back(client, provider).status_code == HTTPStatus.UNAUTHORIZED, (claims, signed)
        assert client.get("/api/v1/account").status_code == HTTPStatus.UNAUTHORIZED
    assert users(app) == {}
    provider.claims, provider.signed = {"aud": [CLIENT, "b"], "azp": CLIENT}, "RS256"
    assert come_back(app.test_client(), provider).status_code == HTTPStatus.SEE_OTHER


@pytest.mark.parametrize("query", ["", "code=x", "code=x&state=guess", "error=access_denied"])
def test_an_answer_that_was_not_asked_for_lets_nobody_in(app: APIFlask, query: str) -> None:
    client = app.test_client()
    client.get("/login/oidc")
    assert client.get(f"/login/oidc/callback?{query}").status_code == HTTPStatus.UNAUTHORIZED


def test_an_answer_is_taken_once_and_only_in_the_browser_that_began(app: APIFlask, provider: Provider) -> None:
    client = app.test_client()
    away = client.get("/login/oidc").headers["Location"]
    place = urlsplit(provider.authorize(away))
    assert app.test_client().get(f"{place.path}?{place.query}").status_code == HTTPStatus.UNAUTHORIZED
    assert client.get(f"{place.path}?{place.query}").status_code == HTTPStatus.SEE_OTHER, "a stranger used it up"
    again = urlsplit(provider.authorize(client.get("/login/oidc").headers["Location"]))
    assert client.get(f"{again.path}?{again.query}").status_code == HTTPStatus.SEE_OTHER
    assert client.get(f"{again.path}?{again.query}").status_code == HTTPStatus.UNAUTHORIZED


def test_an_account_that_is_there_is_never_taken_over(app: APIFlask, provider: Provider) -> None:
    provider.claims = {"preferred_username": "admin", "groups": ["rack-admins"]}
    reply = come_back(app.test_client(), provider)
    assert reply.status_code == HTTPStatus.FORBIDDEN
    assert "already is another account admin" in reply.text


def test_a_disabled_account_and_one_without_a_group_stay_outside(app: APIFlask, provider: Provider) -> None:
    come_back(app.test_client(), provider)
    with app.extensions["pxeapp"].database.write() as session:
        service.change_user(session, "ada", disabled=True, actor="test", now=now())
    assert come_back(app.test_client(), provider).status_code == HTTPStatus.FORBIDDEN
    provider.claims = {"sub": "5678", "groups": ["others"]}
    assert come_back(app.test_client(), provider).status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_nobody_is_led_to_another_site(app: APIFlask, provider: Provider, back: str) -> None:
    assert come_back(app.test_client(), provider, back).headers["Location"] == "/"


@pytest.mark.parametrize("document", [{"issuer": "https://another.example"}, {"token_endpoint": "file:///etc/passwd"}])
def test_a_provider_that_does_not_describe_itself_is_not_asked(
    app: APIFlask, provider: Provider, document: dict[str, Any]
) -> None:
    provider.document = document
    assert app.test_client().get("/login/oidc").status_code == HTTPStatus.SERVICE_UNAVAILABLE


def test_without_a_provider_there_is_no_button(api: Api) -> None:
    client = api.app.test_client()
    assert "/login/oidc" not in client.get("/login").text
    assert client.get("/login/oidc").status_code == HTTPStatus.NOT_FOUND


# -- Keystone

SOON = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()


def said(*roles: str, expires_at: str = SOON, project: str | None = "web") -> dict[str, Any]:
    named = {"project": {"name": project}} if project else {}
    return {"user": {"name": "ada"}, "roles": [{"name": role} for role in roles], "expires_at": expires_at, **named}


@pytest.fixture
def openstack(api: Api) -> Iterator[tuple[Keystone, FlaskClient]]:
    keystone.forget()
    fake = Keystone(
        tokens={
            "good": said("member"),
            "root": said("admin"),
            "other": said("reader"),
            "old": said("admin", expires_at="2020-01-01T00:00:00.000000Z"),
        }
    )
    with served(fake):
        app = create_app(
            config.load(
                {
                    "PXEAPP_DATA_DIR": str(api.context.settings.data_dir),
                    "PXEAPP_KEYSTONE_URL": f"{fake.url}/v3",
                    "PXEAPP_KEYSTONE_ROLES": "admin=admin,member=operator:@project",
                }
            )
        )
        yield fake, app.test_client()
        app.extensions["pxeapp"].database.dispose()


def ask(client: FlaskClient, token: str, path: str = "/api/v1/account", method: str = "GET", **more: Any) -> Any:
    return client.open(path, method=method, headers={"X-Auth-Token": token}, **more)


def test_a_keystone_token_works_with_the_machines_of_its_project(openstack: tuple[Keystone, FlaskClient]) -> None:
    fake, client = openstack
    reply = ask(client, "good").json
    assert (reply["actor"], reply["role"], reply["projects"]) == ("keystone:ada@web", "operator", ["web"])
    made = ask(client, "good", "/api/v1/machines", "POST", json={"name": "n1", "mac": "52:54:00:00:00:01"})
    assert (made.status_code, made.json["project"]) == (HTTPStatus.CREATED, "web")
    assert ask(client, "root").json["projects"] is None
    assert len(fake.asked) == 2, "what Keystone said is remembered for a moment"


@pytest.mark.parametrize(
    ("token", "status"),
    [("unknown", HTTPStatus.UNAUTHORIZED), ("old", HTTPStatus.UNAUTHORIZED), ("other", HTTPStatus.FORBIDDEN),
     ("x" * 9000, HTTPStatus.UNAUTHORIZED), ("a\x7fb", HTTPStatus.UNAUTHORIZED)],
)  # fmt: skip
def test_other_tokens_open_nothing(openstack: tuple[Keystone, FlaskClient], token: str, status: HTTPStatus) -> None:
    assert ask(openstack[1], token).status_code == status


@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (200, []), (200, {}), (200, {"token": {"user": 1}}), (200, {"token": []})]
)
def test_a_broken_keystone_is_a_503(openstack: tuple[Keystone, FlaskClient], status: int, body: Any) -> None:
    openstack[0].status, openstack[0].body = status, body
    assert ask(openstack[1], "good").status_code == HTTPStatus.SERVICE_UNAVAILABLE


def test_a_keystone_that_is_away_is_a_503(api: Api) -> None:
    keystone.forget()
    settings = {
        "PXEAPP_DATA_DIR": str(api.context.settings.data_dir),
        "PXEAPP_KEYSTONE_URL": f"http://127.0.0.1:{free_port()}",
        "PXEAPP_KEYSTONE_ROLES": "admin=admin",
    }
    app = create_app(config.load(settings))
    assert ask(app.test_client(), "good").status_code == HTTPStatus.SERVICE_UNAVAILABLE
    app.extensions["pxeapp"].database.dispose()


@pytest.fixture
def program(openstack: tuple[Keystone, FlaskClient]) -> tuple[Keystone, Feed, Listener]:
    """A program that listens to changes with a token of Keystone's, and the looks at it."""
    fake, client = openstack
    app = client.application
    with app.test_request_context("/api/v1/events", headers={"X-Auth-Token": "good"}):
        assert app.preprocess_request() is None
        who, by = credential(), actor()
    return fake, Feed(app.extensions["pxeapp"].database), Listener(Stream(owner="t"), who, (), False, by.projects, 0)


def look_again(feed: Feed, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks of half a minute later: the first has Keystone asked, the second goes by what it said."""
    later = now() + keystone.REMEMBERED
    monkeypatch.setattr("pxeapp.api.events.now", lambda: later)
    feed.look([listener], check=True)
    for thread in threading.enumerate():
        if thread.name == "keystone":
            thread.join(10)
    feed.look([listener], check=True)


def test_a_stream_of_a_keystone_token_goes_on_while_keystone_knows_it(
    program: tuple[Keystone, Feed, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, feed, listener = program
    feed.look([listener], check=True)
    assert (listener.stream.closed, len(fake.asked)) == (False, 1), "by what is remembered"
    look_again(feed, listener, monkeypatch)
    assert (listener.stream.closed, len(fake.asked)) == (False, 2)


@pytest.mark.parametrize("roles", [None, ("reader",), ("admin",)])
def test_it_ends_when_keystone_refuses_the_token_or_gives_other_rights(
    program: tuple[Keystone, Feed, Listener], monkeypatch: pytest.MonkeyPatch, roles: tuple[str, ...] | None
) -> None:
    fake, feed, listener = program
    if roles is None:
        del fake.tokens["good"]
    else:
        fake.tokens["good"] = said(*roles)
    look_again(feed, listener, monkeypatch)
    assert listener.stream.closed
    assert listener.stream.take() == b"event: bye\ndata: {}\n\n"


def test_it_outlives_a_keystone_that_is_silent_but_not_its_token(
    program: tuple[Keystone, Feed, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, feed, listener = program
    fake.status = 500
    look_again(feed, listener, monkeypatch)
    assert not listener.stream.closed
    assert len(fake.asked) >= 2, "what it did not answer is not remembered: the second look may have asked again"
    end = dt.datetime.fromisoformat(SOON)
    monkeypatch.setattr("pxeapp.api.events.now", lambda: end)
    feed.look([listener], check=True)
    assert listener.stream.closed


def test_without_the_setting_a_keystone_token_is_nothing(api: Api) -> None:
    assert ask(api.app.test_client(), "good").status_code == HTTPStatus.UNAUTHORIZED


# -- what groups give


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ({"none"}, None), ({"v"}, ("viewer", None)), ({"v", "w"}, ("operator", frozenset({"web"}))),
        ({"w", "d"}, ("operator", frozenset({"web", "db"}))), ({"w", "o"}, ("operator", None)),
        ({"a", "w"}, ("admin", None)), ({"p"}, ("operator", frozenset())),
    ],
)  # fmt: skip
def test_the_highest_role_wins_on_all_of_its_projects(groups: set[str], found: object) -> None:
    table = (
        Grant("v", "viewer"), Grant("w", "operator", ("web",)), Grant("d", "operator", ("db",)),
        Grant("o", "operator"), Grant("a", "admin"), Grant("p", "operator", ("@project",)),
    )  # fmt: skip
    assert grants.best(table, groups) == found


def test_what_a_provider_did_is_audited_without_its_tokens(app: APIFlask, provider: Provider) -> None:
    come_back(app.test_client(), provider)
    with app.extensions["pxeapp"].database.read() as session:
        rows = session.scalars(
            select(AuditRow).where(AuditRow.action.in_(("user.create", "session.begin"))).order_by(AuditRow.id)
        ).all()
        mine = [row for row in rows if row.subject == "ada"]
    assert [row.actor for row in mine] == ["system:oidc", "user:ada"]
    assert not re.search(r"eyJ|client-secret", str([row.details for row in mine]))
