"""What the editor begins with can be read, and is careful."""

from __future__ import annotations

import pytest

from pxeapp.rollouts import starters, text


@pytest.mark.parametrize("form", starters.STARTERS)
def test_each_form_is_understood_and_begins_carefully(form: str) -> None:
    spec = text.read(starters.text(form, {"cluster": "prod", "role": "compute"})).spec
    assert spec.action.kind == form
    assert (spec.machines.cluster, spec.machines.role) == ("prod", "compute")
    assert spec.order.canary == 1
    assert spec.order.pause_after == ("canary",)
    assert spec.verify.gates


def test_a_name_that_yaml_would_read_as_something_else_is_written_so_that_it_is_a_text() -> None:
    evil = "yes: {x} # 100% \"'\n"
    assert text.read(starters.text("reboot", {"q": evil})).spec.machines.q == evil
