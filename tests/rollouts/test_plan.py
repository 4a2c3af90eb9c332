from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pxeapp.errors import Invalid
from pxeapp.rollouts import plan
from pxeapp.rollouts.invariants import Serving
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)  # a Monday


def spec(**said: Any) -> Spec:
    return Spec.model_validate({"name": "x", "machines": {"cluster": "prod"}, "action": {"reboot": {}}, **said})


def of(role: str | None, number: int, first: int = 1, **more: Any) -> list[Serving]:
    cluster, rack = more.pop("cluster", "prod"), more.pop("rack", None)
    return [Serving(n, f"{role}{n}", role, cluster, rack, **more) for n in range(first, first + number)]


def make(said: Spec, chosen: Sequence[Serving], everyone: Sequence[Serving] | None = None, **more: Any) -> Plan:
    found, problems = plan.draft(said, chosen, chosen if everyone is None else everyone)
    problems += plan.too_short(said, now=NOW, typical=more.get("typical"))
    if problems:
        raise plan.refused(problems)
    return found


def refused(said: Spec, chosen: Sequence[Serving], everyone: Sequence[Serving] | None = None, **more: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        make(said, chosen, everyone, **more)
    return [f"{each.field}: {each.problem}" for each in caught.value.problems]


def waves(found: Plan) -> dict[str, tuple[int, ...]]:
    return {each.title: each.machines for each in found.waves}


def test_canaries_go_first_and_alone_and_the_rest_in_percent_of_all() -> None:
    found = make(spec(order={"canary": 2, "waves": {"by": "percent", "size": 40}}), of("web", 10))
    assert waves(found) == {"the canaries": (1, 2), "wave 1": (3, 4, 5, 6), "wave 2": (7, 8, 9, 10)}
    assert [each.number for each in found.waves] == [0, 1, 2]


def test_without_canaries_the_first_wave_is_1() -> None:
    found = make(spec(order={"canary": 0, "waves": {"by": "count", "size": 2}}), of("web", 3))
    assert [(each.number, each.machines) for each in found.waves] == [(1, (1, 2)), (2, (3,))]


def test_a_number_of_canaries_means_one_of_each_role_in_turn_and_none_that_is_dead() -> None:
    machines = [*of("web", 3), *of("gpu", 3, first=10)]
    machines[0] = replace(machines[0], down=True, why_down="its power is off")
    assert make(spec(order={"canary": 3, "max_unavailable": 2}), machines).waves[0].machines == (2, 10, 3)


def test_canaries_by_name_must_be_among_the_machines() -> None:
    assert make(spec(order={"canary": ["web3", "web1"]}), of("web", 3)).waves[0].machines == (3, 1)
    assert refused(spec(order={"canary": ["web3", "web9", "c1"]}), of("web", 3)) == [
        "order.canary: 'web9' is not one of its machines.",
        "order.canary: 'c1' is not one of its machines.",
    ]


def test_waves_by_rack_take_those_first_that_are_said_to_be_first() -> None:
    racks = ["r10", "r2", None, "r7", "r2"]
    machines = [replace(each, rack=rack) for each, rack in zip(of("web", 5), racks, strict=True)]
    found = make(spec(order={"canary": 0, "waves": {"by": "rack", "first": ["r7"]}}), machines)
    assert waves(found) == {
        "wave 1: rack r7": (4,), "wave 2: rack r2": (2, 5), "wave 3: rack r10": (1,), "wave 4: without a rack": (3,),
    }  # fmt: skip


def test_roles_that_nobody_put_in_order_follow_what_they_depend_on() -> None:
    machines = [
        *of("web", 1), *of("compute", 2, first=2), *of("controller", 3, first=4), *of(None, 1, first=8),
        *of("network", 2, first=10),
    ]  # fmt: skip
    found = make(spec(order={"canary": 0, "waves": {"by": "role", "first": ["network"]}}), machines)
    assert [each.title.partition(": ")[2] for each in found.waves] == [
        "role network", "role controller", "role compute", "role web", "without a role",
    ]  # fmt: skip


def test_waves_by_label() -> None:
    machines = [replace(each, labels={"row": row}) for each, row in zip(of("web", 3), "bab", strict=True)]
    found = make(spec(order={"canary": 0, "waves": {"by": "label:row"}}), machines)
    assert waves(found) == {"wave 1: row a": (2,), "wave 2: row b": (1, 3)}


def test_what_comes_first_must_be_there() -> None:
    machines = of("web", 2, rack="r1")
    assert refused(spec(order={"waves": {"by": "rack", "first": ["r9"]}}), machines) == [
        "order.waves.first: None of its machines has the rack 'r9'."
    ]
    assert refused(spec(order={"waves": {"by": "count", "first": ["r1"]}}), machines) == [
        "order.waves.first: It has no meaning with by: count."
    ]


@pytest.mark.parametrize(
    ("said", "total", "number"),
    [("10%", 19, 1), ("10%", 20, 2), ("10%", 5, 1), ("100%", 5, 5), (3, 5, 3), (9, 5, 9)],
)
def test_how_many_may_be_down_is_rounded_down_but_never_below_one(said: int | str, total: int, number: int) -> None:
    assert make(spec(order={"max_unavailable": said}), of("web", total)).max_unavailable == number


def test_failures_are_counted_of_all_and_of_each_wave() -> None:
    order = {"canary": 1, "waves": {"by": "count", "size": 10}, "max_failures": "10%", "max_failures_per_wave": "20%"}
    found = make(spec(order=order), of("web", 16))
    assert found.max_failures == 1
    assert [each.max_failures for each in found.waves] == [0, 2, 1]
    assert found.max_failures_per_wave == 0
    assert make(spec(), of("web", 16)).max_failures_per_wave is None


def test_pauses_are_after_the_waves_that_are_named() -> None:
    order = {"canary": 1, "waves": {"by": "count", "size": 1}, "pause_after": ["canary", 2]}
    assert [each.pause for each in make(spec(order=order), of("web", 4)).waves] == [True, False, True, False]
    assert [each.pause for each in make(spec(order={"pause_after": ["every"]}), of("web", 2)).waves] == [True, True]
    assert refused(spec(order={"canary": 0, "pause_after": ["canary", 7]}), of("web", 2)) == [
        "order.pause_after: There are no canaries to pause after.",
        "order.pause_after: There is no wave 7.",
    ]


def test_nothing_to_do_and_nothing_that_may_be_down_are_refused() -> None:
    assert refused(spec(), []) == ["machines: No machine is meant."]
    for nothing in (0, "0%"):
        assert refused(spec(order={"max_unavailable": nothing}), of("web", 3)) == [
            "order.max_unavailable: With 0 no machine can ever begin."
        ]


def test_two_of_three_controllers_at_once_are_refused_with_the_arithmetic() -> None:
    order = {"canary": 0, "max_unavailable": 2, "waves": {"by": "role"}}
    assert refused(spec(order=order), of("controller", 3)) == [
        (
            "invariants.controllers: prod has 3 controllers, 2 are its quorum, so 1 may be down; "
            "this plan could take down 2 at once in wave 1: role controller."
        )
    ]
    assert make(spec(order=order, on_conflict="hold"), of("controller", 3)).max_unavailable == 2
    assert make(spec(order={"waves": {"by": "role"}}), of("controller", 3)).max_unavailable == 1


def test_every_conflict_is_told_at_once() -> None:
    machines = [*of("controller", 3), *of("network", 3, first=10), *of("object", 4, first=20)]
    order = {"canary": 0, "max_unavailable": 5, "waves": {"by": "percent", "size": 100}}
    assert [each.partition(":")[0] for each in refused(spec(order=order), machines)] == [
        "invariants.controllers", "invariants.network-nodes", "invariants.object-nodes",
    ]  # fmt: skip


def test_one_or_two_controllers_cannot_be_worked_on_without_a_reason() -> None:
    for number in (1, 2):
        with pytest.raises(Invalid) as caught:
            make(spec(), of("controller", number))
        (problem,) = caught.value.problems
        assert problem.problem.endswith("so none may be down: no quorum can be kept while one of them is worked on.")
        assert "controllers: {quorum: false, max_down: 1, reason: ...}" in problem.fix
        said = {"controllers": {"quorum": False, "max_down": 1, "reason": "a lab"}}
        assert (
            "The invariant controllers is loosened: a lab"
            in make(spec(invariants=said), of("controller", number)).notes
        )


def test_a_controller_that_is_down_elsewhere_uses_the_budget_up() -> None:
    three = of("controller", 3)
    dead = replace(three[2], down=True, why_down="its power is off")
    for how in ("refuse", "hold"):
        assert refused(spec(on_conflict=how), three[:2], [*three[:2], dead]) == [
            (
                "invariants.controllers: prod has 3 controllers, 2 are its quorum, so 1 may be down; "
                "down already: controller3 (its power is off); so none of the canary and 1 more could begin."
            )
        ]
    five = of("controller", 5)
    dead = replace(five[4], down=True, why_down="its power is off")
    assert make(spec(), five[:4], [*five[:4], dead]).max_unavailable == 1
    assert refused(
        spec(order={"canary": 0, "max_unavailable": 2, "waves": {"by": "role"}}), five[:4], [*five[:4], dead]
    )


def test_a_machine_that_is_down_already_may_be_worked_on_where_none_may_go_down() -> None:
    two = of("controller", 2)
    dead = replace(two[1], down=True, why_down="its power is off")
    found = make(spec(), [dead], [two[0], dead])
    assert waves(found) == {"wave 1": (2,)}
    assert found.notes == (
        "Down already, so that they count against the budget until they are through: controller2 (its power is off).",
    )


def test_dead_machines_of_later_waves_may_not_use_the_whole_budget_up() -> None:
    machines = of("web", 4)
    machines[3] = replace(machines[3], down=True, why_down="its power is off")
    order = {"canary": 0, "waves": {"by": "count", "size": 2}}
    assert refused(spec(order=order), machines) == [
        (
            "order.max_unavailable: 1 may be down and these are already: web4 (its power is off); "
            "so none of wave 1 could begin."
        )
    ]
    assert make(spec(order={**order, "max_unavailable": 2}), machines).max_unavailable == 2


def test_a_failure_domain_goes_at_once_and_two_do_not() -> None:
    machines = [replace(each, rack=f"r{each.machine_id % 3}") for each in of("object", 9)]
    by_rack = {"canary": 0, "max_unavailable": 3, "waves": {"by": "rack"}}
    assert len(make(spec(order=by_rack), machines).waves) == 3
    by_count = {"canary": 0, "max_unavailable": 3, "waves": {"by": "count", "size": 5}}
    assert refused(spec(order=by_count), machines) == [
        (
            "invariants.object-nodes: prod has 9 object nodes in 3 racks, and 1 of these may be down at a time; "
            "this plan could take down 3 at once in wave 1 and 1 more."
        )
    ]


def test_a_role_that_nothing_protects_is_noted() -> None:
    assert make(spec(), of("gpu", 2)).notes == (
        "No invariant is about the role gpu: only max_unavailable limits how many of its machines are down.",
    )
    assert make(spec(invariants={"all": {"per": "all", "max_down": 1}}), of("gpu", 2)).notes == ()


def test_a_window_that_is_too_short_for_one_machine_is_refused() -> None:
    order = {"windows": [{"from": "22:00", "to": "22:30"}]}
    assert make(spec(order=order), of("web", 2), typical=dt.timedelta(minutes=30)).max_unavailable == 1
    assert refused(spec(order=order), of("web", 2), typical=dt.timedelta(minutes=31)) == [
        "order.windows: The longest is open for 30m; by the forecast one machine takes 31m."
    ]


def test_very_many_problems_are_bounded() -> None:
    said = spec(order={"canary": [f"none{n}" for n in range(300)]})
    found = refused(said, of("web", 2))
    assert len(found) == plan.NAMED + 1
    assert found[-1] == ": And 250 more."


def test_names_are_sorted_as_people_count() -> None:
    assert sorted(["c10", "c2", "c", "2", "r1-u10", "r1-u9"], key=plan.natural) == [
        "2",
        "c",
        "c2",
        "c10",
        "r1-u9",
        "r1-u10",
    ]
