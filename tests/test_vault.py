"""The key file: made once with 0600, refused when others can read it; secrets open with their key only."""

from __future__ import annotations

import multiprocessing
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.errors import ConfigError
from pxeapp.vault import Undecryptable, Vault, open_vault


def key_file(folder: Path) -> Path:
    return folder / "secret.key"


def test_the_first_start_makes_a_key_that_only_we_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    first = open_vault(folder)
    assert stat.S_IMODE(key_file(folder).stat().st_mode) == 0o600
    assert open_vault(folder).decrypt(first.encrypt("calvin")) == "calvin"
    assert [path.name for path in folder.iterdir()] == ["secret.key"]


def test_the_data_directory_is_made_for_its_owner_and_group_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    open_vault(folder)
    assert stat.S_IMODE(folder.stat().st_mode) & 0o007 == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    open_vault(tmp_path)
    key_file(tmp_path).chmod(mode)
    with pytest.raises(ConfigError) as caught:
        open_vault(tmp_path)
    assert f"{mode:04o}" in caught.value.sentence
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40, b"A" * 43])
def test_a_damaged_key_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    open_vault(tmp_path)
    key_file(tmp_path).write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"):
        open_vault(tmp_path)
    assert key_file(tmp_path).read_bytes() == content


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        open_vault(tmp_path / "file" / "data")
    assert "PXEAPP_DATA_DIR" in caught.value.hint


def _open(folder: Path, start: threading.Barrier, results: list[bytes]) -> None:
    start.wait()
    results.append(open_vault(folder).derive("test"))


def _open_in_process(folder: Path, results: multiprocessing.Queue[bytes]) -> None:
    results.put(open_vault(folder).derive("test"))


def test_threads_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    for attempt in range(10):
        folder, results = tmp_path / str(attempt), list[bytes]()
        start = threading.Barrier(4, timeout=30)
        threads = [threading.Thread(target=_open, args=(folder, start, results)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(results) == 4
        assert len(set(results)) == 1
        assert [path.name for path in folder.iterdir()] == ["secret.key"]


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bytes] = context.Queue()
    processes = [context.Process(target=_open_in_process, args=(tmp_path / "data", results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(30)
    assert len(found) == 1


@given(st.text(st.characters(codec="utf-8")))
def test_every_text_comes_back_and_is_not_readable_in_between(secret: str) -> None:
    vault = Vault(b"k" * 32)
    stored = vault.encrypt(secret)
    assert vault.decrypt(stored) == secret
    assert stored.isascii()
    assert len(secret) < 4 or secret not in stored
    assert vault.encrypt(secret) != stored


@given(st.text())
def test_what_this_key_does_not_open_is_one_sentence(stored: str) -> None:
    with pytest.raises(Undecryptable) as caught:
        Vault(b"k" * 32).decrypt(stored)
    assert "secret.key" in caught.value.hint


def test_another_key_opens_nothing() -> None:
    with pytest.raises(Undecryptable):
        Vault(b"2" * 32).decrypt(Vault(b"1" * 32).encrypt("calvin"))


def test_no_two_purposes_share_a_key_and_none_is_shown() -> None:
    vault = Vault(b"k" * 32)
    keys = [vault.derive(purpose) for purpose in ("encrypt", "session", "callback")]
    assert len(set(keys)) == 3
    assert all(len(key) == 32 for key in keys)
    assert b"k" * 32 not in keys
    assert repr(vault) == "Vault(…)"


def test_what_is_sealed_opens_with_its_key_in_its_place_and_unchanged_only(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "one")
    sealed = vault.seal(b"content", belongs_to="kickstart 1")
    assert b"content" not in sealed
    assert vault.unseal(sealed, belongs_to="kickstart 1") == b"content"
    assert vault.seal(b"content", belongs_to="kickstart 1") != sealed
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for other, what, place in (
        (vault, sealed, "kickstart 2"),
        (vault, changed, "kickstart 1"),
        (vault, b"", "kickstart 1"),
        (open_vault(tmp_path / "two"), sealed, "kickstart 1"),
    ):
        with pytest.raises(Undecryptable, match="cannot be opened with the present key file"):
            other.unseal(what, belongs_to=place)
