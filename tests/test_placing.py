"""A file is there whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pxeapp.placing import place


def test_a_public_file_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    place(path, b"one")
    place(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_readers_see_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path, ended = tmp_path / "file", threading.Event()
    contents = {b"a" * 300_000, b"b" * 200_000}
    place(path, b"a" * 300_000)

    def change() -> None:
        while not ended.is_set():
            for content in contents:
                place(path, content)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        seen = {path.read_bytes() for _ in range(300)}
    finally:
        ended.set()
        writer.join()
    assert seen <= contents


def test_what_cannot_be_written_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    place(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pxeapp.placing.os.fchmod", full)
    with pytest.raises(OSError, match="No space"):
        place(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"], "nothing half-done is left"
