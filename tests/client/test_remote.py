"""The commands against a served appliance: the same output as on the appliance itself, the same refusals and codes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pxeapp import config
from pxeapp.accounts import second_factor, service, totp
from pxeapp.bmc import orders
from pxeapp.bmc.connect import FAKE_FOLDER
from pxeapp.bmc.fake import FakeBmc
from pxeapp.cli import main
from pxeapp.client import signing_in
from pxeapp.consoles import door
from pxeapp.consoles.holder import Holder
from pxeapp.db import Database, now
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.software import adding
from pxeapp.software.releases import Description
from pxeapp.vault import Vault, open_vault
from tests.consoles.conftest import wait_until
from tests.ports import free_port
from tests.ui import rack, served


@dataclass
class Both:
    """A served appliance, and how `pxeapp` is called on it and from afar."""

    url: str
    folder: Path
    database: Database
    tokens: dict[str, str]

    def environ(self, **more: str) -> dict[str, str]:
        """Of whoever is at the appliance; nobody's profiles."""
        return {"PXEAPP_DATA_DIR": str(self.folder / "data"), "HOME": str(self.folder / "nobody"), **more}

    def from_afar(self, role: str = "admin", **more: str) -> dict[str, str]:
        """Of whoever has a token of this role."""
        file = self.folder / f"token-{role}"
        file.write_text(self.tokens[role])
        return self.environ(PXEAPP_URL=self.url, PXEAPP_TOKEN_FILE=str(file), **more)

    def here(self, *words: str, **more: Any) -> Result:
        return CliRunner().invoke(main, list(words), env=self.environ(), **more)

    def afar(self, *words: str, role: str = "admin", **more: Any) -> Result:
        return CliRunner().invoke(main, list(words), env=self.from_afar(role), **more)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("served")
    tokens: dict[str, str] = {}

    def fill(database: Database, vault: Vault) -> None:
        for name in ("linux", "initrd.gz"):
            (folder / name).write_bytes(name.encode())
        settings = config.load({"PXEAPP_DATA_DIR": str(folder / "data")})
        debian = Description(name="debian-13", family="debian", version="13", install_url="{node_url}/mirror/debian")
        adding.from_directory(
            database, settings, debian, folder, kernel="linux", initrd="initrd.gz", actor="test", now=now()
        )
        rack.fill(database, vault, now=now())
        with database.write() as session:
            for role in ("viewer", "operator", "admin"):
                _, tokens[role] = service.create_token(session, name=f"the-{role}", role=role, actor="t", now=now())
            owner = service.get_user(session, "admin")
            _, tokens["own"] = service.create_token(session, name="own", role="admin", user=owner, actor="t", now=now())
            reading = [{"name": "PSU [/x]", "value": 1, "unit": "V", "health": "ok", "states": ["[on]"]}]
            orders.keep(session, 1, "sensors", {"items": reading, "health": "ok"}, now=now())

    with served.serve(folder, filled=fill) as appliance:
        yield Both(appliance.url, folder, appliance.database, tokens)


SAME = (
    "machine list", "machine list --search storage --json", "machine show 52-54-00-00-01-01",
    "machine show compute-04 --json", "machine show nobody", "machine events compute-01", "machine explain storage-02",
    "machine power compute-01", "machine sensors compute-01", "machine sensors compute-02", "machine sel compute-01",
    "machine bulk lock --on --state active --dry-run", "machine bulk power compute-01 --dry-run", "deployment list",
    "deployment list --running --json", "deployment show 1", "deployment show 999", "job show 7", "check --json",
    "render compute-01 --kind preseed", "render new-01", "diff compute-01 --var timezone=Asia/Tokyo",
    "diff --role compute --set packges=x", "given compute-01", "given new-01", "variables --role compute",
    "variables compute-01 --json", "cluster list --json", "cluster show nothing", "release list",
    "release show debian-13",
    "release verify", "inventory ansible --list", "inventory ansible --host nobody", "user list", "token list --json",
    "audit list --limit 5 --action release.*", "audit list --since yesterday", "audit export --action release.*",
)  # fmt: skip


@pytest.mark.parametrize("line", SAME)
def test_a_command_prints_the_same_here_and_from_afar(both: Both, line: str) -> None:
    there = both.afar(*line.split())
    here = both.here(*line.split())
    assert (there.stdout, there.stderr, there.exit_code) == (here.stdout, here.stderr, here.exit_code)
    assert here.exit_code in (0, 1, 2), here.output
    assert here.stdout or here.stderr.startswith("pxeapp: ")
    assert here.exception is None or isinstance(here.exception, SystemExit), here.exception


def test_what_is_changed_from_afar_is_changed_there_as_whoever_the_token_is(both: Both, tmp_path: Path) -> None:
    rows = tmp_path / "rows.yaml"
    rows.write_text("- {name: far-01, mac: '52:54:00:00:0f:01', role: compute}\n")
    assert both.afar("machine", "import", str(rows), role="operator").output == "1 created, 0 updated, 0 unchanged.\n"
    assert both.afar("cluster", "create", "prod", "--var", "debug=true").exit_code == 0
    assert both.afar("cluster", "set", "prod", "--var", "region=4.0", "--unset", "debug").exit_code == 0
    assert json.loads(both.here("cluster", "show", "prod", "--json").stdout)["vars"] == {"region": "4.0"}
    assert both.afar("cluster", "rotate", "prod", "rabbit_password", "--yes").output.startswith("rabbit_password made")
    assert both.afar("cluster", "delete", "prod", "--yes").exit_code == 0
    assert "only observes" in both.afar("observe", "--reason", "A drill").output
    assert "again" in both.afar("resume").output
    assert both.afar("machine", "delete", "far-01", "--yes").output == "far-01 is forgotten.\n"
    seen = json.loads(both.here("audit", "list", "--json", "--limit", "20").stdout)["items"]
    who = {row["action"]: row["actor"] for row in seen}
    assert who["machine.import"] == "token:the-operator"
    assert who["machine.delete"] == who["appliance.resume"] == "token:the-admin"


def test_a_file_with_faults_is_refused_line_by_line_as_here(both: Both, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("name,mac\nA B,52:54:00:00:00:01\nnode2,zz\n")
    there, here = both.afar("machine", "import", str(rows)), both.here("machine", "import", str(rows))
    assert there.exit_code == here.exit_code == 1
    assert there.stderr == here.stderr
    assert "line 3" in there.stderr


def test_users_and_tokens_are_kept_from_afar(both: Both) -> None:
    first = both.afar("user", "add", "eve", "--role", "operator", "--one-time").output.strip()
    with both.database.read() as session:
        assert service.sign_in(session, "eve", first, now=now()).must_change_password
    assert both.afar("user", "change", "eve", "--role", "viewer").output == "eve is viewer, all machines.\n"
    secret = both.afar("token", "create", "--role", "viewer", "--user", "eve", "--days", "3").output.strip()
    assert secret.startswith("pxe_")
    listed = json.loads(both.afar("token", "list", "--json").stdout)["items"][-1]
    assert (listed["user"], listed["revoked"]) == ("eve", False)
    both.afar("token", "revoke", str(listed["id"]))
    assert json.loads(both.here("token", "list", "--json").stdout)["items"][-1]["revoked"]


@pytest.mark.parametrize(
    "line",
    ["user list", "cluster create x", "machine power compute-01 on", "audit list", "machine delete spare-01 --yes"],
)
def test_what_the_role_may_not_do_ends_with_5(both: Both, line: str) -> None:
    done = both.afar(*line.split(), role="viewer")
    assert done.exit_code == 5
    assert "the-viewer is viewer" in done.stderr


def test_a_dead_token_ends_with_5_and_nobody_there_with_4(both: Both, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("pxe_nothing-that-was-ever-made")
    scripted = {"PXEAPP_URL": both.url, "PXEAPP_TOKEN_FILE": str(file)}
    assert CliRunner().invoke(main, ["machine", "list"], env=both.environ(**scripted)).exit_code == 5
    scripted["PXEAPP_URL"] = f"http://127.0.0.1:{free_port()}"
    away = CliRunner().invoke(main, ["diff", "--to-role", "base"], env=both.environ(**scripted))
    assert away.exit_code == 4
    assert file.read_text() not in away.output


def test_what_touches_machines_is_not_done_unasked(both: Both) -> None:
    for line in (
        "machine release compute-01", "machine delete compute-01", "machine power compute-01 off",
        "machine power compute-01 cycle", "machine deploy compute-01 --reimage", "machine bulk lock --on compute-01",
        "release delete debian-13",
    ):  # fmt: skip
        for call in (both.here, both.afar):
            done = call(*line.split())
            assert done.exit_code == 1, line
            assert "Add --yes" in done.stderr
            assert "compute-01" in done.stderr or "debian-13" in done.stderr
    with both.database.read() as session:
        row = session.get_one(Machine, 1)
        assert (row.name, row.state, row.locked) == ("compute-01", "active", False)


def test_one_is_asked_on_a_terminal_and_no_is_no(both: Both) -> None:
    said, code = on_terminal(both.from_afar(), "machine", "release", "compute-01", type_in="n\n")
    assert "compute-01 (52:54:00:00:01:01, active, compute on debian-13) is taken out of use." in said
    assert code == 1
    said, code = on_terminal(
        both.from_afar(), "machine", "bulk", "label", "--set", "a=b", "--role", "compute", type_in="3\n"
    )
    assert "Type 4 to do it" in said
    assert code == 1
    assert both.here("job", "list", "--json").stdout.count('"id"') == 0


def test_a_bulk_action_touches_as_many_as_it_said(both: Both) -> None:
    refused = both.afar("machine", "bulk", "label", "--set", "a=b", "--role", "compute", "--expect", "5", "--yes")
    assert (refused.exit_code, "4 machines and not 5" in refused.stderr) == (1, True)
    job = json.loads(
        both.afar("machine", "bulk", "label", "--set", "a=b", "--role", "compute", "--yes", "--json").stdout
    )
    assert (job["action"], job["total"], job["options"]) == ("label", 4, {"set": {"a": "b"}})
    late = both.afar("machine", "bulk", "lock", "--on", "spare-01", "--yes", "--wait", "--timeout", "1")
    assert (late.exit_code, "not over in time" in late.stderr) == (4, True)  # no worker runs here
    shown = both.afar("job", "show", str(job["id"])).stdout
    assert re.search(r"^compute-01 +waiting", shown, re.MULTILINE)
    assert "begins nothing more" in both.here("job", "cancel", str(job["id"])).output


def test_a_deployment_is_watched_until_it_is_over_and_a_failure_is_told(both: Both) -> None:
    number = deployment_of(both, "compute-04")
    watching = run(both.from_afar(), "deployment", "show", str(number), "--watch", "--json", "--timeout", "60")
    try:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["outcome"] is None
        end(both, number, "failed", "No space was left.")
        said, error = watching.communicate(timeout=60)
    finally:
        watching.kill()
    assert json.loads(said.splitlines()[-1])["outcome"] == "failed"
    assert (watching.returncode, "No space was left." in error) == (1, True)


@pytest.mark.parametrize("where", ["afar", "here"])
def test_watching_ends_by_ctrl_c_with_130_and_by_its_time_with_4(both: Both, where: str) -> None:
    environ = both.from_afar() if where == "afar" else both.environ()
    watching = run(environ, "machine", "list", "--watch")
    try:
        assert watching.stdout is not None
        assert "mac" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, error = watching.communicate(timeout=60)
    finally:
        watching.kill()
    assert (watching.returncode, "Traceback" in error) == (130, False)
    call: Callable[..., Result] = both.afar if where == "afar" else both.here
    late = call("machine", "show", "compute-01", "--watch", "--timeout", "1")
    assert (late.exit_code, late.stdout.count("compute-01")) == (4, 1)  # nothing changed, so it is printed once


def test_without_a_terminal_nothing_is_animated(both: Both) -> None:
    done = both.afar("machine", "list", "--watch", "--timeout", "1")
    assert "\x1b" not in done.output


def test_login_keeps_a_profile_and_logout_revokes_its_token(both: Both, tmp_path: Path) -> None:
    home = both.environ(HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / "config"))

    def pxeapp(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(main, list(words), env=home, input=given)

    done = pxeapp("login", both.url, "--name", "lab", given=f"{both.tokens['own']}\n")
    assert done.exit_code == 0, done.output
    assert "token:own is admin, all machines, until it is revoked." in done.stdout
    assert both.tokens["own"] not in done.output
    assert "compute-01" in pxeapp("machine", "list").stdout
    assert json.loads(pxeapp("profile", "list", "--json").stdout)["items"][0]["current"]
    assert "token:own is admin" in pxeapp("profile", "show").stdout
    assert both.tokens["own"] not in pxeapp("profile", "show", "--json").output
    refused = pxeapp("doctor")
    assert (refused.exit_code, "pxeapp --local doctor" in refused.stderr) == (1, True)
    assert pxeapp("profile", "use", "-").exit_code == 0
    assert "No profile is used" in pxeapp("profile", "show").stdout
    assert "compute-01" in pxeapp("--profile", "lab", "machine", "list").stdout
    gone = pxeapp("logout", "lab")
    assert (gone.exit_code, "its token is revoked" in gone.stdout) == (0, True)
    assert json.loads(pxeapp("profile", "list", "--json").stdout)["items"] == []
    again = pxeapp("login", both.url, "--name", "lab", given=f"{both.tokens['own']}\n")
    assert (again.exit_code, "not valid" in again.stderr) == (5, True)
    assert json.loads(pxeapp("profile", "list", "--json").stdout)["items"] == []


def test_login_with_a_password_has_a_token_made_that_ends(both: Both, tmp_path: Path) -> None:
    home = both.environ(HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / "config"))

    def pxeapp(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(main, list(words), env=home, input=given)

    wrong = pxeapp("login", both.url, "--user", "admin", given="not-it\n")
    assert (wrong.exit_code, "User name or password is wrong" in wrong.stderr) == (5, True)
    done = pxeapp("login", both.url, "--name", "lab", "--user", "admin", "--days", "2", given=f"{served.PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert "is admin, all machines, until 20" in done.stdout
    assert served.PASSWORD not in done.output + (tmp_path / "config" / "pxeapp" / "profiles.toml").read_text()
    assert "compute-01" in pxeapp("machine", "list").stdout
    assert "its token is revoked" in pxeapp("logout", "lab").stdout
    (tmp_path / "password").write_text(f"{served.PASSWORD}\n")
    read = pxeapp("login", both.url, "--user", "admin", "--password-file", str(tmp_path / "password"), "--read-only")
    assert read.exit_code == 0, read.output
    assert pxeapp("machine", "abort", "compute-01").exit_code == 5
    for words in (("--token-file", str(tmp_path / "password"), "--user", "admin"), ("--days", "2")):
        assert pxeapp("login", both.url, *words).exit_code == 2


def test_login_asks_for_the_code_of_a_second_factor(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = both.environ(HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / "config"))
    vault = open_vault(both.folder / "data")
    with both.database.write() as session:
        user = service.create_user(session, name="ada", role="viewer", password=served.PASSWORD, actor="t", now=now())
        secret = second_factor.begin(session, vault, user)
        second_factor.confirm(session, vault, user, totp.code(secret, totp.step_of(now()) - 1), now=now())

    def login(given: str) -> Result:
        return CliRunner().invoke(main, ["login", both.url, "--user", "ada"], env=home, input=given)

    silent = login(f"{served.PASSWORD}\n")  # no terminal: nobody can be asked
    assert (silent.exit_code, "second factor" in silent.stderr) == (1, True)
    monkeypatch.setattr(signing_in, "can_ask", lambda: True)
    done = login(f"{served.PASSWORD}\n000000\n{totp.code(secret, totp.step_of(now()))}\n")
    assert done.exit_code == 0, done.output
    assert "The code is wrong or was used before" in done.stderr
    assert "is viewer" in done.stdout


def test_a_token_that_may_not_revoke_itself_says_who_can(both: Both, tmp_path: Path) -> None:
    home = both.environ(XDG_CONFIG_HOME=str(tmp_path))
    file = tmp_path / "token"
    file.write_text(both.tokens["viewer"])
    assert CliRunner().invoke(main, ["login", both.url, "--token-file", str(file)], env=home).exit_code == 0
    done = CliRunner().invoke(main, ["logout"], env=home)
    assert done.exit_code == 0
    assert re.search(r"The profile 127\.0\.0\.1 is forgotten; .* An admin can: pxeapp token revoke \d+", done.stdout)


def test_a_console_is_watched_and_typed_into_from_afar(both: Both) -> None:
    settings = config.load({"PXEAPP_DATA_DIR": str(both.folder / "data")})
    with both.database.write() as session:
        bmc = selectors.get(session, "compute-03").bmc
        assert bmc is not None
        bmc.type, bmc.address = "fake", "c3"
    fake, holder, stop = FakeBmc(settings.data_dir / FAKE_FOLDER, "c3"), Holder(settings), threading.Event()
    thread = threading.Thread(target=holder.run, args=(stop,))
    thread.start()
    wait_until(lambda: (settings.run_dir / "console.sock").exists(), what="the console process")
    attached = run(both.from_afar("operator"), "machine", "console", "compute-03", stdin=subprocess.PIPE)
    try:
        assert attached.stdin is not None
        assert attached.stdout is not None
        standing = {"do": "state", "machine": 3}
        wait_until(lambda: door.ask(settings, standing)["state"] == "open", seconds=60, what="the line")
        fake.says(b"node login: ")
        assert attached.stdout.read(12) == "node login: "
        attached.stdin.write("uname\r")
        attached.stdin.flush()
        assert attached.stdout.read(6) == "uname\n"  # its echo; the pipe is read as text
        attached.send_signal(signal.SIGINT)
        _, error = attached.communicate(timeout=60)
        assert (attached.returncode, "Traceback" in error) == (130, False)
        looking = run(both.from_afar("viewer"), "machine", "console", "compute-03", stdin=subprocess.PIPE)
        _, error = looking.communicate("x", timeout=60)
        assert (looking.returncode, "the-viewer is viewer" in error) == (5, True)
    finally:
        attached.kill()
        stop.set()
        thread.join(60)
        holder.database.dispose()
    seen = json.loads(both.here("audit", "list", "--json", "--action", "console.*", "--subject", "compute-03").stdout)
    assert [(row["action"], row["actor"]) for row in seen["items"]] == [
        ("console.open", "token:the-operator"), ("console.type", "token:the-operator"),
        ("console.open", "token:the-viewer"),
    ]  # fmt: skip


def deployment_of(both: Both, name: str) -> int:
    with both.database.read() as session:
        return next(
            row.id for row in session.query(Deployment) if session.get_one(Machine, row.machine_id).name == name
        )


def end(both: Both, number: int, outcome: str, reason: str) -> None:
    with both.database.write() as session:
        row = session.get_one(Deployment, number)
        row.outcome, row.reason, row.finished_at = outcome, reason, now()


def run(environ: dict[str, str], *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """A process that Ctrl-C reaches: where the tests run in the background, they and their children are deaf to it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "pxeapp", *words], env={**inherited, **environ}, text=True, stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def on_terminal(environ: dict[str, str], *words: str, type_in: str) -> tuple[str, int]:
    """What is shown on a terminal at which somebody types once they are asked, and the exit code."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PXEAPP_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pxeapp", *words], env={**inherited, **environ}, stdin=theirs, stdout=theirs,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said, typed, deadline = b"", False, time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:  # it has closed the terminal
                break
            said += piece
            if not typed and b"do it" in said.lower():
                typed = True
                os.write(ours, type_in.encode())
        return " ".join(said.decode().split()), process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
