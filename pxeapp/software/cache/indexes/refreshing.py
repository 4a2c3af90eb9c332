"""A new generation of a set: all of it fetched and verified beside the old one, or an error and the old one stays."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pxeapp.errors import Invalid, NotFound, PxeError, Unavailable
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.indexes import heads
from pxeapp.software.cache.indexes.asking import Reading, asked
from pxeapp.software.cache.indexes.heads import File, Head, Sum
from pxeapp.software.cache.indexes.shelf import Generation, Record, Shelf
from pxeapp.software.upstreams import Upstream

FORGET_S = 60 * 86400.0  # an index that nobody has asked for so long is not fetched any more


@dataclass(frozen=True, slots=True)
class Refresher:
    """Fetches for one upstream."""

    shelf: Shelf
    known: Configured
    count: Callable[[int], None]  # told the bytes that came

    def generation(self, record: Record, now: float) -> Generation | None:
        """The upstream's present generation with every index that was ever asked for; None: it is what we have.

        Raises NotFound where there is no such set, and PxeError with why there is no new one.
        """
        current = record.generations[0] if record.generations else None
        same_source = current is not None and current.source == self.known.url
        main, content, reading = self._main(record, current.validators if current and same_source else {})
        if content is None or reading is None:
            return None
        before = current.heads.get(main) if current else None
        if current is not None and before is not None and hashlib.sha256(content).hexdigest() == before.sha256:
            current.validators, current.source = reading.validators, self.known.url
            return None
        found = {main: self.shelf.add(content, modified=reading.modified, after=before)}
        made = Generation(found, Head({}), now, self.known.url, validators=reading.validators)
        companions = {name: self.companion(record, name, made) for name in self._companions(record, main)}
        made.heads.update({name: file for name, file in companions.items() if file is not None})
        made.absent.update(name for name, file in companions.items() if file is None)
        made.head = self.read(record, made, now)
        if current is not None and same_source:
            self._refuse_older(made, current)
        if current is not None:
            self._refuse_expired(made, current, now)
        for lasting, asked_at in sorted(record.wanted.items()):
            if lasting in heads.APT_HEADS or lasting in heads.YUM_HEADS or now - asked_at > FORGET_S:
                continue
            for path in made.head.paths_of(lasting):
                made.files[path] = self.index(record, made, path)
        self._refuse_changed(record, main, made)
        return made

    def read(self, record: Record, made: Generation, now: float) -> Head:
        """What a generation's head says, verified with the keyring where the upstream has one."""
        name = f"{self.known.upstream}/{record.root}"
        if record.kind == "yum":
            return heads.read_yum(self.shelf.read(made.heads[heads.YUM_HEADS[0]]), name=name)
        keyring = Path(self.known.keyring).read_bytes() if self.known.keyring else b""
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        signed = made.heads.get("InRelease")
        if signed is not None:
            return heads.read_apt(self.shelf.read(signed), name=name, now=moment, keyring=keyring)
        signature = made.heads.get("Release.gpg")
        if keyring and signature is None:
            raise Invalid(f"The Release file of {name} is not signed.", hint="Is the upstream whole?")
        return heads.read_apt(
            self.shelf.read(made.heads["Release"]), name=name, now=moment, keyring=keyring,
            signature=self.shelf.read(signature) if signature else None,
        )  # fmt: skip

    def companion(self, record: Record, name: str, made: Generation) -> File | None:
        """Another head file of the same generation; None where the upstream has none. Raises Invalid for another's."""
        try:
            with asked(self._upstream, _below(record, name)) as reading:
                content = reading.all() if reading else b""
                self.count(len(content))
                modified = reading.modified if reading else 0.0
        except NotFound:
            return None
        if name == "Release" and "InRelease" in made.heads:
            plain = heads.read_apt(content, name=name, now=_moment(made.at), keyring=b"")
            signed = heads.read_apt(
                self.shelf.read(made.heads["InRelease"]), name=name, now=_moment(made.at), keyring=b""
            )
            if plain.sums != signed.sums:
                raise Invalid(
                    f"Release and InRelease of {self.known.upstream}/{record.root} are of two states of the archive.",
                    hint="The upstream is in the middle of an update; it is asked again.",
                )
        return self.shelf.add(content, modified=modified)

    def index(self, record: Record, made: Generation, path: str) -> File:
        """An index that this generation names; raises NotFound, or Invalid when the upstream has another one by now."""
        wanted = made.head.sums[path]
        for each in (made, *record.generations):
            if (present := each.find(wanted)) is not None and self.shelf.has(present):
                return present
        own = made.head.of_component(path)
        if own is not None and wanted.fits(hashlib.sha256(own).hexdigest(), len(own)):
            return self.shelf.add(own, modified=made.head.date.timestamp() if made.head.date else made.at)
        problem: PxeError | None = None
        for place in _places(made, path, wanted):
            try:
                with asked(self._upstream, _below(record, place)) as reading:
                    if reading is None:
                        continue
                    file = self.shelf.receive(reading, wanted, modified=reading.modified, name=reading.name)
                    self.count(file.size)
                    return file
            except (NotFound, Invalid) as error:  # the next place may be right
                if problem is None or isinstance(error, Invalid):
                    problem = error
        raise problem or NotFound(f"The upstream has no {path}.")

    @property
    def _upstream(self) -> Upstream:
        return self.known.upstream

    def _main(self, record: Record, validators: dict[str, str]) -> tuple[str, bytes | None, Reading | None]:
        """The head itself: InRelease, or Release where there is none; repomd.xml."""
        names = heads.YUM_HEADS[:1] if record.kind == "yum" else heads.APT_HEADS[:2]
        for name in names:
            known = bool(record.generations) and name in record.generations[0].heads
            try:
                with asked(self._upstream, _below(record, name), validators if known else None) as reading:
                    content = reading.all() if reading else None
                    self.count(len(content or b""))
                    return name, content, reading
            except NotFound:
                if name == names[-1]:
                    raise
        raise NotFound(f"The upstream has no {record.root}.")

    def _companions(self, record: Record, main: str) -> list[str]:
        """Head files that have to come along: those that were asked for, and the signature of a bare Release."""
        all_of = heads.YUM_HEADS if record.kind == "yum" else heads.APT_HEADS
        needed = {"Release.gpg"} if main == "Release" else set()
        return [name for name in all_of if name != main and (name in record.wanted or name in needed)]

    def _refuse_older(self, made: Generation, current: Generation) -> None:
        new, old = made.head.date, current.head.date
        if new is not None and old is not None and new < old:
            raise Invalid(
                f"{self.known.upstream} gives an index of {new:%Y-%m-%d %H:%M}, older than the one of "
                f"{old:%Y-%m-%d %H:%M} that is here.",
                hint="One of its servers lags behind; it is asked again.",
            )

    def _refuse_expired(self, made: Generation, current: Generation, now: float) -> None:
        """An archive that is kept as it was has been expired before, too."""
        until, before = made.head.valid_until, current.head.valid_until
        if until is not None and until.timestamp() < now and (before is None or before.timestamp() >= now):
            raise Invalid(
                f"The Release file of {self.known.upstream} was valid until {until:%Y-%m-%d %H:%M} UTC.",
                hint="Its mirror is no longer updated, or somebody holds updates back: use another one.",
            )

    def _refuse_changed(self, record: Record, main: str, made: Generation) -> None:
        """The last look: an upstream that changed while its indexes came would give us some of each."""
        with asked(self._upstream, _below(record, main), made.validators) as reading:
            if reading is not None and hashlib.sha256(reading.all()).hexdigest() != made.heads[main].sha256:
                raise Unavailable(
                    f"{self.known.upstream}/{record.root} changed while it was read.", hint="It is asked again."
                )


def _places(made: Generation, path: str, wanted: Sum) -> list[str]:
    if not made.head.by_hash:
        return [path]
    folder = path.rpartition("/")[0]
    by_hash = f"by-hash/SHA256/{wanted.digest}"
    return [f"{folder}/{by_hash}" if folder else by_hash, path]


def _below(record: Record, path: str) -> str:
    return f"{record.root}/{path}" if record.root else path


def _moment(at: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)
