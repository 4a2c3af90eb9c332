"""Compressed indices are unpacked whole or not at all, and never beyond their bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.repositories import unpacking

CONTENT = b"Package: alpha\n" * 20_000


def packed(kind: str) -> bytes:
    if kind == "zst":
        if shutil.which("zstd") is None:
            pytest.skip("needs zstd")
        return subprocess.run(["zstd", "-qc"], input=CONTENT, capture_output=True, check=True, timeout=60).stdout
    return {"gz": gzip.compress(CONTENT), "xz": lzma.compress(CONTENT), "bz2": bz2.compress(CONTENT)}[kind]


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zst"])
def test_each_way_of_packing(kind: str) -> None:
    content, path = packed(kind), f"main/Packages.{kind}"
    assert unpacking.unpacked(content, path, name="it") == CONTENT
    assert unpacking.unpacked(content * 2, path, name="it") == CONTENT * 2  # joined files are one
    for bad in (content[:-20], b"no such thing"):
        with pytest.raises(Invalid, match="it cannot be unpacked"):
            unpacking.unpacked(bad, path, name="it")
    with pytest.raises(Invalid, match="it unpacks to more than"):
        unpacking.unpacked(content, path, name="it", limit=len(CONTENT) - 1)
    assert unpacking.unpacked(content, path, name="it", limit=len(CONTENT)) == CONTENT


def test_what_is_not_packed_stays_as_it_is() -> None:
    assert unpacking.unpacked(b"plain", "main/Packages", name="it") == b"plain"
