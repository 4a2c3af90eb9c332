"""`pxeapp repository`, as an operator types it, with the software worker at work beside it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp import config
from pxeapp.cli import main
from pxeapp.db import Database
from pxeapp.software import kinds
from pxeapp.software.repositories.openpgp import KeyPair
from pxeapp.software.repositories.signing import SigningKey
from pxeapp.software.tasks.runner import Runner
from pxeapp.vault import open_vault
from tests.software.repositories import built
from tests.software.repositories.conftest import NOW

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, key_pair: KeyPair) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("appliance")
    environ = {"PXEAPP_DATA_DIR": str(folder), "HOME": str(folder), "PXEAPP_NODE_URL": "http://10.0.0.1:8081"}

    def run(*words: str, fails: bool = False, given: str = "") -> Result:
        done = CliRunner().invoke(main, list(words), env=environ, input=given)
        assert (done.exit_code != 0) is fails, done.output
        return done

    run("db", "upgrade")
    settings = config.load(environ)
    database = Database(settings.database_url)
    with database.write() as session:
        private = open_vault(folder).encrypt(key_pair.private)
        session.add(
            SigningKey(
                fingerprint=key_pair.fingerprint, owner="tests", public=key_pair.public, private=private, created_at=NOW
            )
        )  # fmt: skip
    database.dispose()
    stop = threading.Event()
    worker = threading.Thread(target=Runner(settings, kinds.loaders()).run, args=(stop,))
    worker.start()
    yield run
    stop.set()
    worker.join()


def test_a_repository_from_its_first_word_to_its_last(run: Run, tmp_path: Path, key_pair: KeyPair) -> None:
    made = run("repository", "create", "tools", "--kind", "deb", "--suite", "trixie").output
    assert "deb [signed-by=/etc/apt/keyrings/pxeapp.gpg] http://10.0.0.1:8081/repo/tools trixie main" in made
    for name in ("alpha", "beta"):
        built.deb(tmp_path, name)
    added = run("repository", "upload", "tools", str(tmp_path)).output  # as soon as the empty one is published
    assert "alpha 1.0 all\n" in added
    assert "tools has 2 packages now." in added
    assert "tiny beta" in run("repository", "packages", "tools", "beta").output
    assert "alpha" not in run("repository", "packages", "tools", "beta").output
    assert "Nothing was done" in run("repository", "remove", "tools", "alpha", fails=True).output
    assert "alpha 1.0 all is gone from tools." in run("repository", "remove", "tools", "alpha", "--yes").output
    assert "Task 4 began" in run("repository", "publish", "tools", "--no-wait").output
    assert "this begins after it" in run("repository", "publish", "tools").output
    shown = json.loads(run("repository", "show", "tools", "--json").output)
    assert (shown["packages"], shown["problem"], shown["origin"]) == (1, "", "local")
    assert "tools" in run("repository", "list", "--kind", "deb").output
    assert json.loads(run("repository", "list", "--origin", "mirror", "--json").output)["items"] == []
    assert key_pair.fingerprint in run("repository", "key", "list").output
    assert run("repository", "key", "show").output.strip() == key_pair.public.strip()
    assert "is the only key" in run("repository", "key", "retire", key_pair.fingerprint, "--yes", fails=True).output
    run("repository", "delete", "tools", "--yes")
    assert "There is no repository 'tools'" in run("repository", "show", "tools", fails=True).output


def test_a_file_that_is_no_package_is_told_before_or_by_the_task(run: Run, tmp_path: Path) -> None:
    run("repository", "create", "broken", "--kind", "rpm")
    (tmp_path / "empty").mkdir()
    refused = run("repository", "upload", "broken", str(tmp_path / "empty"), fails=True)
    assert "has no .rpm file" in refused.output
    deb = built.deb(tmp_path, "alpha")
    refused = run("repository", "upload", "broken", str(deb), fails=True)
    assert "alpha_1.0_all.deb: is no RPM package" in refused.output
