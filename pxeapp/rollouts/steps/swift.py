"""Drain and undrain by Swift's device weights: what a machine's disks hold is moved to others, and comes back.

    look at the builder files > a turn, as a job on that machine: weights, and one rebalance > the rings to every node
    > another turn, once Swift lets partitions move again > nothing is left on the disks

Everything is looked at anew each time. A turn says weights as they are to be and may be repeated; which ones were
lowered by us stands in the builder files themselves (rings/builder.py).
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from pxeapp.db import Database
from pxeapp.rollouts.amounts import as_text
from pxeapp.rollouts.port import AGAIN, Done, Failed, Outcome, Subject, Waiting
from pxeapp.rollouts.rings import builder, handing, site
from pxeapp.rollouts.rings.builder import Seen, Words
from pxeapp.rollouts.rings.site import Machines
from pxeapp.rollouts.spec import SwiftDrain
from pxeapp.sentences import last_words

AT_ONCE = dt.timedelta()
SOON = dt.timedelta(seconds=2)
SELDOM = dt.timedelta(seconds=60)
COUNT_S = 12.0
MOST_LOST = 3  # turns that were ended in the middle
MOST_IDLE = 2  # turns that moved nothing though Swift would let them
# What of Swift's is below its disks: partitions, which its replicators take away when the others have them, and
# updates that containers have not heard of yet.
COUNT = """devices=$(sed -n 's/^ *devices *= *//p' /etc/swift/object-server.conf 2>/dev/null | tail -n 1)
parts=0 updates=0
for name; do
    at=${devices:-/srv/node}/$name
    parts=$((parts + $(find "$at"/accounts "$at"/containers "$at"/objects* -mindepth 1 -maxdepth 1 -type d \\
        -name '[0-9]*' 2>/dev/null | wc -l)))
    updates=$((updates + $(find "$at"/async_pending* -type f 2>/dev/null | wc -l)))
done
echo "$parts $updates"
"""


@dataclass(frozen=True, slots=True)
class Swift:
    """The two steps."""

    database: Database
    machines: Machines

    def drain(self, subject: Subject, said: SwiftDrain, memory: dict[str, Any]) -> Outcome:
        """Weight 0 for its devices, and what they hold moved away."""
        rings = site.number(self.database, said.rings)
        if "turning" in memory:
            return self._turning(rings, subject, memory)
        seen = site.look(self.machines, rings, said.rings, said.builders)
        if "mine" not in memory:
            found = self._mine(subject, seen)
            if isinstance(found, Failed):
                return found
            memory["mine"], memory["had"] = found, builder.parts(seen, found)
            memory["found_at_zero"] = builder.others_zero(seen, found)
        mine = memory["mine"]
        words = builder.to_drain(seen, mine, subject.rollout_id)
        if words and (why := builder.lacking(seen, mine)):
            fix = "Add devices first, or do not drain: Swift serves from the other copies while a node restarts."
            return Failed("too_few_devices", why, fix, memory=memory)
        left, wait = builder.left(seen, mine), 0
        if left and not words:
            wait = builder.wait_s(seen, left)
            if not wait and memory.get("idle", 0) >= MOST_IDLE:
                return _stuck(left, memory)
            if not wait:
                words = {name: {} for name in left}
        words = {**_cut_short(subject, seen, memory), **words}
        if words:
            return _turn(subject, words, memory)
        outcome = self._handed(subject, said, rings, seen, memory)
        if outcome is not None:
            return outcome
        if left:
            says = f"{sum(left.values())} partitions are to go to other devices; Swift lets them move in {_in(wait)}."
            return Waiting(says, memory, min(SELDOM, dt.timedelta(seconds=wait)))
        if said.until == "moved" and (waiting := self._still_there(subject, seen, memory)):
            return waiting
        return self._again_or_done(subject, said, rings, memory, "Its devices are out of Swift's rings.")

    def undrain(self, subject: Subject, said: SwiftDrain, memory: dict[str, Any]) -> Outcome:
        """The weights of before, and its share of the partitions with them."""
        before = subject.earlier.get("drain", {})
        if not before.get("mine"):
            return Done("Nothing was drained.", {}, memory)
        mine = before["mine"]
        if subject.earlier.get("undrain", {}).get("restored"):  # by a try before
            memory["restored"] = True
        rings = site.number(self.database, said.rings)
        # A drain that was aborted may still be in the middle of a turn: the two must not work against each other.
        if "turning" in before and self.machines.job(rings, before["turning"]["job"], 0).state == "running":
            return Waiting("Its drain is rebalancing Swift's rings; that comes to its end first.", memory)
        if "turning" in memory:
            return self._turning(rings, subject, memory)
        seen = site.look(self.machines, rings, said.rings, said.builders)
        words, wait = builder.to_restore(seen, mine), 0
        if words:
            memory["restored"] = True
        elif memory.get("restored") and not memory.get("idle") and builder.parts(seen, mine) < before["had"]:
            wait = builder.wait_s(seen, mine)
            if not wait:
                words = {name: {} for name in mine}
        words = {**_cut_short(subject, seen, memory), **words}
        if words:
            return _turn(subject, words, memory)
        outcome = self._handed(subject, said, rings, seen, memory)
        if outcome is not None:
            return outcome
        if wait:
            says = f"Its devices have their weights again; Swift lets partitions come back in {_in(wait)}."
            return Waiting(says, memory, min(SELDOM, dt.timedelta(seconds=wait)))
        return self._again_or_done(subject, said, rings, memory, "Its devices have their share of Swift's rings.")

    def _mine(self, subject: Subject, seen: Seen) -> dict[str, list[int]] | Failed:
        """Its devices, by the addresses and the name that the machine itself has."""
        ran = self.machines.run(subject.machine_id, "hostname -I; hostname; hostname -f 2>/dev/null || :", COUNT_S)
        places = ran.output.split()
        found = builder.of_machine(seen, places)
        if found:
            return found
        return Failed(
            "no_devices",
            f"Swift's rings have no device at {', '.join(places) or subject.machine}.",
            "Leave it out, or name the machine with the builder files of its Swift in drain.swift.rings.",
        )

    def _turning(self, rings: int, subject: Subject, memory: dict[str, Any]) -> Outcome:
        """Begin the turn that was written down, or look how far it is."""
        turning = memory["turning"]
        name = turning["job"]
        job = self.machines.job(rings, name, turning["offset"])
        if job.state == "absent":
            said: Any = subject.spec.drain.chosen
            words = (said.builders, "turn", json.dumps(turning["words"]))
            self.machines.start_job(rings, name, builder.SCRIPT, words)
            return Waiting("Swift's rings are rebalanced.", memory, SOON)
        turning["offset"] = job.offset
        if job.more or job.state == "running":
            return Waiting("Swift's rings are rebalanced.", memory, AT_ONCE if job.more else AGAIN, job.log)
        memory.pop("turning")
        if job.state == "lost":
            memory["lost"] = memory.get("lost", 0) + 1
            if memory["lost"] > MOST_LOST:
                says = "The rebalancing of Swift's rings is ended in the middle again and again."
                return Failed("rings_lost", says, "Look at that machine, then retry.", {}, memory, job.log)
            return Waiting("The rebalancing was ended in the middle and is begun again.", memory, AGAIN, job.log)
        if job.exit != 0:
            last = last_words(job.log) or f"it gave {job.exit}"
            return Failed("rings_refused", last, "Its words are in the log.", {}, memory, job.log)
        moved = sum(json.loads(self.machines.result(rings, name) or "{}").values())
        memory["moved"] = memory.get("moved", 0) + moved
        memory["idle"] = 0 if moved or turning["told"] else memory.get("idle", 0) + 1
        return Waiting(f"{moved} partitions were assigned anew.", memory, AT_ONCE, job.log)

    def _handed(
        self, subject: Subject, said: SwiftDrain, rings: int, seen: Seen, memory: dict[str, Any]
    ) -> Waiting | None:
        """None once every node that can be reached has the rings."""
        nodes = site.peers(self.database, subject.cluster)
        handed = handing.look(self.machines, (rings, said.builders), seen, nodes, memory.get("handed"))
        memory["handed"] = handed.memory
        if handed.asked:
            log = "".join(f"{line}\n" for line in handed.log)
            return Waiting(handed.waits or "The rings were handed round.", memory, AGAIN if handed.away else SOON, log)
        return None

    def _still_there(self, subject: Subject, seen: Seen, memory: dict[str, Any]) -> Waiting | None:
        """What waits until the replicators have moved what the disks hold."""
        ran = self.machines.run_script(subject.machine_id, COUNT, builder.names(seen, memory["mine"]), COUNT_S)
        try:
            parts, updates = (int(each) for each in ran.output.split())
        except ValueError:
            return Waiting("What is left on its disks cannot be counted.", memory, SELDOM)
        if not parts and not updates:
            return None
        says = f"Swift moves what its disks hold: {parts} partitions and {updates} updates of containers are left."
        return Waiting(says, memory, SELDOM / 2)

    def _again_or_done(
        self, subject: Subject, said: SwiftDrain, rings: int, memory: dict[str, Any], says: str
    ) -> Outcome:
        """Done, unless the rings were changed while they were handed round: some may have been given older ones."""
        seen = site.look(self.machines, rings, said.rings, said.builders)
        if handing.version(seen) != memory["handed"]["version"]:
            return Waiting("Swift's rings were changed meanwhile.", memory, AT_ONCE)
        evidence = {
            "moved_partitions": memory.get("moved", 0),
            "nodes_with_rings": len(memory["handed"]["given"]),
            "nodes_without": [f"{each['name']}: {each['why']}" for each in memory["handed"]["away"].values()],
        }
        if subject.step == "drain":
            evidence["found_at_zero"] = memory["found_at_zero"]
        return Done(says, evidence, memory)


def _turn(subject: Subject, words: Words, memory: dict[str, Any]) -> Waiting:
    """Written down before it is begun, so that whoever looks next begins the same one."""
    number = memory.get("turns", 0) + 1
    job = f"{subject.token}-turn-{number}"
    turning = {"job": job, "words": words, "told": any(words.values()), "offset": 0}
    return Waiting("Swift's rings are to be rebalanced.", {**memory, "turns": number, "turning": turning}, AT_ONCE)


def _cut_short(subject: Subject, seen: Seen, memory: dict[str, Any]) -> Words:
    """Rings that a turn of ours died before; without one, such a ring is somebody else's work in hand."""
    ours = "turns" in memory or subject.tries > 1
    return {name: {} for name, ring in seen.rings.items() if ours and ring.stale}


def _stuck(left: dict[str, int], memory: dict[str, Any]) -> Failed:
    said = ", ".join(f"{number} of {name}" for name, number in left.items())
    return Failed(
        "rings_stuck",
        f"Swift assigns these partitions to no other device: {said}.",
        "See swift-ring-builder's dispersion and balance: the other devices may be too few or too small.",
        {},
        memory,
    )


def _in(wait: int) -> str:
    """As its min_part_hours have it."""
    return as_text(dt.timedelta(minutes=max(1, -(-wait // 60))))
