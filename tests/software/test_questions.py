"""The catalogue of an installer's questions: made from an initrd and udebs as Debian's are, read back by the checks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pxeapp.answers import checks, preseed
from pxeapp.answers.checks import known, selections
from pxeapp.software import questions
from pxeapp.software.udebs.index import Udeb
from tests.answers.samples import TEMPLATES, spec

NETCFG = """\
Template: netcfg/enable
Type: boolean
Default: true
Description: for internal use

Template: netcfg/wireless_security_type
Type: select
Choices-C: wep/open, wpa
Choices: WEP/Open Network, WPA/WPA2 PSK
Description: Network type:

Template: netcfg/choose_interface
Type: select
Choices: ${ifchoices}
Description: Interface:

Template: netcfg/title
Type: text
Description: Configure the network
"""
LVM = """\
Template: partman-lvm/confirm
Type: boolean
Description: Write the changes?
"""
# Where a debian-installer's initrd lies on a machine that has one: the package, or a rehearsal's appliance.
PLACES = (
    "/usr/lib/debian-installer/images/1?/amd64/text/debian-installer/amd64/initrd.gz",
    ".run/demo/data/media/debian-*/*/initrd.gz",
)


@pytest.fixture
def initrd(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name, text in {
        "var/lib/dpkg/info/netcfg.templates": NETCFG,
        "var/lib/dpkg/info/netcfg.postinst": "#!/bin/sh\ndb_register netcfg/enable netcfg/enable_again\n",
        "etc/preseed_aliases": "hostname\tnetcfg/get_hostname\ntasks\ttasksel:tasksel/first\nkeymap a/b\n",
        "usr/bin/wget": "",
        "bin/sh": "",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    path = tmp_path / "initrd.gz"
    subprocess.run(["bsdtar", "-czf", path, "--format=newc", "-C", tree, "."], check=True)
    return path


def udeb(tmp_path: Path) -> bytes:
    tree = tmp_path / "udeb"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: partman-lvm\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n"
    )
    (tree / "DEBIAN/templates").write_text(LVM)
    script = tree / "lib/partman/init.d/26lvm"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\ndb_register partman-lvm/confirm partman-lvm/confirm_nooverwrite\n")
    (tree / "sbin").mkdir()
    (tree / "sbin/vgcreate").write_text("")
    done = tmp_path / "partman-lvm.udeb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, done], check=True, stdout=subprocess.DEVNULL)
    return done.read_bytes()


def test_an_initrd_brings_its_questions_its_aliases_and_its_commands(initrd: Path) -> None:
    found = known.read(questions.of_initrd(initrd).as_json())
    assert {name: (each.kind, each.choices) for name, each in found.questions.items()} == {
        "netcfg/enable": ("boolean", None),
        "netcfg/enable_again": ("boolean", None),
        "netcfg/wireless_security_type": ("select", ("wep/open", "wpa")),
        "netcfg/choose_interface": ("select", None),
    }
    assert found.aliases == {"hostname": "netcfg/get_hostname", "tasks": "tasksel/first", "keymap": "a/b"}
    assert found.commands == {"wget", "sh"}
    assert not found.whole


def test_components_bring_what_their_scripts_register_too(initrd: Path, tmp_path: Path) -> None:
    content = udeb(tmp_path)
    catalogue = questions.of_initrd(initrd)
    index = [Udeb("partman-lvm", "1", size=len(content)), Udeb("scsi-modules-6.1-di", "1", size=5), Udeb("netcfg", "1")]
    questions.add_components(catalogue, index, lambda each: content if each.name == "partman-lvm" else None, {"netcfg"})
    found = known.read(catalogue.as_json())
    assert found.questions["partman-lvm/confirm_nooverwrite"].kind == "boolean"
    assert "vgcreate" in found.commands
    assert found.whole
    assert catalogue.components == ["netcfg", "partman-lvm"]


def test_what_a_mirror_lacks_is_told_and_leaves_the_catalogue_open(initrd: Path) -> None:
    catalogue = questions.of_initrd(initrd)
    questions.add_components(catalogue, [Udeb("clock-setup", "1", size=5)], lambda _each: None, ())
    assert catalogue.lacking == ["clock-setup"]
    assert not known.read(catalogue.as_json()).whole
    assert "the mirror lacks 1 component" in catalogue.sentence


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"questions": {"a": []}, "aliases": {}, "commands": []}', "\x00"])
def test_a_catalogue_that_cannot_be_read_is_as_none(text: str) -> None:
    assert known.read(text) == known.Known()


def test_what_is_no_initrd_has_no_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    path.write_bytes(os.urandom(2000))
    with pytest.raises(subprocess.CalledProcessError):
        questions.of_initrd(path)


@pytest.fixture(scope="module")
def real_initrd() -> Path:
    root = Path(__file__).parents[2]
    found = [path for place in PLACES for path in (Path("/").glob(place[1:]) if place[0] == "/" else root.glob(place))]
    if not found:
        pytest.skip("no debian-installer here: install debian-installer-12-netboot-amd64, or run the demo once")
    return found[-1]


def test_the_real_installer_knows_what_our_preseed_answers(real_initrd: Path) -> None:
    catalogue = questions.of_initrd(real_initrd)
    assert {"netcfg/choose_interface", "keyboard-configuration/xkb-keymap"} <= set(catalogue.questions)
    assert "wget" in catalogue.commands
    assert not {"curl", "python3", "systemctl"} & catalogue.commands
    found = known.read(catalogue.as_json())
    said = spec("debian", "13")
    assert checks.check("preseed", preseed.render(said, TEMPLATES), said, found) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a chroot needs root")
def test_the_real_installers_own_reader_takes_our_preseed(real_initrd: Path, tmp_path: Path) -> None:
    tree = tmp_path / "initrd"
    tree.mkdir()
    # Device nodes cannot be made everywhere; the reader needs none but /dev/null.
    subprocess.run(
        ["bsdtar", "-xf", real_initrd, "-C", tree, "--exclude", "*.ko*"], check=False, stderr=subprocess.DEVNULL
    )
    for name in ("dev", "proc", "tmp", "var/log", "var/lib/preseed", "var/cache/debconf", "var/lib/cdebconf"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    null = tree / "dev/null"
    if not null.exists():
        null.touch()
    text = preseed.render(spec("debian", "13"), TEMPLATES)
    (tree / "tmp/preseed.cfg").write_text(text)
    # Its own script with its database calls noted instead of made: what it takes each line for is the point here.
    reader = (tree / "bin/debconf-set-selections").read_text()
    reader = reader.replace(". /usr/share/debconf/confmodule", 'db_set() { echo "SET $1=$2"; }; db_fset() { :; }')
    reader = reader.replace(". /lib/preseed/preseed.sh", "logfile=/tmp/log; log() { echo ERROR; }")
    (tree / "tmp/reader").write_text(reader)
    done = subprocess.run(
        ["chroot", tree, "/bin/sh", "/tmp/reader", "/tmp/preseed.cfg"],
        capture_output=True, text=True, timeout=120, check=False, env={"PATH": "/bin:/usr/bin:/sbin:/usr/sbin"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    heard = [line.removeprefix("SET ") for line in done.stdout.splitlines()]
    said = [each for each in selections.read("preseed", text) if isinstance(each, selections.Entry)]
    assert heard == [f"{each.key}={each.value}" for each in said]
