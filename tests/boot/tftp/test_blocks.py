"""Content as packets: every way of packing gives the same bytes, nothing leads out of the root, memory is bounded."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.boot.tftp.blocks import PACK_LIMIT, Cache, Content, Large, Packed, Unreadable
from pxeapp.boot.tftp.replies import Data, File


def unpack(content: Content, window: int = 7) -> bytes:
    """What a client would put together from the packets."""
    found, block = b"", 1
    while block <= content.blocks:
        count = min(window, content.blocks - block + 1)
        raw = b"".join(content.packets(block, count))
        for index in range(count):
            packet = raw[index * (content.blksize + 4) : (index + 1) * (content.blksize + 4)]
            assert struct.unpack("!HH", packet[:4]) == (3, (block + index) & 0xFFFF)
            last = block + index == content.blocks
            assert (len(packet) - 4 < content.blksize) == last
            found += packet[4:]
        block += count
    return found


@given(st.binary(max_size=600), st.integers(8, 300), st.integers(1, 64))
def test_packets_hold_the_content_whatever_the_block_size_and_window(data: bytes, blksize: int, window: int) -> None:
    assert unpack(Packed(data, blksize), window) == data


@given(st.binary(max_size=200))
def test_netascii_is_what_a_client_turns_back_into_the_content(data: bytes) -> None:
    sent = unpack(Cache().content(Data(data), blksize=512, netascii=True))
    assert sent.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r") == data


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 5 * 512])
@pytest.mark.parametrize("blksize", [8, 512, 1468])
def test_a_file_is_sent_whole_with_a_short_block_at_its_end(tmp_path: Path, size: int, blksize: int) -> None:
    path = tmp_path / "loader"
    path.write_bytes(os.urandom(size))
    content = Cache().content(File(path), blksize=blksize)
    assert content.size == size
    assert content.blocks == size // blksize + 1
    assert unpack(content) == path.read_bytes()


def test_a_large_file_is_read_window_by_window_with_the_same_packets(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    path.write_bytes(os.urandom(1000) * (PACK_LIMIT // 1000 + 1))
    content = Cache().content(File(path), blksize=65_464)
    assert isinstance(content, Large)
    assert unpack(content) == path.read_bytes()
    content.close()


def test_tiny_blocks_are_not_packed_in_advance(tmp_path: Path) -> None:
    path = tmp_path / "grub"
    path.write_bytes(bytes(2_000_000))
    content = Cache().content(File(path), blksize=8)
    assert isinstance(content, Large)
    content.close()


def test_the_same_file_is_packed_once_and_a_rewritten_one_anew(tmp_path: Path) -> None:
    path = tmp_path / "loader"
    path.write_bytes(b"old")
    cache = Cache()
    first = cache.content(File(path), blksize=512)
    assert cache.content(File(path), blksize=512) is first
    path.write_bytes(b"newer")
    assert unpack(cache.content(File(path), blksize=512)) == b"newer"
    assert unpack(first) == b"old", "whoever began with the old one gets it whole"


def test_memory_is_bounded_whatever_block_sizes_are_asked_for_and_held_open(tmp_path: Path) -> None:
    path = tmp_path / "grub"
    path.write_bytes(bytes(100_000))
    cache = Cache(limit=1_000_000)
    held = [cache.content(File(path), blksize=blksize) for blksize in range(1000, 1100)]
    assert cache.weight <= 1_000_000
    assert {type(content) for content in held} == {Packed, Large}
    for content in held:
        content.close()
    again = cache.content(File(path), blksize=1500)
    assert isinstance(again, Packed), "what nobody uses makes room"
    with pytest.raises(Unreadable, match="netascii"):
        [cache.content(File(path), blksize=blksize, netascii=True) for blksize in range(1000, 1100)]
    assert cache.weight <= 1_000_000


@pytest.mark.parametrize("change", ["shorter", "longer", "rewritten"])
def test_a_file_that_changes_while_it_is_sent_is_never_sent_as_if_whole(tmp_path: Path, change: str) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(bytes(PACK_LIMIT + 1))
    content = Cache().content(File(path), blksize=1024)
    content.packets(1, 2)
    os.utime(path, ns=(0, 0))  # so that rewriting within one tick of the clock shows
    if change == "rewritten":
        path.write_bytes(b"\1" * (PACK_LIMIT + 1))
    else:
        os.truncate(path, 2048 if change == "shorter" else PACK_LIMIT * 2)
    with pytest.raises(Unreadable, match="changed"):
        content.packets(3, 2)
    content.close()


def test_a_file_that_is_removed_or_replaced_while_it_is_sent_arrives_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(b"k" * (PACK_LIMIT + 1))
    content = Cache().content(File(path), blksize=65_464)
    new = tmp_path / "new"
    new.write_bytes(b"n" * 10)
    new.replace(path)
    assert unpack(content, 64) == b"k" * (PACK_LIMIT + 1)
    content.close()


def _nothing(root: Path) -> Path:
    return root / "missing"


def _folder(root: Path) -> Path:
    (root / "folder").mkdir()
    return root / "folder"


def _link_out(root: Path) -> Path:
    (root / "out").symlink_to("/etc/hostname")
    return root / "out"


def _linked_folder_out(root: Path) -> Path:
    (root / "etc").symlink_to("/etc")
    return root / "etc" / "hostname"


def _dots(root: Path) -> Path:
    return root / ".." / root.name / ".." / "beside"


def _loop(root: Path) -> Path:
    (root / "loop").symlink_to(root / "loop")
    return root / "loop"


def _fifo(root: Path) -> Path:
    os.mkfifo(root / "fifo")
    return root / "fifo"


def _device(_root: Path) -> Path:
    return Path("/dev/zero")


def _too_long(root: Path) -> Path:
    return root / ("x" * 300)


def _nul(root: Path) -> Path:
    return root / "a\0b"


@pytest.mark.parametrize(
    "make", [_nothing, _folder, _link_out, _linked_folder_out, _dots, _loop, _fifo, _device, _too_long, _nul]
)
def test_what_is_no_file_below_the_root_is_not_served(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "beside").write_text("secret")
    with pytest.raises(Unreadable):
        Cache().content(File(make(root), root), blksize=512)


def test_a_link_inside_the_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"loader")
    (tmp_path / "link").symlink_to("real")
    assert unpack(Cache().content(File(tmp_path / "link", tmp_path), blksize=512)) == b"loader"
