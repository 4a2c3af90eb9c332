"""Modules of EL: packages of a stream that is not a module's default are not what a machine gets that enables none.

Source: libmodulemd's "modulemd-v2" and "modulemd-defaults-v1" documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pxeapp.errors import Invalid
from pxeapp.software.packages import Package

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def hidden(documents: Iterable[bytes]) -> frozenset[str]:
    """The packages (see `artifact`) that dnf does not offer unless somebody enables their stream."""
    streams: dict[tuple[str, str], set[str]] = {}
    default: dict[str, str] = {}
    for content in documents:
        for said in _read(content):
            data = said.get("data")
            if not isinstance(data, Mapping):
                continue
            if said.get("document") == "modulemd":
                artifacts = data.get("artifacts")
                rpms = artifacts.get("rpms", ()) if isinstance(artifacts, Mapping) else ()
                streams.setdefault((str(data.get("name")), str(data.get("stream"))), set()).update(map(str, rpms))
            elif said.get("document") == "modulemd-defaults" and data.get("stream") is not None:
                default[str(data.get("module"))] = str(data["stream"])
    offered = {each for (name, stream), rpms in streams.items() if default.get(name) == stream for each in rpms}
    return frozenset({each for rpms in streams.values() for each in rpms} - offered)


def artifact(package: Package) -> str:
    """A package as modules name it: name-epoch:version-release.arch."""
    version = package.version if ":" in package.version else f"0:{package.version}"
    return f"{package.name}-{version}.{package.arch}"


def _read(content: bytes) -> Iterable[Mapping[str, Any]]:
    try:
        found = list(yaml.load_all(content, Loader=LOADER))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid(f"The modules cannot be read: {error}".splitlines()[0], hint="It is damaged.") from error
    return [each for each in found if isinstance(each, Mapping)]
