"""The cache: which upstreams there are, how each is kept, what machines asked of it, and seeding."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from pxeapp.accounts.permissions import verdict
from pxeapp.api.context import actor, context
from pxeapp.api.software.upstreams import shown_with_state
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, NotFound, PxeError
from pxeapp.software.cache import configured, purging, seeding, service, statistics
from pxeapp.software.cache.configured import Configured
from pxeapp.software.content.space import shown as size_shown
from pxeapp.software.tasks import service as tasks
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import by_field, in_full
from pxeapp.ui.language import N_
from pxeapp.ui.software.tasks import task_line

GIB = 1024**3
ONLINE, OFFLINE = N_("online"), N_("offline")
WHY = {"absent": N_("the upstream has none"), "offline": N_("offline here"), "upstream": N_("no answer")}
ORIGINS = {
    "settings": N_("by the settings"), "host": N_("by this machine's package sources"),
    "operator": N_("by an operator"),
}  # fmt: skip
SEED_KIND = N_("cache.seed")
DAYS = 7


@bp.get("/software/cache")
def upstreams() -> ResponseReturnValue:
    """The upstreams, and a form for one more."""
    return _page({})


@bp.get("/software/cache/part")
def upstreams_part() -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_upstreams.html", **_list())


@bp.post("/software/cache")
def create_upstream() -> ResponseReturnValue:
    """Add an upstream."""
    form = {name: request.form.get(name, "").strip() for name in ("name", "url", "kind")}
    try:
        with context().database.write() as session:
            service.create(session, context().settings, form, actor=actor().label, now=now())
    except PxeError as error:
        return _page(form, problem=in_full(error), errors=_errors(error)), error.status
    return redirect(url_for("ui.upstream", name=form["name"]), HTTPStatus.SEE_OTHER)


@bp.get("/software/cache/<name>")
def upstream(name: str) -> ResponseReturnValue:
    """One upstream: its sets, its numbers, what was missing."""
    return _one(name)


@bp.get("/software/cache/<name>/part")
def upstream_part(name: str) -> ResponseReturnValue:
    """The part of the page that changes."""
    return render_template("software/_upstream.html", **_detail(name))


@bp.post("/software/cache/<name>")
def change_upstream(name: str) -> ResponseReturnValue:
    """Keep it otherwise."""
    form = request.form

    def change(session: Session) -> None:
        shown = _kept(service.get(session, context().settings, name).wire())
        values = {
            "url": form.get("url", "").strip(),
            "kind": form.get("kind", ""),
            # The form rounds both: what nobody has touched stays what it is.
            "max_bytes": _changed(form, shown, "max_gib", GIB),
            "freshness_s": _changed(form, shown, "freshness_minutes", 60),
            "keep_packages": "keep_packages" in form,
            "aliases": form.get("aliases", "").split(),
            "keyring": form.get("keyring", "").strip(),
        }
        service.change(session, context().settings, name, values, actor=actor().label, now=now())

    return _act(name, change, dict(form))


@bp.post("/software/cache/<name>/switch")
def switch_upstream(name: str) -> ResponseReturnValue:
    """Ask it nothing, or ask it again."""
    wanted = {"offline": request.form.get("to") == "offline"}
    return _act(
        name, lambda session: service.change(session, context().settings, name, wanted, actor=actor().label, now=now())
    )


@bp.post("/software/cache/<name>/seed")
def seed_upstream(name: str) -> ResponseReturnValue:
    """Fetch what an installation will ask for."""
    form = request.form
    given = {
        "release": form.get("release", "").strip(),
        "packages": form.get("packages", "").split(),
        "roles": [{"role": role} for role in form.get("roles", "").split()],
        "base": "base" in form,
        "installer": "installer" in form,
    }

    def order(session: Session) -> None:
        known = configured.effective(session, context().settings)
        if name not in known:
            raise NotFound(f"There is no upstream {name[:80]!r}.")
        seeding.order(session, known, name, given, actor=actor().label, now=now())

    return _act(name, order, dict(form))


@bp.post("/software/cache/<name>/purge")
def purge_upstream(name: str) -> ResponseReturnValue:
    """Throw away what came wrong, and say on the same page what went."""
    own, form = context(), {"path": request.form.get("path", "").strip()}
    try:
        went = purging.purge(own.database, own.settings, name, form["path"], actor=actor().label, now=now())
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return _one(name, problem=in_full(error), errors=_errors(error), form=form), error.status
    return _one(name, went={**went, "size": size_shown(went["bytes"])})


@bp.post("/software/cache/<name>/delete")
def delete_upstream(name: str) -> ResponseReturnValue:
    """Forget it."""
    try:
        with context().database.write() as session:
            service.delete(session, context().settings, name, actor=actor().label, now=now())
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return _one(name, problem=in_full(error)), error.status
    return redirect(url_for("ui.upstreams"), HTTPStatus.SEE_OTHER)


def _act(name: str, do: Callable[[Session], object], form: dict[str, str] | None = None) -> ResponseReturnValue:
    try:
        with context().database.write() as session:
            do(session)
    except PxeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            with context().database.read() as session:
                service.get(session, context().settings, name)  # of no upstream there is no page to say it on
        return _one(name, problem=in_full(error), errors=_errors(error), form=form), error.status
    return redirect(url_for("ui.upstream", name=name), HTTPStatus.SEE_OTHER)


def _number(field: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text.strip()):
        raise Invalid(
            "The upstream cannot be saved.", problems=[FieldProblem(field, "is no whole number.", "Write 20.")]
        )
    return int(text)


def _changed(form: Mapping[str, str], shown: Mapping[str, str], field: str, unit: int) -> int | None:
    said = form.get(field, "")
    return None if said == shown[field] else _number(field, said) * unit


def _kept(shown: Mapping[str, Any]) -> dict[str, str]:
    """How an upstream is kept, as the form has it."""
    return {
        "url": shown["url"],
        "kind": shown["kind"],
        "max_gib": str(max(1, shown["max_bytes"] // GIB)),
        "freshness_minutes": str(shown["freshness_s"] // 60),
        "aliases": "\n".join(shown["aliases"]),
        "keyring": shown["keyring"],
        "keep_packages": "1" if shown["keep_packages"] else "",
    }


def _errors(error: PxeError) -> dict[str, str]:
    found = by_field(error)
    names = {"max_bytes": "max_gib", "freshness_s": "freshness_minutes"}
    return {names.get(field, field.partition("[")[0]): text for field, text in found.items()}


def _page(form: dict[str, Any], *, problem: str = "", errors: dict[str, str] | None = None) -> str:
    return render_template("software/upstreams.html", problem=problem, errors=errors or {}, form=form, **_list())


def _list() -> dict[str, Any]:
    with context().database.read() as session:
        known = configured.effective(session, context().settings)
        return {
            "upstreams": [_line(session, each) for each in known.values()],
            "may_create": not verdict(actor(), "upstreams.create", "POST"),
        }


def _line(session: Session, known: Configured) -> dict[str, Any]:
    counted = statistics.of(session, known.name, days=DAYS, now=now())
    packages = counted["hits"] + counted["misses"]
    return {
        **shown_with_state(session, known),
        "state": OFFLINE if known.offline else ONLINE,
        "named": ORIGINS[known.origin],
        "share": 100 * counted["hits"] // packages if packages else None,
        "spared": size_shown(counted["bytes_from_cache"]),
        "fetched": size_shown(counted["bytes_from_upstream"]),
        "limit": size_shown(known.max_bytes),
        "counted": counted,
    }


def _one(
    name: str,
    *,
    problem: str = "",
    errors: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
    went: dict[str, Any] | None = None,
) -> str:
    found = _detail(name)
    typed = form or {}
    kept = typed if "max_gib" in typed else _kept(found["upstream"])
    return render_template(
        "software/upstream.html", problem=problem, errors=errors or {}, form=typed, kept=kept, went=went, **found
    )


def _detail(name: str) -> dict[str, Any]:
    with context().database.read() as session:
        known = service.get(session, context().settings, name)
        line = _line(session, known)
        going = tasks.listing(session, limit=3, running=True, kind=seeding.SEED, subject=name)
        last = tasks.listing(session, limit=1, running=False, kind=seeding.SEED, subject=name)
    for each in line["sets"]:
        each["size"] = size_shown(each["bytes"])
        each |= {what: _moment(each[f"{what}_at"]) for what in ("changed", "checked")}
    missing = [
        {**each, "why": WHY[each["why"]], "at": _moment(each["last_at"])} for each in line["counted"]["missing"][:20]
    ]
    return {
        "upstream": line,
        "missing": missing,
        "days": DAYS,
        "tasks": [task_line(row) for row in (*going, *(each for each in last if not going))],
        "may_change": not verdict(actor(), "upstreams.change", "PATCH"),
        "may_delete": bool(known.version) and not verdict(actor(), "upstreams.delete", "DELETE"),
        "may_purge": not known.offline and not verdict(actor(), "upstreams.purge", "POST"),
        "may_seed": not known.offline and not verdict(actor(), "upstreams.seed", "POST"),
    }


def _moment(iso: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(iso) if iso else None
