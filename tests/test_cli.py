"""The `pxeapp` command: JSON that parses, sentences instead of tracebacks, and the same rules as the API."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from pxeapp.app import create_app
from pxeapp.bmc import orders
from pxeapp.bmc.models import SelEntry
from pxeapp.cli import COMMANDS, WHERE, Where, main, where
from pxeapp.config import load
from pxeapp.db import Database, now
from pxeapp.software import adding
from pxeapp.software.releases import Description

MACHINES = """
- name: node1
  mac: 52-54-00-00-00-01
  role: compute
  release: debian-13
  disks: {system: {path: "disk/by-path/pci-0000:00:1f.2-ata-1", serial: S3Z9, size: 480G}, keep: [sdb]}
  bmc: {address: 10.0.9.1, username: root, password: correct-horse-battery}
- {name: node2, mac: "525400000002"}
"""


@pytest.fixture
def appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty appliance on which one may call `pxeapp`, with one release."""
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PXEAPP_NODE_URL", "http://10.77.0.1:8081")
    monkeypatch.chdir(tmp_path)
    good("db", "upgrade")
    for name in ("linux", "initrd.gz"):
        (tmp_path / name).write_bytes(name.encode())
    settings = load()
    database = Database(settings.database_url)
    debian = Description(name="debian-13", family="debian", version="13", install_url="{node_url}/mirror/debian")
    adding.from_directory(
        database, settings, debian, tmp_path, kernel="linux", initrd="initrd.gz", actor="test", now=now()
    )
    database.dispose()
    (tmp_path / "machines.yaml").write_text(MACHINES)
    return tmp_path


def call(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(main, arguments, **more)


def good(*arguments: str, **more: Any) -> str:
    result = call(*arguments, **more)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    """The sentence of a refusal: on stderr, without a traceback, exit code 1."""
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert result.stderr.startswith("pxeapp: ")
    return result.stderr


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_contracts_commands_are_there() -> None:
    there = {" ".join(path) for path, _ in commands(main)}
    contract = {
        "serve", "web", "worker", "bmc-worker", "tftp", "dhcp", "db upgrade", "user add", "token create",
        "machine import", "machine list", "machine show", "machine deploy", "machine release", "machine power",
        "machine console",
        "machine explain", "render", "rack up", "rack down", "rack status",
    }  # fmt: skip
    assert contract - there == set()


def test_every_command_says_what_it_does() -> None:
    assert COMMANDS
    for path, command in commands(main):
        if not command.hidden:
            assert (command.help or "").strip(), path
            assert call(*path, "--help").exit_code == 0


def test_every_command_says_where_it_can_be_used_and_nothing_else_does() -> None:
    there = {" ".join(path) for path, command in commands(main) if not isinstance(command, click.Group)}
    groups = {" ".join(path) for path, _ in commands(main)}
    assert {path.split()[0] for path in there} == set(COMMANDS)
    assert set(WHERE) <= groups, "no row is left of a command that is gone"
    missing = {path for path in there if not any(path == row or path.startswith(f"{row} ") for row in WHERE)}
    assert missing == set()


def test_the_page_has_the_same_table_of_where_commands_can_be_used() -> None:
    page = (Path(__file__).parents[1] / "docs" / "cli.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]*) \| (`[^|]*) \|$", page.partition("| where |")[2].partition("\n\n")[0], re.M))
    said = {
        Where.ANYWHERE: rows["here and elsewhere"],
        Where.HOST: rows["on the appliance only"],
        Where.PROCESS: next(text for name, text in rows.items() if name.startswith("its processes")),
        Where.CLIENT: rows["the command line's own"],
    }
    for path in [path for path, command in commands(main) if not isinstance(command, click.Group)]:
        line = " ".join(path)
        first = next(word for word in (line, path[0]) if any(f"`{word}`" in text for text in said.values()))
        assert f"`{first}`" in said[where(line)] or line.startswith("release add-"), line


@pytest.mark.parametrize(
    "line",
    [" ".join(path) for path, command in commands(main)
     if not isinstance(command, click.Group) and where(" ".join(path)) is Where.HOST],
)  # fmt: skip
def test_what_needs_the_host_refuses_when_another_appliance_is_meant(tmp_path: Path, line: str) -> None:
    (tmp_path / "token").write_text("pxe_0123456789abcdef")
    environ = {"PXEAPP_URL": "https://pxe.example.org", "PXEAPP_TOKEN_FILE": str(tmp_path / "token")}
    context = click.Context(main)
    for word in line.split():
        assert isinstance(context.command, click.Group)
        found = context.command.get_command(context, word)
        assert found is not None
        context = click.Context(found, parent=context)
    needed = [
        word for parameter in context.command.params if parameter.required for word in _any_of(parameter, tmp_path)
    ]
    done = call(*line.split(), *needed, env=environ)
    assert (done.exit_code, "on the appliance itself only" in done.stderr) == (1, True), done.output
    assert f"pxeapp --local {line}" in done.stderr


def _any_of(parameter: click.Parameter, folder: Path) -> list[str]:
    """A value that click takes."""
    option = [parameter.opts[0]] if isinstance(parameter, click.Option) else []
    if isinstance(parameter.type, click.Choice):
        return [*option, str(next(iter(parameter.type.choices)))]
    if isinstance(parameter.type, click.types.IntParamType):
        return [*option, "1"]
    if isinstance(parameter.type, click.Path):
        return [*option, str(folder / "token" if parameter.type.file_okay else folder)]
    return [*option, "x"]


def test_a_process_of_the_appliance_takes_no_notice_of_a_profile_but_of_one_that_is_said(tmp_path: Path) -> None:
    refused_ = call("--profile", "lab", "tftp", env={"PXEAPP_DATA_DIR": str(tmp_path)})
    assert (refused_.exit_code, "runs here" in refused_.stderr) == (1, True)
    environ = {"PXEAPP_PROFILE": "lab", "PXEAPP_DATA_DIR": str(tmp_path), "PXEAPP_TFTP_LISTEN": "nonsense"}
    assert "PXEAPP_TFTP_LISTEN" in call("tftp", env=environ).stderr  # and not: there is no profile lab


def test_local_wins_over_a_profile_that_is_used(appliance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXEAPP_PROFILE", "lab")
    assert "There is no profile 'lab'" in refused("machine", "list")
    assert json.loads(good("--local", "machine", "list", "--json"))["items"] == []
    assert call("--local", "--profile", "lab", "machine", "list").exit_code == 2


def test_every_listing_has_json() -> None:
    listings = [(path, command) for path, command in commands(main) if path[-1] in ("list", "status", "events")]
    assert len(listings) >= 3
    for path, command in listings:
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, " ".join(path)


def test_an_empty_database_is_brought_up_and_again_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "data"))
    assert "from empty to" in good("db", "upgrade")
    assert "The schema is at" in good("db", "upgrade")


def test_without_a_schema_the_sentence_names_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "data"))
    assert "pxeapp db upgrade" in refused("machine", "list")


def test_what_a_bmc_calls_its_sensors_is_shown_to_the_letter(appliance: Path) -> None:
    good("machine", "import", "machines.yaml")
    number = json.loads(good("machine", "show", "node1", "--json"))["id"]
    sensors = [
        {"name": name, "value": 1, "unit": "V", "health": "ok", "states": ["[on]"]}
        for name in ("PSU [/x]", "Fan [cpu1]")
    ]
    database = Database(load().database_url)
    with database.write() as session:
        orders.keep(session, number, "sensors", {"items": sensors}, now=now())
        session.add(
            SelEntry(
                machine_id=number, raw="00" * 16, record=1, at=None, sensor="PSU [/x]", event="Fan [cpu1] failed",
                severity="critical", seen_at=now(),
            )
        )  # fmt: skip
    database.dispose()
    shown = good("machine", "sensors", "node1")
    assert re.search(r"^PSU \[/x\] +1 +V +ok +\[on\] *$", shown, re.MULTILINE)
    assert "Fan [cpu1]" in shown
    assert re.search(r"critical +PSU \[/x\] +Fan \[cpu1\] failed", good("machine", "sel", "node1"))


def test_machines_are_imported_listed_and_shown(appliance: Path) -> None:
    assert "2 would be created" in good("machine", "import", "machines.yaml", "--dry-run")
    assert json.loads(good("machine", "list", "--json"))["items"] == []
    assert json.loads(good("machine", "import", "machines.yaml", "--json"))["created"] == 2
    assert "2 unchanged" in good("machine", "import", "machines.yaml")
    found = json.loads(good("machine", "list", "--json"))
    assert ([item["name"] for item in found["items"]], found["next"]) == (["node1", "node2"], None)
    shown = json.loads(good("machine", "show", "5254.0000.0001", "--json"))
    assert (shown["name"], shown["bmc"]["password_set"]) == ("node1", True)
    text = good("machine", "show", "node1")
    assert "correct-horse-battery" not in text
    assert re.search(r"^disks +system disk/by-path/pci-0000:00:1f.2-ata-1  480 GB, serial S3Z9$", text, re.MULTILINE)
    assert re.search(r"^ +keep   sdb$", text, re.MULTILINE)


def test_a_list_for_people_is_whole_and_can_be_searched(appliance: Path) -> None:
    good("machine", "import", "machines.yaml")
    lines = good("machine", "list").splitlines()
    node1 = next(line for line in lines if line.startswith("node1"))
    assert {"52:54:00:00:00:01", "enrolled", "unknown", "compute", "debian-13"} <= set(node1.split())
    assert "node1" not in good("machine", "list", "--search", "node2")
    assert "node1" not in good("machine", "list", "--state", "active")


def test_every_bad_row_of_an_import_is_listed_with_its_line(appliance: Path) -> None:
    (appliance / "bad.csv").write_text("name,mac\nA B,52:54:00:00:00:01\nnode2,zz\n")
    sentence = refused("machine", "import", "bad.csv")
    assert "line 2" in sentence
    assert "line 3" in sentence
    assert json.loads(good("machine", "list", "--json"))["items"] == []


def test_a_machine_is_deployed_explained_aborted_and_released(appliance: Path) -> None:
    good("machine", "import", "machines.yaml")
    assert "was never deployed" in good("machine", "explain", "node1")
    body = json.loads(good("machine", "deploy", "node1", "--json"))
    assert (body["machine"], body["release"], body["step"]) == ("node1", "debian-13", "requested")
    assert "deploying" in refused("machine", "deploy", "node1")
    assert "worker" in good("machine", "explain", "node1")
    assert json.loads(good("machine", "explain", "node1", "--json"))["step"] == "requested"
    assert "Aborted by user:" in good("machine", "abort", "node1")
    assert "node1 is available." in good("machine", "release", "node1", "--yes")
    kinds = [event["kind"] for event in json.loads(good("machine", "events", "node1", "--json"))["items"]]
    assert [kind for kind in kinds if kind != "enrolled"] == ["deploy", "abort", "release"]
    assert "Aborted by" in good("machine", "events", "node1")


def test_power_is_shown_and_ordered_but_moved_by_nobody_here(appliance: Path) -> None:
    good("machine", "import", "machines.yaml")
    assert "node1 is unknown (never seen)." in good("machine", "power", "node1")
    assert "BMC worker" in good("machine", "power", "node1", "cycle", "--yes")
    assert "already being switched" in refused("machine", "power", "node1", "off", "--yes")
    assert json.loads(good("machine", "power", "node1", "--json"))["action"]["goal"] == "cycle"
    assert "BMC" in refused("machine", "power", "node2", "on")


def test_what_a_machine_is_given_is_printed_without_secrets(appliance: Path) -> None:
    good("machine", "import", "machines.yaml")
    text = good("render", "node1")
    assert "==> ipxe <==" in text
    assert "d-i " in text
    assert "correct-horse-battery" not in text
    assert good("render", "node1", "--kind", "preseed").startswith(("#", "d-i"))
    assert "Use ipxe" in refused("render", "node1", "--kind", "nonsense")


def test_a_new_token_is_all_that_is_printed_and_it_works(appliance: Path) -> None:
    secret = good("token", "create", "--role", "viewer")
    assert secret.startswith("pxe_")
    assert secret == secret.strip() + "\n"
    app = create_app(load())
    reply = app.test_client().get("/api/v1/machines", headers={"Authorization": f"Bearer {secret.strip()}"})
    assert reply.status_code == 200
    app.extensions["pxeapp"].database.dispose()


def test_a_user_is_added_and_a_weak_password_refused(appliance: Path) -> None:
    assert "ada may sign in as operator." in good(
        "user", "add", "ada", "--role", "operator", "--password", "long-enough-1"
    )
    assert "at least 10" in refused("user", "add", "eve", "--password", "short")


def test_releases_are_listed(appliance: Path) -> None:
    assert [item["name"] for item in json.loads(good("release", "list", "--json"))["items"]] == ["debian-13"]


@pytest.mark.parametrize(
    "arguments",
    [("machine", "show", "nobody"), ("machine", "deploy", "nobody"), ("machine", "explain", "²"), ("render", "nobody")],
)
def test_an_unknown_machine_is_one_sentence(appliance: Path, arguments: tuple[str, ...]) -> None:
    assert len(refused(*arguments).splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PXEAPP_DHCP", "maybe"), ("PXEAPP_NODE_LISTEN", "8081"), ("PXEAPP_BMC_NETWORKS", "x"), ("PXEAPP_NONSENSE", "1")],
)
def test_a_bad_setting_is_one_sentence_that_names_it(
    appliance: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert variable in refused("machine", "list")


def test_a_data_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "file" / "data"))
    for arguments in (("machine", "list"), ("db", "upgrade"), ("serve",)):
        assert str(tmp_path / "file") in refused(*arguments)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pxeapp.db").write_bytes(b"not a database at all" * 100)
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path / "data"))
    assert "database" in refused("machine", "list")


def test_a_reader_that_goes_away_is_no_error(appliance: Path) -> None:
    rows = [
        {"name": f"m{number:04}", "mac": f"52:54:00:01:{number // 256:02x}:{number % 256:02x}"}
        for number in range(2000)
    ]
    (appliance / "many.json").write_text(json.dumps(rows))
    good("machine", "import", "many.json")
    listing = subprocess.Popen(
        [sys.executable, "-m", "pxeapp", "machine", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listing.stdout is not None
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.stderr is not None
    with listing.stderr as stderr:
        assert b"Traceback" not in stderr.read()
    listing.wait(60)
