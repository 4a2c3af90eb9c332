"""What an answer file is made of, out of the database's own rows; handout.py reads the same without them, for speed."""

from __future__ import annotations

from pxeapp.answers.models import Role
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.answers.variables import declared
from pxeapp.machines.models import Network
from pxeapp.provisioning import facts
from pxeapp.provisioning.facts import NetworkFacts, RoleFacts
from pxeapp.software.models import Release


def role(row: Role) -> RoleFacts:
    """A role with the variables that it declares."""
    return RoleFacts(row.name, row.packages, row.services, row.storage, row.vars, declared(row.variables)[0])


def release(row: Release, node_url: str) -> ReleaseSpec:
    """A release with our address filled in."""
    return facts.release_spec(
        name=row.name,
        family=row.family,
        version=row.version,
        installer=row.installer,
        install_url=row.install_url,
        kernel_args=row.kernel_args,
        repositories=row.repositories,
        settings=row.settings,
        node_url=node_url,
    )


def network(row: Network) -> NetworkFacts:
    """A network as it is said."""
    return NetworkFacts(row.name, row.cidr, row.gateway, row.dns, row.ntp, row.domain, row.vlan, row.dhcp_start)
