"""The one decision behind every boot script: its installer if it may have it now, else its own disk.

iPXE over HTTP, GRUB and PXELINUX over TFTP all ask here, so that they cannot differ.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from sqlalchemy.orm import Session

from pxeapp.appliance import observing
from pxeapp.boot.spec import Boot, InstallBoot, LocalBoot
from pxeapp.commits import GroupCommit
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Invalid, PxeError
from pxeapp.machines import sightings, timeline
from pxeapp.machines.models import Machine
from pxeapp.provisioning import changes, editions, evidence, grants, lifecycle, plan, steps
from pxeapp.provisioning.keeping import Keeper
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from pxeapp.templates import Templates
from pxeapp.templates.versions import Version, recording
from pxeapp.vault import Vault

# The same words for a stranger, for a machine at rest and for one that was refused: the reply tells a guesser nothing.
FROM_DISK = LocalBoot("Nothing is to be installed on this machine now.")
# Said aloud at the 1st, 3rd, 10th, 30th ... request: a machine in a loop asks every minute, all night.
SAY_AT = frozenset({1, 3, 10, 30, 100, 300, 1000})


@dataclass(frozen=True, slots=True)
class Provisioner:
    """What the machine-facing processes need; made once per process."""

    settings: Settings
    database: Database
    vault: Vault
    templates: Templates
    commits: GroupCommit
    keeper: Keeper

    @property
    def tools(self) -> plan.Tools:
        """What composing needs of it."""
        return plan.Tools(self.settings, self.vault, self.templates)


class Given(NamedTuple):
    """What a machine boots, and in which attempt it was given that; None: there is none running."""

    boot: Boot
    deployment_id: int | None


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a boot script, as far as it says so itself. Only `address` is not the asker's own claim."""

    mac: str
    address: str
    loader: str  # iPXE, GRUB, PXELINUX
    arch: str | None = None
    serial: str | None = None
    uuid: str | None = None
    manufacturer: str | None = None
    product: str | None = None


def script(
    provisioner: Provisioner, asking: Asking, kind: str, render: Callable[[Boot], str], *, now: dt.datetime
) -> str:
    """What this machine boots now, as a loader's script; its bytes are recorded in the running attempt.

    A script that cannot be made, most often for a template of the site's own, ends the attempt with the reason, and the
    machine boots from its disk. It is rendered between two commits: nobody waits for a template with the lock held.
    """
    given = provisioner.commits.write(lambda session: _decide(session, provisioner, asking, now))
    with recording() as made_from:
        try:
            text = render(given.boot)
        except Invalid as error:
            if given.boot is FROM_DISK:
                raise
            reason = f"Its boot script could not be made: {error.in_full}"
            provisioner.commits.write(lambda session: _give_up(session, asking.mac, reason, now))
            given = Given(FROM_DISK, given.deployment_id)
            text = render(FROM_DISK)
    if given.deployment_id is not None:
        _keep(provisioner, given, kind, text, made_from, now)
    return text


def _keep(
    provisioner: Provisioner,
    given: Given,
    kind: str,
    text: str,
    made_from: Mapping[str, Version],
    now: dt.datetime,
) -> None:
    release = given.boot.release if isinstance(given.boot, InstallBoot) else ""
    kept = provisioner.keeper.keep(
        kind, text, of=(release, ""), made_from=made_from, variables=asdict(given.boot), now=now
    )
    provisioner.commits.change(*changes.served(given.deployment_id or 0, kept, now=now))
    kept.base.kept = True


def _decide(session: Session, provisioner: Provisioner, asking: Asking, now: dt.datetime) -> Given:
    """Records the sighting, the claim and the evidence in one commit."""
    machine = _sight(session, asking, now)
    if machine is None:
        return Given(FROM_DISK, None)
    deployment = evidence.running_of(session, machine)
    if deployment is None:
        _count_loader_request(session, machine, asking, None, now)
        return Given(FROM_DISK, None)
    held = observing.present(session)
    if held is not None:
        refusal: grants.Refusal | None = grants.Refusal("observing", held.sentence)
    else:
        refusal = grants.claim(session, deployment, address=asking.address, now=now)
    if refusal is not None:
        _refused(session, machine, deployment, asking, refusal, now)
        return Given(FROM_DISK, deployment.id)
    evidence.reached(
        session,
        deployment,
        Step.NBP_FETCHED,
        now=now,
        source="http" if asking.loader == "iPXE" else "tftp",
        message=f"{asking.loader} at {asking.address} asked for its boot script.",
        address=asking.address,
        arch=asking.arch,
    )
    try:
        tools, known = editions.means(session, provisioner.tools, editions.of(deployment.as_of))
        boot = plan.install_boot(session, tools, machine, deployment, known)
    except PxeError as error:
        # Its release or a value was changed since the order: asking again would not help, and nobody would know.
        reason = f"Its boot script could not be made: {error.in_full}"
        lifecycle.fail(session, machine, deployment, code="boot_not_made", reason=reason, now=now)
        return Given(FROM_DISK, None)
    return Given(boot, deployment.id)


def _give_up(session: Session, mac: str, reason: str, now: dt.datetime) -> None:
    machine = evidence.machine_by_mac(session, mac)
    deployment = evidence.running_of(session, machine) if machine else None
    if machine is not None and deployment is not None:
        lifecycle.fail(session, machine, deployment, code="boot_not_made", reason=reason, now=now)


def record_sighting(provisioner: Provisioner, asking: Asking, *, now: dt.datetime) -> None:
    """Only note who was seen: for a script that reports its machine's identity."""
    provisioner.commits.write(lambda session: _seen(session, asking, now))


def _seen(session: Session, asking: Asking, now: dt.datetime) -> None:
    _sight(session, asking, now)


def _sight(session: Session, asking: Asking, now: dt.datetime) -> Machine | None:
    machine = evidence.machine_by_mac(session, asking.mac)
    sightings.record(
        session,
        mac=asking.mac,
        machine_id=machine.id if machine else None,
        address=asking.address,
        arch=asking.arch,
        serial=asking.serial,
        uuid=asking.uuid,
        manufacturer=asking.manufacturer,
        product=asking.product,
        now=now,
    )
    return machine


def _refused(
    session: Session,
    machine: Machine,
    deployment: Deployment,
    asking: Asking,
    refusal: grants.Refusal,
    now: dt.datetime,
) -> None:
    if refusal.code == "loader_again" and steps.rank(deployment.step) >= steps.rank(Step.INSTALLED):
        # After the installation this is the ordinary reboot of a machine that has the network first.
        _count_loader_request(session, machine, asking, deployment, now)
        return
    steps.note(
        session,
        deployment,
        now=now,
        source="http",
        kind=refusal.code,
        message=f"{refusal.sentence} It was told to boot from its own disk.",
        address=asking.address,
    )


def _count_loader_request(
    session: Session, machine: Machine, asking: Asking, deployment: Deployment | None, now: dt.datetime
) -> None:
    count = sightings.count_loader_request(session, mac=asking.mac)
    if count not in SAY_AT:
        return
    loop = " It keeps doing so: its disk may not boot." if count >= 3 else ""
    timeline.note(
        session,
        machine_id=machine.id,
        deployment_id=deployment.id if deployment else None,
        at=now,
        source="http",
        kind="loader_request",
        message=f"{asking.loader} at {asking.address} asked for a boot script (time {count}) and boots its disk.{loop}",
        address=asking.address,
        count=count,
    )
