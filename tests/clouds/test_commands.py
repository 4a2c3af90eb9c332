"""`pxeapp cloud`: the same rules as the API, and no secret as an argument or in an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp.cli import main
from tests.clouds.fake_cloud import PASSWORD, FakeCloud, running

pytestmark = pytest.mark.network
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeCloud]:
    with running() as found:
        found.add_compute("node1")
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("appliance")
    environ = {"PXEAPP_DATA_DIR": str(folder), "PXEAPP_ROLLOUT_NETWORKS": "127.0.0.0/8", "HOME": str(folder)}

    def run(*words: str, given: str = "", fails: bool = False) -> Result:
        done = CliRunner().invoke(main, list(words), env=environ, input=given)
        assert (done.exit_code != 0) is fails, done.output
        return done

    run("db", "upgrade")
    return run


def test_a_cloud_is_added_checked_changed_and_removed(run: Run, cloud: FakeCloud, tmp_path: Path) -> None:
    keystone = ("--auth-url", f"{cloud.url}/identity/v3", "--username", "admin", "--project", "admin")
    assert "Add --secret" in run("cloud", "set", "prod", *keystone, fails=True).output
    run("cloud", "set", "prod", *keystone, "--secret", given=f"{PASSWORD}\n")
    shown = json.loads(run("cloud", "show", "prod", "--json").output)
    assert (shown["username"], shown["region"]) == ("admin", "")
    found = run("cloud", "check", "prod").output
    assert "1 compute services, 1 up" in found
    run("cloud", "set", "prod", "--region", "RegionOne")
    told = run("cloud", "list").output + run("audit", "list").output
    assert "RegionOne" in told
    assert PASSWORD not in told + json.dumps(shown)
    run("cloud", "set", "prod", "--application-credential", "8f2a", "--secret", given="wrong\n")
    assert "application credential 8f2a" in run("cloud", "show", "prod").output
    refused = run("cloud", "check", "prod", fails=True)
    assert "does not let us in" in refused.output
    assert "A rollout cannot work with prod so." in refused.output
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    assert "ca: is not a certificate" in run("cloud", "set", "prod", "--ca-file", str(ca), fails=True).output
    assert "Nothing was done" in run("cloud", "remove", "prod", fails=True).output
    run("cloud", "remove", "prod", "--yes")
    assert "There is no cloud 'prod'" in run("cloud", "check", "prod", fails=True).output


def test_a_cluster_that_is_none_says_so(run: Run) -> None:
    assert "There is no cluster 'lab'" in run("cloud", "check", "cluster:lab", fails=True).output
