"""Networks: every problem at once, one spelling, and none is removed under a machine's feet."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.machines import networks
from pxeapp.machines.models import Interface
from tests.machines.conftest import LATER, T0, add, mac

RACK1 = {
    "name": "rack1", "cidr": "10.1.0.0/24", "gateway": "10.1.0.1", "dns": ["10.1.0.2"], "ntp": ["10.1.0.3"],
    "domain": "rack1.example.org", "vlan": 12, "dhcp_start": "10.1.0.100", "dhcp_end": "10.1.0.200",
}  # fmt: skip


def create(database: Database, **said: Any) -> dict[str, Any]:
    with database.write() as session:
        return networks.wire(networks.create(session, said, actor="user:ada", now=T0))


def change(database: Database, **said: Any) -> dict[str, Any]:
    with database.write() as session:
        return networks.wire(networks.change(session, "rack1", said, actor="user:ada", now=LATER))


def test_a_network_is_kept_as_it_was_given(any_database: Database) -> None:
    assert create(any_database, **RACK1) == RACK1
    with any_database.read() as session:
        assert networks.wire(networks.get(session, "rack1")) == RACK1
        assert session.scalars(select(AuditRow.action)).all() == ["network.create"]


def test_an_ipv6_network_has_a_gateway_of_its_own_and_no_range(database: Database) -> None:
    said = {"name": "lan6", "cidr": "fd00:77::/64", "gateway": "fd00:77::1", "dns": ["fd00:77::53"]}
    assert create(database, **said)["gateway"] == "fd00:77::1"
    assert create(database, name="link", cidr="fd00:78::/64", gateway="fe80::1")["gateway"] == "fe80::1"
    with pytest.raises(Invalid) as refused:
        create(
            database,
            name="x",
            cidr="fd00:79::/64",
            gateway="fd00:78::1",
            dhcp_start="fd00:79::1",
            dhcp_end="fd00:79::9",
        )
    assert [problem.field for problem in refused.value.problems] == ["dhcp_start", "gateway"]


def test_host_bits_are_cleared(database: Database) -> None:
    assert create(database, name="rack1", cidr="10.1.0.7/24")["cidr"] == "10.1.0.0/24"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "Rack 1"}, "name"), ({"cidr": "moon"}, "cidr"), ({"cidr": "10.1.0.0"}, "cidr"),
        ({"cidr": ""}, "cidr"),
        ({"cidr": "fd00::/64"}, "dhcp_start"), ({"gateway": "10.2.0.1"}, "gateway"),
        ({"gateway": "10.1.0.0"}, "gateway"), ({"gateway": "10.1.0.255"}, "gateway"), ({"gateway": "x"}, "gateway"),
        ({"dns": ["dns.example.org"]}, "dns"), ({"ntp": ["pool"]}, "ntp"), ({"dhcp_end": None}, "dhcp_end"),
        ({"dhcp_start": "10.1.0.201"}, "dhcp_end"), ({"dhcp_start": "10.9.0.1"}, "dhcp_start"),
        ({"vlan": 0}, "vlan"), ({"vlan": 4095}, "vlan"), ({"vlan": True}, "vlan"),
        ({"domain": "a b"}, "domain"), ({"domain": "x\nserver=192.0.2.1"}, "domain"), ({"domain": "a..b"}, "domain"),
        ({"domain": "x" * 64}, "domain"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_fix(database: Database, said: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        create(database, **{**RACK1, **said})
    assert field in [problem.field for problem in caught.value.problems]
    assert all(problem.fix for problem in caught.value.problems)
    with database.read() as session:
        assert networks.listing(session) == []


def test_every_problem_is_listed_at_once(database: Database) -> None:
    with pytest.raises(Invalid) as caught:
        create(database, **{**RACK1, "gateway": "10.2.0.1", "dns": ["x"], "vlan": 5000})
    assert [problem.field for problem in caught.value.problems] == ["gateway", "dns", "vlan"]


def test_a_change_is_checked_against_what_stays(database: Database) -> None:
    create(database, **RACK1)
    with pytest.raises(Invalid) as caught:
        change(database, cidr="10.2.0.0/24")
    assert {problem.field for problem in caught.value.problems} == {"gateway", "dhcp_start", "dhcp_end"}
    assert change(database, vlan=None, dhcp_start=None, dhcp_end=None, dns=None)["dns"] == []


def test_names_are_unique_and_lists_are_paged(database: Database) -> None:
    for name in ("rack2", "rack1", "rack3"):
        create(database, **{**RACK1, "name": name})
    with pytest.raises(Conflict):
        create(database, **RACK1)
    with database.read() as session:
        assert [row.name for row in networks.listing(session, limit=2)] == ["rack1", "rack2"]
        assert [row.name for row in networks.listing(session, after="rack2")] == ["rack3"]


def test_a_network_with_cards_in_it_stays(any_database: Database) -> None:
    create(any_database, **RACK1)
    add(any_database, "node1")
    with any_database.write() as session:
        session.add(Interface(machine_id=1, mac=mac(1), network="rack1"))
    with any_database.write() as session, pytest.raises(Conflict, match="cards in rack1"):
        networks.delete(session, "rack1", actor="user:ada", now=LATER)
    with any_database.write() as session:
        session.query(Interface).delete()
        networks.delete(session, "rack1", actor="user:ada", now=LATER)
    with any_database.read() as session, pytest.raises(NotFound):
        networks.get(session, "rack1")


def test_a_network_that_is_not_there_is_not_found(any_database: Database) -> None:
    for name in ("nowhere", "a\0b", ""):
        with any_database.read() as session, pytest.raises(NotFound):
            networks.get(session, name)
