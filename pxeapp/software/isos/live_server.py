"""Ubuntu's live server as a release: a kernel and an initrd of the very ISO, which machines then load whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pxeapp import systems
from pxeapp.software import releases
from pxeapp.software.isos.image import refused
from pxeapp.software.isos.listing import Listing
from pxeapp.software.isos.medium import Medium
from pxeapp.systems import AUTOINSTALL

SPARE_MIB = 1024  # what the live session itself needs, besides the ISO twice
HWE = "casper/hwe-"


def boots(medium: Medium, listing: Listing, *, hwe: bool) -> tuple[str, str]:
    """Kernel and initrd as paths on the medium; with `hwe` the newer ones, where it has them."""
    if not hwe:
        return medium.kernel, medium.initrd
    kernel, initrd = f"{HWE}vmlinuz", f"{HWE}initrd"
    for path in (kernel, initrd):
        if not listing.has(path):
            raise refused(f"{medium.title} has no {path}.", "Leave --hwe out: this ISO has one kernel.", field="hwe")
    return kernel, initrd


def memory_mib(iso_bytes: int) -> int:
    """What a machine needs to install from it: the ISO lies in memory twice while it is unpacked."""
    return 2 * iso_bytes // 1024**2 + SPARE_MIB


def description(
    name: str,
    medium: Medium,
    *,
    iso_url: str,
    iso_bytes: int,
    kernel_args: str = "",
    settings: Mapping[str, Any] | None = None,
) -> releases.Description:
    """What the release is: its installer loads the ISO into memory, twice while it is unpacked."""
    return releases.Description(
        name=name,
        family=medium.family,
        version=systems.major(medium.family, medium.version),
        installer=AUTOINSTALL,
        kernel_args=kernel_args,
        install_url=iso_url,
        settings={**(settings or {}), "memory_mib": memory_mib(iso_bytes)},
    )
