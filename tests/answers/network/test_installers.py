"""A specification with a network, for every release; read by pykickstart, the shells and dracut's own parsers."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pykickstart.constants import KS_SCRIPT_POST
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from pxeapp.answers import kickstart, releases, render
from pxeapp.answers.network import dracut, packages
from pxeapp.answers.spec import AnswerSpec, BadAnswerValue
from tests.answers import shells
from tests.answers.network.machines import ANYWHERE, BOOT, CASES, Case, plan
from tests.answers.network.unpacked import package
from tests.answers.samples import KICKSTARTS, PRESEEDS, TEMPLATES, spec

OLDEST_TO_NEWEST = [("centos", "7"), ("rocky", "8"), ("centos", "9"), ("alma", "10")]


def with_network(family: str, version: str, name: str) -> AnswerSpec:
    return replace(spec(family, version), network=plan(CASES[name]))


@pytest.mark.parametrize(("family", "version"), KICKSTARTS)
def test_pykickstart_reads_every_case_in_every_release(family: str, version: str) -> None:
    for name in CASES:
        found = with_network(family, version, name)
        dialect = releases.enterprise(family, version)
        parser = KickstartParser(makeVersion(dialect.syntax))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parser.readKickstartFromString(kickstart.render(found, TEMPLATES))
        lines = parser.handler.network.network
        assert [line.device for line in lines if line.device] == ([] if name == "installer" else [BOOT])
        assert lines[-1].hostname == "node1.rack.example.org"
        posts = [script.script for script in parser.handler.scripts if script.type == KS_SCRIPT_POST]
        written = shells.inner("\n".join(posts))
        folder = "/etc/sysconfig/network-scripts/ifcfg-{}"
        wanted = folder if version == "7" else "/etc/NetworkManager/system-connections/{}.nmconnection"
        assert {wanted.format(device.name) for device in plan(CASES[name]).devices} <= set(written)
        assert "/etc/udev/rules.d/70-pxeapp-net.rules" in written


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize(("family", "version"), OLDEST_TO_NEWEST)
def test_the_shells_read_what_post_does(family: str, version: str) -> None:
    found = with_network(family, version, "compute")
    parser = KickstartParser(makeVersion(releases.enterprise(family, version).syntax))
    parser.readKickstartFromString(kickstart.render(found, TEMPLATES))
    for script in parser.handler.scripts:
        shells.check(("bash",), script.script)
        shells.lint("bash", script.script)


@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_debian_installers_shell_reads_the_script_and_writes_the_files(family: str, version: str) -> None:
    for name in ANYWHERE:
        script = render.render("script", with_network(family, version, name), TEMPLATES)
        shells.check(("dash",), script)
        written = shells.inner(script)
        uses_netplan = releases.debian(family, version).netplan
        main = "/target/etc/netplan/60-pxeapp.yaml" if uses_netplan else "/target/etc/network/interfaces"
        assert main in written
        if uses_netplan:
            assert set(yaml.safe_load(written[main])["network"]) >= {"version", "ethernets"}


def test_what_is_written_lands_where_it_belongs_and_the_installers_own_goes_away(tmp_path: Path) -> None:
    """The function of debian-installer's script, run for real into a folder."""
    script = render.render("script", with_network("debian", "12", "compute"), TEMPLATES)
    start = script.index("network() {")
    function = script[start : script.index("\n}\n", start) + 3].replace("/target", str(tmp_path))
    stale = tmp_path / "etc/network/interfaces.d/old"
    stale.parent.mkdir(parents=True)
    stale.write_text("iface ens3 inet dhcp\n")
    subprocess.run(["dash", "-c", f"set -e\n{function}\nnetwork"], check=True, timeout=30)
    assert not stale.exists()
    text = (tmp_path / "etc/network/interfaces.d/pxeapp").read_text()
    assert "bond-slaves eno1 eno2" in text
    assert (tmp_path / "etc/resolv.conf").read_text() == "search rack.example.org\nnameserver 10.77.0.2\n"


@pytest.mark.parametrize("version", ["20.04", "22.04", "24.04", "26.04"])
def test_autoinstall_says_it_in_netplans_words(version: str) -> None:
    base = spec("ubuntu", version, installer="autoinstall") if version == "20.04" else spec("ubuntu", version)
    said = yaml.safe_load(render.render("user-data", replace(base, network=plan(CASES["compute"])), TEMPLATES))
    network = said["autoinstall"]["network"]
    assert network["bonds"]["bond0"]["interfaces"] == ["eno1", "eno2"]
    assert network["vlans"]["bond0.120"]["id"] == 120


@pytest.mark.parametrize("version", ["20.04", "22.04", "24.04", "26.04"])
def test_autoinstall_installs_over_a_bond_of_the_boot_card_and_over_no_vlan(version: str) -> None:
    base = spec("ubuntu", version, installer="autoinstall") if version == "20.04" else spec("ubuntu", version)
    bond = {"bonds": {"bond0": {"members": ["boot", "eno2"], "mode": "active-backup", "network": "pxe"}}}
    found = replace(base, network=plan(Case({**bond, "installer": "bond0"})))
    session = yaml.safe_load(render.render("network-config", found, TEMPLATES))
    (card,) = session["ethernets"].values()
    assert card["match"] == {"macaddress": BOOT}
    assert (card["addresses"], "bonds" in session) == (["10.77.0.11/24"], False)
    assert f"ip=10.77.0.11::10.77.0.1:255.255.255.0:{found.hostname}::none" in render.kernel_args(found)
    installing = yaml.safe_load(render.render("user-data", found, TEMPLATES))["autoinstall"]["network"]
    assert installing["bonds"]["bond0"]["addresses"] == ["10.77.0.11/24"]
    with pytest.raises(BadAnswerValue) as refused:
        replace(base, network=plan(CASES["installer"]))
    assert "knows no VLAN" in refused.value.problems[0].problem


@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_an_installer_that_knows_no_bond_is_not_told_to_use_one(family: str, version: str) -> None:
    with pytest.raises(BadAnswerValue) as refused:
        with_network(family, version, "installer")
    (problem,) = refused.value.problems
    assert problem.field == "vars.network.installer"
    assert "Leave it out" in problem.fix


@pytest.mark.parametrize(
    ("family", "version", "wanted"),
    [
        ("debian", "13", ("ifupdown", "iproute2", "ifenslave", "bridge-utils")),
        ("ubuntu", "18.04", ("netplan.io",)),
        ("ubuntu", "24.04", ()),
        ("rocky", "9", ("NetworkManager",)),
        ("centos", "7", ("NetworkManager", "bridge-utils")),
    ],
)
def test_packages_that_the_network_needs_come_with_it(family: str, version: str, wanted: tuple[str, ...]) -> None:
    dialect = releases.dialect(family, version)
    assert packages.needed(plan(CASES["bridge"]), dialect) == wanted
    assert packages.needed(None, dialect) == ()


def _dracut(line: str, tmp_path: Path) -> str:
    """What dracut's own parsers make of a command line, by sourcing them as its initramfs does."""
    legacy = package("dracut-network") / "usr/lib/dracut/modules.d"
    folder = next(legacy.glob("*network-legacy"))
    library = next(legacy.glob("40network/net-lib.sh"))
    core = package("dracut-core") / "usr/lib/dracut"
    base = core / "modules.d/99base"
    script = f"""
        PREFIX={tmp_path}  # or the library would take the tester's /run and /var/log for an initramfs's
        mkdir {tmp_path}/tmp {tmp_path}/bin
        ln -s {core}/dracut-util {tmp_path}/bin/dracut-getarg
        ln -s {core}/dracut-util {tmp_path}/bin/dracut-getargs
        PATH={tmp_path}/bin:$PATH
        . {base}/dracut-dev-lib.sh
        . {base}/dracut-lib.sh
        . {library}
        getcmdline() {{ printf '%s' "$CMDLINE"; }}
        die() {{ echo "DIE $*"; exit 1; }}
        warn() {{ :; }}
        info() {{ :; }}
        CMDLINE='{line}'
        for p in $(getargs ip=); do
            unset ip srv gw mask hostname macaddr dev autoconf dns1 dns2 mtu
            ip_to_var "$p"
            echo "ip dev=$dev ip=$ip gw=$gw mask=$mask how=$autoconf host=$hostname"
        done
        sed -e 's#/tmp/#{tmp_path}/tmp/#g' {folder}/parse-bond.sh >{tmp_path}/bond.sh; . {tmp_path}/bond.sh
        sed -e 's#/tmp/#{tmp_path}/tmp/#g' {folder}/parse-vlan.sh >{tmp_path}/vlan.sh; . {tmp_path}/vlan.sh
        cat {tmp_path}/tmp/bond.*.info {tmp_path}/tmp/vlan.*.* 2>/dev/null
        for p in $(getargs ifname=); do echo "ifname $p"; done
        for p in $(getargs nameserver=); do echo "nameserver $p"; done
        echo "bootdev $(getarg bootdev=)"
        true
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DIE" not in done.stdout
    return done.stdout


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("over6", [False, True])
def test_dracut_reads_every_argument(name: str, over6: bool, tmp_path: Path) -> None:
    found = plan(CASES[name])
    line = " ".join(dracut.words(found, hostname="node1", over6=over6))
    said = _dracut(line, tmp_path)
    assert said.count("ip dev=") == 1
    speaker = found.speaker if found.installer == found.boot else found.device(found.installer)
    static = speaker.static6 if over6 else speaker.static4
    if static:
        assert f"ip={static[0].partition('/')[0]} " in said.replace("[", "").replace("]", "")
        assert "how=none host=node1" in said
    if name == "installer":
        assert 'bondname=bond0\nbondslaves="pxe0 pxe1"\nbondoptions="mode=802.3ad miimon=100 lacp_rate=fast"' in said
        assert 'vlanname="vlan77"\nphydevice="bond0"' in said
        assert f"ifname pxe0:{BOOT}\nifname pxe1:52:54:00:00:00:02\n" in said
        assert "bootdev vlan77" in said
