"""Package files, looked at by dpkg-deb and rpm: what each is, that it is whole, by whom it was signed.

Whoever uploads one may have made it to harm us, so both programs run under limits of time, memory and what they write.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pxeapp.errors import FieldProblem, Invalid, Unavailable
from pxeapp.software.content.store import Blob
from pxeapp.software.packages import Kind, Package
from pxeapp.software.repositories import apt

LOOK_TIMEOUT_S = 60.0
WHOLE_TIMEOUT_S = 900.0  # to unpack the largest package there is, once
MAX_CONTROL = 1024 * 1024
LIMITS = ("prlimit", "--fsize=67108864", "--as=4294967296", "--cpu=600", "--core=0")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}
DEB_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}")
DEB_VERSION = re.compile(r"([0-9]+:)?[0-9A-Za-z][A-Za-z0-9.+~-]{0,127}")
RPM_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~^-]{0,127}")
ARCH = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
ANY = {"deb": "all", "rpm": "noarch"}
_RPM_TAGS = ("NAME", "EPOCHNUM", "VERSION", "RELEASE", "ARCH", "SOURCEPACKAGE", "SOURCERPM")
_RPM_SIGNATURE = "%|DSAHEADER?{%{DSAHEADER:pgpsig}}:{%|RSAHEADER?{%{RSAHEADER:pgpsig}}:{}|}|"


@dataclass(frozen=True, slots=True)
class Inspected:
    """A package, and what its own signature says; "" where it has none, as with nearly every .deb."""

    package: Package
    signed: str = ""


def inspect(kind: Kind, path: Path, blob: Blob, *, name: str) -> Inspected:
    """What lies at `path`; `name` is for sentences. Raises Invalid when it is no whole package of this kind.

    Its `path` in a repository is still empty: see `placed`.
    """
    return _deb(path, blob, name) if kind == "deb" else _rpm(path, blob, name)


def placed(package: Package, component: str, taken: Sequence[str] | set[str]) -> Package:
    """With its path in a repository, as archives lay it out; in a folder of its own where that name is taken."""
    version = package.version.partition(":")[2] or package.version  # as in archives, the epoch is not in a file's name
    if package.kind == "deb":
        source = package.source or package.name
        initial = source[:4] if source.startswith("lib") else source[:1]
        folder, file = f"pool/{component}/{initial}/{source}", f"{package.name}_{version}_{package.arch}.deb"
        if package.stanza.startswith("Package-Type: udeb") or "\nPackage-Type: udeb" in package.stanza:
            file = file.removesuffix(".deb") + ".udeb"
    else:
        folder, file = f"Packages/{package.name[:1].lower()}", f"{package.name}-{version}.{package.arch}.rpm"
    path = f"{folder}/{file}"
    return replace(package, path=path if path not in taken else f"{folder}/{package.sha256[:12]}/{file}")


def _deb(path: Path, blob: Blob, name: str) -> Inspected:
    control = _run(["dpkg-deb", "--field", str(path)], name, "no Debian package", LOOK_TIMEOUT_S)
    stanza, said = apt.parted(control)
    package, version, arch = said.get("package", ""), said.get("version", ""), said.get("architecture", "")
    if not (DEB_NAME.fullmatch(package) and DEB_VERSION.fullmatch(version) and ARCH.fullmatch(arch)):
        raise _bad(name, f"names itself {package[:60]!r} {version[:60]!r} {arch[:30]!r}", "Build it by Debian's rules.")
    if not stanza.startswith("Package:"):
        stanza = f"Package: {package}\n" + "".join(
            f"{line}\n" for line in stanza.splitlines() if not line.startswith("Package:")
        )
    _run(["dpkg-deb", "--fsys-tarfile", str(path)], name, "damaged", WHOLE_TIMEOUT_S, quiet=True)
    source = said.get("source", "").partition(" ")[0]
    if source and not DEB_NAME.fullmatch(source):
        raise _bad(name, f"names its source {source[:60]!r}", "Build it by Debian's rules.")
    summary = said.get("description", "")
    found = Package("deb", package, version, arch, "", blob.sha256, blob.size, source or package, summary, stanza)
    return Inspected(found)


def _rpm(path: Path, blob: Blob, name: str) -> Inspected:
    with tempfile.TemporaryDirectory(prefix="pxeapp-rpm-") as empty:  # no database, and so no key, of this machine's
        own = ["--dbpath", empty]
        form = "".join(f"%{{{tag}}}\\n" for tag in _RPM_TAGS) + f"{_RPM_SIGNATURE}\\n%{{SUMMARY}}\\n"
        told = _run(
            ["rpm", *own, "-qp", "--nosignature", "--nodigest", "--queryformat", form, str(path)],
            name, "no RPM package", LOOK_TIMEOUT_S,
        ).split("\n")  # fmt: skip
        if len(told) < len(_RPM_TAGS) + 2:
            raise _bad(name, "is no RPM package", "Upload .rpm files here.")
        package, epoch, number, release, arch, is_source, source = told[: len(_RPM_TAGS)]
        signed, summary = told[len(_RPM_TAGS)], told[len(_RPM_TAGS) + 1]
        words = (package, number, release)
        if not all(map(RPM_WORD.fullmatch, words)) or not ARCH.fullmatch(arch) or not epoch.isdigit():
            raise _bad(
                name, f"names itself {package[:60]!r} {number[:60]!r} {release[:60]!r}", "Build it by rpm's rules."
            )
        if is_source == "1" or source == "(none)":
            raise _bad(name, "is a source package", "Upload what was built of it.")
        _run(["rpmkeys", *own, "-K", "--nosignature", str(path)], name, "damaged", WHOLE_TIMEOUT_S)
    version = f"{'' if epoch == '0' else f'{epoch}:'}{number}-{release}"
    found = Package("rpm", package, version, arch, "", blob.sha256, blob.size, source[:255], summary[:1000])
    return Inspected(found, signed)


def _run(command: Sequence[str], name: str, otherwise: str, timeout_s: float, *, quiet: bool = False) -> str:
    for program in (LIMITS[0], command[0]):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed.", hint="Install the packages dpkg, rpm and util-linux.")
    try:
        ran = subprocess.run(
            [*LIMITS, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=timeout_s, check=False, env=ENVIRONMENT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _bad(name, f"takes {command[0]} more than {timeout_s:.0f} s", "It is not usable as it is.") from None
    if ran.returncode != 0:
        lines = ran.stderr.decode(errors="replace").strip().splitlines()
        said = lines[-1].rpartition("error: ")[2][:200].replace(command[-1], name) if lines else "it said nothing"
        raise _bad(name, f"is {otherwise}: {said}", "Upload it again, whole; one kind of package per repository.")
    if not quiet and len(ran.stdout) > MAX_CONTROL:
        raise _bad(name, "says more of itself than any package does", "It is not usable as it is.")
    return "" if quiet else ran.stdout.decode(errors="replace")


def _bad(name: str, problem: str, fix: str) -> Invalid:
    return Invalid(f"{name} {problem}.", problems=[FieldProblem(name[:200], f"{problem}.", fix)], hint=fix)
