"""The scripts in answer files, run by real shells: what they tell the appliance, and which disk they choose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pxeapp.answers import autoinstall, kickstart, preseed
from tests.answers import shells
from tests.answers.appliance import Appliance, running
from tests.answers.samples import TEMPLATES, full, spec
from tests.answers.site.sample import with_site

pytestmark = pytest.mark.network
SHELLS = [("bash",), ("dash",), ("busybox", "sh")]
AWAY = "http://127.0.0.1:9"  # nobody listens on the discard port
NASTY = 'He said "no"; \\back\\slash, $(reboot) `id`\ttab\nsecond line \x01\x1b[31m caf\u00e9 \u2603 %end # {"}'


def section(text: str, name: str) -> str:
    found = re.search(rf"(?ms)^%{name}\b[^\n]*\n(.*?)^%end$", text)
    assert found
    return found[1]


def functions(text: str) -> str:
    """The functions of an installer's script without what it does with them."""
    return text[: text.index("\ncase $1 in")]


def run(shell: tuple[str, ...], script: str, *, path: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"], "LC_ALL": "C.UTF-8", **variables}
    return subprocess.run(
        [shutil.which(shell[0]) or shell[0], *shell[1:]],
        input=script, capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip


def kickstart_for(url: str) -> str:
    return kickstart.render(spec("rocky", "9", callback_url=f"{url}/c/{'C' * 43}"), TEMPLATES)


def reports(language: str, url: str) -> tuple[tuple[str, ...], str]:
    """The shell and the functions to report with, with a clock and a sleep that take no time."""
    if language == "kickstart":
        body = section(kickstart_for(url), "onerror")
        return ("bash",), body[: body.index("\nsaid=")] + "\nsleep() { SECONDS=$((SECONDS + 100)); }\n"
    body = functions(preseed.script(spec("debian", "13", callback_url=f"{url}/c/{'C' * 43}"), TEMPLATES))
    return ("dash",), body + "\nclock=0\nuptime() { echo $clock; }\nsleep() { clock=$((clock + 100)); }\n"


LANGUAGES = pytest.mark.parametrize("language", ["kickstart", "preseed"])


@LANGUAGES
def test_whatever_a_log_holds_arrives_as_one_harmless_line(language: str) -> None:
    with running() as appliance:
        shell, body = reports(language, appliance.url)
        done = run(shell, body + 'report failed "$NASTY"', NASTY=NASTY)
    assert done.returncode == 0, done.stderr
    (event,) = appliance.events
    assert event["event"] == "failed"
    assert event["message"].isascii()
    assert event["message"].isprintable()
    assert "He said 'no'; /back/slash, $(reboot) `id`" in event["message"]
    assert "second line" in event["message"]


@LANGUAGES
def test_of_a_long_log_the_end_is_sent(language: str) -> None:
    with running() as appliance:
        shell, body = reports(language, appliance.url)
        run(shell, body + 'report failed "$(seq 1 5000)"')
    assert appliance.events[0]["message"].endswith("4999 5000")
    assert len(appliance.events[0]["message"]) == 3000


@LANGUAGES
def test_a_server_that_is_away_never_fails_a_script(language: str) -> None:
    shell, body = reports(language, AWAY)
    done = run(shell, "set -e\n" + body + "report started hello\nreport installed bye 900\necho went on")
    assert (done.returncode, done.stdout) == (0, "went on\n")


@LANGUAGES
def test_what_must_arrive_is_said_until_it_is_heard(language: str) -> None:
    with running(503, 500, 200) as appliance:
        shell, body = reports(language, appliance.url)
        run(shell, body + "report installed bye 900")
    assert len(appliance.events) == 3


@LANGUAGES
def test_a_quarter_of_an_hour_is_enough(language: str) -> None:
    with running(503) as appliance:
        shell, body = reports(language, appliance.url)
        assert run(shell, body + "report installed bye 900").returncode == 0
    assert len(appliance.events) == 10


def test_an_appliance_that_knows_the_attempt_no_more_is_not_asked_again() -> None:
    with running(404) as appliance:
        shell, body = reports("kickstart", appliance.url)
        run(shell, body + "report installed bye 900")
    assert len(appliance.events) == 1


def test_a_failure_sends_the_logs_tail_and_then_the_logs(tmp_path: Path) -> None:
    (tmp_path / "anaconda.log").write_text("".join(f"line {number}\n" for number in range(200_000)))
    with running() as appliance:
        body = section(kickstart_for(appliance.url), "onerror").replace("/tmp/", f"{tmp_path}/")
        run(("bash",), body)
    assert appliance.events[0]["event"] == "failed"
    assert "line 199999" in appliance.events[0]["message"]
    assert len(appliance.logs["anaconda.log"]) == 1_000_000
    assert appliance.logs["anaconda.log"].endswith(b"line 199999\n")


def test_a_failure_without_a_log_is_a_failure_all_the_same(tmp_path: Path) -> None:
    with running() as appliance:
        run(("bash",), section(kickstart_for(appliance.url), "onerror").replace("/tmp/", f"{tmp_path}/"))
    assert appliance.events == [{"event": "failed", "message": "Anaconda stopped and left no log."}]


def test_pre_ends_the_installation_where_the_disk_is_missing_and_says_so() -> None:
    with running() as appliance:
        done = run(("bash",), section(kickstart_for(appliance.url), "pre"))
    assert done.returncode == 1  # --erroronfail: nothing goes on from here
    assert [event["event"] for event in appliance.events] == ["started", "failed"]
    message = "disks.system must fit 1, but 0 fit (path disk/by-path/pci-0000:00:1f.2-ata-1): none."
    assert message in appliance.events[1]["message"]


def test_the_installers_disk_step_leaves_no_disk_to_take_when_it_fails(tmp_path: Path) -> None:
    programs = _programs(tmp_path, "wget")
    (tmp_path / "debconf-set").write_text(f'#!/bin/sh\necho "$1=$2" >>{tmp_path}/answers\n')
    (tmp_path / "debconf-set").chmod(0o755)
    with running() as appliance:
        found = spec("debian", "13", callback_url=f"{appliance.url}/c/{'C' * 43}")
        script = f"set -- disk\n{preseed.script(found, TEMPLATES)}"
        assert run(("dash",), script, path=programs).returncode == 1
    assert (tmp_path / "answers").read_text() == "partman-auto/disk=/dev/none\n"
    assert [event["event"] for event in appliance.events] == ["failed"]


def _programs(folder: Path, *names: str) -> str:
    """A PATH with only these programs, and busybox's for the rest."""
    for name in (*names, "sed", "awk", "tail", "tr", "seq", "uname", "rm", "wc", "readlink", "basename", "cat"):
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return str(folder)


def first_boot(appliance: Appliance, tmp_path: Path) -> str:
    """The first-boot script with its files below tmp_path; `sleep` and `systemctl` take no time and leave a trace."""
    text = kickstart_for(appliance.url)
    script = shells.inner(section(text, "post"))["/usr/local/sbin/pxeapp-first-boot"]
    for name in ("sleep", "systemctl"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/trace\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "unit").touch()
    (tmp_path / "script").touch()
    for there, here in (
        ("/etc/systemd/system/pxeapp-first-boot.service", "unit"),
        ("/usr/local/sbin/pxeapp-first-boot", "script"),
        ("/etc/ssh/", "ssh_"),
    ):
        script = script.replace(there, f"{tmp_path}/{here}")
    return script


@pytest.mark.parametrize("program", ["curl", "wget", "bash"])
def test_the_first_boot_calls_until_answered_and_then_forgets_how(program: str, tmp_path: Path) -> None:
    path = _programs(tmp_path, program)
    if not (tmp_path / "bash").exists():
        (tmp_path / "bash").symlink_to("/bin/bash")
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "ssh_ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAAC3Nz root@node1\n")
    (tmp_path / "ssh_ssh_host_rsa_key.pub").write_text("ssh-rsa AAAAB3Nz= a comment\n")
    (tmp_path / "ssh_ssh_host_dsa_key.pub").write_text("ssh-dss AAAAB3Nz old\n")
    with running(503, 500, 200) as appliance:
        script = first_boot(appliance, tmp_path)
        done = run((str(tmp_path / "bash"),), script, path=path)
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in appliance.events] == ["first_boot"] * 3
    assert appliance.events[0]["message"].startswith("Kernel ")
    assert appliance.events[0]["host_keys"] == ["ssh-ed25519 AAAAC3Nz", "ssh-rsa AAAAB3Nz="]
    assert (tmp_path / "trace").read_text().splitlines() == [
        "sleep 3", "sleep 3", "systemctl disable pxeapp-first-boot.service"
    ]  # fmt: skip
    assert not (tmp_path / "unit").exists()
    assert not (tmp_path / "script").exists()


@pytest.mark.parametrize(("answer", "forgets"), [(503, False), (404, True)])
def test_a_first_boot_that_nobody_hears_starts_again_and_one_that_nobody_waits_for_ends(
    answer: int, forgets: bool, tmp_path: Path
) -> None:
    with running(answer) as appliance:
        script = first_boot(appliance, tmp_path).replace("seq 1 300", "seq 1 5")
        path = f"{tmp_path}:{os.environ['PATH']}"
        assert run(("bash",), script, path=path).returncode == (0 if forgets else 1)
    assert len(appliance.events) == 5
    assert (tmp_path / "script").exists() is not forgets


def test_the_boot_order_keeps_the_entry_first_that_the_installer_came_by(tmp_path: Path) -> None:
    (tmp_path / "efibootmgr").write_text(
        f'#!/bin/sh\n[ $# = 0 ] || echo "$@" >>{tmp_path}/orders\n'
        "printf 'BootCurrent: 0003\\nTimeout: 1\\nBootOrder: 0007,0001,0003,0000\\nBoot0003* PXE\\n'\n"
    )
    (tmp_path / "efibootmgr").chmod(0o755)
    (tmp_path / "efi/efivars").mkdir(parents=True)
    (tmp_path / "efi/efivars/BootOrder-8be4").touch()
    body = section(kickstart_for(AWAY), "post")
    order = body[body.index("# Keep the network first") :].replace("/sys/firmware/efi", f"{tmp_path}/efi")
    assert run(("bash",), f"set -e\n{order}", path=f"{tmp_path}:{os.environ['PATH']}").returncode == 0
    assert (tmp_path / "orders").read_text() == "-q -o 0003,0007,0001,0000\n"


@pytest.mark.parametrize(
    ("entries", "order", "after"),
    [
        ("Boot0003* PXE\nBoot0004* ubuntu\tHD(1)\n", "0003,0004,0000", ["-q -o 0004,0003,0000"]),
        ("Boot0004* Ubuntu\nBoot0003* PXE\nBoot0005  ubuntu\n", "0000,0005,0003,0004", ["-q -o 0004,0000,0005,0003"]),
        ("Boot0003* PXE\nBoot0004* ubuntu\n", "0003,0000", ["-q -o 0004,0003,0000"]),  # made, and nowhere in the order
        ("Boot0004* ubuntu\n", "0004", ["-q -o 0004"]),
        ("Boot0003* PXE\n", "0003,0000", []),
    ],
)
def test_with_disk_first_ubuntus_entries_come_first(entries: str, order: str, after: list[str], tmp_path: Path) -> None:
    (tmp_path / "efibootmgr").write_text(
        f'#!/bin/sh\n[ $# = 0 ] || echo "$@" >>{tmp_path}/orders\n'
        f"printf 'BootCurrent: 0003\nTimeout: 1\nBootOrder: {order}\n{entries}'\n"
    )
    (tmp_path / "efibootmgr").chmod(0o755)
    (tmp_path / "efi/efivars").mkdir(parents=True)
    (tmp_path / "efi/efivars/BootOrder-8be4").touch()
    found = with_site(spec("ubuntu", "24.04", installer="autoinstall"), {"boot_order": "disk-first"})
    body = shells.inner(autoinstall.script(found, TEMPLATES))["/target/root/pxeapp-finish"]
    part = re.search(r"(?ms)^# The disk first .*?^fi$", body)
    assert part
    script = f"set -e\n{part[0]}".replace("/sys/firmware/efi", f"{tmp_path}/efi")
    assert run(("bash",), script, path=f"{tmp_path}:{os.environ['PATH']}").returncode == 0
    orders = tmp_path / "orders"
    assert (orders.read_text().splitlines() if orders.exists() else []) == after


def test_debians_other_cards_are_found_by_mac(tmp_path: Path) -> None:
    for name, mac in (("eno1", "52:54:00:00:00:01"), ("ens2", "52:54:00:00:00:02"), ("ens4", "52:54:00:00:00:04")):
        (tmp_path / "net" / name).mkdir(parents=True)
        (tmp_path / "net" / name / "address").write_text(f"{mac}\n")
    text = functions(preseed.script(full("debian", "13"), TEMPLATES)).replace("10.77.0.1:8081", "127.0.0.1:9")
    text = text.replace("/sys/class/net", f"{tmp_path}/net").replace("/target", f"{tmp_path}/target")
    assert run(("dash",), f"{text}\ncards").returncode == 0
    written = {path.name: path.read_text() for path in (tmp_path / "target/etc/network/interfaces.d").iterdir()}
    assert sorted(written) == ["pxeapp1", "pxeapp3"]
    assert "iface pxe1v120 inet static" in written["pxeapp1"]
    assert "ip link add link ens2 name pxe1v120 type vlan id 120" in written["pxeapp1"]
    assert "iface ens4 inet dhcp" in written["pxeapp3"]


def test_a_long_stage_says_how_many_packages_are_configured(tmp_path: Path) -> None:
    status = tmp_path / "status"
    body = functions(preseed.script(spec("debian", "13"), TEMPLATES)).replace(
        "/target/var/lib/dpkg/status", str(status)
    )
    assert run(("dash",), body + "\npackages").stdout == "", "before the base system there is nothing to count"
    status.write_text(
        "Package: bash\nStatus: install ok installed\n\nPackage: dash\nStatus: install ok unpacked\n\n"
        "Package: sed\nStatus: install ok installed\n"
    )
    assert run(("dash",), body + "\npackages").stdout == "2 of 3 packages are configured\n"
