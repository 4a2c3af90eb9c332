"""Every error is a problem document (RFC 9457) whose sentences say what to do; and nothing a client sends is a 500."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.api.bodies import MAX_BODY
from tests.api.conftest import MAC, Api, Asker

JSON = "application/json"


def problem(reply: Any, status: int) -> dict[str, Any]:
    """The body of an error, once its form is right."""
    assert reply.status_code == status, reply.text
    assert reply.mimetype == "application/problem+json"
    body = dict(reply.json)
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"].endswith((".", "?"))
    return body


def test_an_unknown_path_is_a_404_that_names_the_document_of_all_paths(admin: Asker) -> None:
    body = problem(admin.get("/nothing"), 404)
    assert "/api/v1/nothing" in body["detail"]
    assert "openapi.json" in body["hint"]


def test_a_wrong_method_is_a_405_with_what_is_possible(admin: Asker) -> None:
    reply = admin.delete("/machines")
    problem(reply, 405)
    assert set(reply.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_broken_json_is_a_400_that_names_the_place(admin: Asker) -> None:
    body = problem(admin.post("/machines", data='{"name": "a",\n "mac" }', content_type=JSON), 400)
    assert "line 2" in body["detail"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[" * 50_000, "nested"),
        ('{"a":' * 50_000, "nested"),
        ('{"name": "a", "vars": {"x": NaN}}', "NaN"),
        ('{"name": "a", "vars": {"x": -Infinity}}', "Infinity"),
        ('{"name": "a", "vars": {"x": "\\ud800"}}', "surrogate"),
        ('{"name": "a", "vars": {"\\u0000": 1}}', "NUL"),
        ('{"name": ' + "9" * 5000 + "}", "not JSON"),
        ("\xff\xfe", "not JSON"),
    ],
)
def test_json_that_could_not_be_kept_or_given_back_is_a_400(admin: Asker, text: str, word: str) -> None:
    body = problem(admin.post("/machines", data=text.encode("latin-1"), content_type=JSON), 400)
    assert word in body["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/csv", ""])
def test_json_that_is_not_called_json_is_a_415(admin: Asker, content_type: str) -> None:
    body = problem(admin.post("/machines", data=b'{"name": "a"}', content_type=content_type), 415)
    assert "application/json" in body["hint"]


@pytest.mark.parametrize("value", [[], [1], "text", 1])
def test_a_body_that_is_no_object_is_a_422(admin: Asker, value: object) -> None:
    body = problem(admin.post("/machines", json=value), 422)
    assert body["errors"][0]["field"] == "body"


def test_every_wrong_field_is_listed_with_its_fix(admin: Asker) -> None:
    said = {"name": "A B", "mac": "zz", "colour": "red", "bmc": {"address": "10.0.0.1", "port": 70000}}
    body = problem(admin.post("/machines", json=said), 422)
    fields = {error["field"]: error for error in body["errors"]}
    assert fields.keys() == {"name", "mac", "colour", "bmc.port"}
    assert all(error["problem"] for error in body["errors"])
    assert "a-z" in fields["name"]["fix"]


def test_a_body_that_is_too_long_is_a_413_and_is_not_parsed(admin: Asker) -> None:
    big = b'{"name": "' + b"a" * MAX_BODY + b'"}'
    body = problem(admin.post("/machines", data=big, content_type=JSON), 413)
    assert "/api/v1/machines" in body["detail"]


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off_too(admin: Asker) -> None:
    endless = io.BytesIO(b'{"name": "' + b"a" * (MAX_BODY + 10))
    reply = admin.post(
        "/machines", input_stream=endless, content_type=JSON, environ_overrides={"wsgi.input_terminated": True}
    )
    problem(reply, 413)


def test_only_the_import_takes_long_bodies(admin: Asker) -> None:
    text = "[" + " " * MAX_BODY + f'{{"name": "node1", "mac": "{MAC}"}}]'
    assert admin.post("/machines/import", data=text, content_type=JSON).json["created"] == 1


@pytest.mark.parametrize(
    "path",
    [
        "/machines/%C2%B2", "/machines/%00", "/machines/%ff", "/machines/..%2f..%2fetc", "/machines/" + "9" * 400,
        "/machines/" + "x" * 3000, "/deployments/99999999999999999999", "/deployments/-1", "/deployments/1/logs/..%2fx",
        "/releases/%00", "/roles/%F0%9F%92%A3", "/networks/'%20OR%201=1",
    ],
)  # fmt: skip
def test_a_name_that_nothing_has_is_a_404(admin: Asker, path: str) -> None:
    problem(admin.get(path), 404)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1e9"])
def test_a_page_of_an_impossible_size_is_a_422(admin: Asker, query: str) -> None:
    assert problem(admin.get(f"/machines?{query}"), 422)["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("after", ["%C2%B2", "x", "-1", "9" * 200, "'"])
@pytest.mark.parametrize("path", ["/machines", "/users", "/sightings", "/networks"])
def test_a_page_may_start_behind_any_name(admin: Asker, path: str, after: str) -> None:
    assert admin.get(f"{path}?after={after}").status_code == HTTPStatus.OK


@pytest.mark.parametrize("after", ["%C2%B2", "x", "-1", "'", "%00"])
@pytest.mark.parametrize("path", ["/deployments", "/audit", "/tokens", "/jobs", "/templates", "/variables", "/filters"])
def test_a_page_that_starts_nowhere_is_a_422_that_says_what_to_send(admin: Asker, path: str, after: str) -> None:
    body = problem(admin.get(f"{path}?after={after}"), 422)
    assert [each["field"] for each in body["errors"]] == ["after"]
    assert "`next`" in body["errors"][0]["fix"]
    assert admin.get(f"{path}?after={'9' * 200}").status_code in (HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY)


def test_a_bug_of_ours_is_a_500_without_its_details(
    api: Api, admin: Asker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise KeyError("the-secret-detail")

    monkeypatch.setitem(api.app.view_functions, "machines.listing", broken)
    reply = admin.get("/machines")
    assert "the-secret-detail" not in reply.text
    problem(reply, 500)
    assert "the-secret-detail" in caplog.text


def test_a_database_that_cannot_be_used_is_a_503_to_be_tried_again(api: Api, admin: Asker) -> None:
    with api.context.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE sightings RENAME TO gone")
    reply = admin.get("/sightings")
    assert "gone" not in problem(reply, 503)["detail"]
    assert reply.headers["Retry-After"]


def test_a_browser_is_answered_with_a_page(admin: Asker) -> None:
    reply = admin.ask("GET", "/machines/nobody", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert reply.status_code == HTTPStatus.NOT_FOUND
    assert reply.mimetype == "text/html"
    assert "nobody" in reply.text


def test_the_api_answers_a_browser_as_it_answers_everybody(admin: Asker) -> None:
    problem(admin.get("/machines/nobody", headers={"Accept": "text/html"}), 404)
