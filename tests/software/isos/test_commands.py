"""`pxeapp media`, as an operator types it, with the software worker at work beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pxeapp import config
from pxeapp.cli import main
from pxeapp.software import kinds
from pxeapp.software.tasks.runner import Runner
from tests.software.isos import making

pytestmark = making.needs_programs
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    environ = {
        "PXEAPP_DATA_DIR": str(tmp_path / "data"),
        "HOME": str(tmp_path),
        "PXEAPP_MIRROR_UPSTREAMS": "x=http://x",
    }

    def run(*words: str, fails: bool = False) -> Result:
        done = CliRunner().invoke(main, list(words), env=environ)
        assert (done.exit_code != 0) is fails, done.output
        return done

    run("db", "upgrade")
    stop = threading.Event()
    worker = threading.Thread(target=Runner(config.load(environ), kinds.loaders()).run, args=(stop,))
    worker.start()
    yield run
    stop.set()
    worker.join()


def test_a_medium_from_its_import_to_its_end(run: Run, dvd: Path, tmp_path: Path) -> None:
    assert "No medium yet" in run("media", "list").output
    assert "is not a file" in run("media", "import", str(tmp_path / "nothing.iso"), fails=True).output
    refused = run("media", "import", str(dvd), "--sha256", "0" * 64, fails=True).output
    assert "the upload has" in refused
    sha256 = hashlib.sha256(dvd.read_bytes()).hexdigest()
    said = run("media", "import", str(dvd), "--sha256", sha256, "--kernel-args", "console=ttyS1").output
    assert "Rocky Linux 9.4 DVD is here as rocky-9.4." in said
    assert "The release rocky-9.4 boots it." in said
    assert "verified       3 checksums in .treeinfo are right." in said
    assert "not verified   BaseOS/repodata/repomd.xml is not signed" in said
    listed = json.loads(run("media", "list", "--json").output)["items"]
    assert [(each["name"], each["releases"]) for each in listed] == [("rocky-9.4", ["rocky-9.4"])]
    assert "Rocky Linux 9.4 DVD" in run("media", "list").output
    shown = run("media", "show", "rocky-9.4").output
    assert "repositories   AppStream, BaseOS" in shown
    assert "releases       rocky-9.4" in shown
    assert '"kernel_args": "console=ttyS1"' in run("release", "show", "rocky-9.4", "--json").output
    (tmp_path / "data/incoming").mkdir()
    shutil.copyfile(dvd, tmp_path / "data/incoming/again.iso")
    said = run("media", "import", "again.iso", "--incoming", "--name", "again", "--no-release").output
    assert "boots it" not in said
    assert "again is removed." in run("media", "delete", "again", "--yes").output
    assert "is what rocky-9.4 installs from" in run("media", "delete", "rocky-9.4", "--yes", fails=True).output
