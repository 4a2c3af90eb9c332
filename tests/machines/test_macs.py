"""A MAC is one card's: a machine is not saved with one that another boots from, nor boots from another's card."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid
from pxeapp.machines import selectors, service
from pxeapp.machines.wire import MachineChange, MachineIn
from pxeapp.vault import Vault
from tests.machines.conftest import SITE, T0, mac, run_import

CARD_OF_NODE1, BOOTS_NODE1 = mac(9), mac(1)


@pytest.fixture
def node1(any_database: Database, vault: Vault) -> Database:
    run_import(any_database, vault, [{"name": "node1", "mac": BOOTS_NODE1, "interfaces": [{"mac": CARD_OF_NODE1}]}])
    return any_database


def change(session: Session, vault: Vault, said: dict[str, Any]) -> None:
    row = selectors.get(session, "node2", lock=True)
    service.change(session, vault, SITE, row, MachineChange(**said), actor="user:ada", now=T0)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"mac": CARD_OF_NODE1}, f"The MAC {CARD_OF_NODE1} belongs to a card of node1."),
        ({"interfaces": [{"mac": CARD_OF_NODE1}]}, f"The MAC {CARD_OF_NODE1} belongs to a card of node1."),
        ({"interfaces": [{"mac": BOOTS_NODE1}]}, f"The MAC {BOOTS_NODE1} is the one that node1 boots from."),
    ],
)
def test_it_is_refused_by_name_when_a_machine_is_made_or_changed(
    node1: Database, vault: Vault, said: dict[str, Any], sentence: str
) -> None:
    new = {"name": "node2", "mac": mac(2)}
    with pytest.raises(Conflict) as refused, node1.write() as session:
        service.create(session, vault, SITE, MachineIn(**{**new, **said}), actor="user:ada", now=T0)
    assert refused.value.sentence == sentence
    run_import(node1, vault, [new])
    with pytest.raises(Conflict) as refused, node1.write() as session:
        change(session, vault, said)
    assert refused.value.sentence == sentence


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"mac": CARD_OF_NODE1}, "mac"),
        ({"mac": mac(2), "interfaces": [{"mac": BOOTS_NODE1}]}, "interfaces.mac"),
        ({"mac": mac(2), "interfaces": [{"mac": CARD_OF_NODE1}]}, "interfaces.mac"),
    ],
)
@pytest.mark.parametrize("also", [True, False], ids=["holder-in-file", "holder-not-in-file"])
def test_an_import_names_row_field_and_the_other(
    node1: Database, vault: Vault, row: dict[str, Any], field: str, also: bool
) -> None:
    holder = [{"name": "node1", "mac": BOOTS_NODE1, "interfaces": [{"mac": CARD_OF_NODE1}]}] if also else []
    with pytest.raises(Invalid) as refused:
        run_import(node1, vault, [*holder, {"name": "node2", **row}])
    [problem] = refused.value.problems
    assert (problem.field, problem.row) == (field, len(holder) + 1)


def test_a_machines_own_card_may_be_the_one_it_boots_from(node1: Database, vault: Vault) -> None:
    own = [{"name": "node1", "mac": BOOTS_NODE1, "interfaces": [{"mac": BOOTS_NODE1}, {"mac": CARD_OF_NODE1}]}]
    assert run_import(node1, vault, own).updated == ["node1"]
    assert run_import(node1, vault, own).unchanged == 1
