"""What can go wrong with a BMC: each a sentence of its own, since each asks for something else of the operator."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from pxeapp.errors import PxeError


class BmcError(PxeError):
    """Something is wrong with a BMC; `code` is what the power action's row keeps of it."""

    status = HTTPStatus.BAD_GATEWAY
    title = "BMC trouble"
    code: ClassVar[str] = "error"


class BmcUnreachable(BmcError):
    """It did not answer in time."""

    code = "unreachable"
    retryable = True

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(f"No answer from {where} after {seconds:.0f} s.", hint="Check its cable, address and VLAN.")


class BmcWrongPassword(BmcError):
    """It answered and refused the user name or password. Trying again may lock the account."""

    code = "wrong_password"

    def __init__(self, where: str, user: str) -> None:
        super().__init__(
            f"The BMC at {where} refuses the user {user!r} with the password we have.",
            hint="Correct bmc.username and bmc.password.",
        )


class BmcRefused(BmcError):
    """It answered and refused the command."""

    code = "refused"

    def __init__(self, where: str, what: str, answer: str) -> None:
        super().__init__(
            f"The BMC at {where} refused to {what}: {answer}.",
            hint="Check the account's privileges on the LAN channel.",
        )


class BmcConfused(BmcError):
    """It answered something that no BMC should."""

    code = "confused"
    retryable = True

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(
            f"The BMC at {where} answered garbage ({detail}).", hint="Reset the BMC or update its firmware."
        )


class PowerUnconfirmed(BmcError):
    """A command was taken, but the power state did not follow. It is never repeated blindly."""

    code = "unconfirmed"

    def __init__(self, wanted: str, seen: str, seconds: float) -> None:
        super().__init__(
            f"It was told to go {wanted}, but {seconds:.0f} s later it is still {seen}.",
            hint="Look at the machine; then order it again.",
        )
