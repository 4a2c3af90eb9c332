"""The firmware table, and the boot programs on this host."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.boot import firmware, loaders
from pxeapp.errors import Unavailable

NODE_URL = "http://10.0.0.1:8081"
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "how-a-machine-boots.md"


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [(0, "undionly.kpxe"), (7, "snponly.efi"), (9, "snponly.efi"), (16, f"{NODE_URL}/boot/loaders/ipxe.efi")],
)
def test_a_known_architecture_gets_its_program(architecture: int, expected: str) -> None:
    client = firmware.of_architecture(architecture)
    assert client is not None
    assert firmware.boot_file(client, NODE_URL) == expected
    assert firmware.refusal(architecture) == ""


@pytest.mark.parametrize("architecture", [6, 10, 11, 15, 18, 19, 39, 65535])
def test_any_other_architecture_is_refused_with_a_sentence(architecture: int) -> None:
    client = firmware.of_architecture(architecture)
    assert client is None or firmware.boot_file(client, NODE_URL) is None
    assert firmware.refusal(architecture).endswith(".")


def test_secure_boot_gets_shim() -> None:
    client = firmware.named("uefi")
    assert client is not None
    assert firmware.boot_file(client, NODE_URL, secure_boot=True) == "shimx64.efi"


def test_names_and_architectures_are_unique_and_fit_the_column() -> None:
    names = [client.name for client in firmware.CLIENTS]
    numbers = [number for client in firmware.CLIENTS for number in client.architectures]
    assert len(set(names)) == len(names)
    assert len(set(numbers)) == len(numbers)
    assert max(map(len, names)) <= 20


def test_every_program_in_the_table_has_a_package() -> None:
    wanted = {program for client in firmware.CLIENTS for program in (client.program, client.signed_program) if program}
    assert wanted <= set(loaders.names())


@pytest.mark.parametrize(
    ("vendor_class", "expected"),
    [
        ("PXEClient:Arch:00007:UNDI:003016", "uefi"),
        ("HTTPClient:Arch:00016:UNDI:003001", "uefi-http"),
        ("PXEClient:Arch:00000", "bios"),
        ("PXEClient:Arch:99999", None),
        ("MSFT 5.0", None),
        ("", None),
    ],
)
def test_vendor_class_tells_the_architecture(vendor_class: str, expected: str | None) -> None:
    client = firmware.of_vendor_class(vendor_class)
    assert (client.name if client else None) == expected


def test_ipxe_tells_what_it_was_built_for() -> None:
    for platform, buildarch, expected in (("pcbios", "i386", "bios"), ("efi", "x86_64", "uefi")):
        client = firmware.of_ipxe(platform, buildarch)
        assert client is not None
        assert client.name == expected
    assert firmware.of_ipxe("efi", "riscv64") is None


def test_urls_fit_where_dhcp_puts_them() -> None:
    longest = "http://" + "a" * 40 + ".example.org:65535"
    assert len(firmware.ipxe_url("http://255.255.255.255:65535", identity=False)) <= 127
    assert len(firmware.ipxe_url(longest)) <= 254  # one option, with the NUL that dnsmasq adds


def test_the_documents_table_is_this_table() -> None:
    assert firmware.markdown_table() in DOCUMENT.read_text()


def test_programs_are_found_in_the_distributions_places(tmp_path: Path) -> None:
    for place in ("usr/lib/ipxe/undionly.kpxe", "usr/lib/shim/shimx64.efi.signed.latest"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"x")
    found = loaders.find(tmp_path)
    assert set(found) == {"undionly.kpxe", "shimx64.efi"}
    assert "apt-get install" in loaders.report(found)
    assert "pxelinux" in loaders.report(found)
    assert loaders.report(loaders.names()) == ""
    with pytest.raises(Unavailable, match="apt-get install ipxe"):
        loaders.require("snponly.efi", found)
    assert loaders.require("undionly.kpxe", found).read_bytes() == b"x"
