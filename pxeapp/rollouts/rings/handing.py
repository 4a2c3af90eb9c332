"""The same rings for every node of a Swift: each is asked what it has, and given what differs.

A node that cannot be reached is tried three times and then told of: Swift lives with a node of older rings, whose
replicators move on what it was given.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pxeapp.errors import Conflict, PxeError
from pxeapp.rollouts.rings.builder import Seen
from pxeapp.rollouts.rings.site import FOLDER, Machines
from pxeapp.sentences import few

TRIES = 3
LOOK_S = 15.0  # after which no further node is begun in one look
ASK_S = 10.0
MOST = 64 * 1024 * 1024  # bytes of one ring
NAMED = 5
HERE = f"""cd {FOLDER} 2>/dev/null && [ -s swift.conf ] || exit 0
said=$(grep -E '^ *swift_hash_path_(prefix|suffix) *=' swift.conf | LC_ALL=C sort)
echo "cluster $(printf %s "$said" | sha256sum | cut -c-64)"
for ring in *.ring.gz; do [ ! -f "$ring" ] || echo "$ring $(sha256sum <"$ring" | cut -c-64)"; done
"""


@dataclass(slots=True)
class Handed:
    """How far it is: what to remember, whether anybody was asked, who is still to be, and new lines of the log."""

    memory: dict[str, Any]
    asked: bool = False
    waits: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def away(self) -> bool:
        """Whether some were not reached."""
        return bool(self.memory["away"])


def version(seen: Seen) -> dict[str, str]:
    """The rings as every node is to have them: hash by file."""
    return {f"{name}.ring.gz": ring.sha256 for name, ring in seen.rings.items()}


def look(
    machines: Machines,
    source: tuple[int, str],
    seen: Seen,
    nodes: Sequence[tuple[int, str]],
    memory: dict[str, Any] | None,
) -> Handed:
    """Go on with it; `source` is the machine and the folder that the rings come from."""
    wanted = version(seen)
    if memory is None or memory["version"] != wanted:
        memory = {"version": wanted, "given": [], "away": {}}
    handed = Handed(memory)
    content: dict[str, bytes] = {}
    until = time.monotonic() + LOOK_S
    for number, name in nodes:
        tried = memory["away"].get(str(number), {}).get("tries", 0)
        if number in memory["given"] or tried >= TRIES:
            continue
        if time.monotonic() > until:
            break
        handed.asked = True
        try:
            _give(machines, source, seen, number, name, content, handed)
        except PxeError as error:
            memory["away"][str(number)] = {"name": name, "tries": tried + 1, "why": error.sentence}
        else:
            memory["given"].append(number)
            memory["away"].pop(str(number), None)
    open_now = [
        name
        for number, name in nodes
        if number not in memory["given"] and memory["away"].get(str(number), {}).get("tries", 0) < TRIES
    ]
    if open_now:
        handed.waits = f"The rings are handed to {few(open_now, NAMED)}."
    return handed


def _give(
    machines: Machines,
    source: tuple[int, str],
    seen: Seen,
    number: int,
    name: str,
    content: dict[str, bytes],
    handed: Handed,
) -> None:
    said = [line.split() for line in machines.run(number, HERE, ASK_S).output.splitlines()]
    has = {words[0]: words[1] for words in said if len(words) == 2}
    if has.pop("cluster", None) != seen.cluster:
        return  # no Swift, or another one
    for file, sha256 in handed.memory["version"].items():
        if has.get(file) == sha256:
            continue
        if file not in content:
            content[file] = _read(machines, source, file, sha256)
        machines.write_file(number, f"{FOLDER}/{file}", content[file], group="swift", mode="0640")
        handed.log.append(f"{file} was given to {name}.")


def _read(machines: Machines, source: tuple[int, str], file: str, sha256: str) -> bytes:
    content = machines.read_file(source[0], f"{source[1]}/{file}", MOST)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Conflict(f"{file} was changed while it was read.")
    return content
