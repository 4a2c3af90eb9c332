"""What can go wrong with an installed machine on ssh: each a sentence, since each asks for something else."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from pxeapp.errors import PxeError


class NodeError(PxeError):
    """Something is wrong with a machine on ssh; `code` is what a rollout's step keeps of it."""

    status = HTTPStatus.BAD_GATEWAY
    title = "Machine trouble"
    code: ClassVar[str] = "node_error"


class NodeUnreachable(NodeError):
    """It does not answer, or the connection was lost; that may pass by itself."""

    code = "unreachable"
    retryable = True

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} cannot be reached by ssh: {why}.", hint="Is it up, is sshd running, is it let in?")


class NodeHangs(NodeError):
    """It answered, and then a command did not end in its time."""

    code = "timeout"
    retryable = True

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(f"The command on {where} did not end within {seconds:.0f} s.", hint="Look at the machine.")


class NodeRefused(NodeError):
    """It answered and does not let us in, or not as root."""

    code = "refused"


class HostKeyUnknown(NodeError):
    """There is no key that it could be known by: nothing is sent to whoever answers at its address."""

    status = HTTPStatus.CONFLICT
    code = "host_key_unknown"

    def __init__(self, machine: str) -> None:
        super().__init__(
            f"No ssh host key of {machine} is known, so nobody can tell whether it is the one that answers.",
            hint="A machine reports its keys at its first boot. For one that was installed before, read them on it "
            f"and give them to: pxeapp ssh record {machine}",
        )


class HostKeyChanged(NodeError):
    """Another key than the pinned ones: another machine has its address, or it was installed by somebody else."""

    status = HTTPStatus.CONFLICT
    code = "host_key_changed"

    def __init__(self, machine: str, where: str) -> None:
        super().__init__(
            f"The host key at {where} is none of those that {machine} reported; nothing was sent to it.",
            hint="Another machine may have its address. If you know why the key is another one, read it on the machine "
            f"itself and give it to: pxeapp ssh record {machine}",
        )


class NoAddress(NodeError):
    """Nobody knows where it is."""

    status = HTTPStatus.CONFLICT
    code = "no_address"

    def __init__(self, machine: str) -> None:
        super().__init__(
            f"{machine} has no known address.",
            hint=f"Give its boot interface an address, or say one: pxeapp ssh record {machine} --address ADDRESS",
        )


class NodeDiskFull(NodeError):
    """What is to be run on it does not even fit on its disk."""

    code = "disk_full"

    def __init__(self, machine: str, folder: str) -> None:
        super().__init__(
            f"The disk of {machine} is full: nothing can be written to {folder}.", hint="Make room on it; then retry."
        )


class JobNotStarted(NodeError):
    """The machine could not begin the job."""

    code = "job_not_started"

    def __init__(self, machine: str, said: str) -> None:
        super().__init__(
            f"{machine} could not begin the job: {said or 'it said nothing'}.", hint="Look at the machine."
        )


class FileTrouble(NodeError):
    """A file of the machine could not be read or written."""

    code = "file_trouble"

    def __init__(self, machine: str, path: str, said: str) -> None:
        super().__init__(f"{path} of {machine}: {said or 'it could not be written'}.", hint="Look at the machine.")
