"""What a machine was really given: kept byte for byte, sealed, shown masked, and compared with today's."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, func, select, text, update

from pxeapp.audit import AuditRow
from pxeapp.cli import main
from pxeapp.db import now as present
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.provisioning import given, keeping
from pxeapp.provisioning.given import Compared, File
from pxeapp.provisioning.keeping import Keeper
from pxeapp.provisioning.models import GivenBase, Served
from pxeapp.templates import data_root
from pxeapp.vault import open_vault
from tests.provisioning.rack import Rack

HASH = "$6$rounds=5000$abcdefgh$" + "x" * 86


@pytest.fixture
def rack_database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgresql_url")) if getattr(request, "param", "") == "postgresql" else ""


on_postgresql_too = pytest.mark.parametrize(
    "rack_database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)


def give(rack: Rack, *, loader: bool = True) -> tuple[int, str]:
    """A deployment of node1 up to its answer file; returns its number and the exact text."""
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        machine.release, machine.role = "rocky-9", "compute"
        machine.vars = {**machine.vars, "root_password_hash": HASH, "motd": "hello"}
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    if loader:
        machine.netboot()
    status, body = machine.get(f"{machine.answer_url}/kickstart")
    assert status == 200
    return number, body


def look(rack: Rack, number: int | None = None, kind: str = "") -> tuple[list[File], list[Compared]]:
    own = rack.provisioner
    with own.database.read() as session:
        machine = selectors.get(session, "node1")
        files = given.files(session, own.vault, given.attempt(session, machine, number), kind=kind)
        return files, given.compared(session, own.tools, machine, files)


def run(rack: Rack, *arguments: str) -> tuple[int, str]:
    settings = rack.provisioner.settings
    environment = {
        "PXEAPP_DATA_DIR": str(settings.data_dir),
        "PXEAPP_NODE_URL": settings.node_url,
        "PXEAPP_DATABASE_URL": settings.database_url,
    }
    done = CliRunner().invoke(main, ["given", *arguments], env=environment)
    return done.exit_code, done.output


@on_postgresql_too
def test_every_file_is_kept_byte_for_byte_and_shown_masked(rack: Rack) -> None:
    _, body = give(rack)
    files, compared = look(rack)
    assert [file.kind for file in files] == ["ipxe", "kickstart"]
    kickstart = files[1]
    assert kickstart.exact == body
    assert kickstart.sha256 == hashlib.sha256(body.encode()).hexdigest()
    assert kickstart.text is not None
    assert "rootpw --iscrypted ***" in kickstart.text
    assert "/a/***" in (files[0].text or "")
    shown = json.dumps([file.to_dict() for file in files] + [each.to_dict() for each in compared])
    for secret in (HASH, *_tokens(rack)):
        assert secret in (files[0].exact or "") + body
        assert secret not in shown
    assert [each.diff for each in compared] == ["", ""]
    assert [each.problem for each in compared] == ["", ""]


def _tokens(rack: Rack) -> list[str]:
    machine = rack.simulated()
    machine.netboot()
    return [machine.answer_url.rpartition("/")[2]]


def test_templates_with_their_versions_and_variables_are_on_record(rack: Rack) -> None:
    give(rack)
    folder = rack.provisioner.settings.templates_dir / "kickstarts"
    kickstart = look(rack, kind="kickstart")[0][0]
    ours = kickstart.made_from["kickstarts/base.ks"]
    assert ours == ("ours", hashlib.sha256((data_root() / "kickstarts/base.ks").read_bytes()).hexdigest())
    assert kickstart.variables["motd"] == "hello"
    assert kickstart.variables["root_password_hash"].startswith("***(")
    again = look(rack, kind="kickstart")[0][0]
    assert again.variables == kickstart.variables  # two attempts can be compared by it
    folder.mkdir(parents=True)
    (folder / "compute.ks").write_text("lang en_US\n# {{ spec.hostname }}\n")
    machine = rack.simulated()
    machine.netboot()
    machine.get(f"{machine.answer_url}/kickstart")
    theirs = look(rack, kind="kickstart")[0]
    assert [file.exact for file in theirs][1] == "lang en_US\n# node1\n"
    own = hashlib.sha256((folder / "compute.ks").read_bytes()).hexdigest()
    assert theirs[1].made_from["kickstarts/compute.ks"] == ("site", own)
    assert "kickstarts/base.ks" not in theirs[1].made_from
    assert theirs[0].made_from == kickstart.made_from


def test_nothing_secret_is_in_the_database_in_the_clear(rack: Rack) -> None:
    _, body = give(rack)
    with rack.provisioner.database.read() as session:
        rows = session.scalars(select(Served)).all()
        stored = b"".join([*(row.record or b"" for row in rows), *session.scalars(select(GivenBase.content))])
    assert len(stored) > 1000
    for piece in (HASH, "rootpw", "motd", *_tokens(rack)):
        assert piece.encode() not in stored
    bases = _bases(rack)
    assert all(HASH.encode() not in said for said in bases)  # nor within what outlives the machine
    assert any(b"rootpw --iscrypted ***" in said for said in bases)
    assert HASH in body


def _bases(rack: Rack) -> list[bytes]:
    with rack.provisioner.database.read() as session:
        rows = session.execute(select(GivenBase.sha256, GivenBase.content)).all()
    return [keeping._base_of(rack.provisioner.vault, *row)[1] for row in rows]


def test_what_many_machines_are_given_alike_is_kept_once(tmp_path: Path) -> None:
    keeper, now = Keeper(open_vault(tmp_path)), present()
    lines = "\n".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(150))
    kept = [
        keeper.keep(
            "kickstart",
            f"# node{number}\n{lines}\n",
            of=("rocky-9", "compute"),
            made_from={},
            variables={"number": number},
            now=now,
        )
        for number in range(50)
    ]
    assert len({each.base.sha256 for each in kept}) == 1
    assert max(len(each.record) for each in kept) < 200 < kept[0].size / 20
    base = (kept[0].base.sha256, kept[0].base.sealed)
    for number, each in enumerate(kept):
        opened = keeping.open_record(open_vault(tmp_path), "kickstart", each.sha256, each.record, base)
        assert opened.text == f"# node{number}\n{lines}\n"
        assert opened.variables == {"number": number}


@on_postgresql_too
def test_a_base_is_made_anew_after_a_while_and_deleted_when_nothing_needs_it(rack: Rack) -> None:
    give(rack)
    keeper, now = rack.provisioner.keeper, present()
    said: dict[str, Any] = {"of": ("r", "r"), "made_from": {}, "variables": {}}
    first = keeper.keep("kickstart", "x", now=now, **said).base
    assert keeper.keep("kickstart", "y", now=now + keeping.FRESH / 2, **said).base is first
    assert keeper.keep("kickstart", "z", now=now + keeping.FRESH, **said).base is not first
    assert keeper.keep("kickstart", "z", now=now - dt.timedelta(seconds=1), **said).base.at < now  # a clock set back
    with rack.provisioner.database.write() as session:
        session.execute(update(GivenBase).values(at=now - keeping.UNUSED - dt.timedelta(hours=1)))
        session.add(GivenBase(sha256="unused", at=now - 2 * keeping.UNUSED, content=b""))
        session.add(GivenBase(sha256="young", at=now, content=b""))
    rack.provisioner.templates.render("boot/local.pxelinux", reason="x")
    machine = rack.simulated()
    machine.get("/boot/grub.cfg?mac=52:54:00:00:00:01")
    with rack.provisioner.database.read() as session:
        left = set(session.scalars(select(GivenBase.sha256)))
        needed = set(session.scalars(select(Served.base)))
    assert left == {*needed, "young"}


@on_postgresql_too
def test_the_same_bytes_are_kept_once_and_other_bytes_besides(rack: Rack) -> None:
    give(rack)
    machine = rack.simulated()
    machine.netboot()
    for _ in range(2):
        machine.get(f"{machine.answer_url}/kickstart")
    assert [file.kind for file in look(rack)[0]].count("kickstart") == 1
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).vars = {"root_password_hash": HASH, "timezone": "Europe/Rome"}
    machine.get(f"{machine.answer_url}/kickstart")
    files, compared = look(rack, kind="kickstart")
    assert len(files) == 2
    assert "+timezone --utc Europe/Rome" in compared[0].diff
    assert compared[1].diff == ""


def test_a_changed_secret_shows_as_changed_and_does_not_show(rack: Rack) -> None:
    give(rack)
    other = HASH.replace("xxxx", "yyyy")
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).vars = {"root_password_hash": other, "motd": "hello"}
    diff = look(rack, kind="kickstart")[1][0].diff
    changed = [line for line in diff.splitlines() if "rootpw" in line]
    assert [line[0] for line in changed] == ["-", "+"]
    assert all("***(" in line and "$6$" not in line for line in changed)


def test_what_is_gone_or_cannot_be_made_today_is_said(rack: Rack) -> None:
    number, _ = give(rack)
    with rack.provisioner.database.write() as session:
        session.execute(text("UPDATE deployments SET outcome = 'failed'"))
        selectors.get(session, "node1", lock=True).release = None
    problem = "Today it would be given nothing: node1 has no release."
    assert {each.problem for each in look(rack, number)[1]} == {problem}
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        machine.release, machine.vars = "rocky-9", {"timezone": "no zone"}
    assert all("timezone" in each.problem for each in look(rack, number)[1])
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).vars = {}
    folder = rack.provisioner.settings.templates_dir / "kickstarts"
    folder.mkdir(parents=True)
    (folder / "compute.ks").write_text("{{ nothing }}")
    problem = look(rack, number, "kickstart")[1][0].problem
    assert problem.startswith("Today its kickstart could not be made: ")
    assert "kickstarts/compute.ks, line 1: 'nothing' is undefined" in problem


def test_a_script_that_told_a_refused_machine_to_boot_its_disk_is_compared_with_its_like(rack: Rack) -> None:
    give(rack)
    assert "sanboot" in rack.simulated("10.77.0.99").netboot()
    files, compared = look(rack, kind="ipxe")
    assert "sanboot" in (files[-1].exact or "")
    assert [each.diff for each in compared] == ["", ""]


def test_old_rows_and_damaged_ones_say_so(rack: Rack) -> None:
    give(rack)
    with rack.provisioner.database.write() as session:
        session.execute(update(Served).where(Served.kind == "ipxe").values(record=None, base=None))
        session.execute(update(Served).where(Served.kind == "kickstart").values(record=b"x" * 50))
    files, compared = look(rack)
    assert [file.text for file in files] == [None, None]
    assert files[0].problem == "It was given before texts were kept; only its hash is known."
    assert "cannot be opened with the present key file, or somebody has changed it" in files[1].problem
    assert [each.problem for each in compared] == [file.problem for file in files]
    code, output = run(rack, "node1")
    assert code == 0
    assert "only its hash is known" in output
    code, output = run(rack, "node1", "--kind", "ipxe")
    assert (code, output) == (2, "pxeapp: It was given before texts were kept; only its hash is known.\n")
    with rack.provisioner.database.write() as session:
        session.execute(delete(GivenBase))
    assert "is not in the database any more" in look(rack, kind="kickstart")[0][0].problem


def test_a_record_in_another_rows_place_is_not_believed(rack: Rack) -> None:
    give(rack)
    with rack.provisioner.database.write() as session:
        mine = session.execute(select(Served.record).where(Served.kind == "ipxe")).scalar_one()
        session.execute(update(Served).where(Served.kind == "kickstart").values(record=mine))
    assert look(rack, kind="kickstart")[0][0].exact is None


@on_postgresql_too
def test_it_is_forgotten_with_its_machine(rack: Rack) -> None:
    give(rack)
    with rack.provisioner.database.write() as session:
        session.execute(delete(Machine))
    with rack.provisioner.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Served)) == 0


def test_the_command_lists_shows_and_compares(rack: Rack) -> None:
    number, body = give(rack)
    code, output = run(rack, "node1")
    assert code == 0
    assert output.startswith(f"node1, deployment {number} (rocky-9 as compute):\n")
    assert [line.split()[2] for line in output.splitlines()[1:]] == ["ipxe", "kickstart"]
    assert hashlib.sha256(body.encode()).hexdigest() in output
    code, output = run(rack, "node1", "--kind", "kickstart")
    assert (code, output) == (0, look(rack, kind="kickstart")[0][0].text)
    code, output = run(rack, "node1", "--diff")
    assert (code, output.splitlines()[0]) == (0, "ipxe: today it would be given the same.")
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).vars = {"root_password_hash": HASH, "timezone": "Europe/Rome"}
    code, output = run(rack, "node1", "--diff", "--deployment", str(number))
    assert code == 1
    assert output.splitlines()[1].startswith("--- kickstart given 2")
    assert "+timezone --utc Europe/Rome" in output
    code, output = run(rack, "node1", "--diff", "--json")
    assert code == 1
    items = json.loads(output)["items"]
    assert [item["today"]["same"] for item in items] == [True, False]
    code, output = run(rack, "node1", "--kind", "kickstart", "--exact")
    assert (code, output) == (0, body)
    with rack.provisioner.database.read() as session:
        row = session.scalars(select(AuditRow).where(AuditRow.action == "given.exact")).one()
        assert (row.actor, row.subject, row.details["kind"]) == ("user:local", "node1", "kickstart")
        assert row.details["sha256"] == hashlib.sha256(body.encode()).hexdigest()


def test_what_there_is_not_is_refused_with_what_there_is(rack: Rack) -> None:
    assert run(rack, "node1") == (2, "pxeapp: node1 was never deployed, so it was given nothing.\n")
    number, _ = give(rack)
    assert run(rack, "node1", "--deployment", "4711") == (
        2,
        f"pxeapp: node1 has no deployment 4711. It has: {number}.\n",
    )
    code, output = run(rack, "node1", "--kind", "preseed")
    assert code == 2
    assert "It was given: ipxe, kickstart." in output
    code, output = run(rack, "node1", "--exact")
    assert (code, output) == (2, "pxeapp: The exact text is shown of one kind at a time. Add --kind.\n")
    assert run(rack, "nobody")[0] == 2
