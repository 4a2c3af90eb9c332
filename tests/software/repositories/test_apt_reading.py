"""Others' apt repositories, read: only what is signed, of this time, and as its index says."""

from __future__ import annotations

import datetime as dt

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.packages import Package
from pxeapp.software.repositories import apt, apt_reading
from pxeapp.software.repositories.apt import Suite
from pxeapp.software.repositories.apt_reading import Release
from pxeapp.software.repositories.signing import Signer
from tests.software.repositories.conftest import NOW

DAY = dt.timedelta(days=1)
SUMS = f"SHA256:\n {'a' * 64} 12 main/binary-amd64/Packages.xz\n"
STANZA = "Package: alpha\nVersion: 1:2.0-1\nArchitecture: amd64\nSource: al (2.0)\nDescription: first\n more\n"
ALPHA = Package(
    "deb", "alpha", "1:2.0-1", "amd64", "pool/main/a/al/alpha_2.0-1_amd64.deb", "1" * 64, 7, "al", "first", STANZA
)


def read(signer: Signer, text: str, *, expired: bool = False) -> Release:
    signed = signer.sign_clear(text.encode())
    return apt_reading.release(signed, signer.public.encode(), name="the mirror", now=NOW, expired=expired)


def test_what_is_written_is_read_again(signer: Signer) -> None:
    made = apt.files([ALPHA], Suite("stable", description="Ours"), now=NOW, signer=signer)
    key = signer.public.encode()
    release = apt_reading.release(made["dists/stable/InRelease"], key, name="it", now=NOW)
    detached = apt_reading.release(
        made["dists/stable/Release"], key, name="it", now=NOW, signature=made["dists/stable/Release.gpg"]
    )
    assert release == detached
    assert (release.date, release.valid_until, release.by_hash) == (NOW, None, True)
    assert (release.components, release.architectures) == (("main",), ("amd64",))
    path = release.index("main/binary-amd64")
    content = made[f"dists/stable/{path}"]
    release.check(path, content)
    assert made[f"dists/stable/main/binary-amd64/by-hash/SHA256/{release.sums[path][0]}"] == content
    (found,) = apt_reading.packages(content, path=path, name="it")
    assert found == ALPHA
    assert found.stanza == STANZA


def test_one_that_is_out_of_date_is_refused_with_both_dates_unless_that_is_meant(signer: Signer) -> None:
    text = f"Date: Sat, 02 Nov 2024 08:00:00 UTC\nValid-Until: Sat, 09 Nov 2024 08:00:00 UTC\n{SUMS}"
    with pytest.raises(
        Invalid, match="of 2024-11-02 08:00 UTC was valid until 2024-11-09 08:00 UTC, and it is 2024-11-26"
    ):
        read(signer, text)
    assert read(signer, text, expired=True).valid_until is not None
    with pytest.raises(Invalid, match="is dated 2024-12-24 08:00 UTC, and it is 2024-11-26 12:00 UTC here"):
        read(signer, f"Date: Tue, 24 Dec 2024 08:00:00 UTC\n{SUMS}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SUMS, "no usable Date"),
        ("Date: Sat, 02 Nov 2024 08:00:00 UTC\nMD5Sum:\n x 1 y\n", "has no SHA-256 sums"),
        ("Date: Sat, 02 Nov 2024 08:00:00 UTC\nSHA256:\n short 1 y\n", "a line that is no sum"),
    ],
)
def test_a_release_that_says_too_little_is_refused(signer: Signer, text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read(signer, text)


def test_an_index_that_is_not_the_signed_one_is_refused_with_both_hashes(signer: Signer) -> None:
    release = read(signer, f"Date: Sat, 02 Nov 2024 08:00:00 UTC\n{SUMS}")
    with pytest.raises(Invalid, match=f"and its signed Release file says {'a' * 64} and 12 bytes"):
        release.check("main/binary-amd64/Packages.xz", b"something else")
    with pytest.raises(Invalid, match="names no main/other"):
        release.check("main/other", b"")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("Filename: pool/a.deb", "Filename: ../../etc/passwd"), "cannot be a path"),
        (("Filename: pool/a.deb", "Filename: /etc/passwd"), "cannot be a path"),
        (("SHA256: " + "1" * 64, "MD5sum: 1"), "has no SHA-256 for alpha"),
        (("Size: 7", "Size: many"), "has no size for alpha"),
        (("Package: alpha", "Package: al pha"), "without a usable name and version"),
        (("Version: 1", "Version: 1 2"), "without a usable name and version"),
    ],
)
def test_a_package_that_cannot_be_fetched_or_verified_is_refused(change: tuple[str, str], said: str) -> None:
    text = f"Package: alpha\nVersion: 1\nArchitecture: all\nFilename: pool/a.deb\nSize: 7\nSHA256: {'1' * 64}\n"
    assert [each.name for each in apt_reading.packages(text.encode(), path="Packages", name="it")] == ["alpha"]
    with pytest.raises(Invalid, match=said):
        list(apt_reading.packages(text.replace(*change).encode(), path="Packages", name="it"))


def test_udebs_and_architectures_have_indices_of_their_own(signer: Signer) -> None:
    udeb = Package(
        "deb", "u", "1", "amd64", "pool/main/u/u_1_amd64.udeb", "2" * 64, 3, stanza="Package: u\nVersion: 1\n"
    )
    everywhere = Package("deb", "e", "1", "all", "pool/extra/e.deb", "3" * 64, 3, stanza="Package: e\nVersion: 1\n")
    suite = Suite("stable", components=("main", "extra"), architectures=("amd64", "i386"))
    made = apt.files([ALPHA, udeb, everywhere], suite, now=NOW, signer=signer)
    lists = {path: content.decode() for path, content in made.items() if path.endswith("/Packages")}
    holding = {
        name: {path for path, text in lists.items() if f"Package: {name}\n" in text} for name in ("alpha", "u", "e")
    }
    root = "dists/stable"
    assert holding == {
        "alpha": {f"{root}/main/binary-amd64/Packages"},
        "u": {f"{root}/main/debian-installer/binary-amd64/Packages"},
        "e": {f"{root}/extra/binary-amd64/Packages", f"{root}/extra/binary-i386/Packages"},
    }
    assert lists[f"{root}/main/binary-i386/Packages"] == ""


def test_a_stanza_of_another_package_or_one_that_would_end_early_is_not_published(signer: Signer) -> None:
    stranger = Package("deb", "alpha", "2", "all", "pool/a.deb", "1" * 64, 1, stanza="Package: beta\nVersion: 2\n")
    with pytest.raises(Invalid, match="no usable control data"):
        apt.files([stranger], Suite("stable"), now=NOW, signer=signer)
    with pytest.raises(Invalid, match="is for arm64, and this repository has amd64"):
        apt.files([Package("deb", "a", "1", "arm64", "p/a.deb", "1" * 64, 1, stanza="Package: a\nVersion: 1\n")],
                  Suite("stable"), now=NOW, signer=signer)  # fmt: skip
    hostile = "Package: a\nVersion: 1\n\nPackage: b\nFilename: x\nSHA256: 0\n"
    kept, _ = apt.parted(hostile)
    assert "\n\n" not in kept
    assert "Filename" not in kept
