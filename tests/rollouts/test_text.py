"""A rollout as it is written: understood, or refused with the field and the line of each problem."""

from __future__ import annotations

import pytest

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.rollouts import text
from pxeapp.rollouts.spec import Spec

GOOD = "name: openssl\nmachines: {cluster: prod}\naction: {patch: {packages: security}}\n"


def refused(written: str) -> dict[str, int | None]:
    """The line of each field that is refused."""
    with pytest.raises(Invalid) as error:
        text.read(written)
    assert all(each.fix for each in error.value.problems)
    return {each.field: each.line for each in error.value.problems}


def test_what_is_written_well_is_understood_and_its_lines_are_known() -> None:
    written = text.read(GOOD)
    assert written.spec.action.patch is not None
    assert written.spec.action.patch.packages == "security"
    assert text.line_of(written.lines, "action.patch.packages") == 3
    assert text.line_of(written.lines, "order.max_unavailable") is None


def test_json_is_read_too() -> None:
    spec = Spec.model_validate({"name": "a", "machines": {"names": ["n1"]}, "action": {"reboot": {}}})
    assert text.read(spec.model_dump_json()).spec == spec


@pytest.mark.parametrize("action", ["reboot", "{reboot: }", "{reboot: {}}", "{reboot: {}, patch: null}"])
def test_a_choice_that_needs_nothing_more_may_be_its_name_alone(action: str) -> None:
    spec = text.read(f"name: a\nmachines: {{names: [n1]}}\naction: {action}\nverify: {{gates: [ssh, services: ]}}").spec
    assert spec.action.kind == "reboot"
    assert [gate.kind for gate in spec.verify.gates] == ["ssh", "services"]
    assert Spec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("order:\n  canary: x\n  max_unavailable: 200%\n", {"order.canary": 5, "order.max_unavailable": 6}),
        ("order:\n  windows:\n  - {from: 22:00, to: 25:00}\n", {"order.windows.0.to": 6}),
        ("order: {speed: 1}\ndrain: {magic: {}}\n", {"order.speed": 4, "drain.magic": 5}),
        ("verify:\n  gates:\n  - ssh\n  - http: {url: x}\n", {"verify.gates.1.http.url": 7}),
        ("order: {waves: {by: moon}}\n", {"order.waves.by": 4}),
        ("order: {pause_after: [never]}\n", {"order.pause_after.0": 4}),
    ],
)
def test_each_problem_stands_at_its_field_and_line(more: str, expected: dict[str, int]) -> None:
    assert refused(GOOD + more) == expected


def test_what_is_missing_is_named() -> None:
    assert refused("") == {"name": None, "machines": None, "action": None}
    assert refused("name: a\nmachines: {names: [n1]}\naction:\n  run: {}\n") == {"action.run.command": 4}


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("name: a\nname: b\n", 2),
        ("name: &x a\ndescription: *x\n", 2),
        ("name: a\nmachines: !!python/object:os.system {}\n", 2),
        ("name: [\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("? [a]\n: b\n", 1),
        ("name: \x01\n", 1),
        ("- " * 2000, 1),
        ("x" * (text.LONGEST + 1), 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(written: str, line: int) -> None:
    assert refused(written) == {text.TEXT: line}


@pytest.mark.parametrize("written", ["a", "- a\n", "5"])
def test_what_is_no_object_is_refused(written: str) -> None:
    assert refused(written).keys() == {text.TEXT}


def test_a_refusal_of_the_plan_is_given_the_line_of_its_field_or_of_what_holds_it() -> None:
    written = text.read(GOOD + "order:\n  canary: 1\n")
    error = Invalid("No.", problems=[FieldProblem("order.max_unavailable", "is 0."), FieldProblem("drain", "is none.")])
    assert [each.line for each in written.located(error).problems] == [4, None]
