"""Random sites and rollouts over them, and the rules of budgets once more, written without looking at the product's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pxeapp.rollouts.invariants import Serving
from pxeapp.rollouts.spec import Spec

ROLES = ("controller", "network", "object", "block", "storage", "compute", "gpu", None)


CLUSTERS: Sequence[Sequence[str | None]] = (("a",), ("a", "b"), (None, "a"))
RACKS: Sequence[Sequence[str | None]] = ((None,), ("r1", "r2"), ("r1", "r2", "r3", "r4"), (None, "r1"))
LABELS: Sequence[Sequence[dict[str, str]]] = (({},), ({"zone": "1"}, {"zone": "2"}, {"zone": "3"}), ({}, {"zone": "1"}))
DEAD = (0, 0, 1, 3)  # of ten


def site(kind: int, draws: Sequence[int]) -> list[Serving]:
    """Machines of a few clusters and racks, some of them down: one for each draw, which is quick to make."""
    pick = _Picker(kind)
    clusters, racks, labels, dead = pick(CLUSTERS), pick(RACKS), pick(LABELS), pick(DEAD)
    roles = [pick(ROLES) for _ in range(pick((1, 2, 3, 4)))]
    found = []
    for number, draw in enumerate(draws, start=1):
        pick = _Picker(draw)
        found.append(
            Serving(
                number, f"m{number}", pick(roles), pick(clusters), pick(racks), pick(labels), pick(("nova", "far")),
                down=pick(range(10)) < dead, why_down="its power is off",
            )
        )  # fmt: skip
    return found


class _Picker:
    """Takes a number apart."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, choices: Sequence[Any]) -> Any:
        self.left, place = divmod(self.left, len(choices))
        return choices[place]


OWN: Sequence[dict[str, Any]] = (
    {},
    {"mine": {"per": "all", "max_down": 3}},
    {"mine": {"min_up": "50%"}},
    {"mine": {"domain": "rack"}},
    {"controllers": {"off": True, "reason": "a lab"}},
)


def spec(kind: int) -> Spec:
    """How carefully they are rolled over."""
    pick = _Picker(kind)
    by, size = pick(("count", "percent", "rack", "role", "label:zone")), pick((1, 2, 3, 5, 10, 25, 60))
    return Spec.model_validate(
        {
            "name": "x",
            "machines": {"cluster": "a"},
            "action": {"reboot": {}},
            "on_conflict": pick(("refuse", "hold")),
            "order": {
                "canary": pick((0, 1, 2, 3)),
                "waves": {"by": by, "size": size} if by in ("count", "percent") else {"by": by},
                "max_unavailable": pick((1, 1, 2, 3, 4, 6, "10%", "34%", "100%")),
            },
            "invariants": pick(OWN),
        }
    )


@dataclass(frozen=True)
class Law:
    """One rule: `of` tells what is counted of a machine (None: nothing), and no more than `most` may be down."""

    name: str
    of: Mapping[int, Any]
    most: int

    def down(self, machines: Iterable[int]) -> int:
        """How much of it is down."""
        return len({self.of[each] for each in machines if each in self.of})


def laws(spec: Spec, everyone: Sequence[Serving]) -> Iterator[Law]:
    """Every rule that holds at this site, in the simplest words."""
    by_place: dict[Any, list[Serving]] = {}
    for each in everyone:
        by_place.setdefault((each.role, each.cluster), []).append(each)
        if each.role == "compute":
            by_place.setdefault((each.role, each.cluster, each.zone), []).append(each)
    for place, some in by_place.items():
        total = len(some)
        single = {each.machine_id: each.machine_id for each in some}
        name = " ".join(map(str, place))
        if place[0] == "controller" and "controllers" not in spec.invariants:
            yield Law(name, single, total - (total // 2 + 1))
        if place[0] == "network":
            yield Law(name, single, min(1, total - 1))
        if place[0] == "compute" and len(place) == 3:
            yield Law(name, single, max(1, total * 10 // 100))
        if place[0] in ("object", "block", "storage"):
            yield Law(name, _domains(some, None), 1)
    yield from _own(spec, everyone)


def _own(spec: Spec, everyone: Sequence[Serving]) -> Iterator[Law]:
    mine = spec.invariants.get("mine")
    if mine is None:
        return
    if mine.max_down == 3:
        yield Law("mine", {each.machine_id: each.machine_id for each in everyone}, 3)
    for cluster in {each.cluster for each in everyone}:
        some = [each for each in everyone if each.cluster == cluster]
        if mine.min_up:
            yield Law("mine", {each.machine_id: each.machine_id for each in some}, len(some) - -(-len(some) // 2))
        if mine.domain:
            yield Law("mine", _domains(some, "rack"), 1)


def _domains(some: Sequence[Serving], said: str | None) -> dict[int, Any]:
    alone = {each.machine_id: each.machine_id for each in some}
    if said:
        racks = {each.machine_id: each.rack or each.machine_id for each in some}
        return racks if len(set(racks.values())) > 1 else alone
    for kind in ("zone", "rack"):
        values = [each.labels.get("zone") if kind == "zone" else each.rack for each in some]
        if None not in values and len(Counter(values)) >= 3:
            return {each.machine_id: value for each, value in zip(some, values, strict=True)}
    return alone
