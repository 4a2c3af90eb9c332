"""A site's templates on their way to machines: one that cannot be rendered ends its attempt, and bars nobody's disk."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pxeapp.boot.tftp import Data, Request
from pxeapp.config import Listen
from pxeapp.provisioning.tftp_process import TftpProcess
from pxeapp.templates import TemplateError, pool
from pxeapp.templates.limits import Limits
from tests.provisioning.rack import MAC, Rack
from tests.templates.processes import renderers

MEMORY = "one\n\n{{ 'A' * 10**9 }}\n"
TIME = "#\n{% for i in range(99999) %}{{ range(99999) | sum }}{% endfor %}\n"


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    impatient = pool.Pool(Limits(cpu_s=0.5))
    pool.shared().close()
    monkeypatch.setattr(pool, "_shared", impatient)
    yield
    impatient.close()


def _write(rack: Rack, name: str, text: str) -> None:
    path = rack.provisioner.settings.templates_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_bomb_in_an_answer_file_ends_its_attempt_with_the_line_and_delays_no_other_request(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    _write(rack, "kickstarts/_network.ks", TIME)
    _write(rack, "kickstarts/warm.ks", "")
    rack.provisioner.templates.render("kickstarts/warm.ks")
    (renderer,) = renderers()
    os.kill(renderer, signal.SIGSTOP)  # the longest of all bombs, for as long as we like
    said: list[tuple[int, str]] = []
    burning = threading.Thread(target=lambda: said.append(machine.get(f"{machine.answer_url}/kickstart")))
    burning.start()
    other = rack.simulated("10.77.0.12")
    for last in range(10, 15):  # each a commit of its own: whatever is rendered holds no lock
        other.mac = f"52:54:00:00:01:{last}"
        other.netboot()
    assert burning.is_alive()
    os.kill(renderer, signal.SIGCONT)
    burning.join()
    assert said[0][0] == 422
    failed = rack.deployment(number)
    assert (failed.outcome, failed.reason_code) == ("failed", "answer_not_made")
    assert "kickstarts/_network.ks, line 2: it takes more than 0.5 s of computing time" in failed.reason


def test_an_install_script_that_cannot_be_made_ends_its_attempt_and_the_machine_boots_its_disk(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    _write(rack, "boot/install.ipxe", MEMORY)
    machine = rack.simulated()
    machine.netboot()
    assert not machine.was_given_an_installer
    assert "sanboot" in machine.script
    failed = rack.deployment(number)
    assert (failed.outcome, failed.reason_code) == ("failed", "boot_not_made")
    assert "boot/install.ipxe, line 3: it needs more than 128 MiB of memory" in failed.reason


@pytest.mark.parametrize("text", [MEMORY, "{{ nothing }}", "{% if %}", "{% include 'boot/none' %}"])
def test_a_local_boot_script_that_cannot_be_made_is_ours_and_the_log_says_why(
    rack: Rack, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    machine = rack.simulated()
    ours = machine.netboot()
    _write(rack, "boot/_local.ipxe", text)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert machine.netboot() == ours
    assert len(caplog.messages) == 1  # and is not tried again with each machine
    assert caplog.messages[0].startswith("Machines are given our boot/local.ipxe for the next 30 s: ")


def test_a_sites_local_boot_script_is_given_where_it_can_be_made(rack: Rack) -> None:
    _write(rack, "boot/_local.ipxe", "# the site's\n")
    assert rack.simulated().netboot().endswith("# the site's\n")


def test_tftp_starts_and_serves_although_every_boot_script_of_the_site_is_broken(rack: Rack) -> None:
    number = rack.deploy()
    rack.work(number)
    for name in ("autoexec.ipxe", "first.grub.cfg", "local.pxelinux", "local.grub.cfg", "install.grub.cfg"):
        _write(rack, f"boot/{name}", "\n{{ nothing }}\n")
    settings = dataclasses.replace(rack.provisioner.settings, tftp_listen=Listen("127.0.0.1", 0))
    tftp = TftpProcess(dataclasses.replace(rack.provisioner, settings=settings))
    for name in ("autoexec.ipxe", "grub/grub.cfg", "pxelinux.cfg/default"):
        assert isinstance(tftp.resolve_fast(_request(name)), Data)
    reply = tftp.resolve(_request(f"grub/by-mac/{MAC}.cfg"))
    assert isinstance(reply, Data)
    assert b"local disk" in reply.content
    stopped = threading.Event()
    stopped.set()
    tftp.run(stopped)  # which closes its socket
    failed = rack.deployment(number)
    assert (failed.outcome, failed.reason_code) == ("failed", "boot_not_made")
    assert "boot/install.grub.cfg, line 2: 'nothing' is undefined" in failed.reason


def test_what_machines_are_given_by_mistake_is_shown_to_operators_as_a_mistake(rack: Rack) -> None:
    _write(rack, "boot/install.ipxe", TIME)
    with pytest.raises(TemplateError, match=r"install.ipxe, line 2: it takes more than 0.5 s of computing time"):
        rack.provisioner.templates.render("boot/install.ipxe")


def _request(name: str) -> Request:
    return Request(client=("10.77.0.11", 2000), filename=name, mode="octet")
