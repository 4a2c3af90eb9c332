"""The API piece by piece, as commands on this host load it: all of it is found, and a list loads nothing heavy."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from apiflask import APIFlask

from pxeapp import own_api
from tests.api.conftest import Api, api, prepared, routed

__all__ = ["api", "prepared", "routed"]

# What takes long to import and has nothing to do with a list.
HEAVY = frozenset({
    "asyncssh", "huey", "jinja2.sandbox", "openstack", "psycopg", "pycdlib", "pyghmi", "pykickstart", "redis",
    "requests", "rich.live", "rich.progress", "segno",
    "pxeapp.answers.checks", "pxeapp.answers.render", "pxeapp.answers.roles", "pxeapp.api.answers",
    "pxeapp.api.openapi", "pxeapp.api.rollouts", "pxeapp.app", "pxeapp.clouds", "pxeapp.nodes",
    "pxeapp.provisioning.checking", "pxeapp.provisioning.node_app", "pxeapp.provisioning.plan", "pxeapp.rollouts",
    "pxeapp.software.cache", "pxeapp.software.debian", "pxeapp.software.front", "pxeapp.software.isos",
    "pxeapp.software.ubuntu", "pxeapp.ui",
})  # fmt: skip
DATABASE = frozenset({"apiflask", "flask", "pydantic", "sqlalchemy", "pxeapp.api", "pxeapp.db"})
COMMANDS = """
import json, sys
from pxeapp.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as left:
        print(left.code or 0, file=sys.stderr)
print(json.dumps(sorted(sys.modules)))
"""


def loaded(folder: Path, *commands: list[str]) -> set[str]:
    """The modules of a process that was asked for these commands, each of which came to its end."""
    environ = {
        **os.environ,
        "PXEAPP_DATA_DIR": str(folder),
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "own"),
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        env=environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert set(done.stderr.split()) <= {"0"}, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def routes(app: APIFlask) -> Iterator[tuple[str, str]]:
    """Addresses below /api/v1 as somebody asks for them, each with its blueprint."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(f"{own_api.PREFIX}/") and rule.endpoint != "openapi.spec":
            yield re.sub(r"<[^>]+>", "7", rule.rule.removeprefix(own_api.PREFIX)), rule.endpoint.partition(".")[0]


def test_the_blueprint_of_every_address_is_found_by_the_table(routed: APIFlask) -> None:
    known = {name: own_api.blueprint(name).name for name in own_api.API}
    missed = [
        (path, owner) for path, owner in routes(routed) if owner not in {known[each] for each in own_api.wanted(path)}
    ]
    assert not missed


def test_who_makes_a_link_to_another_blueprint_is_loaded_together_with_it() -> None:
    names = {own_api.blueprint(name).name: name for name in own_api.API}
    missed = []
    for name, beginnings in own_api.API.items():
        source = inspect.getsource(import_module(f"pxeapp.api.{name.partition(':')[0]}"))
        links = {names[found] for found in re.findall(r"""url_for\(\s*["'](\w+)\.""", source)}
        missed += [
            (name, beginning, link)
            for beginning in beginnings
            for link in links
            if link not in own_api.wanted(beginning.replace("*", "7"))
        ]
    assert not missed


def test_an_address_that_there_is_not_is_refused_as_such(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(api.context.settings.data_dir))
    own = own_api.OwnApi()
    try:
        assert own_api.wanted("/nowhere/at/all") == ()
        answer = own.answering("/nowhere/at/all").test_client().get(f"{own_api.PREFIX}/nowhere/at/all")
        assert (answer.status_code, answer.json and answer.json["title"]) == (404, "Not Found")
    finally:
        own.close()


def test_a_list_on_this_host_loads_nothing_heavy(api: Api) -> None:
    found = loaded(api.context.settings.data_dir, ["machine", "list"], ["release", "list"])
    assert "pxeapp.api.machines" in found
    assert "pxeapp.api.releases" in found
    assert not HEAVY & found


def test_a_command_for_an_appliance_elsewhere_loads_no_database(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, ["--version"], ["profile", "list"], ["machine", "--help"], ["job", "--help"], ["release", "--help"]
    )
    assert {"pxeapp.machine_commands", "pxeapp.software.commands"} <= found
    assert not DATABASE & found
