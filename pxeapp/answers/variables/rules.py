"""Which variables may be said where: known ones by their schema, a site's own `site_...`, nothing else.

What a row holds already is left alone, whatever it is: an upgrade that knows more must not make a machine unsaveable.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pxeapp.answers.variables import parts
from pxeapp.answers.variables.builtin import BUILTIN
from pxeapp.answers.variables.schema import NAME, SCOPES, Variable
from pxeapp.errors import FieldProblem
from pxeapp.machines import sealed

FREE = "site_"  # for a site's own templates; nobody has to declare them
FREE_SECRET = Variable("site_", type="password", secret=True, generate="password", help="A secret of the site's own.")
Seal = Callable[[Any, Any], Any]
Declared = Mapping[str, Variable]


@dataclass(frozen=True, slots=True)
class Rules:
    """What each role declares, by the role's name; the built-in ones are known everywhere."""

    roles: Mapping[str, Declared]

    def of(self, role: str | None) -> dict[str, Variable]:
        """Every variable that a role knows; without a role, that any of them knows."""
        if role is not None:
            return {**self.roles.get(role, {}), **BUILTIN}
        found: dict[str, Variable] = {}
        for declared in self.roles.values():
            found.update(declared)
        return {**found, **BUILTIN}

    def settle(
        self, role: str | None, said: Mapping[str, Any], present: Mapping[str, Any], seal: Seal
    ) -> tuple[dict[str, Any], list[FieldProblem]]:
        """A machine's variables as they are kept, and what is wrong with them."""
        return self.settled("machine", role, said, present, seal)

    def settled(
        self, place: str, role: str | None, said: Mapping[str, Any], present: Mapping[str, Any], seal: Seal
    ) -> tuple[dict[str, Any], list[FieldProblem]]:
        """The variables of a place (cluster, role, machine) as they are kept, secrets sealed; and what is wrong."""
        kept: dict[str, Any] = {}
        problems: list[FieldProblem] = []
        known = self.of(role)
        for name, value in said.items():
            variable = known.get(name)
            if name in present and (
                value == present[name] or (value == sealed.SHOWN and _hidden(known, name, present))
            ):
                kept[name] = as_it_is(variable, present[name], seal)
            elif any(sealed.within(value)):
                fix = "Write the secret itself; it is encrypted when it is saved."
                problems.append(FieldProblem(f"vars.{name}"[:80], f"holds {sealed.KEY}, which is ours.", fix))
            elif value is None or (variable is None and (name in present or _is_free(name))):
                kept[name] = value
            elif variable is None:
                problems.append(self._unknown(name, role, known))
            else:
                value, lost = parts.carried(variable, variable.normalised(value), present.get(name))
                problems += lost
                if lost or (name in present and value == present[name]):
                    kept[name] = value
                    continue
                wrong = list(self._problems(variable, place, parts.stood_in(variable, value)))
                problems += wrong
                if not wrong:
                    within = parts.sealed_within(variable, value, present.get(name), seal)
                    kept[name] = seal(value, present.get(name)) if variable.secret else within
        return kept, problems

    def secret(self, name: str) -> Variable | None:
        """The secret of this name that some role knows, or a free one."""
        found = next((each for each in self.all_of(name) if each.secret), None)
        return found or (FREE_SECRET if _is_free(name) else None)

    def all_of(self, name: str) -> list[Variable]:
        """Every declaration of a name: a cluster's variable is that of all its roles."""
        if name in BUILTIN:
            return [BUILTIN[name]]
        found = [declared[name] for declared in self.roles.values() if name in declared]
        return [each for number, each in enumerate(found) if each not in found[:number]]

    def unknown(self, role: str | None, said: Iterable[str]) -> list[str]:
        """The names that would be refused now if they were new."""
        known = self.of(role)
        return [name for name in said if name not in known and not _is_free(name)]

    def _problems(self, variable: Variable, place: str, value: Any) -> Iterable[FieldProblem]:
        where = f"vars.{variable.name}"
        if SCOPES.index(place) > SCOPES.index(variable.scope):
            yield FieldProblem(where, f"is one for all of its {variable.scope}.", f"Say it in its {variable.scope}.")
        if variable.secret and place == "cluster":
            yield FieldProblem(where, "is a secret.", f"Say it in the cluster's secrets: secrets.{variable.name}")
        declarations = self.all_of(variable.name) if place == "cluster" else [variable]
        for declaration in declarations:
            for problem, fix in declaration.problems(value):
                yield FieldProblem(where, problem, fix)

    def _unknown(self, name: str, role: str | None, known: Declared) -> FieldProblem:
        where = f"vars.{name}"[:80]
        others = sorted(each for each, declared in self.roles.items() if name in declared)
        if others and role is not None:
            return FieldProblem(where, f"is a variable of {', '.join(others)}, not of {role}.", "Leave it out.")
        near = nearest(name, known)
        meant = f"Did you mean {near}? " if near else ""
        of_whom = f"of the role {role}" if role is not None else "of any role"
        fix = f"{meant}For your own templates begin its name with {FREE}, or declare it in the role's variables."
        return FieldProblem(where, f"is not a variable {of_whom}.", fix)


def as_it_is(variable: Variable | None, present: Any, seal: Seal) -> Any:
    """What was kept before it, or a part of it, was known to be secret is sealed when it is saved again."""
    if variable is None or present is None or sealed.is_sealed(present):
        return present
    return seal(present, None) if variable.secret else parts.sealed_within(variable, present, present, seal)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant."""
    found = difflib.get_close_matches(name[:63], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _is_free(name: str) -> bool:
    return name.startswith(FREE) and NAME.fullmatch(name) is not None


def _hidden(known: Declared, name: str, present: Mapping[str, Any]) -> bool:
    """Whether the API shows only that it is set."""
    return sealed.is_sealed(present[name]) or (name in known and known[name].secret)
