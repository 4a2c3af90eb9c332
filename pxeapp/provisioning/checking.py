"""No machine is deployed with a file that has a fault: every file that it would be given is made and checked before.

When a thousand machines are deployed at once, their files are alike but for names and addresses. So a verdict is kept
by a file's shape (shape.py): the first machine's is made by the real checkers, and the others cost a rendering and a
hash. The check runs before the transaction that begins the attempt; inside, the rehearsal is only compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sqlalchemy.orm import Session

from pxeapp.answers import checks as answer_checks
from pxeapp.answers import origins, render
from pxeapp.answers.checks import known as knowing
from pxeapp.answers.checks.known import Known
from pxeapp.answers.spec import AnswerSpec
from pxeapp.boot import checks as boot_checks
from pxeapp.boot.spec import InstallBoot
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Invalid, PxeError
from pxeapp.faults import Fault
from pxeapp.faults.verdicts import Verdicts, digest
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.provisioning import editions, makers, plan
from pxeapp.provisioning.editions import Edition
from pxeapp.provisioning.makers import BOOT_KINDS
from pxeapp.provisioning.shape import Shape
from pxeapp.software import questions
from pxeapp.software import releases as software_releases
from pxeapp.software.models import Release
from pxeapp.templates import Templates
from pxeapp.templates.versions import recording
from pxeapp.vault import Vault

KEPT = 4096  # shapes; a site has some tens: kinds x roles x releases x layouts
LONG_LINE = 1500  # characters: near a limit of a boot program the very text is checked, not its shape
MOST = 50  # faults of one machine that are told


# A verdict is of nothing but the text and the release, so that all checkers of a process share them.
_VERDICTS: Verdicts[tuple[Fault, ...]] = Verdicts(KEPT)
_CONFIRMED: Verdicts[bool] = Verdicts(KEPT)


class NotDeployable(Invalid):
    """A file that the machine would be given has faults."""

    title = "Faulty file"


@dataclass(frozen=True, slots=True)
class File:
    """A rendered file, and the names of the templates it was made from."""

    kind: str
    text: str
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was checked before the transaction that deploys: nothing is checked again that is still the same."""

    checker: Checker
    spec: AnswerSpec | None = None
    boot: InstallBoot | None = None
    faults: tuple[Fault, ...] = ()
    edition: Edition | None = None  # of a rollout: everything as it was when that began

    def known(self, session: Session) -> plan.Known:
        """The rows that the machine is composed from."""
        return editions.means(session, self.checker.tools, self.edition)[1]

    def refuse_faults(self, machine: Machine, release: Release, spec: AnswerSpec, boot: InstallBoot) -> None:
        """Raises NotDeployable with every fault of the files that the machine would be given."""
        same = spec == self.spec and boot == self.boot
        faults = self.faults if same else self.checker.faults(release, spec, boot)
        grave = [fault for fault in faults if not fault.advice]
        if grave:
            raise NotDeployable(
                f"{machine.name} cannot be deployed: {grave[0]}",
                problems=[fault.as_problem() for fault in grave[:MOST]],
                hint=f"See them all with: pxeapp render {machine.name} --check",
            )


class Checker:
    """Made once per process, used by all of its threads."""

    def __init__(self, settings: Settings, vault: Vault, templates: Templates) -> None:
        self.settings = settings
        self.tools = plan.Tools(settings, vault, templates)
        self._templates = templates

    def proposing(self, templates: Templates) -> Checker:
        """The same with templates that nobody has saved."""
        return Checker(self.settings, self.tools.vault, templates)

    def unrehearsed(self) -> Rehearsal:
        """For a caller that has nothing to rehearse: everything is checked when it deploys."""
        return Rehearsal(self)

    def rehearse(
        self, database: Database, key: str, *, release: str | None, role: str | None, edition: Edition | None = None
    ) -> Rehearsal:
        """Check what a machine would be given; whatever is not even there is said by the deployment itself."""
        checker = self
        with contextlib.suppress(PxeError), database.read() as session:
            tools, known = editions.means(session, self.tools, edition)
            checker = self if tools is self.tools else self.proposing(tools.templates)
            machine = selectors.get(session, key)
            row = software_releases.bootable(session, release or machine.release or "")
            spec = plan.rehearsed(session, tools, machine, row, role or machine.role or "", known)
            boot = plan.boot_of(machine, row, spec)
            return Rehearsal(checker, spec, boot, tuple(checker.faults(row, spec, boot)), edition)
        return Rehearsal(checker, edition=edition)

    def faults(self, release: Release, spec: AnswerSpec, boot: InstallBoot) -> list[Fault]:
        """Every fault of every file of a machine; raises Invalid for one that cannot even be made."""
        known, shape = self.known(release), Shape(spec)
        files = self.files(spec, boot)
        return [fault for file in files for fault in self.faults_of(file, spec, known, shape)]

    def files(self, spec: AnswerSpec, boot: InstallBoot, *, kind: str = "") -> Iterator[File]:
        """The files that a machine is given, or the one of a kind."""
        loader = makers.of_loader(self.settings, self._templates, boot)
        for name, make in {**loader, **makers.of_installer(self._templates, spec)}.items():
            if kind in ("", name):
                with recording() as made_from:
                    text = make()
                yield File(name, text, tuple(made_from))

    def known(self, release: Release) -> Known:
        """What is known of the release's installer."""
        path = questions.place(self.settings, release)
        with contextlib.suppress(OSError):
            if path is not None:
                about = path.stat()
                return _known(path, about.st_mtime_ns, about.st_size)
        return Known()

    def faults_of(self, file: File, spec: AnswerSpec, known: Known, shape: Shape) -> list[Fault]:
        """The faults of one file, with their templates."""
        release = spec.release
        about = (file.kind, release.family, release.version, release.installer, known.digest)
        if file.kind in BOOT_KINDS and max(map(len, file.text.split("\n"))) > LONG_LINE:
            found = self._verdict(digest(*about, file.text), file.kind, file.text, spec, known)
            return self._placed(file, found, spec)
        shaped = shape.of(file.text)
        key = digest(*about, shaped)
        found = self._verdict(key, file.kind, shaped, spec, known)
        if not found:
            return []
        own = digest(*about, file.text)
        # A machine may be called like a word of the file, and only its shape be wrong: so what is wrong is asked twice.
        if not _CONFIRMED.get(key, lambda: bool(self._verdict(own, file.kind, file.text, spec, known))):
            return self._placed(file, self._verdict(own, file.kind, file.text, spec, known), spec)
        mine = [replace(each, problem=shape.back(each.problem), fix=shape.back(each.fix)) for each in found]
        return self._placed(file, mine, spec)

    def _verdict(self, key: bytes, kind: str, text: str, spec: AnswerSpec, known: Known) -> tuple[Fault, ...]:
        def judge() -> tuple[Fault, ...]:
            if kind in BOOT_KINDS:
                return tuple(boot_checks.check(kind, text))
            return tuple(answer_checks.check(kind, text, spec, known))

        return _VERDICTS.get(key, judge)

    def _placed(self, file: File, faults: Sequence[Fault], spec: AnswerSpec) -> list[Fault]:
        """Each fault, secrets masked, with the template that its line comes from, or the variable that it is made of.

        Where neither is known, it is the template that the file begins with.
        """
        lines = file.text.split("\n")
        names = origins.templates(file.kind, file.templates)
        first = origins.first(file.kind, names, spec.role)
        if file.kind in origins.BUILT and not self._templates.has_own(first):
            first = ""
        found = []
        for fault in faults:
            line = lines[fault.line - 1] if 0 < fault.line <= len(lines) else ""
            if file.kind in origins.BUILT:
                line = line.removeprefix("  ")  # what is merged stands below one key more
            place = self._templates.place(line, names) if line.strip() else None
            variable = origins.variable(file.kind, lines, fault.line, spec)
            if variable and (place is None or place[0] in names):  # else a template of the site's own has the very line
                place = variable, 0
            fault = replace(fault, problem=render.mask(fault.problem, spec), fix=render.mask(fault.fix, spec))
            found.append(fault.of(*place) if place else fault.of(first, 0))
        return found


@lru_cache(maxsize=64)
def _known(path: Path, mtime_ns: int, size: int) -> Known:
    """A catalogue as it was at that time."""
    del mtime_ns, size
    return knowing.read(path.read_text())
