"""Runs dnsmasq: starts it, reads its log, restarts it when it dies or its configuration changed, stops it.

No database here: whoever runs it gets each observation by a callback.
"""

from __future__ import annotations

import hashlib
import logging
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pxeapp.boot.dhcp import LogParser, Observation
from pxeapp.errors import ConfigError, Unavailable

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.2  # a run of log lines is over when nothing follows for so long
CONFIG_CHECK_SECONDS = 1.0
STOP_SECONDS = 5.0
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0  # having run for so long, the next death counts as the first
MAX_LINE = 16_384


class DnsmasqRunner:
    """One supervised dnsmasq over one configuration file.

    `run(stop)` blocks until `stop` is set. The file may be rewritten at any time, by `apply` or by anybody: a change of
    its content restarts dnsmasq. (SIGHUP would not do: dnsmasq reads dhcp-host and dhcp-range only at its start.)
    """

    def __init__(
        self,
        conf_path: Path,
        on_observation: Callable[[Observation], None],
        *,
        on_log: Callable[[str], None] | None = None,
        program: str = "dnsmasq",
    ) -> None:
        self.conf_path = conf_path
        self._on_observation = on_observation
        self._on_log = on_log
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._parser = LogParser()
        self._last_words = ""  # the latest line that is no packet's: why it ended, when it ends

    @property
    def pid(self) -> int | None:
        """The running dnsmasq's process number."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def apply(self, text: str) -> bool:
        """Put this configuration in place, if it differs and dnsmasq accepts it; whether it was changed.

        Raises ConfigError with dnsmasq's own words; the old file then stays.
        """
        if self.conf_path.exists() and self.conf_path.read_text() == text:
            return False
        self.conf_path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.conf_path.with_name(self.conf_path.name + ".new")
        fresh.write_text(text)
        check(fresh, self._program)
        fresh.replace(self.conf_path)
        return True

    def run(self, stop: threading.Event) -> None:
        """Keep dnsmasq running until `stop` is set."""
        self._end_stale()
        failures = 0
        while not stop.is_set():
            digest = self._digest()
            started = time.monotonic()
            self._start()
            try:
                changed = self._watch(stop, digest)
            finally:
                self._stop()
            if changed:
                log.info("dnsmasq is restarted with a new configuration")
                failures = 0
            elif not stop.is_set():
                failures = 0 if time.monotonic() - started > STEADY_SECONDS else failures
                pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                failures += 1
                log.error("dnsmasq ended: %s. It is started again in %.1f s", self._last_words or "no word why", pause)
                stop.wait(pause)

    def _start(self) -> None:
        program = find_program(self._program)
        self._last_words = ""
        mode = "--keep-in-foreground" if _may_drop_privileges() else "--no-daemon"
        self._process = subprocess.Popen(
            [program, mode, f"--conf-file={self.conf_path}", "--pid-file"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the operator's terminal is ours to pass on
        )
        self._pid_file.write_text(str(self._process.pid))

    def _watch(self, stop: threading.Event, digest: str) -> bool:
        """Read the log until dnsmasq ends, `stop` is set or the file changes; True for the last."""
        process = self._process
        assert process is not None and process.stderr is not None  # noqa: S101, PT018 - _start() has just made it
        descriptor = process.stderr.fileno()
        os.set_blocking(descriptor, False)
        pending = b""
        checked = time.monotonic()
        ready = select.poll()  # select() takes no descriptor above 1023
        ready.register(descriptor, select.POLLIN)
        while not stop.is_set():
            if ready.poll(QUIET_SECONDS * 1000):
                chunk = os.read(descriptor, 65_536)
                if not chunk:
                    return False
                *lines, pending = (pending + chunk).split(b"\n")
                pending = pending[:MAX_LINE]
                for line in lines:
                    self._read(line.decode("utf-8", "replace"))
            else:
                self._report(self._parser.flush())
            if time.monotonic() - checked > CONFIG_CHECK_SECONDS:
                checked = time.monotonic()
                if self._digest() != digest:
                    return True
        return False

    def _read(self, line: str) -> None:
        if self._on_log is not None:
            self._on_log(line)
        if line.strip() and "dnsmasq-dhcp" not in line:
            self._last_words = line.strip()
        self._report(self._parser.feed(line))

    def _report(self, observations: list[Observation]) -> None:
        for observation in observations:
            try:
                self._on_observation(observation)
            except Exception:
                # Evidence that cannot be kept must not stop DHCP for the whole rack.
                log.exception("an observation could not be kept: %s", observation)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stderr is not None:
            process.stderr.close()
        self._report(self._parser.flush())
        self._pid_file.unlink(missing_ok=True)

    def _digest(self) -> str:
        try:
            return hashlib.sha256(self.conf_path.read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigError(f"dnsmasq's configuration {self.conf_path} cannot be read: {error.strerror}.") from error

    @property
    def _pid_file(self) -> Path:
        return self.conf_path.with_suffix(".pid")

    def _end_stale(self) -> None:
        """End the dnsmasq that a killed runner left behind: it would hold port 67 and tell nobody what it sees."""
        try:
            pid = int(self._pid_file.read_text())
            command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if str(self.conf_path).encode() not in command_line:
            return  # the number was given to somebody else since
        log.warning("ending the dnsmasq with pid %s that an earlier run left behind", pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STOP_SECONDS
            try:
                os.kill(pid, number)
                while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
                    time.sleep(0.05)
            except ProcessLookupError:
                return
            if not Path(f"/proc/{pid}").exists():
                return


def check(conf_path: Path, program: str = "dnsmasq") -> None:
    """Have dnsmasq read a configuration; raises ConfigError with its own words when it refuses."""
    result = subprocess.run(
        [find_program(program), "--test", f"--conf-file={conf_path}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
    )
    if result.returncode != 0:
        raise ConfigError(f"dnsmasq refuses its configuration: {result.stderr.strip()}")


def find_program(program: str) -> str:
    """dnsmasq's path; distributions put it in sbin, which is not on every user's PATH."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise Unavailable(
            f"The program {program} is not on this host.",
            hint="Install it with: apt-get install dnsmasq-base. Or set PXEAPP_DHCP=off and use your own DHCP server.",
        )
    return found


def _may_drop_privileges() -> bool:
    """Whether dnsmasq can change to its own user: as root, and not inside a user namespace with one user only."""
    if os.geteuid() != 0:
        return False
    try:
        return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    except OSError:
        return False
