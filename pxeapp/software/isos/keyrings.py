"""The publishers' keys that this machine has: from its distribution's packages, or put below the data directory.

A key on the medium itself vouches for nothing: whoever alters a medium alters the key on it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pxeapp.errors import Invalid
from pxeapp.software.repositories import openpgp

OWN = "keyrings"  # below the data directory: keyrings/FAMILY/*.asc and *.gpg
_DISTRIBUTION = "/usr/share/distribution-gpg-keys"  # Debian's and Fedora's package of that name
KEYS: Mapping[str, tuple[str, ...]] = {
    "centos": (f"{_DISTRIBUTION}/centos/*", "/etc/pki/rpm-gpg/RPM-GPG-KEY-[Cc]ent*"),
    "rocky": (f"{_DISTRIBUTION}/rocky/*", "/etc/pki/rpm-gpg/RPM-GPG-KEY-[Rr]ocky*"),
    "alma": (f"{_DISTRIBUTION}/alma/*", "/etc/pki/rpm-gpg/RPM-GPG-KEY-[Aa]lma*"),
    "debian": ("/usr/share/keyrings/debian-archive-*keyring*", "/usr/share/keyrings/debian-archive-*-stable*"),
    "ubuntu": ("/usr/share/keyrings/ubuntu-*keyring*", f"{_DISTRIBUTION}/ubuntu/*"),
}


def of(family: str, data_dir: Path) -> bytes:
    """Every key of a family that is known here, as one keyring; empty where there is none."""
    own = sorted(path for end in ("asc", "gpg", "pgp") for path in (data_dir / OWN / family).glob(f"*.{end}"))
    installed = [path for pattern in KEYS[family] for path in sorted(Path("/").glob(pattern.lstrip("/")))]
    found = []
    for path in (*own, *installed):
        if path.is_file() and path.stat().st_size <= openpgp.MAX_KEYRING:
            try:
                found.append(openpgp.binary_keyring(path.read_bytes()))
            except (OSError, Invalid):  # a removed archive's keyring, a README, a file that we may not read
                continue
    return b"".join(found)
