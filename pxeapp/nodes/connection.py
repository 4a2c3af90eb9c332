"""One command on one machine over ssh, from a thread: connected, run, closed, each within its time.

The command line that the machine's process list shows is ours and says nothing; what is to be run goes by the standard
input. Nothing of the host's own ssh configuration or agent is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass

import asyncssh

from pxeapp.nodes.errors import HostKeyChanged, NodeHangs, NodeRefused, NodeUnreachable

CONNECT_S = 8.0
ALIVE_S, ALIVE_COUNT = 5, 3  # a machine that is gone is noticed within 15 s
GRACE_S = 3.0  # beyond what the command itself was given: it is ended on the machine first
KEPT = 2 * 1024 * 1024  # bytes of what a command says that are kept, of each stream
ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}  # by the kind of a key
logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells of every connection, and of every command line


@dataclass(frozen=True, slots=True)
class Target:
    """A machine as it is reached: where, as whom, and by which keys it is known."""

    machine: str
    address: str
    port: int
    username: str
    host_keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.machine} ({self.address}{'' if self.port == 22 else f' port {self.port}'})"

    @property
    def as_root(self) -> str:
        """What stands before a command so that root runs it."""
        return "" if self.username == "root" else "sudo -n "


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended: its exit code, and what it said, as bytes were sent."""

    exit_code: int
    out: bytes
    err: bytes

    @property
    def output(self) -> str:
        """What it said on its standard output."""
        return self.out.decode(errors="replace")

    @property
    def errors(self) -> str:
        """What it said on its standard error."""
        return self.err.decode(errors="replace")


def talk(
    target: Target, private_key: str, command: str, given: bytes, *, timeout_s: float, connect_s: float = CONNECT_S
) -> Ran:
    """Run it as root, with `given` on its standard input."""
    return asyncio.run(_talk(target, private_key, f"{target.as_root}{command}", given, timeout_s, connect_s))


async def _talk(
    target: Target,
    private_key: str,
    command: str,
    given: bytes,
    timeout_s: float,
    connect_s: float,
) -> Ran:
    connection = await _connect(target, private_key, connect_s)
    try:
        async with asyncio.timeout(timeout_s + GRACE_S):
            ran = await _run(connection, command, given)
    except TimeoutError:
        raise NodeHangs(str(target), timeout_s) from None
    except (OSError, asyncssh.Error) as error:
        raise NodeUnreachable(str(target), f"the connection was lost ({_why(error)})") from None
    finally:
        await _close(connection)
    if ran is None:
        raise NodeUnreachable(str(target), "the connection was lost")
    if ran.exit_code != 0 and ran.err.startswith(b"sudo:"):
        raise NodeRefused(
            f"{target.username} may not become root on {target}: {ran.errors.strip()[:200]}",
            hint="Let it by a line in /etc/sudoers.d: pxeapp ALL=(ALL) NOPASSWD: ALL",
        )
    return ran


async def _connect(target: Target, private_key: str, connect_s: float) -> asyncssh.SSHClientConnection:
    known = [asyncssh.import_public_key(key) for key in target.host_keys]
    try:
        async with asyncio.timeout(connect_s):
            return await asyncssh.connect(
                target.address,
                target.port,
                username=target.username,
                client_keys=[asyncssh.import_private_key(private_key)],
                known_hosts=(known, [], []),
                server_host_key_algs=_algorithms(target.host_keys),
                config=None,
                agent_path=None,
                preferred_auth="publickey",
                keepalive_interval=ALIVE_S,
                keepalive_count_max=ALIVE_COUNT,
            )
    except TimeoutError:
        raise NodeUnreachable(str(target), f"no answer after {connect_s:.0f} s") from None
    except asyncssh.HostKeyNotVerifiable:
        raise HostKeyChanged(target.machine, target.address) from None
    except asyncssh.KeyExchangeFailed as error:
        raise NodeRefused(f"{target} speaks no ssh that we speak: {_why(error)}.") from None
    except asyncssh.PermissionDenied:
        raise NodeRefused(
            f"{target} does not let {target.username} in with the appliance's key.",
            hint="Put the line that `pxeapp ssh key` prints into its authorized_keys, or install it with "
            "remote_access: true.",
        ) from None
    except (OSError, asyncssh.Error) as error:
        raise NodeUnreachable(str(target), _why(error)) from None


def _algorithms(host_keys: tuple[str, ...]) -> list[str]:
    """Those of the pinned keys first, so that it shows one of them if it has one; the others, so that it shows any."""
    pinned = [key.split()[0] for key in host_keys]
    return [each for kind in dict.fromkeys((*pinned, *ALGORITHMS)) for each in ALGORITHMS[kind]]


async def _run(connection: asyncssh.SSHClientConnection, command: str, given: bytes) -> Ran | None:
    process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(command, encoding=None)
    # Gathered and not grouped: of a lost connection each of them tells, and one word of it is enough.
    _, out, err = await asyncio.gather(_send(process, given), _kept(process.stdout), _kept(process.stderr))
    await process.wait_closed()
    if process.exit_signal is not None:
        return Ran(128, out, err or f"ended by SIG{process.exit_signal[0]}".encode())
    return None if process.exit_status is None else Ran(process.exit_status, out, err)


async def _send(process: asyncssh.SSHClientProcess[bytes], given: bytes) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):  # it ended without reading to the end, which its exit code tells
        process.stdin.write(given)
        await process.stdin.drain()
        process.stdin.write_eof()


async def _kept(stream: asyncssh.SSHReader[bytes]) -> bytes:
    """The first bytes; whatever comes behind them is read, so that the command is not held up, and dropped."""
    found = bytearray()
    while piece := await stream.read(65536):
        found += piece[: KEPT - len(found)]
    return bytes(found)


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(2):
            await connection.wait_closed()
    except (TimeoutError, OSError, asyncssh.Error):
        connection.abort()


def _why(error: Exception) -> str:
    return (getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error) or "no answer").rstrip(".")
