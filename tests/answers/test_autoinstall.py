"""Autoinstall: whole files of each release, as cloud-init and the installer read them, and what is never in them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pxeapp.answers import autoinstall, checks, releases, render
from pxeapp.answers.spec import AnswerSpec, BadAnswerValue, Card, Repository
from pxeapp.answers.storage import read
from pxeapp.boot import grub, ipxe, pxelinux
from pxeapp.boot.spec import InstallBoot
from pxeapp.templates import TemplateError, Templates
from tests.answers import shells
from tests.answers.network.machines import CASES, plan
from tests.answers.samples import (
    ANSWER_TOKEN,
    AUTOINSTALLS,
    CALLBACK_TOKEN,
    DATA,
    KEEP,
    KEY,
    MAC,
    NODE_URL,
    ROLES,
    SHA512,
    SYSTEM,
    TEMPLATES,
    full,
    release,
    spec,
)
from tests.answers.site.sample import everything, with_site
from tests.answers.storage.samples import LAYOUTS
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
every_release = pytest.mark.parametrize(("family", "version"), AUTOINSTALLS)


def plain_spec(version: str, role: str = "base", **more: Any) -> AnswerSpec:
    return spec("ubuntu", version, role, "autoinstall", **more)


def full_spec(version: str) -> AnswerSpec:
    return full("ubuntu", version, "storage", "autoinstall")


def document(found: AnswerSpec, templates: Templates = TEMPLATES) -> dict[str, Any]:
    """As the installer gets it: cloud-init's first line, then YAML, then the key `autoinstall`."""
    first, _, rest = autoinstall.user_data(found, templates).partition("\n")
    assert first == "#cloud-config"
    said: dict[str, Any] = yaml.safe_load(rest)
    assert list(said) == ["autoinstall"]
    return said["autoinstall"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("number", "key"), list(enumerate(AUTOINSTALLS)))
def test_the_whole_files_of_each_release(number: int, key: tuple[str, str]) -> None:
    role = ROLES[number % 3]
    for kind, suffix in (("user-data", "user-data"), ("script", "autoinstall.sh")):
        text = render.render(kind, plain_spec(key[1], role), TEMPLATES)
        golden.check(f"ubuntu-{key[1]}-{role}.{suffix}", text, GOLDEN)


@pytest.mark.parametrize("version", ["20.04", "24.04"])
def test_the_whole_files_with_everything_said(version: str) -> None:
    for kind, suffix in (("user-data", "user-data"), ("script", "autoinstall.sh")):
        golden.check(f"ubuntu-{version}-full.{suffix}", render.render(kind, full_spec(version), TEMPLATES), GOLDEN)


@every_release
def test_the_seed_is_whole(family: str, version: str) -> None:
    found = spec(family, version, installer="autoinstall")
    meta = yaml.safe_load(render.render("meta-data", found, TEMPLATES))
    assert meta == {"instance-id": "pxeapp-node1", "local-hostname": "node1"}
    assert render.render("vendor-data", found, TEMPLATES).startswith("#cloud-config\n")
    assert document(found)["version"] == 1


@every_release
def test_the_command_line_finds_iso_seed_and_card(family: str, version: str) -> None:
    found = spec(family, version, installer="autoinstall")
    dialect = releases.subiquity(family, version)
    said = autoinstall.kernel_args(found).split()
    assert f"url={found.release.install_url}" in said
    # cloud-init appends the names of its files to the URL, slash or not.
    assert f"ds={dialect.seed};s={NODE_URL}/a/{ANSWER_TOKEN}/" in said
    assert {"ip=dhcp", "autoinstall", "cloud-config-url=/dev/null", "BOOTIF=01-52-54-00-00-00-01"} <= set(said)
    assert said[said.index("---") :] == ["---", "console=tty0", "console=ttyS0,115200"]


def test_the_older_media_are_told_the_older_word() -> None:
    words = {version: releases.subiquity("ubuntu", version).seed for _, version in AUTOINSTALLS}
    assert words == {"20.04": "nocloud-net", "22.04": "nocloud-net", "24.04": "nocloud", "26.04": "nocloud"}


def test_a_static_address_is_the_initramfs_own() -> None:
    found = full_spec("24.04")
    assert autoinstall.kernel_args(found).startswith(
        "ip=10.77.0.11::10.77.0.1:255.255.255.0:node1::none:10.77.0.2:10.77.0.3 BOOTIF=01-52-54-00-00-00-01 "
    )
    lonely = replace(found, boot=Card(MAC, "eno1", address="10.77.0.11/24"))
    assert autoinstall.kernel_args(lonely).startswith("ip=10.77.0.11:::255.255.255.0:node1:eno1:none BOOTIF")


@every_release
def test_every_loader_hands_the_command_line_over_unchanged(family: str, version: str, tmp_path: Path) -> None:
    for found in (spec(family, version, installer="autoinstall"), full_spec(version)):
        args = autoinstall.kernel_args(found)
        boot = InstallBoot("node1", MAC, "u", "media/u/1/casper/vmlinuz", ("media/u/1/casper/initrd",), args)
        script = grub.render(boot, TEMPLATES)
        line = next(line.strip() for line in script.splitlines() if line.strip().startswith("if linux "))
        assert shlex.split(line.removesuffix("; then"))[3:] == args.split()
        assert "'ds=nocloud" in line, "GRUB ends the command at a bare semicolon"
        text = ipxe.render(boot, TEMPLATES, node_url=NODE_URL)
        assert f" {args} initrd=initrd0 " in text
        assert f"APPEND {args}\n" in pxelinux.render(boot, TEMPLATES)
        if shutil.which("grub-script-check"):
            path = tmp_path / "grub.cfg"
            path.write_text(script)
            subprocess.run(["grub-script-check", str(path)], check=True, timeout=20)


@every_release
def test_one_disk_is_named_and_its_name_cannot_be_a_disks(family: str, version: str) -> None:
    for found in (spec(family, version, installer="autoinstall"), full_spec(version)):
        said = document(found)
        assert said["storage"]["layout"]["match"] == {"path": autoinstall.DISK}
        text = autoinstall.user_data(found, TEMPLATES)
        assert not any(disk in text for disk in (SYSTEM, *DATA, *KEEP))
        script = autoinstall.script(found, TEMPLATES)
        assert script.index("if ! find_disks") < script.index(f'sed -i -e "s,{autoinstall.DISK},/dev/$')


def test_lvm_takes_the_whole_disk_on_every_installer() -> None:
    for _, version in AUTOINSTALLS:
        layout = document(full_spec(version))["storage"]["layout"]
        grown = "lvextend" in autoinstall.script(full_spec(version), TEMPLATES)
        assert layout["name"] == "lvm"
        assert (layout.get("sizing-policy") == "all") != grown
        assert document(plain_spec(version))["storage"]["layout"]["name"] == "direct"
        assert "lvextend" not in autoinstall.script(plain_spec(version), TEMPLATES)


@every_release
def test_it_asks_nobody_but_the_appliance(family: str, version: str) -> None:
    found = spec(family, version, installer="autoinstall")
    said = document(found)
    archive = f"{NODE_URL}/mirror/ubuntu"
    apt = said["apt"]
    assert apt["geoip"] is False
    assert apt["security"] == [{"arches": ["default"], "uri": archive}]
    if releases.subiquity(family, version).mirror_selection:
        assert (apt["mirror-selection"], apt["fallback"]) == ({"primary": [{"uri": archive}]}, "abort")
        assert "primary" not in apt, "the installer refuses both together"
    else:
        assert apt["primary"] == [{"arches": ["default"], "uri": archive}]
    assert said["refresh-installer"] == {"update": False}
    text = autoinstall.user_data(found, TEMPLATES) + autoinstall.script(found, TEMPLATES)
    assert not re.search(r"ubuntu\.com|canonical|snapcraft", text)
    assert set(re.findall(r"https?://[^/\s\"'}]+", text)) == {NODE_URL}


@every_release
def test_root_has_keys_and_nobody_a_password(family: str, version: str) -> None:
    found = spec(family, version, installer="autoinstall")
    said = document(found)
    assert "identity" not in said
    assert (said["user-data"]["users"], said["user-data"]["disable_root"]) == ([], False)
    assert said["ssh"] == {"install-server": True, "allow-pw": False, "authorized-keys": [KEY]}
    assert "passwd -l root\n" in autoinstall.script(found, TEMPLATES)


def test_a_password_hash_stands_in_the_script_only_and_on_no_command_line() -> None:
    # The document is copied to the installed system's logs, a command line is in everybody's process list.
    found = full_spec("24.04")
    assert SHA512 not in autoinstall.user_data(found, TEMPLATES)
    script = autoinstall.script(found, TEMPLATES)
    assert f"chpasswd -e <<'END_OF_PASSWORD'\nroot:{SHA512}\nEND_OF_PASSWORD\n" in script
    assert "passwd -l root" not in script


def test_the_time_zone_is_the_installed_systems_own_affair() -> None:
    # The installer takes the zones of `timedatectl list-timezones` only: Etc/UTC would end the installation.
    for _, version in AUTOINSTALLS:
        said = document(plain_spec(version))
        assert "timezone" not in said
        assert said["user-data"]["timezone"] == "Etc/UTC"


def test_the_cards_are_found_by_mac_and_one_has_the_default_route() -> None:
    net = document(full_spec("24.04"))["network"]
    cards = net["ethernets"]
    assert [card["match"]["macaddress"][-2:] for card in cards.values()] == ["01", "02", "03", "04", "05"]
    assert cards["card0"]["routes"] == [{"to": "default", "via": "10.77.0.1"}]
    assert [name for name, card in cards.items() if "routes" in card] == ["card0"]
    assert cards["card3"]["dhcp4-overrides"] == {"use-routes": False}
    assert net["vlans"]["card1v120"]["addresses"] == ["10.78.0.11/24"]
    assert net["vlans"]["card1v120"]["link"] == "card1"
    assert document(full_spec("20.04"))["network"]["ethernets"]["card0"]["routes"][0]["to"] == "0.0.0.0/0"


@every_release
def test_a_roles_packages_come_without_what_they_recommend_on_every_installer(family: str, version: str) -> None:
    found = spec(family, version, "compute", "autoinstall")
    assert document(found)["packages"] == []
    assert "Install-Recommends" not in autoinstall.user_data(found, TEMPLATES)  # the kernel's make the initramfs
    finish = shells.inner(autoinstall.script(found, TEMPLATES))["/target/root/pxeapp-finish"]
    installed = finish.index(f"install --no-install-recommends \\\n    {' '.join(found.packages)}\n")
    assert finish.index("apt-get -q update") < installed


def test_what_prepares_other_disks_is_installed_before_the_late_commands() -> None:
    layout = {"raw": [{"serial": "Z1", "format": "xfs"}], "groups": {"cinder-volumes": {"disks": [{"serial": "Z2"}]}}}
    assert document(plain_spec("24.04", storage=read(layout)))["packages"] == ["lvm2", "xfsprogs"]


def test_packages_come_when_their_repositories_are_known() -> None:
    ours = Repository("cloud", f"{NODE_URL}/repo/cloud", "noble-updates/epoxy", "main", f"{NODE_URL}/repo/cloud.asc")
    found = plain_spec("24.04", release=release("ubuntu", "24.04", repositories=(ours,)))
    finish = shells.inner(autoinstall.script(found, TEMPLATES))["/target/root/pxeapp-finish"]
    signed = "[signed-by=/etc/apt/keyrings/cloud.asc]"
    assert shells.inner(finish)["/etc/apt/sources.list.d/cloud.list"] == (
        f"deb {signed} {NODE_URL}/repo/cloud noble-updates/epoxy main"
    )
    order = ["/etc/apt/sources.list.d/cloud.list", "apt-get -q update", "--no-install-recommends"]
    places = [finish.index(each) for each in order]
    assert places == sorted(places)


def test_packages_come_after_the_sites_repositories_and_before_what_needs_them() -> None:
    found = everything("ubuntu", "24.04", installer="autoinstall")
    finish = shells.inner(autoinstall.script(found, TEMPLATES))["/target/root/pxeapp-finish"]
    sources = "/etc/apt/sources.list.d/pxeapp-tools-9.list"
    order = [sources, "--no-install-recommends", "# Its time servers", "# Users of"]
    places = [finish.index(each) for each in order]
    assert places == sorted(places)
    assert finish.count("--no-install-recommends") == 1


def test_the_disk_stays_first_where_the_site_says_so() -> None:
    for _, version in AUTOINSTALLS:
        for layout in ("plain", "raid1"):
            found = plain_spec(version, storage=read(LAYOUTS[layout]), system_disk=None, data_disks=(), keep_disks=())
            assert "grub" not in document(found)["storage"]
            assert "# Keep the network first" in autoinstall.script(found, TEMPLATES)
            first = with_site(found, {"boot_order": "disk-first"})
            assert document(first)["storage"]["grub"] == {"reorder_uefi": False}
            script = autoinstall.script(first, TEMPLATES)
            assert "# Keep the network first" not in script
            assert "# The disk first" in script  # older ones read `grub` with `config` only
            for kind in ("user-data", "script"):
                assert checks.check(kind, render.render(kind, first, TEMPLATES), first) == []


def test_a_layout_without_swap_has_no_swap_file_either() -> None:
    def said(volumes: dict[str, str]) -> dict[str, Any]:
        return document(plain_spec("24.04", storage=read({"volumes": volumes})))["storage"]  # type: ignore[no-any-return]

    assert said({"/": "rest"})["swap"] == {"size": 0}
    assert "swap" not in said({"/": "rest", "swap": "1G"})
    assert "swap" not in document(plain_spec("24.04"))["storage"]  # the installer's own recipe


def test_host_keys_that_are_kept_are_not_made_anew_at_the_first_boot() -> None:
    assert "ssh_deletekeys" not in document(plain_spec("24.04"))["user-data"]
    kept = with_site(plain_spec("24.04"), {"keep_ssh_host_keys": True})
    assert document(kept)["user-data"]["ssh_deletekeys"] is False
    script = autoinstall.script(kept, TEMPLATES)
    # Taken before the disk is written, put back at the end.
    assert re.search(r"for each in \$system_disks; do keep_host_keys ", script[: script.index("\nfinish() {")])
    assert "restore_host_keys /target" in script[script.index("\nfinish() {") :]


def test_the_initramfs_has_the_address_that_the_networks_language_says() -> None:
    dual = plain_spec("24.04", network=plan(CASES["dual"]))
    assert autoinstall.kernel_args(dual).startswith("ip=10.77.0.11::10.77.0.1:255.255.255.0:node1::none:10.77.0.2 BOOT")
    assert autoinstall.kernel_args(plain_spec("24.04", network=plan(CASES["slaac"]))).startswith("ip=dhcp BOOTIF=")
    assert "fd00" not in autoinstall.kernel_args(dual), (
        "the initramfs has two name servers, and reads a colon as an end"
    )


@every_release
def test_tokens_stand_where_they_belong(family: str, version: str) -> None:
    found = spec(family, version, installer="autoinstall")
    said = document(found)
    script = autoinstall.script(found, TEMPLATES)
    assert ANSWER_TOKEN not in script
    holding = [key for key, value in said.items() if CALLBACK_TOKEN in repr(value)]
    assert holding == ["reporting"]
    finish = shells.inner(script)["/target/root/pxeapp-finish"]
    inside = shells.inner(finish)
    assert [path for path, text in inside.items() if CALLBACK_TOKEN in text] == ["/usr/local/sbin/pxeapp-first-boot"]


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix")])
@every_release
def test_the_live_sessions_shell_reads_the_script(family: str, version: str, shell: tuple[str, ...]) -> None:
    for found in (spec(family, version, installer="autoinstall"), full_spec(version)):
        shells.check(shell, autoinstall.script(found, TEMPLATES))
        for command in (key for key in document(found) if key.endswith("-commands")):
            for line in document(found)[command]:
                shells.check(("dash",), line)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@every_release
def test_shellcheck_has_nothing_to_say(family: str, version: str) -> None:
    ours = (Repository("cloud", f"{NODE_URL}/repo/cloud", "./", key=f"{NODE_URL}/repo/cloud.asc"),)
    for found in (
        full_spec(version),
        spec(family, version, installer="autoinstall", system_disk=None),
        replace(full_spec(version), release=release(family, version, "autoinstall", repositories=ours)),
    ):
        script = autoinstall.script(found, TEMPLATES)
        shells.lint("dash", script)
        finish = shells.inner(script)["/target/root/pxeapp-finish"]
        shells.check(("bash",), finish)
        shells.lint("bash", finish)


def test_a_hostile_value_is_refused_or_is_only_itself() -> None:
    for field, value in (
        ("hostname", "node1\nautoinstall: {}"),
        ("domain", "a.b # c"),
        ("locale", "C\nshutdown: poweroff"),
        ("keyboard", "us, variant: x"),
        ("timezone", "Etc/UTC; reboot"),
        ("ntp", ("$(reboot)",)),
        ("ssh_keys", (f"{KEY}\n- another",)),
        ("packages", ("curl && reboot",)),
        ("hostname", "h" * 255),
        ("hostname", "knöten"),
    ):
        with pytest.raises(BadAnswerValue):
            plain_spec("24.04", **{field: value})
    # These are possible values, and YAML would take each for something else.
    found = plain_spec("24.04", hostname="on", domain="no", keyboard="0777", locale="C")
    said = document(found)
    assert (said["user-data"]["hostname"], said["user-data"]["fqdn"]) == ("on", "on.no")
    assert (said["keyboard"]["layout"], said["locale"]) == ("0777", "C")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"install_url": f"{NODE_URL}/media/u/1/casper/"}, "no ISO that it can load"),
        ({"install_url": "https://10.77.0.1/ubuntu.iso"}, "no ISO that it can load"),
        ({"archive": ""}, "release.archive"),
        ({"archive": "http://h/x y"}, "release.archive"),
        ({"source": "a b"}, "release.source"),
    ],
)
def test_a_release_that_cannot_be_installed_so_is_refused(said: dict[str, str], fault: str) -> None:
    with pytest.raises(BadAnswerValue) as refused:
        plain_spec("24.04", release=release("ubuntu", "24.04", **said))
    assert fault in refused.value.in_full


def sites(tmp_path: Path, text: str, name: str = "base") -> Templates:
    folder = tmp_path / "preseeds/autoinstall"
    folder.mkdir(parents=True)
    (folder / f"{name}.yaml").write_text(text)
    return Templates(tmp_path)


def test_a_site_adds_and_changes_keys(tmp_path: Path) -> None:
    templates = sites(
        tmp_path, "kernel: {flavor: hwe}\nuser-data:\n  motd: {{ spec.vars.motd | tojson }}\npackages: [htop]\n"
    )
    said = document(plain_spec("24.04", vars={"motd": 'He said: "no" # $(reboot)'}), templates)
    assert said["kernel"] == {"flavor": "hwe"}
    assert said["user-data"]["motd"] == 'He said: "no" # $(reboot)'
    assert said["user-data"]["hostname"] == "node1"
    assert said["packages"] == ["htop"]


def test_a_sites_role_has_keys_of_its_own(tmp_path: Path) -> None:
    templates = sites(tmp_path, "shutdown: poweroff\n", "compute")
    assert document(plain_spec("24.04", "compute"), templates)["shutdown"] == "poweroff"
    assert document(plain_spec("24.04", "base"), templates)["shutdown"] == "reboot"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1\n", r"base\.yaml, line 2 of what it renders to: "),
        ("- 1\n", "renders to list"),
        ("{{ nothing }}", "nothing"),
    ],
)
def test_a_sites_mistake_names_its_template(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=fault):
        document(plain_spec("24.04"), sites(tmp_path, text))
