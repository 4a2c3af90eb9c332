"""What a change would do to every machine that it touches, before it is saved: grouped by identical difference.

Both specifications of each machine are composed, as it is and as it would be; only files that can differ are rendered.
Two machines have the same difference when the same lines go and come, their own names and addresses aside.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import render
from pxeapp.answers.spec import AnswerSpec
from pxeapp.boot.spec import InstallBoot
from pxeapp.config import Settings
from pxeapp.errors import PxeError
from pxeapp.machines.models import Cluster, Machine
from pxeapp.machines.service import Site
from pxeapp.provisioning import differences, makers, plan, proposals
from pxeapp.provisioning.makers import Maker
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.placeholders import Own, own_values
from pxeapp.provisioning.proposals import Means, Proposal, Selection
from pxeapp.provisioning.veil import Veil
from pxeapp.software import releases as software_releases
from pxeapp.software.models import Release
from pxeapp.templates import Templates
from pxeapp.templates.versions import recording
from pxeapp.vault import Vault

DATA = (".yaml", ".ini")  # below roles/: read, not rendered
AT_ONCE = 2  # renderings in confined processes: as many of them are kept warm, see templates/pool.py


@dataclass(frozen=True, slots=True)
class Standing:
    """A machine on one side of the comparison. Without a specification, `problem` says why."""

    release: str | None
    role: str | None
    spec: AnswerSpec | None = None
    boot: InstallBoot | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file of a machine, before and after, masked."""

    kind: str
    before: str
    after: str

    def unified(self, machine: str) -> str:
        """The unified difference, with the kind of file and the machine in its headlines."""
        return differences.unified(
            self.before, self.after, old=f"{self.kind} of {machine}, now", new=f"{self.kind} of {machine}, then"
        )


@dataclass(slots=True)
class Group:
    """Machines with the same difference, shown on the first of them."""

    files: Sequence[FileDiff]
    machines: list[str] = field(default_factory=list)

    def to_dict(self, limit: int) -> dict[str, Any]:
        """As the API shows it."""
        example = self.machines[0]
        return {
            **_some(self.machines, limit),
            "example": example,
            "files": [{"kind": each.kind, "diff": each.unified(example)} for each in self.files],
        }


@dataclass(slots=True)
class Failure:
    """Machines that could not be given a file, all for the same reason. `already`: nor can they be given it now."""

    reason: str
    already: bool
    machines: list[str] = field(default_factory=list)

    def to_dict(self, limit: int) -> dict[str, Any]:
        """As the API shows it."""
        return {"reason": self.reason, "already": self.already, **_some(self.machines, limit)}


@dataclass(slots=True)
class Comparison:
    """Every machine that was looked at is counted once: in a group, a failure, `mended`, or as one that stays."""

    looked_at: int = 0
    unchanged: int = 0
    without: int = 0  # release or role: there is nothing that they would be given
    groups: list[Group] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)  # that cannot be rendered now, and could then
    notes: list[str] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether saving it would change anything for any machine."""
        return bool(self.groups or self.mended or any(not each.already for each in self.failures))

    def to_dict(self, limit: int) -> dict[str, Any]:
        """As the API shows it, with at most so many machines' names in each group."""
        return {
            "differs": self.differs,
            "looked_at": self.looked_at,
            "changed": sum(len(group.machines) for group in self.groups),
            "unchanged": self.unchanged,
            "without_release_or_role": self.without,
            "groups": [group.to_dict(limit) for group in self.groups],
            "failures": [failure.to_dict(limit) for failure in self.failures],
            "mended": _some(self.mended, limit),
            "notes": self.notes,
        }


def _some(names: Sequence[str], limit: int) -> dict[str, Any]:
    return {"count": len(names), "machines": list(names[:limit]), "more": max(0, len(names) - limit)}


@dataclass(frozen=True, slots=True)
class Look:
    """What is needed to look at machines twice."""

    settings: Settings
    vault: Vault
    templates: Templates
    site: Site


def compare(session: Session, look: Look, proposal: Proposal, selection: Selection, *, now: dt.datetime) -> Comparison:
    """The difference that the proposal would make; raises Invalid for one that could not be saved."""
    proposal.refuse_nothing()
    then_templates = look.templates.proposing(proposal.templates)
    for name, text in proposal.templates.items():
        if text is not None and not name.endswith(DATA):
            then_templates.check(name)
    with proposals.never_written(session):
        machines = selection.machines(session)
        running = _running(session)
        names = [machine.name for machine in machines]
        own = [own_values(machine) for machine in machines]
        before = _standings(session, look, machines, running, {})
        means = Means(look.vault, then_templates, look.site)
        clusters = proposals.put(session, means, proposal, machines, now=now)
        moved = proposal.to_release is not None or proposal.to_role is not None
        own = [[*was, *own_values(machine)] for was, machine in zip(own, machines, strict=True)]
        after = _standings(session, look, machines, {} if moved else running, clusters)
    return _Comparing(look, then_templates, proposal).all(list(zip(names, own, before, after, strict=True)))


def _running(session: Session) -> dict[int, tuple[str, str]]:
    found = session.execute(
        select(Deployment.machine_id, Deployment.release, Deployment.role).where(Deployment.outcome.is_(None))
    )
    return {machine: (release, role) for machine, release, role in found}


def _standings(
    session: Session,
    look: Look,
    machines: Sequence[Machine],
    running: Mapping[int, tuple[str, str]],
    clusters: Mapping[str, Cluster],
) -> list[Standing]:
    known = plan.Known(session, look.settings, clusters)
    rows: dict[str, Release] = {}
    found = []
    for machine in machines:
        release, role = running.get(machine.id, (machine.release, machine.role))
        if release is None or role is None:
            found.append(Standing(release, role))
            continue
        try:
            if release not in rows:
                rows[release] = software_releases.get(session, release)
            urls = plan.unissued(look.settings)
            spec = plan.answer_spec(session, look.settings, machine, rows[release], role, urls, known)
            found.append(Standing(release, role, spec, plan.boot_of(machine, rows[release], spec)))
        except PxeError as error:
            found.append(Standing(release, role, problem=error.in_full))
    return found


Pair = tuple[str, list[tuple[str, str]], Standing, Standing]  # a machine's name, its own values, before, after


@dataclass(frozen=True, slots=True)
class _Found:
    """Of one machine: its files that differ, or why it cannot be given them."""

    files: tuple[FileDiff, ...] = ()
    key: tuple[Any, ...] = ()
    problem: str = ""
    problem_before: str = ""
    touched: bool = False  # by a proposed template
    nothing: bool = False  # it has no release or role on either side


class _Comparing:
    def __init__(self, look: Look, then: Templates, proposal: Proposal) -> None:
        self._look = look
        self._then = then
        self._proposed = frozenset(proposal.templates)
        # One that is new may be chosen where another was; which files that concerns is seen by rendering them.
        self._new = any(look.templates.find(name) is None for name in self._proposed)
        self._veil = Veil()

    def all(self, pairs: Sequence[Pair]) -> Comparison:
        done = Comparison(looked_at=len(pairs))
        groups: dict[tuple[Any, ...], Group] = {}
        failures: dict[tuple[str, bool], Failure] = {}
        touched = False
        for (name, own, _, _), found in zip(pairs, self._each(pairs), strict=True):
            touched |= found.touched
            if found.nothing:
                done.without += 1
            elif found.problem:
                already = bool(found.problem_before)
                reason = Own(own).out_of(found.problem)
                failures.setdefault((reason, already), Failure(found.problem, already)).machines.append(name)
            elif found.problem_before:
                done.mended.append(name)
            elif found.files:
                groups.setdefault(found.key, Group(found.files)).machines.append(name)
            else:
                done.unchanged += 1
        done.groups = sorted(groups.values(), key=lambda group: -len(group.machines))
        done.failures = sorted(failures.values(), key=lambda failure: (failure.already, -len(failure.machines)))
        done.notes = list(self._notes(pairs, touched=touched))
        return done

    def _notes(self, pairs: Sequence[Pair], *, touched: bool) -> Iterator[str]:
        if not pairs:
            yield "No machine is selected."
        elif self._proposed and not touched:
            names = " or ".join(sorted(self._proposed))
            yield f"No machine that was looked at is given a file made from {names}: check the name."

    def _each(self, pairs: Sequence[Pair]) -> Iterator[_Found]:
        if not self._proposed and not self._look.templates.of_the_site():
            yield from map(self._one, pairs)
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:  # they wait for renderers
            yield from pool.map(self._one, pairs)

    def _one(self, pair: Pair) -> _Found:
        _, own, before, after = pair
        if before.spec is None and after.spec is None and not before.problem and not after.problem:
            return _Found(nothing=True)
        problem_before, problem = before.problem, after.problem
        files, touched = [], False
        if not problem:
            now, then = self._makers(before, self._look.templates), self._makers(after, self._then)
            for kind in dict.fromkeys([*now, *then]):
                try:
                    file, seen = self._file(kind, now.get(kind), then.get(kind))
                    touched |= seen
                    files += [file] if file is not None else []
                except _CannotNow as error:
                    problem_before = str(error)
                    touched = True
                    problem = self._why_not(kind, then.get(kind))
                except PxeError as error:
                    touched = True
                    problem = f"{kind}: {error.in_full}"
                    problem_before = problem_before or self._why_not(kind, now.get(kind))
                if problem:
                    break
        if problem or problem_before:
            return _Found(problem=problem, problem_before=problem_before, touched=touched)
        mine = Own(own)
        key = tuple(
            (file.kind, *map(mine.out_of, differences.changed_lines(file.before, file.after))) for file in files
        )
        return _Found(tuple(files), key, touched=touched)

    def _makers(self, standing: Standing, templates: Templates) -> dict[str, tuple[Any, AnswerSpec, Maker]]:
        """Each kind of file: what it depends on, and how it is made."""
        spec, boot = standing.spec, standing.boot
        if spec is None or boot is None:
            return {}
        loader = makers.of_loader(self._look.settings, templates, boot)
        installer = makers.of_installer(templates, spec)
        return {
            **{kind: (boot, spec, maker) for kind, maker in loader.items()},
            **{kind: (spec, spec, maker) for kind, maker in installer.items()},
        }

    def _file(
        self, kind: str, now: tuple[Any, AnswerSpec, Maker] | None, then: tuple[Any, AnswerSpec, Maker] | None
    ) -> tuple[FileDiff | None, bool]:
        """The file if it differs, and whether a proposed template has a part in it."""
        same = now is not None and then is not None and now[0] == then[0]
        if same and not self._proposed:
            return None, False
        before, made_from = self._made(now, cannot=_CannotNow)
        touched = self._new or not self._proposed.isdisjoint(made_from)
        if same and not touched:
            return None, False
        after, made_then = self._made(then)
        touched = not self._proposed.isdisjoint(made_from) or not self._proposed.isdisjoint(made_then)
        return (FileDiff(kind, before, after) if before != after else None), touched

    def _made(
        self, what: tuple[Any, AnswerSpec, Maker] | None, *, cannot: type[Exception] | None = None
    ) -> tuple[str, Mapping[str, Any]]:
        if what is None:
            return "", {}
        _, spec, maker = what
        with recording() as made_from:
            try:
                text = maker()
            except PxeError as error:
                if cannot is None:
                    raise
                raise cannot(error.in_full) from error
        return render.mask(text, spec, self._veil.hide), made_from

    def _why_not(self, kind: str, what: tuple[Any, AnswerSpec, Maker] | None) -> str:
        try:
            self._made(what)
        except PxeError as error:
            return f"{kind}: {error.in_full}"
        return ""


class _CannotNow(Exception):
    """A file cannot be made as things stand."""
