"""`POST /diff`: what a change would do to every machine that it touches, before it is saved."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.accounts.permissions import ADMIN, allows
from pxeapp.api import jobs as jobs_api
from pxeapp.api.clusters import ClusterChange
from pxeapp.api.context import actor, context, site
from pxeapp.api.networks import NetworkChange
from pxeapp.api.releases import ReleaseChange
from pxeapp.api.roles import RoleChange
from pxeapp.db import now
from pxeapp.errors import Forbidden
from pxeapp.machines.narrowing import Narrowed
from pxeapp.provisioning import comparing, diffs
from pxeapp.provisioning.diffs import Look
from pxeapp.provisioning.proposals import Proposal, Selection

bp = APIBlueprint("diffs", __name__, url_prefix="/api/v1", tag="Deployments")
SHOWN = 20
MOST = 1000
Name = Annotated[str, Field(max_length=255)]


class Select(Narrowed):
    """Which machines; all of them when left out."""

    model_config = ConfigDict(extra="forbid")
    names: list[Name] = Field(default=[], max_length=10_000)

    def selection(self) -> Selection:
        """In our words."""
        return Selection(tuple(self.names), self.filter())


class DiffIn(BaseModel):
    """What is thought of, any of these together. Patches are what PATCH of the same thing takes."""

    model_config = ConfigDict(extra="forbid")
    templates: Annotated[
        dict[str, str | None],
        Field(description="Text by name, as kickstarts/base.ks; null: the site's own is deleted.", max_length=20),
    ] = {}
    roles: dict[str, RoleChange] = {}
    networks: dict[str, NetworkChange] = {}
    releases: dict[str, ReleaseChange] = {}
    clusters: dict[str, ClusterChange] = {}
    vars: Annotated[dict[str, Any], Field(description="Of each selected machine; null takes one away.")] = {}
    to_release: str | None = None
    to_role: str | None = None
    select: Select = Select()
    limit: Annotated[int, Field(ge=1, le=MOST, description="Machines that are named in each group.")] = SHOWN

    def proposal(self) -> Proposal:
        """In our words."""
        return Proposal(
            templates=self.templates,
            roles={name: patch.model_dump(exclude_none=True) for name, patch in self.roles.items()},
            networks={name: patch.model_dump(exclude_unset=True) for name, patch in self.networks.items()},
            releases={
                name: patch.model_dump(exclude_unset=True, exclude_none=True) for name, patch in self.releases.items()
            },
            clusters={name: _said(patch) for name, patch in self.clusters.items()},
            vars=self.vars,
            to_release=self.to_release,
            to_role=self.to_role,
        )


def _said(patch: ClusterChange) -> dict[str, Any]:
    """Only what was said; a null among its variables or secrets was."""
    found = {name: getattr(patch, name) for name in patch.model_fields_set}
    return {name: value for name, value in found.items() if value is not None}


class Some(BaseModel):
    """Machines: how many, the first of them by name, and how many more."""

    count: int
    machines: list[str]
    more: int


class DiffFileOut(BaseModel):
    """A file that would be another one, as a unified difference."""

    kind: str
    diff: str


class DiffFaultOut(Some):
    """What would be wrong with a file, and on which machines. `already`: it is now, too."""

    kind: str
    line: int | None
    template: str | None
    template_line: int | None
    problem: str
    fix: str
    advice: bool
    text: str
    already: bool


class DiffGroupOut(Some):
    """Machines with the same difference, shown on the first of them."""

    example: str
    files: list[DiffFileOut]
    faults: list[DiffFaultOut]


class DiffFailureOut(Some):
    """Machines that could not be given a file, all for the same reason. `already`: nor can they be given it now."""

    reason: str
    already: bool


class DiffOut(BaseModel):
    """What a change would do: groups of machines with the same difference, the largest first."""

    differs: bool
    looked_at: int
    changed: int
    unchanged: int
    without_release_or_role: int
    groups: list[DiffGroupOut]
    failures: list[DiffFailureOut]
    mended: Some
    faulty: int
    unchecked: int
    notes: list[str]


@bp.post("/diff")
@bp.input(DiffIn, arg_name="said")
@bp.doc(
    description="Nothing is saved. Machines with the same difference are one group, shown on the first of them; "
    "secrets are masked. Templates may be proposed by admins only: a template can say a secret in other words. "
    f"More than {comparing.AT_ONCE} machines take longer than a request should: then it answers 202 with a job, and "
    "`/jobs/{id}/comparison` has the answer once the job has ended."
)
def compare(said: DiffIn) -> dict[str, Any] | Response:
    """Compare what machines are given now with what they would be given if this were saved"""
    if said.templates and not allows(actor().role, ADMIN):
        raise Forbidden(
            "Templates may be proposed by admins only, since a template can write a secret in other words.",
            hint="Ask an admin, or leave `templates` out.",
        )
    own = context()
    proposal, selection = said.proposal(), said.select.selection()
    with own.database.read() as session:
        look = Look(own.checker, site(session))
        if not comparing.takes_long(session, selection):
            return diffs.compare(session, look, proposal, selection, now=now()).to_dict(said.limit)
        diffs.check(session, look, proposal, selection, now=now())
    with own.database.write() as session:
        job = comparing.order(session, own.vault, proposal, selection, limit=said.limit, actor=actor(), now=now())
        session.flush()
        return jobs_api.ordered(session, job)


@bp.get("/jobs/<int:number>/comparison")
@bp.doc(description="Of a job that `POST /diff` answered with. While it is not done yet, 409 says how far it is.")
def found(number: int) -> dict[str, Any]:
    """What a comparison found"""
    own = context()
    with own.database.read() as session:
        return comparing.found(session, own.vault, jobs_api.get(session, number), actor())
