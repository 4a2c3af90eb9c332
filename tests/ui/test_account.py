"""One's own account, users and the audit as pages: second factor, one-time passwords, and what was typed is kept."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from pxeapp.accounts import totp
from pxeapp.accounts.models import UserSession
from pxeapp.db import now
from tests.api.conftest import PASSWORD, Api
from tests.ui.test_sign_in import sign_in, token


def post(client: FlaskClient, page: str, path: str, **data: Any) -> Any:
    """Fill in the form of a page."""
    return client.post(path, data={"csrf": token(client, page), **data})


def of(text: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found is not None
    return found[1]


def shown_once(text: str) -> str:
    found = re.search(r'class="secret">([^<]+)<', text)
    assert found is not None
    return found[1]


@pytest.fixture
def browser(api: Api) -> FlaskClient:
    client = api.app.test_client()
    assert sign_in(client).status_code == HTTPStatus.SEE_OTHER
    return client


def enable(browser: FlaskClient) -> list[str]:
    """Set up the second factor; the recovery codes."""
    page = post(browser, "/account", "/account/totp").text
    secret = shown_once(page)
    wrong = browser.post("/account/totp/confirm", data={"csrf": of(page), "code": "1"})
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert shown_once(wrong.text) == secret, "the same picture stays"
    code = totp.code(secret, totp.step_of(now()))
    page = browser.post("/account/totp/confirm", data={"csrf": of(page), "code": code}).text
    return re.findall(r"<li>([a-z0-9]{5}-[a-z0-9]{5}-[a-z0-9]{5})</li>", page)


def test_with_a_second_factor_the_password_alone_opens_nothing(api: Api, browser: FlaskClient) -> None:
    codes = enable(browser)
    assert len(codes) == 10
    other = api.app.test_client()
    page = sign_in(other, data={"back": "/machines?search=x"})
    assert page.status_code == HTTPStatus.OK
    assert other.get("/machines").headers["Location"] == "/login/code"
    assert other.get("/api/v1/machines").status_code == HTTPStatus.FORBIDDEN
    said = {"csrf": of(page.text), "back": "/machines?search=x"}
    assert other.post("/login/code", data={**said, "code": "000000"}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    inside = other.post("/login/code", data={**said, "code": codes[0]})
    assert (inside.status_code, inside.headers["Location"]) == (HTTPStatus.SEE_OTHER, "/machines?search=x")
    assert other.get("/machines").status_code == HTTPStatus.OK


def test_a_new_user_chooses_a_password_before_anything_else(api: Api, browser: FlaskClient) -> None:
    page = post(browser, "/users", "/users", name="eve", role="operator", projects="web, db")
    password = shown_once(page.text)
    assert password not in browser.get("/users").text
    eve = api.app.test_client()
    assert sign_in(eve, "eve", password).status_code == HTTPStatus.SEE_OTHER
    assert eve.get("/machines").headers["Location"] == "/account"
    assert eve.get("/api/v1/machines").status_code == HTTPStatus.FORBIDDEN
    said = {"old": password, "new": "another long one", "again": "another long two"}
    assert post(eve, "/account", "/account/password", **said).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    said["again"] = said["new"]
    assert post(eve, "/account", "/account/password", **said).status_code == HTTPStatus.SEE_OTHER
    assert eve.get("/machines").status_code == HTTPStatus.OK
    for path in ("/users", "/audit", "/users/admin"):
        assert eve.get(path).status_code == HTTPStatus.FORBIDDEN


def test_an_error_stands_at_its_field_and_what_was_typed_stays(browser: FlaskClient) -> None:
    page = post(browser, "/users", "/users", name="Bad Name", role="operator", projects="we/b")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'value="Bad Name"' in page.text
    assert 'value="we/b"' in page.text
    assert page.text.count('aria-invalid="true"') == 2
    page = post(browser, "/account", "/account/tokens", name="", role="admin", days="soon")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'value="soon"' in page.text


def test_a_form_whose_session_is_over_is_kept_through_the_sign_in(api: Api, browser: FlaskClient) -> None:
    csrf = token(browser, "/users")
    with api.write() as session:
        session.execute(delete(UserSession))
    said = {"csrf": csrf, "name": "carol", "role": "viewer", "password": "never-kept"}
    page = browser.post("/users", data=said)
    assert page.status_code == HTTPStatus.UNAUTHORIZED
    found = re.search(r'name="kept" value="([^"]+)"', page.text)
    assert found is not None
    again = sign_in(browser, data={"kept": found[1]})
    assert "carol" in again.text
    assert "never-kept" not in again.text
    done = browser.post("/users", data={"csrf": of(again.text), "name": "carol", "role": "viewer"})
    assert (done.status_code, bool(shown_once(done.text))) == (HTTPStatus.OK, True)


def test_a_form_of_another_site_is_not_kept(api: Api, browser: FlaskClient) -> None:
    with api.write() as session:
        session.execute(delete(UserSession))
    page = browser.post("/users", data={"csrf": "guess", "name": "carol", "role": "admin"})
    assert page.status_code == HTTPStatus.UNAUTHORIZED
    assert "kept" not in page.text
    forged = sign_in(browser, data={"kept": "forged"})
    assert forged.status_code == HTTPStatus.SEE_OTHER


def test_sessions_are_listed_and_ended(api: Api, browser: FlaskClient) -> None:
    other = api.app.test_client()
    sign_in(other)
    (number,) = re.findall(r"/account/sessions/(\d+)/end", browser.get("/account").text)
    assert post(browser, "/account", f"/account/sessions/{number}/end").status_code == HTTPStatus.SEE_OTHER
    assert other.get("/").headers["Location"] == "/login"
    assert post(browser, "/account", "/account/sessions/end").headers["Location"] == "/login"
    assert browser.get("/").headers["Location"] == "/login"


def test_the_audit_shows_before_and_after_and_runs_nothing(browser: FlaskClient) -> None:
    post(browser, "/users", "/users", name="eve", role="operator")
    post(browser, "/users/eve", "/users/eve", role="viewer", projects="web")
    page = browser.get("/audit?action=user.*&subject=eve").text
    assert re.search(r"role</th>\s*<td[^>]*>operator</td>\s*<td[^>]*>viewer</td>", page)
    assert "<script>" not in browser.get("/audit?actor=<script>alert(1)</script>").text
    assert browser.get("/audit?since=yesterday").status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_password_is_never_given_back(browser: FlaskClient) -> None:
    page = post(browser, "/account", "/account/password", old=PASSWORD, new="short", again="short")
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert PASSWORD not in page.text
    assert 'value="short"' not in page.text
