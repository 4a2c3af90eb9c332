"""`POST /diff`: what a change would do to every machine that it touches, before it is saved."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.accounts.permissions import ADMIN, allows
from pxeapp.api.clusters import ClusterChange
from pxeapp.api.context import actor, context, site
from pxeapp.api.networks import NetworkChange
from pxeapp.api.releases import ReleaseChange
from pxeapp.api.roles import RoleChange
from pxeapp.db import now
from pxeapp.errors import Forbidden
from pxeapp.machines.narrowing import Narrowed
from pxeapp.provisioning import diffs
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


@bp.post("/diff")
@bp.input(DiffIn, arg_name="said")
@bp.doc(
    description="Nothing is written. Machines with the same difference are one group, shown on the first of them; "
    "secrets are masked. Templates may be proposed by admins only: a template can say a secret in other words."
)
def compare(said: DiffIn) -> dict[str, Any]:
    """Compare what machines are given now with what they would be given if this were saved"""
    if said.templates and not allows(actor().role, ADMIN):
        raise Forbidden(
            "Templates may be proposed by admins only, since a template can write a secret in other words.",
            hint="Ask an admin, or leave `templates` out.",
        )
    own = context()
    with own.database.read() as session:
        look = Look(own.checker, site(session))
        found = diffs.compare(session, look, said.proposal(), said.select.selection(), now=now())
    return found.to_dict(said.limit)
