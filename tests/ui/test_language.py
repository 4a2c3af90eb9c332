"""Language and theme: from the browser, or as chosen; without a flash, and back to the same place."""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.api.conftest import Api


@pytest.fixture
def visitor(api: Api) -> FlaskClient:
    return api.app.test_client()


def choose(visitor: FlaskClient, referer: str = "", **choices: str) -> TestResponse:
    """As the form in each page's head does, with that page's token."""
    csrf = re.findall(r'name="csrf" value="([^"]+)"', visitor.get("/login").text)[0]
    return visitor.post("/preferences", data={"csrf": csrf, **choices}, headers={"Referer": referer})


@pytest.mark.parametrize(
    ("header", "tag"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"), ("zh-TW", "zh-Hans"), ("de,en-GB;q=0.5", "en"), ("de", "en"), ("", "en"),
     ("en;q=0.1, zh;q=0.9", "zh-Hans"), ("zh;q=0", "en"), ("\x00;;;,q=", "en")],
)  # fmt: skip
def test_a_page_speaks_what_the_browser_prefers(visitor: FlaskClient, header: str, tag: str) -> None:
    text = visitor.get("/login", headers={"Accept-Language": header}).text
    assert f'<html lang="{tag}">' in text
    assert ("登录" in text) == (tag == "zh-Hans")


def test_a_choice_is_kept_and_leads_back(visitor: FlaskClient) -> None:
    reply = choose(visitor, "http://localhost/login?back=/racks%3Frack=r1", language="zh")
    assert (reply.status_code, reply.headers["Location"]) == (HTTPStatus.SEE_OTHER, "/login?back=/racks%3Frack=r1")
    flags = reply.headers["Set-Cookie"]
    assert "HttpOnly" in flags
    assert "SameSite=Lax" in flags
    assert '<html lang="zh-Hans">' in visitor.get("/login", headers={"Accept-Language": "en"}).text


@pytest.mark.parametrize(
    "came",
    ["http://evil.example/login", "//evil.example", "http://localhost//evil.example/x", "junk",
     "http://localhost/\\evil.example", "http://["],
)  # fmt: skip
def test_nobody_is_led_to_another_site(visitor: FlaskClient, came: str) -> None:
    reply = choose(visitor, came, theme="dark")
    assert reply.headers["Location"] == "/"


def test_what_is_no_choice_is_not_kept(visitor: FlaskClient) -> None:
    reply = choose(visitor, language="<script>", theme="pink")
    assert "Set-Cookie" not in reply.headers
    visitor.set_cookie("pxeapp_language", "../../etc")
    visitor.set_cookie("pxeapp_theme", '"><script>')
    text = visitor.get("/login").text
    assert '<html lang="en">' in text
    assert "<script>" not in re.sub(r"<script src[^>]*>", "", text)


@pytest.mark.parametrize(
    ("theme", "scheme", "sheet"),
    [
        ("auto", "light dark", "pxeapp.css+dark-by-the-system.css?"),
        ("dark", "dark", "pxeapp.css+dark.css?"),
        ("light", "light", "pxeapp.css?"),
    ],
)
def test_the_theme_stands_in_the_page_before_anything_is_drawn(
    visitor: FlaskClient, theme: str, scheme: str, sheet: str
) -> None:
    choose(visitor, theme=theme)
    text = visitor.get("/login").text
    assert f'<meta name="color-scheme" content="{scheme}">' in text
    assert f"/{sheet}" in text
    assert f'value="{theme}" aria-pressed="true"' in text
