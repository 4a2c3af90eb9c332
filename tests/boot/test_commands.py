"""The commands, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pxeapp.boot import loaders
from pxeapp.cli import main
from tests.boot import golden


def _run(*words: str, **environ: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(words), env={"PXEAPP_GOLDEN": None, **environ})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("server", ["dnsmasq", "kea", "isc"])
def test_the_snippet_is_printed_alone_on_stdout(server: str) -> None:
    code, out, err = _run("dhcp-snippet", server, PXEAPP_NODE_URL="http://10.77.0.1:8081")
    assert code == 0
    golden.check(f"snippet-{server}-ipxe.txt", out)
    assert err.startswith("This goes into ")


def test_a_host_name_needs_the_tftp_address() -> None:
    code, _, err = _run("dhcp-snippet", "isc", PXEAPP_NODE_URL="http://pxe.example.org:8081")
    assert code == 1
    assert "--tftp-address" in err
    code, out, _ = _run(
        "dhcp-snippet", "isc", "--tftp-address", "10.0.0.9", PXEAPP_NODE_URL="http://pxe.example.org:8081"
    )
    assert code == 0
    assert "next-server 10.0.0.9;" in out


def test_boot_programs_lists_each_with_its_place(tmp_path: Path) -> None:
    code, out, _ = _run("boot-programs", "--json")
    assert code == 0
    items = json.loads(out)["items"]
    assert [item["name"] for item in items] == list(loaders.names())
    assert all(item["path"] is None or Path(item["path"]).is_file() for item in items)
    code, out, _ = _run("boot-programs")
    assert code == 0
    assert len(out.splitlines()) == len(items)
