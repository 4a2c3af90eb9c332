"""Actions for curtin: complete, in order, and without the words that stand for disks once the machine has looked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pxeapp.answers import autoinstall
from pxeapp.answers.storage import curtin, read
from tests.answers.samples import AUTOINSTALLS, TEMPLATES, spec
from tests.answers.storage.samples import LAYOUTS
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
WHOLE = [name for name, said in LAYOUTS.items() if not read(said).simple]
REFERENCES = {"partition": ("device",), "raid": ("devices",), "lvm_volgroup": ("devices",),
              "lvm_partition": ("volgroup",), "format": ("volume",), "mount": ("device",)}  # fmt: skip


def actions(name: str) -> list[dict[str, Any]]:
    return curtin.config(read(LAYOUTS[name]), "ext4")


@pytest.mark.parametrize("name", WHOLE)
def test_all_of_the_actions(name: str) -> None:
    golden.check(f"{name}.curtin.json", json.dumps(actions(name), indent=1) + "\n", GOLDEN)


@pytest.mark.parametrize("uefi", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_each_action_rests_on_earlier_ones_and_the_firmware_finds_its_loader(name: str, uefi: bool) -> None:
    layout = read(LAYOUTS[name])
    disks = [f"/dev/sd{letter}" for letter in "abcdefgh"[: layout.disks]]
    made = curtin.resolved(actions(name), disks, uefi=uefi)
    assert "pxeapp" not in json.dumps(made).lower()
    seen: dict[str, dict[str, Any]] = {}
    for action in made:
        for field in REFERENCES.get(action["type"], ()):
            for one in action[field] if isinstance(action[field], list) else [action[field]]:
                assert one in seen, action
        assert action["id"] not in seen
        seen[action["id"]] = action
    kinds = {kind: [action for action in made if action["type"] == kind] for kind in {a["type"] for a in made}}
    assert [disk["path"] for disk in kinds["disk"]] == disks
    # What subiquity asks before it goes on: a disk to put the loader on, or an ESP that is mounted.
    booted = [action["id"] for action in made if action.get("grub_device") is True]
    mounted = {action["path"]: seen[action["device"]]["volume"] for action in kinds["mount"] if action["path"]}
    assert booted == [f"disk{number}-esp" if uefi else f"disk{number}" for number in range(1, layout.disks + 1)]
    assert mounted["/boot/efi"] == "disk1-esp"
    for disk in kinds["disk"]:
        parts = [part for part in kinds["partition"] if part["device"] == disk["id"]]
        assert [part["number"] for part in parts] == list(range(1, len(parts) + 1))
        assert [part.get("flag") for part in parts[:2]] == ["bios_grub", "boot"]
        assert [part["id"] for part in parts if part["size"] == -1] in ([], [parts[-1]["id"]])
    assert mounted.keys() == {"/boot/efi", "/boot", *(v.mount for v in layout.volumes if not v.swap)}
    order = [action["path"] for action in kinds["mount"]]
    assert all(order.index("/") <= order.index(path) for path in order if path)
    if layout.lvm:
        sizes = [part["size"] for part in kinds["lvm_partition"]]
        assert -1 not in sizes[:-1]
        assert (sizes[-1] == -1) == (layout.volumes[-1].mib is None)
    for array in kinds.get("raid", []):
        assert len(array["devices"]) == layout.disks
        assert array["raidlevel"] == (1 if array["id"] == "array-boot" else layout.raid)


@pytest.mark.parametrize(("family", "version"), [AUTOINSTALLS[0], AUTOINSTALLS[-1]])
@pytest.mark.parametrize("name", ["lvm", "hint", "lvm-volumes", "raid1", "raid10-lvm", "spare"])
def test_the_early_command_leaves_a_file_with_the_disks_that_were_found(
    name: str, family: str, version: str, tmp_path: Path
) -> None:
    layout = read(LAYOUTS[name])
    found = spec(family, version, storage=layout, system_disk=None, data_disks=(), keep_disks=())
    said = yaml.safe_load(autoinstall.user_data(found, TEMPLATES))["autoinstall"]
    (tmp_path / "efi").mkdir()
    disks = [f"sd{letter}" for letter in "abcdefgh"[: layout.disks]]
    for number, style in enumerate((None, '"')):  # subiquity writes the file anew; a quoted word must not survive
        file = tmp_path / f"autoinstall{number}.yaml"
        file.write_text(yaml.safe_dump(said, default_style=style))
        script = f"system_disks=' {' '.join(disks)}'\n" + "\n".join(curtin.commands(layout))
        script = script.replace("/sys/firmware/efi", f"{tmp_path}/efi").replace("/autoinstall.yaml", str(file))
        done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    left = yaml.safe_load((tmp_path / "autoinstall0.yaml").read_text())["storage"]
    assert "pxeapp" not in json.dumps(left).lower()
    assert "PXEAPP" not in (tmp_path / "autoinstall1.yaml").read_text()
    if layout.simple:
        assert left["layout"]["match"] == {"path": "/dev/sda"}
    else:
        assert left["config"] == curtin.resolved(
            curtin.config(layout, "ext4"), [f"/dev/{disk}" for disk in disks], uefi=True
        )
