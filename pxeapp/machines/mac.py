"""MAC addresses: any spelling in, one spelling inside (`aa:bb:cc:dd:ee:ff`)."""

from __future__ import annotations

from netaddr import EUI, AddrFormatError, mac_unix_expanded

from pxeapp.errors import FieldProblem, Invalid


def normalise(text: str, *, field: str = "mac") -> str:
    """The MAC in our one spelling; raises Invalid for anything that is not a unicast 48-bit MAC."""
    try:
        # EUI also takes bare integers; "12" is an operator's slip, not a MAC.
        if len(text.strip()) < 11:
            raise AddrFormatError
        mac = EUI(text.strip(), version=48, dialect=mac_unix_expanded)
    except (AddrFormatError, ValueError, TypeError):
        raise _invalid(field, f"{text!r} is not a MAC address.") from None
    if mac.words[0] & 1:
        raise _invalid(field, f"{text!r} is a multicast address, which no network card has.")
    if int(mac) == 0:
        raise _invalid(field, f"{text!r} is all zeroes, which firmware reports when it does not know.")
    return str(mac)


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
