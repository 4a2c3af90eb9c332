"""The secrets of a cluster: generated, entered, forgotten, opened; never shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pxeapp.answers.variables.rules import FREE, Rules, nearest
from pxeapp.answers.variables.schema import Variable
from pxeapp.answers.variables.secrets import MAKERS, PLACEHOLDERS, makes
from pxeapp.errors import FieldProblem
from pxeapp.machines import sealed
from pxeapp.vault import Vault

AWAITED = "awaited"  # among what is sealed: not made yet, and how it will be
Secrets = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hand:
    """Who changes something, when, and what it takes: the key, and what roles declare."""

    vault: Vault
    rules: Rules
    actor: str
    now: dt.datetime
    before: tuple[Mapping[str, Any], ...] = ()  # secrets of an earlier version, sealed, which are being brought back

    def seal(self, value: Any, present: Any) -> Any:
        """A secret as it is kept; what is there already stays if it says the same, and so does what is brought back."""
        kept = sealed.sealed_anew(self.vault, value, present, by=self.actor, now=self.now)
        if kept is present:
            return present
        return next((each for each in self.before if sealed.opened(self.vault, each) == value), kept)


def settled(hand: Hand, said: Any, present: Secrets) -> tuple[dict[str, Any], list[FieldProblem]]:
    """The secrets as they are kept. What is left out stays; null forgets; what the API shows means: as it is."""
    if not isinstance(said, Mapping):
        return dict(present), [FieldProblem("secrets", "is not an object.", 'Write {"name": "..."}.')]
    kept = dict(present)
    problems: list[FieldProblem] = []
    for name, value in said.items():
        where = f"secrets.{name}"[:80]
        if name in present and (value == sealed.SHOWN or _is_shown(value)):
            continue
        if value is None:
            kept.pop(name, None)
            continue
        variable = hand.rules.secret(name)
        if variable is None:
            problems.append(_unknown(hand.rules, name, where))
            continue
        wrong = variable.problems(value)
        problems += [FieldProblem(where, problem, fix) for problem, fix in wrong]
        if not wrong:
            kept[name] = hand.seal(value, present.get(name))
    return kept, problems


def lacking(declared: Mapping[str, Variable], said: Mapping[str, Any], secrets: Secrets) -> list[str]:
    """The secrets that are to be made: needed where this is said, ours to make, and said by nobody."""
    values = _with_defaults(declared, said)
    return [
        name
        for name, each in declared.items()
        if each.secret
        and makes(each.generate)
        and name not in secrets
        and said.get(name) is None
        and each.needed(values)
    ]


def placeholders(declared: Mapping[str, Variable], said: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """What stands for the lacking ones in a preview."""
    return {name: {sealed.KEY: "", AWAITED: declared[name].generate} for name in lacking(declared, said, secrets)}


def opened(vault: Vault, value: Mapping[str, Any]) -> Any:
    """What a sealed value, or a placeholder, stands for."""
    return PLACEHOLDERS[value[AWAITED]] if AWAITED in value else sealed.opened(vault, value)


def made(hand: Hand, name: str) -> dict[str, Any]:
    """A new secret of this name, sealed."""
    variable = hand.rules.secret(name)
    value = MAKERS[variable.generate if variable is not None else "password"]()
    return sealed.seal(hand.vault, value, by=hand.actor, now=hand.now, generated=True)


def rotated_with_others(rules: Rules, secrets: Secrets) -> list[str]:
    """The generated ones that may change without losing anything."""
    found = []
    for name, value in secrets.items():
        variable = rules.secret(name)
        if value.get("generated") and variable is not None and makes(variable.generate) and not variable.keep:
            found.append(name)
    return found


def unrotatable(rules: Rules, names: Sequence[str]) -> Iterable[FieldProblem]:
    """Names of which nothing can be generated."""
    for name in names:
        variable = rules.secret(name)
        where = f"secrets.{name}"[:80]
        if variable is None:
            yield _unknown(rules, name, where)
        elif not makes(variable.generate):
            yield FieldProblem(where, "is not generated here.", "Set it to a value of your own.")


def wire(value: Mapping[str, Any]) -> dict[str, Any]:
    """What may be known of a secret."""
    return {"set": True, **{name: value.get(name) for name in ("generated", "by", "at")}}


def _is_shown(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("set") is True


def _unknown(rules: Rules, name: str, where: str) -> FieldProblem:
    known = {each for each, variable in rules.of(None).items() if variable.secret}
    if name in rules.of(None):
        return FieldProblem(where, "is no secret.", f"Say it in vars: vars.{name}"[:120])
    near = nearest(name, known)
    meant = f"Did you mean {near}? " if near else ""
    return FieldProblem(where, "is not a secret of any role.", f"{meant}One of your own begins with {FREE}.")


def _with_defaults(declared: Mapping[str, Variable], said: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {name: each.default for name, each in declared.items()}
    return {**defaults, **{name: value for name, value in said.items() if value is not None}}
