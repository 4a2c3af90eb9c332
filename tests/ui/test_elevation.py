"""How a rack is drawn from what machines say of their place."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.ui.elevation import LEAST_UNITS, MOST_UNITS, Placed, Rack, racks, units


def placed(name: str, **location: Any) -> Placed:
    return Placed(hash(name), name, "active", "on", "compute", "debian-13", "", {"rack": "r1", **location})


def only(*machines: Placed) -> Rack:
    (rack,) = racks(machines)
    return rack


@pytest.mark.parametrize(
    ("location", "span"),
    [
        ({"unit": 7}, (7, 7)),
        ({"unit": "7"}, (7, 7)),
        ({"unit": "U07"}, (7, 7)),
        ({"unit": "7U"}, (7, 7)),
        ({"unit": "12-13"}, (12, 13)),
        ({"unit": "u13 – u12"}, (12, 13)),
        ({"unit": 12, "height": 2}, (12, 13)),
        ({"unit": 12, "height": "4U"}, (12, 15)),
        ({"unit": 12, "height": 0}, (12, 12)),
        ({"unit": 0}, None),
        ({"unit": MOST_UNITS, "height": 2}, None),
        ({"unit": "1-60"}, None),
        ({"unit": "top"}, None),
        ({"unit": -1}, None),
        ({"unit": "<script>"}, None),
        ({}, None),
    ],
)
def test_units_are_read_as_people_write_them(location: dict[str, Any], span: tuple[int, int] | None) -> None:
    assert units(location) == span


def test_a_rack_is_drawn_from_the_top_down_without_a_gap() -> None:
    rack = only(placed("low", unit=1), placed("tall", unit=40, height=2))
    heights = [(block.high, block.low) for block in rack.blocks]
    assert heights[0] == (LEAST_UNITS, LEAST_UNITS)
    assert heights[1] == (41, 40)
    assert heights[-1] == (1, 1)
    assert sum(block.height for block in rack.blocks) == rack.units == LEAST_UNITS
    assert rack.used == 3
    assert [words for words, _machine in rack.rows] == ["U40–41", "U1"]


def test_a_higher_rack_is_drawn_as_high_as_it_is() -> None:
    assert only(placed("top", unit=47)).units == 47


def test_two_machines_in_one_place_are_one_block_that_says_so() -> None:
    rack = only(placed("a", unit=5, height=3), placed("b", unit=7), placed("c", unit=7, height=2), placed("d", unit=9))
    (conflict,) = rack.conflicts
    assert [machine.name for machine in conflict.machines] == ["a", "b", "c"]
    assert (conflict.low, conflict.high) == (5, 8)
    assert [words for words, machine in rack.rows if machine.name == "b"] == ["U7"], "the table says where each stands"


def test_what_has_no_known_unit_is_kept_beside_the_drawing() -> None:
    rack = only(placed("a", unit=5), placed("b"), placed("c", unit="somewhere"))
    assert [machine.name for machine in rack.unplaced] == ["b", "c"]
    assert rack.rows[-1][0] == ""


def test_racks_of_one_name_in_two_rooms_are_two() -> None:
    found = racks([placed("a", unit=1, room="east"), placed("b", unit=1, room="west", site="fra1")])
    assert [(rack.place, rack.conflicts) for rack in found] == [(("east",), []), (("fra1", "west"), [])]
