"""OpenPGP by its own tools: gpg makes keys and signs, gpgv verifies. Nothing here knows of repositories.

gpg wants a home; each call has one of its own, in memory where there is such a place, and takes it away afterwards
together with the agent that gpg has started in it. Keys come and go through pipes: none is ever in a process list.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pxeapp import armour
from pxeapp.errors import Invalid, Unavailable

ALGORITHM = "rsa4096"  # rpm of EL7 and every gpgv of an installer read it; they do not all read ed25519
BEGIN, END = b"-----BEGIN PGP ", b"-----END PGP "
SIGNED_MESSAGE = b"-----BEGIN PGP SIGNED MESSAGE-----"
TIMEOUT_S = 60.0
MAKING_TIMEOUT_S = 300.0
MAX_KEYRING = 4 * 1024 * 1024
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, for us alone
_BLOCK = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)


class NotVouched(Invalid):
    """The signature is not known to be wrong, but no key that counts here has made it: it is unknown, or expired."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key: both halves armoured. The private one has no passphrase; whoever keeps it seals it."""

    fingerprint: str
    public: str
    private: str

    def __repr__(self) -> str:
        return f"KeyPair({self.fingerprint})"


def make(owner: str, *, algorithm: str = ALGORITHM) -> KeyPair:
    """A new key that signs and never expires; takes a few seconds."""
    with _home() as home:
        _gpg(
            home, "--passphrase", "", "--quick-generate-key", "--", owner, algorithm, "sign", "never",
            timeout_s=MAKING_TIMEOUT_S,
        )  # fmt: skip
        listed = _gpg(home, "--with-colons", "--list-secret-keys").decode()
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        public = _gpg(home, "--armor", "--export", fingerprint).decode()
        private = _gpg(home, "--armor", "--export-secret-keys", fingerprint).decode()
    return KeyPair(fingerprint, public, private)


def sign_clear(text: bytes, private: Sequence[str]) -> bytes:
    """The text with its signature around it, as InRelease is; one signature by each key."""
    return _sign(text, private, "--clear-sign")


def sign_detached(data: bytes, private: Sequence[str]) -> bytes:
    """The armoured signature alone; one by each key."""
    return _sign(data, private, "--armor", "--detach-sign")


def _sign(data: bytes, private: Sequence[str], *how: str) -> bytes:
    with _home() as home:
        _gpg(home, "--import", given="\n".join(private).encode())
        listed = _gpg(home, "--with-colons", "--list-secret-keys").decode()
        users = [line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")]
        who = [word for user in users for word in ("--local-user", user)]
        return _gpg(home, "--digest-algo", "SHA512", *who, *how, given=data)


def verified_clear(signed: bytes, keyring: bytes, *, name: str) -> bytes:
    """What a clear-signed file says, when a key of the keyring has signed it; `name` is for the sentence."""
    if not signed.lstrip().startswith(SIGNED_MESSAGE):
        raise Invalid(f"{name} is not signed.", hint="Is it complete, and from the right place?")
    with _folder() as folder:
        text = folder / "text"
        _gpgv(folder, keyring, signed, "--output", str(text), "--", str(folder / "signed"), name=name)
        return text.read_bytes()


def verify_detached(data: bytes, signature: bytes, keyring: bytes, *, name: str) -> None:
    """Raises Invalid unless a key of the keyring has signed exactly this."""
    with _folder() as folder:
        (folder / "data").write_bytes(data)
        _gpgv(folder, keyring, signature, "--", str(folder / "signed"), str(folder / "data"), name=name)


def signers(data: bytes, signature: bytes, keyring: bytes, *, name: str) -> tuple[str, ...]:
    """Fingerprints of the keys of the keyring that have signed exactly this; raises Invalid where none has."""
    with _folder() as folder:
        (folder / "data").write_bytes(data)
        words = ("--", str(folder / "signed"), str(folder / "data"))
        return _gpgv(folder, keyring, signature, *words, name=name)


def binary_keyring(*keys: bytes) -> bytes:
    """Keys in one keyring as gpgv and installers read it: armour is taken off; raises Invalid for what is no key."""
    found = []
    for key in keys:
        if len(key) > MAX_KEYRING:
            raise Invalid("This key is larger than any keyring.", hint="Give a public key: gpg --export NAME")
        blocks = [_unarmoured(block) for block in _BLOCK.findall(key)] if BEGIN in key else [key]
        if not blocks or not all(map(armour.is_public, blocks)):
            raise Invalid("This is no OpenPGP public key.", hint="Export it with: gpg --export NAME")
        found += blocks
    return b"".join(found)


def _unarmoured(block: bytes) -> bytes:
    lines = [line.strip() for line in block.strip().splitlines()]
    while lines and (b":" in lines[0] or not lines[0]):  # headers such as Version and Comment
        lines.pop(0)
    try:
        return base64.b64decode(b"".join(line for line in lines if not line.startswith(b"=")), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("This key is damaged: its armour holds no base64.", hint="Export it again.") from None


def _gpgv(folder: Path, keyring: bytes, signed: bytes, *words: str, name: str) -> tuple[str, ...]:
    """One good signature by a known key is enough: an archive in change signs with its next key, too. Returns whose."""
    program = _program("gpgv")
    (folder / "keys.gpg").write_bytes(binary_keyring(keyring))
    (folder / "signed").write_bytes(signed)
    ran = subprocess.run(
        [program, "--homedir", str(folder), "--status-fd", "1", "--ignore-time-conflict",
         "--keyring", str(folder / "keys.gpg"), *words],
        capture_output=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL, env=_environment(),
    )  # fmt: skip
    said = [line.split(" ") for line in ran.stdout.decode(errors="replace").splitlines() if line.startswith("[GNUPG:]")]
    words_of = {line[1]: line[2:] for line in said if len(line) > 1}
    if "BADSIG" in words_of:
        raise Invalid(
            f"{name} does not have the content that was signed by {words_of['BADSIG'][0]}: it was altered, or damaged "
            "on its way.",
            hint="Fetch it again; if this stays, somebody on the way changes it.",
        )
    if "GOODSIG" in words_of and (whose := _good(said)):
        return whose
    if outdated := [word for word in ("EXPKEYSIG", "REVKEYSIG", "EXPSIG") if word in words_of]:
        revoked = outdated[0] == "REVKEYSIG"
        why = "whose key was revoked" if revoked else "that has expired"
        raise (Invalid if revoked else NotVouched)(
            f"{name} has a signature {why}: {words_of[outdated[0]][0]}.",
            hint="Fetch the publisher's present key, and compare its fingerprint with what the publisher says.",
        )
    if "NO_PUBKEY" in words_of:
        raise NotVouched(
            f"{name} is signed by a key that is not in the keyring: {words_of['NO_PUBKEY'][0]}.",
            hint="Give the publisher's present key, after comparing its fingerprint with what the publisher says.",
        )
    raise Invalid(
        f"{name} has no signature that could be verified.",
        hint="Is the file whole, and signed at all?",
    )


def _good(said: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The primary keys of good signatures: a VALIDSIG belongs to the verdict before it, and that may be EXPKEYSIG."""
    found, verdict = [], ""
    for line in said:
        word = line[1] if len(line) > 1 else ""
        if word == "VALIDSIG" and verdict == "GOODSIG":
            found.append(line[-1])
        elif word.endswith("SIG") and word not in ("VALIDSIG", "NEWSIG"):
            verdict = word
    return tuple(dict.fromkeys(found))


def _gpg(home: Path, *words: str, given: bytes = b"", timeout_s: float = TIMEOUT_S) -> bytes:
    program = _program("gpg")
    try:
        ran = subprocess.run(
            [program, "--homedir", str(home), "--batch", "--yes", "--quiet", "--no-tty", "--pinentry-mode", "loopback",
             "--trust-model", "always", *words],
            input=given, capture_output=True, timeout=timeout_s, check=False, env=_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"gpg did not end within {timeout_s:.0f} s.", hint="Is this machine overloaded?") from error
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise Unavailable(f"gpg failed: {said[-1][:300]}", hint="Is the package gpg-agent installed, too?")
    return ran.stdout


def _program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise Unavailable(f"{name} is not installed.", hint="Install the packages gpg, gpg-agent and gpgv.")
    return program


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}


@contextmanager
def _folder() -> Iterator[Path]:
    """For us alone, and in memory if there is such a place: a key without a passphrase must not reach a disk."""
    with tempfile.TemporaryDirectory(
        prefix="pxeapp-gpg-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None, ignore_cleanup_errors=True
    ) as made:
        yield Path(made)


@contextmanager
def _home() -> Iterator[Path]:
    with _folder() as home:
        try:
            yield home
        finally:
            if shutil.which("gpgconf"):
                subprocess.run(
                    ["gpgconf", "--homedir", str(home), "--kill", "all"],
                    capture_output=True, timeout=TIMEOUT_S, check=False, env=_environment(),
                )  # fmt: skip
