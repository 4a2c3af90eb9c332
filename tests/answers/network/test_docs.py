"""The worked examples of docs/networks.md can be imported as they stand, and mean what is said beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pxeapp.answers.network import resolving, words
from pxeapp.machines.wire import MachineIn
from pxeapp.provisioning.facts import CardFacts
from tests.answers.network.machines import NETWORKS

PAGE = (Path(__file__).parents[3] / "docs/networks.md").read_text()
EXAMPLES = [yaml.safe_load(text)[0] for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=[each["name"] for each in EXAMPLES])
def test_an_example_is_a_machine_with_that_network(example: dict[str, object]) -> None:
    said = MachineIn.model_validate(example)
    cards = [CardFacts(card.mac, card.name, card.network, card.address) for card in said.interfaces or []]
    assert said.vars is not None
    found = resolving.parse(
        said.vars["network"], boot=said.mac, cards=cards, networks=NETWORKS, addresses=said.vars.get("addresses")
    )
    assert any(device.default4 or device.default6 for device in found.devices)


def test_every_word_is_explained() -> None:
    known = {word for kind in words.KINDS.values() for word in kind} | set(words.KINDS) | set(words.WHOLE)
    assert [word for word in sorted(known) if f"`{word}`" not in PAGE] == []
