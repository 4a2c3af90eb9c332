from __future__ import annotations

import datetime as dt
import hashlib

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.cache.indexes import heads

REPOMD = b"""<?xml version="1.0"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo">
 <data type="primary"><checksum type="sha256">%s</checksum><location href="%s"/><timestamp>1700000000</timestamp>
  <size>12</size></data>
</repomd>"""
SUM = b"ab" * 32


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("dists/trixie/InRelease", ("apt", "dists/trixie", "InRelease")),
        ("dists/buster/updates/Release.gpg", ("apt", "dists/buster/updates", "Release.gpg")),
        ("InRelease", ("apt", "", "InRelease")),
        ("9/BaseOS/os/repodata/repomd.xml", ("yum", "9/BaseOS/os", "repodata/repomd.xml")),
        ("repodata/repomd.xml.asc", ("yum", "", "repodata/repomd.xml.asc")),
        ("dists/trixie/main/binary-amd64/Packages.xz", None),
        ("pool/main/r/release/Release_1.deb", None),
        ("repomd.xml", None),
        ("dists/trixie/main/binary-amd64/Release", None),
        ("debian/dists/buster/updates/main/source/Release", None),
        ("dists/trixie/main/Release", ("apt", "dists/trixie/main", "Release")),
    ],
)
def test_a_head_is_known_by_its_path(path: str, found: tuple[str, str, str] | None) -> None:
    spot = heads.spot(path)
    assert (None if spot is None else (spot.kind, spot.root, spot.path)) == found


@pytest.mark.parametrize(
    ("path", "roots"),
    [
        ("dists/trixie/main/binary-amd64/Packages.xz", ["dists/trixie", "dists/trixie/main"]),
        ("dists/buster/updates/main/binary-amd64/Packages", ["dists/buster", "dists/buster/updates"]),
        ("9/os/repodata/abc-primary.xml.gz", ["9/os"]),
        ("flat/Packages.gz", ["flat"]),
        ("images/pxeboot/vmlinuz", []),
        ("pool/main/a/a.deb", []),
    ],
)
def test_the_sets_that_may_name_an_index_follow_from_its_path(path: str, roots: list[str]) -> None:
    assert [spot.root for spot in heads.possible(path)] == roots


def test_a_by_hash_path_is_taken_apart() -> None:
    assert heads.by_hash("main/binary-amd64/by-hash/SHA256/abc0") == ("main/binary-amd64/", "sha256", "abc0")
    assert heads.by_hash("by-hash/SHA256/abc0") == ("", "sha256", "abc0")
    assert heads.by_hash("main/binary-amd64/Packages") is None


def test_metadata_is_remembered_by_its_type_since_its_name_changes() -> None:
    head = heads.read_yum(REPOMD % (SUM, b"repodata/1-primary.xml.gz"), name="x")
    assert head.lasting("repodata/1-primary.xml.gz") == "primary"
    other = heads.read_yum(REPOMD % (SUM, b"repodata/2-primary.xml.gz"), name="x")
    assert list(other.paths_of("primary")) == ["repodata/2-primary.xml.gz"]
    assert other.sums["repodata/2-primary.xml.gz"].size == 12


@pytest.mark.parametrize(
    "content",
    [
        b"<repomd",
        b"<html>Sign in to the network</html>",
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + REPOMD % (SUM, b"repodata/x"),
        REPOMD % (b"ab", b"repodata/x"),
        REPOMD % (SUM, b"../../etc/passwd"),
        REPOMD % (SUM, b"/etc/passwd"),
    ],
)
def test_what_is_no_repomd_is_a_sentence(content: bytes) -> None:
    with pytest.raises(Invalid, match=r"repomd\.xml of x"):
        heads.read_yum(content, name="x")


COMPONENT = b"""Archive: stable
Origin: Debian
Label: Debian
Version: 13.8
Acquire-By-Hash: yes
Component: main
Architecture: %s
"""
RELEASE = b"""Origin: Debian
Label: Debian
Suite: stable
Version: 13.8
Codename: trixie
Date: Sat, 21 Nov 2026 09:15:44 UTC
Acquire-By-Hash: yes
Components: main
SHA256:
 9441fca766883d64ccff1eebaf895cb84ca5e787404cfd692f2cd04bf1253449 116 main/binary-amd64/Release
"""


def test_a_components_own_release_file_follows_from_what_the_head_says() -> None:
    """These are Debian 13.8's own: its hash of the file is what we make."""
    head = heads.read_apt(RELEASE, name="debian", now=dt.datetime(2026, 11, 26, tzinfo=dt.UTC), keyring=b"")
    found = head.of_component("main/binary-amd64/Release")
    assert found == COMPONENT % b"amd64"
    assert head.sums["main/binary-amd64/Release"].fits(hashlib.sha256(found).hexdigest(), len(found))
    assert head.of_component("main/source/Release") == COMPONENT % b"source"
    assert head.of_component("main/binary-amd64/Packages.xz") is None
    assert heads.Head({}).of_component("main/binary-amd64/Release") == b"Component: main\nArchitecture: amd64\n"
