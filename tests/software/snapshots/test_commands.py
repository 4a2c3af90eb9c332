"""`pxeapp snapshot`, `channel` and `bundle`, as an operator types them, with the software worker at work beside it."""

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
from pxeapp.software.content.store import Store
from pxeapp.software.repositories import signing
from pxeapp.software.tasks.runner import Runner
from pxeapp.vault import open_vault
from tests.software.bundles.conftest import needs_gpg
from tests.software.snapshots.conftest import OPS, Site

Run = Callable[..., Result]
pytestmark = needs_gpg


class Typed:
    """An appliance and somebody at its terminal."""

    def __init__(self, folder: Path) -> None:
        self.environ = {"PXEAPP_DATA_DIR": str(folder), "HOME": str(folder), "PXEAPP_NODE_URL": "http://10.0.0.1:8081"}
        self.run("db", "upgrade")
        settings = config.load(self.environ)
        self.site = Site(settings, Database(settings.database_url), Store(folder / "software"))
        vault = open_vault(folder)
        signing.add(self.site.database, vault, actor=OPS, now=now(), algorithm="ed25519")

    def run(self, *words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(main, list(words), env=self.environ)
        assert (done.exit_code != 0) is fails, done.output
        return done.output


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[Typed]:
    made = Typed(tmp_path / "appliance")
    stop = threading.Event()
    worker = threading.Thread(target=Runner(made.site.settings, kinds.loaders()).run, args=(stop,))
    worker.start()
    yield made
    stop.set()
    worker.join()
    made.site.database.dispose()


def test_from_a_snapshot_to_a_channel_to_a_bundle_and_back(typed: Typed, tmp_path: Path) -> None:
    run = typed.run
    typed.site.publish("nova", {"nova_1": "one"})
    assert "Snapshot a holds nova: 1 packages" in run("snapshot", "take", "a", "--description", "x")
    typed.site.publish("nova", {"nova_2": "two"})
    assert "> nova.amd64 1 -> 2" in run("snapshot", "diff", "a")
    run("snapshot", "take", "b", "--repository", "nova")
    assert "b is as it was taken: 2 files" in run("snapshot", "verify", "b")
    assert "Channel dev leads to a." in run("snapshot", "promote", "a", "--yes")
    assert "Nothing was done" in run("snapshot", "promote", "b", fails=True)
    assert "never in staging" in run("snapshot", "promote", "b", "--to", "production", "--yes", fails=True)
    run("snapshot", "promote", "b", "--to", "production", "--force", "--reason", "CVE", "--yes")
    run("snapshot", "promote", "b", "--to", "dev", "--yes")
    assert "leads to a again" in run("snapshot", "rollback", "dev", "--reason", "it broke", "--yes")
    assert "it broke" in run("channel", "history", "dev")
    run("channel", "create", "canary", "--before", "production")
    assert [each["name"] for each in json.loads(run("channel", "list", "--json"))] == [
        "dev", "staging", "canary", "production",
    ]  # fmt: skip
    run("snapshot", "pin", "channel:dev", "--role", "compute")
    refused = run("snapshot", "delete", "b", "--yes", fails=True)  # dev may still be written to lead to a again
    assert "is held by" in refused
    assert "channel production" in refused
    assert "dev is read by role compute" in run("channel", "delete", "dev", "--yes", fails=True)
    run("snapshot", "unpin", "--role", "compute")
    assert "canary is deleted" in run("channel", "delete", "canary", "--yes")
    assert "no channel 'canary'" in run("channel", "delete", "canary", "--yes", fails=True)
    assert "names no release" in run("snapshot", "unpin", fails=True)
    (shown,) = [each for each in json.loads(run("snapshot", "list", "--json")) if each["name"] == "a"]
    assert (shown["channels"], shown["held_by"]) == (["dev"], [])

    made = run("bundle", "create", "site", "--snapshot", "b", "--part-size", "1Mi")
    assert "1 parts lie in" in made
    run("bundle", "fetch", "site", str(tmp_path / "usb"))
    verified = run("bundle", "verify", str(tmp_path / "usb"))
    assert "The bundle site is whole: 1 parts" in verified
    assert "Snapshots: b" in verified
    assert "Here already: snapshots b" in run("bundle", "import", str(tmp_path / "usb"), "--yes")
    assert "no size" in run("bundle", "create", "x", "--snapshot", "b", "--part-size", "big", fails=True)
    (part,) = (tmp_path / "usb").iterdir()
    part.write_bytes(part.read_bytes()[:-2000])
    assert "cut off" in run("bundle", "verify", str(part), fails=True)
    run("bundle", "delete", "site", "--yes")
    assert json.loads(run("bundle", "list", "--json"))[0]["direction"] == "imported"
