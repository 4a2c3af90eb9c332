"""What a machine was really given in an attempt: listed, shown masked, and compared with what it would get today."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from pxeapp import audit
from pxeapp.answers import render
from pxeapp.boot import grub, ipxe
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound, PxeError
from pxeapp.machines.models import Machine
from pxeapp.provisioning import differences, lifecycle, makers, plan
from pxeapp.provisioning.keeping import Opened, open_record
from pxeapp.provisioning.makers import Maker
from pxeapp.provisioning.models import Deployment, GivenBase, Served
from pxeapp.provisioning.netboot import FROM_DISK
from pxeapp.provisioning.veil import Veil
from pxeapp.software import releases
from pxeapp.templates.versions import Version
from pxeapp.vault import Undecryptable, Vault

NOT_KEPT = "It was given before texts were kept; only its hash is known."
NAMED = 20  # deployments in a refusal


@dataclass(frozen=True, slots=True)
class File:
    """One file that a machine was given. Without its text, `problem` says why."""

    id: int
    kind: str
    at: dt.datetime
    sha256: str
    size: int
    text: str | None  # masked
    variables: Mapping[str, Any]  # that went in; secrets by their hash
    made_from: Mapping[str, Version]
    problem: str = ""
    secrets: Sequence[str] = ()
    exact: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it: nothing that is secret."""
        return {
            "id": self.id,
            "kind": self.kind,
            "at": self.at.isoformat(),
            "sha256": self.sha256,
            "size": self.size,
            "text": self.text,
            "templates": [
                {"name": name, "of": version.of, "sha256": version.sha256}
                for name, version in sorted(self.made_from.items())
            ],
            "variables": dict(self.variables),
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """The same file as it would be today. Without a difference, `problem` says why there is nothing to compare."""

    kind: str
    diff: str
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"diff": self.diff, "same": not self.diff and not self.problem, "problem": self.problem}


def attempt(session: Session, machine: Machine, number: int | None = None) -> Deployment:
    """The machine's latest attempt, or the deployment of this number; raises NotFound with those it has."""
    own = select(Deployment).where(Deployment.machine_id == machine.id).order_by(Deployment.id.desc())
    if number is None:
        latest = session.scalars(own.limit(1)).first()
        if latest is None:
            raise NotFound(f"{machine.name} was never deployed, so it was given nothing.")
        return latest
    found = session.scalars(own.where(Deployment.id == number)).first()
    if found is None:
        known = ", ".join(str(each.id) for each in session.scalars(own.limit(NAMED)))
        raise NotFound(f"{machine.name} has no deployment {number}.", hint=f"It has: {known or 'none yet'}.")
    return found


def files(session: Session, vault: Vault, deployment: Deployment, *, kind: str = "") -> list[File]:
    """What the machine was given, in that order; raises Invalid for a kind that was not among it."""
    query = select(Served).where(Served.deployment_id == deployment.id).order_by(Served.id)
    rows = session.scalars(query.options(undefer(Served.record))).all()
    if kind and not any(row.kind == kind for row in rows):
        kinds = ", ".join(dict.fromkeys(row.kind for row in rows)) or "nothing yet"
        problem = FieldProblem("kind", repr(kind[:40]), f"It was given: {kinds}.")
        raise Invalid(f"Deployment {deployment.id} was given no {kind[:40]}.", problems=[problem])
    return _opened(session, vault, [row for row in rows if kind in ("", row.kind)])


def file(session: Session, vault: Vault, machine: Machine, number: int) -> File:
    """One of the files that the machine was ever given; raises NotFound."""
    query = select(Served).join(Deployment, Deployment.id == Served.deployment_id)
    query = query.where(Served.id == number, Deployment.machine_id == machine.id)
    row = session.scalars(query.options(undefer(Served.record))).first()
    if row is None:
        raise NotFound(f"{machine.name} was given no file {number}.", hint=f"See: pxeapp given {machine.name}")
    return _opened(session, vault, [row])[0]


def exact(
    session: Session, vault: Vault, machine: Machine, number: int, *, actor: str, now: dt.datetime
) -> tuple[File, str]:
    """The file with its exact text, secrets included. Who looked at it is written down."""
    found = file(session, vault, machine, number)
    if found.exact is None:
        raise Conflict(found.problem)
    audit.record(
        session,
        at=now,
        actor=actor,
        action="given.exact",
        subject=machine.name,
        kind=found.kind,
        sha256=found.sha256,
        file=found.id,
    )
    return found, found.exact


def compared(session: Session, tools: plan.Tools, machine: Machine, given: Sequence[File]) -> list[Compared]:
    """Each file beside what the machine would be given today, tokens and secrets masked."""
    try:
        today = _today(session, tools, machine)
    except PxeError as error:
        return [Compared(each.kind, "", f"Today it would be given nothing: {error.in_full}") for each in given]
    return [_compared(each, today) for each in given]


@dataclass(frozen=True, slots=True)
class _Today:
    release: str
    made: Mapping[str, Sequence[Maker]]
    secrets: Sequence[str]
    masked: Callable[[str, Veil], str]


def _today(session: Session, tools: plan.Tools, machine: Machine) -> _Today:
    settings, templates = tools.settings, tools.templates
    release, role = lifecycle.present(session, machine)
    if release is None or role is None:
        raise Conflict(f"{machine.name} has no {'release' if release is None else 'role'}.")
    spec = plan.preview(session, tools, machine, release=release, role=role)
    boot = plan.boot_of(machine, releases.get(session, release), spec)
    each = {**makers.of_loader(settings, templates, boot), **makers.of_installer(templates, spec)}
    made = {kind: [maker] for kind, maker in each.items()}
    url = settings.node_url
    # A loader's script has other forms: for a stranger to whom it reports, by HTTP, and for a machine that was refused.
    made["ipxe"] += [
        lambda: ipxe.render(boot, templates, node_url=url, report_identity=True),
        lambda: ipxe.render(FROM_DISK, templates, node_url=url),
        lambda: ipxe.render(FROM_DISK, templates, node_url=url, report_identity=True),
    ]
    made["grub"] += [lambda: grub.render(boot, templates, node_url=url), lambda: grub.render(FROM_DISK, templates)]
    return _Today(release, made, render.secrets(spec), lambda text, veil: render.mask(text, spec, veil.hide))


def _compared(given: File, today: _Today) -> Compared:
    if given.exact is None:
        return Compared(given.kind, "", given.problem)
    forms = today.made.get(given.kind)
    if forms is None:
        return Compared(given.kind, "", f"Today it would be given no {given.kind}: {today.release} has none.")
    veil = Veil()
    before = render.mask_values(given.exact, [*given.secrets, *today.secrets], veil.hide)
    try:
        texts = [today.masked(form(), veil) for form in forms]
    except PxeError as error:
        return Compared(given.kind, "", f"Today its {given.kind} could not be made: {error.in_full}")
    old, new = f"{given.kind} given {given.at:%Y-%m-%d %H:%M:%S} UTC", f"{given.kind} today"
    return Compared(given.kind, min((differences.unified(before, text, old=old, new=new) for text in texts), key=len))


def _opened(session: Session, vault: Vault, rows: Sequence[Served]) -> list[File]:
    wanted = {row.base for row in rows if row.base is not None}
    bases = {row.sha256: row.content for row in session.scalars(select(GivenBase).where(GivenBase.sha256.in_(wanted)))}
    return [_open(vault, row, bases) for row in rows]


def _open(vault: Vault, row: Served, bases: Mapping[str, bytes]) -> File:
    about = (row.id, row.kind, row.at, row.sha256, row.size)
    if row.record is None or row.base is None:
        return File(*about, None, {}, {}, NOT_KEPT)
    if row.base not in bases:
        return File(*about, None, {}, {}, "What its text was kept against is not in the database any more.")
    try:
        opened = open_record(vault, row.kind, row.sha256, row.record, (row.base, bases[row.base]))
    except Undecryptable as error:
        return File(*about, None, {}, {}, str(error))
    except ValueError as error:
        return File(*about, None, {}, {}, f"{error} Restore the database from a backup to see it.")
    text = render.mask_values(opened.text, opened.secrets)
    shown = _variables(vault, opened)
    return File(*about, text, shown, opened.made_from, secrets=opened.secrets, exact=opened.text)


def _variables(vault: Vault, opened: Opened) -> dict[str, Any]:
    """Secrets by a hash that is the same at every look, so that two attempts can be compared."""
    veil = Veil(vault.derive("given-secrets"))

    def masked(value: Any) -> Any:
        if isinstance(value, str):
            return render.mask_values(value, opened.secrets, veil.hide)
        if isinstance(value, Mapping):
            return {key: masked(each) for key, each in value.items()}
        return [masked(each) for each in value] if isinstance(value, list) else value

    return {name: masked(value) for name, value in opened.variables.items()}
