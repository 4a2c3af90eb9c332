"""`localdisk.efi` is made from the host's GRUB."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pxeapp.boot import grub, localdisk
from pxeapp.errors import Unavailable
from pxeapp.templates import Templates
from tests.storage.disks import Disk

needs_grub = pytest.mark.skipif(
    shutil.which("grub-mkimage") is None or not Path("/usr/lib/grub/x86_64-efi").is_dir(),
    reason="grub-common and grub-efi-amd64-bin are not installed",
)


@needs_grub
def test_it_is_an_efi_program_that_carries_the_search(tmp_path: Path) -> None:
    found = localdisk.programs(tmp_path / "boot", Templates())
    image = found["localdisk.efi"].read_bytes()
    assert image[:2] == b"MZ"
    assert grub.render_local_disk(Templates()).encode() in image
    assert [path.name for path in (tmp_path / "boot").iterdir()] == ["localdisk.efi"]


def test_without_grubs_tools_it_says_which_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="apt-get install grub-common grub-efi-amd64-bin"):
        localdisk.build(tmp_path, "exit\n")
    assert "localdisk.efi" not in localdisk.programs(tmp_path, Templates())


@needs_grub
def test_on_a_full_disk_the_one_of_an_earlier_start_is_served(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    try:
        disk.fill()
        assert "localdisk.efi" not in localdisk.programs(disk.place / "run", Templates())
        disk.empty()
        earlier = localdisk.programs(disk.place / "run", Templates())["localdisk.efi"].read_bytes()
        disk.fill()
        assert localdisk.programs(disk.place / "run", Templates())["localdisk.efi"].read_bytes() == earlier
    finally:
        disk.take_away()
