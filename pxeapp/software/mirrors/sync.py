"""A sync, from beginning to end; and a preview, which is its first half.

What is served stays until everything of the next state is in the store; then it is exchanged at once. A sync that was
killed begins anew and finds in the store what it had fetched. Where the upstream changes while we read it, it is read
once more; what does not fit even then is a sentence in the mirror's row.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import select

from pxeapp.errors import Conflict, PxeError
from pxeapp.software import upstreams
from pxeapp.software.content import space
from pxeapp.software.mirrors import (
    choosing,
    deb_upstream,
    fetching,
    installer,
    keyrings,
    rpm_signatures,
    rpm_upstream,
    selection,
    service,
)
from pxeapp.software.mirrors.choosing import Choice
from pxeapp.software.mirrors.fetching import Count, Wanted
from pxeapp.software.mirrors.line import Changed
from pxeapp.software.mirrors.pool import Candidate
from pxeapp.software.mirrors.reading import Reading, Upstreams
from pxeapp.software.mirrors.selection import Selection
from pxeapp.software.models import Release
from pxeapp.software.packages import Package
from pxeapp.software.repositories import publishing
from pxeapp.software.repositories.publishing import Generation
from pxeapp.software.tasks.running import Run

Names = Mapping[str, Sequence[str]]  # a role's packages, by role
OfRoles = Callable[[Run, Selection], Names]
SHOWN = 200  # unsatisfied needs that a row and a result list by name; the number of all is beside


def sync(run: Run, of_roles: OfRoles) -> dict[str, Any]:
    """The task: have the mirror be what its upstreams have now. Its result says what came of it."""
    with run.database.read() as session:
        row = service.get(session, run.subject)
        chosen, before, published = service.read(row), dict(service.state(row)), bool(row.manifest)
    try:
        return _synced(run, chosen, before, of_roles, published=published)
    except PxeError as error:
        _say_problem(run, error)
        raise
    except OSError as error:
        if error.errno not in fetching.NO_ROOM:
            raise
        full = Conflict(f"The disk became full: {error}.", hint="Make room, and sync again.")
        _say_problem(run, full)
        raise full from error


def preview(run: Run, of_roles: OfRoles) -> dict[str, Any]:
    """The task: what the mirror would hold. No package is fetched."""
    said = run.options
    chosen = selection.read(selection.kind_of(said["kind"]), said["architectures"], said["mirror"])
    names = of_roles(run, chosen)
    with _Upstreams(run, chosen) as at:
        reading = _read(at)
        found = choosing.choose(reading, chosen, names)
        missing = fetching.missing(_files(at, found), run.store)
    return {**_figures(found), **_about(reading, found, names), "to_fetch": {
        "packages": len(missing), "bytes": sum(each.size for each in missing),
    }}  # fmt: skip


def choice(run: Run, chosen: Selection, names: Names) -> Choice:
    """What a selection comes to now, for whoever does something else with it than a mirror."""
    with _Upstreams(run, chosen) as at:
        return choosing.choose(_read(at), chosen, names)


def _synced(
    run: Run, chosen: Selection, before: Mapping[str, Any], of_roles: OfRoles, *, published: bool
) -> dict[str, Any]:
    names = of_roles(run, chosen)
    with _Upstreams(run, chosen) as at:
        try:
            reading, found, count = _fetched(run, at, chosen, names, before)
        except Changed as error:
            run.says(f"{error.sentence} Looking once more")
            reading, found, count = _fetched(run, at, chosen, names, before)
        about = _about(reading, found, names)
        digest = _digest(reading, chosen, names)
        if published and digest == before.get("digest"):
            moment = run.now().isoformat()
            _remember(run, {**before, **about, "synced_at": moment, "tried_at": moment})
            return {**_figures(found), "changed": False, "fetched": {"packages": 0, "bytes": 0}}
        run.says(f"Publishing {len(found.chosen)} packages")
        packages = [_published(each, chosen) for each in found.chosen]
        how = Generation(
            actor=run.actor, now=run.now(), extra=reading.extra, again=_said(chosen) != before.get("said"),
            tell=lambda says: run.says(says) if says else run.progress(count.bytes),
        )  # fmt: skip
        publishing.publish(run.settings, run.database, run.store, run.subject, packages, how)
    moment = run.now().isoformat()
    _remember(run, {**about, "digest": digest, "said": _said(chosen), "synced_at": moment, "tried_at": moment})
    fetched = {"packages": count.fetched, "bytes": count.bytes}
    return {**_figures(found), **about, "changed": True, "fetched": fetched}


def _fetched(
    run: Run, at: Upstreams, chosen: Selection, names: Names, before: Mapping[str, Any]
) -> tuple[Reading, Choice, Count]:
    """What the upstreams have, what of it is wanted, and all of that in the store."""
    reading = _read(at)
    _refuse_older(reading, chosen, before)
    run.says("Choosing packages")
    found = choosing.choose(reading, chosen, names)
    files = _files(at, found)
    missing = fetching.missing(files, run.store)
    total = sum(each.size for each in missing)
    space.need(run.store.root, total, for_what=f"The mirror {run.subject}")
    here = len(files) - len(missing)

    def tell(count: Count) -> None:
        done = count.files - here
        run.progress(count.bytes, total, unit="bytes", says=f"Fetching packages: {done} of {len(missing)}")

    run.says(f"Fetching {len(missing)} of {len(files)} packages, {space.shown(total)}")
    count = fetching.fetch(files, run.store, at_once=chosen.at_once, tell=tell)
    for each in found.chosen:
        if each.source == installer.OURS:
            path = installer.path(run.settings, at.udeb_suite, each.package.path)
            run.store.add_file(path, sha256=each.package.sha256)
    for number in rpm_upstream.verified_by_package(reading, at):
        packages = [each.package for each in found.chosen if each.source == number]
        run.says(f"Verifying the signatures of {len(packages)} packages")
        rpm_signatures.verify(packages, run.store, at.keyrings[number] or b"", tell=lambda done: run.progress(done))
    return reading, found, count


def _read(at: Upstreams) -> Reading:
    """The upstreams as they are now; once more where one changes while it is read."""
    read = deb_upstream.read if at.selection.kind == "deb" else rpm_upstream.read
    try:
        return read(at)
    except Changed as error:
        at.says(f"{error.sentence} Looking once more")
        return read(at)


def _refuse_older(reading: Reading, chosen: Selection, before: Mapping[str, Any]) -> None:
    """A signature does not tell a mirror that is behind, or somebody who holds updates back; a date does."""
    said = before.get("dated")
    if not said or reading.dated is None or chosen.accept_expired or before.get("said") != _said(chosen):
        return
    newer = dt.datetime.fromisoformat(said)
    if reading.dated < newer:
        raise Conflict(
            f"The upstream's index is of {reading.dated:%Y-%m-%d %H:%M} UTC, older than the one that is published, of "
            f"{newer:%Y-%m-%d %H:%M} UTC: its mirror is behind, or somebody holds updates back.",
            hint="Sync again later, or use another mirror.",
        )


def _files(at: Upstreams, found: Choice) -> list[Wanted]:
    return [
        Wanted(at.places[each.source], each.package.path, each.package.sha256, each.package.size)
        for each in found.chosen
        if each.source != installer.OURS
    ]


def _published(candidate: Candidate, chosen: Selection) -> Package:
    """As we serve it: where the upstream has it, and of several rpm repositories each in a folder of its own."""
    package = candidate.package
    if chosen.kind == "deb" or len(chosen.sources) == 1:
        return package
    return replace(package, path=f"{candidate.source}/{package.path}")


def _digest(reading: Reading, chosen: Selection, names: Names) -> str:
    """Another one as soon as a sync would come to something else."""
    return hashlib.sha256(json.dumps([reading.stamp, _said(chosen), names]).encode()).hexdigest()


def _said(chosen: Selection) -> str:
    """What was said of the mirror as far as it changes what is published."""
    said = {name: value for name, value in chosen.as_json().items() if name not in ("at_once", "every_hours", "key")}
    return hashlib.sha256(json.dumps([said, chosen.architectures]).encode()).hexdigest()


def _figures(found: Choice) -> dict[str, Any]:
    return {"packages": len(found.chosen), "bytes": found.bytes, "missing": len(found.unsatisfied)}


def _about(reading: Reading, found: Choice, names: Names) -> dict[str, Any]:
    return {
        "names": {role: list(packages) for role, packages in names.items()},
        "unsatisfied": [asdict(each) for each in found.unsatisfied[:SHOWN]],
        "remarks": [*reading.remarks, *found.remarks],
        "dated": reading.dated.isoformat() if reading.dated else None,
    }


class _Upstreams:
    """The upstreams of a selection, hung up at the end."""

    def __init__(self, run: Run, chosen: Selection) -> None:
        self._at = Upstreams(
            run.settings,
            upstreams.configured(run.settings),
            run.store,
            chosen,
            keyrings.of(run.settings, run.database, chosen),
            run.now(),
            _udeb_suite(run, chosen),
            run.says,
            lambda: run.progress(0),
        )

    def __enter__(self) -> Upstreams:
        return self._at

    def __exit__(self, *_: object) -> None:
        self._at.close()


def _udeb_suite(run: Run, chosen: Selection) -> str:
    if not (chosen.installer and chosen.release):
        return ""
    with run.database.read() as session:
        row = session.scalar(select(Release).where(Release.name == chosen.release))
        return str(row.settings.get("udeb_suite", "")) if row is not None else ""


def _remember(run: Run, state: dict[str, Any]) -> None:
    with run.database.write() as session:
        row = service.get(session, run.subject, lock=True)
        row.mirror = {**row.mirror, service.STATE: state}
        row.problem = ""
        row.updated_at = run.now()


def _say_problem(run: Run, error: PxeError) -> None:
    """What was published stays; the row says why it is not newer."""
    with run.database.write() as session:
        row = service.get(session, run.subject, lock=True)
        state = {**service.state(row), "tried_at": run.now().isoformat()}
        row.mirror = {**row.mirror, service.STATE: state}
        row.problem = error.in_full
