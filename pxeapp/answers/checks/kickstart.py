"""Kickstarts: pykickstart with the release's own handler, and what it does not look at."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from functools import cache
from typing import Any

from pxeapp.answers import releases
from pxeapp.answers.checks import addresses, anaconda, disks, lines, shells, written
from pxeapp.answers.checks.known import Known
from pxeapp.answers.checks.lines import Kickstart, Section
from pxeapp.answers.checks.written import Reading
from pxeapp.answers.patterns import CRYPT, PACKAGE, SSH_KEY
from pxeapp.answers.releases import Enterprise
from pxeapp.answers.spec import AnswerSpec
from pxeapp.faults import Fault

KIND = "kickstart"
# What an installation nobody watches cannot do without, and what it does when it is missing.
NEEDED = {
    "lang": ("the language is asked for", "Add: lang en_US.UTF-8"),
    "keyboard": ("the keyboard is asked for", "Add: keyboard --vckeymap=us --xlayouts=us"),
    "timezone": ("the time zone is asked for", "Add: timezone --utc Etc/UTC"),
    "rootpw": ("the root password is asked for", "Add: rootpw --lock"),
    "bootloader": ("nothing says where to boot from", "Add: bootloader --leavebootorder"),
    "reboot": ("Anaconda waits for a key at its end", "Add: reboot"),
}
MAY_SAY_IT = "What is included here may say it: nobody can read that before the machine does."
ALIKE = {"reboot": ("reboot", "poweroff", "shutdown", "halt")}
SOURCES = ("url", "cdrom", "nfs", "harddrive", "hmc", "liveimg", "ostreesetup", "ostreecontainer")
# Of several of these the last one counts, and nobody sees which was meant.
ONCE = (
    "lang", "keyboard", "timezone", "rootpw", "bootloader", "clearpart", "zerombr", "autopart", "reqpart", "selinux",
    "firewall", "firstboot", "skipx", "services", "reboot", *SOURCES,
)  # fmt: skip
# pykickstart's own words for what we look at ourselves, and rightly for a VLAN beside its device; and for a BIOS boot
# partition on each disk of an array, which there must be.
OURS = re.compile(
    r"network .*(?:already|defined|duplicate)|A network device with the name|mountpoint biosboot has already",
    re.IGNORECASE,
)
LANG = re.compile(r"[A-Za-z]{1,3}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@\w+)?")
GLOB = re.compile(r"[-@]?\^?[A-Za-z0-9*?][A-Za-z0-9+._:*?\[\] -]{0,127}")
SHELLS = {"/bin/sh": "bash", "/bin/bash": "bash", "/usr/bin/bash": "bash", "/usr/bin/sh": "bash"}
ABSENT = {
    "wget": "Write: curl -s -o FILE URL",
    "dnf": "Name the package in %packages; in %post it is there.",
    "yum": "Name the package in %packages; in %post it is there.",
}


def check(text: str, spec: AnswerSpec, known: Known) -> Iterator[Fault]:
    """Every fault of a kickstart, for the release of the specification."""
    del known
    dialect = releases.enterprise(spec.release.family, spec.release.version)
    for section in lines.split(text).sections:
        if section.name in lines.SCRIPTS:
            yield from _script(section)
    # With both firmwares most of it is the same, and is said once.
    yield from dict.fromkeys(fault for each in written.readings(text) for fault in _read(each, dialect))


def _read(reading: Reading, dialect: Enterprise) -> Iterator[Fault]:
    parsed = anaconda.parse(reading.text, dialect.syntax)
    for each in parsed.complaints:
        if not OURS.search(each.words):
            yield Fault(
                KIND,
                each.line,
                f"{each.words.rstrip('.')} ({dialect.syntax}).",
                _fix(each.words),
                advice=each.deprecated,
            )
    if not parsed.whole:
        return  # the rest was not read, and would be said to be missing
    found = lines.split(reading.text, reading.partly)
    yield from _needed(found)
    yield from _twice(found)
    yield from _system(parsed.handler, found, dialect)
    yield from _packages(found)
    yield from addresses.check(parsed.handler.network.network)
    yield from disks.check(parsed.handler, found)


def _needed(found: Kickstart) -> Iterator[Fault]:
    for problem, fix in _missing(found):
        if found.unknown:
            yield Fault(KIND, found.unknown[0].line, f"{problem} {MAY_SAY_IT}", fix, advice=True)
        else:
            yield Fault(KIND, 0, problem, fix)


def _missing(found: Kickstart) -> Iterator[tuple[str, str]]:
    for name, (otherwise, fix) in NEEDED.items():
        if not found.named(*ALIKE.get(name, (name,))):
            yield f"There is no {name}: {otherwise}.", fix
    if not found.named(*SOURCES):
        yield "Nothing says where to install from.", "Add: url --url=http://HOST/TREE"
    if not any(section.name == "%packages" for section in found.sections) and not found.named(*SOURCES[5:]):
        yield "There is no %packages section: the packages are asked for.", "Add: %packages … %end"


def _twice(found: Kickstart) -> Iterator[Fault]:
    for name in ONCE:
        for command in found.named(name)[1:]:
            first = found.named(name)[0].line
            yield Fault(KIND, command.line, f"There is a {name} already, in line {first}.", "Keep one of the two.")


def _system(handler: Any, found: Kickstart, dialect: Enterprise) -> Iterator[Fault]:
    for command in found.named("rootpw", "user"):
        yield from _password(command, dialect)
    for command in found.named("sshkey"):
        key = command.words[-1]
        if not SSH_KEY.fullmatch(key):
            yield Fault(
                KIND, command.line, f"{key[:40]!r}… is no ssh key.", 'Write: sshkey --username=root "TYPE KEY NAME"'
            )
    for command in found.named("lang"):
        if len(command.words) > 1 and not LANG.fullmatch(command.words[1]):
            yield Fault(KIND, command.line, f"{command.words[1][:60]!r} is no language.", "Write it as en_US.UTF-8.")
    zone, zones = handler.timezone.timezone, _zones()
    for command in found.named("timezone")[:1]:
        if zone and zones and zone not in zones:
            yield Fault(KIND, command.line, f"{zone[:60]!r} is no time zone.", "Write it as Europe/Rome.")
    yield from _lists(found)


def _lists(found: Kickstart) -> Iterator[Fault]:
    for command in found.named("services"):
        both = {*(command.value("--enabled") or "").split(",")} & {*(command.value("--disabled") or "").split(",")} - {
            ""
        }
        if both:
            problem = f"{', '.join(sorted(both))} is enabled and disabled."
            yield Fault(KIND, command.line, problem, "Take it out of one of the two.")
    for command in found.named("url", "repo"):
        for option in ("--url", "--baseurl", "--mirrorlist", "--metalink", "--proxy"):
            url = command.value(option)
            if url is not None and not re.fullmatch(r"(https?|ftp|file|nfs|hd)://?\S+", url):
                yield Fault(KIND, command.line, f"{option}={url[:80]} is no URL.", "Write it as http://HOST/PATH.")


def _password(command: lines.Command, dialect: Enterprise) -> Iterator[Fault]:
    words = {*command.words}
    if command.name == "user":
        value = command.value("--password")
    else:
        value = next((word for word in command.words[1:] if not word.startswith("--")), None)
    if value is None:
        if command.name == "rootpw" and "--lock" not in words:
            yield Fault(KIND, command.line, "rootpw has no password.", "Add --iscrypted HASH, or --lock.")
        return
    kinds = ", ".join(f"${name}$" for name in dialect.crypt)
    make = "Make one with: openssl passwd -6"
    if "--iscrypted" not in words:
        yield Fault(
            KIND,
            command.line,
            f"The password of {command.name} stands there in plain words.",
            f"Use --iscrypted. {make}",
        )
    elif not CRYPT.fullmatch(value):
        yield Fault(
            KIND, command.line, f"The hash of {command.name} is no crypt(3) hash, so nobody could sign in.", make
        )
    elif value[1:].split("$", 1)[0] not in dialect.crypt:
        problem = f"{dialect.syntax} cannot check the hash of {command.name}: it knows {kinds}."
        yield Fault(KIND, command.line, problem, make)


def _packages(found: Kickstart) -> Iterator[Fault]:
    said: dict[str, int] = {}
    for section in found.sections:
        if section.name != "%packages":
            continue
        for number, line in enumerate(section.body, section.line + 1):
            name = line.partition("#")[0].strip()
            if not name or name.startswith("%include"):
                continue
            if not PACKAGE.fullmatch(name) and not GLOB.fullmatch(name):
                yield Fault(KIND, number, f"{name[:60]!r} is no package.", "Write one name per line, @group, or -name.")
            opposite = name.removeprefix("-") if name.startswith("-") else f"-{name}"
            if opposite in said:
                problem = f"{name} is said, and {opposite} in line {said[opposite]}."
                yield Fault(KIND, number, problem, "Take out one of the two.")
            said.setdefault(name, number)


def _script(section: Section) -> Iterator[Fault]:
    interpreter = lines.Command(section.line, section.header).value("--interpreter") or "/bin/sh"
    shell = SHELLS.get(interpreter)
    if shell is None:
        return
    script = shells.Script(KIND, shell, section.text, section.line + 1, f"The {section.name} script")
    yield from shells.check(script)
    if section.name in ("%pre", "%pre-install", "%onerror", "%traceback") or "--nochroot" in section.header:
        yield from shells.missing_words(script, (), ABSENT)


def _fix(words: str) -> str:
    """What to write instead of what pykickstart complains of."""
    for pattern, fix in _FIXES:
        if pattern.search(words):
            return fix
    return "Correct the line, or take it out."


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


_FIXES = tuple(
    (re.compile(pattern, re.IGNORECASE), fix)
    for pattern, fix in (
        (r"ntpservers", "Write: timesource --ntp-server SERVER"),
        (r"isUtc", "Write: timezone --utc ZONE"),
        (r"authconfig|^auth ", "Write: authselect select sssd"),
        (r"does not end with %end", "Add %end behind the section's last line."),
        (r"unknown kickstart section: %end", "Take this %end out, or give it the section that it closes."),
        (r"unknown kickstart section", f"Use one of {', '.join(lines.SECTIONS)}."),
        (r"no closing quotation", "Close the quote."),
        (r"unknown command", "Correct its name; text that belongs to a section stands before its %end."),
        (r"install has been removed", "Take the line out: it is implied."),
        (r"has been removed", "Take the line out: the release does not know it any more."),
        (
            r"no such option|unrecognized arguments",
            "Correct the option, or take it out: this release does not know it.",
        ),
        (r"the following arguments are required", "Add the option."),
        (r"deprecated", "Take it out, or use what replaces it."),
    )
)
