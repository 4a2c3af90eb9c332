"""A yum repository's primary.xml as candidates, and the names of files that only filelists.xml has.

The format is createrepo's (namespace http://linux.duke.edu/metadata/...); primary lists of all files those in */bin,
*/sbin and /etc, which is what packages require as a rule. Others are looked up where somebody asks for one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree as Xml

from pxeapp.errors import Invalid
from pxeapp.software.content.manifest import check_path
from pxeapp.software.mirrors import rpm_needs
from pxeapp.software.mirrors.needs import Atom, Need
from pxeapp.software.packages import Package

COMMON = "{http://linux.duke.edu/metadata/common}"
RPM = "{http://linux.duke.edu/metadata/rpm}"
FILELISTS = "{http://linux.duke.edu/metadata/filelists}"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9._+-]{1,255}")
ENTITY = re.compile(rb"<!\s*ENTITY", re.IGNORECASE)  # a DOCTYPE alone is harmless, and comps.xml has one

Entry = tuple[str, str, str]  # a name, and perhaps a relation with a version


class Rpm:
    """One package of an index. All of its kind are equal: rpm knows no priorities."""

    __slots__ = ("_against", "_requires", "_weak", "package", "provides", "source")

    priority = ""
    essential = False
    foreign = False
    same = False

    def __init__(
        self,
        package: Package,
        source: int,
        *,
        provides: Sequence[tuple[str, str]],
        requires: Sequence[Entry],
        weak: Sequence[Entry],
        against: Sequence[Entry],
    ) -> None:
        self.package = package
        self.source = source
        self.provides = list(provides)
        self._requires = requires
        self._weak = weak
        self._against = against

    @property
    def name(self) -> str:
        """Its name."""
        return self.package.name

    @property
    def version(self) -> str:
        """Epoch, version and release, the epoch where it has one."""
        return self.package.version

    def needs(self) -> Sequence[Need]:
        """What it requires; what it recommends is weak."""
        strong = [need for entry in self._requires for need in _needs(entry, weak=False)]
        return [*strong, *(need for entry in self._weak for need in _needs(entry, weak=True))]

    def exact(self) -> Sequence[Need]:
        """None that may be skewed: a repository is published when all of its architectures are built."""
        return ()

    def against(self) -> Sequence[Atom]:
        """What it cannot be installed beside; a rich conflict is left to who installs."""
        return [rpm_needs.atom(*entry) for entry in self._against if not entry[0].startswith("(")]


def read(primary: bytes, source: int, where: str) -> Iterator[Rpm]:
    """Every package of an unpacked primary.xml; raises Invalid for what is none. `where` is for sentences."""
    for element in _elements(primary, f"{COMMON}package", where):
        yield _rpm(element, source, where)


def files(filelists: bytes, wanted: Iterable[str], where: str) -> dict[str, list[tuple[str, str]]]:
    """Which packages (by name and version) have these files, of an unpacked filelists.xml."""
    left = frozenset(wanted)
    found: dict[str, list[tuple[str, str]]] = {}
    for element in _elements(filelists, f"{FILELISTS}package", where):
        for file in element.iterfind(f"{FILELISTS}file"):
            if file.text in left:
                identity = (element.get("name", ""), _version(element.find(f"{FILELISTS}version")))
                found.setdefault(str(file.text), []).append(identity)
    return found


def groups(comps: bytes, where: str) -> dict[str, tuple[str, ...]]:
    """The packages that a group has by default, by the group's name, of a comps.xml."""
    return {
        element.findtext("id", ""): tuple(
            package.text or ""
            for package in element.iterfind("packagelist/packagereq")
            if package.get("type", "mandatory") in ("mandatory", "default")
        )
        for element in _elements(comps, "group", where)
    }


def _elements(content: bytes, tag: str, where: str) -> Iterator[Xml.Element]:
    if ENTITY.search(content[:65536]):
        raise Invalid(f"{where} declares entities, which no index does.", hint="Use another mirror.")
    try:
        root = None
        for event, element in Xml.iterparse(io.BytesIO(content), events=("start", "end")):  # noqa: S314 - see above
            if root is None:
                root = element
            elif event == "end" and element.tag == tag:
                yield element
                root.clear()
    except Xml.ParseError as error:
        raise Invalid(f"{where} is no index: {error}.", hint="Fetch it again; it is damaged.") from error


def _rpm(element: Xml.Element, source: int, where: str) -> Rpm:
    checksum = element.find(f"{COMMON}checksum")
    location = element.find(f"{COMMON}location")
    size = element.find(f"{COMMON}size")
    form = element.find(f"{COMMON}format")
    name = element.findtext(f"{COMMON}name") or ""
    version = _version(element.find(f"{COMMON}version"))
    sha256 = ((checksum.text or "") if checksum is not None else "").strip().lower()
    length = size.get("package", "") if size is not None else ""
    if not _NAME.fullmatch(name) or not version:
        raise Invalid(f"{where} has a package without a usable name and version: {name[:100]!r}.")
    if not _SHA256.fullmatch(sha256):
        raise Invalid(
            f"{where} has no SHA-256 for {name}, so that it could not be verified.",
            hint="Indices of before 2010 know SHA-1 alone; upload such packages to a local repository.",
        )
    if not (length.isascii() and length.isdigit()):
        raise Invalid(f"{where} has no size for {name} {version}.")
    path = location.get("href", "") if location is not None else ""
    check_path(path)
    package = Package(
        "rpm",
        name,
        version,
        element.findtext(f"{COMMON}arch") or "",
        path,
        sha256,
        int(length),
        source=(form.findtext(f"{RPM}sourcerpm") or "") if form is not None else "",
        summary=element.findtext(f"{COMMON}summary") or "",
    )
    provided = [(each, version) for each, _, version in _entries(form, "provides")]
    listed = [str(each.text) for each in form.iterfind(f"{COMMON}file")] if form is not None else []
    return Rpm(
        package,
        source,
        provides=[*((each, said) for each, said in provided if each != name), *((path, "") for path in listed)],
        requires=_entries(form, "requires"),
        weak=_entries(form, "recommends"),
        against=[*_entries(form, "conflicts"), *_entries(form, "obsoletes")],
    )


def _entries(form: Xml.Element | None, kind: str) -> list[Entry]:
    if form is None:
        return []
    return [
        (entry.get("name", ""), entry.get("flags", ""), _version(entry))
        for entry in form.iterfind(f"{RPM}{kind}/{RPM}entry")
    ]


def _version(element: Xml.Element | None) -> str:
    if element is None or not (version := element.get("ver", "")):
        return ""
    epoch, release = element.get("epoch", "0") or "0", element.get("rel", "")
    return f"{'' if epoch == '0' else f'{epoch}:'}{version}{f'-{release}' if release else ''}"


def _needs(entry: Entry, *, weak: bool) -> Sequence[Need]:
    name, relation, version = entry
    if name.startswith("("):
        return rpm_needs.read(name, weak=weak)
    if rpm_needs.IGNORED.match(name):
        return ()
    return (Need((rpm_needs.atom(name, relation, version),), weak),)
