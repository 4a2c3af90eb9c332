"""What a change would do to every machine that it touches, before it is saved: grouped by identical difference.

Both specifications of each machine are composed, as it is and as it would be; only files that can differ are rendered.
Two machines have the same difference when the same lines go and come, their own names and addresses aside.
Every new text is checked as before a deployment, by its shape (checking.py), for as long as there is patience.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import render
from pxeapp.answers.checks.known import Known
from pxeapp.answers.site_templates import DATA
from pxeapp.answers.spec import AnswerSpec
from pxeapp.boot.spec import InstallBoot
from pxeapp.errors import PxeError
from pxeapp.faults import Fault
from pxeapp.machines.models import Cluster, Machine
from pxeapp.machines.service import Site
from pxeapp.provisioning import differences, makers, plan, proposals
from pxeapp.provisioning.checking import Checker, File
from pxeapp.provisioning.makers import Maker
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.placeholders import Own, own_values
from pxeapp.provisioning.proposals import Means, Proposal, Selection
from pxeapp.provisioning.rendered import as_dict
from pxeapp.provisioning.shape import Shape
from pxeapp.provisioning.veil import Veil
from pxeapp.software import releases as software_releases
from pxeapp.software.models import Release
from pxeapp.templates import Templates
from pxeapp.templates.versions import recording

PASSES = 3  # over all machines: as they are, as they would be, and compared
CHECKED = 20  # machines on which a proposal is tried before all of them are looked at
PATIENCE = 20.0  # seconds of checking; whose new files are not checked by then are counted
LINE = re.compile(r"\bline \d+")
AT_ONCE = 2  # renderings in confined processes: as many of them are kept warm, see templates/pool.py


@dataclass(frozen=True, slots=True)
class Standing:
    """A machine on one side of the comparison. Without a specification, `problem` says why."""

    release: str | None
    role: str | None
    spec: AnswerSpec | None = None
    boot: InstallBoot | None = None
    problem: str = ""
    known: Known = field(default_factory=Known)  # of the release's installer


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file of a machine, before and after, masked; and what is wrong with it then."""

    kind: str
    before: str
    after: str
    faults: tuple[Fault, ...] | None = ()  # None: nobody has looked
    present: frozenset[tuple[str, str]] = frozenset()  # what is wrong with it now, wherever it stands

    def unified(self, machine: str) -> str:
        """The unified difference, with the kind of file and the machine in its headlines."""
        return differences.unified(
            self.before, self.after, old=f"{self.kind} of {machine}, now", new=f"{self.kind} of {machine}, then"
        )


@dataclass(slots=True)
class Faulty:
    """Machines whose new file would have the same fault. `already`: it has it now, too."""

    fault: Fault
    already: bool
    machines: list[str] = field(default_factory=list)

    @property
    def grave(self) -> bool:
        """Whether the change would keep them from being deployed."""
        return not self.already and not self.fault.advice

    def to_dict(self, limit: int) -> dict[str, Any]:
        """As the API shows it."""
        about = {"kind": self.fault.kind, **as_dict(self.fault), "already": self.already}
        return {**about, **_some(self.machines, limit)}


@dataclass(slots=True)
class Group:
    """Machines with the same difference, shown on the first of them."""

    files: Sequence[FileDiff]
    machines: list[str] = field(default_factory=list)
    faults: dict[tuple[Any, ...], Faulty] = field(default_factory=dict)

    def add(self, machine: str, own: Own, files: Sequence[FileDiff]) -> None:
        """One more, with what is wrong with its files: the same fault of many is said once."""
        self.machines.append(machine)
        for fault in (fault for file in files for fault in file.faults or ()):
            already = any(_anywhere(fault) in file.present for file in files if file.kind == fault.kind)
            key = (fault.kind, own.out_of(fault.problem), own.out_of(fault.fix), already)
            found = self.faults.setdefault(key, Faulty(fault, already))
            if machine not in found.machines[-1:]:
                found.machines.append(machine)

    def to_dict(self, limit: int) -> dict[str, Any]:
        """As the API shows it."""
        example = self.machines[0]
        return {
            **_some(self.machines, limit),
            "example": example,
            "files": [{"kind": each.kind, "diff": each.unified(example)} for each in self.files],
            "faults": [each.to_dict(limit) for each in self.faults.values()],
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
    unchecked: int = 0  # that would be given something else which nobody has looked at
    notes: list[str] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether saving it would change anything for any machine."""
        return bool(self.groups or self.mended or any(not each.already for each in self.failures))

    @property
    def faulty(self) -> int:
        """How many machines could not be deployed any more, for a fault that their files do not have now."""
        faults = [each for group in self.groups for each in group.faults.values() if each.grave]
        return len({name for each in faults for name in each.machines})

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
            "faulty": self.faulty,
            "unchecked": self.unchecked,
            "notes": self.notes,
        }


def _anywhere(fault: Fault) -> tuple[str, str]:
    """The same fault on another line, when lines came before it, is no other one."""
    return LINE.sub("line", fault.problem), LINE.sub("line", fault.fix)


def _some(names: Sequence[str], limit: int) -> dict[str, Any]:
    return {"count": len(names), "machines": list(names[:limit]), "more": max(0, len(names) - limit)}


def _nobody_waits(_part: float) -> None:
    """Nobody is told how far it is."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is needed to look at machines twice."""

    checker: Checker  # the process's own, as things are now
    site: Site
    patience: float = PATIENCE
    seen: Callable[[float], None] = _nobody_waits  # told how much of it is done, 0 to 1; raises to stop it

    @property
    def tools(self) -> plan.Tools:
        """What composing and rendering are done with now."""
        return self.checker.tools


def check(session: Session, look: Look, proposal: Proposal, selection: Selection, *, now: dt.datetime) -> None:
    """Raises Invalid as `compare` would, as far as the first machines tell, before anybody waits for all of them."""
    then_templates = _then(look, proposal)
    with proposals.never_written(session):
        means = Means(look.tools.vault, then_templates, look.site)
        proposals.put(session, means, proposal, selection.first(session, CHECKED), now=now)


def compare(session: Session, look: Look, proposal: Proposal, selection: Selection, *, now: dt.datetime) -> Comparison:
    """The difference that the proposal would make; raises Invalid for one that could not be saved."""
    then_templates = _then(look, proposal)
    with proposals.never_written(session):
        machines = selection.machines(session)
        running = running_now(session)
        names = [machine.name for machine in machines]
        own = [own_values(machine) for machine in machines]
        before = standings(session, replace(look, seen=_part(look, 0)), machines, running, {})
        means = Means(look.tools.vault, then_templates, look.site)
        clusters = proposals.put(session, means, proposal, machines, now=now)
        moved = proposal.to_release is not None or proposal.to_role is not None
        own = [[*was, *own_values(machine)] for was, machine in zip(own, machines, strict=True)]
        after = standings(session, replace(look, seen=_part(look, 1)), machines, {} if moved else running, clusters)
    look = replace(look, seen=_part(look, 2))
    return _Comparing(look, then_templates, proposal).all(list(zip(names, own, before, after, strict=True)))


def _then(look: Look, proposal: Proposal) -> Templates:
    """The templates as they would be; raises Invalid for a proposal of nothing, or a text that cannot be parsed."""
    proposal.refuse_nothing()
    then = look.tools.templates.proposing(proposal.templates)
    for name, text in proposal.templates.items():
        if text is not None and not name.endswith(DATA):
            then.check(name)
    return then


def _part(look: Look, number: int) -> Callable[[float], None]:
    """How far the whole is when one of its passes over all machines is so far."""
    return lambda part: look.seen((number + part) / PASSES)


def running_now(session: Session) -> dict[int, tuple[str, str]]:
    """Release and role of each attempt that runs, by machine."""
    found = session.execute(
        select(Deployment.machine_id, Deployment.release, Deployment.role).where(Deployment.outcome.is_(None))
    )
    return {machine: (release, role) for machine, release, role in found}


def standings(
    session: Session,
    look: Look,
    machines: Sequence[Machine],
    running: Mapping[int, tuple[str, str]],
    clusters: Mapping[str, Cluster],
) -> list[Standing]:
    """How each machine stands, with `clusters` in the place of those that the database has."""
    known = plan.Known(session, look.tools, clusters)
    rows: dict[str, Release] = {}
    installers: dict[str, Known] = {}
    found: list[Standing] = []
    for machine in machines:
        look.seen(len(found) / len(machines))
        release, role = running.get(machine.id, (machine.release, machine.role))
        if release is None or role is None:
            found.append(Standing(release, role))
            continue
        try:
            if release not in rows:
                rows[release] = software_releases.get(session, release)
                installers[release] = look.checker.known(rows[release])
            urls = plan.unissued(look.tools.settings)
            spec = plan.answer_spec(session, look.tools, machine, rows[release], role, urls, known)
            boot = plan.boot_of(machine, rows[release], spec)
            found.append(Standing(release, role, spec, boot, known=installers[release]))
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


@dataclass(frozen=True, slots=True)
class _Compared:
    """A file that differs: as it is shown, and its very texts."""

    shown: FileDiff
    before: File
    after: File


class _Comparing:
    def __init__(self, look: Look, then: Templates, proposal: Proposal) -> None:
        self._look = look
        self._then = then
        self._proposed = frozenset(proposal.templates)
        # One that is new may be chosen where another was; which files that concerns is seen by rendering them.
        self._new = any(look.tools.templates.find(name) is None for name in self._proposed)
        self._veil = Veil()
        self._then_checker = look.checker.proposing(then)
        self._until = time.monotonic() + look.patience

    def all(self, pairs: Sequence[Pair]) -> Comparison:
        done = Comparison(looked_at=len(pairs))
        groups: dict[tuple[Any, ...], Group] = {}
        failures: dict[tuple[str, bool], Failure] = {}
        touched = False
        for number, ((name, own, _, _), found) in enumerate(zip(pairs, self._each(pairs), strict=True), 1):
            self._look.seen(number / len(pairs))
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
                groups.setdefault(found.key, Group(found.files)).add(name, Own(own), found.files)
                done.unchecked += any(file.faults is None for file in found.files)
            else:
                done.unchanged += 1
        done.groups = sorted(groups.values(), key=lambda group: -len(group.machines))
        done.failures = sorted(failures.values(), key=lambda failure: (failure.already, -len(failure.machines)))
        done.notes = list(self._notes(pairs, touched=touched, unchecked=done.unchecked))
        return done

    def _notes(self, pairs: Sequence[Pair], *, touched: bool, unchecked: int) -> Iterator[str]:
        if not pairs:
            yield "No machine is selected."
        elif self._proposed and not touched:
            names = " or ".join(sorted(self._proposed))
            yield f"No machine that was looked at is given a file made from {names}: check the name."
        if unchecked:
            yield f"The new files of {unchecked} machines were not checked, for that would have taken too long."

    def _each(self, pairs: Sequence[Pair]) -> Iterator[_Found]:
        if not self._proposed and not self._look.tools.templates.of_the_site():
            yield from map(self._one, pairs)
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:  # they wait for renderers
            yield from pool.map(self._one, pairs)

    def _one(self, pair: Pair) -> _Found:
        _, own, before, after = pair
        if before.spec is None and after.spec is None and not before.problem and not after.problem:
            return _Found(nothing=True)
        problem_before, problem = before.problem, after.problem
        files: list[_Compared] = []
        touched = False
        if not problem:
            now, then = self._makers(before, self._look.tools.templates), self._makers(after, self._then)
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
            (file.shown.kind, *map(mine.out_of, differences.changed_lines(file.shown.before, file.shown.after)))
            for file in files
        )
        return _Found(tuple(self._checked(files, before, after)), key, touched=touched)

    def _checked(self, files: Sequence[_Compared], before: Standing, after: Standing) -> Iterator[FileDiff]:
        """The files with what is wrong with them; of one that has a fault, also what is wrong with it now."""
        if after.spec is None:  # then it is given none
            yield from (file.shown for file in files)
            return
        shape = Shape(after.spec) if files else None
        for file in files:
            if shape is None or time.monotonic() > self._until:
                yield replace(file.shown, faults=None)
                continue
            try:
                faults = self._then_checker.faults_of(file.after, after.spec, after.known, shape)
                present = (
                    self._look.checker.faults_of(file.before, before.spec, before.known, Shape(before.spec))
                    if (faults and before.spec is not None)
                    else []
                )
            except PxeError:  # a check that takes too long
                yield replace(file.shown, faults=None)
                continue
            yield replace(file.shown, faults=tuple(faults), present=frozenset(map(_anywhere, present)))

    def _makers(self, standing: Standing, templates: Templates) -> dict[str, tuple[Any, AnswerSpec, Maker]]:
        """Each kind of file: what it depends on, and how it is made."""
        spec, boot = standing.spec, standing.boot
        if spec is None or boot is None:
            return {}
        loader = makers.of_loader(self._look.tools.settings, templates, boot)
        installer = makers.of_installer(templates, spec)
        return {
            **{kind: (boot, spec, maker) for kind, maker in loader.items()},
            **{kind: (spec, spec, maker) for kind, maker in installer.items()},
        }

    def _file(
        self, kind: str, now: tuple[Any, AnswerSpec, Maker] | None, then: tuple[Any, AnswerSpec, Maker] | None
    ) -> tuple[_Compared | None, bool]:
        """The file if it differs, and whether a proposed template has a part in it."""
        same = now is not None and then is not None and now[0] == then[0]
        if same and not self._proposed:
            return None, False
        before = self._made(kind, now, cannot=_CannotNow)
        touched = self._new or not self._proposed.isdisjoint(before.templates)
        if same and not touched:
            return None, False
        after = self._made(kind, then)
        touched = not self._proposed.isdisjoint(before.templates) or not self._proposed.isdisjoint(after.templates)
        if before.text == after.text:
            return None, touched
        shown = FileDiff(kind, self._masked(before, now), self._masked(after, then))
        return _Compared(shown, before, after), touched

    def _masked(self, file: File, what: tuple[Any, AnswerSpec, Maker] | None) -> str:
        return file.text if what is None else render.mask(file.text, what[1], self._veil.hide)

    def _made(
        self, kind: str, what: tuple[Any, AnswerSpec, Maker] | None, *, cannot: type[Exception] | None = None
    ) -> File:
        if what is None:
            return File(kind, "", ())
        _, _, maker = what
        with recording() as made_from:
            try:
                text = maker()
            except PxeError as error:
                if cannot is None:
                    raise
                raise cannot(error.in_full) from error
        return File(kind, text, tuple(made_from))

    def _why_not(self, kind: str, what: tuple[Any, AnswerSpec, Maker] | None) -> str:
        try:
            self._made(kind, what)
        except PxeError as error:
            return f"{kind}: {error.in_full}"
        return ""


class _CannotNow(Exception):
    """A file cannot be made as things stand."""
