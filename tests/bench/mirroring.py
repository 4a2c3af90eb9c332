"""A mirror of 5,000 packages: ours beside apt-mirror, and beside dnf reposync; each from nothing, of the same upstream.

The packages are tiny, so that what is measured is the work for each of them. Upstream is an nginx on this machine. Ours
verifies the index's signature, every size and every SHA-256, syncs each file to the disk, and publishes a signed
repository; apt-mirror and reposync download and compare sizes, or checksums.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pxeapp import config
from pxeapp.db import Database, now
from pxeapp.processes.serve import prepare
from pxeapp.software.mirrors import service
from pxeapp.software.repositories import openpgp, signing
from pxeapp.software.repositories.openpgp import KeyPair
from pxeapp.software.tasks import service as tasks
from pxeapp.vault import open_vault
from tests.bench import cpu
from tests.bench.rounds import Contender, Figures, Target, Work, timed
from tests.bench.serving import plain

SUITE = "bench"
DEADLINE_S = 900.0
SPEC = """\
Name: bench
Version: 1.0
Release: 1
Summary: tiny packages
License: MIT
BuildArch: noarch
%description
tiny
{packages}
"""
SUBPACKAGE = "%package -n {name}\nSummary: tiny\n%description -n {name}\ntiny\n%files -n {name}\n"


def works(*, quick: bool) -> list[Work]:
    """Both kinds of repository."""
    debs, rpms = _Debs(200 if quick else 5000), _Rpms(200 if quick else 5000)
    note = "Ours also verifies the index's signature and each file's SHA-256, syncs each to the disk, and publishes."
    return [
        Work(
            name="mirror-5000",
            title=f"A mirror of {debs.count} debs, from nothing",
            contenders=[Contender("pxeapp", debs.ours), Contender("apt-mirror", debs.theirs)],
            targets=[Target("CPU s", at_most=3.0, against="apt-mirror", says="within thrice the CPU of apt-mirror")],
            rounds=1 if quick else 5,
            prepared=debs.prepared,
            notes=["Both with 4 connections; apt-mirror (Perl and wget) as Debian has it.", note],
        ),
        Work(
            name="mirror-5000-rpm",
            title=f"A mirror of {rpms.count} rpms, from nothing",
            contenders=[Contender("pxeapp", rpms.ours), Contender("dnf reposync", rpms.theirs)],
            targets=[Target("s", at_most=3.0, against="dnf reposync", says="within thrice the time of reposync")],
            rounds=1 if quick else 5,
            prepared=rpms.prepared,
            notes=["reposync with --download-metadata: it keeps the upstream's index.", note,
                   "Making an index with createrepo_c is part of ours."],
        ),
    ]  # fmt: skip


class _Upstream:
    """An archive that nginx serves, and what mirrors it."""

    index = f"/dists/{SUITE}/Release"

    def __init__(self, count: int) -> None:
        self.count = count
        self.folder = Path()
        self.url = ""
        self.key: KeyPair

    @contextmanager
    def prepared(self) -> Iterator[None]:
        self.folder = Path(tempfile.mkdtemp(prefix="pxeapp-bench-mirror-"))
        self.folder.chmod(0o755)  # nginx's workers are another user
        self.key = openpgp.make("bench", algorithm="rsa2048")
        try:
            self.make(self.folder / "upstream")
            with plain.nginx(self.folder / "upstream", ready=self.index, log=False) as upstream:
                self.url = upstream.url
                yield
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, root: Path) -> None:
        """The archive."""
        raise NotImplementedError

    @property
    def given(self) -> dict[str, object]:
        """What our mirror is of."""
        raise NotImplementedError

    def ours(self) -> Figures:
        """A real worker, which has started already, is given the order."""
        data = self.folder / "data"
        environ = {"PXEAPP_DATA_DIR": str(data), "PXEAPP_FETCH_NETWORKS": "127.0.0.0/8"}
        settings = config.load(environ)
        prepare(settings)
        database = Database(settings.database_url)
        try:
            with database.write() as session:
                sealed = open_vault(settings.data_dir).encrypt(self.key.private)
                session.add(
                    signing.SigningKey(
                        fingerprint=self.key.fingerprint, owner="bench", public=self.key.public, private=sealed,
                        created_at=now(),
                    )
                )  # fmt: skip
                service.create(session, [], "bench", self.given, actor="user:bench", now=now())
                first = tasks.order(session, "software.clean", "store", {}, actor="user:bench", now=now()).id
            argv = [sys.executable, "-m", "pxeapp", "software-worker"]
            with cpu.Server(argv, env={**os.environ, **environ}, output=self.folder / "log") as worker:
                _wait_for(functools.partial(self._is_done, database, first))  # it is up, as it always is
                before = worker.cpu_s()
                with timed() as took:
                    with database.write() as session:
                        number = service.sync(session, "bench", actor="user:bench", now=now()).id
                    _wait_for(functools.partial(self._is_done, database, number))
                spent = worker.cpu_s() - before
            with database.read() as session:
                task = tasks.wire(tasks.get(session, number))
            if task["result"].get("packages") != self.count:
                raise RuntimeError(f"{task['state']}: {task['problem']} {task['result']}")
        finally:
            database.dispose()
            shutil.rmtree(data, ignore_errors=True)
        return {"CPU s": spent, "s": took[0]}

    def _is_done(self, database: Database, number: int) -> bool:
        with database.read() as session:
            return tasks.get(session, number).finished_at is not None

    def run(self, argv: list[str], target: Path, ending: str) -> Figures:
        """Somebody else's program, until it ends."""
        with timed() as took, cpu.Server(argv, output=self.folder / "log") as server:
            _wait_for(lambda: server.process.poll() is not None)
            spent = server.cpu_s()
        found = sum(1 for _ in target.rglob(f"*{ending}"))
        shutil.rmtree(target, ignore_errors=True)
        if found != self.count:
            raise RuntimeError(f"{argv[0]} fetched {found} of {self.count}; see {self.folder / 'log'}")
        return {"CPU s": spent, "s": took[0]}


class _Debs(_Upstream):
    def make(self, root: Path) -> None:
        """Written member by member: dpkg-deb would take minutes for them."""
        paragraphs = []
        for number in range(self.count):
            name = f"bench-{number:05}"
            path = root / f"pool/main/b/{name}/{name}_1.0_all.deb"
            path.parent.mkdir(parents=True)
            control = (
                f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: B <b@example.org>\nDescription: b\n"
            )
            content = _deb(control)
            path.write_bytes(content)
            paragraphs.append(
                f"{control}Filename: {path.relative_to(root)}\nSize: {len(content)}\n"
                f"MD5sum: {hashlib.md5(content, usedforsecurity=False).hexdigest()}\n"
                f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
            )
        text = "\n".join(paragraphs).encode()
        files = {"main/binary-amd64/Packages": text, "main/binary-amd64/Packages.gz": gzip.compress(text, mtime=0)}
        dists = root / "dists" / SUITE
        for name, content in files.items():
            (dists / name).parent.mkdir(parents=True, exist_ok=True)
            (dists / name).write_bytes(content)
        sums = "".join(f" {hashlib.sha256(each).hexdigest()} {len(each)} {name}\n" for name, each in files.items())
        release = (
            f"Origin: Bench\nSuite: {SUITE}\nCodename: {SUITE}\nDate: {now():%a, %d %b %Y %H:%M:%S} UTC\n"
            f"Architectures: amd64\nComponents: main\nSHA256:\n{sums}"
        ).encode()
        (dists / "Release").write_bytes(release)
        (dists / "InRelease").write_bytes(openpgp.sign_clear(release, [self.key.private]))

    @property
    def given(self) -> dict[str, object]:
        source = {"upstream": self.url, "suite": SUITE, "components": ["main"]}
        return {"sources": [source], "key": self.key.public, "everything": True}

    def theirs(self) -> Figures:
        """apt-mirror, with a configuration of its own."""
        base = self.folder / "apt-mirror"
        base.mkdir()
        (self.folder / "mirror.list").write_text(
            f"set base_path {base}\nset nthreads 4\nset _tilde 0\nset defaultarch amd64\nset run_postmirror 0\n"
            f"deb {self.url} {SUITE} main\n"
        )
        return self.run([_program("apt-mirror"), str(self.folder / "mirror.list")], base, ".deb")


class _Rpms(_Upstream):
    index = "/repodata/repomd.xml"

    def make(self, root: Path) -> None:
        """All of them out of one spec file."""
        work = self.folder / "rpmbuild"
        work.mkdir()
        packages = "".join(SUBPACKAGE.format(name=f"bench-{number:05}") for number in range(self.count))
        (work / "bench.spec").write_text(SPEC.format(packages=packages))
        defined = (f"_topdir {work}", f"_rpmdir {root}", "_binary_payload w0.gzdio")
        subprocess.run(
            [_program("rpmbuild"), "-bb", *[word for each in defined for word in ("--define", each)],
             str(work / "bench.spec")],
            check=True, capture_output=True, timeout=DEADLINE_S, env={**os.environ, "HOME": str(work)},
        )  # fmt: skip
        subprocess.run([_program("createrepo_c"), "-q", str(root)], check=True, capture_output=True, timeout=DEADLINE_S)
        repomd = root / "repodata/repomd.xml"
        signature = openpgp.sign_detached(repomd.read_bytes(), [self.key.private])
        repomd.with_name("repomd.xml.asc").write_bytes(signature)

    @property
    def given(self) -> dict[str, object]:
        return {
            "kind": "rpm", "sources": [{"upstream": self.url}], "architectures": ["x86_64"], "key": self.key.public,
            "everything": True,
        }  # fmt: skip

    def theirs(self) -> Figures:
        """dnf reposync, with folders of its own."""
        target = self.folder / "reposync"
        argv = [
            _program("dnf"), "reposync", "-q", "--repofrompath", f"bench,{self.url}", "--repoid", "bench",
            "--download-metadata", "--download-path", str(target), "--setopt=gpgcheck=0",
            "--setopt=max_parallel_downloads=4", f"--setopt=cachedir={target}/cache",
            f"--setopt=reposdir={target}/none", f"--setopt=logdir={target}", "--releasever=9",
        ]  # fmt: skip
        return self.run(argv, target, ".rpm")


def _deb(control: str) -> bytes:
    """A .deb: an ar archive of three members."""
    members = [("debian-binary", b"2.0\n"), ("control.tar", _tar({"./control": control.encode()})),
               ("data.tar", _tar({}))]  # fmt: skip
    out = io.BytesIO(b"!<arch>\n")
    out.seek(0, io.SEEK_END)
    for name, content in members:
        out.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        out.write(content + b"\n" * (len(content) % 2))
    return out.getvalue()


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError(f"{name} is not installed; run: packaging/setup.sh bench")
    return found


def _wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not what():
        if time.monotonic() > end:
            raise RuntimeError(f"it did not end within {DEADLINE_S:.0f} s")
        time.sleep(0.05)
