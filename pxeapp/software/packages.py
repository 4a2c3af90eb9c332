"""Packages of both kinds as one record, kept in lists in the store; and which of two versions is the later one."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from functools import cmp_to_key
from itertools import zip_longest
from typing import Literal

from pxeapp.software.content.store import Store

Kind = Literal["deb", "rpm"]
_RPM_PART = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")


@dataclass(frozen=True, slots=True)
class Package:
    """One package file. `version` holds its epoch and release where it has them: 1:2.3-4."""

    kind: Kind
    name: str
    version: str
    arch: str
    path: str  # below the repository's root
    sha256: str
    size: int  # of the file, in bytes
    source: str = ""  # the source package
    summary: str = ""
    stanza: str = field(default="", compare=False)  # deb: its paragraph of the index, without Filename, Size and hashes

    @property
    def identity(self) -> tuple[str, str, str]:
        """What two packages may not share unless they are the same file."""
        return self.name, self.version, self.arch


def save(store: Store, packages: Iterable[Package]) -> str:
    """Keep a list, in one order whatever the order it comes in; returns its SHA-256."""
    ordered = sorted(packages, key=lambda each: (each.name, each.arch, each.version, each.path))
    lines = "".join(f"{json.dumps(astuple(each))}\n" for each in ordered)
    return store.add_bytes(zlib.compress(lines.encode(), 6)).sha256


def load(store: Store, sha256: str) -> list[Package]:
    """The list that was saved; an empty one for an empty hash. Raises NotFound."""
    if not sha256:
        return []
    return [Package(*json.loads(line)) for line in zlib.decompress(store.read(sha256)).decode().split("\n") if line]


def compare(kind: Kind, left: str, right: str) -> int:
    """-1, 0 or 1: whether `left` is older than, the same as, or newer than `right`."""
    if left == right:
        return 0
    return _compare_debs(left, right) if kind == "deb" else _compare_rpms(left, right)


def newest(kind: Kind, versions: Iterable[str]) -> str:
    """The latest of some versions."""

    def order(left: str, right: str) -> int:
        return compare(kind, left, right)

    return max(versions, key=cmp_to_key(order))


def satisfies(kind: Kind, version: str, relation: str, wanted: str) -> bool:
    """Whether a version is what a dependency asks for: `>=`, `>>` (or `>`), `<=`, `<<` (or `<`), `=`; "" is any.

    An RPM dependency that names no release takes any release, and one that names no epoch means epoch 0.
    """
    if not relation:
        return True
    if kind == "rpm" and "-" not in wanted:
        version = version.rpartition("-")[0] or version
    order = compare(kind, version, wanted)
    return {
        "=": order == 0, ">=": order >= 0, "<=": order <= 0, ">>": order > 0, ">": order > 0, "<<": order < 0,
        "<": order < 0,
    }[relation]  # fmt: skip


def _compare_debs(left: str, right: str) -> int:
    """Debian policy 5.6.12: epoch, upstream version, revision; `~` sorts before the end."""
    epochs = [int(each.partition(":")[0]) if ":" in each else 0 for each in (left, right)]
    if epochs[0] != epochs[1]:
        return 1 if epochs[0] > epochs[1] else -1
    bare = [each.partition(":")[2] if ":" in each else each for each in (left, right)]
    parts = [(upstream, revision) if dash else (revision, "") for upstream, dash, revision in
             (each.rpartition("-") for each in bare)]  # fmt: skip
    return next((order for pair in zip(*parts, strict=True) if (order := _compare_deb_part(*pair))), 0)


def _compare_deb_part(left: str, right: str) -> int:
    one, two = _deb_key(left), _deb_key(right)
    return (one > two) - (one < two)


def _deb_key(text: str) -> list[tuple[list[int], int]]:
    """Pairs of what is no digit, letter by letter in Debian's order, and the number behind it."""
    return [
        (
            [*(-1 if char == "~" else ord(char) + (0 if char.isalpha() else 256) for char in letters), 0],
            int(number or 0),
        )
        for letters, number in re.findall(r"([^0-9]*)([0-9]*)", text)
        if letters or number
    ] + [([0], 0)]


def _compare_rpms(left: str, right: str) -> int:
    """As librpm's rpmvercmp does: epoch, version, release; `~` sorts before the end, `^` behind it."""
    for one, two in zip_longest(_rpm_parts(left), _rpm_parts(right), fillvalue=""):
        if order := _compare_rpm_part(one, two):
            return order
    return 0


def _rpm_parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    number, dash, release = rest.rpartition("-")
    return (epoch, number, release) if dash else (epoch, rest, "")


def _compare_rpm_part(left: str, right: str) -> int:
    for one, two in zip_longest(_RPM_PART.findall(left), _RPM_PART.findall(right), fillvalue=""):
        if one == two:
            continue
        if "~" in (one, two):
            return -1 if one == "~" else 1
        if "^" in (one, two):
            # It comes behind the end of the other version, and before anything else that goes on there.
            return (1 if two == "" else -1) if one == "^" else (-1 if one == "" else 1)
        if "" in (one, two):
            return 1 if two == "" else -1
        if one.isdigit() != two.isdigit():
            return 1 if one.isdigit() else -1
        if one.isdigit():
            if int(one) != int(two):
                return 1 if int(one) > int(two) else -1
        else:
            return 1 if one > two else -1
    return 0
