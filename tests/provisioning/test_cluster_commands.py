"""`pxeapp cluster` and `pxeapp variables`: the same rules as the API, and no secret as an argument or in an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp.answers import clusters
from pxeapp.cli import main
from pxeapp.db import Database
from pxeapp.machines import sealed
from pxeapp.vault import open_vault

SECRET = "correct-horse-battery"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*words: str, given: str = "", fails: bool = False) -> Result:
        done = CliRunner().invoke(main, list(words), env={"PXEAPP_DATA_DIR": str(tmp_path / "data")}, input=given)
        assert (done.exit_code != 0) is fails, done.output
        return done

    run("db", "upgrade")
    return run


def test_a_cluster_is_made_changed_shown_rotated_and_deleted(run: Run, tmp_path: Path) -> None:
    run("cluster", "create", "prod", "--description", "The one.", "--var", "controller=10.0.0.2", "--var", "debug=true")
    run(
        "cluster",
        "set",
        "prod",
        "--var",
        "region=4.0",
        "--unset",
        "controller",
        "--secret",
        "rabbit_password",
        given=f"{SECRET}\n",
    )
    shown = json.loads(run("cluster", "show", "prod", "--json").output)
    assert shown["description"] == "The one."
    assert shown["vars"] == {"debug": True, "region": "4.0"}  # a word stays a text, a boolean becomes one
    assert SECRET not in run("cluster", "show", "prod").output + json.dumps(shown)
    assert json.loads(run("cluster", "list", "--json").output)["items"] == [shown]
    assert "prod" in run("cluster", "list").output
    database = Database(f"sqlite:///{tmp_path / 'data' / 'pxeapp.db'}")

    def kept() -> str:
        with database.read() as session:
            value = clusters.get(session, "prod").secrets["rabbit_password"]
            return str(sealed.opened(open_vault(tmp_path / "data"), value))

    assert kept() == SECRET
    assert "Nothing made anew" in run("cluster", "rotate", "prod", "--yes").output  # this one was entered
    assert "rabbit_password made anew" in run("cluster", "rotate", "prod", "rabbit_password", "--yes").output
    assert kept() != SECRET
    run("cluster", "set", "prod", "--forget", "rabbit_password")
    assert json.loads(run("cluster", "show", "prod", "--json").output)["secrets"] == {}
    run("cluster", "delete", "prod", "--yes")
    assert "There is no cluster 'prod'" in run("cluster", "show", "prod", fails=True).output
    database.dispose()


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant(run: Run) -> None:
    assert "Did you mean region?" in run("cluster", "create", "prod", "--var", "regoin=x", fails=True).output
    assert "write NAME=VALUE" in run("cluster", "create", "prod", "--var", "region", fails=True).output


def test_the_reference_and_what_holds_for_a_machine(run: Run, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(
        json.dumps(
            [
                {
                    "name": "node1",
                    "mac": "52:54:00:00:00:01",
                    "role": "compute",
                    "cluster": "prod",
                    "vars": {"timezone": "Europe/Rome"},
                }
            ]
        )
    )
    run("cluster", "create", "prod", "--var", "controller=10.0.0.2", "--var", "timezone=Asia/Tokyo")
    run("machine", "import", str(rows))
    every = {item["name"]: item for item in json.loads(run("variables", "--json").output)["items"]}
    of_role = {item["name"] for item in json.loads(run("variables", "--role", "compute", "--json").output)["items"]}
    assert {"timezone", "compute_driver"} <= of_role < set(every)
    assert every["compute_driver"]["roles"] == ["compute"]
    assert "timezone" in run("variables").output
    holds = {item["name"]: item for item in json.loads(run("variables", "node1", "--json").output)["items"]}
    assert (holds["timezone"]["value"], holds["timezone"]["from"]) == ("Europe/Rome", "machine")
    assert holds["timezone"]["said"] == ["default", "cluster prod", "machine"]
    assert (holds["controller"]["value"], holds["controller"]["from"]) == ("10.0.0.2", "cluster prod")
    assert holds["rabbit_password"]["value"] == "***"
    assert "Europe/Rome" in run("variables", "node1").output


def test_a_layout_that_a_machine_of_the_cluster_has_not_the_disks_for_is_refused_at_once(
    run: Run, tmp_path: Path
) -> None:
    run("cluster", "create", "prod")
    machines = tmp_path / "machines.json"
    disk = {"path": "disk/by-path/pci-1", "size": "480G"}
    machine = {"name": "node1", "mac": "52:54:00:00:00:01", "cluster": "prod", "disks": {"system": disk}}
    machines.write_text(json.dumps([machine]))
    run("machine", "import", str(machines))
    run("cluster", "set", "prod", "--var", 'layout={"volumes": {"/": "rest", "/var": "400G"}}')
    said = run(
        "cluster", "set", "prod", "--var", 'layout={"volumes": {"/": "rest", "/var": "500G"}}', fails=True
    ).output
    assert "disk/by-path/pci-1 has 480 GB" in said
    assert "400G" in run("cluster", "show", "prod").output
