"""Checks of the work itself, from rows: is anything overdue, are the BMCs being looked at, are the releases whole."""

from __future__ import annotations

import datetime as dt
import socket

from sqlalchemy import ColumnElement, exists, func, or_, select

from pxeapp.appliance import observing as held
from pxeapp.bmc.models import PowerAction
from pxeapp.doctor import places
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.doctor.places import Problem
from pxeapp.machines.models import Bmc, Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.sentences import few
from pxeapp.software import media, releases

OVERDUE = dt.timedelta(seconds=60)  # the ticker comes every five seconds, the BMC worker every second
UNSEEN = dt.timedelta(minutes=5)  # each BMC is asked once a minute; ten thousand of them may take longer
MOST_NAMED = 5


def observing(patient: Patient) -> Finding:
    """Whether the appliance does its work, or was told (or restored) to only observe."""
    with patient.database.read() as session:
        present = held.present(session)
    return warn(present.sentence, held.GO_ON) if present else ok("It does its work; nothing holds it back.")


def worker(patient: Patient) -> Finding:
    """No deployment waits for a worker that does not come."""
    late = patient.now - OVERDUE
    waiting = (
        Deployment.outcome.is_(None),
        Deployment.due_at < late,
        or_(Deployment.lease_until.is_(None), Deployment.lease_until < late),
    )
    with patient.database.read() as session:
        overdue = session.scalar(select(func.count()).select_from(Deployment).where(*waiting)) or 0
        running = session.scalar(select(func.count()).where(Deployment.outcome.is_(None))) or 0
    if overdue:
        return fail(
            f"{overdue} of {running} running deployments have waited for the worker for more than a minute.",
            "Start pxeapp worker (pxeapp serve does), and read what it says.",
        )
    return ok(f"No deployment is overdue ({running} running).")


def bmc_worker(patient: Patient) -> Finding:
    """No power action waits, and the BMCs' power is being looked at: that is the worker's sign of life."""
    late = patient.now - OVERDUE
    waiting = (
        PowerAction.finished_at.is_(None),
        PowerAction.due_at < late,
        or_(PowerAction.lease_until.is_(None), PowerAction.lease_until < late),
    )
    unseen = _unseen(patient.now)
    with patient.database.read() as session:
        overdue = session.scalar(select(func.count()).select_from(PowerAction).where(*waiting)) or 0
        stale = session.scalar(select(func.count()).select_from(Machine).where(*unseen)) or 0
        managed = session.scalar(select(func.count()).select_from(Bmc)) or 0
    start = "Start pxeapp bmc-worker (pxeapp serve does), and read what it says."
    if overdue:
        return fail(f"{overdue} power actions have waited for more than a minute.", start)
    if stale and stale == managed:
        return fail(f"None of the {managed} BMCs was asked for its power within the last five minutes.", start)
    if stale:
        return warn(
            f"{stale} of {managed} BMCs were not asked for their power within the last five minutes.",
            "The BMC worker is behind: give it more with pxeapp bmc-worker --processes.",
        )
    return ok(f"No power action is overdue, and {managed} BMCs are being looked at.")


def bmc_addresses(patient: Patient) -> Finding:
    """Each BMC's address is one that we may talk to and have a route to; nothing is sent to any BMC."""
    found = [each for each in places.of_bmcs(patient) if each.problem is not Problem.SIMULATED]

    def ill(problem: Problem) -> list[str]:
        return [each.machine for each in found if each.problem is problem]

    unrouted = [each.machine for each in found if not each.problem and not _has_route(each.address[0])]
    troubles = []
    if outside := ill(Problem.OUTSIDE):
        troubles.append(fail(
            f"The BMCs of {named(outside)} are outside PXEAPP_BMC_NETWORKS, so nothing is ever sent to them.",
            "Add their network to PXEAPP_BMC_NETWORKS if it belongs there, or correct the address.",
        ))  # fmt: skip
    if lost := ill(Problem.UNRESOLVED):
        troubles.append(fail(
            f"The names of the BMCs of {named(lost)} do not resolve, so nothing reaches them.",
            "Correct the names, or this host's name service (/etc/resolv.conf).",
        ))  # fmt: skip
    if unrouted:
        troubles.append(fail(
            f"This host has no route to the BMCs of {named(unrouted)}.",
            "Add the route, or run pxeapp bmc-worker on a host in the management network.",
        ))  # fmt: skip
    if late := ill(Problem.UNANSWERED):
        troubles.append(warn(
            f"Where the BMCs of {named(late)} are, no name server said within {places.NAMES_WITHIN_S:g} s.",
            "See whether the name servers in /etc/resolv.conf answer.",
        ))  # fmt: skip
    if not troubles:
        return ok(f"{len(found)} BMC addresses are allowed and have a route; none was contacted.")
    return Finding(
        troubles[0].status,  # failures stand first
        " ".join(each.sentence for each in troubles),
        " ".join(each.attempt for each in troubles),
    )


def release_files(patient: Patient) -> Finding:
    """Each release's files are there with the right hash; nothing is marked, unlike `pxeapp release verify`."""
    with patient.database.read() as session:
        rows = releases.listing(session, limit=10_000)
    if not rows:
        return warn("There is no release yet.", "Add one: pxeapp release add-debian 13")
    troubles = []
    for row in rows:
        problem = media.problem(patient.settings, row) or ("" if row.ready else row.problem or "It is not ready.")
        if problem:
            troubles.append(f"{row.name}: {problem}")
    if troubles:
        return fail(" ".join(troubles[:MOST_NAMED]), "Add it again, then run: pxeapp release verify")
    return ok(f"Every file of every release ({len(rows)}) is there with the right hash.")


def _unseen(now: dt.datetime) -> tuple[ColumnElement[bool], ...]:
    has_bmc = exists().where(Bmc.machine_id == Machine.id)
    busy = exists().where(PowerAction.machine_id == Machine.id, PowerAction.finished_at.is_(None))
    seen = Machine.power_seen_at
    return (has_bmc, ~busy, or_(seen.is_(None), seen < now - UNSEEN), Machine.created_at < now - UNSEEN)


def _has_route(address: str) -> bool:
    """Ask the kernel: connecting a UDP socket looks up the route and sends nothing."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 623))
        except OSError:
            return False
    return True


def named(names: list[str]) -> str:
    """The first of them, and how many more there are."""
    return few(names, MOST_NAMED)
