"""Networks that we answer DHCP on or put static addresses into."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netaddr import AddrFormatError, IPAddress, IPNetwork
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import audit, versions
from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.machines.models import Interface, Network

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# It ends up in dnsmasq's configuration and in answer files: nothing but what a domain can be.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{0,253}}$)({_LABEL}(\.{_LABEL})*)?")
FIELDS = ("cidr", "gateway", "dns", "ntp", "domain", "vlan", "dhcp_start", "dhcp_end")

POINT_TO_POINT = 2  # addresses, as in a /31 or a /127: both are machines'

EMPTY: dict[str, Any] = {"dns": [], "ntp": [], "domain": ""}  # what null makes of a field; the others become null


def get(session: Session, name: str) -> Network:
    """A network by name; raises NotFound."""
    row = session.scalar(select(Network).where(Network.name == name)) if NAME.fullmatch(name) else None
    if row is None:
        raise NotFound(f"There is no network {name!r}.", hint="See: GET /api/v1/networks")
    return row


def listing(session: Session, *, after: str = "", limit: int = 100) -> Sequence[Network]:
    """Networks by name, behind `after`."""
    return session.scalars(select(Network).where(Network.name > after).order_by(Network.name).limit(limit)).all()


def create(session: Session, said: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Network:
    """Add a network; raises Invalid with every problem."""
    name = str(said.get("name", ""))
    problems = (
        []
        if NAME.fullmatch(name)
        else [FieldProblem("name", f"{name!r} cannot be a network's name.", "Use a-z, 0-9 and dashes.")]
    )
    problems += _problems(said)
    if problems:
        raise Invalid("The network cannot be added.", problems=problems)
    if session.scalar(select(Network.id).where(Network.name == name)) is not None:
        raise Conflict(f"There already is a network {name}.")
    row = Network(name=name, dns=[], ntp=[], domain="")
    _fill(row, said)
    session.add(row)
    session.flush()
    audit.record(
        session, at=now, actor=actor, action="network.create", subject=name, cidr=row.cidr,
        **audit.difference(None, wire(row)),
    )  # fmt: skip
    versions.record(session, versions.NETWORKS, name, None, body(row), action="create", author=actor, at=now)
    return row


def change(session: Session, name: str, said: Mapping[str, Any], *, actor: str, now: dt.datetime) -> Network:
    """Change a network; DHCP follows within seconds."""
    row = get(session, name)
    if problems := list(_problems({**wire(row), **said})):
        raise Invalid("The network cannot be changed.", problems=problems)
    was, before = wire(row), body(row)
    _fill(row, said)
    audit.record(
        session, at=now, actor=actor, action="network.change", subject=name, changed=sorted(said),
        **audit.difference(was, wire(row)),
    )  # fmt: skip
    versions.record(session, versions.NETWORKS, name, before, body(row), action="change", author=actor, at=now)
    return row


def delete(session: Session, name: str, *, actor: str, now: dt.datetime) -> None:
    """Remove a network that no card is in any more."""
    row = get(session, name)
    if session.scalar(select(Interface.id).where(Interface.network == name).limit(1)) is not None:
        raise Conflict(f"Machines have cards in {name}.", hint="Move them to another network first.")
    gone = audit.difference(wire(row), None)
    session.delete(row)
    audit.record(session, at=now, actor=actor, action="network.delete", subject=name, **gone)
    versions.record(session, versions.NETWORKS, name, body(row), None, action="delete", author=actor, at=now)


def own_address(value: str, address: IPAddress, network: IPNetwork) -> str:
    """The sentence why no machine can have an address in its network; "" where one can."""
    if network.prefixlen == 0 or (network.size > POINT_TO_POINT and address == network.network):
        return f"{value} is the network itself."
    if network.version == 4 and network.size > POINT_TO_POINT and address == network.broadcast:
        return f"{value} is the network's broadcast address."
    return ""


def wire(row: Network) -> dict[str, Any]:
    """A network as the API shows it."""
    return {"name": row.name, **body(row)}


def body(row: Network) -> dict[str, Any]:
    """A network as its versions keep it."""
    return {field: getattr(row, field) for field in FIELDS}


def _fill(row: Network, said: Mapping[str, Any]) -> None:
    for field in FIELDS:
        if field in said:
            setattr(row, field, said[field] if said[field] is not None else EMPTY.get(field))
    row.cidr = str(IPNetwork(row.cidr).cidr)
    row.domain = row.domain.lower()  # capitals mean nothing in it, and installers want none


def _problems(said: Mapping[str, Any]) -> Iterable[FieldProblem]:
    cidr = str(said.get("cidr", ""))
    try:
        if "/" not in cidr:  # netaddr would make it a network of one address
            raise ValueError(cidr)
        network = IPNetwork(cidr)
    except (AddrFormatError, ValueError):
        yield FieldProblem("cidr", f"{cidr!r} is not a network.", "Write it as 10.0.0.0/24 or fd00:1::/64.")
        return
    if network.version != 4 and (said.get("dhcp_start") or said.get("dhcp_end")):
        fix = "Leave the range out: we netboot, and so serve DHCP, over IPv4 only."
        yield FieldProblem("dhcp_start", "is in an IPv6 network.", fix)
    for field in ("gateway", "dhcp_start", "dhcp_end"):
        value = said.get(field)
        address = _address(value)
        on_the_link = field == "gateway" and network.version != 4 and address is not None and address.is_link_local()
        if value and not on_the_link and (address is None or address not in network):
            yield FieldProblem(field, f"{value!r} is not in {network}.", "Use an address of the network.")
    for field in ("dns", "ntp"):
        for value in said.get(field) or []:
            if _address(value) is None:
                yield FieldProblem(field, f"{value!r} is not an address.", "Write it as 10.0.0.7.")
    if not DOMAIN.fullmatch(said.get("domain") or ""):
        yield FieldProblem("domain", f"{said.get('domain')!r} is not a domain.", "Write it as rack1.example.org.")
    vlan = said.get("vlan")
    if vlan is not None and (isinstance(vlan, bool) or not isinstance(vlan, int) or not 1 <= vlan <= 4094):
        yield FieldProblem("vlan", f"{vlan!r} is not a VLAN.", "Use 1 to 4094.")
    yield from _gateway_problems(said.get("gateway"), network)
    yield from _range_problems(said)


def _gateway_problems(value: Any, network: IPNetwork) -> Iterable[FieldProblem]:
    """In IPv6 the network's own address is one of its routers', RFC 4291."""
    address = _address(value)
    if address is not None and address.version == 4 and (own := own_address(str(value), address, network)):
        yield FieldProblem("gateway", own, "Write the router's address.")


def _range_problems(said: Mapping[str, Any]) -> Iterable[FieldProblem]:
    start, end = _address(said.get("dhcp_start")), _address(said.get("dhcp_end"))
    if (start is None) != (end is None):
        yield FieldProblem("dhcp_end", "only one end of the range is given.", "Give both or neither.")
    elif start is not None and end is not None and start > end:
        yield FieldProblem("dhcp_end", "the range runs backwards.", "Swap its ends.")


def _address(value: Any) -> IPAddress | None:
    try:
        return IPAddress(str(value)) if value else None
    except (AddrFormatError, ValueError):
        return None
