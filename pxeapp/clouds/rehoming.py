"""Taking routers and networks from the agents of one host and giving them to others, one by one.

A network may have two DHCP agents: it is given to another first, and taken away then. A router that is not highly
available has one agent at a time: it is written down, taken away and given in one go, and what a crash left between the
two is found by what was written down. Where there is no other agent that lives, everything stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pxeapp.clouds import agents
from pxeapp.clouds.agents import DHCP, L3, Agent, Router
from pxeapp.clouds.api import CloudApi
from pxeapp.clouds.errors import CloudSaysNo

AT_ONCE = 20  # routers that are written down for one look
OFFERED = 3  # agents that are tried for one router

HasTime = Callable[[], bool]


@dataclass(slots=True)
class Rehomed:
    """How far it is. `routers`, by id, is what the next look must know: which are being moved, and from which agent."""

    routers: dict[str, str] = field(default_factory=dict)
    busy: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)  # for want of another agent
    log: list[str] = field(default_factory=list)
    hurry: bool = False


def look(api: CloudApi, mine: Iterable[Agent], moving: Mapping[str, str], *, has_time: HasTime) -> Rehomed:
    """Move what can be moved within the time there is; `mine` are the host's agents that carry something."""
    found = Rehomed()
    own = [each for each in mine if each.carries_routers or each.carries_networks]
    if not own and not moving:
        return found
    others = {kind: _others(api, own, kind) for kind in (L3, DHCP) if any(each.kind == kind for each in own) or moving}
    _pick_up(api, moving, own, others.get(L3, []), found)
    for agent in own:
        if agent.carries_networks:
            _networks(api, agent, others[DHCP], found, has_time)
        else:
            _routers(api, agent, others[L3], moving, found, has_time)
    return found


def pick_up(api: CloudApi, mine: Iterable[Agent], moving: Mapping[str, str]) -> Rehomed:
    """Only see to it that none of these routers is without an agent: where moving them was broken off."""
    found = Rehomed()
    if moving:
        own = [each for each in mine if each.carries_routers]
        _pick_up(api, moving, own, _others(api, own, L3), found)
    return found


def still_active(api: CloudApi, mine: Iterable[Agent]) -> list[str]:
    """Highly available routers of these agents that nobody else is active for yet."""
    waiting = []
    for agent in mine:
        if not agent.carries_routers:
            continue
        for router in agents.routers(api, agent):
            carriers = agents.of_router(api, router.id) if router.ha else []
            elsewhere = [each for each in carriers if each.id != agent.id and each.alive and each.enabled]
            known = any(each.ha_state for each in carriers)
            if elsewhere and known and not any(each.ha_state == "active" for each in elsewhere):
                waiting.append(router.name)
    return waiting


def _others(api: CloudApi, own: Iterable[Agent], kind: str) -> list[Agent]:
    """Those that may be given something, the least busy first."""
    ids = {each.id for each in own}
    hosts = {each.host for each in own}
    able = (
        each
        for each in agents.of_kind(api, kind)
        if each.alive and each.enabled and each.id not in ids and each.host not in hosts
        if each.carries_networks or each.carries_routers
    )
    return sorted(able, key=lambda each: (each.load, each.host))


def _best(agent: Agent, others: list[Agent], given: Mapping[str, int]) -> list[Agent]:
    """In the agent's own availability zone first, then where the least is."""
    return sorted(others, key=lambda each: (each.zone != agent.zone, each.load + given.get(each.id, 0), each.host))


def _networks(api: CloudApi, agent: Agent, others: list[Agent], found: Rehomed, has_time: HasTime) -> None:
    given: dict[str, int] = {}
    for number, name in agents.networks(api, agent):
        if not others:
            found.stays.append(f"DHCP of the network {name}: no other DHCP agent is alive")
            continue
        if not has_time():
            found.busy.append(f"networks are moved from the {agent}")
            return
        carriers = {each.id for each in agents.of_network(api, number) if each.alive and each.enabled}
        if not carriers - {agent.id}:
            target = _best(agent, others, given)[0]
            _unless_there(agents.give_network, api, target, number)
            given[target.id] = given.get(target.id, 0) + 1
            found.log.append(f"DHCP of the network {name} is given to {target.host}.")
        _unless_gone(agents.take_network, api, agent, number)
        found.log.append(f"DHCP of the network {name} is taken from {agent.host}.")


def _routers(
    api: CloudApi, agent: Agent, others: list[Agent], moving: Mapping[str, str], found: Rehomed, has_time: HasTime
) -> None:
    given: dict[str, int] = {}
    for router in agents.routers(api, agent):
        if router.ha:
            _ensure_second(api, agent, router, others, given, found)
        elif not others:
            found.stays.append(f"the router {router.name}: no other L3 agent is alive")
        elif router.id not in moving:
            if len(found.routers) < AT_ONCE:
                found.routers[router.id] = agent.id
                found.hurry = True
            found.busy.append(f"the router {router.name} is moved next")
        elif not has_time():
            found.routers[router.id] = agent.id
            found.busy.append(f"the router {router.name} is being moved")
        else:
            _move(api, agent, router, _fitting(router, _best(agent, others, given)), given, found)


def _move(
    api: CloudApi, agent: Agent, router: Router, targets: list[Agent], given: dict[str, int], found: Rehomed
) -> None:
    found.routers[router.id] = agent.id  # until it is seen that somebody has it
    if not targets:
        found.routers.pop(router.id)
        found.stays.append(f"the router {router.name}: no other L3 agent can carry it")
        return
    _unless_gone(agents.take_router, api, agent, router.id)
    target = _offered(api, router.id, targets)
    if target is None:
        _unless_there(agents.give_router, api, agent, router.id)
        found.routers.pop(router.id)
        found.stays.append(f"the router {router.name}: no other L3 agent takes it, so it was put back")
        return
    given[target.id] = given.get(target.id, 0) + 1
    found.busy.append(f"the router {router.name} goes to {target.host}")
    found.log.append(f"The router {router.name} is moved from {agent.host} to {target.host}.")


def _ensure_second(
    api: CloudApi, agent: Agent, router: Router, others: list[Agent], given: dict[str, int], found: Rehomed
) -> None:
    """A highly available router stays on our agent, and goes on elsewhere as soon as that is disabled."""
    carriers = agents.of_router(api, router.id)
    if any(each.id != agent.id and each.alive and each.enabled for each in carriers):
        return
    taken = {each.id for each in carriers}
    free = [each for each in _fitting(router, _best(agent, others, given)) if each.id not in taken]
    target = _offered(api, router.id, free)
    if target is None:
        found.stays.append(f"the router {router.name}: no second L3 agent can carry it")
        return
    given[target.id] = given.get(target.id, 0) + 1
    found.busy.append(f"the router {router.name} is given to {target.host} too")
    found.log.append(f"The highly available router {router.name} is given to {target.host} too.")


def _pick_up(api: CloudApi, moving: Mapping[str, str], own: list[Agent], others: list[Agent], found: Rehomed) -> None:
    """Routers that were taken away and that nobody has: a crash, or an agent that said no."""
    for number, agent_id in moving.items():
        try:
            if agents.of_router(api, number):
                continue
        except CloudSaysNo as error:
            if error.code == HTTPStatus.NOT_FOUND:
                continue  # it was deleted
            raise
        back = [each for each in own if each.id == agent_id]
        target = _offered(api, number, [*others[: OFFERED - 1], *back])
        if target is None:
            found.routers[number] = agent_id
            found.busy.append(f"the router {number} has no agent, and none takes it")
        else:
            found.log.append(f"The router {number} had no agent; {target.host} has it now.")


def _fitting(router: Router, others: list[Agent]) -> list[Agent]:
    """Only an agent in the mode dvr_snat carries the part of a distributed router that is in one place."""
    return [each for each in others if not router.distributed or each.configurations.get("agent_mode") == "dvr_snat"]


def _offered(api: CloudApi, router: str, targets: list[Agent]) -> Agent | None:
    """The first that takes it. What is refused, for want of an external network there say, is offered to the next."""
    for target in targets[:OFFERED]:
        try:
            _unless_there(agents.give_router, api, target, router)
        except CloudSaysNo:
            continue
        return target
    return None


def _unless_there(give: Callable[[CloudApi, Agent, str], None], api: CloudApi, agent: Agent, number: str) -> None:
    """After a crash it may have been given already."""
    try:
        give(api, agent, number)
    except CloudSaysNo as error:
        carriers = agents.of_router if agent.kind == L3 else agents.of_network
        if error.code != HTTPStatus.CONFLICT or agent.id not in {each.id for each in carriers(api, number)}:
            raise


def _unless_gone(take: Callable[[CloudApi, Agent, str], None], api: CloudApi, agent: Agent, number: str) -> None:
    """After a crash it may have been taken already; 409 is what Neutron says of a network that is not on the agent."""
    try:
        take(api, agent, number)
    except CloudSaysNo as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return
        carriers = agents.of_router if agent.kind == L3 else agents.of_network
        if error.code != HTTPStatus.CONFLICT or agent.id in {each.id for each in carriers(api, number)}:
            raise
