"""GRUB scripts: closed blocks, known commands, and what its own syntax check lets pass: a `;` without quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pxeapp.boot.spec import MAX_COMMAND_LINE
from pxeapp.faults import Fault
from pxeapp.faults.programs import installed, judged

KIND = "grub"
# What the signed GRUB of a network boot has built in: its list is shorter than the manual's.
_COMMANDS = """
[ background_color background_image boot break cat chainloader clear configfile continue cpuid date echo eval exit
export extract_syslinux_entries_source false fwsetup gfxpayload halt hashsum help hexdump initrd initrdefi insmod
keystatus linux linux16 linuxefi list_env load_env loadfont loopback ls lsmod menuentry net_add_addr net_add_dns
net_add_route net_bootp net_bootp6 net_del_addr net_ls_addr net_ls_cards net_ls_dns net_nslookup normal parttool
password_pbkdf2 probe read reboot regexp return rmmod save_env search serial set setparams shift sleep smbios source
submenu terminal_input terminal_output test testspeed timeout true trust unset unload videoinfo videotest
"""
COMMANDS = frozenset(_COMMANDS.split())
WORDS = frozenset(
    ("then", "else", "elif", "fi", "do", "done", "in", "{", "}", "!", "if", "for", "while", "until", "function")
)
_COMPLAINT = re.compile(r"line[: ]+(\d+)", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def check(text: str) -> Iterator[Fault]:
    """Every fault of a script."""
    syntax = list(_syntax(text))
    yield from syntax
    functions = set(re.findall(r"^\s*function\s+(\w+)", text, re.MULTILINE))
    depth = {"if": 0, "do": 0}
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        yield from _quotes(number, line)
        yield from _length(number, line)
        for command in _commands(line):
            for word in command[:1]:
                if word in ("if", "fi"):
                    depth["if"] += 1 if word == "if" else -1
                elif word in ("for", "while", "until", "done"):
                    depth["do"] += -1 if word == "done" else 1
            yield from _command(number, command, functions)
    if not syntax:
        for word, left in (("fi", depth["if"]), ("done", depth["do"])):
            if left:
                problem = f"{'A block lacks its' if left > 0 else 'There is one too many'} {word}."
                yield Fault(KIND, 0, problem, "Close each block once.")


def _syntax(text: str) -> Iterator[Fault]:
    if installed("grub-script-check") is None:
        return
    said = judged(("grub-script-check",), text)
    if said.status != 0:
        found = _COMPLAINT.search(said.err)
        why = (said.err.strip().splitlines() or ["it cannot be read"])[0].rpartition("error: ")[2].rstrip(".")
        line = min(int(found[1]), text.count("\n") + 1) if found else 0
        yield Fault(KIND, line, f"GRUB cannot read the script: {why}.", "Close what is open there, or quote it.")


def _quotes(number: int, line: str) -> Iterator[Fault]:
    """`ds=nocloud;s=http://…` without quotes is two commands: the seed's address never reaches the kernel."""
    bare = re.sub(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"", "x", line)
    if re.match(r"\s*(if\s+)?(linux|linuxefi|linux16|initrd|initrdefi)\s", bare):
        if re.search(r"[=\w];[A-Za-z]\S*=", bare):
            yield Fault(
                KIND,
                number,
                "A `;` without quotes ends the kernel's command line.",
                "Write it in single quotes: 'a;b'.",
            )
        for char in "{}<>|&":
            if re.search(rf"\s\S*=\S*{re.escape(char)}", bare) and "${" not in bare:
                yield Fault(KIND, number, f"A {char} without quotes is GRUB's own.", "Write the word in single quotes.")


def _length(number: int, line: str) -> Iterator[Fault]:
    words = line.split()
    if words[:1] == ["if"]:
        words = words[1:]
    if words and words[0] in ("linux", "linuxefi", "linux16"):
        length = len(" ".join(words[2:])) - line.count("'")
        if length > MAX_COMMAND_LINE - 267:  # BOOT_IMAGE= and the kernel's name, of up to 255 characters, count too
            problem = f"The kernel's command line has {length} characters; {MAX_COMMAND_LINE - 267} are possible."
            yield Fault(KIND, number, problem, "Shorten the kernel arguments.")


def _commands(line: str) -> Iterator[list[str]]:
    quoted = re.sub(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"", "x", line)
    for piece in re.split(r";|&&|\|\|", quoted):
        words = piece.split()
        while words and words[0] in ("then", "else", "do", "!", "{"):
            words = words[1:]
        if words:
            yield words


def _command(number: int, words: list[str], functions: set[str]) -> Iterator[Fault]:
    if words[0] in ("if", "elif", "while", "until"):
        words = words[1:]
    if not words or words[0] in WORDS or words[0] in functions or _ASSIGNMENT.match(words[0]):
        return
    name = words[0]
    if name not in COMMANDS and not name.startswith(("$", "x", "#", "(")):
        yield Fault(
            KIND, number, f"The signed GRUB has no command {name[:40]!r}.", "Use what it has: linux, initrd, boot …"
        )
    if name in ("linux", "initrd", "chainloader", "source", "configfile") and len(words) < 2:
        yield Fault(KIND, number, f"{name} names no file.", f"Write: {name} FILE")
