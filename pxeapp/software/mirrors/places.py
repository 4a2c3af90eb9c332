"""Where a release's packages are on a mirror of its distribution: so that an operator names the release alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp import systems
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software import debian
from pxeapp.software.mirrors import definitions
from pxeapp.software.mirrors.selection import Selection
from pxeapp.software.models import Release

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_RELEASE = re.compile(r"(?P<family>[a-z]+)-(?P<version>[0-9]+(\.[0-9]+)?)")
UBUNTU = {
    "16.04": "xenial",
    "18.04": "bionic",
    "20.04": "focal",
    "22.04": "jammy",
    "24.04": "noble",
    "26.04": "resolute",
}
SECURITY = "security"  # the upstream of that name behind the distribution's own: debian-security
DEB_ARCHITECTURES, RPM_ARCHITECTURES = ("amd64",), ("x86_64",)
# The repositories that an installation of EL uses; CRB has what RDO's packages need.
EL = ("BaseOS", "AppStream", "CRB")
STREAM = "{version}-stream/{repo}/{arch}/os"
CLONE = "{version}/{repo}/{arch}/os"


def completed(session: Session, given: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """What an operator said with what follows from the release: kind, family, architectures, sources.

    `known` are the upstreams that there are: security updates are a source only where their archive is one.
    """
    found = dict(given)
    family, version = of_release(session, str(found.get("release") or ""))
    if family:
        found["family"] = found.get("family") or definitions.family_of(family)
    kind = found.get("kind") or _kind(found)
    found["kind"] = kind
    found["architectures"] = list(found.get("architectures") or ())
    if not found["architectures"]:
        found["architectures"] = list(DEB_ARCHITECTURES if kind == "deb" else RPM_ARCHITECTURES)
    upstream = str(found.pop("upstream", "") or "")
    if upstream or not found.get("sources"):
        found["sources"] = _sources(found, family, version, upstream, known)
    return found


def of_release(session: Session, name: str) -> tuple[str, str]:
    """A release's family and version: its row's, else what its name says; two empty ones where no release is named."""
    if not name:
        return "", ""
    row = session.scalar(select(Release).where(Release.name == name))
    if row is not None:
        return row.family, systems.major(row.family, row.version)
    said = _RELEASE.fullmatch(name)
    if said is None or (said["family"], said["version"]) not in systems.SYSTEMS:
        fix = "Name one of: pxeapp release list, or a system such as debian-13 or rocky-9."
        raise Invalid(
            "This mirror cannot be saved.", problems=[FieldProblem("release", f"{name[:63]!r} is not known.", fix)]
        )
    return said["family"], said["version"]


def published(selection: Selection) -> tuple[str, list[str]]:
    """The suite under which a mirror is served, and its components: the first source's, whatever is merged into it."""
    if selection.kind == "rpm":
        return "", []
    components = dict.fromkeys(word for source in selection.sources for word in source.components)
    # A suite with a slash (noble-updates/epoxy) would be a folder in a folder; apt wants it as one word.
    return selection.sources[0].suite.replace("/", "-"), [word.rpartition("/")[2] for word in components]


def _kind(said: Mapping[str, Any]) -> str:
    if said.get("family"):
        return "rpm" if said["family"] == "el" else "deb"
    return "deb" if any(source.get("suite") for source in said.get("sources") or ()) else "rpm"


def _sources(
    said: Mapping[str, Any], family: str, version: str, upstream: str, known: Collection[str]
) -> list[dict[str, Any]]:
    """Every source of a release: its suite with updates and security, or its repositories."""
    if not family or not upstream:
        return []
    if family == "ubuntu":
        suite = UBUNTU.get(version, "")
        words = ["main", "universe"]
        return [{"upstream": upstream, "suite": f"{suite}{end}", "components": words}
                for end in ("", "-updates", "-security")]  # fmt: skip
    if family == "debian":
        suite = debian.CODENAMES.get(version, "")
        found = [{"upstream": upstream, "suite": f"{suite}{end}", "components": ["main"]} for end in ("", "-updates")]
        if f"{upstream}-{SECURITY}" in known:
            security = f"{upstream}-{SECURITY}"
            found.append({"upstream": security, "suite": f"{suite}-security", "components": ["main"]})
        return found
    layout = STREAM if family == "centos" else CLONE
    return [
        {"upstream": upstream, "path": layout.format(version=version, repo=repo, arch=arch)}
        for repo in EL
        for arch in said["architectures"]
    ]
