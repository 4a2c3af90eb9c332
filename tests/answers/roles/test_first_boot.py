"""The first boot's script, really run: steps in their order, patience, what a failure says, its own removal."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import pytest

from pxeapp.answers.roles import work
from pxeapp.templates import Templates
from tests.answers.appliance import Appliance, running
from tests.answers.roles.test_work import first_boot
from tests.answers.samples import spec

pytestmark = pytest.mark.network
ROLE = """
variables:
  gpu_password: {type: password, secret: true}
  first_boot_minutes: {type: integer, default: 1}
"""


@pytest.fixture
def script(tmp_path: Path) -> tuple[Path, Path]:
    """A site's role, and a system in a folder."""
    folder = tmp_path / "site/roles/gpu"
    folder.mkdir(parents=True)
    (folder / "role.yaml").write_text(ROLE)
    system = tmp_path / "system"
    for place in ("etc/systemd/system/pxeapp-first-boot.service.d", "usr/local/sbin", "var/log"):
        (system / place).mkdir(parents=True)
    (system / "usr/local/sbin/pxeapp-role").touch()
    (system / "etc/systemd/system/pxeapp-first-boot.service.d/role.conf").touch()
    return folder, system


def run(script: tuple[Path, Path], appliance: Appliance, checklist: str, *, give_up: str = "60 * 60") -> int:
    folder, system = script
    (folder / "first-boot.sh").write_text(checklist)
    found = spec("debian", "13", "gpu", callback_url=appliance.url, vars={"gpu_password": "hush-hush-1234"})
    text = first_boot(work.of(found, Templates(folder.parent.parent)))
    for place in ("/var/log", "/etc/systemd", "/usr/local/sbin"):
        text = text.replace(f" {place}/", f" {system}{place}/").replace(f"={place}/pxeapp", f"={system}{place}/pxeapp")
    text = text.replace("1 * 60", give_up).replace("sleep 5", "sleep 0.1").replace("-ge 300", "-ge 1")
    return subprocess.run(["bash", "-c", text], capture_output=True, timeout=60, check=False).returncode


def test_steps_are_reported_in_their_order_and_the_checklist_removes_itself(script: tuple[Path, Path]) -> None:
    _, system = script
    with running() as appliance:
        assert run(script, appliance, f"one() {{ touch {system}/one; }}\nstep 'First' one\nstep 'Second' true\n") == 0
        said = [(event["event"], event["message"]) for event in appliance.events]
    assert said == [("setting_up", "First"), ("setting_up", "Second"), ("setting_up", "The role gpu is set up.")]
    assert (system / "one").exists()
    assert not (system / "usr/local/sbin/pxeapp-role").exists()
    assert not (system / "etc/systemd/system/pxeapp-first-boot.service.d").exists()


def test_what_does_not_work_yet_is_tried_again(script: tuple[Path, Path]) -> None:
    _, system = script
    with running() as appliance:
        checklist = (
            f"later() {{ echo x >>{system}/tries; [ $(wc -l <{system}/tries) = 3 ]; echo done; }}\nstep 'Later' later\n"
        )
        assert run(script, appliance, checklist) == 0
    assert (system / "tries").read_text() == "x\n" * 3


def test_each_command_of_a_step_counts_and_a_failure_is_said_without_secrets(script: tuple[Path, Path]) -> None:
    _, system = script
    with running() as appliance:
        secret = "{{ vars.gpu_password }}"
        bad = f'bad() {{ echo "no {secret} \\"here\\""; false; touch {system}/never; }}'
        checklist = f'{bad}\nstep "Bad" bad\nstep Next true\n'
        assert run(script, appliance, checklist, give_up="0") == 1
        last = appliance.events[-1]
    assert (last["event"], "no *** 'here'" in last["message"]) == ("setup_failed", True)
    assert not (system / "never").exists()
    assert (system / "usr/local/sbin/pxeapp-role").exists()  # it can be started again
    assert "Next" not in str(appliance.events)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(script: tuple[Path, Path]) -> None:
    _, system = script
    with running() as appliance:
        hangs = f"hangs() {{ sh -c 'echo $$ >{system}/pid; sleep 600' | cat; }}\nstep Hangs hangs\n"
        assert run(script, appliance, hangs, give_up="0") == 1
        last = appliance.events[-1]
    assert (last["event"], "It hung." in last["message"]) == ("setup_failed", True)
    stat = Path(f"/proc/{(system / 'pid').read_text().strip()}/stat")
    with contextlib.suppress(OSError):  # gone while it is read
        while stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":  # one that lives on is ended by the tests' timeout
            time.sleep(0.05)


def test_it_goes_on_when_the_appliance_knows_it_no_more(script: tuple[Path, Path]) -> None:
    with running(404) as appliance:
        assert run(script, appliance, "step 'Only' true\n") == 0
