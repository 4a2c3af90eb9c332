"""A tour of every operation: what its examples say is true, and what holds for all of them holds for each.

`make golden` writes the examples of answers anew; read the difference.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import pytest

from pxeapp.accounts.permissions import BY_HAND
from pxeapp.api import answers, examples, openapi
from pxeapp.config import Settings
from tests.api import tour
from tests.api.conftest import Api
from tests.api.tour import Walk
from tests.software.conftest import UpstreamServer

FILE = Path(examples.__file__).with_name("answer_examples.json")
ADVICE = "Give it an example (pxeapp/api/examples.py), a stop (tests/api/tour.py), and run `make golden`."
TEXTS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)"), "2026-01-31T12:00:00+00:00"),
    (re.compile(r"pxe_[A-Za-z0-9_-]{20,}"), "pxe_" + "A" * 43),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "https://mirror.example.org"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "0" * 64),
)
# What is another one each time.
NAMED = {
    "secret": "A" * 32, "uri": "otpauth://totp/pxeapp:admin?secret=" + "A" * 32, "request_id": "0123456789abcdef",
    "one_time_password": "once-and-never-again", "recovery_codes": ["abcd-efgh", "jkmn-pqrs"], "version": "0.1.0",
}  # fmt: skip
LISTED = 2  # items of a list that an example shows
LONGEST = 600
# What has tests of its own that walk through all of it.
ELSEWHERE = ("rollouts.", "breaker.", "clouds.", "ssh.")
# They end the session that asks, or the account's: nobody can ask them again.
LAST_WORDS = frozenset({"account.end_sessions", "account.password"})
# Nobody asks: there is no account yet for which an answer could be kept.
STRANGERS = frozenset({"account.sign_in"})


@dataclass
class Seen:
    """What the tour saw."""

    document: dict[str, Any]
    told: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def check(self, holds: object, sentence: str) -> None:
        """Note what does not hold, and go on."""
        if not holds:
            self.wrong.append(sentence)


@pytest.fixture(scope="module")
def seen(prepared: tuple[Settings, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    api = tour.appliance(prepared, tmp_path_factory.mktemp("tour") / "data", PXEAPP_FETCH_NETWORKS="127.0.0.0/8")
    upstream = UpstreamServer()
    serving = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    found = Seen(dict(api.of(None).ask("GET", "/api/v1/openapi.json").json))
    for going, endpoint, said, reply in tour.walk(api, upstream, found.document, lambda *each: _refused(found, *each)):
        found.told[endpoint] = reply
        found.failed = going.failed
        if endpoint in answers.MANY:
            _paged(found, going, endpoint)
        alone = endpoint in LAST_WORDS | STRANGERS
        if going.operations[endpoint][0] != "GET" and reply.status_code < 300 and not alone:
            _once(found, going, endpoint, said, reply)
        if endpoint.endswith(".replace"):
            _again(found, going, endpoint, said, reply)
    upstream.shutdown()
    upstream.server_close()
    serving.join()
    yield found
    api.context.database.dispose()


def _refused(found: Seen, going: Walk, endpoint: str, said: Any) -> None:
    """If-Match with another version."""
    if endpoint in answers.CONDITIONAL:
        late = going.ask(endpoint, said, headers={"If-Match": '"no-version-of-it"'})
        found.check(
            _is_problem(late, HTTPStatus.PRECONDITION_FAILED), f"{endpoint} does not heed If-Match: {late.text}"
        )


def _paged(found: Seen, going: Walk, endpoint: str) -> None:
    """One by one it is the same list; one field is one field; what is no place in it is said to be none."""
    whole, pages, after = going.ask(endpoint, query="limit=200").json["items"], [], ""
    found.check(whole, f"{endpoint} shows nothing on the tour")
    few = max(1, len(whole) // 5)
    for _ in range(len(whole) + 1):
        page = going.ask(endpoint, query=f"limit={few}&after={quote(after)}").json
        pages += page["items"]
        after = page["next"]
        if after is None:
            break
    found.check(after is None and _stable(pages) == _stable(whole), f"{endpoint} is another list page by page")
    if whole:
        name = next(iter(whole[0]))
        narrow = going.ask(endpoint, query=f"fields={name}&limit=1").json["items"]
        found.check([list(each) for each in narrow] == [[name]], f"{endpoint} heeds no ?fields=")
    for query in ("limit=0", "limit=x", *(["fields=no-such-field"] if whole else [])):
        found.check(_is_problem(going.ask(endpoint, query=query), 422), f"{endpoint}?{query}")
    odd = going.ask(endpoint, query="after=%00")
    found.check(odd.status_code == HTTPStatus.OK or _is_problem(odd, 422), f"{endpoint}?after=NUL: {odd.status_code}")


def _once(found: Seen, going: Walk, endpoint: str, said: Any, reply: Any) -> None:
    """The same key once more: the same answer, and nothing is done."""
    again = going.ask(endpoint, said, headers={"Idempotency-Key": endpoint})
    same = (again.status_code, again.data) == (reply.status_code, reply.data)
    found.check(same and again.headers.get("Idempotency-Replayed") == "true", f"{endpoint} is done twice: {again.text}")


def _again(found: Seen, going: Walk, endpoint: str, said: Any, reply: Any) -> None:
    """What is so already stays as it is, and leaves no row in the audit."""
    before = _rows(going)
    again = going.ask(endpoint, said)
    same = (again.status_code, again.headers.get("ETag")) == (HTTPStatus.OK, reply.headers["ETag"])
    found.check(same and _rows(going) == before, f"{endpoint} twice changes something: {again.text}")


def _rows(going: Walk) -> list[int]:
    return [row["id"] for row in going.ask("audit.listing", query="limit=1000").json["items"]]


def _stable(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what the very question changes."""
    return [{key: value for key, value in each.items() if key not in ("seen_at", "last_used_at")} for each in items]


def _is_problem(reply: Any, status: int) -> bool:
    said = reply.status_code == status and reply.mimetype == "application/problem+json"
    return bool(said and reply.json["status"] == status and reply.json["detail"])


def tidy(value: Any, name: str = "") -> Any:
    """As an example is kept: without what is another one each time, and short."""
    if name in NAMED and isinstance(value, type(NAMED[name])):
        return NAMED[name]
    if isinstance(value, dict):
        return {key: tidy(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [tidy(each) for each in value[:LISTED]]
    if isinstance(value, str):
        for pattern, instead in TEXTS:
            value = pattern.sub(instead, value)
        return value if len(value) <= LONGEST else value[:LONGEST] + "..."
    return value


def shape(value: Any) -> Any:
    """Its fields and the kinds of their values: what a program relies on."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for methods in document["paths"].values() for each in methods.values()}


def test_every_operation_is_on_the_tour(seen: Seen) -> None:
    assert not seen.failed, "\n".join(seen.failed)
    left_out = {
        endpoint
        for endpoint in operations(seen.document).keys() - seen.told.keys() - tour.ENDLESS
        if not endpoint.startswith(ELSEWHERE)
    }
    assert not left_out, f"{sorted(left_out)}: {ADVICE}"


def test_what_is_promised_for_all_holds_for_each(seen: Seen) -> None:
    assert not seen.wrong, "\n".join(seen.wrong)
    for endpoint, operation in operations(seen.document).items():
        names = {each["name"] for each in operation["parameters"]}
        if endpoint in answers.MANY:
            assert {"after", "limit", "fields"} <= names, endpoint
        if endpoint in answers.CONDITIONAL:
            assert "If-Match" in names, endpoint
    for endpoint, reply in seen.told.items():
        statuses = operations(seen.document)[endpoint]["responses"]
        assert str(reply.status_code) in statuses, f"{endpoint} answers {reply.status_code}"
        if reply.status_code == HTTPStatus.ACCEPTED:
            assert endpoint in answers.WATCHED, f"{endpoint} says nowhere to watch"
            assert reply.headers["Location"].startswith("/api/v1/"), endpoint
        if endpoint in answers.TAGGED:
            assert reply.headers["ETag"], endpoint


def test_every_example_of_an_answer_is_what_is_answered(seen: Seen) -> None:
    found = {
        endpoint: {str(reply.status_code): tidy(reply.json)}
        for endpoint, reply in seen.told.items()
        if reply.mimetype == "application/json" and reply.status_code < 300 and reply.data
    }
    if os.environ.get("PXEAPP_GOLDEN"):
        FILE.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        examples.answers.cache_clear()
    kept = examples.answers()
    assert kept.keys() == found.keys(), ADVICE
    for endpoint, said in found.items():
        assert shape(said) == shape(kept[endpoint]), f"{endpoint}: {ADVICE}"


def test_the_document_has_each_example_and_each_is_what_its_schema_says(api: Api) -> None:
    document = dict(api.of(None).ask("GET", "/api/v1/openapi.json").json)

    def check(schema: dict[str, Any], example: Any, where: str) -> None:
        validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
        for error in validator.iter_errors(example):
            pytest.fail(f"{where}: {error.message}, at {'/'.join(map(str, error.instance_path))}")

    shown = 0
    for where, operation in operations(document).items():
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                assert parameter["example"] == examples.address(where, parameter["name"])
        if "requestBody" in operation and where not in openapi.RAW and not where.startswith(ELSEWHERE):
            assert where in examples.EXAMPLES, f"{where}: {ADVICE}"
            said = operation["requestBody"]["content"]["application/json"]
            assert said["example"] == examples.EXAMPLES[where]
            check(said["schema"], said["example"], where)
        for status, answer in examples.answers().get(where, {}).items():
            content = operation["responses"][status]["content"]["application/json"]
            assert content["example"] == answer
            check(content["schema"], answer, f"{where} {status}")
            shown += 1
    assert shown > 70


def test_whatever_cannot_be_read_is_a_problem_document_wherever_it_is_sent(api: Api) -> None:
    document = dict(api.of(None).ask("GET", "/api/v1/openapi.json").json)
    admin, asked = api.of("admin"), 0
    object.__setattr__(api.context.settings, "requests_per_minute", 1_000_000)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            endpoint = operation["operationId"]
            # What an import says of a file that cannot be read is test_imports.py's.
            if "requestBody" not in operation or endpoint in BY_HAND | openapi.RAW | {"machines.imports"}:
                continue
            if endpoint.startswith(ELSEWHERE):
                continue
            where = re.sub(r"\{(\w+)\}", lambda found, name=endpoint: str(examples.address(name, found[1])), path)
            for data, media, status in (
                (b'{"name": ', "application/json", HTTPStatus.BAD_REQUEST),
                (b'{"a": NaN}', "application/json", HTTPStatus.BAD_REQUEST),
                (b"{}", "text/plain", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
                (b'{"no-such-field": 1}', "application/json", HTTPStatus.UNPROCESSABLE_ENTITY),
                (b'"a text"', "application/json", HTTPStatus.UNPROCESSABLE_ENTITY),
            ):
                reply = admin.ask(method.upper(), where, data=data, content_type=media)
                assert _is_problem(reply, status), f"{endpoint}, {data!r}: {reply.status_code} {reply.text}"
                asked += 1
        reply = admin.ask("TRACE", re.sub(r"\{\w+\}", "1", path))
        assert _is_problem(reply, HTTPStatus.METHOD_NOT_ALLOWED), f"{path}: {reply.status_code}"
    assert asked > 150
