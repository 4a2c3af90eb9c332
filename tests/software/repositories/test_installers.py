"""What installers make of it: debian-installer's own gpgv in its own initrd, and a dnf with the file that we write."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.answers import own_keys, render
from pxeapp.answers.spec import Repository
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.software.repositories.signing import Signer
from tests.answers import samples
from tests.answers.samples import TEMPLATES
from tests.answers.site.sample import with_site
from tests.software.repositories import built, served
from tests.software.repositories.test_publishing import Published

OWN = own_keys.Own({"tools"}.__contains__)
INITRD = Path("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/initrd.gz")
needs_initrd = pytest.mark.skipif(
    os.geteuid() != 0 or not INITRD.is_file() or shutil.which("cpio") is None,
    reason="needs root, cpio and debian-installer-12-netboot-amd64",
)
NEEDED = ("dnf", "rpm", "rpmbuild", "createrepo_c")
needs_dnf = pytest.mark.skipif(
    bool(served.missing(NEEDED)) or os.geteuid() != 0, reason=f"needs root and {' '.join(NEEDED)} (apt install dnf rpm)"
)


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installer's own first file system."""
    root = tmp_path_factory.mktemp("initrd")
    wanted = ("usr/bin/*", "usr/lib/x86_64*", "usr/share/keyrings/*", "usr/lib/lib*", "bin*", "lib", "lib/ld*",
              "lib/x86_64*", "lib/lib*", "lib64*", "sbin*", "var/lib/dpkg/info/debian-archive*")  # fmt: skip
    unpack = ["cpio", "-idm", "--quiet", "--no-absolute-filenames", *wanted]
    subprocess.run(unpack, input=gzip.decompress(INITRD.read_bytes()), cwd=root, check=True, timeout=60)
    for folder in ("tmp", "dev"):
        (root / folder).mkdir(exist_ok=True)
    (root / "dev/null").touch()
    return root


def run(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    """In the installer's own shell, with its own programs."""
    return subprocess.run(
        ["chroot", str(root), "/bin/sh", "-c", script], capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip


@needs_initrd
def test_debians_installer_takes_the_key_and_verifies_what_it_reads_by_it(
    initrd: Path, settings: Settings, database: Database, tmp_path: Path, signer: Signer
) -> None:
    deb = Published("deb", settings, database, tmp_path)
    deb.publish(deb.package("alpha"))
    with built.served(deb.root.parent) as url:
        release = replace(samples.release("debian", "13"), install_url=f"{url}/repo/tools", repositories=())
        spec = samples.spec("debian", "13", release=own_keys.release_keyed(release, url, OWN))
        script = render.render("script", spec, TEMPLATES)
        own_key = script[script.index("own_key() {") : script.index("\n}\n", script.index("own_key() {")) + 3]
        suite = f"{url}/repo/tools/dists/stable"
        fetch = " && ".join(f"wget -qO /tmp/{name} {suite}/{name}" for name in ("Release", "Release.gpg"))
        # As net-retriever and debootstrap ask it.
        verify = (
            "gpgv --status-fd 1 --keyring /usr/share/keyrings/archive.gpg --ignore-time-conflict "
            "/tmp/Release.gpg /tmp/Release"
        )
        before = run(initrd, f"{fetch} && {verify.replace('archive.gpg', 'debian-archive-keyring.gpg')}")
        assert "NO_PUBKEY" in before.stdout, before.stderr
        postinst = "/var/lib/dpkg/info/debian-archive-keyring-udeb.postinst"  # which comes later than our script
        after = run(initrd, f"give_up() {{ echo $1; }}\n{own_key}\nown_key && {postinst} && {fetch} && {verify}")
        assert "GOODSIG" in after.stdout, after.stdout + after.stderr
        assert after.returncode == 0
    release_file = initrd / "tmp/Release"
    release_file.write_bytes(release_file.read_bytes().replace(b"tools", b"fools"))
    assert "BADSIG" in run(initrd, verify).stdout
    made = run(initrd, "mkdir -p /target && /usr/lib/base-installer.d/05pxeapp-key")
    assert made.returncode == 0, made.stderr
    assert (initrd / "target/etc/apt/trusted.gpg.d/pxeapp.gpg").read_bytes() == (
        deb.root / "keys/pxeapp.gpg"
    ).read_bytes()


@needs_dnf
def test_the_file_that_a_kickstart_writes_makes_dnf_check_the_index(
    settings: Settings, database: Database, tmp_path: Path, signer: Signer
) -> None:
    rpm = Published("rpm", settings, database, tmp_path)
    rpm.publish(rpm.package("alpha"))
    with built.served(rpm.root.parent) as url:
        release = replace(samples.release("rocky", "9"), repositories=(Repository("tools", f"{url}/repo/tools"),))
        text = render.render(
            "kickstart", samples.spec("rocky", "9", release=own_keys.release_keyed(release, url, OWN)), TEMPLATES
        )
        found = re.search(r"(?ms)^(curl .*?)$\n^rpm --import.*?(\[tools\].*?)^END_OF_REPOSITORY$", text)
        assert found is not None
        key = tmp_path / "key"
        place = re.search(r"-o (\S+)", found[1])
        assert place is not None
        subprocess.run(shlex.split(found[1].replace(place[1], str(key))), check=True, timeout=60)
        dnf = served.Dnf(tmp_path / "dnf", url, "")
        (tmp_path / "dnf/repos/t.repo").write_text(found[2].replace(place[1], str(key)))
        ran = dnf.run("install", "alpha")
        assert (ran.returncode, dnf.installed("alpha")) == (0, "1.0"), ran.stderr


@needs_dnf
def test_packages_that_waited_for_the_sites_repository_are_found_there_by_dnf(
    settings: Settings, database: Database, tmp_path: Path, signer: Signer
) -> None:
    """With nothing but what the kickstart's last script writes down, and without the trees that are not there."""
    rpm = Published("rpm", settings, database, tmp_path)
    rpm.publish(rpm.package("alpha"))
    with built.served(rpm.root.parent) as url:
        tree = samples.release("rocky", "9", install_url=f"{url}/nothing/BaseOS/x86_64/os")
        found = samples.spec("rocky", "9", release=tree, packages=("alpha",))
        tools = {"name": "tools", "url": f"{url}/repo/tools", "installer": False}
        text = render.render("kickstart", with_site(found, {"repositories": [tools], "packages": ["alpha"]}), TEMPLATES)
        file, command = re.findall(
            r"(?s)pxeapp.repo\" <<'END_OF_REPOSITORIES'\n(.*?)END_OF_REPOSITORIES\n(.*?)\n", text
        )[0]
        assert command == 'dnf -q -y --setopt=reposdir="$late" install alpha'
        dnf = served.Dnf(tmp_path / "dnf", url, "")
        (tmp_path / "dnf/repos/t.repo").write_text(file)
        ran = dnf.run("install", "alpha")
        assert (ran.returncode, dnf.installed("alpha")) == (0, "1.0"), ran.stderr
