"""Preseeds and their script: whole files, read as debconf and the installer's shells read them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.answers import preseed
from pxeapp.answers.spec import AnswerSpec
from tests.answers import shells
from tests.answers.samples import (
    ANSWER_TOKEN,
    CALLBACK_TOKEN,
    KEY,
    PRESEEDS,
    ROLES,
    SHA512,
    TEMPLATES,
    full,
    release,
    spec,
)  # fmt: skip
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
TYPES = {"string", "boolean", "select", "multiselect", "note", "password"}
OWNERS = {"d-i", "tasksel", "popularity-contest"}
NOT_IN_THE_INSTALLER = re.compile(r"(?m)^\s*(curl|python3?|systemctl|bash|seq|paste|install|efibootmgr)\b")
# What stops an unattended installation at priority critical when it is left out: facts from the installer's packages.
NEEDED = {
    "mirror/country", "mirror/http/hostname", "mirror/http/directory", "mirror/http/proxy", "passwd/root-login",
    "passwd/make-user", "passwd/root-password-crypted", "clock-setup/utc", "clock-setup/ntp", "time/zone",
    "partman-auto/method", "partman-auto/choose_recipe", "partman-lvm/device_remove_lvm", "partman-lvm/confirm",
    "partman-lvm/confirm_nooverwrite", "partman-md/device_remove_md", "partman-partitioning/confirm_write_new_label",
    "partman/choose_partition", "partman/confirm", "partman/confirm_nooverwrite", "partman-efi/non_efi_system",
    "tasksel/first", "pkgsel/include", "pkgsel/upgrade", "popularity-contest/participate",
    "grub-installer/only_debian", "grub-installer/with_other_os", "finish-install/reboot_in_progress",
    "preseed/early_command", "preseed/late_command", "partman/early_command",
}  # fmt: skip
every_release = pytest.mark.parametrize(("family", "version"), PRESEEDS)


def lines(found: AnswerSpec) -> list[tuple[str, str, str, str]]:
    """Owner, key, type, value, as the installer's own debconf-set-selections splits them."""
    split = []
    for line in preseed.render(found, TEMPLATES).splitlines():
        if line.strip() and not line.startswith("#"):
            owner, key, kind, value = ([*re.split(r"\s+", line.strip(), maxsplit=3), "", ""])[:4]
            split.append((owner, key, kind, value))
    return split


@pytest.mark.parametrize(("number", "key"), list(enumerate(PRESEEDS)))
def test_the_whole_files_of_each_release(number: int, key: tuple[str, str]) -> None:
    role = ROLES[number % 3]
    for suffix, text in (
        ("cfg", preseed.render(spec(*key, role), TEMPLATES)),
        ("sh", preseed.script(spec(*key, role), TEMPLATES)),
    ):
        golden.check(f"{key[0]}-{key[1]}-{role}.{suffix}", text, GOLDEN)


@pytest.mark.parametrize("key", [("debian", "13"), ("ubuntu", "20.04")])
def test_the_whole_files_with_everything_said(key: tuple[str, str]) -> None:
    golden.check(f"{key[0]}-{key[1]}-full.cfg", preseed.render(full(*key), TEMPLATES), GOLDEN)
    golden.check(f"{key[0]}-{key[1]}-full.sh", preseed.script(full(*key), TEMPLATES), GOLDEN)


@every_release
@pytest.mark.parametrize("role", ROLES)
def test_every_line_has_owner_key_and_type_and_none_stands_twice(family: str, version: str, role: str) -> None:
    for found in (spec(family, version, role), full(family, version, role)):
        said = lines(found)
        assert {owner for owner, *_ in said} <= OWNERS
        assert {kind for _, _, kind, _ in said} <= TYPES
        keys = [key for _, key, *_ in said]
        assert sorted(set(keys)) == sorted(keys)
        assert set(keys) >= NEEDED
        for _, key, kind, value in said:
            assert kind != "boolean" or value in ("true", "false"), key
            assert value == value.strip()
            assert not value.endswith("\\")


@pytest.mark.skipif(shutil.which("debconf-set-selections") is None, reason="debconf is not installed")
@every_release
def test_debconf_reads_it(family: str, version: str, tmp_path: Path) -> None:
    for found in (spec(family, version), full(family, version)):
        path = tmp_path / "preseed.cfg"
        path.write_text(preseed.render(found, TEMPLATES))
        done = subprocess.run(
            ["debconf-set-selections", "-c", str(path)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@every_release
def test_it_stays_short(family: str, version: str) -> None:
    # Each line costs the installer about a second under emulation.
    assert len(lines(spec(family, version))) <= 48


@every_release
def test_root_is_locked_in_a_way_that_the_installer_takes_for_an_answer(family: str, version: str) -> None:
    # user-setup takes a single `!` for "not answered", asks for a user instead and never ends.
    said = {key: value for _, key, _, value in lines(spec(family, version))}
    assert (said["passwd/root-login"], said["passwd/root-password-crypted"]) == ("true", "!!")
    said = {key: value for _, key, _, value in lines(full(family, version))}
    assert said["passwd/root-password-crypted"] == SHA512


@every_release
def test_the_network_is_said_before_there_is_one(family: str, version: str) -> None:
    found = full(family, version)
    assert not [key for _, key, *_ in lines(found) if key.startswith("netcfg/")]
    assert "netcfg/get_ipaddress=10.77.0.11 netcfg/get_netmask=255.255.255.0" in preseed.kernel_args(found)


@every_release
def test_it_asks_nobody_but_the_appliance(family: str, version: str) -> None:
    said = {key: value for _, key, _, value in lines(spec(family, version))}
    assert said["apt-setup/services-select"] == ""
    assert said["mirror/http/hostname"] == "10.77.0.1:8081"
    assert not re.search(r"debian\.org|ubuntu\.com", preseed.render(spec(family, version), TEMPLATES))


def test_ubuntu_unpacks_an_image_only_where_one_is_named() -> None:
    # An archive mirror has no install/filesystem.squashfs: with the line the installation would end there.
    found = spec("ubuntu", "18.04")
    assert "live-installer" not in preseed.render(found, TEMPLATES)
    image = "http://10.77.0.1:8081/media/bionic/install/filesystem.squashfs"
    text = preseed.render(replace(found, release=release("ubuntu", "18.04", net_image=image)), TEMPLATES)
    assert f"d-i live-installer/net-image string {image}\n" in text


@every_release
def test_no_disk_but_the_chosen_one_can_be_taken(family: str, version: str) -> None:
    # A failing early_command does not stop the installer; without partman-auto/disk it takes the only disk there is.
    said = {key: value for _, key, _, value in lines(spec(family, version))}
    assert "partman-auto/disk" not in said
    assert said["partman/early_command"].endswith("|| debconf-set partman-auto/disk /dev/none")
    script = preseed.script(spec(family, version), TEMPLATES)
    disk = script[script.index("\ndisk() {") :]
    assert disk.index("debconf-set partman-auto/disk /dev/none") < disk.index("find_disks")


@pytest.mark.parametrize("shell", [("dash",), ("busybox", "sh"), ("bash", "--posix")])
@every_release
def test_the_installers_shells_read_the_script(family: str, version: str, shell: tuple[str, ...]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    for found in (spec(family, version), full(family, version), spec(family, version, system_disk=None)):
        shells.check(shell, preseed.script(found, TEMPLATES))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@every_release
def test_shellcheck_has_nothing_to_say(family: str, version: str) -> None:
    for found in (full(family, version), spec(family, version, system_disk=None)):
        script = preseed.script(found, TEMPLATES)
        shells.lint("dash", script)
        finish = shells.inner(script)["/target/root/pxeapp-finish"]
        shells.check(("bash",), finish)
        shells.lint("bash", finish)


@every_release
def test_the_installer_itself_runs_only_what_it_has(family: str, version: str) -> None:
    script = preseed.script(full(family, version), TEMPLATES)
    outside = re.sub(r"<<'?(END_OF_\w+)'?\n.*?\n\1\n", "\n", script, flags=re.DOTALL)
    assert not NOT_IN_THE_INSTALLER.findall(outside)
    assert "in-target bash /root/pxeapp-finish" in outside


@every_release
def test_installed_is_the_last_thing_said(family: str, version: str) -> None:
    script = preseed.script(spec(family, version), TEMPLATES)
    finish = script[script.index("\nfinish() {") : script.index("\ncase $1 in")]
    assert finish.rstrip().splitlines()[-2].strip().startswith("report installed ")
    assert lines(spec(family, version))[-1][1] == "preseed/late_command"


@every_release
def test_keys_and_tokens_stand_where_they_belong(family: str, version: str) -> None:
    found = spec(family, version)
    assert CALLBACK_TOKEN not in preseed.render(found, TEMPLATES)
    script = preseed.script(found, TEMPLATES)
    assert ANSWER_TOKEN not in script
    finish = shells.inner(script)["/target/root/pxeapp-finish"]
    inside = shells.inner(finish)
    assert inside["/root/.ssh/authorized_keys"] == KEY
    assert [path for path, text in inside.items() if CALLBACK_TOKEN in text] == ["/usr/local/sbin/pxeapp-first-boot"]
