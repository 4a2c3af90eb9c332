"""`POST /diff` and `pxeapp diff`: the same comparison, over the API and as a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pxeapp.cli import main
from tests.api.conftest import Api, Asker

TEXT = "# {{ spec.hostname }}\n"


@pytest.fixture
def machines(admin: Asker, machine: dict[str, Any]) -> list[str]:
    """node1 to node4, compute nodes with Debian but for the last, which is a base one."""
    for number in range(2, 5):
        said = {
            "name": f"node{number}", "mac": f"52:54:00:00:00:{number:02x}", "release": "debian-13",
            "role": "compute" if number < 4 else "base", "disks": machine["disks"],
        }  # fmt: skip
        assert admin.post("/machines", json=said).status_code == 201
    return [f"node{number}" for number in range(1, 5)]


def test_a_change_is_compared_for_every_machine_and_saved_for_none(api: Api, machines: list[str]) -> None:
    operator = api.of("operator")
    before = operator.get("/machines?limit=10").text, operator.get("/roles/compute").text
    said = {"vars": {"timezone": "Europe/Rome"}, "limit": 1}
    reply = operator.post("/diff", json=said)
    assert reply.status_code == 200
    found = reply.json
    assert (found["differs"], found["looked_at"], found["changed"], found["unchanged"]) == (True, 4, 4, 0)
    group = found["groups"][0]
    assert (group["count"], group["machines"], group["more"]) == (len(machines), ["node1"], 3)
    assert "+d-i time/zone string Europe/Rome" in next(
        each["diff"] for each in group["files"] if each["kind"] == "preseed"
    )
    assert (operator.get("/machines?limit=10").text, operator.get("/roles/compute").text) == before
    narrowed = operator.post("/diff", json={**said, "select": {"role": "base"}}).json
    assert narrowed["groups"][0]["machines"] == ["node4"]


def test_a_template_may_be_proposed_by_an_admin_only(api: Api, machines: list[str]) -> None:
    said = {"templates": {"preseeds/base.cfg": TEXT}}
    reply = api.of("operator").post("/diff", json=said)
    assert reply.status_code == 403
    assert "Templates may be proposed by admins only" in reply.json["detail"]
    assert api.of("viewer").post("/diff", json={"vars": {"timezone": "Etc/UTC"}}).status_code == 403
    found = api.of("admin").post("/diff", json=said).json
    assert found["changed"] == len(machines)
    assert "+# node1\n" in found["groups"][0]["files"][0]["diff"]
    assert not api.context.settings.templates_dir.exists()


def test_what_cannot_be_is_refused_with_field_and_fix(admin: Asker, machines: list[str]) -> None:
    assert machines
    for said, field in (
        ({}, ""),
        ({"roles": {"compute": {"packges": {}}}}, "roles.compute.packges"),
        ({"to_role": "king"}, "to_role"),
        ({"vars": {"timezoone": "x"}}, "vars.timezoone"),
        ({"to_role": "base", "select": {"names": ["nobody"]}}, "select.names"),
    ):
        reply = admin.post("/diff", json=said)
        assert reply.status_code == 422, said
        assert [each["field"] for each in reply.json["errors"]] == [field]
        assert reply.json["errors"][0]["fix"]


def run(api: Api, *arguments: str) -> tuple[int, str]:
    settings = api.context.settings
    environment = {"PXEAPP_DATA_DIR": str(settings.data_dir), "PXEAPP_NODE_URL": settings.node_url}
    done = CliRunner().invoke(main, ["diff", *arguments], env=environment)
    return done.exit_code, done.output


def test_the_command_shows_groups_and_ends_as_diff_does(api: Api, machines: list[str], tmp_path: Path) -> None:
    template = tmp_path / "base.cfg"
    template.write_text(TEXT)
    code, output = run(api, "--template", f"preseeds/base.cfg={template}", "--limit", "2")
    assert code == 1
    assert output.startswith("3 machines: node1, node2 and 1 more\n--- preseed of node1, now\n")
    assert output.endswith("4 of 4 machines would be given something else; 0 would not.\n")
    code, output = run(api, "--role", "compute", "--set", "packages.debian+=htop", "--set", "description=x")
    assert code == 1
    assert output.startswith("3 machines: node1, node2, node3\n")
    assert "htop" in output
    code, output = run(api, "node4", "--var", "timezone=Etc/UTC")
    assert (code, output) == (0, "0 of 1 machines would be given something else; 1 would not.\n")
    code, output = run(api, "--to-role", "base", "--role", "compute", "--json")
    assert code == 1
    assert json.loads(output)["changed"] == len(machines) - 1
    patch = tmp_path / "compute.yaml"
    patch.write_text("packages:\n  debian: [htop]\n")
    assert run(api, "--role-file", f"compute={patch}", "node1")[0] == 1
    assert run(api, "--release", "debian-13", "--set", "kernel_args=quiet", "node1")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing is proposed."),
        (("--template", "x"), "--template: 'x' is not NAME=FILE."),
        (("--template", "preseeds/base.cfg=/nowhere"), "--template: there is no file /nowhere."),
        (("--set", "a=b"), "--set: does not say of what. Add --role, --network, --release or --cluster."),
        (("--network", "rack"), "--network: says which network is changed, but not what. Add --set FIELD=VALUE."),
        (("--network", "rack", "--release", "x", "--set", "a=b"), "--set: is for one thing at a time."),
        (("--role", "compute", "--set", "packges=x"), "roles.compute.packges: is not a known field."),
        (("--role", "king", "--set", "packages.el+=x"), "There is no role 'king'."),
        (("--role", "compute", "--set", "packages.debian-=nothing"), "packages.debian: does not hold 'nothing'."),
        (("--var", "x"), "--var: 'x' is not NAME=VALUE."),
        (("--to-release", "windows"), "to_release: There is no release 'windows'. Known: debian-13."),
        (("--to-role", "base", "nobody"), "select.names: There is no machine 'nobody'."),
    ],
)
def test_the_command_refuses_with_field_and_fix_and_exit_code_2(
    api: Api, arguments: tuple[str, ...], said: str
) -> None:
    code, output = run(api, *arguments)
    assert code == 2
    assert said in output
