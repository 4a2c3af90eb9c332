"""iPXE scripts: known commands, labels that exist, and lines as iPXE's own parser reads them.

Source: iPXE's core/exec.c and the commands below hci/commands; what a build may leave out is what ours has.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from pxeapp.boot.spec import MAX_COMMAND_LINE
from pxeapp.faults import Fault

KIND = "ipxe"
_COMMANDS = """
autoboot chain choose clear colour config console cpair cpuid dhcp echo exit form fcstat fcels goto help ibstat
ifclose ifconf ifopen iflinkwait ifstat imgargs imgdecrypt imgexec imgextract imgfetch imgfree imgload imgmem
imgselect imgstat imgtrust imgverify inc initrd iseq iwlist iwstat iwtrace isset item kernel login lotest menu module
neighbour nslookup ntp nvo param params pciscan ping poweroff present profstat prompt pxebs read reboot route sanboot
sanhook sanunhook set shell shim show sleep sync time usbscan vcreate vdestroy boot
"""
COMMANDS = frozenset(_COMMANDS.split())
IMAGES = ("kernel", "initrd", "chain", "imgfetch", "module", "imgexec", "boot", "imgargs", "shim")
WITH_ADDRESS = ("kernel", "initrd", "imgfetch", "module")
OPERATORS = ("||", "&&")
# Ends an `A && B ||` so that a failure is none; iPXE reads a lone operator at the end as an empty command.
_NUMBER = re.compile(r"\d+")
_LABEL = re.compile(r":([A-Za-z0-9_.-]+)\s*$")


def check(text: str) -> Iterator[Fault]:
    """Every fault of a script."""
    lines = text.split("\n")
    if not lines[0].startswith("#!ipxe"):
        yield Fault(
            KIND, 1, "The first line is not #!ipxe, so iPXE does not take it for a script.", "Write #!ipxe there."
        )
    labels: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if found := _LABEL.match(line.strip()):
            if found[1] in labels:
                problem = f"The label {found[1]} stands in line {labels[found[1]]} already; that one is taken."
                yield Fault(KIND, number, problem, "Give it another name.")
            labels.setdefault(found[1], number)
    for number, line in enumerate(lines, 1):
        said = line.strip()
        if said and not said.startswith(("#", ":")):
            for command in _commands(said):
                yield from _command(number, command, labels)
    yield from _ends(lines)


def _commands(line: str) -> Iterator[list[str]]:
    """The commands of a line; words are split at blanks, and nothing quotes."""
    taken: list[str] = []
    for word in [*line.split(), "||"]:
        if word in OPERATORS:
            if taken:
                yield taken
            taken = []
        elif word.startswith("#"):
            break  # a comment ends the line
        else:
            taken.append(word)
    if taken:
        yield taken


def _command(number: int, words: list[str], labels: dict[str, int]) -> Iterator[Fault]:
    name, rest = words[0], words[1:]
    if "${" in name:
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        yield Fault(
            KIND, number, f"iPXE has no command {name[:40]!r}.", f"Write {near[0]}." if near else "Take it out."
        )
        return
    if name == "goto":
        if not rest or (rest[0] not in labels and "${" not in rest[0]):
            problem = f"goto leads to {rest[0] if rest else 'nothing'}, and there is no such label."
            yield Fault(KIND, number, problem, f"There is: {', '.join(labels) or 'none'}.")
    elif name == "sleep" and (not rest or not (_NUMBER.fullmatch(rest[-1]) or "${" in rest[-1])):
        yield Fault(KIND, number, "sleep has no number of seconds.", "Write: sleep 2")
    elif name in WITH_ADDRESS and not [word for word in rest if not word.startswith("--")]:
        yield Fault(KIND, number, f"{name} names nothing to fetch.", f"Write: {name} URL")
    if name in IMAGES and len(" ".join(words)) > MAX_COMMAND_LINE:
        problem = f"The line of {name} has {len(' '.join(words))} characters; the kernel reads {MAX_COMMAND_LINE}."
        yield Fault(KIND, number, problem, "Shorten the kernel arguments.")
    for word in words:
        if word.count("${") != len(re.findall(r"\$\{[^{}]*\}", word)):
            yield Fault(KIND, number, f"{word[:60]!r} has a ${{ without its }}.", "Close it.")


def _ends(lines: list[str]) -> Iterator[Fault]:
    """A script that runs out of lines has succeeded, after which EDK2 stops in its setup menu."""
    last = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if last and last[-1][1].split()[0] not in (
        "exit",
        "boot",
        "goto",
        "chain",
        "sanboot",
        "reboot",
        "poweroff",
        "shell",
    ):
        yield Fault(KIND, last[-1][0], "The script runs out of lines, and nothing is booted.", "End it with: exit 1")
