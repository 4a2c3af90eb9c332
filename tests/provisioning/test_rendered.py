"""`pxeapp render` and what the API shows: every file of a machine, with nothing that opens anything."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from pxeapp.cli import main
from pxeapp.machines import selectors
from tests.provisioning.rack import Rack

HASH = "$6$rounds=5000$abcdefgh$" + "x" * 86


def _run(rack: Rack, *arguments: str) -> tuple[int, str]:
    settings = rack.provisioner.settings
    environment = {"PXEAPP_DATA_DIR": str(settings.data_dir), "PXEAPP_NODE_URL": settings.node_url}
    done = CliRunner().invoke(main, ["render", *arguments], env=environment)
    return done.exit_code, done.output


@pytest.fixture
def prepared(rack: Rack) -> Rack:
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        machine.release, machine.role = "rocky-9", "compute"
        machine.vars = {"root_password_hash": HASH}
    return rack


def test_every_file_is_shown_with_its_secrets_masked(prepared: Rack) -> None:
    code, output = _run(prepared, "node1")
    assert code == 0
    assert re.findall(r"==> (\w+) <==", output) == ["ipxe", "grub", "pxelinux", "kickstart"]
    assert "inst.ks=http://10.77.0.1:8081/a/***/kickstart" in output
    assert "http://10.77.0.1:8081/c/***/events" in output
    assert "rootpw --iscrypted ***" in output
    assert "TOKEN" not in output


def test_one_kind_alone_is_that_file_and_nothing_else(prepared: Rack) -> None:
    code, output = _run(prepared, "node1", "--kind", "kickstart")
    assert code == 0
    assert output.startswith("# node1: compute on rocky-9, rendered by pxeapp\n")


def test_the_tokens_of_a_running_attempt_are_not_shown(prepared: Rack) -> None:
    number = prepared.deploy()
    prepared.work(number)
    machine = prepared.simulated()
    machine.netboot()
    machine.fetch_answer()
    _, output = _run(prepared, "node1")
    for url in (machine.answer_url, machine.callback_url):
        assert url.rsplit("/", 1)[1] not in output


def test_a_kind_that_the_release_does_not_have_is_refused_with_those_it_has(prepared: Rack) -> None:
    code, output = _run(prepared, "node1", "--kind", "preseed")
    assert code == 1
    assert "rocky-9 has no 'preseed'." in output
    assert "Use ipxe, grub, pxelinux, kickstart." in output


def test_a_machine_without_release_or_role_is_told_what_to_do(rack: Rack) -> None:
    code, output = _run(rack, "node1")
    assert code == 1
    assert "node1 has no release or no role" in output


def test_a_sites_mistake_is_said_with_template_and_line(prepared: Rack) -> None:
    folder = prepared.provisioner.settings.templates_dir / "kickstarts"
    folder.mkdir(parents=True)
    (folder / "compute.ks").write_text("lang {{ langauge }}\n")
    code, output = _run(prepared, "node1", "--kind", "kickstart")
    assert code == 1
    assert "kickstarts/compute.ks, line 1: 'langauge' is undefined" in output
