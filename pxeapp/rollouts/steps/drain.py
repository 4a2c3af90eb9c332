"""Drain and undrain: by a cloud's APIs, by Swift's rings, by a command of one's own on the machine, or not at all.

An API that does not answer is waited for until the deadline of the step; nothing that was written down is lost by it.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pxeapp.clouds.directory import Clouds
from pxeapp.clouds.errors import CloudAway, CloudSaysNo
from pxeapp.errors import PxeError
from pxeapp.nodes.jobs import Job
from pxeapp.rollouts.port import AGAIN, Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.spec import CommandDrain, OpenStackDrain, SwiftDrain
from pxeapp.rollouts.steps import openstack
from pxeapp.rollouts.steps.before import Before, Ran
from pxeapp.rollouts.steps.swift import Swift
from pxeapp.sentences import last_words

CLOUD_S = 40.0  # for everything that one look asks of a cloud; below port.LOOK_S
LATER = dt.timedelta(seconds=15)  # an API that does not answer is asked again
ODD = 4  # refusals in a row that are taken for something that passes: two who change the same thing at once
CHECK_S = 20.0
# What a try of a drain that failed leaves to the next one.
KEPT = (
    "before", "boot_id", "failed_units", "sel_seen", "disabled_by_us", "found_disabled", "stopped", "moved", "routers",
    "mine", "had", "found_at_zero",
)  # fmt: skip


class Machines(Protocol):
    """Commands on installed machines that go on when nobody looks; nodes.reach.Nodes is one."""

    def start_job(self, machine_id: int, name: str, script: str) -> None:
        """Begin it, unless one of this name has."""
        ...

    def job(self, machine_id: int, name: str, offset: int) -> Job:
        """How far it is."""
        ...

    def stop_job(self, machine_id: int, name: str) -> None:
        """End it."""
        ...

    def run(self, machine_id: int, command: str, timeout_s: float) -> Ran:
        """Run a short one."""
        ...


@dataclass(frozen=True, slots=True)
class Drain:
    """Take a machine out of service."""

    before: Before
    clouds: Clouds
    machines: Machines
    swift: Swift

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """First what is to be remembered of it, then the drain itself."""
        known = dict(memory) if memory else _of_a_try_before(subject)
        if "before" not in known:
            known, says = self.before.look(subject, known, now=now)
            if says or subject.spec.drain.kind != "none":
                return Waiting(says or "It is drained now.", known, AGAIN if says else dt.timedelta())
        said = subject.spec.drain.chosen
        if isinstance(said, OpenStackDrain):
            return _by_cloud(self.clouds, subject, said, known, now=now)
        if isinstance(said, SwiftDrain):
            return self.swift.drain(subject, said, known)
        if isinstance(said, CommandDrain):
            return _by_command(self.machines, subject, said.drain, said, known, now=now)
        return Done("Nothing is drained.", {}, {**known, "disabled_by_us": []})


@dataclass(frozen=True, slots=True)
class Undrain:
    """Put a machine back into service."""

    clouds: Clouds
    machines: Machines
    swift: Swift

    def look(self, subject: Subject, memory: Mapping[str, Any], *, now: dt.datetime) -> Outcome:
        """What the drain did, the other way round."""
        said = subject.spec.drain.chosen
        if isinstance(said, OpenStackDrain):
            return _by_cloud(self.clouds, subject, said, dict(memory), now=now)
        if isinstance(said, SwiftDrain):
            return self.swift.undrain(subject, said, dict(memory))
        if isinstance(said, CommandDrain):
            known = dict(memory)
            if "settled" not in known:
                known["settled"] = _broken_off(self.machines, subject)
            return _by_command(self.machines, subject, said.undrain, said, known, now=now)
        return Done("Nothing was drained.")


def _of_a_try_before(subject: Subject) -> dict[str, Any]:
    """What an earlier try stopped is still to be started, and the boot id of before is still the one of before."""
    earlier = subject.earlier.get("drain", {}) if subject.tries > 1 else {}
    kept = {name: earlier[name] for name in KEPT if name in earlier}
    if "orders" in earlier:
        stopping = openstack.being_stopped(earlier["orders"])
        kept["stopped"] = [
            *kept.get("stopped", ()),
            *(each for each in stopping if each not in kept.get("stopped", ())),
        ]
        kept["orders"] = {
            number: order for number, order in earlier["orders"].items() if order["phase"] in ("planned", "sent")
        }
    return kept


def _broken_off(machines: Machines, subject: Subject) -> bool:
    """A drain that was aborted may still run on the machine: the two must not work against each other."""
    earlier = subject.earlier.get("drain", {})
    if earlier.get("job") and not earlier.get("ended"):
        machines.stop_job(subject.machine_id, str(earlier["job"]))
    return True


def _by_cloud(
    clouds: Clouds, subject: Subject, said: OpenStackDrain, memory: dict[str, Any], *, now: dt.datetime
) -> Outcome:
    """Its outcome; what passes by itself is waited for, with the memory as it was before the look that broke off."""
    intact = copy.deepcopy(memory)
    memory.pop("refused", None)
    try:
        api = clouds.api(said.cloud)
        with api.within(CLOUD_S) as has_time:
            if subject.step == "undrain":
                found = openstack.undrain(api, subject, said, memory)
            else:
                found = openstack.drain(api, subject, said, memory, has_time, now=now)
    except CloudAway as error:
        return Waiting(str(error), intact, LATER)
    except CloudSaysNo as error:
        refused = int(intact.get("refused", 0)) + 1
        if refused < ODD:
            return Waiting(str(error), {**intact, "refused": refused}, LATER)
        return Failed("cloud_says_no", error.sentence, error.hint, memory=intact)
    except PxeError as error:
        if error.retryable:
            raise
        return Failed("cloud_refuses", error.sentence, error.hint, memory=intact)
    return found


def _by_command(
    machines: Machines, subject: Subject, command: str, said: CommandDrain, memory: dict[str, Any], *, now: dt.datetime
) -> Outcome:
    """As a job of our name on the machine: it outlives a lost connection, and is begun once."""
    name = subject.token
    if memory.get("ended"):
        return _checked(machines, subject, said, memory)
    offset = int(memory.get("offset", 0))
    job = machines.job(subject.machine_id, name, offset)
    if job.state == "absent" and memory.get("job") != name:
        return Waiting("Its command begins.", {**memory, "job": name}, dt.timedelta())  # known before it runs
    if job.state == "absent":
        machines.start_job(subject.machine_id, name, command)
        return Waiting("Its command begins.", memory)
    memory["offset"] = job.offset
    if job.more:
        return Waiting("Its command's log is read.", memory, dt.timedelta(), job.log)
    if job.state == "running":
        if now - subject.began_at > said.timeout:
            machines.stop_job(subject.machine_id, name)
            return Failed("command_timeout", "Its command took too long and was ended.", "", {}, memory, job.log)
        return Waiting("Its command runs.", memory, AGAIN, job.log)
    if job.state == "lost" or job.exit != 0:
        how = "was lost: the machine was restarted, or somebody ended it" if job.exit is None else f"gave {job.exit}"
        sentence = f"Its {subject.step} command {how}. {last_words(job.log)}".strip()
        return Failed("command_failed", sentence, "Its log is with the step.", {}, memory, job.log)
    return Waiting("Its command has ended well.", {**memory, "ended": True}, dt.timedelta(), job.log)


def _checked(machines: Machines, subject: Subject, said: CommandDrain, memory: dict[str, Any]) -> Outcome:
    if said.check is None or subject.step != "drain":
        return Done("Its command ended with 0.", {"command": "ended with 0"}, memory)
    ran = machines.run(subject.machine_id, said.check, CHECK_S)
    if ran.exit_code != 0:
        return Waiting(f"Its check gives {ran.exit_code}: {last_words(ran.output)}".strip(": "), memory)
    return Done("Its command and its check ended with 0.", {"command": "ended with 0", "check": "0"}, memory)
