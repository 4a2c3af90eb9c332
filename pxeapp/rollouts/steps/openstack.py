"""Draining and undraining by a cloud's APIs, one look at a time.

What the cloud itself says decides: a service that is disabled with our mark was disabled by us, after a crash too; one
that is disabled with another reason, or with none, is somebody else's and stays so. Memory only holds what the cloud
cannot tell: which instances we are moving or have stopped, and which routers are between two agents.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pxeapp.clouds import agents, evacuating, instances, marks, rehoming, services
from pxeapp.clouds.agents import Agent
from pxeapp.clouds.api import CloudApi
from pxeapp.clouds.errors import CloudSaysNo
from pxeapp.clouds.services import CINDER_VOLUME, NOVA_COMPUTE, HostService
from pxeapp.rollouts.port import AGAIN, Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.spec import OpenStackDrain
from pxeapp.sentences import few

NO_SERVICES = ("object", "storage", "controller")  # roles of which nothing has to be registered in the cloud
ARRIVES = dt.timedelta(seconds=15)  # what the scheduler decided before the service was disabled comes within this time
LOOKED_BACK = dt.timedelta(days=1)  # for migrations to this host that are still under way
SWIFT = "Swift's device weights are not touched: drain by swift does that."
NAMED = 3
STARTS = 3  # of one instance that we stopped


@dataclass(slots=True)
class Seen:
    """What of a machine is registered in the cloud."""

    compute: HostService | None
    volume: list[HostService]
    agents: list[Agent]
    others: int  # services that nothing is to be done for, as nova-conductor

    @property
    def services(self) -> list[HostService]:
        """Those that can be disabled."""
        return [*([self.compute] if self.compute else []), *self.volume]


def drain(
    api: CloudApi, subject: Subject, said: OpenStackDrain, memory: dict[str, Any], has_time: Any, *, now: dt.datetime
) -> Outcome:
    """Disable what is enabled, bring away what can be, and see that nothing is left."""
    seen = _look(api, subject, said)
    if not seen.services and not seen.agents:
        return _nothing_there(api, subject, said, seen, memory)
    log = _disable(api, subject, seen, memory, now=now)
    busy: list[str] = []
    hurry = False
    failed: Failed | None = None
    if seen.compute is not None and said.instances != "leave":
        progress = evacuating.look(api, seen.compute.host, said.instances, memory.get("orders", {}), now=now)
        memory["orders"] = progress.orders
        name = "stopped" if said.instances == evacuating.STOP else "moved"
        memory[name] = [*memory.get(name, []), *(each for each in progress.moved if each not in memory.get(name, []))]
        busy, hurry = progress.busy, progress.hurry
        log += progress.log
        if progress.stuck and progress.over:
            failed = _stuck(seen.compute, progress.stuck, memory)
    mine = [each for each in seen.agents if each.enabled or marks.is_within(each.description)]
    moved = rehoming.look(api, mine, memory.get("routers", {}), has_time=has_time)
    memory["routers"], memory["stays"] = moved.routers, moved.stays
    busy, hurry = [*busy, *moved.busy], hurry or moved.hurry
    log += moved.log
    if not busy and failed is None:
        log += _disable_agents(api, subject, mine, memory)
        busy = _still_to_come(api, seen, said, mine, memory, now=now)
    text = "".join(f"{line}\n" for line in log)
    if busy:
        return Waiting(_in_short(busy), memory, dt.timedelta() if hurry else AGAIN, text)
    if failed is not None:
        return Failed(failed.code, failed.says, failed.hint, failed.evidence, memory, text)
    return Done(_drained(seen, said, memory), _evidence(memory), memory, text)


def undrain(api: CloudApi, subject: Subject, said: OpenStackDrain, memory: dict[str, Any]) -> Outcome:
    """Enable what a rollout of ours has disabled, once it lives again; start what we have stopped."""
    before = subject.earlier.get("drain", {})
    seen = _look(api, subject, said)
    log: list[str] = []
    busy = _settle_moves(api, before.get("orders", {}), log)
    picked = rehoming.pick_up(api, seen.agents, {**before.get("routers", {}), **memory.get("routers", {})})
    memory["routers"] = picked.routers
    busy += picked.busy
    log += picked.log
    theirs = []
    for service in seen.services:
        if service.enabled:
            continue
        if not marks.is_ours(service.reason):
            theirs.append(f"{service} stays disabled: {service.reason or 'somebody disabled it without a reason'}")
        elif not service.up:
            busy.append(f"{service} is not up yet")
        else:
            services.enable(api, service)
            log.append(f"{service} is enabled.")
    busy += _enable_agents(api, seen.agents, theirs, log)
    failed: list[str] = []
    if not busy:
        stopped = [*before.get("stopped", ()), *being_stopped(before.get("orders", {}))]
        busy, failed = _start(api, stopped, memory, log)
    text = "".join(f"{line}\n" for line in log)
    if busy:
        return Waiting(_in_short(busy), memory, AGAIN, text)
    if failed:
        sentence = f"What the drain stopped does not start: {'; '.join(failed[:NAMED])}."
        return Failed("instances_not_started", sentence, "Start them by hand, then retry.", {}, memory, text)
    words = f" {'; '.join(theirs)}." if theirs else ""
    return Done(f"It serves in {api.name} again.{words}", {"left_disabled": theirs}, memory, text)


def _look(api: CloudApi, subject: Subject, said: OpenStackDrain) -> Seen:
    nova = services.compute(api, subject.machine, said.host)
    cinder = services.volume(api, subject.machine, said.host)
    volume = [each for each in cinder if each.binary == CINDER_VOLUME]
    compute = next((each for each in nova if each.binary == NOVA_COMPUTE), None)
    others = len(nova) + len(cinder) - len(volume) - (compute is not None)
    return Seen(compute, volume, agents.on(api, subject.machine, said.host), others)


def _nothing_there(
    api: CloudApi, subject: Subject, said: OpenStackDrain, seen: Seen, memory: dict[str, Any]
) -> Outcome:
    """Nothing to disable. A compute node that the cloud does not know by this name must not be taken for drained."""
    name = said.host or subject.machine
    memory.setdefault("disabled_by_us", [])
    if seen.others or subject.role in NO_SERVICES:
        more = f" {SWIFT}" if subject.role in ("object", "storage") else ""
        return Done(f"{name} has nothing in {api.name} that is drained by its APIs.{more}", {}, memory)
    return Failed(
        "host_unknown",
        f"{api.name} knows no service and no agent of {name}.",
        "Say the name that it has in the cloud (drain.openstack.host), or drain it by a command or not at all.",
        memory=memory,
    )


def _disable(api: CloudApi, subject: Subject, seen: Seen, memory: dict[str, Any], *, now: dt.datetime) -> list[str]:
    """Level-triggered: somebody who enables it while it is drained finds it disabled again."""
    log = []
    reason = marks.mark(subject.rollout_id)
    ours, theirs = set(memory.get("disabled_by_us", ())), dict(memory.get("found_disabled", {}))
    for service in seen.services:
        if not service.enabled and not marks.is_ours(service.reason):
            theirs[str(service)] = service.reason
            continue
        if service.enabled or service.reason != reason:
            services.disable(api, service, reason)
            log.append(f"{service} is disabled: {reason}.")
        ours.add(str(service))
    memory["disabled_by_us"], memory["found_disabled"] = sorted(ours), theirs
    memory.setdefault("disabled_at", now.isoformat())
    return log


def _disable_agents(api: CloudApi, subject: Subject, mine: list[Agent], memory: dict[str, Any]) -> list[str]:
    """Only those that something can be scheduled to, and only once nothing is left to be moved."""
    log = []
    for agent in mine:
        if not (agent.carries_networks or agent.carries_routers):
            continue
        if agent.enabled:
            agents.set_enabled(api, agent, marks.marked(agent.description, subject.rollout_id), enabled=False)
            log.append(f"The {agent} is disabled.")
        memory["disabled_by_us"] = sorted({*memory["disabled_by_us"], str(agent)})
    return log


def _still_to_come(
    api: CloudApi, seen: Seen, said: OpenStackDrain, mine: list[Agent], memory: dict[str, Any], *, now: dt.datetime
) -> list[str]:
    """Empty is not yet drained: what was decided before may still arrive, and routers fail over."""
    waits = [f"the router {name} is not active elsewhere yet" for name in rehoming.still_active(api, mine)]
    if seen.compute is None or said.instances == "leave":
        return waits
    since = dt.datetime.fromisoformat(memory["disabled_at"])
    if not since <= now - ARRIVES:
        return [*waits, "what was scheduled to it before may still arrive"]
    looked_back = ((api.clock or now) - LOOKED_BACK).strftime("%Y-%m-%dT%H:%M:%SZ")
    arriving = instances.arriving(api, seen.compute.host, looked_back)
    return [*waits, *(f"the instance {number} is on its way to it" for number in arriving)]


def _stuck(compute: HostService, stuck: list[dict[str, str]], memory: dict[str, Any]) -> Failed:
    named = _listed([f"{each['name']} {each['why']}" for each in stuck])
    if len(stuck) > 1:
        says = f"{len(stuck)} instances cannot be brought off {compute.host}: {named}."
    else:
        says = f"1 instance cannot be brought off {compute.host}: {named}."
    return Failed(
        "instances_left",
        says,
        "Move or delete them by hand and retry, or make room on other hosts.",
        {**_evidence(memory), "left": stuck},
    )


def _settle_moves(api: CloudApi, orders: Mapping[str, Mapping[str, Any]], log: list[str]) -> list[str]:
    """Where a drain was broken off, what it moved cold still waits for its confirmation, and it was we who moved it."""
    busy = []
    for number, order in orders.items():
        if order["how"] != evacuating.COLD or order["phase"] not in ("planned", "sent"):
            continue
        instance = instances.get(api, number)
        if instance is None:
            continue
        if instance.status == "VERIFY_RESIZE" and not instance.task:
            _confirm(api, number, str(instance), log)
        if instance.status in ("RESIZE", "VERIFY_RESIZE"):
            busy.append(f"{instance.name} is being moved")
    return busy


def _confirm(api: CloudApi, number: str, name: str, log: list[str]) -> None:
    try:
        instances.confirm(api, number)
        log.append(f"The move of {name} is confirmed.")
    except CloudSaysNo as error:  # Nova says so too while the first confirmation is at work
        log.append(f"Confirming the move of {name}: {error}")


def _enable_agents(api: CloudApi, found: list[Agent], theirs: list[str], log: list[str]) -> list[str]:
    busy = []
    for agent in found:
        if not marks.is_within(agent.description):
            if not agent.enabled:
                theirs.append(f"the {agent} stays disabled, as somebody left it")
        elif not agent.alive:
            busy.append(f"the {agent} does not report yet")
        else:
            agents.set_enabled(api, agent, marks.unmarked(agent.description), enabled=True)
            log.append(f"The {agent} is enabled.")
    return busy


def being_stopped(orders: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The instances that a drain was about to stop when it was broken off."""
    return [
        number
        for number, order in orders.items()
        if order["how"] == evacuating.STOP and order["phase"] in ("planned", "sent")
    ]


def _start(api: CloudApi, stopped: list[str], memory: dict[str, Any], log: list[str]) -> tuple[list[str], list[str]]:
    """Start what is off; what somebody has started or deleted meanwhile is left alone."""
    busy, failed = [], []
    tries: dict[str, int] = dict(memory.get("starts", {}))
    for number in dict.fromkeys(stopped):
        instance = instances.get(api, number)
        if instance is None or (instance.status != "SHUTOFF" and not instance.task):
            if instance is not None and instance.status == "ERROR":
                failed.append(f"{instance.name} is in the state ERROR")
            continue
        if instance.task:
            busy.append(f"{instance.name} is starting")
        elif tries.get(number, 0) >= STARTS:
            failed.append(f"{instance.name}: {instances.why(api, number, 'start') or 'it is off again'}")
        elif len(busy) < evacuating.AT_ONCE:
            tries[number] = tries.get(number, 0) + 1
            _start_one(api, number, str(instance), log)
            busy.append(f"{instance.name} is started")
        else:
            busy.append(f"{instance.name} is started soon")
    memory["starts"] = tries
    return busy, failed


def _start_one(api: CloudApi, number: str, name: str, log: list[str]) -> None:
    try:
        instances.start(api, number)
        log.append(f"{name} is started.")
    except CloudSaysNo as error:
        log.append(f"{name} does not start: {error}")


def _drained(seen: Seen, said: OpenStackDrain, memory: Mapping[str, Any]) -> str:
    words = [f"disabled: {', '.join(memory['disabled_by_us'])}"] if memory["disabled_by_us"] else []
    if memory["found_disabled"]:
        words.append(f"disabled before by somebody else: {', '.join(memory['found_disabled'])}")
    if seen.compute is not None:
        words.append(
            "its instances stay on it" if said.instances == "leave"
            else f"{len(memory.get('stopped', ()))} instances stopped" if said.instances == evacuating.STOP
            else f"no instance is left, {len(memory.get('moved', ()))} moved"
        )  # fmt: skip
    if memory["stays"]:
        words.append(f"stays: {'; '.join(memory['stays'][:NAMED])}")
    return f"Drained: {'; '.join(words) or 'nothing was to be done'}."


def _evidence(memory: Mapping[str, Any]) -> dict[str, Any]:
    names = ("disabled_by_us", "found_disabled", "moved", "stopped", "stays")
    return {name: memory[name] for name in names if memory.get(name)}


def _in_short(busy: list[str]) -> str:
    text = _listed(busy)
    return f"{text[:1].upper()}{text[1:]}."


def _listed(said: list[str]) -> str:
    return few(said, NAMED, comma="; ", last="; and ")
