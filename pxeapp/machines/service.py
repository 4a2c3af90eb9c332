"""Creating, changing and deleting machines. Nothing here moves hardware; saving has no side effects."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from netaddr import IPAddress, IPNetwork
from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from pxeapp import audit
from pxeapp.errors import Conflict, FieldProblem, Invalid, PreconditionFailed
from pxeapp.machines import sealed, timeline, wire
from pxeapp.machines.disks import KnownDisk
from pxeapp.machines.lifecycle import TRANSITIONAL, State, target
from pxeapp.machines.models import Bmc, Disk, Interface, Machine, Network, Sighting
from pxeapp.machines.wire import BmcIn, DisksIn, InterfaceIn, MachineChange, MachineIn
from pxeapp.vault import Undecryptable, Vault

PLAIN_FIELDS = (
    "name", "mac", "serial", "uuid", "role", "release", "cluster", "project", "labels", "vars", "location",
    "maintenance", "maintenance_reason", "locked",
)  # fmt: skip
FIXED = ("mac", "release", "role", "cluster")  # what a running deployment rests on
AT_ONCE = 1000  # values in one query: databases have a limit
BRING_VERBS = ("manage", "provide", "retire", "reserve", "unreserve")  # verbs that move no hardware


class VariableRules(Protocol):
    """Which variables a machine may have, by its role; answers/variables/rules.py knows."""

    def settle(
        self, role: str | None, said: Mapping[str, Any], present: Mapping[str, Any], seal: Seal
    ) -> tuple[dict[str, Any], list[FieldProblem]]:
        """The variables as they are kept, secrets sealed, and what is wrong with them."""
        ...


class Seal(Protocol):
    """Encrypts a secret; what is there already stays if it says the same."""

    def __call__(self, value: Any, present: Any) -> Any:
        """The value as it is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A machine as it would be when it is saved; `given` are the fields that are being said."""

    mac: str
    role: str | None
    cluster: str | None
    vars: Mapping[str, Any]
    interfaces: tuple[tuple[str, str | None, str | None, str | None], ...]  # MAC, name, network, address
    given: frozenset[str]
    disks: tuple[KnownDisk, ...] = ()
    release: str | None = None


class MachineRules(Protocol):
    """What must hold for a machine as a whole; provisioning/ knows, for it composes what answer files are made of."""

    def problems(self, draft: Draft) -> Iterable[FieldProblem]:
        """What is wrong with it."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """What a machine's values are checked against: the names and networks that this appliance knows."""

    roles: frozenset[str]
    releases: frozenset[str]
    networks: frozenset[str]
    bmc_networks: tuple[IPNetwork, ...]
    clusters: frozenset[str] = frozenset()
    variables: VariableRules | None = None  # None: no variable is known, and so none refused
    whole: MachineRules | None = None  # None: a machine's parts are checked each by itself only


def create(session: Session, vault: Vault, site: Site, said: MachineIn, *, actor: str, now: dt.datetime) -> Machine:
    """Add a machine; raises Invalid or Conflict with every problem, and then nothing was added."""
    _refuse(session, site, said, None, settle_vars(vault, site, said, None, actor=actor, now=now))
    row = Machine(name=said.name, mac=said.mac, state=State.ENROLLED, created_at=now, updated_at=now)
    apply(vault, row, said, now=now)
    session.add(row)
    session.flush()
    registered(session, [row], now=now)
    after = wire.machine(row)
    audit.record(session, at=now, actor=actor, action="machine.create", subject=row.name, mac=row.mac, after=after)
    return row


def change(
    session: Session,
    vault: Vault,
    site: Site,
    row: Machine,
    said: MachineChange,
    *,
    actor: str,
    now: dt.datetime,
    expected_version: int | None = None,
) -> list[str]:
    """Change what is given; returns the fields that really changed. Raises PreconditionFailed on a race."""
    if expected_version is not None and row.version != expected_version:
        raise PreconditionFailed(
            f"{row.name} was changed meanwhile (it is at version {row.version}).", hint="Read it again."
        )
    _refuse(session, site, said, row, settle_vars(vault, site, said, row, actor=actor, now=now))
    if row.state in TRANSITIONAL and fixed_changes(row, said):
        raise Conflict(
            f"{row.name} is {row.state}; its MAC, release, role and cluster cannot change now.", hint="Abort first."
        )
    before, was = row.name, wire.machine(row)
    changed = apply(vault, row, said, now=now)
    if changed:
        session.flush()
        recognise(session, [row])
        audit.record(
            session, at=now, actor=actor, action="machine.change", subject=before, changed=changed,
            **audit.difference(was, wire.machine(row)),
        )  # fmt: skip
    return changed


def delete(session: Session, row: Machine, *, actor: str, now: dt.datetime) -> None:
    """Forget a machine with everything that hangs off it; refused while something is under way."""
    if row.state in TRANSITIONAL:
        raise Conflict(f"{row.name} is {row.state}.", hint="Abort what is under way first.")
    _refuse_locked(row)
    before = wire.machine(row)
    audit.record(session, at=now, actor=actor, action="machine.delete", subject=row.name, mac=row.mac, before=before)
    session.delete(row)


def bring(session: Session, row: Machine, verb: str, *, actor: str, now: dt.datetime) -> None:
    """Move a machine through its lifecycle where no hardware has to move; raises Conflict with what is possible."""
    if verb not in BRING_VERBS:
        fix = f"Use one of {', '.join(BRING_VERBS)}."
        raise Invalid(f"{verb!r} is not possible here.", problems=[FieldProblem("verb", repr(verb), fix)], hint=fix)
    _refuse_locked(row)
    before = row.state
    claim(session, row, verb, now=now)
    if row.state == State.VERIFYING:
        # Nothing to verify by hardware yet: its BMC is asked by the poller, its record was checked on the way in.
        claim(session, row, "done", now=now)
    after = row.state
    audit.record(session, at=now, actor=actor, action=f"machine.{verb}", subject=row.name, before=before, after=after)
    timeline.note(session, machine_id=row.id, at=now, source="operator", kind=verb, message=f"{before} → {after}")


def claim(session: Session, row: Machine, verb: str, *, now: dt.datetime) -> None:
    """Compare and set: of two who want the machine, one gets it and the other gets a Conflict."""
    after = target(row.state, verb)
    session.flush()
    claimed = session.execute(
        update(Machine)
        .where(Machine.id == row.id, Machine.state == row.state)
        .values(state=after, updated_at=now, version=Machine.version + 1)
        .execution_options(synchronize_session=False)
    )
    if claimed.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict(f"{row.name} was changed by somebody else meanwhile.", hint="Look at it and try again.")
    session.refresh(row)


def apply(vault: Vault, row: Machine, said: MachineChange, *, now: dt.datetime) -> list[str]:
    """Put what was said into the row; returns what really changed. Checks nothing."""
    changed = []
    given = said.model_fields_set
    for name in PLAIN_FIELDS:
        if name in given and (value := _plain(said, name)) != getattr(row, name):
            setattr(row, name, value)
            changed.append(name)
    if "interfaces" in given and said.interfaces is not None and _apply_interfaces(row, said.interfaces):
        changed.append("interfaces")
    if "disks" in given and said.disks is not None and _apply_disks(row, said.disks):
        changed.append("disks")
    if "bmc" in given and _apply_bmc(vault, row, said.bmc):
        changed.append("bmc")
    if changed:
        row.updated_at = now
    return changed


def fixed_changes(row: Machine, said: MachineChange) -> list[str]:
    """The fields that a running deployment rests on and that would change."""
    given = said.model_fields_set
    return [name for name in FIXED if name in given and _plain(said, name) != getattr(row, name)]


def settle_vars(
    vault: Vault, site: Site, said: MachineChange, row: Machine | None, *, actor: str, now: dt.datetime
) -> list[FieldProblem]:
    """Put the variables that were said into the form in which they are kept; returns what is wrong with them."""
    if not said.vars or site.variables is None:
        return []
    role = said.role if "role" in said.model_fields_set or row is None else row.role

    def seal(value: Any, present: Any) -> Any:
        return sealed.sealed_anew(vault, value, present, by=actor, now=now)

    said.vars, problems = site.variables.settle(role, said.vars, row.vars if row else {}, seal)
    return problems


def whole_problems(site: Site, said: MachineChange, row: Machine | None) -> Iterable[FieldProblem]:
    """What is wrong with the machine as it would be, beyond its single fields; its variables are settled already."""
    if site.whole is None:
        return []
    given = said.model_fields_set

    def now(name: str) -> Any:
        return _plain(said, name) if name in given or row is None else getattr(row, name)

    listed = said.interfaces if "interfaces" in given and said.interfaces is not None else row.interfaces if row else []
    cards = tuple((card.mac, card.name, card.network, card.address) for card in listed)
    draft = Draft(
        now("mac"), now("role"), now("cluster"), now("vars") or {}, cards, frozenset(given), tuple(_drafted(said, row)),
        release=now("release"),
    )  # fmt: skip
    return site.whole.problems(draft)


def _drafted(said: MachineChange, row: Machine | None) -> Iterable[KnownDisk]:
    """The machine's disks as they would be; of one that was known before, what was known of it."""
    present = [disk.known for disk in row.disks] if row is not None else []
    return present if said.disks is None else said.disks.known(present)


def registered(session: Session, rows: Iterable[Machine], *, now: dt.datetime) -> None:
    """What follows a registration: the first line of the timeline, and a sighting that is no stranger's any more."""
    rows = list(rows)
    recognise(session, rows)
    for row in rows:
        timeline.note(
            session, machine_id=row.id, at=now, source="operator", kind="enrolled",
            message=f"{row.name} was registered.",
        )  # fmt: skip


def recognise(session: Session, rows: Iterable[Machine]) -> None:
    """A machine that was seen as unknown before it was registered is not a stranger any more."""
    by_mac = {row.mac: row.id for row in rows}
    macs = list(by_mac)
    for start in range(0, len(macs), AT_ONCE):
        some = macs[start : start + AT_ONCE]
        strangers = select(Sighting).where(Sighting.mac.in_(some), Sighting.machine_id.is_(None))
        for sighting in session.scalars(strangers):
            sighting.machine_id = by_mac[sighting.mac]


def vacate(session: Session, row: Machine, name: str, value: str) -> None:
    """Put a placeholder that nobody can ask for where a machine holds what the next one is about to get.

    Straight to the row, behind the session's back: whatever the machine gets instead is still to be written.
    """
    place = f"~{row.id}"
    if name == "name":
        change: Update = update(Machine).where(Machine.id == row.id).values(name=place)
    elif name in ("serial", "uuid"):
        change = update(Machine).where(Machine.id == row.id).values({name: None})
    elif name == "bmc.address":
        change = update(Bmc).where(Bmc.machine_id == row.id).values(address=place)
        if row.bmc is not None:
            flag_modified(row.bmc, "address")  # it is written again even if only the port will differ
    elif name == "interfaces.mac":
        change = update(Interface).where(Interface.mac == value).values(mac=f"~{value.replace(':', '')}")
    elif name == "interfaces.address":
        return  # the rows may hold it twice until both are written
    else:
        raise ValueError(f"{name} cannot be vacated.")
    session.execute(change.execution_options(synchronize_session=False))


def site_problems(site: Site, said: MachineChange) -> list[FieldProblem]:
    """What this appliance does not know: roles, releases, networks, BMC addresses outside the allowed networks."""
    found = []
    for name, value, known in (
        ("role", said.role, site.roles),
        ("release", said.release, site.releases),
        ("cluster", said.cluster, site.clusters),
    ):
        if value and value not in known:
            found.append(FieldProblem(name, f"{value!r} is not known here.", _choose(known)))
    for number, card in enumerate(said.interfaces or []):
        if card.network and card.network not in site.networks:
            fix = _choose(site.networks)
            found.append(FieldProblem(f"interfaces.{number}.network", f"{card.network!r} is not known here.", fix))
    if said.bmc is not None and (problem := bmc_address_problem(said.bmc, site.bmc_networks)):
        found.append(problem)
    return found


def bmc_address_problem(said: BmcIn, networks: Sequence[IPNetwork]) -> FieldProblem | None:
    """A number outside the allowed networks is refused; a name is checked at each connection, when it is resolved."""
    try:
        ipaddress.ip_address(said.address)
    except ValueError:
        return None
    if said.type == "fake" or any(IPAddress(said.address) in network for network in networks):
        return None
    fix = "Add its network to PXEAPP_BMC_NETWORKS if BMCs belong there."
    return FieldProblem("bmc.address", f"{said.address} is outside the BMC networks.", fix)


def _choose(known: Iterable[str]) -> str:
    names = sorted(known)
    return f"Known: {', '.join(names[:20])}." if names else "None is known yet; add it first."


def _refuse_locked(row: Machine) -> None:
    if row.locked:
        raise Conflict(f"{row.name} is locked.", hint="Unlock it first; somebody locked it on purpose.")


def _refuse(
    session: Session, site: Site, said: MachineChange, row: Machine | None, wrong: Iterable[FieldProblem]
) -> None:
    problems = [*site_problems(site, said), *wrong] or list(whole_problems(site, said, row))
    problems += _taken_addresses(session, said, row.id if row else 0)
    if problems:
        raise Invalid("The machine cannot be saved.", problems=problems)
    taken = list(_taken(session, said, row.id if row else None))
    if taken:
        raise Conflict(" ".join(taken), hint="Each belongs to one machine only.")


def _taken(session: Session, said: MachineChange, own_id: int | None) -> Iterable[str]:
    for name in ("name", "mac", "serial", "uuid"):
        value = getattr(said, name)
        if value:
            other = session.scalar(select(Machine).where(getattr(Machine, name) == value, Machine.id != (own_id or 0)))
            if other is not None:
                yield f"The {name} {value} belongs to {other.name}."
    if said.bmc is not None:
        owner = session.scalar(
            select(Bmc).where(
                Bmc.address == said.bmc.address, Bmc.port == said.bmc.port, Bmc.machine_id != (own_id or 0)
            )
        )
        if owner is not None:
            yield f"The BMC {said.bmc.address}:{said.bmc.port} belongs to {owner.machine.name}."
    yield from _taken_macs(session, said, own_id or 0)


def _taken_macs(session: Session, said: MachineChange, own_id: int) -> Iterable[str]:
    """A MAC is one card's, whether a machine boots from it or not: of two that have it we would boot either."""
    cards = [card.mac for card in said.interfaces or []]
    wanted = dict.fromkeys([*([said.mac] if said.mac else []), *cards])
    if not wanted:
        return
    of_cards = (
        select(Interface.mac, Machine.name)
        .join(Machine, Machine.id == Interface.machine_id)
        .where(Interface.mac.in_(wanted), Machine.id != own_id)
    )
    card_of = dict(session.execute(of_cards).all())
    boots = select(Machine.mac, Machine.name).where(Machine.mac.in_(cards), Machine.id != own_id)
    boot_of = dict(session.execute(boots).all()) if cards else {}
    for mac in wanted:
        if mac in card_of:
            yield f"The MAC {mac} belongs to a card of {card_of[mac]}."
        elif mac != said.mac and mac in boot_of:
            yield f"The MAC {mac} is the one that {boot_of[mac]} boots from."


def _taken_addresses(session: Session, said: MachineChange, own_id: int) -> Iterable[FieldProblem]:
    """An address is one card's: of two that have it neither works, and DHCP would have to reserve it twice."""
    wanted = {card.address for card in said.interfaces or [] if card.address}
    if not wanted:
        return
    held = (
        select(Interface.address, Machine.name)
        .join(Machine, Machine.id == Interface.machine_id)
        .where(Interface.address.in_(wanted), Machine.id != own_id)
    )
    owners = dict(session.execute(held).all())
    for number, card in enumerate(said.interfaces or []):
        if (owner := owners.get(card.address)) is not None:
            value, fix = card.address, "Correct it, or change that machine first."
            yield FieldProblem(f"interfaces.{number}.address", f"{value} belongs to {owner}.", fix)


def _plain(said: MachineChange, name: str) -> Any:
    value = getattr(said, name)
    if value is None:
        return {"labels": {}, "vars": {}, "location": {}, "maintenance": False, "locked": False}.get(
            name, "" if name == "maintenance_reason" else None
        )
    return value or None if name in ("serial", "role", "release", "cluster", "project") else value


def _apply_interfaces(row: Machine, said: list[InterfaceIn]) -> bool:
    have = {card.mac: card for card in row.interfaces}
    wanted = {card.mac: card for card in said}
    changed = have.keys() != wanted.keys()
    for mac, card in wanted.items():
        present = have.get(mac)
        if present is None:
            row.interfaces.append(Interface(mac=mac, name=card.name, network=card.network, address=card.address))
            continue
        for field in ("name", "network", "address"):
            if getattr(present, field) != getattr(card, field):
                setattr(present, field, getattr(card, field))
                changed = True
    for mac, present in have.items():
        if mac not in wanted:
            row.interfaces.remove(present)
    return changed


def _apply_disks(row: Machine, said: DisksIn) -> bool:
    present = [disk.known for disk in row.disks]
    wanted = said.known(present)
    if present == wanted:
        return False
    row.disks = [
        Disk(
            purpose=disk.purpose, path=disk.path, serial=disk.serial, size_bytes=disk.size, wwn=disk.wwn,
            model=disk.model, rotational=disk.rotational,
        )
        for disk in wanted
    ]  # fmt: skip
    return True


def _apply_bmc(vault: Vault, row: Machine, said: BmcIn | None) -> bool:
    if said is None:
        changed = row.bmc is not None
        row.bmc = None
        return changed
    changed = row.bmc is None
    bmc = row.bmc or Bmc()
    certificate = said.certificate or ""
    if certificate == bmc.certificate and (bmc.type, bmc.address, bmc.port) != (said.type, said.address, said.port):
        certificate = ""  # another BMC, which has one of its own
    if (bmc.certificate or "") != certificate:
        bmc.certificate = certificate
        changed = True
    for field in ("type", "address", "port", "username", "cipher_suite"):
        value = getattr(said, field)
        if getattr(bmc, field) != value:
            setattr(bmc, field, value)
            changed = True
    if said.password is not None and _present_password(vault, bmc) != said.password:
        bmc.password_encrypted = vault.encrypt(said.password)
        changed = True
    if row.bmc is None:  # setting the same one again would cost more than all the comparing above
        row.bmc = bmc
    return changed


def _present_password(vault: Vault, bmc: Bmc) -> str | None:
    """None when there is none, or none that the present key opens: then entering it again is the cure."""
    if not bmc.password_encrypted:
        return None
    try:
        return vault.decrypt(bmc.password_encrypted)
    except Undecryptable:
        return None


def networks_known(session: Session) -> frozenset[str]:
    """The names of the networks that interfaces may be in."""
    return frozenset(session.scalars(select(Network.name)))
