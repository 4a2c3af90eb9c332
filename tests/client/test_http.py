"""An appliance elsewhere that is slow, away, odd or hostile: a bounded wait, a sentence, and the token nowhere."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pxeapp import __version__
from pxeapp.cli import main
from pxeapp.client import Appliance, Refused, Unreachable, at, http
from pxeapp.client.http import Http
from pxeapp.errors import Conflict, Forbidden, Invalid, NotFound, PxeError, Unauthenticated
from tests.ports import free_port

TOKEN = "pxe_0123456789abcdef"
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Other:
    """A server that answers what it is told, one reply for each request; the last one again and again."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def says(self, *replies: Reply) -> Appliance:
        self.replies[:] = replies
        return Appliance(Http(self.url, TOKEN))


@pytest.fixture
def other() -> Iterator[Other]:
    found = Other()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.asked.append((self.command, self.path, dict(self.headers)))
            status, headers, body = found.replies.pop(0) if len(found.replies) > 1 else found.replies[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_PATCH = _answer  # noqa: N815 - the server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSE_S", 0.0)


def problem(status: int, **said: Any) -> Reply:
    body = {"title": "x", "status": status, "detail": "It cannot be.", "hint": "Do otherwise.", **said}
    return status, {}, json.dumps(body).encode()


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Unauthenticated), (403, Forbidden), (404, NotFound), (409, Conflict), (418, Refused)]
)
def test_a_refusal_is_the_error_that_it_was_there(other: Other, status: int, kind: type[PxeError]) -> None:
    with pytest.raises(kind, match=r"It cannot be\. Do otherwise\.") as refused:
        other.says(problem(status)).get("/machines")
    assert type(refused.value) is kind


def test_every_field_that_is_wrong_is_said_with_its_line(other: Other) -> None:
    wrong = [{"field": "mac", "problem": "is none.", "fix": "Write one.", "line": 3, "row": None}]
    with pytest.raises(Invalid) as refused:
        other.says(problem(422, errors=wrong)).get("/machines")
    assert [str(each) for each in refused.value.problems] == ["line 3: mac: is none. Write one."]


def test_what_a_terminal_would_obey_is_taken_out(other: Other) -> None:
    with pytest.raises(Conflict) as refused:
        other.says(problem(409, detail="\x1b[2Jgone\r\n")).get("/machines")
    assert refused.value.sentence.isprintable()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"detail": 1', b'{"detail": "x", "errors": [1]}', b"\xff"])
@pytest.mark.parametrize("status", [400, 500])
def test_an_answer_that_is_none_of_ours_is_a_sentence(other: Other, status: int, body: bytes) -> None:
    with pytest.raises(Refused, match="none of pxeapp's API"):
        other.says((status, {}, body)).get("/machines")


def test_a_page_in_place_of_an_answer_is_a_sentence(other: Other) -> None:
    with pytest.raises(Refused, match="no JSON"):
        other.says((200, {}, b"<html>")).get("/machines")


def test_a_redirect_is_not_followed_with_the_token(other: Other) -> None:
    with pytest.raises(Refused, match=r"https://elsewhere\.example\.org"):
        other.says((302, {"Location": "https://elsewhere.example.org/"}, b"")).get("/machines")
    assert len(other.asked) == 1


def test_a_route_that_is_not_there_says_that_versions_may_differ(other: Other) -> None:
    with pytest.raises(Refused, match="another version"):
        other.says(problem(404, title="Not Found", detail="There is nothing at /api/v1/new.")).get("/new")


@pytest.mark.parametrize("version", ["0.0.1", __version__])
def test_an_answer_of_another_version_is_a_sentence_and_a_bug_stays_one(
    other: Other, tmp_path: Path, version: str
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    environ = {"PXEAPP_URL": other.url, "PXEAPP_TOKEN_FILE": str(tmp_path / "token"), "HOME": str(tmp_path)}
    other.says((200, {}, b'{"name": "node1"}'), (200, {}, json.dumps({"version": version}).encode()))
    done = CliRunner().invoke(main, ["machine", "release", "node1"], env=environ)
    if version == __version__:
        assert isinstance(done.exception, KeyError)
    else:
        assert (done.exit_code, "pxeapp 0.0.1" in done.stderr) == (1, True)


def test_an_order_whose_answer_was_lost_is_sent_again_with_the_same_key(other: Other) -> None:
    own = other.says(problem(503), (502, {}, b"<html>"), (200, {}, b'{"id": 7}'))
    assert own.post("/machines/node1/deploy", {})["id"] == 7
    keys = {headers["Idempotency-Key"] for _, _, headers in other.asked}
    assert (len(other.asked), len(keys)) == (3, 1)


def test_what_stays_away_is_given_up(other: Other) -> None:
    with pytest.raises(PxeError, match="It cannot be"):
        other.says(problem(503)).get("/machines")
    assert len(other.asked) == http.TRIES


def test_a_refusal_is_not_asked_again(other: Other) -> None:
    with pytest.raises(Conflict):
        other.says(problem(409)).post("/machines/node1/deploy", {})
    assert len(other.asked) == 1


def test_nobody_there_is_a_sentence_without_the_token() -> None:
    own = Appliance(Http(f"http://127.0.0.1:{free_port()}", TOKEN))
    with pytest.raises(Unreachable, match="cannot be reached: Connection refused") as refused:
        own.get("/machines")
    error: BaseException | None = refused.value
    while error is not None:
        assert TOKEN not in f"{error!r} {vars(error)}"
        assert error.__suppress_context__ or error.__context__ is None
        error = error.__cause__


def test_who_does_not_answer_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        own = Appliance(Http(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN))
        with pytest.raises(Unreachable, match="in time"):
            own.get("/machines")


def test_an_answer_without_end_is_cut_off(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 1000)
    with pytest.raises(Unreachable):
        other.says((200, {}, b"x" * 5000)).get("/machines")


def test_no_netrc_takes_the_place_of_the_token(
    other: Other, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password stolen\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    other.says((200, {}, b"{}")).get("/account")
    assert other.asked[0][2]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_cannot_lead_to_another_address(name: str) -> None:
    with pytest.raises(NotFound):
        at("machines", name)


def test_a_name_stays_one_part_of_the_address() -> None:
    assert at("machines", "a/../b?c#d é", "deploy") == "/machines/a%2F..%2Fb%3Fc%23d%20%C3%A9/deploy"


def test_a_stream_whose_server_goes_away_in_the_middle_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            visitor, _ = server.accept()
            with visitor:
                visitor.recv(65_536)
                visitor.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        stream = Http(f"http://127.0.0.1:{server.getsockname()[1]}", TOKEN).stream("/events", {}, {})
        assert next(stream) == b"data:"
        with pytest.raises(Unreachable):
            next(stream)
        thread.join(10)
