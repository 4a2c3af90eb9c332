"""Ready definitions have what the roles install, and whatever their variables may choose."""

from __future__ import annotations

import pytest

from pxeapp.answers.roles import catalogue
from pxeapp.answers.roles.definition import of_family
from pxeapp.errors import NotFound
from pxeapp.software.mirrors import definitions
from pxeapp.software.mirrors.definitions import FAMILIES
from pxeapp.templates import Templates

# What operators look for by these names.
SERVICES = {
    "keystone", "glance", "placement", "nova-controller", "nova-compute", "neutron-server", "neutron-network",
    "neutron-compute", "telemetry", "cinder", "swift", "heat", "trove", "horizon", "mysql", "mariadb", "rabbitmq",
    "memcached", "etcd",
}  # fmt: skip
NODES = {"controller", "compute", "network", "block", "object", "base", "storage"}


def test_every_service_and_every_node_has_one() -> None:
    known = definitions.everything()
    assert set(known) >= SERVICES | NODES
    assert {name for name, each in known.items() if each.node} == NODES
    assert all(each.title for each in known.values())
    with pytest.raises(NotFound, match="There are: keystone, "):
        definitions.named("nova")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("role", sorted(NODES))
def test_a_nodes_definition_has_whatever_the_role_may_install(role: str, family: str) -> None:
    about = catalogue.load(role, Templates())
    wanted = {*of_family(about.part.packages, family)}
    for choice in about.choices:
        wanted |= {*of_family(choice.part.packages, family)}
    assert wanted - set(definitions.named(role).packages[family]) == set()


@pytest.mark.parametrize("name", sorted(SERVICES - {"mysql"}))
def test_a_service_has_packages_in_every_family(name: str) -> None:
    assert all(definitions.named(name).packages[family] for family in FAMILIES)
