"""rpm packages verified by their own signatures, with rpm's own tool and a database of keys that is ours alone."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pxeapp.errors import Invalid, Unavailable
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Package

AT_ONCE = 50
TIMEOUT_S = 600.0
_LINE = re.compile(r"(?P<path>.+): (?P<said>[a-zA-Z ()0-9-]+)")


def verify(
    packages: Sequence[Package], store: Store, keyring: bytes, *, tell: Callable[[int], None] = lambda _: None
) -> None:
    """Raises Invalid with the name of the first package that no key of the keyring has signed."""
    program = shutil.which("rpmkeys")
    if program is None:
        raise Unavailable("rpmkeys is needed to verify packages.", hint="Install the package rpm.")
    with tempfile.TemporaryDirectory(prefix="pxeapp-rpmkeys-") as folder:
        keys = Path(folder) / "keys.asc"
        keys.write_text(_armoured(keyring))
        _run(program, folder, "--import", str(keys))
        for start in range(0, len(packages), AT_ONCE):
            tell(start)
            part = packages[start : start + AT_ONCE]
            by_path = {str(store.path(each.sha256)): each for each in part}
            good = _good(_run(program, folder, "--checksig", *by_path, check=False))
            for path, package in by_path.items():
                if path not in good:
                    raise Invalid(
                        f"{package.path} has no signature by a known key.",
                        hint="Give the key that its publisher signs with, after comparing its fingerprint.",
                    )


def _armoured(keyring: bytes) -> str:
    """A binary keyring as rpm takes it (RFC 4880, section 6); the checksum is CRC-24, and rpm insists on it."""
    crc = 0xB704CE
    for byte in keyring:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
    text = base64.b64encode(keyring).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    end = base64.b64encode((crc & 0xFFFFFF).to_bytes(3, "big")).decode()
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{lines}\n={end}\n-----END PGP PUBLIC KEY BLOCK-----\n"


def _good(said: str) -> set[str]:
    """The files that are signed by a known key: "digests OK" alone is said of what nobody signed."""
    found = (_LINE.fullmatch(line) for line in said.splitlines())
    return {
        match["path"] for match in found if match and "signatures" in match["said"] and match["said"].endswith("OK")
        and "NOT OK" not in match["said"]
    }  # fmt: skip


def _run(program: str, folder: str, *words: str, check: bool = True) -> str:
    try:
        ran = subprocess.run(
            [program, "--dbpath", f"{folder}/db", *words],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"rpmkeys did not end within {TIMEOUT_S:.0f} s.", hint="Is this machine overloaded?"
        ) from error
    if check and ran.returncode != 0:
        raise Invalid(
            f"rpm cannot use the key: {ran.stderr.strip()[-200:] or 'it said nothing'}.",
            hint="Give the publisher's public key: gpg --export --armor NAME",
        )
    return ran.stdout
