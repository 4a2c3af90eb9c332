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


class BmcCertificateChanged(BmcError):
    """It shows another certificate than before, so nothing was said to it: somebody may stand between."""

    code = "certificate"

    def __init__(self, where: str, shown: str) -> None:
        super().__init__(
            f"The BMC at {where} shows another certificate than before ({shown[:16]}...), so it was not logged in to.",
            hint="If it was renewed, set bmc.certificate to null; the next one that is seen is kept then.",
        )


class BmcBusy(BmcError):
    """It answered that it has no session to spare; they free themselves after a minute."""

    code = "busy"
    retryable = True

    def __init__(self, where: str) -> None:
        super().__init__(
            f"The BMC at {where} has no free session.",
            hint="Close other programs' sessions to it, or reset the BMC if it keeps saying so.",
        )


class BmcNoCipherSuite(BmcError):
    """It answered and shares no cipher suite with us."""

    code = "cipher_suite"

    def __init__(self, where: str, suite: int | None) -> None:
        tried = f"cipher suite {suite}" if suite else "the cipher suites 17 and 3"
        super().__init__(
            f"The BMC at {where} refuses {tried}.",
            hint="Set bmc.cipher_suite to 3 (old BMCs) or 17, as the BMC allows.",
        )


class BmcHangs(BmcError):
    """The action's time was over long ago and no look at this BMC ever came back."""

    code = "unreachable"

    def __init__(self) -> None:
        super().__init__(
            "Calls to its BMC do not return, and the action's time is over.", hint="Reset the BMC; then order it again."
        )


class BmcRefused(BmcError):
    """It answered and refused the command."""

    code = "refused"

    def __init__(self, where: str, what: str, answer: str) -> None:
        super().__init__(
            f"The BMC at {where} refused to {what}: {answer}.",
            hint="Check the account's privileges on the LAN channel.",
        )


class BmcConsoleHeld(BmcError):
    """Another program has the serial line, and there is only one."""

    code = "held"
    retryable = True

    def __init__(self, where: str) -> None:
        super().__init__(
            f"Another program holds the console of the BMC at {where}.",
            hint="Close it there, or take the console over; a line that was lost is given up after a minute.",
        )


class BmcConsoleEnded(BmcError):
    """The BMC ended our console."""

    code = "ended"
    retryable = True

    def __init__(self, where: str) -> None:
        super().__init__(f"The BMC at {where} ended the console; perhaps another program took it over.")


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


class PowerUnknown(BmcError):
    """The BMC answered all the time and never said whether the machine is on or off."""

    code = "unconfirmed"

    def __init__(self) -> None:
        super().__init__(
            "Its BMC answers, but says neither on nor off.", hint="Reset the BMC; nothing is done on a guess."
        )


class PowerFlapped(BmcError):
    """Somebody or something else switched the machine on while we had it off."""

    code = "unconfirmed"

    def __init__(self) -> None:
        super().__init__(
            "It was seen off and is on again, although nothing of ours switched it on.",
            hint="Look for another program that controls it, or a power policy of the BMC; then order it again.",
        )


class BootDeviceIgnored(BmcError):
    """The boot device was set and reads back as another one, or the BMC never answered to it."""

    code = "boot_device"

    def __init__(self, wanted: str, seen: str | None) -> None:
        reads = f"reads back {seen}" if seen else "never confirmed it"
        super().__init__(
            f"The BMC was told to boot from {wanted} and {reads}.",
            hint="Put the network first in the firmware's boot order, or update the BMC.",
        )


class TooLate(BmcError):
    """The action's time was over before its next command was due, because nothing worked on it."""

    code = "too_late"

    def __init__(self) -> None:
        super().__init__(
            "The power action's time was over before it was its turn; nothing more was sent.",
            hint="Check that `pxeapp bmc-worker` runs; then order it again.",
        )
