"""`vars.network` key by key: what it says of itself, before anything of the machine is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pxeapp.answers.network import words
from pxeapp.answers.network.words import KINDS, WHOLE, Checker, Unfit
from pxeapp.errors import FieldProblem

FIELD = "vars.network"
ADDRESSES = "vars.addresses"
MOST_DEVICES = 256


@dataclass(slots=True)
class Said:
    """One device as it is said: `key` is its name, or for a card how it is found."""

    kind: str
    key: str
    options: dict[str, Any]

    @property
    def where(self) -> str:
        """The field that a problem is named by."""
        return f"{FIELD}.{self.kind}.{self.key}"


@dataclass(slots=True)
class Reading:
    """Everything that is said, and what is wrong with it."""

    devices: list[Said] = field(default_factory=list)
    whole: dict[str, Any] = field(default_factory=dict)
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[FieldProblem] = field(default_factory=list)

    def of(self, kind: str) -> list[Said]:
        """The devices of a kind, in the order they are said in."""
        return [each for each in self.devices if each.kind == kind]


def read(said: Any, addresses: Any = None) -> Reading:
    """Read `vars.network` and `vars.addresses`; problems are collected, never raised."""
    found = Reading()
    _addresses(found, addresses)
    if said is None:
        return found
    if not isinstance(said, Mapping):
        fix = "Write an object with ethernets, bonds, vlans, bridges, dns, search or installer."
        found.problems.append(FieldProblem(FIELD, f"{words.shown(said)} is not an object.", fix))
        return found
    for key, value in said.items():
        if key in KINDS:
            _devices(found, key, value)
        elif key in WHOLE:
            _word(found, FIELD, key, value, WHOLE[key], found.whole)
        else:
            found.problems.append(_unknown(FIELD, key, (*KINDS, *WHOLE)))
    found.problems += _twice(found)
    return found


def problems(said: Any, addresses: Any = None) -> list[FieldProblem]:
    """What is wrong with it wherever it is said: for roles and clusters, of whose machines nothing is known yet."""
    found = read(said, addresses)
    for each in found.devices:
        found.problems += options_problems(each)
    return found.problems


def options_problems(said: Said) -> Iterable[FieldProblem]:
    """Words that do not go together within one device."""
    options, where = said.options, said.where
    if said.kind == "bonds":
        yield from _bond(options, where)
    if said.kind in ("bonds", "bridges"):
        members = options.get("members", ())
        for each in sorted({one for one in members if members.count(one) > 1}):
            yield FieldProblem(f"{where}.members", f"{each} is named twice.", "Name each member once.")
    if said.kind == "vlans":
        if "link" not in options:
            yield FieldProblem(f"{where}.link", "is missing.", "Name the card, bond or bridge that carries the VLAN.")
        if "id" not in options and "network" not in options:
            yield FieldProblem(f"{where}.id", "is missing.", "Write 1 to 4094, or name a network that has a VLAN.")


def _bond(options: Mapping[str, Any], where: str) -> Iterable[FieldProblem]:
    mode = options.get("mode")
    if mode is None:
        fix = "Write 802.3ad (LACP, the switch takes part) or active-backup (any switch)."
        yield FieldProblem(f"{where}.mode", "is missing.", fix)
        return
    if not options.get("members"):
        yield FieldProblem(f"{where}.members", "is missing.", 'Name its cards: ["boot", "eno2"].')
    for word, modes in (
        ("lacp_rate", ("802.3ad",)),
        ("xmit_hash_policy", words.HASHED_MODES),
        ("primary", words.PRIMARY_MODES),
    ):
        if word in options and mode not in modes:
            fix = f"Leave it out, or use mode {' or '.join(modes)}."
            yield FieldProblem(f"{where}.{word}", f"means nothing in mode {mode}.", fix)


def _addresses(found: Reading, said: Any) -> None:
    if said is None:
        return
    if not isinstance(said, Mapping):
        fix = 'Write {"storage": "10.20.0.11"}: a network\'s name and this machine\'s address in it.'
        found.problems.append(FieldProblem(ADDRESSES, f"{words.shown(said)} is not an object.", fix))
        return
    for network, value in said.items():
        listed = [value] if isinstance(value, str) else value
        _word(found, ADDRESSES, network, listed, words.addresses, found.addresses)


def _devices(found: Reading, kind: str, said: Any) -> None:
    where = f"{FIELD}.{kind}"
    if not isinstance(said, Mapping):
        fix = 'Write {"NAME": {...}}.'
        found.problems.append(FieldProblem(where, f"{words.shown(said)} is not an object.", fix))
        return
    if len(said) > MOST_DEVICES:
        found.problems.append(FieldProblem(where, f"are {len(said)}.", f"Name at most {MOST_DEVICES}."))
        return
    for key, options in said.items():
        try:
            (words.reference if kind == "ethernets" else words.name)(key)
        except Unfit as error:
            found.problems.append(FieldProblem(where, error.problem, error.fix))
            continue
        each = Said(kind, key, {})
        if not isinstance(options, Mapping):
            found.problems.append(FieldProblem(each.where, f"{words.shown(options)} is not an object.", "Write {...}."))
            continue
        for word, value in options.items():
            checker = KINDS[kind].get(word)
            if checker is None:
                found.problems.append(_unknown(each.where, word, tuple(KINDS[kind])))
            elif value is not None:
                _word(found, each.where, word, value, checker, each.options)
        found.devices.append(each)


def _word(found: Reading, where: str, word: str, value: Any, checker: Checker, into: dict[str, Any]) -> None:
    try:
        into[word] = checker(value)
    except Unfit as error:
        found.problems.append(FieldProblem(f"{where}.{str(word)[: words.SHOWN]}", error.problem, error.fix))


def _unknown(where: str, word: Any, known: tuple[str, ...]) -> FieldProblem:
    """Netplan's dashes, a plural too many: the nearest word is the likeliest."""
    text = str(word)[: words.SHOWN]
    near = difflib.get_close_matches(text.replace("-", "_"), known, n=1)
    fix = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
    return FieldProblem(where, f"{words.shown(text)} is not a word of the network language.", fix)


def _twice(found: Reading) -> Iterable[FieldProblem]:
    first: dict[str, Said] = {}
    for each in found.devices:
        other = first.setdefault(each.key, each)
        if other is not each:
            fix = "Give one of them another name."
            yield FieldProblem(each.where, f"is the name of one of the {other.kind} too.", fix)
