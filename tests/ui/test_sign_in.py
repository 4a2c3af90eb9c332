"""Signing in and out: cookies, CSRF, guessing, and sessions that end when they should."""

from __future__ import annotations

import datetime as dt
import re
from http import HTTPStatus
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from pxeapp import config
from pxeapp.accounts import service
from pxeapp.accounts.models import SignInTry
from pxeapp.accounts.throttle import TRIES
from pxeapp.app import create_app
from pxeapp.db import now
from tests.api.conftest import PASSWORD, Api

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)


def sign_in(client: FlaskClient, name: str = "admin", password: str = PASSWORD, **more: Any) -> Any:
    given = {name: more[name] for name in ("base_url", "headers", "environ_overrides") if name in more}
    data = {"name": name, "password": password, "csrf": token(client, "/login", **given), **more.pop("data", {})}
    return client.post("/login", data=data, **more)


def token(client: FlaskClient, path: str = "/", **more: Any) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path, **more).text)
    assert found is not None
    return found[1]


def csrf(client: FlaskClient) -> str:
    return token(client)


def cookie(client: FlaskClient) -> str:
    found = client.get_cookie("pxeapp_session")
    return found.value if found else ""


@pytest.fixture
def browser(api: Api) -> FlaskClient:
    """Somebody signed in."""
    client = api.app.test_client()
    assert sign_in(client).status_code == HTTPStatus.SEE_OTHER
    return client


def test_the_right_password_leads_to_the_machines(api: Api) -> None:
    reply = sign_in(api.app.test_client())
    assert (reply.status_code, reply.headers["Location"]) == (HTTPStatus.SEE_OTHER, "/")


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("", ""), ("admin", PASSWORD + " ")]
)
def test_whatever_is_wrong_gets_the_same_answer(api: Api, name: str, password: str) -> None:
    reply = sign_in(api.app.test_client(), name, password)
    assert reply.status_code == HTTPStatus.UNAUTHORIZED
    assert "User name or password is wrong." in reply.text
    assert "Set-Cookie" not in reply.headers or "user" not in reply.headers["Set-Cookie"]


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(api: Api) -> None:
    headers = sign_in(api.app.test_client()).headers.getlist("Set-Cookie")
    (header,) = [each for each in headers if each.startswith("pxeapp_session=")]
    flags = {part.strip() for part in header.split(";")}
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= flags
    assert not any(flag.startswith("Domain") for flag in flags)
    assert PASSWORD not in header


def test_a_cookie_that_came_by_https_never_goes_by_http(api: Api) -> None:
    headers = sign_in(api.app.test_client(), base_url="https://appliance.example").headers.getlist("Set-Cookie")
    assert len(headers) == 2
    assert all("Secure" in each for each in headers)
    assert any(each.startswith("__Host-pxeapp_session=") and "Path=/;" in f"{each};" for each in headers)
    assert not any("Secure" in each for each in sign_in(api.app.test_client()).headers.getlist("Set-Cookie"))


def test_the_session_is_another_one_after_signing_in(api: Api) -> None:
    client = api.app.test_client()
    client.get("/login")
    before = cookie(client)
    assert before, "the sign-in page has a session of its own, for its CSRF token"
    sign_in(client)
    with client.session_transaction() as session:
        assert "csrf" not in session, "what somebody planted before is of no use afterwards"
    client.get("/")
    assert cookie(client) != before


def test_a_forged_cookie_is_nobody(api: Api, browser: FlaskClient) -> None:
    payload, _, signature = cookie(browser).rpartition(".")
    forger = api.app.test_client()
    forger.set_cookie("pxeapp_session", f"{payload}.{signature[::-1]}")
    assert forger.get("/").headers["Location"] == "/login"


def test_a_change_by_cookie_needs_the_csrf_token_of_that_session(api: Api, browser: FlaskClient) -> None:
    said = {"name": "node1", "mac": "52:54:00:00:00:01"}
    other = api.app.test_client()
    sign_in(other)
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "guess"}, {"X-CSRF-Token": csrf(other)}):
        assert browser.post("/api/v1/machines", json=said, headers=headers).status_code == HTTPStatus.FORBIDDEN
    assert browser.get("/api/v1/machines").json["items"] == []
    token = {"X-CSRF-Token": csrf(browser)}
    assert browser.post("/api/v1/machines", json=said, headers=token).status_code == HTTPStatus.CREATED


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_other_site_can_sign_a_visitor_in_or_out(api: Api, browser: FlaskClient, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    assert sign_in(api.app.test_client(), headers=headers).status_code == HTTPStatus.FORBIDDEN
    assert browser.post("/logout", data={"csrf": csrf(browser)}, headers=headers).status_code == HTTPStatus.FORBIDDEN
    assert browser.get("/").status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost", HTTPStatus.SEE_OTHER), ("http://localhost:8080", HTTPStatus.FORBIDDEN),
     ("https://localhost", HTTPStatus.FORBIDDEN), ("null", HTTPStatus.FORBIDDEN), ("", HTTPStatus.FORBIDDEN)],
)  # fmt: skip
def test_the_first_of_two_tabs_that_were_opened_together_can_sign_in(api: Api, origin: str, status: int) -> None:
    """Neither had a cookie when it asked, so the one that was answered last has overwritten the other's."""
    first, second = token(api.app.test_client(), "/login"), api.app.test_client()
    second.get("/login")
    said = {"name": "admin", "password": PASSWORD, "csrf": first}
    assert second.post("/login", data=said, headers={"Origin": origin}).status_code == status


def test_signing_out_ends_every_copy_of_the_session(api: Api, browser: FlaskClient) -> None:
    stolen = cookie(browser)
    assert browser.post("/logout", data={"csrf": csrf(browser)}).headers["Location"] == "/login"
    assert browser.get("/").headers["Location"] == "/login"
    thief = api.app.test_client()
    thief.set_cookie("pxeapp_session", stolen)
    assert thief.get("/").headers["Location"] == "/login"
    assert thief.get("/api/v1/machines").status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": "another-long-one"}])
def test_a_session_ends_when_its_account_is_disabled_or_gets_a_new_password(
    api: Api, browser: FlaskClient, change: dict[str, Any]
) -> None:
    with api.write() as session:
        service.create_user(session, name="second", role="admin", password=PASSWORD, actor="test", now=now())
        service.change_user(session, "admin", actor="test", now=now(), **change)
    assert browser.get("/").headers["Location"] == "/login"


def test_a_session_ends_with_its_user(api: Api, browser: FlaskClient) -> None:
    with api.write() as session:
        service.create_user(session, name="second", role="admin", password=PASSWORD, actor="test", now=now())
        service.delete_user(session, "admin", actor="test", now=now())
    assert browser.get("/api/v1/machines").status_code == HTTPStatus.UNAUTHORIZED


def test_a_demoted_user_loses_the_role_in_a_session_that_is_open(api: Api, browser: FlaskClient) -> None:
    token = {"X-CSRF-Token": csrf(browser)}
    assert browser.get("/api/v1/users", headers=token).status_code == HTTPStatus.OK
    with api.write() as session:
        service.create_user(session, name="second", role="admin", password=PASSWORD, actor="test", now=now())
        service.change_user(session, "admin", role="viewer", actor="test", now=now())
    assert browser.get("/api/v1/users", headers=token).status_code == HTTPStatus.FORBIDDEN


def test_guessing_is_slowed_down_even_for_the_right_password(api: Api) -> None:
    client = api.app.test_client()
    for _ in range(TRIES):
        assert sign_in(client, password="wrong").status_code == HTTPStatus.UNAUTHORIZED
    reply = sign_in(client)
    assert reply.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert "Wait five minutes." in reply.text
    elsewhere = sign_in(client, environ_overrides={"REMOTE_ADDR": "10.0.0.9"})
    assert elsewhere.status_code == HTTPStatus.SEE_OTHER, "a guesser does not lock the others out"


@pytest.mark.parametrize(
    ("back", "leads_to"),
    [
        ("/machines/node1?x=1", "/machines/node1?x=1"), ("https://evil.example/", "/"), ("//evil.example/", "/"),
        ("/\\evil.example", "/"), ("javascript:alert(1)", "/"), ("/a\r\nSet-Cookie: x=1", "/"),
    ],
)  # fmt: skip
def test_after_signing_in_one_is_where_one_wanted_to_be_and_never_elsewhere(api: Api, back: str, leads_to: str) -> None:
    assert sign_in(api.app.test_client(), data={"back": back}).headers["Location"] == leads_to


def test_a_page_leads_to_the_sign_in_page_and_back_again(api: Api) -> None:
    client = api.app.test_client()
    place = client.get("/machines/node1").headers["Location"]
    assert place == "/login?back=/machines/node1"
    assert 'name="back" value="/machines/node1"' in client.get(place).text


@pytest.mark.parametrize(
    ("page", "place"),
    [
        ("http://localhost/machines?q=role%3Dcompute", "/login?back=/machines?q%3Drole%253Dcompute"),
        ("http://localhost/", "/login"), ("http://evil.example/machines", "/login"),
        ("http://[", "/login"), ("", "/login"),
    ],
)  # fmt: skip
def test_a_part_of_a_page_whose_session_ended_sends_the_whole_page_to_sign_in_and_back(
    api: Api, page: str, place: str
) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": page}
    reply = api.app.test_client().get("/machines-table", headers=headers)
    assert (reply.status_code, reply.headers["HX-Redirect"], reply.data) == (HTTPStatus.NO_CONTENT, place, b"")


@pytest.mark.parametrize(
    "path", ["/", "/login", "/healthz", "/api/v1/machines", "/nothing", "/assets/static/pxeapp.css"]
)
def test_every_answer_has_the_security_headers(browser: FlaskClient, path: str) -> None:
    with browser.get(path) as reply:
        headers = reply.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in headers["Cache-Control"] or path.startswith("/assets/")


def test_an_address_in_a_header_is_believed_only_from_a_trusted_proxy(api: Api, tmp_path: Any) -> None:
    settings = {"PXEAPP_DATA_DIR": str(api.context.settings.data_dir), "PXEAPP_TRUSTED_PROXIES": "10.0.0.0/24"}
    app = create_app(config.load(settings))

    def counted(remote: str, forwarded: str) -> bool:
        client = app.test_client()
        headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
        reply = sign_in(client, password="wrong", headers=headers, environ_overrides={"REMOTE_ADDR": remote})
        assert reply.status_code == HTTPStatus.UNAUTHORIZED
        with api.read() as session:
            return session.scalar(select(SignInTry.id).where(SignInTry.key == "address:203.0.113.7")) is not None

    assert not counted("192.0.2.1", "203.0.113.7"), "anybody may write a header"
    assert not counted("10.0.0.5", "203.0.113.7, 198.51.100.9"), (
        "what stands left of the last stranger is a stranger's word"
    )
    assert counted("10.0.0.5", "198.51.100.9, 203.0.113.7, 10.0.0.6")
    app.extensions["pxeapp"].database.dispose()


@pytest.mark.parametrize(
    ("site", "kept"), [("same-origin", True), ("cross-site", False), ("same-site", False), ("", False)]
)
def test_a_form_whose_cookie_the_browser_threw_away_is_kept_if_our_own_page_sent_it(
    api: Api, site: str, kept: bool
) -> None:
    browser = api.app.test_client()
    headers = {"Sec-Fetch-Site": site} if site else {}
    reply = browser.post("/catalogue/networks/rack1", data={"do": "save", "text": "cidr: 10.9.0.0/24"}, headers=headers)
    assert reply.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    assert ('name="kept"' in reply.text and 'name="password"' in reply.text) is kept
