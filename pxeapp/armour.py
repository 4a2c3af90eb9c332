"""The armour of OpenPGP keys, RFC 4880 section 6: what it begins and ends with, its checksum, and what is a key."""

from __future__ import annotations

import base64

BEGIN, END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"


def block(keys: bytes) -> str:
    """Binary keys as one block, since of several in a file apt reads the first; with its checksum, for older rpm."""
    text = base64.b64encode(keys).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    checksum = base64.b64encode(crc24(keys).to_bytes(3, "big")).decode()
    return "\n".join([BEGIN, "", *lines, f"={checksum}", END]) + "\n"


def crc24(data: bytes) -> int:
    """The checksum of armour, section 6.1."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc & 0xFFFFFF


def is_public(key: bytes) -> bool:
    """Whether its first packet is of type 6, in the old or the new format (section 4.2)."""
    return bool(key) and key[0] & 0x80 != 0 and (key[0] & 0x3F if key[0] & 0x40 else key[0] >> 2 & 0x0F) == 6
