"""Going back to an earlier version of a network, a release, a role or a cluster, as if somebody wrote it again.

It goes the way of every other change: the same checks, held against every machine that takes something from it, the
same audit. Secrets come back as they were sealed then; those that a cluster has got since stay, for machines that were
installed meanwhile live by them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.answers import clusters, role_vars, roles
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines import networks, sealed
from pxeapp.provisioning import members
from pxeapp.provisioning.members import Agree
from pxeapp.provisioning.veil import Veil
from pxeapp.software import releases, restoring
from pxeapp.templates import Templates
from pxeapp.vault import Undecryptable, Vault

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """What going back takes: by whom, when, and how is agreed to what is there now (or that it is not)."""

    vault: Vault
    templates: Templates
    agree: Agree
    agree_new: Callable[[], None]
    actor: str
    now: dt.datetime


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: what it is as the API shows it, what its versions keep and show, and how it goes back."""

    shown: Callable[[Session, str], dict[str, Any]]  # raises NotFound
    body: Callable[[Session, str], Body]  # raises NotFound
    body_shown: Callable[[Body], dict[str, Any]]
    restore: Callable[[Session, Step, str, Body], None]


def restore(
    database: Database, settings: Settings, step: Step, kind: str, name: str, number: int, *, comment: str = ""
) -> dict[str, Any]:
    """Have it as it was in that version; returns it as the API shows it. Raises Invalid with what does not fit now."""
    about = KINDS[kind]
    with database.write() as session, versions.because(versions.back_to(number, comment)):
        body = versions.body(session, kind, name, number)
        there = present(session, kind, name) is not None
        about.restore(session, step, name, body)
        session.flush()
        shown = about.shown(session, name)
    if kind == versions.RELEASES and not there:
        # Outside the transaction: hashing gigabytes takes minutes. Its files may be gone; then it says so.
        return releases.wire(releases.verify(database, settings, name, actor=step.actor, now=step.now))
    return shown


def present(session: Session, kind: str, name: str) -> Body | None:
    """What it is now, as a version would keep it; None: it is not there."""
    try:
        return KINDS[kind].body(session, name)
    except NotFound:
        return None


def veiled(vault: Vault, veil: Veil, value: Any) -> Any:
    """A body in which each secret is what the veil shows for it: another one when it is another."""
    if sealed.is_sealed(value):
        try:
            hidden = veil.hide(json.dumps(sealed.opened(vault, value)))
        except Undecryptable:
            hidden = veil.hide(value[sealed.KEY])
        return str(value.get("shown", sealed.SHOWN)).replace(sealed.SHOWN, hidden)
    if isinstance(value, Mapping):
        return {name: veiled(vault, veil, each) for name, each in value.items()}
    return [veiled(vault, veil, each) for each in value] if isinstance(value, list) else value


def _network(session: Session, step: Step, name: str, body: Body) -> None:
    try:
        networks.get(session, name)
    except NotFound:
        step.agree_new()
        said = {field: value for field, value in body.items() if value is not None}
        networks.create(session, {**said, "name": name}, actor=step.actor, now=step.now)
        return
    members.save_network(session, step.templates, name, body, agree=step.agree, actor=step.actor, now=step.now)


def _release(session: Session, step: Step, name: str, body: Body) -> None:
    agree, agree_new = step.agree, step.agree_new
    with members.on_release(session, step.templates, name):
        restoring.restore(session, name, body, agree=agree, agree_new=agree_new, actor=step.actor, now=step.now)


def _role(session: Session, step: Step, name: str, body: Body) -> None:
    hand = _hand(session, step, body)
    try:
        row = roles.get(session, name)
    except NotFound:
        step.agree_new()
        row = role_vars.create(session, hand, {**body, "name": name, "vars": _opened(step, body["vars"], {})})
    else:
        session.refresh(row, with_for_update=True)
        if roles.body(row) == body:
            step.agree(roles.wire(row))
            return
        said = {**body, "vars": _opened(step, body["vars"], row.vars)}
        row = members.save_role(session, step.templates, hand, name, said, agree=step.agree)
    _refuse_open(body["vars"], row.vars)


def _cluster(session: Session, step: Step, name: str, body: Body) -> None:
    hand = _hand(session, step, body)
    try:
        row = clusters.get(session, name, lock=True)
    except NotFound:
        step.agree_new()
        said = {"vars": _opened(step, body["vars"], {}), "secrets": _opened(step, body["secrets"], {})}
        row = clusters.create(session, hand, {"name": name, "description": body["description"], **said})
    else:
        others = {name: value for name, value in body["secrets"].items() if row.secrets.get(name) != value}
        said = {"vars": _opened(step, body["vars"], row.vars), "secrets": _opened(step, others, {})}
        whole = {"description": body["description"], **said}
        row = members.save_cluster(session, step.templates, hand, name, whole, agree=step.agree)
    _refuse_open(body["vars"], row.vars)


def _hand(session: Session, step: Step, body: Body) -> Hand:
    hand = clusters.hand(session, step.vault, step.templates, actor=step.actor, now=step.now)
    return replace(hand, before=tuple(sealed.within([body["vars"], *body.get("secrets", {}).values()])))


def _opened(step: Step, then: Body, now: Body) -> dict[str, Any]:
    """As somebody would write it: what is the same now stays as it is kept, other secrets are said anew."""
    return {
        name: value
        if name in now and now[name] == value
        else sealed.opened_within(name, value, lambda _where, each: sealed.opened(step.vault, each))
        for name, value in then.items()
    }


def _refuse_open(then: Body, kept: Body) -> None:
    """What was secret, and is declared to be one nowhere any more, would lie open from now on."""
    problems = [
        FieldProblem(f"vars.{name}", "was a secret in that version, and is declared to be one nowhere now.",
                     "Declare it in the role's variables first.")
        for name, value in then.items()
        if len(list(sealed.within(value))) > len(list(sealed.within(kept.get(name))))
    ]  # fmt: skip
    if problems:
        raise Invalid("That version cannot be gone back to.", problems=problems)


def _cluster_shown(session: Session, name: str) -> dict[str, Any]:
    row = clusters.get(session, name)
    return clusters.wire(row, clusters.sizes(session, [row])[name])


KINDS: dict[str, Kind] = {
    versions.NETWORKS: Kind(
        lambda session, name: networks.wire(networks.get(session, name)),
        lambda session, name: networks.body(networks.get(session, name)),
        dict, _network,
    ),
    versions.RELEASES: Kind(
        lambda session, name: releases.wire(releases.get(session, name)),
        lambda session, name: releases.body(releases.get(session, name)),
        dict, _release,
    ),
    versions.ROLES: Kind(
        lambda session, name: roles.wire(roles.get(session, name)),
        lambda session, name: roles.body(roles.get(session, name)),
        roles.body_shown, _role,
    ),
    versions.CLUSTERS: Kind(
        _cluster_shown, lambda session, name: clusters.body(clusters.get(session, name)), clusters.body_shown, _cluster,
    ),
}  # fmt: skip
