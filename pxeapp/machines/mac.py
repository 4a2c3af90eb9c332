"""MAC addresses: any spelling in, one spelling inside (`aa:bb:cc:dd:ee:ff`)."""

from __future__ import annotations

import re

from netaddr import EUI, mac_unix_expanded

from pxeapp.errors import FieldProblem, Invalid

# netaddr also reads what somebody cut short: eleven bare digits, groups with digits missing. A MAC that lost a
# digit is a typing error, and guessing which one would boot another machine. Only pairs may drop their zero (Solaris).
_HEX = "[0-9A-Fa-f]"
_SPELLING = re.compile(
    rf"{_HEX}{{12}}"
    rf"|{_HEX}{{1,2}}([:-])(?:{_HEX}{{1,2}}\1){{4}}{_HEX}{{1,2}}"
    rf"|{_HEX}{{4}}([.:-]){_HEX}{{4}}\2{_HEX}{{4}}"
    rf"|{_HEX}{{6}}[:-]{_HEX}{{6}}"
)
_OURS = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
NONE = "00:00:00:00:00:00"
SHOWN = 60  # of what a stranger wrote


def normalise(text: str, *, field: str = "mac") -> str:
    """The MAC in our one spelling; raises Invalid for anything that is not a unicast 48-bit MAC."""
    if not _SPELLING.fullmatch(text.strip()):
        raise _invalid(field, f"{text[:SHOWN]!r} is not a MAC address.")
    # Most are in our spelling already, and netaddr takes its time.
    mac = text if _OURS.fullmatch(text) else str(EUI(text.strip(), version=48, dialect=mac_unix_expanded))
    if int(mac[:2], 16) & 1:
        raise _invalid(field, f"{text!r} is a multicast address, which no network card has.")
    if mac == NONE:
        raise _invalid(field, f"{text!r} is all zeroes, which firmware reports when it does not know.")
    return mac


def _invalid(field: str, problem: str) -> Invalid:
    fix = "Write six pairs of hex digits, for example 52:54:00:12:34:56."
    return Invalid(problem, problems=[FieldProblem(field, problem, fix)], hint=fix)


def parse_or_none(text: str) -> str | None:
    """The MAC in our spelling, or None: for names and packets that strangers send."""
    try:
        return normalise(text)
    except Invalid:
        return None


def dashed(mac: str) -> str:
    """`01-aa-bb-cc-dd-ee-ff`, as PXELINUX and BOOTIF write it (01 is ARP's hardware type for Ethernet)."""
    return "01-" + mac.replace(":", "-")
