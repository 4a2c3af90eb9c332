"""Ubuntu's live server as a release: one ISO in, kernel, initrd and ISO served, and what is not one is refused."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from pxeapp.cli import main
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid
from pxeapp.prepared import reading
from pxeapp.provisioning import facts
from pxeapp.software import adding, media, releases, ubuntu
from pxeapp.software.adding import Remote
from pxeapp.software.models import Release
from pxeapp.software.releases import Description
from tests.software.conftest import Reply, UpstreamServer

pytestmark = pytest.mark.skipif(shutil.which("bsdtar") is None, reason="libarchive-tools is not installed")
NOW = dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC)
NOBLE = 'Ubuntu-Server 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827)'


def iso(
    folder: Path, about: str = NOBLE, name: str = "ubuntu-24.04.1-live-server-amd64.iso", *, hwe: bool = False
) -> Path:
    """An ISO 9660 file system with what we look for in one."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for file, text in {".disk/info": about, "casper/vmlinuz": "kernel", "casper/initrd": "initrd"}.items():
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text(text)
    if hwe:
        (tree / "casper/hwe-vmlinuz").write_text("newer kernel")
        (tree / "casper/hwe-initrd").write_text("newer initrd")
    path = folder / name
    subprocess.run(["bsdtar", "--format=iso9660", "-cf", str(path), "-C", str(tree), "."], check=True, timeout=60)
    return path


def add(database: Database, settings: Settings, source: str | Path, **wanted: object) -> Release:
    replacing = bool(wanted.pop("replace_existing", False))
    wanted["settings"] = wanted.pop("said", {})
    return ubuntu.add(
        database, settings, str(source), ubuntu.Wanted(**wanted),  # type: ignore[arg-type]
        actor="user:test", now=NOW, replace_existing=replacing,
    )  # fmt: skip


def test_one_iso_makes_a_release_that_machines_can_load(database: Database, settings: Settings, tmp_path: Path) -> None:
    path = iso(tmp_path)
    row = add(database, settings, path)
    assert (row.name, row.family, row.version, row.installer) == ("ubuntu-24.04", "ubuntu", "24.04", "autoinstall")
    assert row.ready
    folder = settings.media_dir / row.name
    assert (folder / row.kernel).read_text() == "kernel"
    assert (folder / row.initrd).read_text() == "initrd"
    revision = row.kernel.partition("/")[0]
    assert row.install_url == f"{{node_url}}/media/ubuntu-24.04/{revision}/{path.name}"
    with reading(database) as run:
        served = media.locate(run, settings, row.name, f"{revision}/{path.name}")
    assert served.read_bytes() == path.read_bytes()
    assert row.settings["memory_mib"] == 2 * path.stat().st_size // 1024**2 + 1024
    assert not list(settings.media_dir.glob(".staging-*"))


def test_the_answers_are_made_from_it_without_another_word(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    row = add(database, settings, iso(tmp_path))
    spec = facts.release_spec(
        name=row.name, family=row.family, version=row.version, installer=row.installer, install_url=row.install_url,
        kernel_args=row.kernel_args, repositories=row.repositories, settings=row.settings, node_url="http://n:8081",
    )  # fmt: skip
    assert spec.install_url.startswith("http://n:8081/media/ubuntu-24.04/")
    assert spec.install_url.endswith("/ubuntu-24.04.1-live-server-amd64.iso")
    assert (spec.archive, spec.source) == ("http://n:8081/mirror/ubuntu", "")


def test_what_an_operator_says_is_kept(database: Database, settings: Settings, tmp_path: Path) -> None:
    said = {"archive": "http://mirror/ubuntu", "source": "ubuntu-server-minimal"}
    path = iso(tmp_path, hwe=True)
    row = add(database, settings, path, name="noble", hwe=True, kernel_args="nomodeset", said=said)
    assert (settings.media_dir / row.name / row.kernel).read_text() == "newer kernel"
    assert (row.name, row.kernel_args) == ("noble", "nomodeset")
    assert said.items() <= row.settings.items()


def test_a_newer_iso_of_the_same_release_replaces_it_on_purpose_only(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    first = add(database, settings, iso(tmp_path))
    newer = iso(tmp_path, NOBLE.replace("24.04.1", "24.04.2"), "ubuntu-24.04.2-live-server-amd64.iso")
    with pytest.raises(Conflict, match="already"):
        add(database, settings, newer)
    second = add(database, settings, newer, replace_existing=True)
    assert second.install_url.endswith("ubuntu-24.04.2-live-server-amd64.iso")
    assert second.kernel != first.kernel


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ('Ubuntu 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827)', "says that it is 'Ubuntu 24.04.1 LTS"),
        ('Ubuntu-Server 24.04 LTS "Noble Numbat" - Release arm64 (20240423)', "says that it is .*Release arm64"),
        ('Ubuntu-Server 18.04.6 LTS "Bionic Beaver" - Release amd64 (20210915)', "by preseed, not by autoinstall"),
        ('Ubuntu-Server 23.10 "Mantic Minotaur" - Release amd64 (20231011)', "no answer files for ubuntu 23.10"),
        ("", "seems to be a live session of Ubuntu"),
    ],
)
def test_another_iso_is_refused_and_nothing_is_kept(
    about: str, said: str, database: Database, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match=said):
        add(database, settings, iso(tmp_path, about))
    with database.read() as session:
        assert session.scalars(select(Release)).all() == []
    assert [path for path in settings.media_dir.rglob("*") if path.is_file()] == []


def test_what_is_no_iso_is_refused(database: Database, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(b"not an image" * 1000)
    with pytest.raises(Invalid, match="is no ISO image"):
        add(database, settings, tmp_path / "x.iso")
    with pytest.raises(Invalid, match="is not a file"):
        add(database, settings, tmp_path / "nothing.iso")
    with pytest.raises(Invalid, match="Leave --hwe out"):
        add(database, settings, iso(tmp_path), hwe=True)
    with pytest.raises(Invalid, match="has SHA-256"):
        add(database, settings, iso(tmp_path), sha256="0" * 64)


def test_a_name_that_could_not_stand_in_a_boot_script_is_made_plain(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    path = iso(tmp_path, name="Ubuntu server (copy).ISO")
    assert add(database, settings, path).install_url.endswith("/Ubuntu-server--copy-.ISO.iso")


@pytest.mark.network
def test_an_iso_comes_from_a_url_with_its_checksum(
    database: Database, settings: Settings, upstream: UpstreamServer, tmp_path: Path
) -> None:
    content = iso(tmp_path).read_bytes()
    upstream.replies["/noble.iso"] = Reply(content)
    with pytest.raises(Invalid, match="checksum is required"):
        add(database, settings, f"{upstream.url}/noble.iso")
    row = add(database, settings, f"{upstream.url}/noble.iso", sha256=hashlib.sha256(content).hexdigest())
    assert row.install_url.endswith("/noble.iso")


@pytest.mark.network
def test_kernel_initrd_and_iso_come_from_three_urls(
    database: Database, settings: Settings, upstream: UpstreamServer
) -> None:
    for name in ("k", "i", "iso"):
        upstream.replies[f"/{name}"] = Reply(name.encode())
    sums = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("k", "i", "iso")}
    said = Description("jammy", "ubuntu", "22.04", settings={"net_image": "{media}/a.squashfs"})
    row = adding.from_url(
        database, settings, said, kernel_url=f"{upstream.url}/k", kernel_sha256=sums["k"],
        initrd_url=f"{upstream.url}/i", initrd_sha256=sums["i"],
        files=[Remote("live/jammy.iso", f"{upstream.url}/iso", sums["iso"])], actor="user:test", now=NOW,
    )  # fmt: skip
    place = f"{{node_url}}/media/jammy/{row.kernel.partition('/')[0]}"
    assert (row.installer, row.install_url) == ("autoinstall", f"{place}/live/jammy.iso")
    assert row.settings["net_image"] == f"{place}/a.squashfs"
    assert list(row.settings["files"].values()) == [sums["iso"]]
    with pytest.raises(Invalid) as refused:
        adding.from_url(
            database, settings, said, kernel_url=f"{upstream.url}/k", kernel_sha256=sums["k"],
            initrd_url=f"{upstream.url}/i", initrd_sha256=sums["i"], files=[Remote("../x.iso", "ftp://h/x", "0")],
            actor="user:test", now=NOW,
        )  # fmt: skip
    assert [problem.field for problem in refused.value.problems] == [
        "files[0].name", "files[0].url", "files[0].sha256"
    ]  # fmt: skip


def test_the_one_command_says_how_much_memory_a_machine_needs(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PXEAPP_DATABASE_URL", str(database.engine.url))
    path = iso(tmp_path, 'Ubuntu-Server 20.04.6 LTS "Focal Fossa" - Release amd64 (20230314)', "focal.iso")
    done = CliRunner().invoke(main, ["release", "add-ubuntu", str(path), "--archive", "http://mirror/ubuntu"])
    assert done.exit_code == 0, done.output
    assert "MiB of memory to install it: it loads the ISO whole" in done.output
    assert "Ubuntu 20.04 has had no free security updates since 2025-05-31" in done.output
    with database.read() as session:
        assert releases.get(session, "ubuntu-20.04").settings["archive"] == "http://mirror/ubuntu"
