"""The supervisor with real child processes: restarts the dead, stops all, leaves no orphan."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.supervisor.children import alive, newest, pids, start, wait_for

Start = Callable[..., "subprocess.Popen[str]"]
LIBC = ctypes.CDLL(None)
PTRACE_SEIZE, WAIT_FOR_ANY = 0x4206, 0x40000000  # linux/ptrace.h, linux/wait.h


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(*parts: str) -> subprocess.Popen[str]:
        started.append(start(tmp_path, *parts))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    for path in tmp_path.iterdir():
        for pid in pids(path) if path.name not in ("record", "chatty.said") else []:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.strip() for line in process.stdout)


def test_a_killed_child_is_started_again_and_the_others_stay(run: Start, tmp_path: Path) -> None:
    run("steady:polite", "victim")
    first, steady = newest(tmp_path, "victim"), newest(tmp_path, "steady")
    os.kill(first, signal.SIGKILL)
    assert alive(newest(tmp_path, "victim", after=1))
    assert pids(tmp_path / "steady") == [steady]
    assert alive(steady)


def test_one_that_keeps_dying_is_started_after_longer_and_longer_pauses(run: Start) -> None:
    said = (line.partition("starting it again in ")[2] for line in lines(run("broken:broken")) if "exit code 3" in line)
    assert [next(said) for _ in range(4)] == ["0.2 s", "0.5 s", "1 s", "2 s"]


def test_one_that_cannot_be_started_is_tried_again_and_the_others_stay(run: Start, tmp_path: Path) -> None:
    supervisor = run("steady:polite", "late:absent")
    steady = newest(tmp_path, "steady")
    said = (line.partition("trying it again in ")[2] for line in lines(supervisor) if "cannot be started" in line)
    assert [next(said) for _ in range(2)] == ["0.2 s", "0.5 s"]
    (tmp_path / "program").symlink_to(sys.executable)
    assert alive(newest(tmp_path, "late"))
    (tmp_path / "program").unlink()
    assert alive(steady)
    assert supervisor.poll() is None


def test_a_record_that_cannot_be_written_keeps_no_part_from_its_start(run: Start, tmp_path: Path) -> None:
    supervisor = run("victim")
    first, in_the_way = newest(tmp_path, "victim"), tmp_path / "record.new"
    recorded = tmp_path / "record"
    wait_for(recorded.exists)
    in_the_way.mkdir()
    os.kill(first, signal.SIGKILL)
    second = newest(tmp_path, "victim", after=1)
    assert any("cannot write down which processes are its own" in line for line in lines(supervisor))
    in_the_way.rmdir()
    wait_for(lambda: recorded.read_text().startswith(f"{second} "))  # it is made good
    assert alive(second)


def test_sigterm_stops_every_child_and_exits_cleanly(run: Start, tmp_path: Path) -> None:
    supervisor = run("steady:polite", "victim", "broken:broken")
    children = [newest(tmp_path, name) for name in ("victim", "steady")]
    supervisor.send_signal(signal.SIGTERM)
    output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    assert not any(alive(pid) for pid in children)
    assert "serve      stopping" in output
    assert "was killed" not in output


def test_a_child_that_ignores_sigterm_is_killed_at_last(run: Start, tmp_path: Path) -> None:
    supervisor = run("steady:polite", "stubborn:stubborn")
    children = [newest(tmp_path, name) for name in ("stubborn", "steady")]
    supervisor.send_signal(signal.SIGTERM)
    output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    assert not any(alive(pid) for pid in children)
    assert "stubborn   did not stop within 1 s and was killed" in output
    assert output.count("was killed") == 1


def test_a_child_that_was_stopped_is_woken_to_stop(run: Start, tmp_path: Path) -> None:
    supervisor = run("polite:polite", "stubborn:stubborn")
    children = [newest(tmp_path, name) for name in ("polite", "stubborn")]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    supervisor.send_signal(signal.SIGTERM)
    output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    assert not any(alive(pid) for pid in children)
    assert "polite     did not stop" not in output


@pytest.mark.parametrize("kind", ["parent", "distant"])
def test_what_a_killed_child_leaves_behind_does_not_keep_its_port(run: Start, tmp_path: Path, kind: str) -> None:
    """Its own child holds the listening socket, in the same process group or in a session of its own."""
    run(f"holder:{kind}:{free_port()}")
    first = wait_for(lambda: pids(tmp_path / "holder.bound"))[0]
    os.kill(newest(tmp_path, "holder"), signal.SIGKILL)
    second = wait_for(lambda: pids(tmp_path / "holder.bound")[1:])[0]
    assert not alive(first)
    assert alive(second)


def test_at_the_end_nothing_is_left_of_children_of_children(run: Start, tmp_path: Path) -> None:
    supervisor = run(f"holder:distant:{free_port()}")
    held = wait_for(lambda: pids(tmp_path / "holder.bound"))[0]
    supervisor.send_signal(signal.SIGTERM)
    supervisor.communicate(timeout=30)
    wait_for(lambda: not alive(held))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace what is not its own child")
def test_stopping_ends_in_time_even_where_a_process_does_not(run: Start, tmp_path: Path) -> None:
    """Who traces one and does not look keeps it from its parent, as the kernel does whose disk hangs."""
    supervisor = run(f"holder:distant:{free_port()}", "polite:polite")
    held = [wait_for(lambda: pids(tmp_path / "holder.bound"))[0], newest(tmp_path, "polite")]
    for pid in held:
        if LIBC.ptrace(PTRACE_SEIZE, pid, None, None):
            pytest.skip("Nobody may trace here.")
    told = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.communicate(timeout=60)
        assert time.monotonic() - told < 20  # 3 s, of a busy host; each look at orphans alone would take 40
    finally:
        for pid in held:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, WAIT_FOR_ANY)
    assert supervisor.returncode == 0


def test_when_the_supervisor_is_killed_no_orphan_keeps_running(run: Start, tmp_path: Path) -> None:
    supervisor = run("steady:polite", "victim")
    children = [newest(tmp_path, name) for name in ("victim", "steady")]
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not any(alive(pid) for pid in children))


def test_after_a_killed_supervisor_the_next_one_ends_whoever_would_not_go(run: Start, tmp_path: Path) -> None:
    """One ignores the signal, one was stopped, one is dead but its child holds the port."""
    parts = ("stubborn:stubborn", "frozen:polite", f"holder:parent:{free_port()}")
    killed = run(*parts)
    left = [
        newest(tmp_path, "stubborn"),
        newest(tmp_path, "frozen"),
        wait_for(lambda: pids(tmp_path / "holder.bound"))[0],
    ]
    os.kill(left[1], signal.SIGSTOP)
    killed.kill()
    killed.wait()
    wait_for(lambda: not alive(newest(tmp_path, "holder")))
    assert all(alive(pid) for pid in left)
    second = run(*parts)
    assert next(lines(second)) == "ended 3"
    assert not any(alive(pid) for pid in left)
    assert wait_for(lambda: pids(tmp_path / "holder.bound")[1:])


def test_a_child_that_is_there_but_answers_no_more_is_started_again(run: Start, tmp_path: Path) -> None:
    supervisor = run(f"web:server:{free_port()}")
    first = newest(tmp_path, "web")
    asked = tmp_path / "web.asked"
    for _ in range(2):  # the second time, the first answer has been heard
        wait_for(asked.exists)
        asked.unlink()
    os.kill(first, signal.SIGSTOP)
    second = newest(tmp_path, "web", after=1)
    assert not alive(first)
    assert alive(second)
    supervisor.send_signal(signal.SIGTERM)
    assert "web        lives but has not answered for a minute" in supervisor.communicate(timeout=30)[0]


def test_a_child_that_beats_no_more_is_started_again_and_one_that_beats_stays(run: Start, tmp_path: Path) -> None:
    supervisor = run("frozen:beating", "steady:beating")
    first, steady = newest(tmp_path, "frozen"), newest(tmp_path, "steady")
    beat = tmp_path / "frozen.beat"
    for _ in range(20):  # longer than the time between two looks: it has been heard
        wait_for(beat.exists)
        beat.unlink()
    os.kill(first, signal.SIGSTOP)
    second = newest(tmp_path, "frozen", after=1)
    assert not alive(first)
    beat.unlink(missing_ok=True)
    wait_for(beat.exists)
    assert alive(second)
    assert pids(tmp_path / "steady") == [steady]
    supervisor.send_signal(signal.SIGTERM)
    assert "frozen     lives but has not answered for a minute" in supervisor.communicate(timeout=30)[0]


def test_when_nobody_reads_its_output_any_more_the_parts_go_on(run: Start, tmp_path: Path) -> None:
    supervisor = run("chatty:chatty")
    newest(tmp_path, "chatty")
    assert supervisor.stdout is not None
    supervisor.stdout.close()
    said = tmp_path / "chatty.said"
    for _ in range(3):
        before = wait_for(lambda: said.exists() and said.read_text())
        wait_for(lambda before=before: said.read_text() not in ("", before))
    assert supervisor.poll() is None
    supervisor.stdout = None


def test_when_its_output_is_open_but_not_read_parts_go_on_are_started_again_and_stopped(
    run: Start, tmp_path: Path
) -> None:
    supervisor = run("chatty:chatty", "victim")
    first, said = newest(tmp_path, "victim"), tmp_path / "chatty.said"

    def goes_on() -> None:
        before = wait_for(lambda: said.exists() and said.read_text())
        wait_for(lambda: said.read_text() not in ("", before))

    for _ in range(20):  # a megabyte is queued in less
        goes_on()
    os.kill(first, signal.SIGKILL)
    assert alive(newest(tmp_path, "victim", after=1))
    goes_on()
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(timeout=60) == 0
    assert not alive(newest(tmp_path, "victim", after=1))
