"""`pxeapp rollout`: what it prints, what it asks, and what it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp.cli import main
from tests.api.conftest import Api, api, prepared, routed
from tests.ui import rolling
from tests.ui.rolling import PLAN, Rolling

__all__ = ["api", "prepared", "routed"]


@pytest.fixture
def rolled(api: Api, monkeypatch: pytest.MonkeyPatch) -> Rolling:
    """The runner of the appliance that `pxeapp` on this host means."""
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(api.context.settings.data_dir))
    rolling.fill(api.context.database)
    return Rolling(api.context.database)


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """A file."""
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return str(path)


def rollout(*words: str) -> Result:
    return CliRunner().invoke(main, ["rollout", *words])


def test_a_preview_prints_waves_limits_and_arithmetic_and_saves_nothing(rolled: Rolling, plan: str) -> None:
    said = rollout("preview", plan)
    assert said.exit_code == 0, said.output
    assert "9 machines; at most 2 down, 1 failures." in said.output
    assert "the canary: 1: roll-01; then it waits for somebody" in said.output
    assert "wave 1: 4: roll-02, roll-03, roll-04, roll-05" in said.output
    assert "3 controllers" in said.output
    assert "This is a guess" in said.output
    assert json.loads(rollout("list", "--json").output)["items"] == []
    assert json.loads(rollout("preview", plan, "--json").output)["total"] == 9


def test_what_is_wrong_in_the_file_is_said_with_its_line(rolled: Rolling, plan: str) -> None:
    Path(plan).write_text(PLAN + "order: 1\n")
    said = rollout("create", plan)
    assert said.exit_code == 1
    assert "'order' stands twice" in said.output
    Path(plan).write_text(PLAN.replace("canary: 1", "canary: nine"))
    assert "line 6: order.canary: is not possible here." in rollout("preview", plan).output


def test_one_is_made_started_watched_and_gone_on_with(rolled: Rolling, plan: str) -> None:
    assert "Rollout 1 (reboot-the-rack) is planned" in rollout("create", plan).output
    unasked = rollout("start", "1")
    assert unasked.exit_code == 1
    assert "Add --yes to do it." in unasked.output
    assert "is running" in rollout("start", "1", "--yes").output
    rolled.turn(8)
    watched = rollout("watch", "1")
    assert watched.exit_code == 1, "it waits for somebody"
    assert "It goes on when somebody says so." in watched.output
    assert "rollout: 0 of 2 down" in watched.output
    assert "is running" in rollout("continue", "1").output
    rolled.turn(70)
    ended = rollout("watch", "1")
    assert ended.exit_code == 0, ended.output
    assert "9 machines: 9 done." in ended.output
    assert [line.split()[:3] for line in rollout("list").output.splitlines()[1:]] == [["1", "reboot-the-rack", "done"]]


def test_a_machine_that_failed_is_shown_with_its_log_and_is_retried_or_skipped(rolled: Rolling, plan: str) -> None:
    rolled.script.breaks.add(("roll-01", "verify"))
    assert rollout("create", plan, "--start", "--yes").exit_code == 0
    rolled.turn(8)
    shown = rollout("show", "1", "--state", "failed")
    assert "roll-01" in shown.output
    assert "It does not answer on ssh." in shown.output
    one = rollout("machine", "1", "roll-01", "--log")
    assert "==> verify, try 1 <==\nssh: no" in one.output
    assert json.loads(rollout("machine", "1", "roll-01", "--json").output)["steps"][0]["step"] == "drain"
    assert rollout("retry", "1").exit_code == 2, "which machine, or which wave"
    assert rollout("retry", "1", "--machine", "roll-01").exit_code == 0
    rolled.turn(2)
    assert rollout("skip", "1", "--machine", "roll-01").exit_code == 0
    assert "--yes" in rollout("skip", "1", "--wave", "2").output
    assert rollout("skip", "1", "--wave", "2", "--yes").exit_code == 0
    assert "No machine of wave 2" in rollout("retry", "1", "--wave", "2").output


def test_it_is_paused_resumed_and_aborted_with_reasons(rolled: Rolling, plan: str) -> None:
    rollout("create", plan, "--start", "--yes")
    assert "is paused. Paused by user:local: a look" in rollout("pause", "1", "--reason", "a look").output
    assert "is running" in rollout("resume", "1").output
    assert "--yes" in rollout("abort", "1").output
    assert rollout("abort", "1", "--reason", "enough", "--yes").exit_code == 0
    assert rollout("start", "1", "--yes").exit_code == 1


def test_what_would_be_patched_names_whom_nobody_could_ask(rolled: Rolling, plan: str) -> None:
    Path(plan).write_text(PLAN.replace("action: reboot", "action: {patch: {packages: all}}"))
    assert rollout("packages", plan).output.count("could not be asked") == 9
