"""Handing out an answer file: token, text, evidence and the record of its hash; all committed before it is answered."""

from __future__ import annotations

import datetime as dt
from functools import partial

from sqlalchemy.orm import Session

from pxeapp.answers import render
from pxeapp.answers.own_keys import Own
from pxeapp.answers.spec import AnswerSpec
from pxeapp.commits import Change, Overtaken
from pxeapp.errors import Invalid, NotFound
from pxeapp.machines import sealed
from pxeapp.machines.models import Machine
from pxeapp.nodes import keys
from pxeapp.prepared import Runner, reading
from pxeapp.provisioning import changes, editions, evidence, facts, handout, lifecycle, plan, steps, tokens
from pxeapp.provisioning.handout import Asked
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.netboot import Provisioner
from pxeapp.provisioning.steps import Step
from pxeapp.software import releases as software_releases
from pxeapp.software.repositories import signing
from pxeapp.software.repositories.models import is_published
from pxeapp.software.snapshots import components
from pxeapp.templates import Templates
from pxeapp.templates.versions import recording

TRIES = 5  # the reconciler, or a second request with the same token, may come between reading and committing


def answer(provisioner: Provisioner, token: str, kind: str, *, address: str, now: dt.datetime) -> str:
    """The answer file that the token's attempt may read; raises NotFound for anything else.

    One that cannot be made, most often for a template of the site's own, ends the attempt with the reason: the
    installer would only wait.
    """
    try:
        for _ in range(TRIES - 1):
            try:
                return _answer(provisioner, token, kind, address=address, now=now)
            except Overtaken:
                continue
        return _answer(provisioner, token, kind, address=address, now=now)
    except Invalid as error:
        reason = f"Its {kind} could not be made: {error.in_full}"
        provisioner.commits.write(lambda session: _give_up(session, token, reason, now))
        raise


def _give_up(session: Session, token: str, reason: str, now: dt.datetime) -> None:
    deployment = steps.locked(session, tokens.redeem(session, token, tokens.CONFIG, now=now))
    if deployment is not None and deployment.outcome is None:
        machine = session.get_one(Machine, deployment.machine_id)
        lifecycle.fail(session, machine, deployment, code="answer_not_made", reason=reason, now=now)


def _answer(provisioner: Provisioner, token: str, kind: str, *, address: str, now: dt.datetime) -> str:
    with reading(provisioner.database) as run:
        found = _redeemable(run, token, now)
        spec = _spec(provisioner, run, found) if found.as_of is None else None
    templates = provisioner.templates
    if spec is None:
        spec, templates = _as_of(provisioner, found)
    with recording() as made_from:
        text = render.render(kind, spec, templates)
    kept = provisioner.keeper.keep(
        kind,
        text,
        of=(found.release, found.role),
        made_from=made_from,
        variables=spec.vars,
        secrets=render.secrets(spec),
        now=now,
    )
    provisioner.commits.change(
        changes.token_used(found.token_hash),
        *changes.served(found.id, kept, now=now),
        *_evidence(provisioner, found, kind, address, now),
    )
    kept.base.kept = True
    return text


def _redeemable(run: Runner, token: str, now: dt.datetime) -> Asked:
    wanted = tokens.hashed(token)
    found = handout.asked(run, wanted)
    if found is None:
        raise tokens.UnknownToken
    tokens.refuse_unless(found.token_hash, found.scope, found.expires_at, wanted=wanted, scope=tokens.CONFIG, now=now)
    if found.uses_left == 0 or found.outcome is not None:
        raise tokens.UnknownToken
    return found


def _spec(provisioner: Provisioner, run: Runner, found: Asked) -> AnswerSpec:
    urls = plan.urls_of(provisioner.settings, provisioner.vault, found)
    if found.release_row is None or found.role_row is None:
        raise NotFound(f"There is no release {found.release!r}, or no role {found.role!r}, any more.")
    return facts.compose(
        handout.machine_of(run, found),
        handout.release_of(found.release_row, urls.node),
        handout.role_of(found.role_row),
        handout.networks(run),
        urls,
        handout.cluster_of(found.cluster_row),
        partial(sealed.opened, provisioner.vault),
        partial(keys.public_key, provisioner.vault),
        Own(partial(is_published, run), partial(signing.armoured, provisioner.settings), partial(components.at, run)),
    )


def _as_of(provisioner: Provisioner, found: Asked) -> tuple[AnswerSpec, Templates]:
    """As it was when the rollout began that ordered this attempt; a look at what was edited since costs its time."""
    with provisioner.database.read() as session:
        deployment = session.get_one(Deployment, found.id)
        machine = session.get_one(Machine, found.machine_id)
        tools, known = editions.means(session, provisioner.tools, editions.of(deployment.as_of))
        release = software_releases.get(session, found.release)
        urls = plan.urls_of(tools.settings, tools.vault, deployment)
        return plan.answer_spec(session, tools, machine, release, found.role, urls, known), tools.templates


def _evidence(provisioner: Provisioner, found: Asked, kind: str, address: str, now: dt.datetime) -> tuple[Change, ...]:
    """The step that fetching it proves, if this is news and belongs to the boot that was asked for."""
    if steps.rank(found.step) >= steps.rank(Step.ANSWER_FETCHED) or not _counts(provisioner, found):
        return ()
    entry = steps.entry(
        Step.ANSWER_FETCHED,
        now=now,
        source="http",
        message=f"{address} fetched its {kind}.",
        evidence={
            "address": address, "answer": kind, "claimed_from_here": address == found.claimed_address
        },
    )  # fmt: skip
    return changes.reached(found, entry, now=now)


def _counts(provisioner: Provisioner, found: Asked) -> bool:
    if found.step not in (Step.REQUESTED, Step.ARMED):
        return True
    with provisioner.database.read() as session:  # rare: a machine that needs no loader to get here
        return evidence.counts(session, session.get_one(Deployment, found.id))
