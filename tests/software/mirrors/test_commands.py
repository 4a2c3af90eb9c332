"""`pxeapp mirror`, as an operator types it, with the software worker at work beside it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp import config
from pxeapp.cli import main
from pxeapp.db import Database, now
from pxeapp.software import kinds
from pxeapp.software.repositories.openpgp import KeyPair
from pxeapp.software.repositories.signing import SigningKey
from pxeapp.software.tasks.runner import Runner
from pxeapp.vault import open_vault
from tests.software.mirrors.upstream import Server

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, our_key: KeyPair) -> Iterator[Run]:
    folder = tmp_path / "appliance"
    environ = {"PXEAPP_DATA_DIR": str(folder), "HOME": str(folder), "PXEAPP_FETCH_NETWORKS": "127.0.0.0/8"}

    def run(*words: str, fails: bool = False) -> Result:
        done = CliRunner().invoke(main, ["mirror", *words], env=environ)
        assert (done.exit_code != 0) is fails, done.output
        return done

    CliRunner().invoke(main, ["db", "upgrade"], env=environ)
    settings = config.load(environ)
    database = Database(settings.database_url)
    with database.write() as session:
        sealed = open_vault(folder).encrypt(our_key.private)
        session.add(
            SigningKey(
                fingerprint=our_key.fingerprint, owner="pxeapp", public=our_key.public, private=sealed, created_at=now()
            )
        )  # fmt: skip
    database.dispose()
    stop = threading.Event()
    worker = threading.Thread(target=Runner(settings, kinds.loaders()).run, args=(stop,))
    worker.start()
    yield run
    stop.set()
    worker.join()


def test_a_mirror_from_its_first_word_to_its_last(
    run: Run, upstream: Server, upstream_key: KeyPair, tmp_path: Path
) -> None:
    (tmp_path / "key.asc").write_text(upstream_key.public)
    source = ("--from", f"{upstream.url} trixie main", "--key", str(tmp_path / "key.asc"))
    looked = run("preview", *source, "--package", "web", "--package", "broken", "--recommends").output
    assert "5 packages" in looked
    assert "what-nobody-has (>= 3), which broken needs" in looked
    assert upstream.packages_asked() == 0
    assert "Nothing was fetched yet" in run("create", "web", *source, "--package", "web", "--no-sync").output
    synced = run("sync", "web").output
    assert "web holds 3 packages" in synced
    assert "fetched were 3" in synced
    assert "web is up to date: 3 packages" in run("sync", "web").output
    assert "web" in run("list").output
    shown = run("show", "web").output
    assert f"source           {upstream.url} trixie main" in shown
    assert "BEGIN PGP" not in shown
    run("change", "web", "--package", "shell", "--every-hours", "24")
    changed = json.loads(run("show", "web", "--json").output)
    assert (changed["packages"], changed["every_hours"], changed["package_count"]) == (["shell"], 24, 3)
    assert "None is given" in run("change", "web", fails=True).output
    assert "There already is a repository web" in run("create", "web", *source, "--package", "a", fails=True).output
    assert "web is removed" in run("delete", "web", "--yes").output
    assert "There is no mirror 'web'" in run("show", "web", fails=True).output


def test_definitions_are_listed_and_shown(run: Run) -> None:
    assert "nova-compute" in run("definitions").output
    assert "openstack-keystone" in run("definitions", "keystone").output
    assert "There is no definition nova" in run("definitions", "nova", fails=True).output
    assert (
        "There is no definition 'nova'"
        in run(
            "create", "x", "--upstream", "debian", "--release", "debian-13", "--definition", "nova", fails=True
        ).output
    )
    assert "is no VAR=VALUE" in run("create", "x", "--role", "compute", "--set", "neutron", fails=True).output
