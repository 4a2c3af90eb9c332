"""Patch, run and the gates against a real sshd: packages are upgraded, connections cut, appliances made anew."""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.nodes.here import JobsHere
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.gates.command import Command
from pxeapp.rollouts.gates.rebooted import Rebooted
from pxeapp.rollouts.gates.ssh import Ssh
from pxeapp.rollouts.port import Done, Failed, Outcome, Step, Subject, Waiting
from pxeapp.rollouts.spec import CommandGate, RebootedGate, Spec, SshGate
from pxeapp.rollouts.spec import Patch as PatchSpec
from pxeapp.rollouts.steps import salt_result
from pxeapp.rollouts.steps.patch import Patch
from pxeapp.rollouts.steps.patch_preview import patch_preview
from pxeapp.rollouts.steps.playbook import Playbooks
from pxeapp.rollouts.steps.run import Run
from pxeapp.vault import Vault
from tests.nodes import conftest as machines
from tests.nodes.sshd import Sshd
from tests.rollouts.steps.apt_root import AptRoot

NODE_URL = "http://10.0.0.1:8081"

pytestmark = pytest.mark.network
vault, sshd, machine_id, nodes = machines.vault, machines.sshd, machines.machine_id, machines.nodes
T0 = machines.T0
APT = pytest.mark.skipif(shutil.which("dpkg-scanpackages") is None, reason="apt install dpkg-dev")


def subject(
    machine_id: int, action: dict[str, Any], step: str, earlier: dict[str, Any] | None = None, tries: int = 1
) -> Subject:
    spec = Spec.model_validate({"name": "x", "machines": {"names": ["m1"]}, "action": action})
    return Subject(
        rollout_id=3, member_id=7, machine_id=machine_id, machine="m1", role=None, release=None, cluster=None,
        spec=spec, step=step, tries=tries, began_at=T0, earlier=earlier or {},
    )  # fmt: skip


def walked(step: Step, about: Subject, memory: Mapping[str, Any] | None = None) -> tuple[Done | Failed, str]:
    """Look until it is over, as the runner does: what may pass by itself is looked at again with the same memory."""
    remembered, log = memory or {}, ""
    give_up = time.monotonic() + 200
    while time.monotonic() < give_up:
        try:
            outcome: Outcome = step.look(about, remembered, now=T0)
        except PxeError as error:
            if not error.retryable:
                raise
            continue
        log += outcome.log
        if not isinstance(outcome, Waiting):
            return outcome, log
        remembered = outcome.memory
        time.sleep(0.05)
    raise AssertionError(remembered)


@pytest.fixture
def system(tmp_path: Path, sshd: Sshd, nodes: Nodes, machine_id: int) -> AptRoot:
    """What the sshd's sessions take for their system."""
    made = AptRoot(tmp_path / "system")
    made.install(made.build("alpha", "1.0"))
    made.build("alpha", "1.1", postinst=f"until [ -e {tmp_path}/go ]; do sleep 0.1; done")
    made.index("stable")
    made.index("stable-security")
    sshd.stop()
    sshd.environment = made.environment
    sshd.start()
    # Never this host's own packages: its sessions must see the folder before anything is patched.
    seen = nodes.run(machine_id, 'apt-config dump Dir; echo "$DPKG_ROOT"', 60).output.splitlines()
    assert (seen[0], seen[-1]) == (f'Dir "{made.folder}";', str(made.folder))
    return made


@pytest.fixture
def patch(nodes: Nodes, tmp_path: Path) -> Patch:
    return Patch(nodes, Playbooks(nodes, JobsHere(tmp_path / "jobs here"), tmp_path / "playbooks"), NODE_URL)


@APT
def test_a_patch_goes_on_while_nobody_is_connected_and_a_new_appliance_finds_it(
    patch: Patch, system: AptRoot, machine_id: int, database: Database, vault: Vault, sshd: Sshd, tmp_path: Path
) -> None:
    about = subject(machine_id, {"patch": {}}, "patch")
    memory: Mapping[str, Any] = {}
    give_up = time.monotonic() + 200
    while "Setting up alpha" not in str(memory.get("last")):
        assert time.monotonic() < give_up
        outcome = patch.look(about, memory, now=T0)
        assert isinstance(outcome, Waiting), outcome
        memory = outcome.memory
    sshd.stop()
    with pytest.raises(PxeError) as lost:
        patch.look(about, memory, now=T0)
    assert lost.value.retryable
    (tmp_path / "go").touch()
    sshd.start()
    anew = Patch(Nodes(database, vault, folder=str(tmp_path / "jobs")), patch.playbooks, NODE_URL)
    done, log = walked(anew, about)  # it died before it wrote down that it had begun
    assert isinstance(done, Done), done
    assert done.says == "1 packages changed: alpha 1.0 -> 1.1."
    assert (done.evidence["changed"], done.memory["reboot_needed"]) == ([["alpha", "1.0", "1.1"]], False)
    assert log.count("Setting up alpha (1.1)") == 1
    assert "== packages after: 1\nalpha 1.1\n" in log
    assert system.versions() == {"alpha": "1.1"}


@APT
def test_a_preview_groups_machines_by_what_would_change_and_names_those_that_it_could_not_ask(
    nodes: Nodes, system: AptRoot, machine_id: int, database: Database, sshd: Sshd
) -> None:
    twin, stranger = machines.machine(database, "m2x"), machines.machine(database, "m3xx")
    machines.pin(database, twin, [sshd.host_key], port=sshd.port, username=sshd.user)
    found = patch_preview(nodes, {machine_id: "m1", twin: "m2x", stranger: "m3xx"}, PatchSpec(), NODE_URL)
    (group,) = found.groups
    assert (group.machines, [str(each) for each in group.found.changes]) == (("m1", "m2x"), ["alpha 1.0 -> 1.1"])
    assert list(found.not_asked) == ["m3xx"]
    assert "No ssh host key of m3xx is known" in found.not_asked["m3xx"]


def test_a_runbook_is_run_once_and_says_how_it_ended(nodes: Nodes, machine_id: int, tmp_path: Path) -> None:
    command = f"echo x >>{tmp_path}/count; echo flashed; exit 194"
    about = subject(machine_id, {"run": {"command": command}}, "run")
    done, log = walked(Run(nodes), about)
    assert isinstance(done, Done), done
    assert (log, done.memory["reboot_needed"]) == ("flashed\n", True)
    assert isinstance(walked(Run(nodes), about)[0], Done)  # with no memory of it
    assert (tmp_path / "count").read_text() == "x\n"
    failed, _ = walked(Run(nodes), subject(machine_id, {"run": {"command": "echo no image; exit 3"}}, "run", tries=2))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.says) == ("command_failed", "The command exited with 3: no image")


def test_a_runbook_that_hangs_is_ended_when_its_time_is_over(nodes: Nodes, machine_id: int) -> None:
    about = subject(machine_id, {"run": {"command": "echo up; sleep 600", "timeout": "1m"}}, "run")
    begun = Run(nodes).look(about, {}, now=T0)
    assert isinstance(begun, Waiting)
    give_up = time.monotonic() + 100
    while nodes.job(machine_id, about.token, 0).state != "running":
        assert time.monotonic() < give_up
    late = Run(nodes).look(about, begun.memory, now=T0 + dt.timedelta(minutes=2))
    assert isinstance(late, Failed)
    assert (late.code, late.says) == ("timeout", "The command did not end within 1m and was ended.")
    assert nodes.job(machine_id, about.token, 0).exit == 143


def test_gates_look_into_the_machine(nodes: Nodes, machine_id: int) -> None:
    about = subject(machine_id, {"reboot": {}}, "verify", {"drain": {"boot_id": nodes.boot_id(machine_id)}})
    assert Ssh(nodes).look(about, SshGate(), now=T0).holds
    same = Rebooted(nodes).look(about, RebootedGate(), now=T0)
    assert (same.holds, same.says) == (False, "Its boot id is still the one of before: it was not restarted.")
    other = subject(machine_id, {"reboot": {}}, "verify", {"drain": {"boot_id": "another"}})
    assert Rebooted(nodes).look(other, RebootedGate(), now=T0).holds
    fails = Command(nodes).look(about, CommandGate(command="echo 3 dead; exit 2"), now=T0)
    assert (fails.holds, fails.says) == (False, "The command exited with 2: 3 dead.")
    hangs = Command(nodes).look(about, CommandGate(command="sleep 60", timeout=dt.timedelta(seconds=1)), now=T0)
    assert (hangs.holds, hangs.says) == (False, "The command did not end within 1 s.")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")
def test_a_playbook_is_run_against_that_one_machine_by_its_pinned_key(
    patch: Patch, machine_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/bin")
    if shutil.which("ansible-playbook") is None:
        pytest.skip("ansible-core is not installed")
    folder = tmp_path / "playbooks"
    folder.mkdir()
    task = f"- raw: echo {{{{ inventory_hostname }}}} >>{tmp_path}/told\n"
    (folder / "ok.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n    {task}")
    about = subject(machine_id, {"patch": {"method": "ansible", "playbook": "ok.yml"}}, "patch")
    done, log = walked(patch, about)
    assert isinstance(done, Done), (done, log)
    assert "ok=1" in done.says
    assert (tmp_path / "told").read_text() == "m1\n"
    assert not list(tmp_path.glob("jobs here/*/key"))
    script = tmp_path / "jobs here" / about.token / "script"
    assert script.stat().st_mode & 0o077 == 0
    for name in ("../ok.yml", "missing.yml", "a b.yml"):
        spec = {"patch": {"method": "ansible", "playbook": name}}
        refused, _ = walked(patch, subject(machine_id, spec, "patch", tries=2))
        assert isinstance(refused, Failed)
        assert refused.code == "playbook"


def test_salts_answer_is_read() -> None:
    said = salt_result.read(
        '{"local": {"pkg_|-ssl_|-openssl_|-latest": {"result": true, "changes": {"openssl": {}}, "comment": "up"},'
        ' "service_|-web_|-nginx_|-running": {"result": false, "changes": {}, "comment": "The unit\\nis masked"}}}'
    )
    assert (said.states, said.changed, said.failed) == (
        2,
        ("pkg.latest ssl",),
        ("service.running web: The unit is masked",),
    )
    assert "Rendering SLS" in salt_result.read('{"local": ["Rendering SLS failed: line 3"]}').problem
    assert salt_result.read("").problem == "it gave no answer"
    assert salt_result.read("[1]").problem
