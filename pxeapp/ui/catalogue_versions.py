"""Earlier versions of networks, releases, roles and clusters: looked at, compared, and gone back to.

Before it goes back a page shows what that would change on machines, as before an edit is saved; and it goes back only
from what was seen.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pxeapp import versions
from pxeapp.accounts.permissions import ADMIN, allows
from pxeapp.api import etags
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.api.versions import restored
from pxeapp.errors import Invalid, PreconditionFailed, PxeError
from pxeapp.provisioning import rollback
from pxeapp.provisioning.proposals import Proposal
from pxeapp.provisioning.rollback import Body
from pxeapp.provisioning.veil import Veil
from pxeapp.ui import catalogue, differences
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import in_full
from pxeapp.ui.language import _
from pxeapp.ui.templates import Lines, line_difference


@bp.get("/catalogue/<kind>/<name>/versions/<int:number>")
def catalogue_version(kind: str, name: str, number: int) -> str:
    """One version against what there is now, or against another one (`to`)."""
    return _page(kind, name, number)


@bp.post("/catalogue/<kind>/<name>/versions/<int:number>")
def restore_item(kind: str, name: str, number: int) -> ResponseReturnValue:
    """Look at what going back would change, for one machine or for all, or go back: `do` says which."""
    catalogue.kind_of(kind)
    tag, action = request.form.get("tag", ""), request.form.get("do", "")
    typed = {each: request.form.get(each, "").strip()[: versions.LONGEST_COMMENT] for each in ("machine", "comment")}
    found: dict[str, Any] | None = None
    looked: dict[str, Any] | None = None
    try:
        if action == "restore":
            agree = functools.partial(etags.check_seen, tag=tag)
            agree_new = functools.partial(_agree_new, tag)
            restored(kind, name, number, agree=agree, agree_new=agree_new, comment=typed["comment"])
            return redirect(url_for("ui.catalogue_item", kind=kind, name=name, saved=1), 303)
        proposal = _proposal(kind, name, number)
        if action == "preview":
            looked = catalogue.preview(proposal, typed["machine"])
        else:
            found = differences.asked(proposal)
    except PxeError as error:
        page = _page(kind, name, number, problem=in_full(error), tag=tag, typed=typed)
        return page, HTTPStatus.UNPROCESSABLE_ENTITY
    return _page(kind, name, number, difference=found, preview=looked, tag=tag, typed=typed)


def _agree_new(tag: str) -> None:
    """Raises PreconditionFailed where the page showed one that was there."""
    if tag:
        raise PreconditionFailed("It was changed meanwhile; nothing was changed now.", hint="Read it again.")


def _proposal(kind: str, name: str, number: int) -> Proposal:
    with context().database.read() as session:
        body = versions.body(session, kind, name, number)
        if rollback.present(session, kind, name) is None:
            raise Invalid(_("It is not there now, so that no machine is given anything of it."))
    return Proposal(bodies={kind: {name: body}})


def _page(kind: str, name: str, number: int, **more: Any) -> str:
    about = catalogue.kind_of(kind)
    against = row_number(request.args.get("to", ""))
    with context().database.read() as session:
        row = versions.get(session, kind, name, number)
        kept = versions.listing(session, kind, name)
        present = rollback.present(session, kind, name)
        shown = about.shown(session, name) if present is not None else None
        other = versions.get(session, kind, name, against).body if against else present
    text = catalogue.as_yaml(rollback.KINDS[kind].body_shown(row.body)) if row.body is not None else ""
    older_first = not against or number < against
    lines = _lines(row.body, other) if older_first else _lines(other, row.body)
    tag = more.pop("tag", "") or (etags.of(shown) if shown is not None else "")
    return render_template(
        "catalogue_version.html",
        kind=kind, about=about, name=name, row=row, versions=kept, against=against, text=text, lines=lines, tag=tag,
        there=present is not None, older_first=older_first, may=allows(actor().role, ADMIN), actions=catalogue.ACTIONS,
        groups=catalogue.shown_groups(more.get("difference")),
        **{"problem": "", "difference": None, "preview": None, "typed": {}, **more},
    )  # fmt: skip


def _lines(older: Body | None, newer: Body | None) -> Lines:
    """What differs between two of its versions, a changed secret among it; of what was not there, nothing stands."""
    veil, vault = Veil(), context().vault
    before, after = (
        catalogue.as_yaml(rollback.veiled(vault, veil, body)) if body is not None else "" for body in (older, newer)
    )
    return line_difference(before, after)
