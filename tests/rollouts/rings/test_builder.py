"""What is said to Swift's builder files, and that nothing of somebody else's is undone. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pxeapp.rollouts.rings import builder
from pxeapp.rollouts.rings.builder import Seen


def seen(*devices: tuple[str, float, int, str], replicas: float = 3) -> Seen:
    """One ring whose devices are at 10.0.0.1 and so on: name, weight, parts, meta."""
    rows: list[dict[str, Any]] = [
        {"id": number, "ip": f"10.0.0.{number}", "replication_ip": f"10.1.0.{number}", "device": name, "zone": number,
         "weight": weight, "parts": parts, "meta": meta}
        for number, (name, weight, parts, meta) in enumerate(devices, start=1)
    ]  # fmt: skip
    ring = {"replicas": replicas, "parts": 64, "wait_s": 7, "stale": False, "sha256": "0", "size": 9, "devices": rows}
    return builder.read(json.dumps({"rings": {"object": ring}, "cluster": "c"}))


FULL = ("d1", 100.0, 48, "")


def test_devices_are_found_by_either_address_however_it_is_written() -> None:
    found = seen(FULL, FULL)
    assert builder.of_machine(found, ["10.1.0.2", "fe80::1"]) == {"object": [2]}
    assert builder.of_machine(found, ["::ffff:10.9.9.9", "node1"]) == {}


def test_a_weight_is_marked_with_what_it_was_and_given_back() -> None:
    before = seen(("d1", 50.5, 48, "bay 3"), FULL, FULL, FULL)
    mine = {"object": [1]}
    words = builder.to_drain(before, mine, 7)
    meta = "bay 3 [pxeapp rollout 7: weight 50.5]"
    assert words == {"object": {"1": {"weight": 0, "meta": meta}}}
    drained = seen(("d1", 0, 0, meta), FULL, FULL, FULL)
    assert builder.to_drain(drained, mine, 8) == {}
    assert builder.to_restore(drained, mine) == {"object": {"1": {"weight": 50.5, "meta": "bay 3"}}}


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (("d1", 0, 0, ""), {}),
        (("d1", 0, 0, "weight 100"), {}),
        (("d1", 30.0, 9, "[pxeapp rollout 7: weight 100.0]"), {"object": {"1": {"weight": 30.0, "meta": ""}}}),
    ],
    ids=["zero of somebody's", "with words of somebody's", "given another weight meanwhile"],
)
def test_what_somebody_else_has_said_stays(device: tuple[str, float, int, str], words: object) -> None:
    assert builder.to_restore(seen(device, FULL, FULL, FULL), {"object": [1]}) == words


def test_too_few_devices_are_told_with_the_arithmetic() -> None:
    three = seen(FULL, FULL, FULL)
    assert builder.lacking(three, {"object": [1]}) == (
        "The ring object keeps 3 copies; without this machine 2 devices have a weight."
    )
    assert not builder.lacking(seen(FULL, FULL, FULL, FULL), {"object": [1]})
    assert not builder.lacking(seen(FULL, FULL, FULL, replicas=1.5), {"object": [3]})


@pytest.mark.parametrize("text", ["", "{}", '{"rings": []}', '{"rings": {"object": {}}, "cluster": ""}', "[1]", "null"])
def test_what_is_no_answer_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        builder.read(text)
