"""PXELINUX configuration: known words, labels that exist and that boot something, and how long a line may be.

PXELINUX reads what it does not know as nothing at all, without a word. Source: SYSLINUX' doc/syslinux.txt and menu.c.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from pxeapp.boot.pxelinux import MAX_LINE
from pxeapp.faults import Fault

KIND = "pxelinux"
_WORDS = """
ALLOWOPTIONS APPEND BOOT CONFIG CONSOLE DEFAULT DISPLAY F0 F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 FDIMAGE FONT
IMPLICIT INCLUDE INITRD IPAPPEND KBDMAP KERNEL LABEL LINUX LOCALBOOT MENU NOCOMPLETE NOESCAPE ONERROR ONTIMEOUT PROMPT
PXE SAY SENDCOOKIES SERIAL SYSAPPEND TEXT TIMEOUT TOTALTIMEOUT UI COM32 BSS COMBOOT PATH ENDTEXT
"""
WORDS = frozenset(_WORDS.split())
NUMBERS = ("PROMPT", "TIMEOUT", "TOTALTIMEOUT", "NOESCAPE", "IMPLICIT", "ALLOWOPTIONS", "IPAPPEND", "SYSAPPEND")
BOOTS = ("LINUX", "KERNEL", "LOCALBOOT", "BOOT", "COM32", "CONFIG", "PXE", "BSS", "FDIMAGE")
LEADS = ("DEFAULT", "ONTIMEOUT", "ONERROR")


def check(text: str) -> Iterator[Fault]:
    """Every fault of a configuration."""
    said = [(number, line.split()) for number, line in enumerate(text.split("\n"), 1)]
    said = [(number, words) for number, words in said if words and not words[0].startswith("#")]
    labels: dict[str, int] = {}
    boots: dict[str, bool] = {}
    here = ""
    for number, (word, *rest) in said:
        name = word.upper()
        yield from _word(number, name, word, rest)
        if name == "LABEL" and rest:
            here = rest[0]
            if here in labels:
                yield Fault(
                    KIND, number, f"The label {here} stands in line {labels[here]} already.", "Name it otherwise."
                )
            labels.setdefault(here, number)
            boots.setdefault(here, False)
        elif name in BOOTS and here:
            boots[here] = True
        elif name in ("INITRD", "APPEND") and here and not boots[here]:
            yield Fault(KIND, number, f"{name} stands before what is booted.", "Put LINUX above it.")
    for label, does in boots.items():
        if not does:
            yield Fault(KIND, labels[label], f"The label {label} boots nothing.", "Add LINUX or LOCALBOOT below it.")
    yield from _leads(said, labels)
    yield from _lengths(text)


def _word(number: int, name: str, word: str, rest: list[str]) -> Iterator[Fault]:
    if name not in WORDS:
        near = difflib.get_close_matches(name, WORDS, n=1)
        yield Fault(
            KIND,
            number,
            f"PXELINUX knows no {word[:40]!r}, and passes over it.",
            f"Write {near[0] if near else 'SAY'}.",
        )
    elif name in NUMBERS and not (len(rest) == 1 and rest[0].isdigit()):
        yield Fault(KIND, number, f"{name} takes a number.", f"Write: {name} 0")
    elif name in ("LABEL", "LINUX", "KERNEL", "INITRD", "LOCALBOOT") and len(rest) != 1:
        problem = f"{name} takes one word, and there are {len(rest)}; a name cannot hold a blank."
        yield Fault(KIND, number, problem, "Separate several initrds by commas.")


def _leads(said: list[tuple[int, list[str]]], labels: dict[str, int]) -> Iterator[Fault]:
    there = ", ".join(labels) or "none"
    if not any(words[0].upper() == "DEFAULT" for _, words in said):
        yield Fault(KIND, 0, "There is no DEFAULT, so PXELINUX waits for a key.", "Add: DEFAULT LABEL")
    for number, words in said:
        if words[0].upper() in LEADS and len(words) > 1 and words[1] not in labels:
            problem = f"{words[0].upper()} leads to {words[1][:40]}, and there is no such label."
            yield Fault(KIND, number, problem, f"There is: {there}.")


def _lengths(text: str) -> Iterator[Fault]:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line.strip()) > MAX_LINE:
            problem = f"The line has {len(line.strip())} characters; PXELINUX reads {MAX_LINE}."
            yield Fault(KIND, number, problem, "Shorten the kernel arguments.")
