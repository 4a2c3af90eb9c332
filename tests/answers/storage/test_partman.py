"""Expert recipes: read by a reader of ours and by the installer's own, and what the script does for RAID."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.answers import preseed
from pxeapp.answers.storage import Layout, partman, read
from tests.answers import shells
from tests.answers.samples import PRESEEDS, TEMPLATES, spec
from tests.answers.storage import recipes
from tests.answers.storage.recipes import Stanza, decoded, stanzas
from tests.answers.storage.samples import LAYOUTS
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
WHOLE = [name for name, said in LAYOUTS.items() if not read(said).simple]
real = pytest.mark.skipif(not recipes.UDEB.exists(), reason="the partman-auto udeb was not fetched at set-up")


def layout(name: str) -> Layout:
    return read(LAYOUTS[name])


def recipe(name: str) -> partman.Recipe:
    return partman.recipe(layout(name), "ext4")


def found(name: str, family: str = "debian", version: str = "13") -> str:
    return preseed.render(_spec(name, family, version), TEMPLATES)


def script(name: str, family: str = "debian", version: str = "13") -> str:
    return preseed.script(_spec(name, family, version), TEMPLATES)


def _spec(name: str, family: str, version: str) -> object:
    return spec(family, version, storage=layout(name), system_disk=None, data_disks=(), keep_disks=())  # type: ignore[return-value]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_whole_of_what_partman_is_told(name: str) -> None:
    lines = [line for line in found(name).splitlines() if "partman" in line]
    text = script(name)
    disk = text[text.index("\ndisk() {") : text.index("\nfinish() {")]
    golden.check(f"{name}.cfg", "\n".join(lines) + "\n" + disk, GOLDEN)


@pytest.mark.parametrize("name", WHOLE)
def test_a_recipe_says_each_thing_once_and_in_an_order_whose_numbers_are_known(name: str) -> None:
    said, wanted = stanzas(recipe(name).recipe), layout(name)
    partitions = [each for each in said if "$lvmok" not in each.words]
    assert [each.words["method"] for each in partitions[:2]] == ["biosgrub", "efi"]
    assert all(each.words["$iflabel"] == "gpt" for each in partitions[:2])
    assert partitions[1].least * 10**6 >= 600 * 2**20
    mounts = {each.words["mountpoint"]: each for each in said if "mountpoint" in each.words}
    volumes = {volume.mount: volume for volume in wanted.volumes if not volume.swap}
    if wanted.raid:
        assert {each.words["method"] for each in partitions[2:]} == {"raid"}
        assert [each.number for each in recipe(name).arrays] == list(range(3, len(partitions) + 1))
    if wanted.raid and not wanted.lvm:
        assert not mounts
        volumes = {}
    else:
        assert ("/boot" in mounts) == (not wanted.raid)
        assert mounts.keys() - {"/boot"} == volumes.keys()
    for mount, volume in volumes.items():
        assert mounts[mount].filesystem == mounts[mount].words["filesystem"] == (wanted.filesystem or "ext4")
        assert mounts[mount].least * 10**6 >= volume.least * 2**20
        assert (mounts[mount].most == -1) == (volume.mib is None)
    if wanted.lvm:
        logical = [each for each in said if "$lvmok" in each.words]
        assert {each.words["lv_name"] for each in logical} == {volume.name for volume in wanted.volumes}
        assert all("$defaultignore" in each.words for each in logical)
    assert len([each for each in said if each.words.get("method") == "swap"]) == (
        0 if wanted.raid and not wanted.lvm else sum(volume.swap for volume in wanted.volumes)
    )


@real
@pytest.mark.parametrize("name", WHOLE)
def test_the_installers_own_reader_agrees_and_gives_the_rest_to_what_grows(name: str, tmp_path: Path) -> None:
    said, wanted = stanzas(recipe(name).recipe), layout(name)
    partitions = decoded(recipe(name).recipe, "default", tmp_path)
    assert partitions == [_as_read(each) for each in said if "$lvmok" not in each.words]
    disk = 400_000
    expanded = decoded(recipe(name).recipe, "default", tmp_path, free=disk)
    for one, each in zip(partitions, expanded, strict=True):
        assert one.most == -1 or each.least == one.least
    grows = [each for each in expanded if each.most == -1]
    if grows:
        assert grows == [expanded[-1]]
        assert disk - 100 <= sum(each.least for each in expanded) <= disk
    if wanted.lvm:
        logical = decoded(recipe(name).recipe, "lvm", tmp_path)
        assert logical == [_as_read(each) for each in said if "$lvmok" in each.words]
        free = recipe(name).guided_mb or 300_000
        assert sum(each.least for each in decoded(recipe(name).recipe, "lvm", tmp_path, free=free)) <= free


def _as_read(each: Stanza) -> Stanza:
    """partman knows no file system called free, and takes ext2."""
    known = each.filesystem if each.filesystem != "free" else "ext2"
    return Stanza(each.least, each.weight, each.most, known, each.words)


@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_every_release_is_told_in_lines_that_debconf_reads(family: str, version: str) -> None:
    for name in LAYOUTS:
        lines = found(name, family, version).splitlines()
        keys = [line.split()[1] for line in lines if line and not line.startswith("#")]
        assert sorted(set(keys)) == sorted(keys)
        methods = {line.split()[-1] for line in lines if " partman-auto/method " in line}
        assert methods == {recipe(name).method}
        (fallback,) = (line for line in lines if "partman/early_command" in line)
        assert fallback.endswith("|| debconf-set partman-auto/disk /dev/none")


@pytest.mark.parametrize(
    ("disks", "parts"),
    [("sda sdb", "/dev/sda{0}#/dev/sdb{0}"), ("nvme0n1 nvme1n1", "/dev/nvme0n1p{0}#/dev/nvme1n1p{0}")],
)
def test_arrays_are_named_by_the_partitions_of_the_disks_that_were_found(
    disks: str, parts: str, tmp_path: Path
) -> None:
    text = script("raid1-lvm")
    start = text.index("part_of() {")
    functions = text[start : text.index("\nother_disks() {", start) if "other_disks() {" in text else None]
    functions = functions[: functions.index("\ndisk() {")]
    start = text.index("    arrays= #")
    made = text[start : text.index("\n", text.index("debconf-set partman-auto-raid/recipe"))]
    body = f"debconf-set() {{ printf '%s' \"$2\"; }}\nsystem_disks=' {disks}'\n{functions}\n{made}\n"
    body = body.replace("debconf-set", "debconf_set")  # dash knows no function with a dash
    for shell in (["dash"], ["bash"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            done = subprocess.run(shell, input=body, capture_output=True, text=True, timeout=30, check=False)
            # One line without a blank at its end: debconf and partman-auto-raid both read it so.
            assert done.stdout == f"1 2 0 ext4 /boot {parts.format(3)} . 1 2 0 lvm - {parts.format(4)} .", done.stderr


@pytest.mark.parametrize("name", ["raid10-lvm", "spare", "lvm-free"])
def test_the_installers_shells_read_the_script(name: str) -> None:
    text = script(name)
    for shell in (("dash",), ("busybox", "sh")):
        if shutil.which(shell[0]):
            shells.check(shell, text)
    if shutil.which("shellcheck"):
        shells.lint("dash", text)


def test_the_installation_fails_where_the_partitioner_took_another_recipe() -> None:
    text = script("lvm-volumes")
    checked = text[text.index("other_disks() {") : text.index("\nfinish() {")]
    for mount in ("/boot", "/var", "/var/log", "/home"):
        assert f"' /target{mount} ' /proc/mounts" in checked
    assert text.index("\n    other_disks\n") < text.index("in-target bash /root/pxeapp-finish")


def test_a_volume_group_that_is_not_filled_keeps_its_space() -> None:
    said = found("lvm-free")
    total = sum(each.least for each in stanzas(recipe("lvm-free").recipe) if "$lvmok" in each.words)
    assert f"partman-auto-lvm/guided_size string {total} MB\n" in said
    assert "partman-auto-lvm/guided_size string max\n" in found("lvm-volumes")
