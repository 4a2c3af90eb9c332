"""Preseeds against the questions that the release's installer really knows, and their scripts against its shell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pxeapp.answers import releases
from pxeapp.answers.checks import questions, recipes, scripts, selections, shells
from pxeapp.answers.checks.known import Known, Question
from pxeapp.answers.checks.selections import Entry
from pxeapp.answers.patterns import CRYPT
from pxeapp.answers.releases import Debian
from pxeapp.answers.spec import AnswerSpec
from pxeapp.faults import Fault

KIND = "preseed"
# Of the next two the installer reads no type at all, so that guides mix them.
FREE = ("string", "select")
COMMANDS = ("preseed/early_command", "preseed/late_command", "partman/early_command", "preseed/include_command")
# Without these an installation that nobody watches stops and asks; any one of a line will do.
NEEDED = (
    ("mirror/country",), ("mirror/http/hostname", "mirror/https/hostname"),
    ("mirror/http/directory", "mirror/https/directory"), ("mirror/http/proxy", "mirror/https/proxy"),
    ("passwd/root-password-crypted", "passwd/user-password-crypted", "passwd/root-password"), ("clock-setup/utc",),
    ("time/zone",), ("partman/choose_partition",), ("partman/confirm",), ("partman/confirm_nooverwrite",),
    ("partman-partitioning/confirm_write_new_label",), ("grub-installer/only_debian",),
    ("finish-install/reboot_in_progress",),
)  # fmt: skip
# A "no" here is a question too, or the end of the installation.
YES = (
    "partman/confirm", "partman/confirm_nooverwrite", "partman-lvm/confirm", "partman-lvm/confirm_nooverwrite",
    "partman-md/confirm", "partman-md/confirm_nooverwrite", "partman-lvm/device_remove_lvm",
    "partman-md/device_remove_md", "partman-partitioning/confirm_write_new_label",
)  # fmt: skip


def check(text: str, spec: AnswerSpec, known: Known) -> Iterator[Fault]:
    """Every fault of a preseed, for the release of the specification and what is known of its installer."""
    dialect = releases.debian(spec.release.family, spec.release.version)
    entries: list[Entry] = []
    for each in selections.read(KIND, text):
        if isinstance(each, Fault):
            yield each
        else:
            entries.append(each)
    seen: dict[str, int] = {}
    for entry in entries:
        key = known.aliases.get(entry.key, entry.key)
        if entry.kind == "seen":
            continue
        if key in seen:
            yield _fault(entry, f"{key} is answered already, in line {seen[key]}.", "Keep one of the two.")
        seen.setdefault(key, entry.line)
        yield from _answer(entry, key, known, dialect)
    for names in NEEDED:
        if not any(name in seen for name in names):
            yield Fault(
                KIND, 0, f"{names[0]} is not answered, so the installer stops and asks.", f"Add: d-i {names[0]} …"
            )


def _answer(entry: Entry, key: str, known: Known, dialect: Debian) -> Iterator[Fault]:
    outside = questions.OUTSIDE.get(key)
    if outside is not None and entry.owner in (outside[0], "d-i"):
        question: Question | None = outside[1]
        if entry.owner == "d-i":
            yield _fault(entry, f"{key} is asked by {outside[0]}, not by d-i.", f"Write: {outside[0]} {key} …")
    else:
        question = questions.find(key, known, ubuntu=dialect.ubuntu)
        if question is not None and entry.owner != "d-i" and key in known.questions:
            yield _fault(entry, f"{key} is the installer's own question.", f"Write: d-i {key} {question.kind} …")
    if question is None:
        if entry.owner == "d-i":
            near = questions.nearest(key, known, ubuntu=dialect.ubuntu)
            fix = f"Did you mean {near}?" if near else "Take it out, or correct its name."
            sure = questions.certain(key, known)
            yield Fault(
                KIND, entry.line, f"The installer of this release knows no question {key}.", fix, advice=not sure
            )
        return
    yield from _typed(entry, key, question)
    yield from _meaning(entry, key, dialect, known)


def _typed(entry: Entry, key: str, question: Question) -> Iterator[Fault]:
    if entry.kind != question.kind and not (entry.kind in FREE and question.kind in FREE) and question.kind != "error":
        yield _fault(entry, f"{key} is of type {question.kind}, not {entry.kind}.", f"Write: {question.kind}")
        return
    if entry.kind == "boolean" and entry.value not in ("true", "false"):
        yield _fault(entry, f"{entry.value[:60]!r} is neither true nor false.", "Write true or false.")
    choices = question.choices
    if choices is None or not entry.value:
        return
    said = (
        [each.strip() for each in re.split(r"(?<!\\),", entry.value)]
        if question.kind == "multiselect"
        else [entry.value]
    )
    for each in said:
        if each and each.replace("\\,", ",") not in choices:
            yield _fault(entry, f"{each[:60]!r} is no choice of {key}.", f"Choose among: {', '.join(choices)[:300]}")


def _meaning(entry: Entry, key: str, dialect: Debian, known: Known) -> Iterator[Fault]:
    if key in YES and entry.value == "false":
        yield _fault(entry, f"{key} with false ends the installation, or asks.", "Write true.")
    if key.startswith("passwd/") and "password" in key:
        yield from _password(entry, key, dialect)
    if key in COMMANDS and entry.value:
        found = shells.Script(KIND, "sh", entry.value + "\n", entry.line, key)
        for fault in shells.check(found):
            yield _fault(entry, fault.problem, fault.fix)
        yield from shells.missing_words(found, known.commands, scripts.ABSENT)
    wrong = {"partman-auto/expert_recipe": recipes.partitions, "partman-auto-raid/recipe": recipes.arrays}.get(key)
    if wrong is not None:
        for problem, fix in wrong(entry.value):
            yield _fault(entry, problem, fix)
    if key.startswith("mirror/") and key.endswith("/directory") and not entry.value.startswith("/"):
        yield _fault(
            entry, f"The mirror's directory {entry.value[:60]!r} does not begin with a slash.", "Write /debian."
        )
    if key.startswith("mirror/") and key.endswith("/hostname") and ("/" in entry.value or not entry.value):
        yield _fault(entry, f"{entry.value[:60]!r} is no host.", "Write HOST or HOST:PORT; the path is the directory.")


def _password(entry: Entry, key: str, dialect: Debian) -> Iterator[Fault]:
    make = "Make one with: openssl passwd -6"
    if not key.endswith("-crypted"):
        yield _fault(entry, f"{key} stands there in plain words.", f"Use {key.removesuffix('-again')}-crypted. {make}")
    elif entry.value in ("!", ""):
        # user-setup takes a single `!` for "not answered", asks for a user instead and never ends.
        yield _fault(entry, f"{key} is as good as not answered.", "Write !! for a password that nobody has.")
    elif entry.value not in ("!!", "*"):
        if not CRYPT.fullmatch(entry.value):
            yield _fault(entry, f"{key} is no crypt(3) hash, so nobody could sign in.", make)
        elif entry.value[1:].split("$", 1)[0] not in dialect.crypt:
            known = ", ".join(f"${name}$" for name in dialect.crypt)
            yield _fault(entry, f"This release cannot check the hash of {key}: it knows {known}.", make)


def _fault(entry: Entry, problem: str, fix: str) -> Fault:
    return Fault(KIND, entry.line, problem, fix)
