"""What operators say of upstreams: rows over the defaults. The front follows them by itself, see front/process.py."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netaddr import AddrFormatError, IPAddress
from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp import audit, pinned
from pxeapp.config import Settings
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.sentences import few
from pxeapp.software import upstreams
from pxeapp.software.cache import configured
from pxeapp.software.cache.configured import Configured
from pxeapp.software.cache.models import SoftwareUpstream, UpstreamDay, UpstreamMissing, UpstreamState
from pxeapp.software.mirrors import service as mirrors

# All of these end up in nginx's configuration: nothing that could mean something there.
NAME = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
_PATH = r"(/[A-Za-z0-9._~+-]+)*"
_URL = re.compile(rf"https?://{_HOST}{_PATH}/?")
_ALIAS = re.compile(rf"{_HOST}{_PATH}/?")
_KEYRING = re.compile(r"/[A-Za-z0-9._/+-]{1,250}")
FIELDS = ("url", "kind", "max_bytes", "freshness_s", "offline", "keep_packages", "aliases", "keyring")
LEAST_BYTES, MOST_BYTES = 16 * 1024**2, 100 * 1024**4
MOST_FRESHNESS_S = 30 * 86400
MOST_ALIASES = 20
MOST = 200


def get(session: Session, settings: Settings, name: str) -> Configured:
    """An upstream by name, whoever named it; raises NotFound."""
    found = configured.effective(session, settings).get(name)
    if found is None:
        raise NotFound(f"There is no upstream {name[:80]!r}.", hint="See: pxeapp cache list")
    return found


def create(session: Session, settings: Settings, said: Mapping[str, Any], *, actor: str, now: dt.datetime) -> None:
    """Add an upstream, or say more of a default; raises Invalid with every problem, and then nothing was added."""
    name = str(said.get("name", ""))
    known = configured.effective(session, settings)
    if _row(session, name) is not None:
        raise Conflict(f"There already is an upstream {name}.", hint="Change it: PATCH /software/upstreams/NAME.")
    _save(session, settings, known, None, name, said, actor=actor, now=now)


def change(
    session: Session, settings: Settings, name: str, said: Mapping[str, Any], *, actor: str, now: dt.datetime
) -> None:
    """Change what is given of an upstream; a default gets a row with that."""
    known = configured.effective(session, settings)
    if name not in known:
        raise NotFound(f"There is no upstream {name[:80]!r}.", hint="See: pxeapp cache list")
    _save(session, settings, known, _row(session, name), name, said, actor=actor, now=now)


def delete(session: Session, settings: Settings, name: str, *, actor: str, now: dt.datetime) -> None:
    """Forget the row, with what was counted; a default is what it was before.

    Raises Conflict for a bare default, and for one that mirrors would miss.
    """
    before = get(session, settings, name)
    row = _row(session, name)
    if row is None:
        where = "PXEAPP_MIRROR_UPSTREAMS" if before.origin == "settings" else "this machine's package sources"
        raise Conflict(
            f"{name} comes from {where}, and has no row that could be removed.",
            hint=f"Take it out there, or switch it off: pxeapp cache offline {name}",
        )
    readers = mirrors.readers(session).get(name, []) if name not in configured.defaults(settings) else []
    if readers:
        raise Conflict(
            f"{name} is read by mirrors: {few(readers, 10)}.",
            hint="Have them read another upstream, or delete them first: pxeapp mirror delete NAME",
        )
    session.delete(row)
    for table in (UpstreamState, UpstreamDay, UpstreamMissing):
        session.execute(sql_delete(table).where(table.name == name))
    session.flush()
    after = configured.effective(session, settings).get(name)
    audit.record(
        session, at=now, actor=actor, action="upstream.delete", subject=f"upstream:{name}",
        **audit.difference(before.wire(), after.wire() if after else None),
    )  # fmt: skip


def _row(session: Session, name: str) -> SoftwareUpstream | None:
    query = select(SoftwareUpstream).where(SoftwareUpstream.name == name).with_for_update()
    return session.scalar(query) if re.fullmatch(NAME, name) else None


def _save(
    session: Session,
    settings: Settings,
    known: Mapping[str, Configured],
    row: SoftwareUpstream | None,
    name: str,
    said: Mapping[str, Any],
    *,
    actor: str,
    now: dt.datetime,
) -> None:
    before = known.get(name)
    base = before.wire() if before is not None else {}
    values = {**_defaults(), **{field: base[field] for field in FIELDS if field in base}}
    values |= {field: said[field] for field in FIELDS if said.get(field) is not None}
    if before is not None and before.origin != "operator" and values["url"] == before.url:
        values["url"] = ""  # it follows the default, wherever that goes
    own = configured.defaults(settings).get(name)
    if own is not None and values["keyring"] == own.keyring:
        values["keyring"] = ""
    values["url"] = str(values["url"]).rstrip("/")
    values["aliases"] = [_alias(str(alias)) for alias in values["aliases"]]
    problems = [] if re.fullmatch(NAME, name) else [
        FieldProblem("name", f"{name[:80]!r} cannot be an upstream's name.", "Use a-z, 0-9 and dashes, at most 32.")
    ]  # fmt: skip
    problems += _problems(settings, values, followed=own is not None)
    problems += _taken(known, name, values["aliases"])
    url = values["url"] or (own.url if own is not None else "")
    if not problems and (before is None or url != before.url):
        problems += _moved(known, name, url, before.url if before is not None and values["offline"] else "")
    if problems:
        raise Invalid("The upstream cannot be saved.", problems=problems)
    if row is None:
        if (session.scalar(select(func.count()).select_from(SoftwareUpstream)) or 0) >= MOST:
            raise Conflict(f"There are {MOST} upstreams already.", hint="Remove one that nobody needs.")
        row = SoftwareUpstream(name=name, version=0, created_at=now, updated_at=now, **values)
        session.add(row)
    elif all(getattr(row, field) == values[field] for field in FIELDS):
        return
    for field in FIELDS:
        setattr(row, field, values[field])
    row.version = (row.version or 0) + 1
    row.updated_at = now
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="upstream.change" if before else "upstream.create",
        subject=f"upstream:{name}",
        **audit.difference(before.wire() if before else None, get(session, settings, name).wire()),
    )  # fmt: skip


def _defaults() -> dict[str, Any]:
    return {
        "url": "", "kind": "apt", "max_bytes": configured.MAX_BYTES, "freshness_s": configured.FRESHNESS_S,
        "offline": False, "keep_packages": True, "aliases": [], "keyring": "",
    }  # fmt: skip


def _problems(settings: Settings, values: Mapping[str, Any], *, followed: bool) -> Iterable[FieldProblem]:
    if values["url"] or not followed:
        yield from _url_problems(settings, str(values["url"]))
    if values["kind"] not in ("apt", "yum"):
        yield FieldProblem("kind", f"{str(values['kind'])[:20]!r} is none.", "Use apt or yum.")
    if not LEAST_BYTES <= values["max_bytes"] <= MOST_BYTES:
        yield FieldProblem("max_bytes", "is too small or too large.", "From 16 MiB to 100 TiB; 20 GiB is usual.")
    if not 0 <= values["freshness_s"] <= MOST_FRESHNESS_S:
        yield FieldProblem("freshness_s", "is not within 0 to 30 days.", "300 asks at most every five minutes.")
    if len(values["aliases"]) > MOST_ALIASES:
        yield FieldProblem("aliases", f"are more than {MOST_ALIASES}.", "Name those that installers really use.")
    for number, alias in enumerate(values["aliases"]):
        if not _ALIAS.fullmatch(alias) or ".." in alias:
            fix = "Write HOST/PATH as installers do: deb.debian.org/debian."
            yield FieldProblem(f"aliases[{number}]", f"{alias[:80]!r} is no host with a path.", fix)
    keyring = str(values["keyring"])
    if keyring:
        folders = configured.keyring_folders(settings)
        inside = _KEYRING.fullmatch(keyring) and ".." not in keyring and Path(keyring).parent in folders
        if not inside or not Path(keyring).is_file():
            fix = f"Name a file in {', '.join(map(str, folders))}."
            yield FieldProblem("keyring", f"{keyring[:100]!r} is no keyring here.", fix)


def _url_problems(settings: Settings, url: str) -> Iterable[FieldProblem]:
    fix = "Write http://HOST/PATH or https://HOST/PATH."
    if not _URL.fullmatch(url) or ".." in url or len(url) > 500:
        yield FieldProblem("url", f"{url[:80]!r} is no address of an upstream.", fix)
        return
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        yield FieldProblem("url", "has a port that is none.", fix)
        return
    host = parts.hostname or ""
    try:
        IPAddress(host)
    except (AddrFormatError, ValueError):
        return  # a name: its addresses are looked at whenever it is asked for, since they change
    if not pinned.allowed(host, settings.fetch_networks):
        fix = "Addresses of this host and link-local ones are refused; PXEAPP_FETCH_NETWORKS names what is allowed."
        yield FieldProblem("url", f"{host} may not be contacted by this appliance.", fix)


def _taken(known: Mapping[str, Configured], name: str, aliases: Iterable[str]) -> Iterable[FieldProblem]:
    """The proxy has to know which upstream is meant."""
    whose = {address: other.name for other in known.values() if other.name != name for address in addresses(other)}
    for number, alias in enumerate(aliases):
        if alias in whose:
            fix = "Take it away there first."
            yield FieldProblem(f"aliases[{number}]", f"{alias} is answered by {whose[alias]}.", fix)


def _moved(known: Mapping[str, Configured], name: str, url: str, kept_from: str) -> Iterable[FieldProblem]:
    """What stands against a new address; `kept_from` is the former one of an upstream that is offline.

    Packages come from the new one from then on, and those of the former one are not served any more: by the same name
    it may be something else there. Of an upstream that is offline nothing would be left.
    """
    upstream = upstreams.parse(name, url)
    address = f"{upstream.authority.lower()}{upstream.path}"
    answering = next((each.name for each in known.values() if each.name != name and address in each.aliases), "")
    if answering:
        yield FieldProblem("url", f"{address} is an alias of {answering}.", "Take it away there first.")
    if kept_from:
        yield FieldProblem(
            "url",
            f"cannot change while {name} is offline: packages that are here came from {kept_from}, and none would be "
            "served any more.",
            f"First: pxeapp cache online {name}.",
        )


def addresses(upstream: Configured) -> tuple[str, ...]:
    """HOST[:PORT]/PATH for which the proxy answers from this upstream: its own, and its aliases."""
    own = upstream.upstream
    return (*(() if own.scheme == "unix" else (f"{own.authority.lower()}{own.path}",)), *upstream.aliases)


def _alias(said: str) -> str:
    """In one spelling: host names know no case, paths do."""
    host, slash, path = said.strip().removeprefix("http://").partition("/")
    return f"{host.lower()}{slash}{path}".rstrip("/")
