"""Handing out an answer file: token, evidence, record of the hash, and the text, in one transaction."""

from __future__ import annotations

import datetime as dt

from pxeapp.answers import render
from pxeapp.errors import Invalid
from pxeapp.machines.models import Machine
from pxeapp.provisioning import evidence, lifecycle, netboot, plan, steps, tokens
from pxeapp.provisioning.netboot import Provisioner
from pxeapp.provisioning.steps import Step


def answer(provisioner: Provisioner, token: str, kind: str, *, address: str, now: dt.datetime) -> str:
    """The answer file that the token's attempt may read; raises NotFound for anything else.

    One that cannot be made, most often for a template of the site's own, ends the attempt with the reason: the
    installer would only wait.
    """
    try:
        return _answer(provisioner, token, kind, address=address, now=now)
    except Invalid as error:
        _give_up(provisioner, token, kind, error, now)
        raise


def _give_up(provisioner: Provisioner, token: str, kind: str, error: Invalid, now: dt.datetime) -> None:
    with provisioner.database.write() as session:
        deployment = steps.locked(session, tokens.redeem(session, token, tokens.CONFIG, now=now))
        if deployment is not None and deployment.outcome is None:
            machine = session.get_one(Machine, deployment.machine_id)
            reason = f"Its {kind} could not be made: {error.in_full}"
            lifecycle.fail(session, machine, deployment, code="answer_not_made", reason=reason, now=now)


def _answer(provisioner: Provisioner, token: str, kind: str, *, address: str, now: dt.datetime) -> str:
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
