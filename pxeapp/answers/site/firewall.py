"""The packet filter of the installed system."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StrictBool, StrictStr

from pxeapp.answers.site.words import Part, Unfit, shorthand


def _opened(value: str) -> str:
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?/(tcp|udp)", value)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise Unfit(f"{value[:60]!r} is no port to open.", "Write it as 8080/tcp or 6000-6100/udp.")
    return value


def _switch(value: Any) -> Any:
    if isinstance(value, bool):
        return {"on": value}
    if isinstance(value, str) and value in ("on", "off"):
        return {"on": value == "on"}
    raise Unfit("is not possible.", 'Write on, off, or {"ports": ["8080/tcp"]}.')


class Firewall(Part):
    """On: ssh, answers to what it asked itself, ICMP, and these ports. Off: none."""

    on: StrictBool = True
    ports: tuple[Annotated[StrictStr, AfterValidator(_opened)], ...] = ()

    @property
    def kickstart(self) -> str:
        """The ports as kickstart and firewalld's offline command write them."""
        return ",".join(each.replace("/", ":") for each in self.ports)


FirewallSetting = Annotated[Firewall, BeforeValidator(shorthand(_switch))]
