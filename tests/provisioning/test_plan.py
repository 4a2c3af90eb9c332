"""From rows to a specification: which network, disks and variables reach an answer file, and what never does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from pxeapp.answers import own_keys, roles
from pxeapp.answers.spec import AnswerSpec
from pxeapp.errors import Invalid
from pxeapp.machines import selectors
from pxeapp.machines.models import Bmc, Disk, Interface, Machine, Network
from pxeapp.provisioning import facts, plan
from pxeapp.software import releases
from tests.provisioning.rack import MAC, Rack

Change = Callable[[Session, Machine], None]


def _spec(rack: Rack, change: Change, role: str = "storage") -> AnswerSpec:
    with rack.provisioner.database.write() as session:
        change(session, selectors.get(session, "node1", lock=True))
    with rack.provisioner.database.read() as session:
        machine = selectors.get(session, "node1")
        return plan.preview(session, rack.provisioner.tools, machine, release="rocky-9", role=role)


def _network(session: Session, name: str, cidr: str, **more: Any) -> None:
    session.add(Network(name=name, cidr=cidr, **more))
    session.flush()


def test_a_card_on_a_network_without_dhcp_is_static_and_the_others_follow_by_mac(rack: Rack) -> None:
    def change(session: Session, machine: Machine) -> None:
        _network(
            session, "rack", "10.77.0.0/24", gateway="10.77.0.1", dns=["10.77.0.2"], ntp=["10.77.0.3"], domain="r.org"
        )
        _network(session, "storage", "10.78.0.0/16", gateway="10.78.0.1", dns=["10.78.0.2"], vlan=78)
        machine.interfaces += [
            Interface(mac="52:54:00:00:00:02", network="storage", address="10.78.0.11"),
            Interface(mac=MAC, network="rack", address="10.77.0.11"),
            Interface(mac="52:54:00:00:00:03", network="storage"),
            Interface(mac="52:54:00:00:00:04", name="eno4"),
        ]

    found = _spec(rack, change)
    assert (found.boot.mac, found.boot.address, found.boot.gateway) == (MAC, "10.77.0.11/24", "10.77.0.1")
    assert (found.boot.dns, found.ntp, found.domain) == (("10.77.0.2",), ("10.77.0.3",), "r.org")
    storage, dynamic = found.cards  # a card without a network stays as the operating system finds it
    assert (storage.address, storage.gateway, storage.dns, storage.vlan) == ("10.78.0.11/16", None, (), 78)
    assert (dynamic.mac, dynamic.address) == ("52:54:00:00:00:03", None)


def test_a_reserved_address_is_given_by_dhcp(rack: Rack) -> None:
    def change(session: Session, machine: Machine) -> None:
        _network(session, "rack", "10.77.0.0/24", dhcp_start="10.77.0.100", dhcp_end="10.77.0.200")
        machine.interfaces.append(Interface(mac=MAC, network="rack", address="10.77.0.11"))

    assert _spec(rack, change).boot.address is None


def test_disks_by_their_purpose_and_variables_of_the_machine_before_the_roles(rack: Rack) -> None:
    def change(session: Session, machine: Machine) -> None:
        machine.disks += [
            Disk(path="disk/by-id/a", purpose="data"),
            Disk(path="disk/by-id/b", purpose="system"),
            Disk(path="disk/by-id/c", purpose="keep"),
        ]
        roles.get(session, "storage").vars = {"timezone": "Europe/Rome", "packages": ["vim"], "rack_row": 7}
        machine.vars = {"timezone": "Asia/Tokyo", "layout": "lvm", "ntp": []}

    found = _spec(rack, change)
    assert (found.system_disk, found.data_disks, found.keep_disks) == (
        "disk/by-id/b", ("disk/by-id/a",), ("disk/by-id/c",)
    )  # fmt: skip
    assert (found.timezone, found.layout, found.ntp) == ("Asia/Tokyo", "lvm", ())
    assert found.packages[-1] == "vim"
    assert found.vars["rack_row"] == 7


def test_the_bmc_is_nowhere_in_a_specification(rack: Rack) -> None:
    def change(session: Session, machine: Machine) -> None:
        machine.bmc = None
        session.flush()
        secret = rack.provisioner.vault.encrypt("topsecret")
        machine.bmc = Bmc(type="ipmi", address="10.99.9.9", username="bmcadmin", password_encrypted=secret)

    found = repr(_spec(rack, change))
    with rack.provisioner.database.read() as session:
        bmc = selectors.get(session, "node1").bmc
        assert bmc is not None
        hidden = ("topsecret", "bmcadmin", "10.99.9.9", bmc.password_encrypted)
    assert not any(secret in found for secret in hidden)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"packages": "vim"}, "vars.packages"),
        ({"timezone": "a\nb"}, "timezone"),
        ({"root_password_hash": 7}, "vars.root_password_hash"),
        ({"layout": "zfs"}, "vars.layout"),
        ({"motd": "one\ntwo"}, "vars.motd"),
    ],
)
def test_what_cannot_be_told_is_refused_before_anything_is_touched(
    rack: Rack, said: dict[str, Any], field: str
) -> None:
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).vars = said
    with pytest.raises(Invalid) as refused:
        rack.deploy()
    assert field in [problem.field for problem in refused.value.problems]
    assert rack.machine().state != "deploying"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "8", "family": "centos"}, "There are no answer files for centos 8"),
        ({"installer": "preseed"}, "We install rocky 9 by kickstart, not by preseed"),
        (
            {"family": "ubuntu", "version": "22.04", "installer": "preseed"},
            "We install ubuntu 22.04 by autoinstall, not by preseed",
        ),
    ],
)
def test_a_release_without_answer_files_is_refused_before_anything_is_touched(
    rack: Rack, change: dict[str, str], said: str
) -> None:
    with rack.provisioner.database.write() as session:
        release = releases.get(session, "rocky-9")
        for name, value in change.items():
            setattr(release, name, value)
    with pytest.raises(Invalid, match=said):
        rack.deploy()


def test_a_check_leaves_nothing_behind(rack: Rack) -> None:
    with rack.provisioner.database.read() as session:
        machine = selectors.get(session, "node1")
        said = {"release": "rocky-9", "role": "base"}
        assert plan.check_deployable(session, machine, **said, rehearsal=rack.checker.unrehearsed()) == (
            "rocky-9",
            "base",
            "",
        )
        assert not session.dirty
        assert not session.new


@pytest.mark.parametrize(
    ("place", "unsigned"),
    [
        ("{node_url}/mirror/debian", True),
        ("{node_url}/repo/media/debian-13", True),
        ("{node_url}/repo/by-hand", True),
        ("{node_url}/repo/base", False),
        ("{node_url}/repo/snapshots/2026-11/base", False),
    ],
)
def test_what_makes_up_for_a_mirrors_flaws_is_not_for_repositories_of_ours(place: str, *, unsigned: bool) -> None:
    node_url = "http://10.77.0.1:8081"
    said = facts.release_spec(
        name="debian-13", family="debian", version="13", installer="preseed", install_url=place, kernel_args="",
        repositories=[], settings={"udeb_suite": "pxeapp-debian-13", "allow_unauthenticated": True}, node_url=node_url,
    )  # fmt: skip
    found = own_keys.release_keyed(said, node_url, own_keys.Own(published=lambda name: name == "base"))
    assert (found.udeb_suite, found.allow_unauthenticated) == ("pxeapp-debian-13" if unsigned else "", unsigned)
