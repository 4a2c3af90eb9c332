"""The indices of a suite have all that apt asks for, and what only debian-installer does."""

from __future__ import annotations

import datetime as dt
import hashlib

from pxeapp.software.packages import Package
from pxeapp.software.repositories import apt

NOW = dt.datetime(2026, 11, 26, 8, tzinfo=dt.UTC)


class Unsigned:
    """Signs nothing: what is signed is tested with gpg in test_signing.py."""

    def sign_clear(self, text: bytes) -> bytes:
        return text

    def sign_detached(self, data: bytes) -> bytes:
        return data


def package(name: str, path: str) -> Package:
    stanza = f"Package: {name}\nVersion: 1\nArchitecture: amd64\n"
    return Package("deb", name, "1", "amd64", path, "0" * 64, 7, stanza=stanza)


def test_each_folder_says_of_which_architecture_it_is() -> None:
    """debian-installer's choose-mirror takes a mirror without that file for none, and asks for another for ever."""
    found = apt.files(
        [package("a", "pool/main/a.deb"), package("b", "pool/main/b.udeb")],
        apt.Suite("trixie"),
        now=NOW,
        signer=Unsigned(),
    )
    for folder in ("main/binary-amd64", "main/debian-installer/binary-amd64"):
        said = found[f"dists/trixie/{folder}/Release"]
        assert said == b"Archive: trixie\nOrigin: pxeapp\nLabel: pxeapp\nComponent: main\nArchitecture: amd64\n"
        line = f" {hashlib.sha256(said).hexdigest()} {len(said)} {folder}/Release\n"
        assert line.encode() in found["dists/trixie/Release"]


def test_a_component_without_packages_has_its_index_too() -> None:
    found = apt.files([], apt.Suite("trixie", components=("main", "contrib")), now=NOW, signer=Unsigned())
    assert found["dists/trixie/contrib/binary-amd64/Packages"] == b""
    assert b"Component: contrib\n" in found["dists/trixie/contrib/binary-amd64/Release"]


def test_the_last_package_ends_as_the_others_do() -> None:
    """debootstrap takes a package when its empty line comes: one that lacked it was missing from the base system."""
    found = apt.files(
        [package("a", "pool/main/a.deb"), package("z", "pool/main/z.deb")], apt.Suite("trixie"), now=NOW,
        signer=Unsigned(),
    )  # fmt: skip
    text = found["dists/trixie/main/binary-amd64/Packages"].decode()
    assert text.endswith("\n\n")
    assert text.count("\n\n") == 2
