"""Whether an answer file could be made for a machine that is about to be saved, with its release and role.

What keeps it from that would be said at its deployment at the latest; who writes it down can still mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import cluster_secrets
from pxeapp.answers.models import Role
from pxeapp.answers.own_keys import Own
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.answers.variables import BUILTIN, merging
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.models import Cluster
from pxeapp.machines.service import Draft
from pxeapp.provisioning import facts, from_rows
from pxeapp.provisioning.facts import CardFacts, ClusterFacts, MachineFacts, NetworkFacts, RoleFacts, Urls
from pxeapp.software.models import Release
from pxeapp.vault import Undecryptable, Vault

NODE = "http://192.0.2.1"  # stands for our address, which is nothing that a machine could get wrong
URLS = Urls(NODE, f"{NODE}/a/x", f"{NODE}/c/x")
OUR_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
NAME = "machine"
OF_RELEASE = "release."  # said where the release is changed


@dataclass(frozen=True, slots=True)
class Composing:
    """What it is made of, read once for a whole import."""

    releases: Mapping[str, ReleaseSpec]
    roles: Mapping[str, RoleFacts]
    clusters: Mapping[str, ClusterFacts]
    networks: Mapping[str, NetworkFacts]
    opened: merging.Open

    def knows(self, draft: Draft) -> bool:
        """Whether the machine has a release and a role yet."""
        return draft.release in self.releases and draft.role in self.roles

    def problems(self, draft: Draft) -> list[FieldProblem]:
        """Why none could be made. A secret that cannot be opened any more is the doctor's matter."""
        cards = tuple(CardFacts(*each) for each in draft.interfaces)
        try:
            facts.compose(
                MachineFacts(NAME, draft.mac, draft.vars, cards, draft.disks),
                self.releases[draft.release or ""],
                self.roles[draft.role or ""],
                self.networks,
                URLS,
                self.clusters.get(draft.cluster or "", facts.NO_CLUSTER),
                self.opened,
                lambda: OUR_KEY,
                Own(),
            )
        except Undecryptable:
            return []
        except Invalid as refused:
            return [_named(each) for each in refused.problems if not each.field.startswith(OF_RELEASE)]
        return []


def composing(session: Session, vault: Vault, networks: Mapping[str, NetworkFacts]) -> Composing:
    """As everything is now."""
    return Composing(
        releases={row.name: from_rows.release(row, NODE) for row in session.scalars(select(Release))},
        roles={row.name: _role(row) for row in session.scalars(select(Role))},
        clusters={row.name: ClusterFacts(row.name, row.vars, row.secrets) for row in session.scalars(select(Cluster))},
        networks=networks,
        opened=partial(cluster_secrets.opened, vault),
    )


def _role(row: Role) -> RoleFacts:
    """With variables that need not be said: a machine may be written down before its cluster is, see carrying.py."""
    found = from_rows.role(row)
    unasked = {name: replace(each, required=False, required_if={}) for name, each in found.variables.items()}
    return replace(found, variables=unasked)


def _named(found: FieldProblem) -> FieldProblem:
    """By the field that it is said in: a specification calls some variables by their names alone."""
    first = found.field.partition(".")[0].partition("[")[0]
    return replace(found, field=f"vars.{found.field}") if first in BUILTIN else found
