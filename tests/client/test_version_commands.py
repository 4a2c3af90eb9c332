"""`pxeapp cluster versions` and `restore`, and those of releases: the API's, as commands."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from pxeapp.cli import main
from tests.api.conftest import Api, Asker, admin, api, prepared, routed

__all__ = ["admin", "api", "prepared", "routed"]


def called(api: Api, *words: str) -> Result:
    settings = api.context.settings
    environ = {"PXEAPP_DATA_DIR": str(settings.data_dir), "PXEAPP_NODE_URL": settings.node_url}
    return CliRunner().invoke(main, list(words), env=environ)


def test_versions_are_listed_and_gone_back_to(api: Api, admin: Asker) -> None:
    admin.post("/clusters", json={"name": "lab", "description": "One."})
    admin.patch("/clusters/lab", json={"description": "Two."})
    listed = called(api, "cluster", "versions", "lab")
    assert listed.exit_code == 0, listed.output
    assert [line.split()[0] for line in listed.output.splitlines()] == ["VERSION", "2", "1"]
    assert json.loads(called(api, "cluster", "versions", "lab", "--json").output)["items"][1]["action"] == "create"
    asked = called(api, "cluster", "restore", "lab", "1")
    assert asked.exit_code != 0
    assert admin.get("/clusters/lab").json["description"] == "Two."
    done = called(api, "cluster", "restore", "lab", "1", "--comment", "Two was worse.", "--yes")
    assert done.exit_code == 0, done.output
    assert admin.get("/clusters/lab").json["description"] == "One."
    last = admin.get("/clusters/lab/versions").json["items"][0]
    assert (last["author"], last["comment"]) == ("user:local", "Back to version 1. Two was worse.")


@pytest.mark.parametrize("words", [("versions", "nothing"), ("restore", "debian-13", "9", "--yes")])
def test_what_there_is_not_is_said_in_a_sentence(api: Api, words: tuple[str, ...]) -> None:
    reply = called(api, "release", *words)
    assert reply.exit_code == 1
    assert "There is no" in reply.output


def test_a_release_that_was_removed_comes_back_and_says_what_it_lacks(api: Api) -> None:
    assert called(api, "release", "delete", "debian-13", "--yes").exit_code == 0
    done = called(api, "release", "restore", "debian-13", "1", "--yes")
    assert done.exit_code == 0, done.output
    assert "It is not ready: " in done.output
