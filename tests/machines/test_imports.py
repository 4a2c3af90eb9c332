"""Bulk import: all or nothing, every bad row listed, idempotent, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Invalid
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Bmc, Event, Interface, Machine, Network, Sighting
from pxeapp.vault import Vault, open_vault
from tests.machines.conftest import LATER, SITE, T0, add, mac, run_import, shown

SECRET = "calvin-and-hobbes"


def machine(number: int, **fields: Any) -> dict[str, Any]:
    return {"name": f"node{number}", "mac": mac(number), **fields}


def bmc(number: int, **fields: Any) -> dict[str, Any]:
    return {"address": f"10.0.0.{number}", "username": "root", **fields}


def refused(database: Database, vault: Vault, content: Any, form: str = "json") -> Invalid:
    with pytest.raises(Invalid) as caught:
        run_import(database, vault, content, form)
    return caught.value


def rows_of(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Machine, Interface, Bmc, Event, AuditRow)
        }


def test_every_field_arrives_in_one_spelling(any_database: Database, vault: Vault) -> None:
    with any_database.write() as session:
        session.add(Network(name="rack1", cidr="10.1.0.0/24"))
    said = {
        "name": "node1", "mac": "5254.0000.0001", "serial": " S1 ", "uuid": "4C4C4544005130108052B4C04F4E4D32",
        "role": "compute", "release": "rocky-9", "labels": {"rack": "r1"}, "vars": {"deep": [{"er": 1.5}]},
        "location": {"rack": "r1", "unit": 7}, "maintenance": True, "maintenance_reason": "new",
        "bmc": bmc(1, password=SECRET),
        "interfaces": [{"mac": "52-54-00-00-00-01", "name": "eno1", "network": "rack1", "address": "10.1.0.5"}],
        "disks": {"system": "disk/by-path/pci-0000:00:1f.2-ata-1", "data": ["sdb", "sdc"], "keep": ["sdd"]},
    }  # fmt: skip
    assert run_import(any_database, vault, [said]).created == ["node1"]
    found = shown(any_database)["node1"]
    assert found["mac"] == mac(1)
    assert found["serial"] == "S1"
    assert found["uuid"] == "4c4c4544-0051-3010-8052-b4c04f4e4d32"
    assert found["state"] == "enrolled"
    assert found["bmc"] == {
        "type": "ipmi", "address": "10.0.0.1", "port": 623, "username": "root", "password_set": True,
        "cipher_suite": None,
        "certificate": None,
    }  # fmt: skip
    assert found["interfaces"] == [{**said["interfaces"][0], "mac": mac(1)}]
    for field in ("role", "release", "labels", "vars", "location", "maintenance", "maintenance_reason", "disks"):
        assert found[field] == said[field]


def test_one_bad_row_stops_the_whole_file_and_every_bad_row_is_listed(any_database: Database, vault: Vault) -> None:
    content = (
        "name,mac,role,bmc.address,bmc.port\n"
        f"node1,{mac(1)},compute,10.0.0.1,623\n"
        f"Node_2,{mac(2)},,,\n"
        "node3,52:54:00,wizard,10.0.0.3,70000\n"
        f"node4,{mac(4)},wizard,192.0.2.4,\n"
    )
    before = rows_of(any_database)
    error = refused(any_database, vault, content, "csv")
    assert error.sentence == "3 of 4 rows are wrong; nothing was imported."
    found = {(problem.line, problem.field) for problem in error.problems}
    assert found == {(3, "name"), (4, "mac"), (4, "bmc.port"), (5, "role"), (5, "bmc.address")}
    assert all(problem.fix for problem in error.problems), [str(problem) for problem in error.problems]
    assert rows_of(any_database) == before


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("nmae", "x", "nmae"), ("name", 1, "name"), ("mac", None, "mac"), ("serial", 5, "serial"),
        ("serial", "a\nb", "serial"), ("uuid", "z", "uuid"), ("role", "x" * 64, "role"),
        ("labels", {"a": 1}, "labels.a"),
        ("labels", {"a b": "c"}, "labels"), ("labels", [], "labels"), ("vars", [1], "vars"),
        ("location", {"rack": [1]}, "location.rack"), ("bmc", "10.0.0.1", "bmc"), ("bmc", {}, "bmc.address"),
        ("bmc", {"address": ""}, "bmc.address"), ("bmc", {"address": "a b"}, "bmc.address"),
        ("bmc", {"address": "a", "type": "ilo"}, "bmc.type"), ("bmc", {"address": "a", "port": "x"}, "bmc.port"),
        ("bmc", {"address": "a", "port": 0}, "bmc.port"),
        ("bmc", {"address": "a", "cipher_suite": 18}, "bmc.cipher_suite"),
        ("bmc", {"address": "a", "password": "a\nb"}, "bmc.password"),
        ("bmc", {"address": "a", "username": None}, "bmc.username"),
        ("interfaces", {}, "interfaces"), ("interfaces", [{"mac": "x"}], "interfaces.0.mac"),
        ("interfaces", [{"mac": mac(9)}, {"mac": mac(9)}], "interfaces"),
        ("interfaces", [{"mac": mac(9), "address": "10.0.0"}], "interfaces.0.address"),
        ("interfaces", [{"mac": mac(9), "network": "rack9"}], "interfaces.0.network"),
        ("interfaces", [{"mac": mac(9), "name": "eth 0"}], "interfaces.0.name"),
        ("disks", {"system": "/dev/../etc"}, "disks.system"), ("disks", {"data": "sdb"}, "disks.data"),
        ("maintenance", "perhaps", "maintenance"), ("release", "slackware", "release"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named_with_its_fix(
    database: Database, vault: Vault, field: str, value: object, named: str
) -> None:
    error = refused(database, vault, [machine(1), {**machine(2), field: value}])
    [problem] = error.problems
    assert (problem.field, problem.row) == (named, 2)
    assert problem.problem.endswith(".")
    assert problem.fix
    assert SECRET not in str(problem)


@pytest.mark.parametrize(
    "value",
    ['{"a": 1e999}', '"\\ud800"', '{"\\u0000": 1}', "[" * 25 + "]" * 25, '{"a": {"b": "\\udfff"}}'],
    ids=["infinite", "surrogate", "nul", "deep", "inside"],
)
def test_vars_that_no_database_or_template_can_hold_are_refused(database: Database, vault: Vault, value: str) -> None:
    content = f'[{{"name": "node1", "mac": "{mac(1)}", "vars": {{"x": {value}}}}}]'
    [problem] = refused(database, vault, content).problems
    assert problem.field == "vars"


def test_a_null_takes_a_value_away(database: Database, vault: Vault) -> None:
    run_import(database, vault, [machine(1, serial="S1", role="base", labels={"a": "b"}, bmc=bmc(1))])
    assert run_import(database, vault, [machine(1, serial=None, role=None, labels=None, bmc=None)]).updated == ["node1"]
    found = shown(database)["node1"]
    assert (found["serial"], found["role"], found["labels"], found["bmc"]) == (None, None, {}, None)


def test_dry_run_says_what_would_happen_and_changes_nothing(any_database: Database, vault: Vault) -> None:
    run_import(any_database, vault, [machine(1), machine(2)])
    before, had = rows_of(any_database), shown(any_database)
    outcome = run_import(
        any_database, vault, [machine(1, serial="S1"), machine(2), machine(3)], dry_run=True, now=LATER
    )
    assert (outcome.created, outcome.updated, outcome.unchanged, outcome.dry_run) == (["node3"], ["node1"], 1, True)
    assert rows_of(any_database) == before
    assert shown(any_database) == had


def test_the_same_file_again_changes_nothing(any_database: Database, vault: Vault) -> None:
    content = [
        machine(number, bmc=bmc(number, password=SECRET), interfaces=[{"mac": mac(number)}], labels={"n": str(number)})
        for number in range(1, 6)
    ]
    assert len(run_import(any_database, vault, content).created) == 5
    had, before = shown(any_database), rows_of(any_database)
    outcome = run_import(any_database, vault, content, now=LATER)
    assert (outcome.created, outcome.updated, outcome.unchanged) == ([], [], 5)
    assert shown(any_database) == had
    assert rows_of(any_database) == before


def test_what_a_row_leaves_out_stays(database: Database, vault: Vault) -> None:
    run_import(database, vault, [machine(1, serial="S1", bmc=bmc(1, password=SECRET), disks={"system": "sda"})])
    assert run_import(database, vault, [machine(1, role="base")]).updated == ["node1"]
    found = shown(database)["node1"]
    assert (found["serial"], found["role"], found["disks"]["system"]) == ("S1", "base", "sda")
    assert found["bmc"]["password_set"]


def test_a_machine_is_known_by_its_mac_and_may_get_another_name(any_database: Database, vault: Vault) -> None:
    run_import(any_database, vault, [machine(1)])
    outcome = run_import(any_database, vault, [{"name": "controller1", "mac": mac(1).upper()}], now=LATER)
    assert outcome.updated == ["controller1"]
    assert list(shown(any_database)) == ["controller1"]


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("name", {"name": "same"}, {"name": "same"}),
        ("mac", {"mac": "52:54:00:00:00:09"}, {"mac": "5254.0000.0009"}),
        ("serial", {"serial": "S"}, {"serial": "S"}),
        ("uuid", {"uuid": "4c4c4544-0051-3010-8052-b4c04f4e4d32"}, {"uuid": "4C4C4544005130108052B4C04F4E4D32"}),
        ("bmc.address", {"bmc": bmc(1)}, {"bmc": bmc(1, port=623)}),
        ("interfaces.mac", {"interfaces": [{"mac": mac(9)}]}, {"interfaces": [{"mac": "52-54-00-00-00-09"}]}),
    ],
)
@pytest.mark.parametrize("indent", [None, 1], ids=["one-line", "many-lines"])
def test_the_same_value_twice_in_the_file_is_found(
    database: Database, vault: Vault, field: str, one: Any, other: Any, indent: int | None
) -> None:
    content = json.dumps([{**machine(1), **one}, machine(2), {**machine(3), **other}], indent=indent)
    error = refused(database, vault, content)
    [problem] = error.problems
    assert error.sentence.startswith("1 of 3 rows")
    assert (problem.field, problem.row) == (field, 3)
    assert ("line 2" if indent else "machine 1") in problem.problem


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("name", {"name": "node1"}),
        ("serial", {"serial": "S1"}),
        ("uuid", {"uuid": "4c4c4544-0051-3010-8052-b4c04f4e4d32"}),
        ("bmc.address", {"bmc": bmc(1)}),
        ("interfaces.mac", {"interfaces": [{"mac": mac(1)}]}),
    ],
)
@pytest.mark.parametrize("also", [True, False], ids=["holder-in-file", "holder-not-in-file"])
def test_what_another_machine_holds_is_refused_unless_the_file_takes_it_away(
    any_database: Database, vault: Vault, field: str, said: Any, also: bool
) -> None:
    full = machine(
        1,
        serial="S1",
        uuid="4c4c4544-0051-3010-8052-b4c04f4e4d32",
        bmc=bmc(1),
        interfaces=[{"mac": mac(1)}],
    )
    run_import(any_database, vault, [full])
    holder = [{"name": "node1", "mac": mac(1), "role": "base"}] if also else []
    error = refused(any_database, vault, [*holder, {**machine(2), **said}])
    [problem] = error.problems
    assert problem.field == field
    assert "node1" in problem.problem
    assert list(shown(any_database)) == ["node1"]


def test_machines_may_trade_what_is_unique(any_database: Database, vault: Vault) -> None:
    """Somebody corrects swapped cables, or names, in one file: no single row could be changed first."""

    def rows(first: int, second: int) -> list[dict[str, Any]]:
        return [
            {
                "mac": mac(number), "name": f"name{holds}", "serial": f"S{holds}", "bmc": bmc(7, port=6000 + holds),
                "uuid": f"4c4c4544-0051-3010-8052-b4c04f4e4d3{holds}",
                "interfaces": [{"mac": mac(10 + holds), "name": f"eno{holds}"}],
            }
            for number, holds in ((1, first), (2, second))
        ]  # fmt: skip

    run_import(any_database, vault, rows(1, 2))
    outcome = run_import(any_database, vault, rows(2, 1), now=LATER)
    assert outcome.updated == ["name2", "name1"]
    found = {row["mac"]: row for row in shown(any_database).values()}
    for number, holds in ((1, 2), (2, 1)):
        row = found[mac(number)]
        assert (row["name"], row["serial"], row["bmc"]["port"]) == (f"name{holds}", f"S{holds}", 6000 + holds)
        assert row["bmc"]["address"] == "10.0.0.7"
        assert row["uuid"].endswith(str(holds))
        assert [(card["mac"], card["name"]) for card in row["interfaces"]] == [(mac(10 + holds), f"eno{holds}")]


def test_a_new_machine_may_take_what_an_old_one_gives_up(any_database: Database, vault: Vault) -> None:
    """A replaced mainboard: another MAC under the same name, with the same BMC and serial number."""
    run_import(any_database, vault, [machine(1, serial="S1", bmc=bmc(1), interfaces=[{"mac": mac(20)}])])
    outcome = run_import(
        any_database,
        vault,
        [
            {"name": "node1", "mac": mac(2), "serial": "S1", "bmc": bmc(1), "interfaces": [{"mac": mac(20)}]},
            {"name": "node1-old", "mac": mac(1), "serial": None, "bmc": None, "interfaces": []},
        ],
    )
    assert (outcome.created, outcome.updated) == (["node1"], ["node1-old"])
    found = shown(any_database)
    assert found["node1"]["serial"] == "S1"
    assert found["node1"]["bmc"]["address"] == "10.0.0.1"
    assert found["node1-old"]["bmc"] is None
    assert found["node1-old"]["interfaces"] == []


def test_what_a_running_deployment_rests_on_cannot_change_but_the_same_file_passes(
    database: Database, vault: Vault
) -> None:
    content = [machine(1, role="base", release="rocky-9"), machine(2)]
    run_import(database, vault, content)
    with database.write() as session:
        session.query(Machine).filter_by(name="node1").one().state = State.DEPLOYING
    assert run_import(database, vault, content).unchanged == 2
    assert run_import(database, vault, [machine(1, labels={"a": "b"})]).updated == ["node1"]
    [problem] = refused(database, vault, [machine(1, role="compute"), machine(2)]).problems
    assert (problem.field, problem.row) == ("role", 1)
    assert "deploying" in problem.problem


def test_secrets_are_encrypted_and_stand_nowhere_else(database: Database, vault: Vault) -> None:
    run_import(database, vault, [machine(1, bmc=bmc(1, password=SECRET))])
    run_import(database, vault, [machine(1, bmc=bmc(1, password=SECRET + "2"))])
    with database.read() as session:
        stored = session.scalars(select(Bmc)).one().password_encrypted
        kept = json.dumps([row.details for row in session.scalars(select(AuditRow))])
        kept += json.dumps([[row.message, row.evidence] for row in session.scalars(select(Event))])
    assert vault.decrypt(stored) == SECRET + "2"
    for text in (stored, kept, json.dumps(shown(database))):
        assert SECRET not in text


def test_a_password_can_be_entered_again_after_the_key_was_lost(
    database: Database, vault: Vault, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_import(database, vault, [machine(1, bmc=bmc(1, password=SECRET))])
    another = open_vault(tmp_path_factory.mktemp("another"))
    assert run_import(database, another, [machine(1, bmc=bmc(1, password=SECRET))]).updated == ["node1"]
    with database.read() as session:
        assert another.decrypt(session.scalars(select(Bmc)).one().password_encrypted) == SECRET


def test_an_import_leaves_an_audit_row_and_the_beginning_of_a_timeline(database: Database, vault: Vault) -> None:
    with database.write() as session:
        session.add(Sighting(mac=mac(1), first_seen=T0, last_seen=T0))
    run_import(database, vault, [machine(1), machine(2)])
    with database.read() as session:
        row = session.scalars(select(AuditRow)).one()
        assert (row.actor, row.action, row.details["created"]) == ("user:ada", "machine.import", ["node1", "node2"])
        assert [event.kind for event in session.scalars(select(Event))] == ["enrolled", "enrolled"]
        first = session.scalars(select(Machine).where(Machine.name == "node1")).one()
        assert session.get_one(Sighting, mac(1)).machine_id == first.id


def test_ten_thousand_machines_are_one_import(database: Database, vault: Vault) -> None:
    content = "name,mac,role,release,labels.rack,location.unit,bmc.address,bmc.username,bmc.password,interface.name\n"
    content += "".join(
        f"node{n},{mac(n)},compute,rocky-9,r{n // 40},{n % 40},10.0.{n >> 8}.{n & 255},root,{SECRET},eno1\n"
        for n in range(10_000)
    )
    assert len(run_import(database, vault, content, "csv").created) == 10_000


def test_a_file_without_machines_is_an_import_of_nothing(database: Database, vault: Vault) -> None:
    outcome = run_import(database, vault, [])
    assert (outcome.created, outcome.updated, outcome.unchanged) == ([], [], 0)
    assert rows_of(database)["audit"] == 0


def test_the_site_names_what_is_known(database: Database, vault: Vault) -> None:
    add(database, "other")
    [problem] = refused(database, vault, [machine(2, role="wizard")]).problems
    assert all(role in problem.fix for role in SITE.roles)


def test_an_address_stands_in_one_row_only_and_two_machines_may_trade_theirs(
    any_database: Database, vault: Vault
) -> None:
    with any_database.write() as session:
        session.add(Network(name="rack1", cidr="10.1.0.0/24"))

    def at(number: int, last: int) -> dict[str, Any]:
        card = {"mac": mac(number), "network": "rack1", "address": f"10.1.0.{last}"}
        return machine(number, interfaces=[card])

    twice = refused(any_database, vault, [at(1, 5), at(2, 5)])
    assert [(each.row, each.field) for each in twice.problems] == [(2, "interfaces.address")]
    assert "10.1.0.5 stands in line" in twice.problems[0].problem
    run_import(any_database, vault, [at(1, 5), at(2, 6)])
    taken = refused(any_database, vault, [at(3, 6)])
    assert [(each.field, each.problem) for each in taken.problems] == [
        ("interfaces.address", "10.1.0.6 belongs to node2.")
    ]
    assert run_import(any_database, vault, [at(1, 6), at(2, 5)], now=LATER).updated == ["node1", "node2"]
    assert shown(any_database)["node1"]["interfaces"][0]["address"] == "10.1.0.6"
