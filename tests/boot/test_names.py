"""TFTP names: what each means, and that nothing else means anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.boot import loaders
from pxeapp.boot.names import Name, parse

MAC = "52:54:00:aa:bb:cc"


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("undionly.kpxe", Name("loader", "undionly.kpxe")),
        ("/snponly.efi", Name("loader", "snponly.efi")),
        ("\\EFI\\BOOT\\grubx64.efi", Name("loader", "grubx64.efi")),
        ("//grubx64.efi", Name("loader", "grubx64.efi")),
        ("bootx64.efi", Name("loader", "shimx64.efi")),
        ("autoexec.ipxe", Name("autoexec")),
        ("grub/grub.cfg", Name("first-grub")),
        ("/grub/grub.cfg", Name("first-grub")),
        ("debian-installer/amd64/grub/grub.cfg", Name("first-grub")),
        ("grub/by-mac/52:54:00:AA:BB:CC.cfg", Name("grub", MAC)),
        ("pxelinux.cfg/01-52-54-00-aa-bb-cc", Name("pxelinux", MAC)),
        ("pxelinux.cfg/default", Name("pxelinux-default")),
        ("media/debian-13/linux", Name("media", "media/debian-13/linux")),
        ("ldlinux.c32", Name("loader", "ldlinux.c32")),
    ],
)
def test_a_name_in_any_firmwares_spelling(requested: str, expected: Name) -> None:
    assert parse(requested) == expected


@pytest.mark.parametrize(
    "requested",
    [
        "",
        "/",
        ".",
        "..",
        "../etc/passwd",
        "media/../pxeapp.db",
        "media",
        "media/",
        "media/.key",
        "media//../x",
        "grub/by-mac/../../x.cfg",
        "grub/by-mac/zz:zz:zz:zz:zz:zz.cfg",
        "grub/by-mac/01:00:5e:00:00:01.cfg",
        "pxelinux.cfg/0A4D0001",
        "pxelinux.cfg/01-52-54",
        "grub/x86_64-efi/command.lst",
        "revocations.efi",
        "pxeapp.toml",
        "undionly.kpxe\0.txt",
    ],
)
def test_anything_else_does_not_exist(requested: str) -> None:
    assert parse(requested) is None


@given(st.text(max_size=200) | st.from_regex(r"(media|grub|pxelinux\.cfg)/[./\\a-z0-9:-]{0,40}", fullmatch=True))
def test_no_name_leads_out(requested: str) -> None:
    name = parse(requested)
    if name is None:
        return
    assert ".." not in name.value.split("/")
    assert not name.value.startswith("/")
    assert "\0" not in name.value
    if name.kind == "loader":
        assert name.value in loaders.names()
    if name.kind == "media":
        assert name.value.startswith("media/")
