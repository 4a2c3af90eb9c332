"""What Anaconda is told of disks. %pre writes it: only then is it known which disks and which firmware there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from pxeapp.answers.storage.layout import BIOS_MIB, ESP_MIB, GROUP, Layout, Volume

ESP_OPTIONS = '--fsoptions="umask=0077,shortname=winnt"'


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines for the included file. `$1` and so on are the system disks, `$only` all of them with commas between."""

    lines: tuple[str, ...]
    bios: tuple[str, ...] = ()  # only with this firmware
    uefi: tuple[str, ...] = ()
    whole: bool = False  # all of the storage is in it, not only the choice of the disk


@lru_cache(maxsize=1024)
def plan(layout: Layout, filesystem: str) -> Plan:
    """The plan for a layout; `filesystem` is the release's own choice."""
    choice = (
        "ignoredisk --only-use=$only",
        "clearpart --all --initlabel --disklabel=gpt --drives=$only",
    )
    if layout.simple:
        return Plan(choice)
    kind = layout.filesystem or filesystem
    head, volumes = (choice[0], "zerombr", choice[1]), tuple(_volumes(layout, kind))
    if not layout.raid:
        # Anaconda knows what this firmware needs: a BIOS boot partition, or an EFI system partition.
        return Plan(
            (*head, "reqpart", f"part /boot --fstype={kind} --size={layout.boot_mib} --ondisk=$1", *volumes), whole=True
        )
    return Plan(
        (*head, *_array(layout, Volume("/boot", layout.boot_mib), kind), *volumes),
        bios=tuple(f"part biosboot --fstype=biosboot --size={BIOS_MIB} --ondisk={disk}" for disk in _disks(layout)),
        uefi=tuple(_array(layout, Volume("/boot/efi", ESP_MIB), "efi", ESP_OPTIONS)),
        whole=True,
    )


def _disks(layout: Layout) -> list[str]:
    return [f"${{{number}}}" if number > 9 else f"${number}" for number in range(1, layout.disks + 1)]


def _volumes(layout: Layout, kind: str) -> Iterable[str]:
    if not layout.lvm:
        for volume in layout.volumes:
            fstype = "swap" if volume.swap else kind
            if layout.raid:
                yield from _array(layout, volume, fstype)
            else:
                yield f"part {volume.mount} --fstype={fstype} {_size(volume, volume.least)} --ondisk=$1"
        return
    physical = Volume(f"pv.{GROUP}", None)
    if layout.raid:
        yield from _array(layout, physical, "lvmpv", least=layout.volumes_mib)
    else:
        yield f"part {physical.mount} --fstype=lvmpv {_size(physical, layout.volumes_mib)} --ondisk=$1"
    yield f"volgroup {GROUP} {physical.mount}"
    for volume in layout.volumes:
        about = f"--vgname={GROUP} --name={volume.name} --fstype={'swap' if volume.swap else kind}"
        yield f"logvol {volume.mount} {about} {_size(volume, volume.least)}"


def _array(layout: Layout, volume: Volume, fstype: str, options: str = "", *, least: int = 0) -> Iterable[str]:
    """A partition on each disk, and the array of them. What firmware and GRUB read is mirrored on every disk."""
    mirrored = volume.mount.startswith("/boot")
    name = "pv" if volume.mount.startswith("pv.") else volume.name
    mib = least or volume.least
    members = []
    for number, disk in enumerate(_disks(layout), 1):
        member = f"raid.{name}{number}"
        members.append(member)
        share = mib if mirrored else layout.share(mib)
        yield f"part {member} --fstype=mdmember {_size(volume, share)} --ondisk={disk}"
    level = 1 if mirrored else layout.raid
    yield " ".join(
        filter(
            None,
            (f"raid {volume.mount} --device={name} --level=RAID{level} --fstype={fstype}", options, *members),
        )
    )


def _size(volume: Volume, mib: int) -> str:
    return f"--size={mib}" if volume.mib is not None else f"--size={mib} --grow"
