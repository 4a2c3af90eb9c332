"""`pxeapp cache`, as an operator types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp.cli import main
from pxeapp.db import Database, now
from pxeapp.software.cache import statistics
from pxeapp.software.cache.access_log import summed
from tests.migrated import migrate

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("appliance")
    environ = {
        "PXEAPP_DATA_DIR": str(folder),
        "PXEAPP_MIRROR_UPSTREAMS": "debian=http://mirror.invalid/debian,ports=http://ports.invalid/debian",
        "HOME": str(folder),
    }
    database = Database(f"sqlite:///{folder / 'pxeapp.db'}")
    migrate(database)
    said = {"at": f"{now():%Y-%m-%d}", "bytes": "4096", "mirror": "debian", "index": "", "received": ""}
    asked = [{**said, "status": "200", "cache": "HIT", "file": "a.deb"}] * 3
    asked += [{**said, "status": "504", "cache": "", "file": "pool/none.deb"}]
    with database.write() as session:
        statistics.add(session, summed([json.dumps(each).encode() for each in asked]), {}, ["debian"], now())
    database.dispose()

    def run(*words: str, fails: bool = False) -> Result:
        done = CliRunner().invoke(main, list(words), env=environ)
        assert (done.exit_code != 0) is fails, done.output
        return done

    return run


def test_an_upstream_is_added_changed_switched_and_removed(run: Run) -> None:
    assert "needs an address" in run("cache", "set", "rocky", fails=True).output
    said = ("--url", "https://dl.example.org/pub/rocky", "--kind", "yum", "--max-size", "50G", "--freshness", "10m")
    assert "/mirror/rocky" in run("cache", "set", "rocky", *said, "--alias", "dl.example.net/rocky").output
    shown = run("cache", "show", "rocky").output
    assert all(each in shown for each in ("50 GiB", "10m", "an operator", "dl.example.net/rocky", "online"))
    run("cache", "set", "rocky", "--no-aliases", "--pass-packages")
    run("cache", "offline", "rocky")
    found = json.loads(run("cache", "show", "rocky", "--json").output)
    assert (found["aliases"], found["keep_packages"], found["offline"]) == ([], False, True)
    run("cache", "online", "rocky")
    listed = run("cache", "list").output
    assert "rocky" in listed
    assert "http://mirror.invalid/debian" in listed
    assert "is no size" in run("cache", "set", "rocky", "--max-size", "much", fails=True).output
    run("cache", "remove", "rocky", "--yes")
    assert "rocky" not in run("cache", "list").output


def test_one_of_the_settings_is_changed_and_is_then_what_it_was(run: Run) -> None:
    assert "PXEAPP_MIRROR_UPSTREAMS" in run("cache", "remove", "debian", "--yes", fails=True).output
    run("cache", "set", "debian", "--freshness", "1h")
    found = json.loads(run("cache", "show", "debian", "--json").output)
    assert (found["origin"], found["freshness_s"], found["url"]) == ("settings", 3600, "http://mirror.invalid/debian")
    run("cache", "set", "debian", "--url", "http://other.invalid/debian")
    assert json.loads(run("cache", "show", "debian", "--json").output)["origin"] == "operator"
    run("cache", "set", "debian", "--url", "")
    assert json.loads(run("cache", "show", "debian", "--json").output)["origin"] == "settings"


def test_an_upstream_that_mirrors_read_is_not_removed(run: Run) -> None:
    run("cache", "set", "near", "--url", "http://near.invalid/debian")
    run("cache", "set", "ports", "--freshness", "1h")
    for name, upstream in (("web", "near"), ("base", "ports")):
        run("mirror", "create", name, "--from", f"{upstream} trixie main", "--package", "memcached", "--no-sync")
    assert "near is read by mirrors: web." in run("cache", "remove", "near", "--yes", fails=True).output
    run("cache", "remove", "ports", "--yes")  # it is what it was before, and goes on being read
    run("mirror", "delete", "web", "--yes")
    run("cache", "remove", "near", "--yes")
    assert "near" not in run("cache", "list").output


def test_a_new_address_says_what_becomes_of_what_is_here(run: Run) -> None:
    run("cache", "set", "near", "--url", "http://near.invalid/debian")
    run("mirror", "create", "web", "--from", "near trixie main", "--package", "memcached", "--no-sync")
    assert "web" in run("cache", "show", "near").output
    assert "mirrors" not in run("cache", "set", "near", "--freshness", "1h").output
    told = run("cache", "set", "near", "--url", "http://nearer.invalid/debian").output
    assert "Packages that are cached of http://near.invalid/debian are not served any more" in told
    assert "these mirrors read the new address: web." in told
    run("cache", "offline", "near")
    refused = run("cache", "set", "near", "--url", "http://near.invalid/debian", fails=True).output
    assert "url: cannot change while near is offline" in refused
    assert "offline here" in run("cache", "purge", "near", "pool/x.deb", fails=True).output


def test_what_is_purged_is_counted_and_a_folder_is_agreed_to(run: Run) -> None:
    assert "Nothing of pool/x.deb was here" in run("cache", "purge", "debian", "/pool/x.deb").output
    assert "Nothing was done" in run("cache", "purge", "debian", "pool/", fails=True).output
    assert json.loads(run("cache", "purge", "debian", "pool/", "--yes", "--json").output) == {
        "name": "debian", "path": "pool/", "files": 0, "bytes": 0, "sets": [],
    }  # fmt: skip
    assert "path: '../x' is no path" in run("cache", "purge", "debian", "../x", fails=True).output


def test_statistics_say_what_was_spared_and_what_was_missing(run: Run) -> None:
    told = run("cache", "statistics", "debian").output
    assert "3 from the cache, 0 from the upstream (100 % of packages)" in told
    assert "12 KiB" in told
    assert "offline here" in told
    assert "pool/none.deb" in told


def test_a_seed_is_ordered_and_can_be_watched_elsewhere(run: Run) -> None:
    told = run("cache", "seed", "debian", "--from", "debian trixie main", "--package", "memcached", "--no-wait").output
    assert "pxeapp software show" in told
    task = json.loads(run("software", "list", "--json").output)["items"][0]
    assert (task["kind"], task["options"]["mirror"]["packages"]) == ("cache.seed", ["memcached"])
    refused = run("cache", "seed", "nowhere", "--release", "debian-13", "--base", "--no-wait", fails=True).output
    assert "no upstream" in refused


def test_a_folder_that_is_no_keyring_of_the_appliance_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key.gpg").touch()
    assert "is no keyring here" in run("cache", "set", "debian", "--keyring", f"{tmp_path}/key.gpg", fails=True).output
