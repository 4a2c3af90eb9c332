"""Whole files for every case and every way in which an installed system keeps its network; and what reads them."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.answers.network import dracut, kickstart, netcfg, netplan
from pxeapp.answers.network.files import File
from pxeapp.answers.network.plan import NetworkPlan
from tests.answers.network.machines import CASES, Case, plan
from tests.answers.network.unpacked import package
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
every_case = pytest.mark.parametrize("name", list(CASES))


def written(found: NetworkPlan) -> dict[str, tuple[File, ...]]:
    return {
        "keyfile": kickstart.files(found, "keyfile"),
        "ifcfg": kickstart.files(found, "ifcfg"),
        "ifupdown": netcfg.files(found, uses_netplan=False),
        "netplan": netcfg.files(found, uses_netplan=True),
    }


def put(files: tuple[File, ...], root: Path) -> None:
    for file in files:
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
        path.chmod(int(file.mode, 8))


@every_case
def test_the_whole_files(name: str) -> None:
    found = plan(CASES[name])
    for kind, files in written(found).items():
        text = "".join(f"=== {file.path} ({file.mode})\n{file.text}" for file in files)
        golden.check(f"{name}.{kind}", text, GOLDEN)


def test_the_whole_kernel_arguments() -> None:
    lines = []
    for name, case in CASES.items():
        found = plan(case)
        for over6 in (False, True):
            family = "IPv6" if over6 else "IPv4"
            lines.append(f"{name}, reached over {family}")
            lines.append(f"  dracut: {' '.join(dracut.words(found, hostname='node1', over6=over6))}")
            lines.append(f"  kickstart: {kickstart.line(found, over6=over6)}")
            lines.append(f"  d-i: {' '.join(netcfg.words(found, over6=over6))}")
    golden.check("installers.txt", "".join(f"{line.rstrip()}\n" for line in lines), GOLDEN)


def test_a_word_that_ends_our_here_documents_is_never_a_line() -> None:
    mark = "END_OF_NETWORK"
    said = {
        "bonds": {mark: {"members": ["boot"], "mode": "802.3ad", "network": "pxe"}},
        "vlans": {f"{mark}X": {"link": mark, "id": 5}},
        "ethernets": {"eno2": {"name": "END_OF_NETWORKY"}},
    }
    for files in written(plan(Case(said))).values():
        for file in files:
            assert mark not in file.text.splitlines()
            assert "'" not in file.path
            assert file.text.endswith("\n")


@every_case
@pytest.mark.skipif(shutil.which("netplan") is None, reason="netplan is not installed (packaging/setup.sh test)")
def test_netplan_makes_networkds_files_of_it(name: str, tmp_path: Path) -> None:
    found = plan(CASES[name])
    put(written(found)["netplan"], tmp_path)
    done = subprocess.run(
        ["netplan", "generate", "--root-dir", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = tmp_path / "run/systemd/network"
    for device in found.devices:
        text = (made / f"10-netplan-{device.name}.network").read_text()
        assert all(f"Address={address}\n" in text for address in device.addresses)
        for route in device.routes:
            assert f"Destination={route.to}\nGateway={route.via}\n" in text
        gateways = [each for each in (device.gateway4, device.gateway6) if each]
        assert all(f"Gateway={gateway}\n" in text for gateway in gateways)
        assert (f"MTUBytes={device.mtu}\n" in text) == bool(device.mtu)
        dhcp = {(True, False): "ipv4", (False, True): "ipv6", (True, True): "yes"}.get((device.dhcp4, device.dhcp6))
        assert (f"DHCP={dhcp}\n" in text) if dhcp else "DHCP=" not in text
        assert f"IPv6AcceptRA={'yes' if device.accept_ra else 'no'}\n" in text
    for bond in found.bonds:
        assert all(f"Bond={bond.name}\n" in (made / f"10-netplan-{each}.network").read_text() for each in bond.members)
        assert f"Mode={bond.mode}\n" in (made / f"10-netplan-{bond.name}.netdev").read_text()
    for bridge in found.bridges:
        files = [(made / f"10-netplan-{each}.network").read_text() for each in bridge.members]
        assert all(f"Bridge={bridge.name}\n" in text for text in files)
    for vlan in found.vlans:
        assert f"VLAN={vlan.name}\n" in (made / f"10-netplan-{vlan.link}.network").read_text()
        assert f"Id={vlan.id}\n" in (made / f"10-netplan-{vlan.name}.netdev").read_text()
    for card in found.ethernets:
        link = (made / f"10-netplan-{card.name}.link").read_text()
        assert card.mac in link
        assert f"Name={card.name}\n" in link


@every_case
def test_every_keyfile_is_whole_and_its_references_lead_somewhere(name: str) -> None:
    found = plan(CASES[name])
    files = [file for file in written(found)["keyfile"] if file.path.endswith(".nmconnection")]
    read = {}
    for file in files:
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(file.text)
        read[parser["connection"]["uuid"]] = parser
        assert file.mode == "600"
    assert len(read) == len(files) == len(found.devices)
    for parser in read.values():
        for section, key in (("connection", "master"), ("vlan", "parent")):
            if parser.has_option(section, key):
                assert parser[section][key] in read
    hold = [parser["connection"]["id"] for parser in read.values() if parser.get("ipv4", "gateway", fallback="")]
    assert hold == [device.name for device in found.devices if device.gateway4]
    names = {parser["connection"]["id"]: parser for parser in read.values()}
    for device in found.devices:
        keys = names[device.name]
        addresses = [value for part in ("ipv4", "ipv6") if keys.has_section(part)
                     for key, value in keys[part].items() if key.startswith("address")]  # fmt: skip
        assert sorted(addresses) == sorted(device.addresses)


@every_case
def test_network_manager_reads_every_keyfile_and_leaves_nothing_out(name: str) -> None:
    nmcli = package("network-manager") / "usr/bin/nmcli"
    for file in written(plan(CASES[name]))["keyfile"]:
        if not file.path.endswith(".nmconnection"):
            continue
        # Offline it reads a keyfile and writes it as it understood it; an empty zone changes nothing.
        done = subprocess.run(
            [nmcli, "--offline", "connection", "modify", "connection.zone", ""],
            input=file.text, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if "error while loading shared libraries" in done.stderr:
            pytest.skip("libnm is not installed (packaging/setup.sh test)")
        assert (done.returncode, done.stderr) == (0, "")
        assert _meaning(done.stdout) == _meaning(file.text)


def _meaning(text: str) -> set[tuple[str, str, str]]:
    """Section, key and value, in NetworkManager's own spelling; its defaults need not be said."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    found = {(section, key, value) for section in parser.sections() for key, value in parser[section].items()}
    for section in ("ipv4", "ipv6"):  # it writes the gateway behind the first address
        if parser.has_option(section, "gateway"):
            first, gateway = parser[section]["address1"], parser[section]["gateway"]
            found -= {(section, "gateway", gateway), (section, "address1", first)}
            found.add((section, "address1", f"{first},{gateway}"))
    defaults = {
        ("connection", "autoconnect", "true"), ("vlan", "flags", "1"), ("bridge", "stp", "true"),
        ("connection", "autoconnect-slaves", "1"),
    }  # fmt: skip
    return {each for each in found if each not in defaults}


@every_case
@pytest.mark.skipif(shutil.which("ifquery") is None, reason="ifupdown is not installed (packaging/setup.sh test)")
def test_ifupdown_reads_every_interface_in_the_order_in_which_it_can_be_made(name: str, tmp_path: Path) -> None:
    found = plan(CASES[name])
    put(written(found)["ifupdown"], tmp_path)
    main = tmp_path / "etc/network/interfaces"
    main.write_text(main.read_text().replace("/etc/network", str(tmp_path / "etc/network")))
    listed = subprocess.run(
        ["ifquery", "--list", "-i", main], capture_output=True, text=True, timeout=30, check=False
    )  # fmt: skip
    assert (listed.returncode, listed.stderr) == (0, "")
    order = listed.stdout.split()
    slaves = {each for bond in found.bonds for each in bond.members}
    assert set(order) == {"lo"} | {device.name for device in found.devices} - slaves
    for vlan in found.vlans:
        assert order.index(vlan.link) < order.index(vlan.name)
    for bridge in found.bridges:
        assert all(order.index(each) < order.index(bridge.name) for each in bridge.members)
    done = subprocess.run(
        ["ifup", "--no-act", "--verbose", "--all", "-i", main, "--state-dir", tmp_path],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "unknown" not in done.stderr.lower()
    assert "duplicate option" not in done.stderr
    for device in found.devices:
        for address in device.static4:
            assert f"ip addr add {address.partition('/')[0]}/" in done.stderr
        for address in device.static6:
            assert f"ip -6 addr add {address}" in done.stderr
        if device.gateway4:
            assert f"default via {device.gateway4}  dev {device.name}" in done.stderr


def test_netplans_words_are_values_for_autoinstall() -> None:
    said = netplan.mapping(plan(CASES["compute"]))
    assert said["version"] == 2
    assert said["ethernets"]["eno1"]["match"] == {"macaddress": "52:54:00:00:00:01"}
    assert said["bonds"]["bond0"]["parameters"]["lacp-rate"] == "fast"
    assert said["vlans"]["bond0.120"]["link"] == "bond0"
