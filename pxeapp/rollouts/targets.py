"""What a rollout leads to besides its machines: release and role that are installed, clouds and rings that drain.

Everything that can be known before it begins is asked before it begins, with the same checks that would refuse it then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import roles
from pxeapp.clouds import service as cloud_service
from pxeapp.errors import FieldProblem, NotFound, PxeError
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.machines.service import Draft
from pxeapp.nodes.errors import HostKeyUnknown
from pxeapp.nodes.models import Node
from pxeapp.provisioning.carrying import MATTERS, Carrying, carrying
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts.spec import Reinstall, Spec, SwiftDrain
from pxeapp.sentences import few
from pxeapp.software import releases

AT_ONCE = 1000
MOST = 500  # different machines that a release is held against; each is checked again when its turn comes
NAMED = 10


def problems(session: Session, tools: Tools, spec: Spec, numbers: Sequence[int]) -> Iterator[FieldProblem]:
    """Every reason why it could not be reached."""
    yield from _clouds(session, tools, spec)
    if spec.drain.swift is not None:
        yield from _builders(session, spec, spec.drain.swift, numbers)
    if spec.action.reinstall is not None:
        yield from _reinstall(session, tools, spec.action.reinstall, numbers)


def clouds(spec: Spec) -> list[tuple[str, str]]:
    """The clouds that it names, each with its field; nothing stands for one that is left out."""
    named = [("drain.openstack.cloud", spec.drain.openstack.cloud)] if spec.drain.openstack is not None else []
    gates = [(number, gate.openstack.cloud) for number, gate in enumerate(spec.verify.gates) if gate.openstack]
    return [*named, *((f"verify.gates.{number}.openstack.cloud", name) for number, name in gates)]


def _clouds(session: Session, tools: Tools, spec: Spec) -> Iterator[FieldProblem]:
    for where, name in clouds(spec):
        if not name:
            if spec.drain.openstack is None:
                fix = "Name it, or drain by openstack."
                yield FieldProblem(where, "No cloud is named, and the drain has none either.", fix)
            continue
        try:
            cloud_service.access(session, tools.vault, name)
        except PxeError as error:
            yield FieldProblem(where, error.sentence, error.hint or "Name a cloud that the appliance knows.")


def _builders(session: Session, spec: Spec, said: SwiftDrain, numbers: Sequence[int]) -> Iterator[FieldProblem]:
    where = "drain.swift.rings"
    try:
        found = selectors.get(session, said.rings)
    except PxeError as error:
        yield FieldProblem(where, error.sentence, "Name the machine on which swift-ring-builder is used.")
        return
    node = session.get(Node, found.id)
    if node is None or not node.host_keys:
        unknown = HostKeyUnknown(found.name)
        yield FieldProblem(where, unknown.sentence, unknown.hint)
    elif spec.action.reinstall is not None and found.id in numbers:
        problem = f"{found.name} is one of those that are installed anew: the only builder files would be lost."
        yield FieldProblem(where, problem, f"Copy {said.builders}/*.builder to another machine, and name that one.")


def _reinstall(session: Session, tools: Tools, said: Reinstall, numbers: Sequence[int]) -> Iterator[FieldProblem]:
    if said.role:
        try:
            roles.get(session, said.role)
        except NotFound as error:
            yield FieldProblem("action.reinstall.role", error.sentence, error.hint)
            return
    wanted: dict[tuple[str, str, str, str], list[Draft]] = {}
    lacking: dict[str, list[str]] = {"release": [], "role": []}
    for draft, name in _drafts(session, said, numbers):
        if not draft.release or not draft.role:
            lacking["role" if draft.release else "release"].append(name)
            continue
        key = (draft.release, draft.role, draft.cluster or "", json.dumps(draft.vars, sort_keys=True))
        wanted.setdefault(key, []).append(draft)
    for what, names in lacking.items():
        if names:
            problem = f"These have no {what}: {few(names, NAMED)}."
            yield FieldProblem(f"action.reinstall.{what}", problem, f"Say a {what} here.")
    bad = set()
    for release in dict.fromkeys(release for release, *_ in wanted):
        try:
            releases.bootable(session, release)
        except PxeError as error:
            bad.add(release)
            yield FieldProblem("action.reinstall.release", error.sentence, error.hint)
    drafts = [some[0] for (release, *_), some in wanted.items() if release not in bad]
    yield from _uncarried(carrying(session, tools.templates), said, drafts)


def _drafts(session: Session, said: Reinstall, numbers: Sequence[int]) -> Iterator[tuple[Draft, str]]:
    """As each machine would be."""
    for start in range(0, len(numbers), AT_ONCE):
        rows = session.execute(
            select(Machine.name, Machine.mac, Machine.release, Machine.role, Machine.cluster, Machine.vars)
            .where(Machine.id.in_(numbers[start : start + AT_ONCE]))
            .order_by(Machine.name)
        )
        for name, mac, release, role, cluster, own in rows:
            draft = Draft(mac, said.role or role, cluster, own, (), MATTERS, release=said.release or release)
            yield draft, name


def _uncarried(table: Carrying, said: Reinstall, drafts: Sequence[Draft]) -> Iterator[FieldProblem]:
    """The role or variables that a release has no packages for, each once, at the field that leads there."""
    told = set()
    for draft in drafts[:MOST]:
        for found in table.problems(draft):
            problem = f"{found.field}: {found.problem}" if found.field.startswith("vars.") else found.problem
            if problem not in told:
                told.add(problem)
                what = "role" if found.field == "role" and said.role else "release"
                yield FieldProblem(f"action.reinstall.{what}", problem, found.fix)
