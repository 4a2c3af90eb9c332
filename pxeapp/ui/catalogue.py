"""Networks, releases, roles and clusters: listed, and changed as YAML, with what comes of it shown before.

Saving goes the way of the API's PATCH, with the version that was read: what somebody changed meanwhile stays theirs.
Earlier versions are catalogue_versions.py's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import yaml
from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from pxeapp import versions
from pxeapp.accounts.permissions import ADMIN, allows
from pxeapp.answers import clusters, role_vars, roles
from pxeapp.api import clusters as clusters_api
from pxeapp.api import etags
from pxeapp.api import networks as networks_api
from pxeapp.api import releases as releases_api
from pxeapp.api import roles as roles_api
from pxeapp.api.context import actor, context, site
from pxeapp.api.diffs import DiffIn
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, NotFound, PxeError
from pxeapp.machines import networks, wire
from pxeapp.provisioning import members, previews, uses
from pxeapp.provisioning.diffs import Look
from pxeapp.provisioning.members import Agree
from pxeapp.provisioning.proposals import Proposal
from pxeapp.software import releases
from pxeapp.ui import differences
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import in_full
from pxeapp.ui.language import N_, _
from pxeapp.ui.templates import GROUPS_SHOWN, coloured, shown_group

Values = dict[str, Any]
LONGEST = 200_000  # characters of YAML
LONGEST_FIELD = 500
LONGEST_NAME = 63
LISTED = 1000
# What a page of one shows besides, where there is nothing of it to show.
NOTHING: Mapping[str, Any] = {
    "problem": "", "notice": "", "difference": None, "preview": None, "gone": False, "typed": {}, "deleting": {},
}  # fmt: skip
# What somebody did, as versions keep it.
ACTIONS = {
    "found": N_("was there"),
    "create": N_("made"),
    "change": N_("changed"),
    "replace": N_("replaced"),
    "rotate": N_("secrets made anew"),
    "generate": N_("secrets made"),
    "upgrade": N_("came with the appliance"),
    "delete": N_("deleted"),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: how it is listed, shown and changed, and which columns its list has."""

    label: str
    listing: Callable[..., Any]
    shown: Callable[[Session, str], Values]
    model: type[BaseModel]  # what can be changed
    change: Callable[[Session, str, Values, Agree], None]
    columns: tuple[str, ...]
    wire: Callable[[Session, Sequence[Any]], list[Values]]
    delete: Callable[[Session, str], None]
    create: Callable[[Session, Values], Any] | None = None
    begin: str = ""  # what a new one begins with


def _hand(session: Session) -> Any:
    return clusters.hand(session, context().vault, context().templates, actor=actor().label, now=now())


def _clusters(session: Session, rows: Sequence[Any]) -> list[Values]:
    """Each with the number of its machines: one question for all of them."""
    sizes = clusters.sizes(session, rows)
    return [clusters.wire(row, sizes[row.name]) for row in rows]


def _change_network(session: Session, name: str, values: Values, agree: Agree) -> None:
    members.save_network(session, context().templates, name, values, agree=agree, actor=actor().label, now=now())


def _change_release(session: Session, name: str, values: Values, agree: Agree) -> None:
    with members.on_release(session, context().templates, name):
        releases.save(session, name, values, agree=agree, actor=actor().label, now=now())


def _change_role(session: Session, name: str, values: Values, agree: Agree) -> None:
    members.save_role(session, context().templates, _hand(session), name, values, agree=agree)


def _change_cluster(session: Session, name: str, values: Values, agree: Agree) -> None:
    members.save_cluster(session, context().templates, _hand(session), name, values, agree=agree)


def _delete_network(session: Session, name: str) -> None:
    networks.delete(session, name, actor=actor().label, now=now())


def _delete_release(session: Session, name: str) -> None:
    uses.refuse_used_release(session, name)
    releases.remove(session, name, actor=actor().label, now=now())


def _delete_role(session: Session, name: str) -> None:
    roles.delete(session, name, actor=actor().label, now=now())


def _delete_cluster(session: Session, name: str) -> None:
    clusters.delete(session, name, actor=actor().label, now=now())


KINDS: dict[str, Kind] = {
    "networks": Kind(
        N_("Networks"), networks.listing, lambda session, name: networks.wire(networks.get(session, name)),
        networks_api.NetworkChange, _change_network, ("cidr", "gateway", "vlan", "dhcp_start", "dhcp_end"),
        lambda _session, rows: [networks.wire(row) for row in rows], _delete_network,
        lambda session, values: networks.create(session, values, actor=actor().label, now=now()),
        "cidr: 10.77.0.0/24\ngateway: 10.77.0.1\ndns: [10.77.0.1]\n",
    ),
    "releases": Kind(
        N_("Releases"), releases.listing, lambda session, name: releases.wire(releases.get(session, name)),
        releases_api.ReleaseChange, _change_release, ("family", "version", "installer", "ready"),
        lambda _session, rows: [releases.wire(row) for row in rows], _delete_release,
    ),
    "roles": Kind(
        N_("Roles"), roles.listing, lambda session, name: roles.wire(roles.get(session, name)),
        roles_api.RoleChange, _change_role, ("description", "builtin"),
        lambda _session, rows: [roles.wire(row) for row in rows], _delete_role,
        lambda session, values: role_vars.create(session, _hand(session), values),
        "description: What it is for\npackages:\n  debian: []\n  el: []\n",
    ),
    "clusters": Kind(
        N_("Clusters"), clusters.listing, lambda session, name: _clusters(session, [clusters.get(session, name)])[0],
        clusters_api.ClusterChange, _change_cluster, ("description", "machines"), _clusters,
        _delete_cluster,
        lambda session, values: clusters.create(session, _hand(session), values),
        "description: What it is for\nvars: {}\n",
    ),
}  # fmt: skip


@bp.get("/catalogue", defaults={"kind": "networks"})
@bp.get("/catalogue/<kind>")
def catalogue(kind: str) -> ResponseReturnValue:
    """All of one kind."""
    about = kind_of(kind)
    with context().database.read() as session:
        items = about.wire(session, about.listing(session, limit=LISTED))
        gone = versions.deleted(session, kind, limit=LISTED)
    may, deleted = allows(actor().role, ADMIN), request.args.get("deleted", "")[:LONGEST_NAME]
    return render_template(
        "catalogue.html", kinds=KINDS, kind=kind, about=about, items=items, gone=gone, may=may, deleted=deleted
    )


@bp.get("/catalogue/<kind>/<name>")
def catalogue_item(kind: str, name: str) -> ResponseReturnValue:
    """One of them as YAML, with what cannot be changed beside it; an empty one of a new name; or what is left."""
    about = kind_of(kind)
    with context().database.read() as session:
        try:
            present = about.shown(session, name)
        except NotFound:
            new = about.create is not None and request.args.get("new")
            if not new and not versions.listing(session, kind, name):
                raise
            return _page(kind, name, None, about.begin, gone=not new)
    return _page(kind, name, present, written(about, present), notice=_("Saved.") if request.args.get("saved") else "")


@bp.get("/catalogue/<kind>/new")
def new_item(kind: str) -> ResponseReturnValue:
    """To the page of one that there is not yet."""
    name = request.args.get("name", "").strip()
    place = url_for("ui.catalogue_item", kind=kind, name=name, new=1) if name else url_for("ui.catalogue", kind=kind)
    return redirect(place, 303)


@bp.post("/catalogue/<kind>/<name>")
def edit_item(kind: str, name: str) -> ResponseReturnValue:
    """Look at one machine, look at all machines, or save it: `do` says which."""
    about = kind_of(kind)
    text = request.form.get("text", "")[:LONGEST].replace("\r\n", "\n")
    tag = request.form.get("tag", "")
    typed = {name: request.form.get(name, "").strip()[:LONGEST_FIELD] for name in ("machine", "comment")}
    found: dict[str, Any] | None = None
    looked: dict[str, Any] | None = None
    with context().database.read() as session:
        try:
            present: Values | None = about.shown(session, name)
        except NotFound:
            present = None
    try:
        values = _understood(about, text)
        if request.form.get("do") == "save":
            with versions.because(typed["comment"]):
                _save(about, name, values, present, tag)
            return redirect(url_for("ui.catalogue_item", kind=kind, name=name, saved=1), 303)
        if present is not None:
            proposal = _proposal(kind, name, _changed(about, values, present))
            if request.form.get("do") == "preview":
                looked = preview(proposal, typed["machine"])
            else:
                found = differences.asked(proposal)
    except PxeError as error:
        page = _page(kind, name, present, text, problem=in_full(error), tag=tag, typed=typed)
        return page, HTTPStatus.UNPROCESSABLE_ENTITY
    notice = "" if found or looked else _("It can be understood; whether it can be saved, saving tells.")
    return _page(kind, name, present, text, difference=found, preview=looked, notice=notice, tag=tag, typed=typed)


@bp.post("/catalogue/<kind>/<name>/delete")
def delete_item(kind: str, name: str) -> ResponseReturnValue:
    """Delete it, if its name was typed and nothing uses it; what is wrong stands at the form."""
    about = kind_of(kind)
    typed, tag = request.form.get("name", "").strip()[:LONGEST_FIELD], request.form.get("tag", "")
    with context().database.read() as session:
        present = about.shown(session, name)
    error, problem = "", ""
    if typed != name:
        error = _("Type %(name)s: nothing was deleted.", name=name)
    else:
        try:
            with context().database.write() as session:
                etags.check_seen(about.shown(session, name), tag)
                about.delete(session, name)
        except PxeError as refused:
            problem = in_full(refused)
    if not error and not problem:
        if kind == "releases":
            releases.sweep(context().database, context().settings)
        return redirect(url_for("ui.catalogue", kind=kind, deleted=name), 303)
    deleting = {"typed": typed, "error": error, "problem": problem}
    page = _page(kind, name, present, written(about, present), tag=tag, deleting=deleting)
    return page, HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.CONFLICT


def kind_of(kind: str) -> Kind:
    """What is known of a kind; raises NotFound."""
    if kind not in KINDS:
        raise NotFound("There is no such page.")
    return KINDS[kind]


def _save(about: Kind, name: str, values: Values, present: Values | None, tag: str) -> None:
    if present is not None:
        with context().database.write() as session:
            agree = functools.partial(etags.check_seen, tag=tag)
            about.change(session, name, _changed(about, values, present), agree)
    elif about.create is not None:
        with context().database.write() as session:
            about.create(session, {**values, "name": name})


def written(about: Kind, present: Mapping[str, Any]) -> str:
    """What can be changed of one, as YAML."""
    return as_yaml({name: present[name] for name in about.model.model_fields if name in present})


def as_yaml(fields: Mapping[str, Any]) -> str:
    """For people to read."""
    return yaml.safe_dump(dict(fields), allow_unicode=True, sort_keys=False, default_flow_style=False, width=100)


def _understood(about: Kind, text: str) -> Values:
    """What was written, checked field by field; raises Invalid."""
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = _("Line %(line)s: it is not YAML.", line=mark.line + 1) if mark else _("It is not YAML.")
        raise Invalid(where) from None
    except RecursionError:
        raise Invalid(_("It is nested too deeply.")) from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise Invalid(_("Write NAME: VALUE in each line."))
    try:
        about.model.model_validate(values)
    except ValidationError as error:
        problems = [
            FieldProblem("" if each.field == "machine" else each.field, each.problem, each.fix)
            for each in wire.problems(error)
        ]
        raise Invalid(_("It cannot be saved."), problems=problems) from None
    return values


def _changed(about: Kind, values: Values, present: Mapping[str, Any] | None) -> Values:
    """Only what is another by now: what is shown masked stays what it is."""
    before = present or {}
    said_so = about.model.model_validate(values).model_dump(exclude_unset=True)
    return {name: value for name, value in said_so.items() if before.get(name) != value}


def _proposal(kind: str, name: str, values: Values) -> Proposal:
    if not values:
        raise Invalid(_("Nothing is changed yet."))
    return DiffIn.model_validate({kind: {name: values}}).proposal()


def preview(proposal: Proposal, machine: str) -> dict[str, Any]:
    """What would come of it for one machine, in full."""
    own = context()
    with own.database.read() as session:
        found = previews.preview(session, Look(own.checker, site(session)), proposal, machine, now=now())
    return {**found, "files": [{**each, "diff": coloured(each["diff"])} for each in found["files"]]}


def shown_groups(found: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The groups of a difference that a page shows."""
    return [shown_group(group) for group in ((found or {}).get("groups") or [])[:GROUPS_SHOWN]]


def _page(kind: str, name: str, present: Values | None, text: str, **more: Any) -> str:
    about = KINDS[kind]
    settable = about.model.model_fields
    facts = {each: value for each, value in (present or {}).items() if each not in settable and each != "name"}
    tag = more.pop("tag", "") or (etags.of(present) if present is not None else "")
    with context().database.read() as session:
        kept = versions.listing(session, kind, name)
    return render_template(
        "catalogue_item.html",
        kind=kind, about=about, name=name, text=text, new=present is None, facts=facts, tag=tag,
        versions=kept, actions=ACTIONS,
        may=allows(actor().role, ADMIN), groups=shown_groups(more.get("difference")),
        **{**NOTHING, **more},
    )  # fmt: skip
