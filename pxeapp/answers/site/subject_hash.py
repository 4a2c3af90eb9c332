"""The name under which OpenSSL looks for an authority in a folder: a hash of its subject, as `openssl x509 -hash` says.

Source: OpenSSL 1.0 and later, crypto/x509/x_name.c (the canonical encoding) and x509_cmp.c (X509_NAME_hash).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from cryptography import x509

SUBJECT = 4  # of a certificate's fields, the version aside: serial, algorithm, issuer, validity, subject
VERSION, SEQUENCE, SET, UTF8 = 0xA0, 0x30, 0x31, 0x0C
# The texts that are compared without case and blanks, and how they are encoded; all others count as they are.
TEXTS = {
    UTF8: "utf-8", 0x13: "latin-1", 0x14: "latin-1", 0x16: "latin-1", 0x1A: "latin-1", 0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}  # fmt: skip
BLANKS = re.compile(rb"[ \t\n\v\f\r]+")


def subject_hash(certificate: x509.Certificate) -> str:
    """Eight hexadecimal digits; raises ValueError where the subject holds a text that is none."""
    ((_, fields),) = _parts(certificate.tbs_certificate_bytes)
    rest = [content for tag, content in _parts(fields) if tag != VERSION]
    canonical = b"".join(_relative_name(content) for _, content in _parts(rest[SUBJECT]))
    return f"{int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], 'little'):08x}"


def _relative_name(content: bytes) -> bytes:
    attributes = []
    for _, attribute in _parts(content):
        (kind_tag, kind), (tag, value) = _parts(attribute)
        if tag in TEXTS:
            tag, value = UTF8, _canonical(value.decode(TEXTS[tag]).encode())
        attributes.append(_written(SEQUENCE, _written(kind_tag, kind) + _written(tag, value)))
    return _written(SET, b"".join(sorted(attributes)))


def _canonical(text: bytes) -> bytes:
    """No blanks at its ends, single ones within, small letters: of ASCII alone."""
    return BLANKS.sub(b" ", text).strip(b" ").lower()


def _parts(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value; certificates have been read before, so their lengths are right."""
    at = 0
    while at < len(encoded):
        tag, length, at = encoded[at], encoded[at + 1], at + 2
        if length > 0x7F:
            size = length & 0x7F
            length, at = int.from_bytes(encoded[at : at + size], "big"), at + size
        yield tag, encoded[at : at + length]
        at += length


def _written(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
