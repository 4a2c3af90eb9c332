"""Clusters: what their machines share, and secrets that go in and are made but never come out."""

from __future__ import annotations

import datetime as dt
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from pxeapp.answers import clusters, knowledge, roles, sealing
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.audit import AuditRow
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.machines import sealed
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Cluster, Machine
from pxeapp.templates import Templates
from pxeapp.vault import Vault, open_vault

T0 = dt.datetime(2026, 11, 25, 20, 0, tzinfo=dt.UTC)
ADA = "user:ada"
OWN = {
    "rabbit_password": {"secret": True, "required": True, "scope": "cluster", "help": "The bus."},
    "hash_suffix": {
        "secret": True,
        "required": True,
        "scope": "cluster",
        "generate": "hex",
        "type": "text",
        "keep": True,
    },
    "token_key": {"secret": True, "required": True, "scope": "cluster", "generate": "fernet", "type": "text"},
    "trove_password": {"secret": True, "required_if": {"trove": True}, "scope": "cluster"},
    "licence": {"secret": True, "generate": "no"},
    "trove": {"type": "boolean", "default": False, "scope": "cluster"},
    "region": {"type": "word", "default": "RegionOne", "scope": "cluster"},
}
MADE = {"rabbit_password", "hash_suffix", "token_key"}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(tmp_path / "vault")


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    return Templates(tmp_path / "templates")


@pytest.fixture
def kept(any_database: Database) -> Database:
    """A role `cloud` of the site's own, and two machines."""
    with any_database.write() as session:
        roles.create(session, {"name": "cloud", "variables": OWN}, actor=ADA, now=T0)
        for number in (1, 2):
            session.add(
                Machine(
                    name=f"node{number}", mac=f"52:54:00:00:00:0{number}", role="cloud", state=State.AVAILABLE,
                    created_at=T0, updated_at=T0,
                )
            )  # fmt: skip
    return any_database


def hand(session: Any, vault: Vault, templates: Templates) -> Hand:
    return clusters.hand(session, vault, templates, actor=ADA, now=T0)


def make(kept: Database, vault: Vault, templates: Templates, *machines: str, **said: Any) -> None:
    with kept.write() as session:
        clusters.create(session, hand(session, vault, templates), {"name": "prod", **said})
        session.execute(update(Machine).where(Machine.name.in_(machines)).values(cluster="prod"))


def ensure(kept: Database, vault: Vault, templates: Templates, name: str) -> None:
    with kept.write() as session:
        machine = session.scalars(select(Machine).where(Machine.name == name)).one()
        clusters.ensure_secrets(session, vault, templates, machine, "cloud", now=T0)


def secrets_of(kept: Database, vault: Vault) -> dict[str, str]:
    with kept.read() as session:
        return {name: sealed.opened(vault, value) for name, value in clusters.get(session, "prod").secrets.items()}


def everything_stored(kept: Database) -> str:
    """Every row of the tables that a secret might have got into, as text."""
    with kept.read() as session:
        return "\n".join(
            str(row)
            for table in ("clusters", "machines", "roles", "audit")
            for row in session.execute(text(f"SELECT * FROM {table}"))  # noqa: S608
        )


def test_a_machine_that_needs_secrets_makes_them_and_the_next_one_finds_them(
    kept: Database, vault: Vault, templates: Templates
) -> None:
    make(kept, vault, templates, "node1", "node2")
    ensure(kept, vault, templates, "node1")
    first = secrets_of(kept, vault)
    assert set(first) == MADE  # not what is only needed with trove, nor what only an operator can know
    ensure(kept, vault, templates, "node2")
    assert secrets_of(kept, vault) == first
    stored = everything_stored(kept)
    assert all(secret not in stored for secret in first.values())
    with kept.read() as session:
        shown = clusters.wire(clusters.get(session, "prod"), 2)
        rows = session.scalars(select(AuditRow).where(AuditRow.action == "cluster.generate")).all()
    assert shown["secrets"]["rabbit_password"] == {
        "set": True, "generated": True, "by": "system:clusters", "at": T0.isoformat(),
    }  # fmt: skip
    assert all(secret not in json.dumps(shown) for secret in first.values())
    assert [(row.details["machine"], set(row.details["secrets"])) for row in rows] == [("node1", MADE)]


def test_what_a_variable_asks_for_is_made_then(kept: Database, vault: Vault, templates: Templates) -> None:
    make(kept, vault, templates, "node1", vars={"trove": True})
    ensure(kept, vault, templates, "node1")
    assert set(secrets_of(kept, vault)) == {*MADE, "trove_password"}


def test_of_many_machines_at_once_one_makes_them_and_all_have_the_same(
    kept: Database, vault: Vault, templates: Templates
) -> None:
    make(kept, vault, templates, "node1", "node2")
    gate = threading.Barrier(6)

    def work(number: int) -> dict[str, str]:
        gate.wait(30)
        ensure(kept, vault, templates, f"node{number % 2 + 1}")
        return secrets_of(kept, vault)

    with ThreadPoolExecutor(6) as pool:
        seen = list(pool.map(work, range(6)))
    assert len(seen) == 6
    assert all(each == seen[0] for each in seen)
    with kept.read() as session:
        assert len(session.scalars(select(AuditRow).where(AuditRow.action == "cluster.generate")).all()) == 1


def test_a_machine_without_a_cluster_is_told_which_secret_it_lacks(
    kept: Database, vault: Vault, templates: Templates
) -> None:
    with pytest.raises(Invalid, match="node1 as cloud needs secrets") as refused:
        ensure(kept, vault, templates, "node1")
    assert {problem.field for problem in refused.value.problems} == {f"vars.{name}" for name in MADE}


def test_a_secret_is_entered_changed_and_forgotten_but_never_shown(
    kept: Database, vault: Vault, templates: Templates
) -> None:
    make(kept, vault, templates, secrets={"rabbit_password": "correct-horse-battery", "site_licence": "a-b-c-d-e-f-g"})
    with kept.write() as session:
        changer = hand(session, vault, templates)
        shown = clusters.wire(clusters.get(session, "prod"), 0)
        version = shown["version"]
        # What a GET shows, sent back, changes nothing.
        clusters.change(session, changer, "prod", {"secrets": shown["secrets"], "vars": shown["vars"]})
        assert clusters.get(session, "prod").version == version
        clusters.change(session, changer, "prod", {"secrets": {"rabbit_password": "correct-horse-battery"}})
        assert clusters.get(session, "prod").version == version
        clusters.change(session, changer, "prod", {"secrets": {"site_licence": None, "licence": "0123-4567-89"}})
    assert secrets_of(kept, vault) == {"rabbit_password": "correct-horse-battery", "licence": "0123-4567-89"}
    assert "correct-horse" not in everything_stored(kept)
    assert "0123-4567" not in everything_stored(kept)


@pytest.mark.parametrize(
    ("said", "field", "fix"),
    [
        ({"secrets": {"rabbit_pasword": "x" * 20}}, "secrets.rabbit_pasword", "Did you mean rabbit_password?"),
        ({"secrets": {"region": "RegionTwo"}}, "secrets.region", "Say it in vars"),
        ({"secrets": {"rabbit_password": "p@ss/word:1"}}, "secrets.rabbit_password", "Use 8 to 128"),
        ({"secrets": {"rabbit_password": "line\nbreak-in-it"}}, "secrets.rabbit_password", "Take it out"),
        ({"secrets": {"rabbit_password": ["x"]}}, "secrets.rabbit_password", 'Write "..."'),
        ({"secrets": ["x"]}, "secrets", "Write {"),
        ({"vars": {"rabbit_password": "x" * 20}}, "vars.rabbit_password", "secrets.rabbit_password"),
        ({"vars": {"regoin": "x"}}, "vars.regoin", "Did you mean region?"),
        ({"vars": {"region": "$(reboot)"}}, "vars.region", "Use letters"),
        ({"description": "two\nlines"}, "description", "characters"),
        ({"name": "Prod 1"}, "name", "Use a-z"),
        ({"name": "x" * 64}, "name", "at most 63"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field_and_nothing_is_saved(
    kept: Database, vault: Vault, templates: Templates, said: dict[str, Any], field: str, fix: str
) -> None:
    with pytest.raises(Invalid) as refused:
        make(kept, vault, templates, **said)
    [problem] = refused.value.problems
    assert problem.field == field
    assert fix in problem.fix
    assert "p@ss" not in refused.value.in_full
    with kept.read() as session:
        assert session.scalars(select(Cluster)).all() == []


def test_rotating_makes_those_anew_that_no_data_depend_on(kept: Database, vault: Vault, templates: Templates) -> None:
    make(kept, vault, templates, "node1", secrets={"licence": "entered-by-hand"})
    ensure(kept, vault, templates, "node1")
    before = secrets_of(kept, vault)
    with kept.write() as session:
        _, changed = clusters.rotate(session, hand(session, vault, templates), "prod")
    after = secrets_of(kept, vault)
    assert changed == ["rabbit_password", "token_key"]
    assert {name for name in before if before[name] != after[name]} == set(changed)
    with kept.write() as session:
        clusters.rotate(session, hand(session, vault, templates), "prod", ["hash_suffix"])
    assert secrets_of(kept, vault)["hash_suffix"] != before["hash_suffix"]
    with kept.write() as session, pytest.raises(Invalid) as refused:
        clusters.rotate(session, hand(session, vault, templates), "prod", ["licence", "nothing"])
    assert [problem.field for problem in refused.value.problems] == ["secrets.licence", "secrets.nothing"]


def test_secrets_stay_while_machines_are_installed_with_them(
    kept: Database, vault: Vault, templates: Templates
) -> None:
    make(kept, vault, templates, "node1", secrets={"licence": "entered-by-hand"})
    with kept.write() as session:
        session.execute(update(Machine).where(Machine.name == "node1").values(state=State.DEPLOYING))
    for change in (
        lambda session, changer: clusters.rotate(session, changer, "prod", ["rabbit_password"]),
        lambda session, changer: clusters.change(session, changer, "prod", {"secrets": {"licence": "another-one"}}),
    ):
        with pytest.raises(Conflict, match="node1"), kept.write() as session:
            change(session, hand(session, vault, templates))
    assert secrets_of(kept, vault) == {"licence": "entered-by-hand"}


def test_a_cluster_with_machines_is_not_deleted(kept: Database, vault: Vault, templates: Templates) -> None:
    make(kept, vault, templates, "node1")
    with pytest.raises(Conflict, match="node1 are in the cluster prod"), kept.write() as session:
        clusters.delete(session, "prod", actor=ADA, now=T0)
    with kept.write() as session:
        session.execute(update(Machine).values(cluster=None))
    with kept.write() as session:
        clusters.delete(session, "prod", actor=ADA, now=T0)
    with kept.read() as session, pytest.raises(NotFound):
        clusters.get(session, "prod")


def test_hashes_that_lay_open_are_sealed_at_the_upgrade(kept: Database, vault: Vault) -> None:
    lay_open = "$6$abcdefgh$" + "x" * 86
    with kept.write() as session:
        session.execute(
            update(Machine).where(Machine.name == "node1").values(vars={"root_password_hash": lay_open, "old": 1})
        )
    for expected in (1, 0):
        with kept.write() as session:
            assert sealing.seal_open_secrets(session, vault, Templates(), now=T0) == expected
    with kept.read() as session:
        machine = session.scalars(select(Machine).where(Machine.name == "node1")).one()
    assert sealed.opened(vault, machine.vars["root_password_hash"]) == lay_open
    assert (machine.vars["old"], machine.version) == (1, 1)
    assert lay_open not in everything_stored(kept)


def test_a_role_whose_data_cannot_be_read_keeps_nobody_from_saving(kept: Database, tmp_path: Path) -> None:
    broken = tmp_path / "templates" / "roles" / "cloud" / "role.yaml"
    broken.parent.mkdir(parents=True)
    broken.write_text("variables: [")
    with kept.read() as session:
        assert set(knowledge.rules(session, Templates(tmp_path / "templates")).roles["cloud"]) == set(OWN)
