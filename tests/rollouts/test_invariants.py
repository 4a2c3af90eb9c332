from __future__ import annotations

from typing import Any

from pxeapp.rollouts import invariants
from pxeapp.rollouts.invariants import BUILTIN, Group, Serving
from pxeapp.rollouts.spec import Invariant


def of(role: str, number: int, *, cluster: str | None = "prod", first: int = 1, **more: Any) -> list[Serving]:
    return [
        Serving(first + n, f"{role}{first + n}", role, cluster, more.pop("rack", None), **more) for n in range(number)
    ]


def racked(role: str, racks: list[str | None], **labels: str) -> list[Serving]:
    return [Serving(n, f"{role}{n}", role, "prod", rack, labels) for n, rack in enumerate(racks, start=1)]


def one(machines: list[Serving], **said: Any) -> Group:
    rules, problems, _ = invariants.rules({k.replace("_", "-"): Invariant(**v) for k, v in said.items()}, machines)
    assert not problems
    (found,) = invariants.groups(rules, machines)
    return found


def test_controllers_keep_their_quorum() -> None:
    allowed = {number: one(of("controller", number)).allowed for number in range(1, 8)}
    assert allowed == {1: 0, 2: 0, 3: 1, 4: 1, 5: 2, 6: 2, 7: 3}
    assert one(of("controller", 3)).says == "prod has 3 controllers, 2 are its quorum, so 1 may be down"
    assert one(of("controller", 1)).says == "prod has 1 controller, 1 is its quorum, so none may be down"


def test_network_nodes_go_one_at_a_time_and_never_the_last_one() -> None:
    assert [one(of("network", number)).allowed for number in (1, 2, 9)] == [0, 1, 1]
    assert one(of("network", 2)).says == (
        "prod has 2 network nodes, at most 1 may be down and 1 must be up, so 1 may be down"
    )


def test_a_tenth_of_the_compute_nodes_of_a_zone_may_be_down_and_at_least_one() -> None:
    assert [one(of("compute", number)).allowed for number in (1, 9, 10, 19, 20, 105)] == [1, 1, 1, 1, 2, 10]
    two = [*of("compute", 20, zone="east"), *of("compute", 40, first=100, zone="west")]
    found = invariants.groups(BUILTIN, two)
    assert [(each.name, each.allowed) for each in found] == [
        ("compute nodes of zone east of prod", 2), ("compute nodes of zone west of prod", 4),
    ]  # fmt: skip
    assert found[0].says == "zone east of prod has 20 compute nodes, at most 2 (10 %) may be down, so 2 may be down"


def test_clusters_are_counted_by_themselves_and_so_are_machines_without_one() -> None:
    machines = [
        *of("controller", 3),
        *of("controller", 5, cluster="lab", first=10),
        *of("controller", 3, cluster=None, first=20),
    ]
    found = invariants.groups(BUILTIN, machines)
    assert {each.name: each.allowed for each in found} == {
        "controllers without a cluster": 1, "controllers of lab": 2, "controllers of prod": 1,
    }  # fmt: skip
    assert found[0].says.startswith("there are 3 controllers without a cluster, ")


def test_object_nodes_go_rack_by_rack_where_there_is_one_for_each_copy() -> None:
    found = one(racked("object", ["r1", "r1", "r2", "r3"]))
    assert (found.allowed, found.total) == (1, 3)
    assert found.domain_of[1] == found.domain_of[2] != found.domain_of[3]
    assert found.says == "prod has 4 object nodes in 3 racks, and 1 of these may be down at a time"


def test_with_fewer_racks_than_copies_each_object_node_counts_for_itself() -> None:
    for racks in (["r1", "r1", "r1"], ["r1", "r2", "r2"], ["r1", "r2", "r3", None]):
        found = one(racked("object", racks))
        assert (found.allowed, found.total) == (1, len(racks))
    assert found.says == "prod has 4 object nodes, each a failure domain of its own, and 1 may be down at a time"


def test_a_zone_that_is_a_label_goes_before_the_rack() -> None:
    machines = [
        Serving(n, f"o{n}", "block", "prod", f"r{n % 4}", {"zone": str(n // 4)}) for n in range(12)
    ]  # fmt: skip
    found = one(machines)
    assert found.total == 3
    assert found.says == "prod has 12 block nodes in 3 zones, and 1 of these may be down at a time"


def test_a_domain_that_is_said_holds_with_two_but_never_lets_all_go() -> None:
    said = {"object_nodes": {"domain": "rack", "reason": "two copies"}}
    assert one(racked("object", ["r1", "r1", "r2", "r2"]), **said).total == 2
    assert one(racked("object", ["r1", "r1", "r1"]), **said).total == 3
    assert one(racked("object", ["r1", "r2", None]), **said).total == 3
    label = {"object_nodes": {"domain": "label:row", "max_domains": 2, "reason": "four copies"}}
    assert one(racked("object", ["r1"] * 4, row="a"), **label).total == 4


def wrong(machines: list[Serving], said: dict[str, Any]) -> list[str]:
    _, problems, _ = invariants.rules({name: Invariant(**each) for name, each in said.items()}, machines)
    return [f"{each.field}: {each.problem}" for each in problems]


def test_a_builtin_rule_is_loosened_or_switched_off_with_a_reason_only() -> None:
    two = of("controller", 2)
    loosened: dict[str, Any] = {"quorum": False, "max_down": 1}
    assert wrong(two, {"controllers": loosened}) == [
        "invariants.controllers.reason: The built-in rule is loosened without a reason."
    ]
    assert wrong(two, {"controllers": {"off": True}}) == [
        "invariants.controllers.reason: The built-in rule is switched off without a reason."
    ]
    rules, problems, notes = invariants.rules({"controllers": Invariant(**loosened, reason="a lab")}, two)
    assert not problems
    assert notes == ["The invariant controllers is loosened: a lab"]
    assert invariants.groups(rules, two)[0].allowed == 1
    rules, _, _ = invariants.rules({"controllers": Invariant(off=True, reason="a lab")}, two)
    assert invariants.groups(rules, two) == []


def test_a_builtin_rule_is_tightened_without_a_reason() -> None:
    assert wrong(of("compute", 50), {"compute-capacity": {"max_down": "4%"}}) == []
    assert wrong(of("compute", 50), {"compute-capacity": {"max_down": "20%"}}) != []
    assert wrong(of("controller", 5), {"controllers": {"max_down": 1}}) == []
    assert wrong(racked("object", ["r1"]), {"object-nodes": {"max_domains": 2}}) != []


def test_a_wider_failure_domain_needs_a_reason_and_a_narrower_one_does_not() -> None:
    two_racks, four_racks = racked("object", ["r1", "r1", "r2", "r2"]), racked("object", ["r1", "r2", "r3", "r4", "r4"])
    assert wrong(two_racks, {"object-nodes": {"domain": "rack"}}) == [
        "invariants.object-nodes.reason: The built-in rule is loosened without a reason."
    ]
    assert wrong(four_racks, {"object-nodes": {"domain": "rack"}}) == []
    assert wrong(four_racks, {"object-nodes": {"domain": "machine"}}) == []


def test_what_is_changed_is_changed_and_the_rest_stays() -> None:
    found = one(of("controller", 7), controllers={"max_down": 1})
    assert found.allowed == 1
    assert found.says == "prod has 7 controllers, 4 are its quorum and at most 1 may be down, so 1 may be down"


def test_rules_of_ones_own_are_added() -> None:
    machines = [*of("gpu", 10), *of("web", 10, first=50)]
    rules, problems, _ = invariants.rules(
        {"gpus": Invariant(role="gpu", min_up="75%"), "all": Invariant(per="all", max_down=4)}, machines
    )
    assert not problems
    assert {each.name: each.allowed for each in invariants.groups(rules, machines)} == {
        "machines of the role gpu of prod": 2, "machines": 4,
    }  # fmt: skip


def test_rules_that_cannot_be_meant_are_refused() -> None:
    machines = of("controller", 3)
    assert wrong(machines, {"mine": {"role": "contoller", "max_down": 1}}) == [
        "invariants.mine.role: No machine that serves has the role 'contoller'."
    ]
    assert wrong(machines, {"mine": {"role": "controller"}}) == ["invariants.mine: It limits nothing."]
    assert wrong(machines, {"controler": {"off": True}}) == [
        "invariants.controler.off: There is no built-in rule of this name."
    ]
    assert wrong(machines, {"controllers": {"role": "ctl", "max_down": 1}}) == [
        "invariants.controllers.role: This rule is about the role controller."
    ]
