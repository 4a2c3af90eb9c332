"""Keys, signatures and their refusal, by the real gpg and gpgv."""

from __future__ import annotations

import shutil

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.repositories import openpgp
from pxeapp.software.repositories.openpgp import KeyPair

pytestmark = pytest.mark.skipif(
    shutil.which("gpg") is None or shutil.which("gpgv") is None,
    reason="needs gpg and gpgv (apt install gpg gpg-agent gpgv)",
)
TEXT = b"Origin: pxeapp\n-dashes are escaped\n\nSuite: here\n"


@pytest.fixture(scope="module")
def one() -> KeyPair:
    return openpgp.make("one", algorithm="rsa2048")


@pytest.fixture(scope="module")
def other() -> KeyPair:
    return openpgp.make("other", algorithm="rsa2048")


def test_a_signed_text_is_verified_by_any_of_the_keys_that_signed_it(one: KeyPair, other: KeyPair) -> None:
    signed = openpgp.sign_clear(TEXT, [one.private, other.private])
    for key in (one, other):
        assert openpgp.verified_clear(signed, key.public.encode(), name="InRelease") == TEXT


def test_a_detached_signature_holds_for_these_bytes_only(one: KeyPair) -> None:
    signature = openpgp.sign_detached(b"\0\xff", [one.private])
    openpgp.verify_detached(b"\0\xff", signature, one.public.encode(), name="it")
    with pytest.raises(Invalid, match="it does not have the content that was signed"):
        openpgp.verify_detached(b"\0\xfe", signature, one.public.encode(), name="it")


def test_altered_unsigned_and_foreign_files_are_refused(one: KeyPair, other: KeyPair) -> None:
    signed = openpgp.sign_clear(TEXT, [one.private])
    for content, key, said in (
        (signed.replace(b"here", b"gone"), one, "was altered"),
        (signed, other, f"not in the keyring: {one.fingerprint[-16:]}"),
        (TEXT, one, "InRelease is not signed"),
        (signed[: signed.index(b"-----BEGIN PGP SIGNATURE")], one, "no signature"),
    ):
        with pytest.raises(Invalid, match=said):
            openpgp.verified_clear(content, key.public.encode(), name="InRelease")


def test_what_stands_around_the_signed_text_is_not_taken_for_signed(one: KeyPair) -> None:
    signed = openpgp.sign_clear(TEXT, [one.private])
    assert openpgp.verified_clear(signed + b"\nOrigin: evil\n", one.public.encode(), name="InRelease") == TEXT
    with pytest.raises(Invalid, match="not signed"):
        openpgp.verified_clear(b"Origin: evil\n" + signed, one.public.encode(), name="InRelease")


def test_a_keyring_is_made_of_armoured_and_binary_keys_and_of_nothing_else(one: KeyPair, other: KeyPair) -> None:
    both = openpgp.binary_keyring(one.public.encode() + other.public.encode())
    again = openpgp.binary_keyring(openpgp.binary_keyring(one.public.encode()), other.public.encode())
    assert both == again
    for bad in (b"", b"<html>", one.private.encode(), one.public.encode().replace(b"mQ", b"!!")):
        with pytest.raises(Invalid):
            openpgp.binary_keyring(bad)


def test_a_name_is_never_taken_for_an_option() -> None:
    pair = openpgp.make("--version", algorithm="rsa2048")
    assert openpgp.sign_detached(b"x", [pair.private]).startswith(b"-----BEGIN PGP SIGNATURE-----")


def test_a_key_shows_nothing_of_its_private_half(one: KeyPair) -> None:
    assert "PRIVATE" in one.private
    assert repr(one) == f"KeyPair({one.fingerprint})"
