"""Who is pinned to which snapshot: refused where it lacks what they read, kept while they are, recorded when used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from pxeapp.answers.models import Role
from pxeapp.answers.spec import AnswerSpec
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.models import Cluster, Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.repository_readers import REPOSITORIES, urls_in
from pxeapp.software.models import Release
from pxeapp.software.snapshots import holding, pins, uses
from pxeapp.software.snapshots.models import SnapshotUse
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.snapshots.service import Holder

Held = tuple[Holder, set[str]]  # who, and the repositories that they read from it


def refuse_variable(session: Session, said: Mapping[str, Any], sentence: str) -> None:
    """Raises Invalid where the variables pin what is not there, or lacks a repository that they name themselves."""
    holding.refuse(session, said.get(pins.KEY), urls_in(said), field=f"vars.{pins.KEY}", sentence=sentence)


def refuse(session: Session, spec: AnswerSpec, node_url: str) -> None:
    """Raises Invalid where this machine would be sent to a snapshot that lacks what it reads."""
    urls = [spec.release.install_url, spec.release.archive, *(each.url for each in spec.release.repositories)]
    urls += [each.url for each in spec.site.repositories]
    problems = holding.problems(session, urls, node_url)
    pin = pins.parse(spec.release.snapshot)
    if not problems and pin is not None:  # nothing of ours is read, and it is to be kept which one was meant
        problems = [FieldProblem(pins.KEY, *each) for each in holding.lacking(session, pin, ())]
    if problems:
        raise Invalid(f"{spec.hostname} cannot be deployed: {problems[0].problem}", problems=problems)


def record(session: Session, deployment: Deployment, machine: Machine, said: str, *, now: dt.datetime) -> None:
    """Keep which snapshot, by digest, a deployment is given."""
    pin = pins.parse(said)
    if pin is not None:
        uses.record(session, subject(deployment.id), pin, machine=machine.name, now=now)


def subject(deployment: int) -> str:
    """How a deployment is called in the record."""
    return f"deployment:{deployment}"


def holders(session: Session) -> Iterator[Held]:
    """Everybody who is pinned to a snapshot or a channel: by name, or by an address that leads there."""
    for name, settings, install_url, repositories in session.execute(
        select(Release.name, Release.settings, Release.install_url, Release.repositories)
    ):
        urls = [install_url, str(settings.get("archive", "")), *urls_in({REPOSITORIES: repositories})]
        yield from _held("release", name, settings.get(pins.KEY), urls)
    for kind, model in (("role", Role), ("cluster", Cluster), ("machine", Machine)):
        # Of ten thousand machines next to none says either.
        text = cast(model.vars, Text)
        found = select(model.name, model.vars).where(text.contains(f'"{pins.KEY}"') | text.contains("/repo/"))
        for name, said in session.execute(found):
            yield from _held(kind, name, said.get(pins.KEY), urls_in(said))
    running = select(Deployment.id, SnapshotUse).join(
        SnapshotUse, SnapshotUse.subject == "deployment:" + cast(Deployment.id, Text)
    )
    for number, used in session.execute(running.where(Deployment.outcome.is_(None))):
        name = f"{number} of {used.machine}"
        yield Holder("deployment", name, Pin(used.snapshot)), set()
        if used.pin != used.snapshot:  # its installer reads what the channel leads to, as long as it is there
            yield from _held("deployment", name, used.pin, ())


def read_by(session: Session, releases: Iterable[str], roles: Iterable[str]) -> set[str]:
    """The repositories of ours that machines of these releases and roles read."""
    urls: list[str] = []
    found = select(Release.install_url, Release.repositories).where(Release.name.in_(set(releases)))
    for install_url, repositories in session.execute(found):
        urls += [install_url, *urls_in({REPOSITORIES: repositories})]
    for (said,) in session.execute(select(Role.vars).where(Role.name.in_(set(roles)))):
        urls += urls_in(said)
    return pins.repositories(urls, holding.NODE_URL)


def _held(kind: str, name: str, said: object, urls: Iterable[str]) -> Iterator[Held]:
    urls = list(urls)
    try:
        pin = pins.parse(said)
    except Invalid:  # from before it was checked; it holds nothing
        pin = None
    if pin is not None:
        yield Holder(kind, name, pin), pins.repositories(urls, holding.NODE_URL)
    for other, repository in pins.asked(urls, holding.NODE_URL):
        yield Holder(kind, name, other), {repository}
