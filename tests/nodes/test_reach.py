from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pxeapp.db import Database
from pxeapp.nodes import jobs, keys, reach
from pxeapp.nodes.errors import (
    FileTrouble,
    HostKeyChanged,
    HostKeyUnknown,
    NodeDiskFull,
    NodeHangs,
    NodeRefused,
    NodeUnreachable,
)
from pxeapp.nodes.jobs import Job
from pxeapp.nodes.reach import Nodes
from pxeapp.vault import Vault, open_vault
from tests.nodes.conftest import machine, pin
from tests.nodes.sshd import Sshd
from tests.ports import free_port

pytestmark = pytest.mark.network
NAME = "pxeapp-rollout-1-2-patch-1"


def wait_for(nodes: Nodes, machine_id: int, name: str, until: Callable[[Job], bool]) -> Job:
    """Look until it is so, as a step does."""
    give_up = time.monotonic() + 120
    while not until(found := nodes.job(machine_id, name, 0)):
        assert time.monotonic() < give_up, found
        time.sleep(0.05)
    return found


def test_a_command_runs_and_its_code_and_words_come_back(nodes: Nodes, machine_id: int) -> None:
    ran = nodes.run(machine_id, 'echo "it\'s $((6 * 7))"; echo trouble >&2; exit 3', 10)
    assert (ran.exit_code, ran.output, ran.errors) == (3, "it's 42\n", "trouble\n")


def test_a_command_that_reads_gets_nothing_and_one_that_breaks_the_shell_fails_by_itself(
    nodes: Nodes, machine_id: int
) -> None:
    assert nodes.run(machine_id, "cat; echo end", 10).output == "end\n"
    assert nodes.run(machine_id, "echo ')' ; (", 10).exit_code != 0


def test_no_process_list_shows_the_command(nodes: Nodes, machine_id: int) -> None:
    ran = nodes.run(machine_id, "secret=hush-$((1+1)); ps -eo args | grep -c '[h]ush-'; : $secret", 10)
    assert ran.output.strip() == "0"


def test_a_lot_of_output_is_read_to_the_end_and_kept_in_part(nodes: Nodes, machine_id: int) -> None:
    ran = nodes.run(machine_id, "head -c 3000000 /dev/zero | tr '\\0' x; exit 5", 20)
    assert (ran.exit_code, len(ran.out)) == (5, 2 * 1024 * 1024)


def test_a_file_is_read_whole_and_written_whole_with_the_rights_of_before(
    nodes: Nodes, machine_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "PIECE", 1000)
    content, place = bytes(range(256)) * 10, tmp_path / "it's a ring.gz"
    nodes.write_file(machine_id, str(place), content, group="nogroup", mode="0640")
    assert place.stat().st_mode & 0o777 == 0o640
    assert place.group() == "nogroup"
    assert nodes.read_file(machine_id, str(place), 10_000) == content
    place.chmod(0o604)
    nodes.write_file(machine_id, str(place), b"", group="nogroup", mode="0640")
    assert (place.stat().st_mode & 0o777, nodes.read_file(machine_id, str(place), 9)) == (0o604, b"")
    assert list(tmp_path.glob("it's*")) == [place]
    with pytest.raises(FileTrouble, match=r"No such file"):
        nodes.read_file(machine_id, str(tmp_path / "none"), 9)
    place.write_bytes(bytes(2000))
    with pytest.raises(FileTrouble, match=r"it has more than 1500 bytes"):
        nodes.read_file(machine_id, str(place), 1500)
    with pytest.raises(FileTrouble, match=r"No such file"):
        nodes.write_file(machine_id, str(tmp_path / "none" / "ring.gz"), b"x", group="nogroup", mode="0640")


def test_another_host_key_is_refused_and_nothing_is_sent(
    nodes: Nodes, machine_id: int, sshd: Sshd, tmp_path: Path
) -> None:
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    with pytest.raises(HostKeyChanged, match="none of those that m1 reported") as refused:
        nodes.run(machine_id, f"touch {tmp_path}/here", 10)
    assert "pxeapp ssh record m1" in refused.value.hint
    assert not refused.value.retryable
    assert not (tmp_path / "here").exists()


def test_a_host_key_of_another_kind_is_another_key(
    nodes: Nodes, database: Database, sshd: Sshd, tmp_path: Path
) -> None:
    other = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(other)], check=True, timeout=30)
    number = machine(database)
    pin(database, number, [other.with_suffix(".pub").read_text()], port=sshd.port, username=sshd.user)
    with pytest.raises(HostKeyChanged):
        nodes.run(number, "true", 10)


def test_without_a_pinned_key_nobody_is_asked(nodes: Nodes, database: Database) -> None:
    with pytest.raises(HostKeyUnknown, match="No ssh host key of m1 is known"):
        nodes.run(machine(database), "true", 10)


def test_a_machine_that_does_not_let_us_in_says_so(nodes: Nodes, machine_id: int, sshd: Sshd) -> None:
    (sshd.folder / "authorized_keys").write_text("")
    with pytest.raises(NodeRefused, match=r"does not let .* in with the appliance's key"):
        nodes.run(machine_id, "true", 10)


def test_nobody_there_may_pass_by_itself(nodes: Nodes, database: Database, sshd: Sshd) -> None:
    number = machine(database)
    pin(database, number, [sshd.host_key], port=free_port(), username=sshd.user)
    with pytest.raises(NodeUnreachable, match=r"m1 .127.0.0.1 port [0-9]+. cannot be reached") as refused:
        nodes.run(number, "true", 10)
    assert refused.value.retryable


def test_a_hung_command_is_ended_on_the_machine_too(nodes: Nodes, machine_id: int, tmp_path: Path) -> None:
    ran = nodes.run(machine_id, f"echo $$ >{tmp_path}/pid; sleep 300 & wait", 1)
    assert ran.exit_code == 124
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_machine_that_stops_answering_does_not_hold_us(
    nodes: Nodes, machine_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pxeapp.nodes.connection.GRACE_S", 0.2)
    with pytest.raises(NodeHangs, match="did not end within 1 s"):  # it takes no notice of the signal
        nodes.run(machine_id, "trap '' TERM; exec 1>&- 2>&-; for i in 1 2 3 4 5 6 7; do sleep 0.3; done", 1)


def test_a_job_goes_on_when_the_connection_is_cut_and_is_found_again_by_a_new_appliance(
    nodes: Nodes, database: Database, vault: Vault, machine_id: int, sshd: Sshd, tmp_path: Path
) -> None:
    script = (
        f'echo "one $1"\nuntil [ -e {tmp_path}/go ]; do sleep 0.05; done\necho two; echo kept >$PXEAPP_RESULT; exit 7\n'
    )
    nodes.start_job(machine_id, NAME, script, ["it's me"])
    begun = wait_for(nodes, machine_id, NAME, lambda job: "one" in job.log)
    assert (begun.state, begun.exit, begun.log) == ("running", None, "one it's me\n")

    sshd.stop()
    sshd.start()
    anew = Nodes(database, vault, folder=str(tmp_path / "jobs"))
    anew.start_job(machine_id, NAME, "echo another script", [])  # whoever does not know whether it has begun
    (tmp_path / "go").touch()
    ended = wait_for(anew, machine_id, NAME, lambda job: job.state == "ended")
    assert (ended.exit, ended.log) == (7, "one it's me\ntwo\n")
    assert anew.job(machine_id, NAME, begun.offset).log == "two\n"
    assert anew.result(machine_id, NAME) == "kept\n"


def test_a_session_that_is_cut_in_the_middle_leaves_the_job_alone(
    nodes: Nodes, machine_id: int, sshd: Sshd, tmp_path: Path
) -> None:
    nodes.start_job(machine_id, NAME, f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo done", [])
    cut = 0

    def look() -> None:
        nonlocal cut
        cut += sshd.cut()

    timer = threading.Timer(0.4, look)
    timer.start()
    with pytest.raises(NodeUnreachable, match="the connection was lost"):
        nodes.run(machine_id, "sleep 20", 30)
    timer.join()
    assert cut
    (tmp_path / "go").touch()
    assert wait_for(nodes, machine_id, NAME, lambda job: job.state == "ended").log == "done\n"


def test_a_job_is_never_begun_twice(nodes: Nodes, machine_id: int, tmp_path: Path) -> None:
    for _ in range(3):
        nodes.start_job(machine_id, NAME, f"echo x >>{tmp_path}/count; sleep 0.2", [])
    wait_for(nodes, machine_id, NAME, lambda job: job.state == "ended")
    nodes.start_job(machine_id, NAME, f"echo x >>{tmp_path}/count", [])
    assert nodes.job(machine_id, NAME, 0).state == "ended"
    assert (tmp_path / "count").read_text() == "x\n"


def test_a_job_that_was_laid_down_and_did_not_begin_is_begun_by_ordering_it_again(
    nodes: Nodes, machine_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "jobs" / NAME
    folder.mkdir(parents=True)
    for name, content in (("lock", b""), ("log", b""), ("arguments", b"a\n"), ("runner", jobs.RUNNER)):
        (folder / name).write_bytes(content)
    (folder / "script").write_text("echo $1")
    assert nodes.job(machine_id, NAME, 0).state == "absent"
    nodes.start_job(machine_id, NAME, "echo $1", ["a"])
    assert wait_for(nodes, machine_id, NAME, lambda job: job.state == "ended").log == "a\n"


def test_a_job_that_died_with_its_machine_is_lost_and_not_begun_again(
    nodes: Nodes, machine_id: int, tmp_path: Path
) -> None:
    nodes.start_job(machine_id, NAME, f"echo x >>{tmp_path}/count; sleep 300", [])
    wait_for(nodes, machine_id, NAME, lambda job: job.state == "running" and (tmp_path / "count").exists())
    os.killpg(int(str((tmp_path / "jobs" / NAME / "began").readlink())), 9)
    assert wait_for(nodes, machine_id, NAME, lambda job: job.state == "lost").exit is None
    nodes.start_job(machine_id, NAME, f"echo x >>{tmp_path}/count", [])
    assert nodes.job(machine_id, NAME, 0).state == "lost"
    assert (tmp_path / "count").read_text() == "x\n"


def test_a_job_can_be_stopped(nodes: Nodes, machine_id: int) -> None:
    nodes.start_job(machine_id, NAME, "echo up; sleep 300", [])
    wait_for(nodes, machine_id, NAME, lambda job: job.log == "up\n")
    nodes.stop_job(machine_id, NAME)
    found = nodes.job(machine_id, NAME, 0)
    assert (found.state, found.exit) == ("ended", 143)


def test_nothing_is_known_of_a_job_that_nobody_ordered(nodes: Nodes, machine_id: int) -> None:
    assert nodes.job(machine_id, NAME, 0) == Job("absent", None, "", 0)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_a_full_disk_is_named(database: Database, vault: Vault, machine_id: int, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], timeout=10).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        with contextlib.suppress(OSError), (small / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        full = Nodes(database, vault, folder=str(small / "jobs"))
        with pytest.raises(NodeDiskFull, match="The disk of m1 is full"):
            full.start_job(machine_id, NAME, "true", [])
    finally:
        subprocess.run(["umount", str(small)], check=True, timeout=10)


def test_the_key_that_lets_us_in_is_the_same_in_every_process_and_another_on_every_appliance(
    vault: Vault, tmp_path: Path
) -> None:
    assert keys.public_key(vault) == keys.public_key(open_vault(tmp_path / "vault"))
    assert keys.public_key(vault) != keys.public_key(open_vault(tmp_path / "other"))
