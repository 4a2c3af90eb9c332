"""Changes of single fields in one line each, as `pxeapp diff --set` takes them."""

from __future__ import annotations

import pytest

from pxeapp.errors import Invalid
from pxeapp.provisioning import edits

SHOWN = {"packages": {"debian": ["curl", "jq"], "el": ["curl"]}, "description": "x", "vars": {}, "vlan": None}


@pytest.mark.parametrize(
    ("said", "patch"),
    [
        (["description=A node"], {"description": "A node"}),
        (["vlan=12"], {"vlan": 12}),
        (["vlan="], {"vlan": None}),
        (["packages.debian+=htop"], {"packages": {"debian": ["curl", "jq", "htop"], "el": ["curl"]}}),
        (["packages.debian+=[jq, htop]"], {"packages": {"debian": ["curl", "jq", "htop"], "el": ["curl"]}}),
        (["packages.debian-=curl"], {"packages": {"debian": ["jq"], "el": ["curl"]}}),
        (["packages.ubuntu+=htop"], {"packages": {**SHOWN["packages"], "ubuntu": ["htop"]}}),  # type: ignore[dict-item]
        (["vars.a.b=1", "vars.a.c=[x]"], {"vars": {"a": {"b": 1, "c": ["x"]}}}),
        (["vars.text=a=b-=c"], {"vars": {"text": "a=b-=c"}}),
        (["vars.kept-name=yes"], {"vars": {"kept-name": True}}),
    ],
)
def test_a_change_becomes_the_patch_that_makes_it(said: list[str], patch: object) -> None:
    assert edits.patch(SHOWN, said) == patch
    assert SHOWN["packages"] == {"debian": ["curl", "jq"], "el": ["curl"]}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("nothing", "nothing"),
        ("=x", "=x"),
        ("description+=x", "description"),
        ("description.a=x", "description"),
        ("packages.debian-=htop", "packages.debian"),
        ("vars.a=[", "vars.a"),
    ],
)
def test_what_is_no_change_is_refused_with_its_field(said: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        edits.patch(SHOWN, [said])
    assert [problem.field for problem in caught.value.problems] == [field]
    assert all(problem.fix for problem in caught.value.problems)
