"""A machine whose network cannot be is refused when it is saved, and nothing of it is kept."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pxeapp.answers import knowledge
from pxeapp.answers.models import Role
from pxeapp.db import Database
from pxeapp.errors import Invalid
from pxeapp.machines import imports, networks, service
from pxeapp.machines.models import Machine
from pxeapp.machines.records import Record
from pxeapp.machines.service import Site
from pxeapp.machines.wire import MachineChange, MachineIn
from pxeapp.provisioning import members
from pxeapp.provisioning.fitting import fitting
from pxeapp.software.models import Release
from pxeapp.templates import Templates
from pxeapp.vault import Vault

NOW = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)
TEMPLATES = Templates()
CARDS = [
    {"mac": "52:54:00:00:00:01", "name": "eno1", "network": "pxe", "address": "10.77.0.11"},
    {"mac": "52:54:00:00:00:02", "name": "eno2"},
]
BOND = {"bonds": {"bond0": {"members": ["boot", "eno2"], "mode": "802.3ad", "network": "pxe"}}}
TWICE = {"ethernets": {"boot": {"gateway4": "10.77.0.1", "network": "pxe"},
         "eno2": {"addresses": ["10.5.0.5/24"], "gateway4": "10.5.0.1"}}}  # fmt: skip


@pytest.fixture
def site(database: Database) -> Site:
    with database.write() as session:
        for said in (
            {"name": "pxe", "cidr": "10.77.0.0/24", "gateway": "10.77.0.1"},
            {"name": "lan6", "cidr": "fd00:77::/64", "gateway": "fd00:77::1"},
        ):
            networks.create(session, said, actor="user:ada", now=NOW)
        shape = {"network": {"vlans": {"v5": {"link": "boot", "id": 5, "network": "lan6"}}}}
        session.add(
            Role(name="tagged", builtin=False, description="", packages={}, services={}, storage={}, vars=shape)
        )
        session.flush()
        return Site(
            frozenset({"tagged"}), frozenset(), frozenset({"pxe", "lan6"}), (), whole=fitting(session)
        )  # fmt: skip


def made(**more: Any) -> dict[str, Any]:
    return {"name": "node1", "mac": "52:54:00:00:00:01", "interfaces": CARDS, **more}


def create(session: Session, vault: Vault, site: Site, **more: Any) -> Machine:
    return service.create(session, vault, site, MachineIn(**made(**more)), actor="user:ada", now=NOW)


def problems(database: Database, vault: Vault, site: Site, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refused, database.write() as session:
        create(session, vault, site, **more)
    with database.read() as session:
        assert session.scalar(select(func.count(Machine.id))) == 0
    return [(each.field, each.problem) for each in refused.value.problems]


def test_two_cards_that_claim_the_gateway(database: Database, vault: Vault, site: Site) -> None:
    found = problems(database, vault, site, vars={"network": TWICE})
    assert found == [
        ("vars.network.ethernets.eno2.gateway4", "eno2 and eno1 both claim the IPv4 default route.")
    ]  # fmt: skip


def test_an_address_outside_its_network(database: Database, vault: Vault, site: Site) -> None:
    cards = [{**CARDS[0], "address": "10.78.0.11"}]
    assert problems(database, vault, site, interfaces=cards) == [
        ("interfaces.0.address", "10.78.0.11 is not in pxe (10.77.0.0/24).")
    ]


@pytest.mark.parametrize(
    ("card", "address", "problem"),
    [
        (0, "10.77.0.0", "10.77.0.0 is the network itself."),
        (0, "10.77.0.255", "10.77.0.255 is the network's broadcast address."),
        (0, "10.77.0.1", "10.77.0.1 is the gateway of pxe."),
        (1, "10.77.0.11", "10.77.0.11 is eno1's already."),
    ],
)
def test_an_address_that_no_card_can_have(
    database: Database, vault: Vault, site: Site, card: int, address: str, problem: str
) -> None:
    cards = [dict(CARDS[0]), {**CARDS[1], "network": "pxe", "address": "10.77.0.12"}]
    cards[card]["address"] = address
    assert problems(database, vault, site, interfaces=cards) == [(f"interfaces.{card}.address", problem)]


def test_both_addresses_of_a_link_of_two_are_machines(database: Database, vault: Vault) -> None:
    with database.write() as session:
        for name, cidr in (("link", "10.9.0.0/31"), ("one", "10.9.1.1/32"), ("link6", "fd00:9::/127")):
            networks.create(session, {"name": name, "cidr": cidr}, actor="user:ada", now=NOW)
        site = Site(
            frozenset(), frozenset(), frozenset({"link", "one", "link6"}), (), whole=fitting(session)
        )  # fmt: skip
        cards = [
            {"mac": f"52:54:00:00:00:0{number}", "network": network, "address": address}
            for number, (network, address) in enumerate(
                [("link", "10.9.0.0"), ("link", "10.9.0.1"), ("one", "10.9.1.1"), ("link6", "fd00:9::")], 1
            )
        ]
        create(session, vault, site, interfaces=cards)


def test_a_network_may_not_get_a_gateway_that_a_machine_boots_with(
    database: Database, vault: Vault, site: Site
) -> None:
    with database.write() as session:
        create(session, vault, site)
    with database.write() as session, pytest.raises(Invalid) as refused:
        members.change_network(session, TEMPLATES, "pxe", {"gateway": "10.77.0.11"}, actor="user:ada", now=NOW)
    assert [each.problem for each in refused.value.problems] == ["On node1: 10.77.0.11 is the gateway of pxe."]


def test_a_roles_network_is_checked_with_the_machine_that_takes_it(
    database: Database, vault: Vault, site: Site
) -> None:
    assert problems(database, vault, site, role="tagged", vars={"addresses": {"lan6": "fd00:99::1"}}) == [
        ("vars.addresses.lan6", "fd00:99::1 is not in fd00:77::/64.")
    ]
    with database.write() as session:
        create(session, vault, site, role="tagged", vars={"addresses": {"lan6": "fd00:77::5"}})


def test_a_change_is_checked_with_what_the_machine_has_already(database: Database, vault: Vault, site: Site) -> None:
    with database.write() as session:
        create(session, vault, site, vars={"network": BOND})
    fewer = MachineChange.model_validate({"interfaces": CARDS[:1]})
    with database.write() as session, pytest.raises(Invalid) as refused:
        service.change(
            session, vault, site, session.scalars(select(Machine)).one(), fewer, actor="user:ada", now=NOW
        )  # fmt: skip
    assert [each.field for each in refused.value.problems] == ["vars.network.bonds.bond0.members"]
    with database.write() as session:
        row = session.scalars(select(Machine)).one()
        assert len(row.interfaces) == 2
        service.change(session, vault, site, row, MachineChange(maintenance=True), actor="user:ada", now=NOW)


def test_an_import_names_the_row(database: Database, vault: Vault, site: Site) -> None:
    rows = [
        Record(2, made(vars={"network": BOND})),
        Record(3, {"name": "node2", "mac": "52:54:00:00:00:09", "vars": {"network": TWICE}}),
    ]
    with pytest.raises(Invalid) as refused, database.write() as session:
        imports.run(session, vault, site, rows, actor="user:ada", now=NOW)
    (problem,) = refused.value.problems
    assert (problem.row, problem.line, problem.field) == (2, 3, "vars.network.ethernets.eno2")
    assert "no network card of this machine" in problem.problem


OVER_A_BOND = {**BOND, "installer": "bond0"}
YESCRYPT = f"$y$j9T$abcdefgh${'x' * 43}"


@pytest.fixture
def whole(database: Database, vault: Vault, site: Site) -> Site:
    """With releases, so that all of a machine is looked at."""
    with database.write() as session:
        for name, family, version, installer in (
            ("debian-13", "debian", "13", "preseed"),
            ("rocky-9", "rocky", "9", "kickstart"),
            ("centos-7", "centos", "7", "kickstart"),
        ):
            row = Release(name=name, family=family, version=version, installer=installer)
            row.created_at = row.updated_at = NOW
            session.add(row)
        needy = {"greeting": {"required": True}}
        session.add(
            Role(name="mine", builtin=False, description="", packages={}, services={}, storage={}, vars={},
                 variables=needy)
        )  # fmt: skip
        session.flush()
        return replace(
            site, roles=frozenset({"mine"}), releases=frozenset({"debian-13", "rocky-9", "centos-7"}),
            whole=fitting(session, TEMPLATES, vault), variables=knowledge.rules(session, TEMPLATES),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("release", "said", "field", "others"),
    [
        ("debian-13", {"network": OVER_A_BOND}, "vars.network.installer", "rocky-9"),
        ("centos-7", {"root_password_hash": YESCRYPT}, "vars.root_password_hash", "debian-13"),
        ("rocky-9", {"remote_syslog": {"host": "fd00::9"}}, "vars.remote_syslog.host", "debian-13"),
        ("debian-13", {"packages": ["Foo"]}, "vars.packages", "rocky-9"),
        ("debian-13", {"packages": ["@Core"]}, "vars.packages", "rocky-9"),
    ],
)
def test_what_its_release_cannot_do_is_refused_and_another_release_may(
    database: Database, vault: Vault, whole: Site, release: str, said: dict[str, Any], field: str, others: str
) -> None:
    found = problems(database, vault, whole, role="mine", release=release, vars=said)
    assert [where for where, _ in found] == [field]
    with database.write() as session:
        create(session, vault, whole, role="mine", release=others, vars=said)
    moved = MachineChange(release=release)
    with database.write() as session:
        row = session.scalars(select(Machine)).one()
        with pytest.raises(Invalid) as refused:
            service.change(session, vault, whole, row, moved, actor="user:ada", now=NOW)
    assert [each.field for each in refused.value.problems] == [field]
