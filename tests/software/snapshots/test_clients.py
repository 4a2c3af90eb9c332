"""Real clients of snapshots and channels: what they install, and what they make of a channel that is exchanged."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.software.content.store import Store
from pxeapp.software.repositories import keys, signing
from pxeapp.software.repositories.signing import Signer
from pxeapp.software.snapshots import channels, service, verifying
from pxeapp.software.tasks import service as tasks
from pxeapp.vault import Vault
from tests.software.repositories import built, served
from tests.software.repositories.conftest import key_pair, signer, vault
from tests.software.repositories.test_publishing import NEEDED, Published
from tests.software.snapshots.conftest import OPS, Site, begin_channels

__all__ = ["key_pair", "signer", "vault"]
pytestmark = pytest.mark.skipif(
    bool(served.missing(NEEDED)) or os.geteuid() != 0,
    reason=f"needs root and {' '.join(NEEDED)} (apt install apt dpkg createrepo-c dnf rpm)",
)


@dataclass
class Lab:
    """Two snapshots of a repository: `old` with alpha 1.0, `new` with alpha 1.1 and beta."""

    site: Site
    published: Published

    def promote(self, name: str) -> None:
        next_second()
        with self.site.database.write() as session:
            channels.promote(session, name, "dev", actor=OPS, now=now())
        self.site.work()

    def back(self) -> None:
        next_second()
        with self.site.database.write() as session:
            channels.rollback(session, "dev", actor=OPS, now=now())
        self.site.work()


def next_second() -> None:
    """HTTP tells files of one second apart by nothing: a client is told that it has the last one."""
    time.sleep(1.02 - time.time() % 1)


def lab(published: Published, settings: Settings, database: Database) -> Lab:
    begin_channels(database)
    site = Site(settings, database, Store(settings.data_dir / "software"))
    published.publish(published.package("alpha"))
    for name, packages in (("old", ()), ("new", ("alpha 1.1", "beta 1.0"))):
        if packages:
            published.publish(*(published.package(*each.split()) for each in packages))
        with database.write() as session:
            service.take(session, name, actor=OPS, now=now())
        site.work()
    return Lab(site, published)


def test_apt_installs_from_a_snapshot_what_it_held_when_it_was_taken(
    settings: Settings, database: Database, tmp_path: Path, signer: Signer
) -> None:
    made = lab(Published("deb", settings, database, tmp_path), settings, database)
    root = made.published.root
    with built.served(root) as url:
        for name, version in (("old", "1.0"), ("new", "1.1")):
            apt = served.Apt(tmp_path / name, f"{url}/snapshots/{name}/tools", "stable", root / "keys/pxeapp.gpg")
            ran = apt.run("update")
            assert ran.returncode == 0, ran.stderr
            assert apt.run("-y", "install", "alpha").returncode == 0
            assert apt.installed("alpha") == version


def test_apt_follows_a_channel_forth_and_back_and_finishes_what_it_began(
    settings: Settings, database: Database, tmp_path: Path, signer: Signer
) -> None:
    made = lab(Published("deb", settings, database, tmp_path), settings, database)
    root = made.published.root
    made.promote("old")
    with built.served(root) as url:
        apt = served.Apt(tmp_path / "apt", f"{url}/channels/dev/tools", "stable", root / "keys/pxeapp.gpg")
        assert apt.run("update").returncode == 0
        made.promote("new")  # between its update and its installation
        ran = apt.run("-y", "install", "alpha")
        assert (ran.returncode, apt.installed("alpha")) == (0, "1.0"), ran.stderr
        assert apt.run("update").returncode == 0
        assert apt.run("-y", "upgrade").returncode == 0
        assert apt.installed("alpha") == "1.1"
        made.back()
        ran = apt.run("update")
        assert ran.returncode == 0, ran.stderr
        ran = apt.run("-y", "--allow-downgrades", "install", "alpha=1.0")
        assert (ran.returncode, apt.installed("alpha")) == (0, "1.0"), ran.stderr
        assert apt.run("-y", "install", "beta").returncode != 0


def test_dnf_follows_a_channel_forth_and_back(
    settings: Settings, database: Database, tmp_path: Path, signer: Signer
) -> None:
    made = lab(Published("rpm", settings, database, tmp_path), settings, database)
    root = made.published.root
    made.promote("old")
    with built.served(root) as url:
        dnf = served.Dnf(tmp_path / "dnf", f"{url}/channels/dev/tools", f"{url}/keys/pxeapp.asc")
        ran = dnf.run("install", "alpha")
        assert (ran.returncode, dnf.installed("alpha")) == (0, "1.0"), ran.stderr
        made.promote("new")
        assert dnf.run("upgrade").returncode == 0
        assert dnf.installed("alpha") == "1.1"
        made.back()
        ran = dnf.run("downgrade", "alpha")
        assert (ran.returncode, dnf.installed("alpha")) == (0, "1.0"), ran.stderr


def test_a_snapshot_and_a_channel_are_verified_by_the_keys_that_machines_are_given_now(
    settings: Settings, database: Database, tmp_path: Path, signer: Signer, vault: Vault
) -> None:
    """The key that signed them when they were taken is retired: a machine of today has never seen it."""
    made = lab(Published("deb", settings, database, tmp_path), settings, database)
    root = made.published.root
    made.promote("new")
    signing.add(database, vault, actor=OPS, now=now(), algorithm="ed25519", owner="the next")
    with database.write() as session:
        keys.retire(session, signer.fingerprints[0], actor=OPS, now=now())
    (task, *_) = made.site.work()
    assert (task.problem, task.result["snapshots"]) == ("", 2)
    with built.served(root) as url:
        for number, name in enumerate(("snapshots/old", "snapshots/new", "channels/dev")):
            apt = served.Apt(tmp_path / f"apt{number}", f"{url}/{name}/tools", "stable", root / "keys/pxeapp.gpg")
            ran = apt.run("update")
            assert ran.returncode == 0, ran.stderr
    with database.write() as session:
        tasks.order(session, verifying.VERIFY, "old", {}, actor=OPS, now=now())
    (task, *_) = made.site.work()
    assert task.problem == ""
