"""Clusters: machines that serve together, the variables and the secrets that they share."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp import audit, versions
from pxeapp.answers import cluster_secrets, knowledge, roles
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.answers.variables.rules import Rules
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.machines import sealed
from pxeapp.machines.lifecycle import TRANSITIONAL
from pxeapp.machines.models import Cluster, Machine
from pxeapp.sentences import first_few
from pxeapp.templates import Templates
from pxeapp.vault import Vault

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MOST_NAMED = 5
LONGEST = 500  # of a description


def hand(session: Session, vault: Vault, templates: Templates, *, actor: str, now: dt.datetime) -> Hand:
    """A hand with what roles declare at this moment."""
    return Hand(vault, knowledge.rules(session, templates), actor, now)


def get(session: Session, name: str, *, lock: bool = False) -> Cluster:
    """A cluster by name, as it is now; raises NotFound."""
    row = None
    if NAME.fullmatch(name):
        query = select(Cluster).where(Cluster.name == name).execution_options(populate_existing=True)
        row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound(f"There is no cluster {name[:80]!r}.", hint="See: pxeapp cluster list")
    return row


def listing(session: Session, *, after: str = "", limit: int = 100) -> Sequence[Cluster]:
    """Clusters by name, behind `after`."""
    return session.scalars(select(Cluster).where(Cluster.name > after).order_by(Cluster.name).limit(limit)).all()


def names(session: Session) -> frozenset[str]:
    """The names that machines may be in."""
    return frozenset(session.scalars(select(Cluster.name)))


def sizes(session: Session, rows: Iterable[Cluster]) -> dict[str, int]:
    """How many machines are in each of these."""
    wanted = [row.name for row in rows]
    found = session.execute(
        select(Machine.cluster, func.count()).where(Machine.cluster.in_(wanted)).group_by(Machine.cluster)
    )
    return {**dict.fromkeys(wanted, 0), **{str(name): number for name, number in found}}


def create(session: Session, hand: Hand, said: Mapping[str, Any]) -> Cluster:
    """Add a cluster; raises Invalid with every problem, and then nothing was added."""
    name = str(said.get("name", ""))
    row = Cluster(name=name, description="", vars={}, secrets={}, version=1, created_at=hand.now, updated_at=hand.now)
    problems = [] if NAME.fullmatch(name) else [
        FieldProblem("name", f"{name[:80]!r} cannot be a cluster's name.", "Use a-z, 0-9 and dashes, at most 63.")
    ]  # fmt: skip
    _change(hand, row, said, problems, "The cluster cannot be added.")
    if session.scalar(select(Cluster.id).where(Cluster.name == name)) is not None:
        raise Conflict(f"There already is a cluster {name}.")
    session.add(row)
    session.flush()
    _record(session, hand, "create", row, None, None, variables=sorted(row.vars), secrets=sorted(row.secrets))
    return row


def change(session: Session, hand: Hand, name: str, said: Mapping[str, Any]) -> Cluster:
    """Change what is given; machines get it at their next deployment."""
    row = get(session, name, lock=True)
    was, before = _shown(row), body(row)
    _change(hand, row, said, [], "The cluster cannot be changed.")
    changed = [field for field, value in before.items() if getattr(row, field) != value]
    if "secrets" in changed:
        _refuse_busy(session, row)
    if changed:
        row.updated_at = hand.now
        touched = _different(before["secrets"], row.secrets)
        variables = _different(before["vars"], row.vars)
        _record(session, hand, "change", row, was, before, changed=changed, variables=variables, secrets=touched)
        session.flush()
    return row


def propose(hand: Hand, row: Cluster, said: Mapping[str, Any]) -> None:
    """Put into the row what `change` would, with all of its checks; whoever compares throws it away afterwards."""
    _change(hand, row, said, [], "The cluster cannot be changed.")


def delete(session: Session, name: str, *, actor: str, now: dt.datetime) -> None:
    """Delete a cluster that no machine is in any more; its versions stay, sealed secrets included."""
    row = get(session, name, lock=True)
    inside = session.scalars(
        select(Machine.name).where(Machine.cluster == name).order_by(Machine.name).limit(MOST_NAMED + 1)
    ).all()
    if inside:
        raise Conflict(f"{first_few(inside, MOST_NAMED)} are in the cluster {name}.", hint="Take them out of it first.")
    gone = audit.difference(_shown(row), None)
    session.delete(row)
    audit.record(session, at=now, actor=actor, action="cluster.delete", subject=name, **gone)
    versions.record(session, versions.CLUSTERS, name, body(row), None, action="delete", author=actor, at=now)


def rotate(session: Session, hand: Hand, name: str, which: Sequence[str] = ()) -> tuple[Cluster, list[str]]:
    """Make secrets anew: those named, or all that were generated and that no stored data depend on.

    Machines have the new ones after their next deployment only.
    """
    row = get(session, name, lock=True)
    _refuse_busy(session, row)
    wanted = list(which) or cluster_secrets.rotated_with_others(hand.rules, row.secrets)
    problems = list(cluster_secrets.unrotatable(hand.rules, wanted))
    if problems:
        raise Invalid("The secrets cannot be made anew.", problems=problems)
    was, before = _shown(row), body(row)
    row.secrets = {**row.secrets, **{each: cluster_secrets.made(hand, each) for each in wanted}}
    row.updated_at = hand.now
    _record(session, hand, "rotate", row, was, before, secrets=sorted(wanted))
    session.flush()
    return row, sorted(wanted)


def ensure_secrets(
    session: Session, vault: Vault, templates: Templates, machine: Machine, role: str, *, now: dt.datetime
) -> None:
    """Make the secrets that this machine's role needs and its cluster does not have yet; raises Invalid without one.

    Of two machines that need the same at once, the second waits for the first and finds what that one made.
    """
    role_row = roles.get(session, role)
    row = get(session, machine.cluster) if machine.cluster is not None else None
    said = {**role_row.vars, **(row.vars if row else {}), **machine.vars}
    declared = knowledge.needed_by(role_row, said, templates)
    lacking = cluster_secrets.lacking(declared, said, row.secrets if row else {})
    if not lacking:
        return
    if row is None:
        raise Invalid(
            f"{machine.name} as {role} needs secrets, and it is in no cluster that could keep them.",
            problems=[
                FieldProblem(f"vars.{name}", "is missing.", "Put the machine into a cluster: it is generated there.")
                for name in lacking
            ],
        )
    row = get(session, row.name, lock=True)
    lacking = cluster_secrets.lacking(declared, said, row.secrets)
    if lacking:
        maker = Hand(vault, Rules({role: declared}), "system:clusters", now)
        was, before = _shown(row), body(row)
        row.secrets = {**row.secrets, **{each: cluster_secrets.made(maker, each) for each in lacking}}
        row.updated_at = now
        _record(session, maker, "generate", row, was, before, secrets=sorted(lacking), machine=machine.name)
        session.flush()


def body(row: Cluster) -> dict[str, Any]:
    """A cluster as its versions keep it."""
    return {"description": row.description, "vars": row.vars, "secrets": row.secrets}


def body_shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body as anybody may see it; of a secret, that it is set, by whom and when."""
    return {
        "description": body["description"],
        "vars": sealed.shown(body["vars"]),
        "secrets": {name: cluster_secrets.wire(value) for name, value in sorted(body["secrets"].items())},
    }


def wire(row: Cluster, machines: int) -> dict[str, Any]:
    """A cluster as the API shows it."""
    return {
        "name": row.name,
        **body_shown(body(row)),
        "machines": machines,
        "version": row.version,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def _change(hand: Hand, row: Cluster, said: Mapping[str, Any], problems: list[FieldProblem], sentence: str) -> None:
    description = said.get("description", row.description)
    if not isinstance(description, str) or not description.isprintable() or len(description) > LONGEST:
        problems.append(FieldProblem("description", "is not one line of text.", f"Use at most {LONGEST} characters."))
    kept_vars, kept_secrets = row.vars, row.secrets
    if "vars" in said:
        kept_vars, wrong = hand.rules.settled("cluster", None, said["vars"], row.vars, hand.seal)
        problems += wrong
    if "secrets" in said:
        kept_secrets, wrong = cluster_secrets.settled(hand, said["secrets"], row.secrets)
        problems += wrong
    if problems:
        raise Invalid(sentence, problems=list(dict.fromkeys(problems)))
    row.description, row.vars, row.secrets = description, kept_vars, kept_secrets


def _refuse_busy(session: Session, row: Cluster) -> None:
    """One machine would be given the old secret and the next one the new."""
    busy = session.scalars(
        select(Machine.name).where(Machine.cluster == row.name, Machine.state.in_(TRANSITIONAL)).limit(MOST_NAMED)
    ).all()
    if busy:
        raise Conflict(
            f"{', '.join(busy)} of {row.name} are being installed; its secrets cannot change now.",
            hint="Wait for their end or abort them.",
        )


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _shown(row: Cluster) -> dict[str, Any]:
    """A cluster as the audit keeps it: of a secret no more than the API shows, and its machines have rows of theirs."""
    return {name: value for name, value in wire(row, 0).items() if name != "machines"}


def _record(
    session: Session,
    hand: Hand,
    action: str,
    row: Cluster,
    was: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None,
    **details: Any,
) -> None:
    audit.record(
        session, at=hand.now, actor=hand.actor, action=f"cluster.{action}", subject=row.name,
        **audit.difference(was, _shown(row)), **details,
    )  # fmt: skip
    versions.record(
        session, versions.CLUSTERS, row.name, before, body(row), action=action, author=hand.actor, at=hand.now
    )
