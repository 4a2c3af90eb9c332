"""rpm mirrors: what packages require, modules and signatures; and a real dnf that installs from a mirrored part."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.mirrors import choosing, reading, rpm_extras, rpm_index, rpm_modules, rpm_needs
from pxeapp.software.mirrors.closure import Rules, close
from pxeapp.software.mirrors.needs import Need
from pxeapp.software.mirrors.pool import Pool
from pxeapp.software.mirrors.selection import Selection, Source
from pxeapp.software.packages import Package
from pxeapp.software.repositories import openpgp
from tests.software.mirrors.conftest import Appliance
from tests.software.mirrors.upstream import Server
from tests.software.repositories import served

SPEC = """\
Name: app
Version: 1.0
Release: 2
Summary: an application
License: MIT
BuildArch: noarch
Requires: lib >= 1.0
Requires: /usr/share/tool/deep
Requires: (missing if unlikely)
Recommends: docs
%description
an application
%package -n lib
Summary: lib
%description -n lib
lib
%package -n tool
Summary: tool
%description -n tool
tool
%package -n docs
Summary: docs
%description -n docs
docs
%package -n unrelated
Summary: unrelated
%description -n unrelated
unrelated
%install
mkdir -p %{buildroot}/usr/share/tool
echo deep >%{buildroot}/usr/share/tool/deep
%files
%files -n lib
%files -n tool
/usr/share/tool/deep
%files -n docs
%files -n unrelated
"""
UPDATES = b'<updates><update type="security"><id>FIX-1</id></update></updates>'


def texts(text: str) -> list[str]:
    return [f"{need}{' weak' if need.weak else ''}{f' if {need.only_if}' if need.only_if else ''}"
            for need in rpm_needs.read(text)]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "needs"),
    [
        ("bash", ["bash"]),
        ("libc.so.6(GLIBC_2.4)(64bit)", ["libc.so.6(GLIBC_2.4)(64bit)"]),
        ("rpmlib(CompressedFileNames)", []),
        ("(a or b >= 2)", ["a | b (>= 2)"]),
        ("(a and b)", ["a", "b"]),
        ("(a if b)", ["a if b"]),
        ("(a if b else c)", ["a if b", "c weak"]),
        ("(a unless b)", ["a | b"]),
        ("((a or b) and c < 3)", ["a | b", "c (<< 3)"]),
        ("((a and b) or c)", ["a | c", "b | c"]),
        ("(lib(x)(64bit) or d)", ["lib(x)(64bit) | d"]),
        ("(a or", ["(a or"]),
        ("(" * 100, ["(" * 100]),
    ],
)
def test_rich_dependencies_are_read(said: str, needs: list[str]) -> None:
    assert texts(said) == needs


def primary(*packages: str) -> bytes:
    said = "".join(packages)
    return f'<metadata xmlns="{rpm_index.COMMON[1:-1]}" xmlns:rpm="{rpm_index.RPM[1:-1]}">{said}</metadata>'.encode()


def package(name: str, version: str = "1", *, requires: str = "", provides: str = "", files: str = "") -> str:
    def entries(kind: str, names: str) -> str:
        said = "".join(f'<rpm:entry name="{each}"/>' for each in names.split(";") if each)
        return f"<rpm:{kind}>{said}</rpm:{kind}>"

    return (
        f'<package type="rpm"><name>{name}</name><arch>x86_64</arch><version epoch="0" ver="{version}" rel="1"/>'
        f'<checksum type="sha256" pkgid="YES">{"a" * 64}</checksum><summary>s</summary><size package="10"/>'
        f'<location href="Packages/{name}-{version}.rpm"/><format>{entries("requires", requires)}'
        f"{entries('provides', provides)}{''.join(f'<file>{file}</file>' for file in files.split())}</format></package>"
    )


def chosen(index: bytes, *wanted: str) -> tuple[list[str], list[str]]:
    pool = Pool("rpm", "x86_64", rpm_index.read(index, 0, "an index"))
    needs: dict[Need, str] = {need: "you" for text in wanted for need in rpm_needs.read(text)}
    found = close([pool], needs, Rules())
    return [each.name for each in found.chosen], [each.what for each in found.unsatisfied]


def test_libraries_and_files_are_found_by_who_provides_them() -> None:
    index = primary(
        package("app", requires="libfoo.so.1()(64bit);/usr/bin/sh"), package("foo", provides="libfoo.so.1()(64bit)"),
        package("dash", files="/usr/bin/sh"),
    )  # fmt: skip
    assert chosen(index, "app") == (["app", "dash", "foo"], [])


def test_source_packages_come_with_what_is_built_from_them() -> None:
    index = primary(
        package("app").replace("<format>", "<format><rpm:sourcerpm>app-1-1.src.rpm</rpm:sourcerpm>"),
        package("other"),
        *(
            package(name).replace("x86_64</arch>", "src</arch>").replace(f"{name}-1.rpm", f"{name}-1-1.src.rpm")
            for name in ("app", "other")
        ),
    )
    found = list(rpm_index.read(index, 0, "an index"))
    pools = reading.pools("rpm", ((each.package.arch, each) for each in found), ["x86_64"])
    sources = tuple(each for each in found if each.package.arch == "src")
    chosen = Selection("rpm", (Source("x"),), ("x86_64",), packages=("app",), source=True)
    choice = choosing.choose(reading.Reading(pools, sources=sources), chosen, {})
    assert [each.package.path for each in choice.chosen] == ["Packages/app-1-1.src.rpm", "Packages/app-1.rpm"]
    without = choosing.choose(reading.Reading(pools, sources=sources), replace(chosen, source=False), {})
    assert [each.package.path for each in without.chosen] == ["Packages/app-1.rpm"]


def test_a_condition_that_does_not_hold_is_missed_by_nobody_and_one_that_holds_is() -> None:
    index = primary(package("app", requires="(policy if selinux)"), package("selinux"))
    assert chosen(index, "app") == (["app"], [])
    assert chosen(index, "app", "selinux") == (["app", "selinux"], ["policy"])
    assert chosen(primary(package("app", requires="(policy if selinux)"), package("policy")), "app")[0] == [
        "app", "policy",
    ]  # fmt: skip


def test_one_package_must_be_all_that_with_says() -> None:
    index = primary(
        package("app", requires="(mta with tls)"), package("plain", provides="mta"),
        package("secure", provides="mta;tls"),
    )  # fmt: skip
    assert chosen(index, "app")[0] == ["app", "secure"]


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (b"<metadata", "is no index"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><metadata/>', "declares entities"),
        (primary(package("../evil")), "usable name"),
        (primary(package("a").replace("Packages/", "../../")), ".."),
        (primary(package("a").replace("a" * 64, "b" * 40)), "no SHA-256"),
        (primary(package("a").replace('package="10"', 'package="-1"')), "no size"),
    ],
)
def test_an_index_that_cannot_be_right_is_refused(index: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        list(rpm_index.read(index, 0, "an index"))


def test_a_stream_that_is_not_the_default_is_hidden() -> None:
    modules = b"""\
document: modulemd
data: {name: nodejs, stream: "18", artifacts: {rpms: ["nodejs-1:18.0-1.x86_64"]}}
---
document: modulemd
data: {name: nodejs, stream: "20", artifacts: {rpms: ["nodejs-1:20.0-1.x86_64"]}}
---
document: modulemd-defaults
data: {module: nodejs, stream: "18"}
"""
    hidden = rpm_modules.hidden([modules])
    assert hidden == {"nodejs-1:20.0-1.x86_64"}
    newer = Package("rpm", "nodejs", "1:20.0-1", "x86_64", "n.rpm", "a" * 64, 1)
    assert rpm_modules.artifact(newer) in hidden


def test_advisories_of_several_repositories_become_one_document() -> None:
    both = rpm_extras.merged("updateinfo", [UPDATES, UPDATES.replace(b"FIX-1", b"FIX-2")])
    assert (both.count(b"<updates"), b"FIX-1" in both, b"FIX-2" in both) == (1, True, True)


@pytest.fixture(scope="module")
def _rpms(tmp_path_factory: pytest.TempPathFactory, upstream_key: openpgp.KeyPair) -> Path:
    for name in ("rpmbuild", "createrepo_c", "modifyrepo_c", "rpmkeys"):
        if shutil.which(name) is None:
            pytest.skip(f"needs {name} (apt install rpm createrepo-c)")
    root, work = tmp_path_factory.mktemp("rpms"), tmp_path_factory.mktemp("rpmbuild")
    (work / "app.spec").write_text(SPEC)
    defined = [word for each in (f"_topdir {work}", f"_rpmdir {root}") for word in ("--define", each)]
    _run(["rpmbuild", "-bb", *defined, str(work / "app.spec")], HOME=str(work))
    _run(["createrepo_c", "-q", str(root)])
    (work / "updateinfo.xml").write_bytes(UPDATES)
    _run(["modifyrepo_c", "--mdtype=updateinfo", str(work / "updateinfo.xml"), str(root / "repodata")])
    repomd = root / "repodata/repomd.xml"
    repomd.with_name("repomd.xml.asc").write_bytes(openpgp.sign_detached(repomd.read_bytes(), [upstream_key.private]))
    return root


@pytest.fixture
def rpms(tmp_path: Path, _rpms: Path) -> Iterator[Server]:
    shutil.copytree(_rpms, tmp_path / "rpms")
    server = Server(tmp_path / "rpms")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_dnf_installs_from_the_mirrored_part_with_the_upstream_gone(
    appliance: Appliance, rpms: Server, tmp_path: Path, our_key: openpgp.KeyPair
) -> None:
    appliance.create(
        kind="rpm", architectures=["x86_64"], sources=[{"upstream": rpms.url}], packages=["app"],
    )  # fmt: skip
    task = appliance.sync()
    assert (task["problem"], task["result"]["unsatisfied"]) == ("", [])
    repository = appliance.settings.data_dir / "repo/web"
    found = sorted(path.name.partition("-1.0")[0] for path in repository.rglob("*.rpm"))
    assert found == ["app", "lib", "tool"]
    assert list((repository / "repodata").glob("*updateinfo.xml*"))
    if shutil.which("dnf") is None:
        pytest.skip("needs dnf (apt install dnf)")
    rpms.shutdown()
    (tmp_path / "key.asc").write_text(our_key.public)
    dnf = served.Dnf(tmp_path / "dnf", f"file://{repository}", f"file://{tmp_path}/key.asc")
    ran = dnf.run("install", "app")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (dnf.folder / "root/usr/share/tool/deep").read_text() == "deep\n"


def test_where_the_index_has_no_signature_each_package_needs_its_own(
    appliance: Appliance, rpms: Server, tmp_path: Path, upstream_key: openpgp.KeyPair, our_key: openpgp.KeyPair
) -> None:
    (rpms.root / "repodata/repomd.xml.asc").unlink()
    given = {"kind": "rpm", "architectures": ["x86_64"], "sources": [{"upstream": rpms.url}], "packages": ["lib"]}
    appliance.create(**given)
    task = appliance.sync()
    assert "has no signature by a known key" in task["problem"]
    assert "lib-1.0-2.noarch.rpm" in task["problem"]
    if shutil.which("rpmsign") is None:
        pytest.skip("needs rpmsign (apt install rpm)")
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    words = ["gpg", "--homedir", str(home), "--batch", "--import"]
    subprocess.run(words, input=upstream_key.private.encode(), check=True, capture_output=True, timeout=60)
    said = (f"_gpg_name {upstream_key.fingerprint}", f"_gpg_path {home}", f"__gpg {shutil.which('gpg')}")
    signed = [word for each in said for word in ("--define", each)]
    _run(["rpmsign", "--addsign", *signed, str(rpms.root / "noarch/lib-1.0-2.noarch.rpm")])
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=60)
    _run(["createrepo_c", "-q", str(rpms.root)])
    task = appliance.sync()
    assert task["problem"] == ""
    assert "each package is verified by its own" in task["result"]["remarks"][0]
    appliance.create("other", **{**given, "key": our_key.public})
    assert "has no signature by a known key" in appliance.sync("other")["problem"]


def _run(command: list[str], **environment: str) -> str:
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )
    assert ran.returncode == 0, ran.stderr[-2000:] + ran.stdout[-2000:]
    return ran.stdout
