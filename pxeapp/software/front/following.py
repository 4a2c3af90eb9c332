"""What the front follows: upstreams as they are configured now, and what becomes of a change that nginx refuses."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Invalid, PxeError
from pxeapp.software import upstreams
from pxeapp.software.cache import configured
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.indexes.serving import Indexes
from pxeapp.software.cache.models import SoftwareUpstream
from pxeapp.software.door import Door
from pxeapp.software.front import nginx
from pxeapp.software.front.program import NginxFailed, write_checked
from pxeapp.software.front.spec import Front, Served

LOOK_EVERY_S = 2.0
RESOLVE_EVERY_S = 300.0
RETRY_RESOLVE_EVERY_S = 15.0
log = logging.getLogger(__name__)


class Describe(Protocol):
    """What the configuration is made from, now."""

    def __call__(self, settings: Settings, known: Mapping[str, Configured], *, as_root: bool) -> Front: ...


class Following:
    """One for a running front."""

    def __init__(
        self, settings: Settings, database: Database, indexes: Indexes, program: str, describe: Describe
    ) -> None:
        self.known: dict[str, Configured] = {}
        self._settings, self._database, self._indexes = settings, database, indexes
        self._program, self._describe = program, describe
        self._folder = settings.run_dir / "front"
        self._door: Door | None = None
        self._refused: dict[str, str] = {}
        self._unreachable: dict[str, str] = {}
        self._placeless: dict[str, str] = {}
        self._running: Front | None = None
        self._written = ""
        self._stamp: object = None
        self._look_due = self._resolve_due = 0.0

    def begin(self) -> None:
        """The first configuration; raises NginxFailed when not even one without upstreams is taken."""
        self._stamp = self._rows_stamp()
        self._take()

    def end(self) -> None:
        """Answer no more for upstreams behind a proxy."""
        if self._door is not None:
            self._door.shutdown()
            self._door.server_close()

    def look(self, moment: float, *, at_once: bool = False) -> bool:
        """Whether nginx has to read its configuration anew, because something has changed."""
        if moment >= self._look_due or at_once:
            self._look_due = moment + LOOK_EVERY_S
            stamp = self._rows_stamp()
            at_once = at_once or (stamp is not None and stamp != self._stamp)
            self._stamp = stamp if stamp is not None else self._stamp
        if moment < self._resolve_due and not at_once:
            return False
        changed = self._take()
        mended_soon = self._unreachable or self._placeless
        self._resolve_due = moment + (RETRY_RESOLVE_EVERY_S if mended_soon else RESOLVE_EVERY_S)
        return changed

    def problems(self) -> dict[str, str]:
        """What is wrong with each upstream, as sentences; one that is well is there with an empty text."""
        found = {}
        for name in self.known:
            keeper = self._indexes.keepers.get(name)
            said = [each.get(name) for each in (self._placeless, self._refused, self._unreachable)]
            found[name] = " ".join(filter(None, (*said, keeper.problem() if keeper else "")))
        return found

    def sets(self, name: str) -> list[dict[str, Any]]:
        """The index sets of an upstream."""
        keeper = self._indexes.keepers.get(name)
        return keeper.report() if keeper else []

    def fetched(self) -> dict[str, int]:
        """How many bytes of indexes came from each upstream since this was asked the last time."""
        found = {}
        for name, keeper in list(self._indexes.keepers.items()):
            found[name], keeper.fetched_bytes = keeper.fetched_bytes, 0
        return found

    def _take(self) -> bool:
        """Follow what is configured; True when nginx was given another configuration than the one it has."""
        before, self.known = self.known, self._configured()
        gone = [name for name, each in before.items() if each.origin == "operator" and name not in self.known]
        behind = self._behind_doors(self.known)
        self._indexes.follow(self.known)
        wanted = self._describe(self._settings, behind, as_root=os.geteuid() == 0)
        self._placeless = {each.upstream.name: said for each in wanted.mirrors if (said := _no_place(wanted, each))}
        # nginx would take it, and break off each answer that it cannot keep.
        wanted = replace(wanted, mirrors=[e for e in wanted.mirrors if e.upstream.name not in self._placeless])
        self._unreachable = {each.upstream.name: _why(each) for each in wanted.mirrors if _why(each)}
        stamp = _stamp_of(wanted)
        if wanted == self._running and stamp == self._written:
            return False
        taken = self._settled(wanted)
        changed = taken != self._running or stamp != self._written
        self._running, self._written = taken, stamp
        for name in gone:  # somebody has removed it: what was kept of it goes, too
            for folder in (wanted.cache_dir, wanted.indexes_dir):
                shutil.rmtree(folder / name, ignore_errors=True)
        return changed

    def _settled(self, wanted: Front) -> Front:
        """`wanted`, or as much of it as nginx takes: of an upstream that it refuses what it had before."""
        self._refused = {}
        try:
            self._write(wanted)
        except (NginxFailed, Invalid) as error:
            log.error("nginx refuses a change: %s", error)  # noqa: TRY400 - a sentence, not a traceback
        else:
            return wanted
        before = {each.upstream.name: each for each in self._running.mirrors} if self._running else {}
        taken: list[Served] = [each for each in wanted.mirrors if before.get(each.upstream.name) == each]
        for each in wanted.mirrors:
            if each in taken:
                continue
            name = each.upstream.name
            try:
                self._write(replace(wanted, mirrors=[*taken, each]))
                taken.append(each)
            except (NginxFailed, Invalid) as error:
                self._refused[name] = f"nginx refuses it, and keeps what it had: {error.sentence}"
                if name in before:
                    taken.append(before[name])
        settled = replace(wanted, mirrors=sorted(taken, key=lambda served: served.upstream.name))
        try:
            self._write(settled)
        except (NginxFailed, Invalid):
            if self._running is None:
                raise
            return self._running
        return settled

    def _write(self, front: Front) -> None:
        write_checked(self._program, self._folder, nginx.render(front))

    def _configured(self) -> dict[str, Configured]:
        """What rows and defaults say; what it was before while the database cannot be asked."""
        try:
            with self._database.read() as session:
                return configured.effective(session, self._settings)
        except (PxeError, SQLAlchemyError) as error:
            log.warning("upstreams stay as they are: %s", error)
            return self.known or configured.defaults(self._settings)

    def _rows_stamp(self) -> object:
        """Changes when a row does; None while the database cannot be asked."""
        try:
            with self._database.read() as session:
                query = select(SoftwareUpstream.name, SoftwareUpstream.version, SoftwareUpstream.created_at)
                return sorted(tuple(row) for row in session.execute(query))
        except (PxeError, SQLAlchemyError):
            return None

    def _behind_doors(self, known: Mapping[str, Configured]) -> dict[str, Configured]:
        """Upstreams behind an HTTP proxy get a door of our own: nginx cannot speak to a proxy as a client."""
        path = self._settings.run_dir / "proxy-door.sock"
        proxied = {name: each.upstream for name, each in known.items() if each.upstream.proxy}
        if self._door is None and proxied:
            self._door = Door(path, proxied)
            threading.Thread(target=self._door.serve_forever, name="proxy-door", daemon=True).start()
        elif self._door is not None:
            self._door.known = proxied
        doors = {name: upstreams.behind_door(each, str(path)) for name, each in proxied.items()}
        return {
            name: replace(each, upstream=doors[name], aliases=_named(each)) if name in doors else each
            for name, each in known.items()
        }


def _named(known: Configured) -> tuple[str, ...]:
    """A door has no address that installers could name: its upstream's stays with it."""
    upstream = known.upstream
    return (f"{upstream.authority.lower()}{upstream.path}", *known.aliases)


def _why(served: Served) -> str:
    if served.is_reachable or served.offline:
        return ""
    host = served.upstream.host
    return f"{host} cannot be resolved by this appliance, or its addresses may not be contacted."


def _no_place(front: Front, served: Served) -> str:
    """Why its packages cannot be kept; empty: they can."""
    folder = front.cache_dir / served.upstream.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"Its packages cannot be kept in {folder}: {error.strerror}."
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"Its packages cannot be kept in {folder}: not writable."


def _stamp_of(front: Front) -> str:
    """Changes when a certificate is renewed in its place."""
    if front.tls is None:
        return "-"
    return " ".join(_changed_at(path) for path in (front.tls.certificate, front.tls.key))


def _changed_at(path: Path) -> str:
    try:
        return str(path.stat().st_mtime_ns)
    except OSError:
        return "gone"
