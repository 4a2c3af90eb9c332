"""Which variables may be said where; what is refused is named, with the name that was meant."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.answers.variables import declared
from pxeapp.answers.variables.rules import Rules
from pxeapp.machines import sealed


def _declared(said: dict[str, Any]) -> Any:
    found, problems = declared(said)
    assert problems == []
    return found


RULES = Rules(
    {
        "compute": _declared(
            {
                "virt_type": {"type": "choice", "choices": ["kvm", "qemu"], "default": "kvm"},
                "region": {"type": "word", "scope": "cluster"},
                "ratio": {"type": "integer", "minimum": 1, "scope": "role"},
                "rabbit_password": {"secret": True, "scope": "cluster"},
                "vmware_password": {"secret": True, "generate": "no"},
            }
        ),
        "object": _declared({"swift_disks": {"type": "list"}, "region": {"type": "word", "scope": "cluster"}}),
        "base": {},
    }
)


def seal(value: Any, present: Any) -> Any:
    return {sealed.KEY: f"<{value}>"}


def settle(said: dict[str, Any], *, role: str | None = "compute", place: str = "machine", **present: Any) -> Any:
    kept, problems = RULES.settled(place, role, said, present, seal)
    return kept, [(problem.field, problem.problem, problem.fix) for problem in problems]


def test_known_ones_and_the_sites_own_are_kept() -> None:
    said = {"virt_type": "qemu", "timezone": "Europe/Rome", "site_motd": {"any": ["thing"]}, "domain": None}
    assert settle(said) == (said, [])


@pytest.mark.parametrize(
    ("name", "meant"),
    [("virt_typ", "virt_type"), ("timezon", "timezone"), ("ssh_authorised_keys", "ssh_authorized_keys")],
)
def test_an_unknown_one_is_refused_with_the_name_that_was_meant(name: str, meant: str) -> None:
    _, [(field, problem, fix)] = settle({name: "x"})
    assert field == f"vars.{name}"
    assert problem == "is not a variable of the role compute."
    assert f"Did you mean {meant}?" in fix


def test_one_of_another_role_says_whose_it_is() -> None:
    _, [(field, problem, _)] = settle({"swift_disks": []})
    assert (field, problem) == ("vars.swift_disks", "is a variable of object, not of compute.")
    assert settle({"swift_disks": ["sdb"]}, role=None) == ({"swift_disks": ["sdb"]}, [])


def test_what_a_row_holds_already_is_left_alone() -> None:
    """An upgrade that knows more must not make a machine unsaveable."""
    assert settle({"old": 1, "layouts": "x"}, old=1, layouts="x") == ({"old": 1, "layouts": "x"}, [])
    assert settle({"old": 2}, old=1) == ({"old": 2}, [])
    assert settle({"timezone": "not a zone!"}, timezone="not a zone!") == ({"timezone": "not a zone!"}, [])
    assert settle({"timezone": "not a zone?"}, timezone="not a zone!")[1]


def test_a_wrong_value_is_refused_at_its_field() -> None:
    _, problems = settle({"virt_type": "xen", "packages": "vim", "site_x": "fine"})
    assert [problem[0] for problem in problems] == ["vars.virt_type", "vars.packages"]


@pytest.mark.parametrize(
    ("place", "name", "fits"),
    [
        ("cluster", "region", True), ("role", "region", False), ("machine", "region", False),
        ("cluster", "ratio", True), ("role", "ratio", True), ("machine", "ratio", False),
        ("cluster", "virt_type", True), ("role", "virt_type", True), ("machine", "virt_type", True),
    ],
)  # fmt: skip
def test_a_variable_is_said_no_narrower_than_its_scope(place: str, name: str, fits: bool) -> None:
    value = {"region": "RegionOne", "ratio": 4, "virt_type": "kvm"}[name]
    assert (settle({name: value}, place=place, role=None if place == "cluster" else "compute")[1] == []) is fits


def test_a_secret_is_sealed_and_three_stars_leave_it_as_it_is() -> None:
    kept, problems = settle({"vmware_password": "correct-horse"})
    assert (kept, problems) == ({"vmware_password": {sealed.KEY: "<correct-horse>"}}, [])
    assert settle({"vmware_password": "***"}, **kept) == (kept, [])
    assert settle({"vmware_password": "***"})[1]  # there is none that could stay


def test_a_hash_that_lay_open_before_is_sealed_when_it_is_saved_again() -> None:
    before = "$6$abc$" + "x" * 20
    for said in (before, "***"):
        kept, problems = settle({"root_password_hash": said}, root_password_hash=before)
        assert (kept, problems) == ({"root_password_hash": {sealed.KEY: f"<{before}>"}}, [])


def test_a_clusters_secret_does_not_stand_among_its_variables() -> None:
    _, [(field, problem, _)] = settle({"rabbit_password": "correct-horse"}, place="cluster", role=None)
    assert (field, problem) == ("vars.rabbit_password", "is a secret.")


@pytest.mark.parametrize("name", ["", "a" * 255, "site_\n", "site_%end", "$(reboot)", "Ünïcode", "%end", "{{ 7*7 }}"])
def test_hostile_names_are_refused(name: str) -> None:
    _, [(field, _, _)] = settle({name: "x"})
    assert field.startswith("vars.")
    assert len(field) <= 80


def test_what_would_be_refused_now_is_found_in_old_rows() -> None:
    assert RULES.unknown("compute", {"old": 1, "virt_type": "kvm", "site_x": 1, "swift_disks": 1}) == [
        "old",
        "swift_disks",
    ]
