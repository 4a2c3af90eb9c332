"""Bringing every instance off a host, a few at a time: one look at where each is, and at most one order for each.

What is going to be ordered is written down before it is ordered, so that after a crash nothing is taken for ours that
is not: an instance that a user has resized waits for that user's own confirmation, and one that a user has stopped is
not started by us.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pxeapp.clouds import instances
from pxeapp.clouds.api import CloudApi
from pxeapp.clouds.errors import CloudSaysNo
from pxeapp.clouds.instances import Instance

Policy = Literal["live-migrate", "cold-migrate", "stop"]
AT_ONCE = 2  # of one host: more only share its network card
TRIES = 2  # of one instance; between them the others make room, or another host comes back
AGAIN = dt.timedelta(seconds=30)
LIVE, COLD, STOP = "live-migrate", "cold-migrate", "stop"
DO: dict[str, Callable[[CloudApi, str], None]] = {
    LIVE: instances.live_migrate,
    COLD: instances.cold_migrate,
    STOP: instances.stop,
}
ACTIONS = {LIVE: ("live-migration",), COLD: ("migrate", "confirmResize"), STOP: ("stop",)}  # as Nova's log calls them
# How an instance of a status is moved where the policy is to move it; what is not here cannot be.
MOVES = {"ACTIVE": LIVE, "PAUSED": LIVE, "SHUTOFF": COLD}
STUCK = {
    "ERROR": "is in the state ERROR; reset or delete it",
    "SUSPENDED": "is suspended; resume or shelve it",
    "RESCUE": "is in rescue; unrescue it",
    "SHELVED": "is shelved and still on its host; offload or unshelve it",
    "SOFT_DELETED": "is deleted softly and still on its host; delete or restore it",
    "VERIFY_RESIZE": "waits for its user to confirm a resize",
}
Orders = Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class Progress:
    """How far it is. `orders` is what the next look must know; it is empty of what is over."""

    orders: dict[str, dict[str, Any]]
    busy: list[str] = field(default_factory=list)  # what is waited for, in words
    stuck: list[dict[str, str]] = field(default_factory=list)  # what cannot be moved, and why
    moved: list[str] = field(default_factory=list)  # gone from the host since the last look
    log: list[str] = field(default_factory=list)
    hurry: bool = False  # orders are written down and wait only for that

    @property
    def over(self) -> bool:
        """Nothing is under way and nothing can be ordered any more."""
        return not self.busy


def look(api: CloudApi, host: str, policy: Policy, orders: Orders, *, now: dt.datetime) -> Progress:
    """One look at everything that is on this host, and at what was ordered."""
    here = {each.id: each for each in instances.on_host(api, host)}
    found = Progress({number: dict(order) for number, order in orders.items()})
    for number in list(found.orders):
        _follow(api, found, number, here.get(number), now)
    for number, instance in here.items():
        if found.orders.get(number, {}).get("phase") not in ("planned", "sent"):
            _judge(policy, found, instance, now)
    _plan(found, now)
    return found


def _follow(api: CloudApi, found: Progress, number: str, instance: Instance | None, now: dt.datetime) -> None:
    """What became of an order, or: give it, now that it is written down."""
    order = found.orders[number]
    if order["phase"] == "waiting":
        if instance is None:  # somebody else moved it meanwhile, or deleted it
            found.orders.pop(number)
        return
    if instance is None or (order["how"] == COLD and instance.status == "VERIFY_RESIZE"):
        instance = _elsewhere(api, found, number, order)
        if instance is None:
            return
    if instance.task or instance.status in ("MIGRATING", "RESIZE"):
        found.busy.append(f"{order['how']} of {instance.name}: {instance.task or instance.status.lower()}")
    elif order["how"] == STOP and not instance.runs and instance.status != "ERROR":
        _over(found, number, f"{instance} is stopped.")
    elif order["phase"] == "planned":
        _send(api, found, instance, order, now)
    else:
        _failed(api, found, instance, order, now)


def _elsewhere(api: CloudApi, found: Progress, number: str, order: dict[str, Any]) -> Instance | None:
    """It is on its host no more. One that was moved cold needs its confirmation; None: it is over."""
    instance = instances.get(api, number) if order["how"] == COLD else None
    if instance is None or (instance.status in ("ACTIVE", "SHUTOFF") and not instance.task):
        _over(found, number, f"{order['name']} ({number}) is gone from here.")
        return None
    if instance.status == "VERIFY_RESIZE" and not instance.task:
        try:
            instances.confirm(api, number)
        except CloudSaysNo as error:
            found.log.append(f"{instance}: confirming it: {error}")
        found.busy.append(f"{instance.name} is on {instance.host}; its move is being confirmed")
        return None
    if instance.status == "ERROR":
        _over(found, number, "")
        found.stuck.append({"id": number, "name": instance.name, "why": "was moved, and is in the state ERROR now"})
        return None
    return instance


def _send(api: CloudApi, found: Progress, instance: Instance, order: dict[str, Any], now: dt.datetime) -> None:
    try:
        DO[order["how"]](api, instance.id)
    except CloudSaysNo as error:
        _put_off(found, instance, order, str(error), now)
        return
    order["phase"] = "sent"
    found.busy.append(f"{order['how']} of {instance.name} begins")
    found.log.append(f"{order['how']} of {instance} ordered.")


def _failed(api: CloudApi, found: Progress, instance: Instance, order: dict[str, Any], now: dt.datetime) -> None:
    """It was ordered, and is idle where it was: that did not work."""
    reason = instances.why(api, instance.id, *ACTIONS[order["how"]])
    if instance.status == "ERROR":
        reason = f"it is in the state ERROR now: {reason}" if reason else "it is in the state ERROR now"
        order["tries"] = TRIES
    _put_off(found, instance, order, reason or f"it is {instance.status} on {instance.host} again", now)


def _put_off(found: Progress, instance: Instance, order: dict[str, Any], why: str, now: dt.datetime) -> None:
    found.log.append(f"{order['how']} of {instance} failed: {why}")
    order.update(phase="waiting", why=why, at=now.isoformat())


def _over(found: Progress, number: str, sentence: str) -> None:
    found.moved.append(number)
    found.orders.pop(number)
    if sentence:
        found.log.append(sentence)


def _judge(policy: Policy, found: Progress, instance: Instance, now: dt.datetime) -> None:
    """An instance that nothing is ordered for: what is to be done, what is waited for, or why nothing can be."""
    if policy == STOP and not instance.runs and not instance.task:
        return  # it may stay where it is
    order = found.orders.get(instance.id)
    if instance.task or instance.status in ("BUILD", "REBUILD", "REBOOT", "HARD_REBOOT", "MIGRATING", "RESIZE"):
        found.busy.append(f"{instance.name} is busy: {instance.task or instance.status.lower()}")
        return
    how = STOP if policy == STOP else MOVES.get(instance.status)
    if how is None or (policy == STOP and instance.status in ("RESCUE", "VERIFY_RESIZE")):
        why = STUCK.get(instance.status, f"is {instance.status}, and cannot be moved so")
        found.stuck.append({"id": instance.id, "name": instance.name, "why": why})
    elif order is not None and order["tries"] >= TRIES:
        found.stuck.append({"id": instance.id, "name": instance.name, "why": str(order["why"])})
    elif order is not None and now - dt.datetime.fromisoformat(order["at"]) < AGAIN:
        found.busy.append(f"{instance.name} is tried again soon: {order['why']}")
    else:
        chosen = COLD if policy == COLD and how == LIVE and instance.status != "PAUSED" else how
        tries = order["tries"] if order is not None else 0
        found.orders[instance.id] = {"name": instance.name, "how": chosen, "tries": tries, "phase": "wanted", "why": ""}


def _plan(found: Progress, now: dt.datetime) -> None:
    """Write down the next few; the rest is not remembered, since the next look sees it again."""
    free = AT_ONCE - sum(order["phase"] in ("planned", "sent") for order in found.orders.values())
    for number, order in list(found.orders.items()):
        if order["phase"] != "wanted":
            continue
        if free > 0:
            free -= 1
            order.update(phase="planned", tries=order["tries"] + 1, at=now.isoformat())
            found.hurry = True
        elif order["tries"]:
            order["phase"] = "waiting"
        else:
            found.orders.pop(number)
        found.busy.append(f"{order['how']} of {order['name']} is next")
