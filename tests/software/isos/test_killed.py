"""An import that was killed when all but its own record was done: its retry finds its own work, of every layout."""

from __future__ import annotations

import gzip
import http.server
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.software import apt_sources, debian, private_apt, releases
from pxeapp.software.isos import importing as work
from pxeapp.software.isos import orders, service
from pxeapp.software.isos.orders import Wanted
from pxeapp.software.repositories import openpgp
from pxeapp.software.tasks import service as tasks
from tests.software.isos import making
from tests.software.isos.conftest import ACTOR, Importer
from tests.software.isos.test_netboot import COMPONENTS, KERNEL, installer
from tests.software.killing import free, killed_at, killed_at_the_end

pytestmark = making.needs_programs


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@pytest.fixture
def mirror(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings that know a mirror of Debian 12, whose installer is installed here; its initrd has all components."""
    key = openpgp.make("Debian <d@example.org>", algorithm="rsa2048")
    (tmp_path / "keyring.gpg").write_bytes(openpgp.binary_keyring(key.public.encode()))
    root = making.suite(tmp_path / "mirror/debian", "bookworm", {
        "main/binary-amd64/Packages": "", "main/debian-installer/binary-amd64/Packages": "",
    })  # fmt: skip
    said = (root / "dists/bookworm/Release").read_bytes()
    (root / "dists/bookworm/InRelease").write_bytes(openpgp.sign_clear(said, [key.private]))
    names = (f"kernel-image-{KERNEL}-di", *COMPONENTS)
    status = "\n".join(f"Package: {name}\nStatus: install ok installed\nVersion: 1\n" for name in names)
    initrd = making.write(tmp_path / "netinst-initrd", {"var/lib/dpkg/status": status})
    packed = subprocess.run(
        ["bsdtar", "--format=newc", "-cf", "-", "-C", str(initrd), "."], check=True, capture_output=True, timeout=60
    ).stdout
    inside = debian.INSIDE.format(version="12")
    making.write(
        tmp_path / "installed", {f"{inside}/linux": b"a kernel", f"{inside}/initrd.gz": gzip.compress(packed, mtime=0)}
    )
    monkeypatch.setattr(debian, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(private_apt, "KEYRING", tmp_path / "keyring.gpg")
    monkeypatch.setattr(apt_sources, "APT_ETC", tmp_path / "no-sources")
    monkeypatch.setattr(apt_sources, "read", lambda *_root: [])
    monkeypatch.setattr(apt_sources, "apt_config", lambda: "")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "mirror")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield replace(settings, mirror_upstreams={"debian": f"http://127.0.0.1:{server.server_port}/debian"})
    server.shutdown()
    server.server_close()
    thread.join()


def release(database: Database, name: str) -> dict[str, Any]:
    with database.read() as session:
        return releases.wire(releases.get(session, name))


def ordered(importing: Importer, iso: Path, **said: Any) -> int:
    (importing.settings.data_dir / orders.INCOMING / iso.name).write_bytes(iso.read_bytes())
    with importing.database.write() as session:
        wanted = Wanted(path=iso.name, **said)
        return orders.order(session, importing.settings, wanted, actor=ACTOR, now=now()).id


def killed_and_done(importing: Importer, iso: Path, **said: Any) -> dict[str, Any]:
    """An import is killed in the last moment; returns what the next worker made of the same task."""
    number = ordered(importing, iso, **said)
    killed_at_the_end(importing.settings, importing.database)
    return importing.work(number)


def test_a_netinst_whose_release_names_its_medium_nowhere_is_found_again(
    mirror: Settings, database: Database, tmp_path: Path
) -> None:
    importing = Importer(mirror, database)
    iso = making.iso(making.debian(tmp_path / "net", "NETINST"), tmp_path / "debian-12.11.0-amd64-netinst.iso")
    task = killed_and_done(importing, iso)
    assert (task["state"], task["problem"]) == ("done", "")
    assert task["result"] == {"media": "debian-12.11-netinst", "release": "debian-12.11-netinst", "remark": ""}
    made = release(database, "debian-12.11-netinst")
    assert made["install_url"] == "{node_url}/mirror/debian"
    # By hand, after it was given up, it is the same; and what somebody says of the release stays.
    with database.write() as session:
        releases.update(session, "debian-12.11-netinst", {"settings": {"source": "x"}}, actor=ACTOR, now=now())
        again = tasks.retry(session, task["id"], actor=ACTOR, now=now()).id
    assert importing.work(again)["state"] == "done"
    assert release(database, "debian-12.11-netinst")["settings"]["medium"] == made["settings"]["medium"]
    # It is its own release alone that it takes for its own.
    other = importing(iso, name="other", release="debian-12.11-netinst")
    assert "There is a release debian-12.11-netinst already" in other["problem"]
    service.delete(database, mirror, "debian-12.11-netinst", actor=ACTOR, now=now())  # nothing installs from it


@pytest.mark.parametrize("layout", ["dvd", "el7", "boot", "live", "server", "debian"])
def test_every_layout_finds_its_own_release_again_though_its_packages_are_elsewhere(
    layout: str, importing: Importer, rpms: tuple[Path, Path], dvd: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    if layout == "el7":
        making.el7(tree, *rpms)
    elif layout == "boot":
        making.el(tree)
    elif layout == "live":
        making.ubuntu_live(tree)
    elif layout == "server":
        making.ubuntu_server(tree)
    elif layout == "debian":
        installer(tmp_path, making.debian(tree, udebs=COMPONENTS))
    iso = dvd if layout == "dvd" else making.iso(tree, tmp_path / f"{layout}.iso", "TEST")
    task = killed_and_done(importing, iso, install_url="http://mirror/elsewhere")
    assert (task["state"], task["problem"]) == ("done", "")
    assert (bool(task["result"]["release"]), task["result"]["remark"]) == (True, "")


def test_who_boots_a_kernel_of_the_image_before_is_still_named_after_a_kill(
    importing: Importer, database: Database, dvd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing(dvd, release="nine")
    making.repository(tmp_path / "tree/BaseOS")
    newer = making.iso(making.el(tmp_path / "tree", version="9.5", kernel=b"newer"), tmp_path / "newer.iso")
    number = ordered(importing, newer, name="rocky-9.4", replace=True)
    with killed_at(monkeypatch, work, "_release"):
        importing.runner.look()
    free(database)
    assert importing.work(number)["state"] == "done"
    with database.read() as session:
        assert service.get(session, "rocky-9.4").remarks == [
            "Releases that boot a kernel of the image before install from it, too: nine."
        ]
