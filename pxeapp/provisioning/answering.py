"""Handing out an answer file: token, evidence, record of the hash, and the text, in one transaction."""

from __future__ import annotations

import datetime as dt

from pxeapp.answers import render
from pxeapp.machines.models import Machine
from pxeapp.provisioning import evidence, netboot, plan, steps, tokens
from pxeapp.provisioning.netboot import Provisioner
from pxeapp.provisioning.steps import Step


def answer(provisioner: Provisioner, token: str, kind: str, *, address: str, now: dt.datetime) -> str:
    """The answer file that the token's attempt may read; raises NotFound for anything else."""
    with provisioner.database.write() as session:
        deployment_id = tokens.redeem(session, token, tokens.CONFIG, now=now)
        deployment = steps.locked(session, deployment_id)
        if deployment is None or deployment.outcome is not None:
            raise tokens.UnknownToken
        machine = session.get_one(Machine, deployment.machine_id)
        spec = plan.answers_of(session, provisioner.settings, provisioner.vault, machine, deployment)
        text = render.render(kind, spec, provisioner.templates)
        netboot.keep_served(session, deployment, kind=kind, content=text.encode(), now=now)
        evidence.reached(
            session,
            deployment,
            Step.ANSWER_FETCHED,
            now=now,
            source="http",
            message=f"{address} fetched its {kind}.",
            address=address,
            answer=kind,
            claimed_from_here=address == deployment.claimed_address,
        )
    return text
