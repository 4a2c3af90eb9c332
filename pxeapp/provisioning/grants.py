"""The netboot grant: a one-shot, expiring right of one machine to be given its installer.

    disarmed --arm--> armed --first claim--> claimed --installed, failed, aborted--> disarmed

The first claim binds MAC, source address and attempt. A second claimant from another address is
either a forger or a broken network; both need an operator, so the attempt is frozen and ended.
Once the installer has started, its machine gets no second installer: a reinstall loop is impossible.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from pxeapp.provisioning import steps, tokens
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.steps import Step
from pxeapp.vault import Vault

ARMED = "armed"
CLAIMED = "claimed"
DISARMED = "disarmed"
ARMED_FOR = dt.timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a machine is told to boot from its own disk; `code` is for the timeline and explain."""

    code: str
    sentence: str


def arm(session: Session, vault: Vault, deployment: Deployment, *, now: dt.datetime) -> None:
    """Open the grant for half an hour and make the attempt's tokens valid."""
    deployment.grant = ARMED
    deployment.armed_until = now + ARMED_FOR
    deployment.claimed_address = None
    deployment.claimed_at = None
    tokens.issue(session, vault, deployment, now=now)


def disarm(session: Session, deployment: Deployment) -> None:
    """Close the grant; whatever the machine asks for next, it boots from its own disk."""
    deployment.grant = DISARMED
    tokens.retire_config(session, deployment)


def claim(session: Session, deployment: Deployment, *, address: str, now: dt.datetime) -> Refusal | None:
    """Let the machine at `address` have its installer, or say why not. The caller holds the row."""
    refusal = _refusal(deployment, address, now)
    if refusal is None:
        if deployment.grant == ARMED:
            deployment.grant = CLAIMED
            deployment.claimed_address = address
            deployment.claimed_at = now
            steps.note(
                session,
                deployment,
                now=now,
                source="http",
                kind="claimed",
                message=f"{address} claimed the installer of attempt {deployment.attempt}.",
                address=address,
            )
        return None
    if refusal.code == "second_claimant":
        deployment.frozen = True
        deployment.due_at = now
        disarm(session, deployment)
    return refusal


def _refusal(deployment: Deployment, address: str, now: dt.datetime) -> Refusal | None:
    if deployment.outcome is not None or deployment.grant == DISARMED:
        return Refusal("not_armed", "No installation is armed for it.")
    if deployment.frozen:
        return Refusal("frozen", "Its deployment is frozen.")
    if steps.rank(deployment.step) >= steps.rank(Step.INSTALLING):
        return Refusal("loader_again", "It asked for a boot loader again after its installer had started.")
    if deployment.grant == CLAIMED and deployment.claimed_address != address:
        return Refusal(
            "second_claimant",
            f"{address} asked for the installer that {deployment.claimed_address} had already claimed.",
        )
    if deployment.armed_until is not None and now >= deployment.armed_until:
        return Refusal("expired", "The grant to netboot it ran out after 30 minutes.")
    return None
