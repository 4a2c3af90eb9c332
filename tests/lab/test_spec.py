"""A rack's description: what is left out is derived, and every bad field is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.errors import Invalid
from pxeapp.lab.spec import build, default, load


def test_addresses_are_derived_from_the_place_in_the_rack() -> None:
    rack = build({"name": "r", "network": "10.9.0.0/24", "machines": [{"name": "a"}, {"name": "b"}]})
    assert rack.appliance == "10.9.0.1"
    assert [machine.address for machine in rack.machines] == ["10.9.0.11", "10.9.0.12"]
    assert [machine.bmc_address for machine in rack.machines] == ["10.9.0.101", "10.9.0.102"]
    assert len({machine.mac for machine in rack.machines}) == 2
    assert len({machine.uuid for machine in rack.machines}) == 2


def test_the_same_description_gives_the_same_machines() -> None:
    assert default() == default()


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"machines": []}, "machines"),
        ({"machines": [{}]}, "machines.0.name"),
        ({"machines": [{"name": "a", "firmware": "efi"}]}, "machines.0.firmware"),
        ({"machines": [{"name": "a", "memory": 1}]}, "machines.0.memory"),
        ({"machines": [{"name": "a", "cpus": "2"}]}, "machines.0.cpus"),
        ({"machines": [{"name": "a", "cpus": True}]}, "machines.0.cpus"),
        ({"machines": [{"name": "A b"}]}, "machines.0.name"),
        ({"machines": [{"name": "a"}, {"name": "a"}]}, "name"),
        ({"machines": [{"name": "a", "data_disks": 9}]}, "machines.0.data_disks"),
        ({"machines": [{"name": "a", "data_gib": 0}]}, "machines.0.data_gib"),
        ({"network": "10.9.0.0/99", "machines": [{"name": "a"}]}, "network"),
        ({"colour": "red", "machines": [{"name": "a"}]}, "colour"),
    ],
)
def test_a_bad_field_is_named(said: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        build(said)
    assert field in [problem.field for problem in caught.value.problems]


@pytest.mark.parametrize("content", ["- a list\n", "name: [unclosed\n", "just text\n"])
def test_a_file_that_is_no_rack_is_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rack.yaml"
    path.write_text(content)
    with pytest.raises(Invalid, match=str(path)):
        load(path)
