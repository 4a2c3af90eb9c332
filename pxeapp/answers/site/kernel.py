"""Serial console, kernel arguments, modules that are not loaded, sysctl."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, StrictStr

from pxeapp.answers.site.words import Part, Unfit, matching, shorthand

SYSCTL = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_*-]+){1,8}")


def _console(value: Any) -> Any:
    """`false`, or the kernel's own spelling: ttyS1,57600."""
    if value is False:
        return {"port": "none"}
    if not isinstance(value, str):
        raise Unfit("is not possible.", "Write it as ttyS1,115200, or false for none.")
    port, comma, speed = value.partition(",")
    number = re.fullmatch(r"([0-9]{4,6})(n8)?", speed) if comma else None
    if comma and number is None:
        raise Unfit(f"{value[:60]!r} is not possible.", "Write it as ttyS1,115200.")
    return {"port": port, **({"speed": int(number[1])} if number else {})}


class Serial(Part):
    """Where installer, boot loader and kernel also write, and where a getty waits."""

    port: Annotated[StrictStr, matching(r"none|(ttyS|ttyUSB|ttyAMA|hvc)[0-9]{1,2}", "Write it as ttyS1, or none.")] = (
        "ttyS0"
    )
    speed: Literal[9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600] = 115200

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return self.port != "none"

    @property
    def argument(self) -> str:
        """The kernel's argument for it."""
        return f"console={self.port},{self.speed}" if self.there else ""


SerialConsole = Annotated[Serial, BeforeValidator(shorthand(_console))]


def _settings(value: Any) -> Any:
    """An object of settings becomes pairs, each value in one line of ASCII."""
    if not isinstance(value, dict):
        return value
    found = []
    for name, said in value.items():
        if not isinstance(name, str) or not SYSCTL.fullmatch(name) or ".." in name:
            raise Unfit(f"{str(name)[:60]!r} is no kernel setting.", "Write it as vm.swappiness.")
        if isinstance(said, bool) or not isinstance(said, (int, str)):
            raise Unfit(f"{name} is neither a number nor a text.", "Write a number, or a text in quotes.")
        if not re.fullmatch(r"[A-Za-z0-9._/|:%+,-][ -~]{0,254}|", str(said)):
            raise Unfit(f"{name} has a value that is not possible.", "Write one line of ASCII.")
        found.append((name, str(said)))
    return tuple(found)


Sysctl = Annotated[tuple[tuple[StrictStr, StrictStr], ...], BeforeValidator(_settings)]
