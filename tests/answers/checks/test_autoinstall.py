"""What Ubuntu's installer would stumble over, or worse: not stumble over. Each with its line and what to write."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from pxeapp.answers import checks, render, storage
from pxeapp.answers.checks import yaml_lines
from pxeapp.answers.checks.yaml_lines import NotYaml
from pxeapp.answers.spec import AnswerSpec
from tests.answers.network.machines import ANYWHERE, CASES, plan
from tests.answers.samples import AUTOINSTALLS, TEMPLATES, full, spec
from tests.answers.site.sample import everything
from tests.answers.storage.samples import LAYOUTS

KINDS = ("user-data", "meta-data", "vendor-data", "network-config", "script")


def ours(version: str = "24.04", **more: Any) -> AnswerSpec:
    return spec("ubuntu", version, "base", "autoinstall", **more)


def document(version: str = "24.04") -> dict[str, Any]:
    said = yaml.safe_load(render.render("user-data", ours(version), TEMPLATES))["autoinstall"]
    assert isinstance(said, dict)
    return said


def faults(said: Any, version: str = "24.04") -> list[str]:
    """The faults of a document, as `path-ish line text: problem`."""
    text = "#cloud-config\n" + yaml.safe_dump({"autoinstall": said}, sort_keys=False)
    lines = text.split("\n")
    found = checks.check("user-data", text, ours(version))
    return [f"{lines[fault.line - 1].strip()} | {fault.problem} {fault.fix}" for fault in found]


def changed(path: str, value: Any, version: str = "24.04") -> dict[str, Any]:
    """Our document with one thing different; None takes it out."""
    said = document(version)
    *places, last = path.split("/")
    inner = said
    for place in places:
        inner = inner[int(place) if place.isdigit() else place]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("family", "version"), AUTOINSTALLS)
def test_what_we_render_has_no_fault(family: str, version: str, kind: str) -> None:
    for found in (spec(family, version, installer="autoinstall"), full(family, version, installer="autoinstall")):
        assert checks.check(kind, render.render(kind, found, TEMPLATES), found) == []


@pytest.mark.parametrize("version", ["20.04", "24.04"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_can_be_carried_out_and_booted_from(version: str, name: str) -> None:
    found = ours(version, storage=storage.read(LAYOUTS[name]), system_disk=None, data_disks=(), keep_disks=())
    for kind in ("user-data", "script"):
        assert checks.check(kind, render.render(kind, found, TEMPLATES), found) == []


@pytest.mark.parametrize("name", ANYWHERE)
def test_every_network_is_whole(name: str) -> None:
    found = ours(network=plan(CASES[name]))
    assert checks.check("user-data", render.render("user-data", found, TEMPLATES), found) == []


@pytest.mark.parametrize("version", ["20.04", "24.04"])
def test_a_site_that_says_everything_has_no_fault(version: str) -> None:
    found = everything("ubuntu", version, installer="autoinstall")
    for kind in ("user-data", "script"):
        assert checks.check(kind, render.render(kind, found, TEMPLATES), found) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("late_commands", ["true"], "late_commands: | .*no key that the installer knows.*Did you mean late-commands"),
        ("storag", {}, "storag: {} | no key that the installer knows"),
        ("ssh/install-server", "yes", "install-server: 'yes' | .*is a text, not true or false"),
        ("packages", "curl", "packages: curl | .*is a text, not a list"),
        ("packages", ["curl", 7], "- 7 | autoinstall.packages.1 is a number"),
        ("version", 2, "version: 2 | .*cannot be 2"),
        ("updates", "none", "updates: none | .*cannot be 'none'.*security, all"),
        ("shutdown", "halt", "shutdown: halt | .*reboot, poweroff"),
        ("locale", "en US", "locale: en US | .*Write it as en_US.UTF-8"),
        ("interactive-sections", ["network"], "interactive-sections: | The installer would ask, and report nothing"),
        ("user-data", None, "autoinstall: | Nobody could sign in"),
        ("user-data/hostnam", "x", "hostnam: x | .*no key"),
        ("storage", None, "autoinstall: | Without storage the installer takes whichever disk it likes"),
        ("storage/layout/match", None, "layout: | The layout names no disk: .*the largest"),
        ("storage/layout/match", {}, "match: {} | The layout names no disk"),
        ("storage/layout/match", {"size": "largest"}, "match: | The layout takes any disk of that size"),
        ("storage/layout/match", [{"serial": "X"}, {"ssd": True}], "match: | The layout takes any disk of that size"),
        ("storage/layout/match", {"path": "sda"}, "path: sda | .*Write /dev/"),
        ("storage/layout/match", {"by-path": "x"}, "by-path: x | .*no key"),
        ("storage/layout/name", "raid", "name: raid | .*Use direct, lvm"),
        ("storage/config", [], "config: "),
        ("timezone", "Etc/UTC", "timezone: Etc/UTC | The installer knows no zone 'Etc/UTC' and ends there"),
        ("timezone", "US/Eastern", "knows no zone"),
        ("timezone", "geoip", "knows no zone"),
        ("apt/geoip", True, "apt: | The installer would ask a server in the internet"),
        ("apt/security", None, "apt: | Security updates would come from the internet"),
        ("apt/mirror-selection", None, "apt: | It names no archive"),
        ("apt/primary", [{"arches": ["default"], "uri": "http://h/u"}], "apt: | refuses primary together"),
        ("apt/fallback", "never", "fallback: never | .*abort"),
        ("network/ethernets/card0/match", {"name": "eno1"}, "card0: | The card 'card0' is named by its kernel's name"),
        ("network/ethernets/card0/addresses", ["10.0.0.7"], "- 10.0.0.7 | '10.0.0.7' is no address with a prefix"),
        ("network/ethernets/card0/dhcp5", True, "dhcp5: true | .*no key"),
        ("network/bonds", {"b": {"interfaces": ["card9"]}}, "interfaces: | There is no device 'card9'"),
        ("network/vlans", {"v": {"id": 5000, "link": "card0"}}, "id: 5000 | .*Use 1 to 4094"),
        ("network/ethernets", {}, "network: | It has no devices"),
        ("reporting/pxeapp/type", "hook", "type: hook | .*webhook"),
        ("early-commands", ["if true; then"], "- if true; then | The command in early-commands is no sh"),
        ("early-commands", ["wget -O /x http://h/x && [[ -s /x ]]"], "is bash's"),
    ],
)  # fmt: skip
def test_a_fault_names_its_line_and_what_to_write(path: str, value: Any, said: str) -> None:
    found = faults(changed(path, value))
    line, _, what = said.rpartition(" | ")
    assert any(each.startswith(f"{line} | " if line else "") and re.search(what, each) for each in found), found


@pytest.mark.parametrize(
    ("version", "path", "value"),
    [
        ("20.04", "source", {"id": "ubuntu-server"}),
        ("20.04", "storage/layout/sizing-policy", "all"),
        ("22.04", "apt/fallback", "abort"),
        ("22.04", "kernel-crash-dumps", {"enabled": False}),
    ],
)
def test_a_key_that_came_later_is_refused_for_the_older_release(version: str, path: str, value: Any) -> None:
    said = changed(path, value, version)
    said["storage"]["layout"]["name"] = "lvm"
    assert any("does not know it" in each for each in faults(said, version))
    assert not any("does not know it" in each for each in faults(changed(path, value, "26.04"), "26.04"))


DISK = {"type": "disk", "id": "d", "path": "/dev/x", "ptable": "gpt", "grub_device": True}
BIOS = {"type": "partition", "id": "b", "device": "d", "size": "1M", "flag": "bios_grub"}
ROOT = {"type": "partition", "id": "r", "device": "d", "size": -1}
FORMAT = {"type": "format", "id": "f", "volume": "r", "fstype": "ext4"}
MOUNT = {"type": "mount", "id": "m", "device": "f", "path": "/"}
GOOD = [DISK, BIOS, ROOT, FORMAT, MOUNT]
ESP = [
    {"type": "partition", "id": "e", "device": "d", "size": 629145600, "flag": "boot", "grub_device": True},
    {"type": "format", "id": "ef", "volume": "e", "fstype": "fat32"},
    {"type": "mount", "id": "em", "device": "ef", "path": "/boot/efi"},
]
UEFI = [{**DISK, "grub_device": False}, *ESP, ROOT, FORMAT, MOUNT]
BOTH = [
    {**DISK, "grub_device": "PXEAPP_ON_BIOS"}, BIOS, {**ESP[0], "grub_device": "PXEAPP_ON_UEFI"}, *ESP[1:], ROOT,
    FORMAT, MOUNT,
]  # fmt: skip


def of_config(config: list[dict[str, Any]]) -> list[str]:
    return faults(changed("storage", {"config": config}))


@pytest.mark.parametrize("config", [GOOD, UEFI, BOTH])
def test_actions_that_can_be_carried_out_have_no_fault(config: list[dict[str, Any]]) -> None:
    assert of_config(config) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ([{**DISK, "path": None} | {"path": ""}, *GOOD[1:]], "Write /dev/"),
        ([{key: value for key, value in DISK.items() if key != "path"}, *GOOD[1:]], "could be any disk"),
        ([DISK | {"match": {}}, *GOOD[1:]], "names no disk"),
        ([{**DISK, "grub_device": False}, *GOOD[1:]], "The boot loader has no place"),
        ([DISK, ROOT, FORMAT, MOUNT], "GRUB has no room on the GPT disk 'd'.*bios_grub"),
        ([{**DISK, "ptable": "mbr"}, *GOOD[1:]], "Use gpt, msdos"),
        ([{k: v for k, v in DISK.items() if k != "ptable"}, *GOOD[1:]], "has no partition table.*ptable: gpt"),
        ([*GOOD, {**MOUNT, "id": "m2"}], "/ is mounted twice"),
        (GOOD[:-1], "Nothing is mounted at /"),
        ([DISK, BIOS, ROOT, {**FORMAT, "volume": "q"}, MOUNT], "There is no 'q' before this"),
        ([BIOS, DISK, ROOT, FORMAT, MOUNT], "There is no 'd' before this.*further up"),
        ([DISK, BIOS, ROOT, FORMAT, {**MOUNT, "device": "r"}], "'r' is a partition.*Name a format"),
        ([*GOOD, {**BIOS, "id": "r"}], "The id 'r' stands twice"),
        ([DISK, ROOT, BIOS, FORMAT, MOUNT], "What is left of 'd' is taken more than once"),
        ([DISK, BIOS, {**ROOT, "size": "5 quarts"}, FORMAT, MOUNT], "Write 10G, 50% or -1"),
        ([DISK, BIOS, {**ROOT, "size": "60%"}, {**ROOT, "id": "s", "size": "50%"}, FORMAT, MOUNT], "More than 100%"),
        ([DISK, BIOS, ROOT, {**FORMAT, "fstype": "reiserfs"}, MOUNT], "cannot be 'reiserfs'"),
        ([*GOOD, {"type": "raid", "id": "a", "name": "md0", "raidlevel": 1, "devices": ["r"]}], "needs 2 different"),
        ([*GOOD, {"type": "raid", "id": "a", "name": "md0", "raidlevel": 7, "devices": ["r"]}], "no RAID level 7"),
        ([*GOOD, {"type": "volume", "id": "v"}], "is no storage action"),
        ([*GOOD, {"type": "lvm_partition", "id": "v", "name": "x", "volgroup": "r"}], "Name a lvm_volgroup"),
        ([UEFI[0], {**ESP[0], "flag": "linux"}, *UEFI[2:]], "is no EFI system partition.*flag: boot"),
        ([UEFI[0], ESP[0], {**ESP[1], "fstype": "ext4"}, *UEFI[3:]], "The firmware cannot read 'e'"),
        ([UEFI[0], *ESP[:2], ROOT, FORMAT, MOUNT], "No EFI system partition is mounted"),
        ([BOTH[0], *BOTH[2:]], "GRUB has no room on the GPT disk 'd' on BIOS"),
        ([*BOTH[:2], *BOTH[5:]], "The boot loader has no place on UEFI"),
    ],
)  # fmt: skip
def test_an_action_that_cannot_be_carried_out_is_told(config: list[dict[str, Any]], said: str) -> None:
    found = of_config(config)
    assert any(re.search(said, each) for each in found), found


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("autoinstall: {version: 1}\n", 1, "does not know what this is"),
        ("# cloud-config\nautoinstall: {}\n", 1, "The first line must be #cloud-config"),
        ("#cloud-config\nautoinstall:\n  version: 1\n bad\n", 4, "This is no YAML"),
        ("#cloud-config\nautoinstall:\n\tversion: 1\n", 3, "This is no YAML"),
        ("#cloud-config\nautoinstall:\n  version: 1\n  version: 1\n", 4, "version stands twice"),
        ("#cloud-config\nautoinstall:\n  version: 1\n  locale: 2026-11-25\n", 4, "is taken for a timestamp"),
        ("#cloud-config\nautoinstall:\n  on: 1\n", 3, "The key 'on' is not a text"),
        ("#cloud-config\nautoinstall: !!python/object/apply:os.system [id]\n", 2, "is taken for a"),
        ("#cloud-config\nautoinstal: {}\n", 2, "no key that the installer knows"),
        ("#cloud-config\n", 1, "not a mapping"),
        ("#cloud-config\n- 1\n", 2, "is a list, not a mapping"),
        ("#cloud-config\na: " + "[" * 40 + "]" * 40 + "\n", 2, "nested more than 30 deep"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_text_itself_is_told_by_line(text: str, line: int, said: str) -> None:
    found = checks.check("user-data", text, ours())
    assert any(fault.line == line and said in f"{fault.problem} {fault.fix}" for fault in found), found


def test_the_other_files_of_a_seed_are_looked_at_too() -> None:
    assert "instance-id" in checks.check("meta-data", "local-hostname: x\n", ours())[0].fix
    assert "no YAML" in checks.check("meta-data", "a: b: c\n", ours())[0].problem
    assert "#cloud-config" in checks.check("vendor-data", "{}\n", ours())[0].fix
    assert "runcmds" in checks.check("vendor-data", "#cloud-config\nruncmds: []\n", ours())[0].problem
    assert "YAML" in checks.check("network-config", "a: [", ours())[0].problem
    assert checks.check("network-config", "[]\n", ours())
    assert "no devices" in checks.check("network-config", "version: 2\n", ours())[0].problem
    by_name = "version: 2\nethernets: {eth0: {dhcp4: true}}\n"
    assert "kernel's name" in checks.check("network-config", by_name, ours())[0].problem
    script = render.render("script", ours(), TEMPLATES)
    broken = script.replace("without_tokens() {", "without_tokens( {")
    (fault, *_) = checks.check("script", broken, ours())
    assert "script is no sh" in fault.problem


def test_lines_are_found_for_every_value() -> None:
    document = yaml_lines.read("a:\n  - b: 1\n    c: 2\n  - d\ne: f\n")
    assert document.value == {"a": [{"b": 1, "c": 2}, "d"], "e": "f"}
    assert [document.line(path) for path in (("a",), ("a", 0, "c"), ("a", 1), ("e",), ("a", 0, "x"))] == [1, 3, 4, 5, 2]
    with pytest.raises(NotYaml) as error:
        yaml_lines.read("a: &x [*x]\n")
    assert error.value.line == 1
