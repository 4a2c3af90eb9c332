"""A rack as a page shows it: machines in every mood, with deployments, events and hashes of what they were given."""

from __future__ import annotations

import datetime as dt
import hashlib

from sqlalchemy.orm import Session

from pxeapp.db import Database
from pxeapp.machines import timeline
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Bmc, Disk, Interface, Machine, Sighting
from pxeapp.provisioning import steps
from pxeapp.provisioning.models import Deployment, Served
from pxeapp.provisioning.steps import Step
from pxeapp.vault import Vault

BMC_PASSWORD = "correct-horse-battery"
STORY: tuple[tuple[Step, float, str, str, dict[str, object]], ...] = (
    (Step.ARMED, 0.2, "reconciler", "Armed: it may netboot for 30 min.", {}),
    (Step.POWER_CYCLED, 9.1, "bmc", "Observed off, boot device network read back, observed on.", {"power_action": 7}),
    (Step.DHCP_SEEN, 14.8, "dhcp", "Asked for an address.", {"address": "10.77.0.21", "arch": "efi-x86-64"}),
    (Step.NBP_FETCHED, 16.0, "tftp", "Fetched snponly.efi.", {"file": "snponly.efi", "bytes": 281600}),
    (Step.KERNEL_FETCHED, 21.5, "http", "Fetched kernel and initrd.", {"files": ["linux", "initrd.gz"]}),
    (Step.ANSWER_FETCHED, 48.3, "http", "Fetched its preseed.", {"file": "preseed"}),
    (Step.INSTALLING, 52.0, "callback", "The installer started.", {}),
    (Step.INSTALLED, 412.4, "callback", "The installer finished and rebooted.", {}),
    (Step.FIRST_BOOT, 455.9, "callback", "Called in from its own disk.", {"hostname": "node", "kernel": "6.12.48"}),
    (Step.VERIFIED, 456.4, "reconciler", "Role, release and disk are what was asked for.", {}),
)  # fmt: skip
GIVEN = {Step.NBP_FETCHED: "ipxe", Step.ANSWER_FETCHED: "preseed"}


def fill(database: Database, vault: Vault, *, now: dt.datetime) -> None:
    """Put the rack into an empty database."""
    with database.write() as session:
        for number in range(1, 4):
            done = add(session, vault, f"compute-{number:02}", number, State.ACTIVE, "on", "compute", now=now)
            tell(session, done, until=Step.VERIFIED, began=now - dt.timedelta(hours=number, minutes=12))
        running = add(session, vault, "compute-04", 4, State.DEPLOYING, "on", "compute", now=now)
        attempt = tell(session, running, until=Step.INSTALLING, began=now - dt.timedelta(minutes=4, seconds=7))
        attempt.progress = "Installing packages: 212 of 438 (linux-image-amd64)"
        early = add(session, vault, "storage-01", 5, State.DEPLOYING, "on", "storage", now=now)
        tell(session, early, until=Step.DHCP_SEEN, began=now - dt.timedelta(seconds=31))
        failed = add(session, vault, "storage-02", 6, State.DEPLOY_FAILED, "on", "storage", now=now)
        lost = tell(session, failed, until=Step.DHCP_SEEN, began=now - dt.timedelta(minutes=9))
        lost.outcome, lost.reason_code = "failed", "no_loader"
        lost.finished_at = now - dt.timedelta(minutes=3, seconds=40)
        lost.reason = failed.fault = "DHCP was seen 5 min ago, but it fetched no boot loader."
        silent = add(session, vault, "storage-03", 7, State.DEPLOY_FAILED, "unknown", "storage", now=now)
        dead = tell(session, silent, until=Step.ARMED, began=now - dt.timedelta(minutes=31))
        dead.outcome, dead.reason_code = "failed", "bmc_unreachable"
        dead.finished_at = now - dt.timedelta(minutes=29)
        dead.reason = silent.fault = "No answer from 10.0.9.7:623 after 60 s."
        waiting = add(session, vault, "spare-01", 8, State.AVAILABLE, "off", None, now=now)
        waiting.labels = {"rack": "r2", "row": "b"}
        kept = add(session, vault, "spare-02", 9, State.AVAILABLE, "off", None, now=now)
        kept.maintenance, kept.maintenance_reason = True, "Waits for a new power supply."
        add(session, vault, "new-01", 10, State.ENROLLED, "unknown", None, now=now)
        stranger = {"address": "10.77.0.190", "arch": "efi-x86-64", "manufacturer": "Example", "product": "R1"}
        seen = now - dt.timedelta(seconds=40)
        session.add(Sighting(mac="52:54:00:aa:00:01", first_seen=seen, last_seen=seen, loader_requests=1, **stranger))


def add(
    session: Session,
    vault: Vault,
    name: str,
    number: int,
    state: State,
    power: str,
    role: str | None,
    *,
    now: dt.datetime,
) -> Machine:
    """One machine with its BMC, card and disk."""
    mac = f"52:54:00:00:01:{number:02x}"
    machine = Machine(
        name=name,
        mac=mac,
        serial=f"SN{number:05}",
        state=state,
        power=power,
        power_seen_at=now - dt.timedelta(seconds=12),
        role=role,
        release="debian-13" if role else None,
        location={"rack": "r1", "unit": number},
        created_at=now - dt.timedelta(days=2),
        updated_at=now - dt.timedelta(minutes=number),
        interfaces=[Interface(mac=mac, name="eno1", address=f"10.77.0.{20 + number}")],
        disks=[Disk(path="disk/by-path/pci-0000:00:1f.2-ata-1", purpose="system")],
    )
    machine.bmc = Bmc(
        type="ipmi",
        address=f"10.0.9.{number}",
        port=623,
        username="admin",
        password_encrypted=vault.encrypt(BMC_PASSWORD),
        cipher_suite=17,
    )
    session.add(machine)
    session.flush()
    return machine


def tell(session: Session, machine: Machine, *, until: Step, began: dt.datetime) -> Deployment:
    """An attempt that went as far as `until`, with its events and what it was given."""
    deployment = Deployment(
        machine_id=machine.id,
        attempt=1,
        release=machine.release or "debian-13",
        role=machine.role or "base",
        requested_by="user:admin",
        requested_at=began,
        step=Step.REQUESTED,
        step_since=began,
        step_deadline=began + dt.timedelta(minutes=2),
        deadline=began + steps.WHOLE_ATTEMPT,
        due_at=began,
    )
    session.add(deployment)
    session.flush()
    asked = f"Deployment of {deployment.release} as {deployment.role} was asked for."
    timeline.note(
        session,
        machine_id=machine.id,
        deployment_id=deployment.id,
        at=began,
        source="operator",
        kind="deploy",
        message=asked,
    )
    for step, after_s, source, message, evidence in STORY:
        if steps.rank(step) > steps.rank(until):
            break
        at = began + dt.timedelta(seconds=after_s)
        steps.advance(session, deployment, step, now=at, source=source, message=message, **evidence)
        if kind := GIVEN.get(step):
            digest = hashlib.sha256(f"{kind} of {machine.name}".encode()).hexdigest()
            session.add(Served(deployment_id=deployment.id, at=at, kind=kind, sha256=digest, size=4321))
    if until == Step.VERIFIED:
        deployment.outcome, deployment.finished_at = "succeeded", deployment.step_since
    return deployment
