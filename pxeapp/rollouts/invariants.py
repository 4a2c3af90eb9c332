"""What must hold of the machines that serve, whatever a rollout says: as a table, and as groups with numbers.

A rule is about the machines of a role, cluster by cluster (or availability zone by availability zone). It becomes one
group for each of them: the machines, the failure domain that each is in, and how many domains may be down at once.
Where machines are counted, each is a domain of its own, so that whoever decides counts in one way only.

Groups are made from all machines of the appliance that are meant to serve, not only from those of the rollout: three
controllers are three, whichever of them is patched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pxeapp.errors import FieldProblem
from pxeapp.rollouts import amounts
from pxeapp.rollouts.spec import Invariant

COPIES = 3  # of an object, by Swift's and Ceph's own default: with fewer domains two copies share one


@dataclass(frozen=True, slots=True)
class Serving:
    """One machine of the appliance that serves or is meant to, as far as budgets care; see standing.py."""

    machine_id: int
    name: str
    role: str | None
    cluster: str | None
    rack: str | None
    labels: Mapping[str, str] = field(default_factory=dict)
    zone: str = ""  # its availability zone
    down: bool = False
    why_down: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One invariant: what is left out limits nothing, and of several limits the strictest holds."""

    name: str
    role: str = ""  # empty: every role
    per: str = "cluster"  # cluster, availability_zone, all
    quorum: bool = False
    max_down: int | str | None = None
    min_up: int | str | None = None
    max_domains: int | None = None
    domain: str = ""  # rack, machine, label:KEY; empty: the widest that is safe, see `_domains`
    why: str = ""


BUILTIN: tuple[Rule, ...] = (
    Rule(
        "controllers", "controller", quorum=True,
        why="Galera, RabbitMQ and Pacemaker stop without a majority.",
    ),
    Rule(
        "network-nodes", "network", max_down=1, min_up=1,
        why="Routers and DHCP move to the others, which need time to take them.",
    ),
    Rule("object-nodes", "object", max_domains=1, why="Swift keeps one copy in each failure domain."),
    Rule("block-nodes", "block", max_domains=1, why="Ceph and Cinder keep one copy in each failure domain."),
    Rule("storage-nodes", "storage", max_domains=1, why="One copy is kept in each failure domain."),
    Rule(
        "compute-capacity", "compute", per="availability_zone", max_down="10%",
        why="Instances need room on the others.",
    ),
)  # fmt: skip
NODES = {
    "controller": ("controller", "controllers"), "network": ("network node", "network nodes"),
    "object": ("object node", "object nodes"), "block": ("block node", "block nodes"),
    "storage": ("storage node", "storage nodes"), "compute": ("compute node", "compute nodes"),
    "": ("machine", "machines"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Machines of which only so many domains may be down at once. `domain_of`: each machine's, by a number."""

    rule: str
    name: str  # "controllers of prod"
    allowed: int
    total: int  # domains
    says: str  # the arithmetic, as a sentence without its full stop
    domain_of: Mapping[int, int] = field(repr=False)

    def domains(self, machines: Iterable[int]) -> set[int]:
        """The domains that these machines are in; those of other groups are in none."""
        return {self.domain_of[each] for each in self.domain_of.keys() & machines}

    def to_dict(self) -> dict[str, Any]:
        """As it is stored; machines and their domains side by side, so that it is read quickly."""
        return {
            "rule": self.rule, "name": self.name, "allowed": self.allowed, "total": self.total, "says": self.says,
            "machines": list(self.domain_of), "domains": list(self.domain_of.values()),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Group:
        """The same again."""
        where = dict(zip(said["machines"], said["domains"], strict=True))
        return cls(said["rule"], said["name"], said["allowed"], said["total"], said["says"], where)


def groups(rules: Sequence[Rule], everyone: Sequence[Serving]) -> list[Group]:
    """Every group of these rules, those that limit nothing left out."""
    found: list[Group] = []
    for rule in rules:
        for place, machines in _places(rule, everyone).items():
            found += _groups_of(rule, place, machines)
    return found


def rules(
    said: Mapping[str, Invariant], everyone: Sequence[Serving]
) -> tuple[tuple[Rule, ...], list[FieldProblem], list[str]]:
    """The table with what a rollout says of it; what is wrong with that; and what a reader should know."""
    found = {rule.name: rule for rule in BUILTIN}
    problems: list[FieldProblem] = []
    notes = []
    for name, change in said.items():
        where = f"invariants.{name}"
        before = found.get(name)
        if before is None:
            problems += _own_problems(where, change, everyone)
            found[name] = _changed(Rule(name), change)
            continue
        if change.off:
            found.pop(name)
            looser, now = True, "is switched off"
        else:
            found[name] = after = _changed(before, change)
            looser, now = _looser(before, after, everyone), "is loosened"
        if change.role not in ("", before.role):
            problem = f"This rule is about the role {before.role}."
            problems.append(FieldProblem(f"{where}.role", problem, "Leave role out, or add a rule of another name."))
        if looser and not change.reason:
            fix = 'Say why: reason: "there are only two controllers in the lab".'
            problems.append(FieldProblem(f"{where}.reason", f"The built-in rule {now} without a reason.", fix))
        elif looser:
            notes.append(f"The invariant {name} {now}: {change.reason}")
    return tuple(found.values()), problems, notes


def _own_problems(where: str, change: Invariant, everyone: Sequence[Serving]) -> Iterator[FieldProblem]:
    if change.off:
        known = ", ".join(rule.name for rule in BUILTIN)
        yield FieldProblem(f"{where}.off", "There is no built-in rule of this name.", f"Built in: {known}.")
        return
    limits = (change.max_down, change.min_up, change.max_domains, change.quorum or None, change.domain or None)
    if all(limit is None for limit in limits):
        yield FieldProblem(where, "It limits nothing.", "Say max_down, min_up, quorum, or domain and max_domains.")
    if change.role and not any(each.role == change.role for each in everyone):
        problem = f"No machine that serves has the role {change.role[:40]!r}."
        yield FieldProblem(f"{where}.role", problem, "Write a role as machines have it, or leave the rule out.")


def _changed(rule: Rule, change: Invariant) -> Rule:
    """Only what was said is changed. A domain that is said means one at a time unless more are."""
    said = {name: getattr(change, name) for name in change.model_fields_set - {"off", "reason", "role"}}
    said["quorum"] = bool(said.get("quorum", rule.quorum))
    if said.get("domain") and said.get("max_domains", rule.max_domains) is None:
        said["max_domains"] = 1
    return replace(rule, **said, role=rule.role or change.role)


def _looser(before: Rule, after: Rule, everyone: Sequence[Serving]) -> bool:
    """Whether any machine could be taken down that could not before, by the numbers of this site."""
    if before.per != after.per:
        return True
    if before.max_domains is not None and (after.max_domains is None or after.max_domains > before.max_domains):
        return True
    for machines in _places(before, everyone).values():
        most, now = _most_down(before, len(machines)), _most_down(after, len(machines))
        if most is not None and (now is None or now > most):
            return True
        if before.max_domains is not None and _wider(_domains(before, machines)[1], _domains(after, machines)[1]):
            return True
    return False


def _wider(before: Mapping[int, int], after: Mapping[int, int]) -> bool:
    """Whether machines share a failure domain now that did not."""
    return len({(after[each], before[each]) for each in before}) > len(set(after.values()))


def _places(rule: Rule, everyone: Sequence[Serving]) -> dict[tuple[str | None, str], list[Serving]]:
    """The rule's machines by cluster and zone, as far as it tells these apart."""
    found: dict[tuple[str | None, str], list[Serving]] = {}
    for each in everyone:
        if rule.role in ("", each.role):
            cluster = None if rule.per == "all" else each.cluster
            zone = each.zone if rule.per == "availability_zone" else ""
            found.setdefault((cluster, zone), []).append(each)
    return dict(sorted(found.items(), key=lambda pair: (pair[0][0] or "", pair[0][1])))


def _groups_of(rule: Rule, place: tuple[str | None, str], machines: list[Serving]) -> Iterator[Group]:
    total = len(machines)
    name, has = _named(rule, place, total)
    most = _most_down(rule, total)
    if most is not None:
        says = f"{has}, {_arithmetic(rule, total)}, so {most or 'none'} may be down"
        yield Group(rule.name, name, most, total, says, {each.machine_id: i for i, each in enumerate(machines)})
    if rule.max_domains is not None:
        kind, where = _domains(rule, machines)
        number = len(set(where.values()))
        if kind == "machine":
            says = f"{has}, each a failure domain of its own, and {rule.max_domains} may be down at a time"
        else:
            says = f"{has} in {number} {_plural(kind, number)}, and {rule.max_domains} of these may be down at a time"
        yield Group(rule.name, name, rule.max_domains, number, says, where)


def _most_down(rule: Rule, total: int) -> int | None:
    """How many machines of so many may be down; None: the rule does not count machines."""
    limits = []
    if rule.quorum:
        limits.append(total - quorum(total))
    if rule.max_down is not None:
        limits.append(amounts.may_be_down(rule.max_down, total))
    if rule.min_up is not None:
        limits.append(total - amounts.must_be_up(rule.min_up, total))
    return max(0, min(limits)) if limits else None


def quorum(total: int) -> int:
    """The smallest majority."""
    return total // 2 + 1


def _arithmetic(rule: Rule, total: int) -> str:
    parts = []
    if rule.quorum:
        parts.append(f"{quorum(total)} {_are(quorum(total))} its quorum")
    if rule.max_down is not None:
        number = amounts.may_be_down(rule.max_down, total)
        share = f" ({rule.max_down.removesuffix('%')} %)" if isinstance(rule.max_down, str) else ""
        parts.append(f"at most {number}{share} may be down")
    if rule.min_up is not None:
        number = amounts.must_be_up(rule.min_up, total)
        share = f" ({rule.min_up.removesuffix('%')} %)" if isinstance(rule.min_up, str) else ""
        parts.append(f"{number}{share} must be up")
    return " and ".join(parts)


def _domains(rule: Rule, machines: list[Serving]) -> tuple[str, dict[int, int]]:
    """What the failure domain is, and each machine's.

    Nothing said: the label zone, else the rack, where each machine has one and there is one for each copy; else each
    machine is its own, which is the most careful. So it is too where all of the domains could be down at once: a rule
    that lets a whole cluster go because it stands in one rack would protect nothing.
    """
    least = COPIES if not rule.domain else (rule.max_domains or 1) + 1
    for kind in (rule.domain,) if rule.domain else ("label:zone", "rack"):
        said = [_domain(kind, each) for each in machines]
        if rule.domain:  # whoever has none is one by itself
            said = [domain or f"\0{each.machine_id}" for domain, each in zip(said, machines, strict=True)]
        if kind != "machine" and all(said) and len(set(said)) >= least:
            numbers = {domain: number for number, domain in enumerate(dict.fromkeys(said))}
            return kind, {each.machine_id: numbers[domain] for each, domain in zip(machines, said, strict=True)}
    return "machine", {each.machine_id: number for number, each in enumerate(machines)}


def _domain(kind: str, machine: Serving) -> str:
    if kind == "rack":
        return machine.rack or ""
    return machine.labels.get(kind.removeprefix("label:"), "") if kind.startswith("label:") else ""


def _named(rule: Rule, place: tuple[str | None, str], total: int) -> tuple[str, str]:
    """What the group is called, and "prod has 3 controllers"."""
    cluster, zone = place
    one, many = NODES.get(rule.role, (f"machine of the role {rule.role}", f"machines of the role {rule.role}"))
    number = f"{total} {one if total == 1 else many}"
    where = f"zone {zone or 'nova'} of {cluster}" if cluster and rule.per == "availability_zone" else cluster
    if where:
        return f"{many} of {where}", f"{where} has {number}"
    rest = "" if rule.per == "all" else " without a cluster"
    if rule.per == "availability_zone":
        rest += f" in the zone {zone or 'nova'}"
    return f"{many}{rest}", f"there {_are(total)} {number}{rest}"


def _plural(kind: str, number: int) -> str:
    word = "rack" if kind == "rack" else f"{kind.removeprefix('label:')}"
    return word if number == 1 or re.search(r"s$", word) else f"{word}s"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
