"""The armour of OpenPGP keys, RFC 4880 section 6: what it begins and ends with, its checksum, and what is a key."""

from __future__ import annotations

BEGIN, END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"


def crc24(data: bytes) -> int:
    """The checksum of armour, section 6.1; older readers want it."""
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
