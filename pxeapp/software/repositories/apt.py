"""An apt repository's indices, made of a list of packages. Pure: packages and a signer in, files out.

    dists/SUITE/{Release,InRelease,Release.gpg}
    dists/SUITE/COMPONENT/binary-ARCH/Packages{,.gz,.xz} and Release           and the same by their hash
    dists/SUITE/COMPONENT/debian-installer/binary-ARCH/Packages{,.gz,.xz}      where there are udebs

There is no Valid-Until: what is published stays good until it is published anew, with the internet or without.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import lzma
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.software.packages import Package

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]{0,62}")
TELL_EVERY = 2000  # packages
GZIP_LEVEL = 6
XZ_PRESET = 2  # a fifth larger than with 6, and five times as fast
UDEB = ".udeb"
# Said by us, of the file that is served; and sums that an index of another repository may have.
OURS = frozenset(("filename", "size", "md5sum", "sha1", "sha256", "sha512"))


class Signs(Protocol):
    """Whoever signs; see signing.py."""

    def sign_clear(self, text: bytes) -> bytes:
        """The text with its signature around it."""

    def sign_detached(self, data: bytes) -> bytes:
        """The armoured signature alone."""


@dataclass(frozen=True, slots=True)
class Suite:
    """What the Release file says of a suite."""

    suite: str
    codename: str = ""  # empty: the suite's name
    origin: str = "pxeapp"
    label: str = "pxeapp"
    description: str = ""
    components: tuple[str, ...] = ("main",)
    architectures: tuple[str, ...] = ("amd64",)

    def __post_init__(self) -> None:
        problems = [
            FieldProblem(field, f"{word[:100]!r} is not possible in an apt repository.", "Use letters, digits, -_.+~.")
            for field, words in (
                ("suite", (self.suite, *([self.codename] if self.codename else []))),
                ("components", self.components),
                ("architectures", self.architectures),
            )
            for word in words
            if not WORD.fullmatch(word)
        ]
        problems += [
            FieldProblem(field, "holds a line break or a control character.", "Take it out.")
            for field in ("origin", "label", "description")
            if not getattr(self, field).isprintable()
        ]
        if not self.components or not self.architectures:
            problems.append(FieldProblem("components", "is empty.", "Name one at least, such as main."))
        if problems:
            raise Invalid("This suite cannot be published.", problems=problems)


def files(
    packages: Iterable[Package],
    suite: Suite,
    *,
    now: dt.datetime,
    signer: Signs,
    tell: Callable[[], None] = lambda: None,
) -> dict[str, bytes]:
    """Every file below `dists/`, by its path below the root. `tell` is called again and again meanwhile."""
    found = _indices(packages, suite, tell)
    release = _release(suite, found, now).encode()
    root = f"dists/{suite.suite}"
    said = {f"{root}/{path}": content for path, content in found.items()}
    said |= {f"{root}/{_by_hash(path, content)}": content for path, content in found.items()}
    return {
        **said,
        f"{root}/Release": release,
        f"{root}/Release.gpg": signer.sign_detached(release),
        f"{root}/InRelease": signer.sign_clear(release),
    }


def is_transient(path: str) -> bool:
    """Whether a file is asked for by what an older index said: kept for a generation beside the new ones."""
    return "/by-hash/" in path or not path.startswith("dists/")


def stanza(package: Package, path: str = "") -> str:
    """The package's paragraph of the index."""
    kept, said = parted(package.stanza)
    if said.get("package") != package.name or said.get("version") != package.version:
        raise Invalid(f"{package.path} has no usable control data.", hint="Upload the package again.")
    return f"{kept}Filename: {path or package.path}\nSize: {package.size}\nSHA256: {package.sha256}\n"


def parted(text: str) -> tuple[str, dict[str, str]]:
    """A paragraph without where the file lies and its sums; and its fields' first lines, by lower-case name."""
    kept, said, ours = [], {}, False
    for line in text.split("\n"):
        if not line or line.isspace():
            continue  # an empty line would end the paragraph
        if line[0] not in " \t":
            name, _, value = line.partition(":")
            name = name.lower()
            said[name] = value.strip()
            ours = name in OURS
        if not ours:
            kept.append(line)
    return "\n".join(kept) + "\n", said


def component(package: Package, components: Sequence[str]) -> str:
    """pool/COMPONENT/... says it; the first one for what lies elsewhere."""
    parts = package.path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "pool" and parts[1] in components else components[0]


def _indices(packages: Iterable[Package], suite: Suite, tell: Callable[[], None]) -> dict[str, bytes]:
    """The Packages files; one of a component and architecture without packages is there too, since apt asks for it."""
    lists: dict[str, list[str]] = {
        f"{name}/binary-{arch}": [] for name in suite.components for arch in suite.architectures
    }
    ordered = sorted(packages, key=lambda each: (each.name, each.version, each.arch, each.path))
    for number, package in enumerate(ordered):
        if number % TELL_EVERY == 0:
            tell()
        where = component(package, suite.components)
        if package.path.endswith(UDEB):
            where += "/debian-installer"
        text = stanza(package)
        for arch in suite.architectures if package.arch == "all" else [package.arch]:
            if arch not in suite.architectures:
                raise Invalid(
                    f"{package.path} is for {arch}, and this repository has {', '.join(suite.architectures)}.",
                    hint="Name its architecture when the repository is made, or leave the package out.",
                )
            lists.setdefault(f"{where}/binary-{arch}", []).append(text)
    found: dict[str, bytes] = {}
    for folder, stanzas in lists.items():
        # An empty line behind the last one, too: debootstrap, which reads line by line, would not see that package.
        content = "".join(f"{each}\n" for each in stanzas).encode()
        found[f"{folder}/Release"] = _legacy(suite, folder)
        found[f"{folder}/Packages"] = content
        tell()
        found[f"{folder}/Packages.gz"] = gzip.compress(content, GZIP_LEVEL, mtime=0)
        tell()
        found[f"{folder}/Packages.xz"] = lzma.compress(content, preset=XZ_PRESET)
    return found


def _legacy(suite: Suite, folder: str) -> bytes:
    """What apt asks for no more, and debian-installer's choose-mirror does: whether the architecture is there."""
    said = {
        "Archive": suite.suite, "Origin": suite.origin, "Label": suite.label,
        "Component": folder.partition("/")[0], "Architecture": folder.rpartition("/binary-")[2],
    }  # fmt: skip
    return "".join(f"{name}: {value}\n" for name, value in said.items()).encode()


def _release(suite: Suite, indices: Mapping[str, bytes], now: dt.datetime) -> str:
    said = {
        "Origin": suite.origin,
        "Label": suite.label,
        "Suite": suite.suite,
        "Codename": suite.codename or suite.suite,
        "Date": f"{now.astimezone(dt.UTC):%a, %d %b %Y %H:%M:%S} UTC",
        "Acquire-By-Hash": "yes",
        "Architectures": " ".join(suite.architectures),
        "Components": " ".join(suite.components),
        "Description": suite.description,
    }
    lines = "".join(f"{name}: {value}\n" for name, value in said.items() if value)
    sums = "".join(f" {_sha256(content)} {len(content)} {path}\n" for path, content in sorted(indices.items()))
    return f"{lines}SHA256:\n{sums}"


def _by_hash(path: str, content: bytes) -> str:
    return f"{path.rpartition('/')[0]}/by-hash/SHA256/{_sha256(content)}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
