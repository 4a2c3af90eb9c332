"""Who reads a repository of ours: releases, roles, clusters and machines that name its address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.orm import Session

from pxeapp.answers.models import Role
from pxeapp.machines.models import Cluster, Machine
from pxeapp.software.models import Release

REPOSITORIES = "repositories"  # the variable of a site's own


def readers(session: Session, name: str, node_url: str) -> list[str]:
    """As a sentence names them: `release debian-12`, `role compute`."""
    return [
        f"{kind} {who}" for kind, who, urls in _naming(session, name) if any(_is(url, name, node_url) for url in urls)
    ]


def _naming(session: Session, name: str) -> Iterator[tuple[str, str, list[str]]]:
    """Those whose text has the address in it; what stands in a comment or a script is told apart by `_is`."""
    wanted = f"/repo/{name}"
    named = or_(
        Release.install_url.contains(wanted, autoescape=True),
        cast(Release.repositories, Text).contains(wanted, autoescape=True),
        cast(Release.settings, Text).contains(wanted, autoescape=True),
    )
    for who, install_url, listed, settings in session.execute(
        select(Release.name, Release.install_url, Release.repositories, Release.settings).where(named)
    ):
        texts = [install_url, *(str(value) for value in settings.values()), *urls_in({REPOSITORIES: listed})]
        yield "release", who, texts
    for kind, model in (("role", Role), ("cluster", Cluster), ("machine", Machine)):
        found = select(model.name, model.vars).where(cast(model.vars, Text).contains(wanted, autoescape=True))
        for who, said in session.execute(found):
            yield kind, who, list(urls_in(said))


def urls_in(said: Mapping[str, Any]) -> Iterator[str]:
    """The addresses in a site's own `repositories`, as variables name them: nothing was checked yet."""
    found = said.get(REPOSITORIES)
    for each in found if isinstance(found, (list, tuple)) else ():
        if isinstance(each, Mapping):
            yield str(each.get("url", ""))


def _is(url: str, name: str, node_url: str) -> bool:
    """Whether an address is the repository's, or one below it."""
    for base in ("{node_url}", node_url):
        root = f"{base}/repo/{name}"
        if url == root or url.startswith(f"{root}/"):
            return True
    return False
