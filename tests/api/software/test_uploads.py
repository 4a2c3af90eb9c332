"""Uploads: pieces in order, again after a broken line, whole in the store in the end; and how a command sends them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pxeapp.api.context import Context
from pxeapp.client import Answer, Appliance, Unreachable, uploading
from pxeapp.software.content.store import Store
from tests.api.conftest import Api

WHERE = "/api/v1/software/uploads/disk.iso"
TEXT = b"0123456789"


def put(api: Api, piece: bytes, content_range: str = "", where: str = WHERE, role: str = "admin") -> tuple[int, dict]:  # type: ignore[type-arg]
    headers = {"Authorization": f"Bearer {api.tokens[role]}"}
    if content_range:
        headers["Content-Range"] = content_range
    reply = api.app.test_client().put(where, data=piece, headers=headers)
    return reply.status_code, reply.get_json()


def store(context: Context) -> Store:
    return Store(context.settings.data_dir / "software")


def test_pieces_make_a_file(api: Api) -> None:
    assert put(api, TEXT[:4], "bytes 0-3/10")[1]["received"] == 4
    assert api.of("admin").get("/software/uploads/disk.iso?size=10").get_json()["received"] == 4
    status, told = put(api, TEXT[4:], "bytes 4-9/10")
    assert (status, told["sha256"]) == (200, hashlib.sha256(TEXT).hexdigest())
    assert store(api.context).read(told["sha256"]) == TEXT
    assert api.of("admin").get("/software/uploads/disk.iso?size=10").get_json()["received"] == 0


def test_a_piece_that_came_already_may_come_again_and_a_gap_may_not(api: Api) -> None:
    put(api, TEXT[:4], "bytes 0-3/10")
    assert put(api, TEXT[:4], "bytes 0-3/10")[1]["received"] == 4
    status, told = put(api, TEXT[6:], "bytes 6-9/10")
    assert status == 409
    assert "begins with byte 4" in told["detail"]


@pytest.mark.parametrize("said", ["bytes 0-3/3", "bytes 0-8/10", "bytes 3-0/10", "0-3/10", "bytes */10", "x" * 5000])
def test_a_range_that_cannot_be_is_refused(api: Api, said: str) -> None:
    assert put(api, TEXT[:4], said)[0] in (422, 400)
    assert not list(store(api.context).root.rglob("*/*"))


@pytest.mark.parametrize("name", ["..", ".hidden", "a b", "%2e%2e%2fetc", "x" * 300])
def test_a_name_that_is_none_is_refused(api: Api, name: str) -> None:
    assert put(api, TEXT, where=f"/api/v1/software/uploads/{name}")[0] in (404, 422)


def test_an_empty_file_and_one_that_no_disk_holds_are_refused(api: Api) -> None:
    assert put(api, b"")[0] == 422
    status, told = put(api, TEXT, f"bytes 0-9/{60 * 1024**3}")
    assert status == 409 or told["received"] == 10  # a disk that has so much room
    assert put(api, TEXT, "bytes 0-9/99999999999999")[0] == 422


def test_only_who_may_import_sends_files(api: Api) -> None:
    assert put(api, TEXT, role="operator")[0] == 403


class Line:
    """The appliance over a line that breaks at every second piece, after it has come in."""

    remote = True

    def __init__(self, api: Api, *, breaks: bool = True) -> None:
        self._api = api
        self._breaks = breaks
        self.sent = 0

    def send(self, method: str, path: str, query: dict, body: bytes | None, headers: dict) -> Answer:  # type: ignore[type-arg]
        token = {"Authorization": f"Bearer {self._api.tokens['admin']}"}
        reply = self._api.app.test_client().open(
            f"/api/v1{path}", method=method, query_string=query, data=body, headers={**headers, **token}
        )
        self.sent += 1
        if self._breaks and method == "PUT" and self.sent % 2:
            raise Unreachable("The line is broken.")
        return Answer(reply.status_code, reply.get_data(), dict(reply.headers))


def test_the_command_sends_a_file_over_a_line_that_breaks(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "PIECE", 1000)
    monkeypatch.setattr(uploading, "PAUSE_S", 0.0)
    content = bytes(range(256)) * 40
    (tmp_path / "big.iso").write_bytes(content)
    told = uploading.upload(Appliance(Line(api)), tmp_path / "big.iso")  # type: ignore[arg-type]
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert store(api.context).read(told["sha256"]) == content


def test_what_came_of_an_older_file_is_not_mixed_with_the_newer_one(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "PIECE", 1000)
    put(api, b"old" * 400, "bytes 0-1199/5000", where="/api/v1/software/uploads/big.iso")
    (tmp_path / "big.iso").write_bytes(b"new! " * 1000)
    told = uploading.upload(Appliance(Line(api, breaks=False)), tmp_path / "big.iso")  # type: ignore[arg-type]
    assert told["right"]
    assert told["sha256"] == hashlib.sha256(b"new! " * 1000).hexdigest()
