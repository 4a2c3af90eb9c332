"""Seeding: what an installation is going to ask for is asked for now, through the cache, so that it is there later.

What is chosen is a mirror's selection (packages with what they need, a role's, a service's), and files come the way
that machines get them: by the front, which keeps them. Each is hashed, and one that came wrong is forgotten again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import http.client
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from sqlalchemy.orm import Session

from pxeapp.errors import Conflict, Invalid, NotFound, PxeError, Unavailable
from pxeapp.software.cache import configured, packages
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.indexes import heads
from pxeapp.software.content import space
from pxeapp.software.mirrors import installer, selection, service
from pxeapp.software.mirrors import sync as syncing
from pxeapp.software.mirrors.selection import Selection, Source
from pxeapp.software.packages import Package
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.running import Run

SEED = "cache.seed"
TIMEOUT_S = 120.0  # of silence; the front waits as long for an upstream
CHUNK = 256 * 1024
AT_ONCE = 4
SHOWN = 20  # failures that a sentence and a result list by name
PACKED = (".xz", ".gz", ".bz2", ".zst", "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to ask for, below /mirror/; without a checksum it is only had fetched."""

    upstream: str
    path: str
    sha256: str = ""
    size: int = 0


def order(
    session: Session, known: Mapping[str, Configured], name: str, given: Mapping[str, Any], *, actor: str,
    now: dt.datetime,
) -> SoftwareTask:  # fmt: skip
    """Order a seed of an upstream, or of several where the selection names them; raises Invalid, NotFound, Conflict."""
    # Machines verify what they install; here an index that nobody vouches for only costs room.
    said = {**given, "upstream": "" if given.get("sources") else name, "accept_unsigned": True, "accept_expired": True}
    chosen = service.said(session, known, said)
    _refuse(known, {source.upstream for source in chosen.sources})
    options = {"kind": chosen.kind, "architectures": list(chosen.architectures), "mirror": chosen.as_json()}
    return tasks.order(session, SEED, name, options, actor=actor, now=now)


def seed(run: Run, of_roles: syncing.OfRoles) -> dict[str, Any]:
    """The task. Its result says how much there is, and how much of that had to be fetched."""
    said = run.options
    chosen = selection.read(selection.kind_of(said["kind"]), said["architectures"], said["mirror"])
    with run.database.read() as session:
        known = configured.effective(session, run.settings)
    _refuse(known, {source.upstream for source in chosen.sources})
    run.says("Choosing packages")
    found = syncing.choice(run, chosen, of_roles(run, chosen))
    wanted = [
        _wanted(chosen.sources[each.source], each.package) for each in found.chosen if each.source != installer.OURS
    ]
    total = sum(each.size for each in wanted)
    _refuse_too_much(known, wanted)
    space.need(run.settings.data_dir / "cache", total, for_what=f"The seed of {run.subject}")
    indexes = _indexes(run, chosen)
    counted: Counter[str] = Counter()
    failed: list[str] = []
    done = 0
    front = urlsplit(run.settings.node_url)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {pool.submit(_get, front, each): each for each in wanted}
        try:
            for number, future in enumerate(as_completed(asked), 1):
                each = asked[future]
                done += each.size
                try:
                    counted["hits" if future.result() else "fetched"] += 1
                except PxeError as error:
                    failed.append(f"{each.path}: {error.sentence}")
                    if isinstance(error, Invalid):
                        packages.forget(run.settings.data_dir / "cache/packages", known[each.upstream], each.path)
                run.progress(done, total, unit="bytes", says=f"Fetching packages: {number} of {len(wanted)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        raise Unavailable(
            f"{len(failed)} of {len(wanted)} packages could not be had; the others are in the cache. "
            f"{' '.join(sorted(failed)[:SHOWN])}",
            hint=f"See what is wrong with the upstream, then: pxeapp software retry {run.task_id}",
        )
    return {
        "packages": len(wanted),
        "bytes": total,
        "fetched": counted["fetched"],
        "present": counted["hits"],
        "indexes": indexes,
        "unsatisfied": [asdict(each) for each in found.unsatisfied[:SHOWN]],
    }


def _refuse(known: Mapping[str, Configured], names: Collection[str]) -> None:
    for name in sorted(names):
        upstream = known.get(name)
        if upstream is None:
            raise NotFound(f"There is no upstream {name[:80]!r} to seed from.", hint="See: pxeapp cache list")
        if upstream.offline:
            raise Conflict(f"{name} is offline here.", hint=f"First: pxeapp cache online {name}")
        if not upstream.keep_packages:
            raise Conflict(
                f"{name} keeps no packages.", hint=f"Have it keep them: pxeapp cache set {name} --keep-packages"
            )


def _refuse_too_much(known: Mapping[str, Configured], wanted: Sequence[Wanted]) -> None:
    """What does not fit would push out what came before it."""
    sizes: Counter[str] = Counter()
    for each in wanted:
        sizes[each.upstream] += each.size
    for name, size in sizes.items():
        if size > known[name].max_bytes:
            raise Conflict(
                f"The packages of {name} come to {space.shown(size)}, and its cache is limited to "
                f"{space.shown(known[name].max_bytes)}.",
                hint=f"Raise it: pxeapp cache set {name} --max-size {size // 1024**3 * 2 + 1}G",
            )


def _wanted(source: Source, package: Package) -> Wanted:
    path = f"{source.path}/{package.path}" if source.path else package.path
    return Wanted(source.upstream, path, package.sha256, package.size)


def _indexes(run: Run, chosen: Selection) -> int:
    """Have the indexes here that a machine is going to read; how many."""
    front, count = urlsplit(run.settings.node_url), 0
    for source in chosen.sources:
        run.says(f"Fetching the indexes of {source}")
        base = f"{source.path}/" if source.path else ""
        root = f"{base}dists/{source.suite}" if chosen.kind == "deb" else base.rstrip("/")
        main = "InRelease" if chosen.kind == "deb" else heads.YUM_HEADS[0]
        below = f"{root}/" if root else ""
        content = _content(front, Wanted(source.upstream, f"{below}{main}"))
        if chosen.kind == "deb":
            named = heads.read_apt(content, name=str(source), now=run.now(), keyring=b"").sums
            paths = list(_of_deb(chosen, source, named))
        else:
            types = heads.read_yum(content, name=str(source)).asked_as
            paths = [path for path, kind in types.items() if not kind.endswith(("_db", "_zck"))]
            paths += [heads.YUM_HEADS[1]]
        for path in paths:
            try:
                _content(front, Wanted(source.upstream, f"{below}{path}"))
            except NotFound:
                continue  # named, and not kept by this upstream: a Packages that is there packed alone
            count += 1
            run.progress(0)
    return count


def _of_deb(chosen: Selection, source: Source, named: Mapping[str, heads.Sum]) -> Iterator[str]:
    """What apt asks for, and an installer where it is to be installed from here; the smallest of each, and .gz."""
    for component in source.components:
        folders = [f"{component}/binary-{architecture}" for architecture in (*chosen.architectures, "all")]
        if chosen.installer:
            folders += [f"{component}/debian-installer/binary-{each}" for each in chosen.architectures]
        for stem in (*(f"{folder}/Packages" for folder in folders), f"{component}/i18n/Translation-en"):
            there = [f"{stem}{end}" for end in PACKED if f"{stem}{end}" in named]
            yield from dict.fromkeys((*there[:1], *(each for each in there if each.endswith(".gz"))))


def _get(front: SplitResult, wanted: Wanted) -> bool:
    """Have the front fetch a file, and see that it is the right one; True where it had it already."""
    hasher, size = hashlib.sha256(), 0
    with _Asked(front, wanted) as response:
        while chunk := response.read(CHUNK):
            hasher.update(chunk)
            size += len(chunk)
        hit = response.headers.get("X-Cache") == "HIT"
    if (hasher.hexdigest(), size) != (wanted.sha256, wanted.size):
        raise Invalid("it is not what the index names, and was thrown away.")
    return hit


def _content(front: SplitResult, wanted: Wanted) -> bytes:
    with _Asked(front, wanted) as response:
        return response.read()


class _Asked:
    """One request to our own front, as a machine makes it. Raises NotFound, or Unavailable with the front's words."""

    def __init__(self, front: SplitResult, wanted: Wanted) -> None:
        kind = http.client.HTTPSConnection if front.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(front.hostname or "", front.port, timeout=TIMEOUT_S)
        self._path = f"{front.path}/mirror/{wanted.upstream}/{quote(wanted.path, safe='/+~:')}"

    def __enter__(self) -> http.client.HTTPResponse:
        try:
            self._connection.request("GET", self._path)
            response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(f"The front does not answer: {error!r}.", hint="Does pxeapp front run?") from error
        if response.status == http.client.OK:
            return response
        said = response.read(500).decode("utf-8", "replace").strip()
        self._connection.close()
        raise (NotFound if response.status == http.client.NOT_FOUND else Unavailable)(said)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._connection.close()
        if isinstance(error, OSError | http.client.HTTPException):
            raise Unavailable(f"it broke off: {error!r}.") from error
