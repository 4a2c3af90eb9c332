"""What dnsmasq's log says about the machines: evidence for the timeline. Pure: lines in, observations out.

With `log-dhcp` dnsmasq writes, for each packet it hears, a run of lines that share a transaction number: what the
client says of itself, the packet, the tags that matched, its own answer, and the options it sent. A run has no end
mark; it is over when another one begins or when the log falls silent (`flush`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pxeapp.boot import firmware
from pxeapp.machines import mac as macs

_LINE = re.compile(r"dnsmasq-dhcp(?:\[\d+\])?: (?P<xid>\d{1,10}) (?P<what>.*)")
_PACKET = re.compile(
    r"(?P<type>DHCP[A-Z]+|PXE|BOOTP)\((?P<interface>[^)]{1,16})\)"
    r"(?: (?P<address>\d{1,3}(?:\.\d{1,3}){3}))? (?P<mac>[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5})(?: (?P<rest>.*))?"
)
_SENT_FILE = re.compile(r"sent size: *\d+ option: *67 bootfile-name +(?P<file>.*)")
_HEARD = {
    "DHCPDISCOVER": "discover",
    "DHCPREQUEST": "request",
    "DHCPINFORM": "inform",
    "DHCPRELEASE": "release",
    "DHCPDECLINE": "decline",
}
_ANSWERED = {"DHCPOFFER": "offer", "DHCPACK": "ack", "DHCPNAK": "nak", "PXE": "proxy", "BOOTP": "bootp"}
_OPENINGS = ("available DHCP", "vendor class: ", "client provides name: ")


@dataclass(frozen=True, slots=True)
class Observation:
    """One packet of a machine and what dnsmasq answered.

    `heard`: discover, request, inform, release, decline, or empty (dnsmasq names a proxy exchange by its answer only).
    `answered`: offer, ack, nak, proxy, bootp, or empty when it kept silent. `remark`: dnsmasq's own word on it.
    """

    mac: str
    interface: str
    heard: str = ""
    answered: str = ""
    address: str | None = None
    arch: str | None = None
    vendor_class: str = ""
    user_class: str = ""
    boot_file: str = ""
    remark: str = ""

    @property
    def what(self) -> str:
        """The last thing that happened: our answer, or what was heard where there was none."""
        return self.answered or self.heard

    @property
    def is_ipxe(self) -> bool:
        """Whether iPXE asked, not the firmware."""
        return self.user_class == "iPXE"

    @property
    def rival(self) -> bool:
        """Whether the machine had taken another DHCP server's offer, in the mode where we are the only one."""
        return self.answered == "nak" and self.remark == "wrong server-ID"


@dataclass(slots=True)
class _Run:
    xid: str
    seen: Observation | None = None
    vendor_class: str = ""
    user_class: str = ""
    tags: tuple[str, ...] = ()
    boot_file: str = ""


class LogParser:
    """Feeds on lines; gives each observation once its run of lines is over. Any line at all is survived."""

    def __init__(self) -> None:
        self._run: _Run | None = None

    def feed(self, line: str) -> list[Observation]:
        """The observations that this line completes."""
        match = _LINE.search(line[:2000])
        if match is None:
            return []
        done: list[Observation] = []
        what = match["what"]
        fresh = self._run is None or self._run.xid != match["xid"]
        # A client that repeats its packet keeps its transaction number: an opening line after an answer is a new run.
        if fresh or (self._run is not None and self._run.seen is not None and what.startswith(_OPENINGS)):
            done = self.flush()
            self._run = _Run(match["xid"])
        done += self._note(what)
        return done

    def flush(self) -> list[Observation]:
        """The run that is still open, if it holds a packet: to be called when the log falls silent."""
        run, self._run = self._run, None
        if run is None or run.seen is None:
            return []
        known = [tag for tag in run.tags if firmware.named(tag)]
        client = firmware.of_vendor_class(run.vendor_class)
        return [
            replace(
                run.seen,
                arch=known[0] if known else client.name if client else None,
                vendor_class=run.vendor_class,
                user_class=run.user_class,
                boot_file=run.boot_file,
            )
        ]

    def _note(self, what: str) -> list[Observation]:
        run = self._run
        assert run is not None  # noqa: S101 - feed() has just made it
        if match := _PACKET.fullmatch(what.rstrip()):
            return self._packet(run, match)
        if match := _SENT_FILE.match(what):
            run.boot_file = match["file"].strip()
        for prefix, name in _FIELDS:
            if what.startswith(prefix):
                setattr(run, name, what.removeprefix(prefix).strip()[:255])
        if what.startswith("tags: "):
            run.tags = tuple(tag.strip() for tag in what.removeprefix("tags: ").split(","))
        return []

    def _packet(self, run: _Run, match: re.Match[str]) -> list[Observation]:
        mac = macs.parse_or_none(match["mac"])
        heard = _HEARD.get(match["type"], "")
        answered = _ANSWERED.get(match["type"], "")
        if mac is None or not (heard or answered):
            return []
        done: list[Observation] = []
        if run.seen is not None and (heard or run.seen.answered):
            done = self.flush()
            run = self._run = _Run(run.xid)
        before = run.seen or Observation(mac=mac, interface=match["interface"])
        remark = (match["rest"] or "").strip()
        run.seen = replace(
            before,
            heard=heard or before.heard,
            answered=answered,
            # What a nak names is the address that was refused, which is another's.
            address=None if answered == "nak" else match["address"] or before.address,
            remark=remark if answered != "ack" else "",  # after an ack stands the host name that dnsmasq gave
        )
        return done


_FIELDS = (
    ("vendor class: ", "vendor_class"),
    ("user class: ", "user_class"),
    ("bootfile name: ", "boot_file"),
)
