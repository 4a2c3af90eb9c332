"""Where a template lies: the site's own of a name, else ours; and whether a site's has a part in one of ours."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, TemplateNotFound, meta
from jinja2.loaders import split_template_path

from pxeapp.templates.language import TEMPLATE_FOLDERS, TemplateError

LARGEST = 1024 * 1024  # bytes of one template


def data_root() -> Path:
    """Where kickstarts/, preseeds/, boot/ and web/ lie: in the wheel beside the code, else in the checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "_data"
    return packaged if packaged.is_dir() else package.parent


@dataclass(frozen=True, slots=True)
class Source:
    """One template's file. `version` is another one after each change of it."""

    path: Path
    shown: str  # how an error names it: ours by its name, a site's own with its whole path
    version: str

    def text(self) -> str:
        """What stands in it; raises TemplateError when that is no text."""
        with self.path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise TemplateError(f"{self.shown} is larger than {LARGEST // 1024} KiB.")
        try:
            return content.decode().replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise TemplateError(f"{self.shown} is not UTF-8.") from error


@dataclass(frozen=True, slots=True)
class Proposed(Source):
    """A template that is only being thought about: nobody has saved it."""

    content: str

    def text(self) -> str:
        """What would stand in it."""
        return self.content


class Sources:
    """Files are looked for at each call: operators correct a template while the appliance runs.

    `proposed` are looked at as if the site had saved them already; None is one that the site would have deleted.
    """

    def __init__(self, site: Path | None, proposed: Mapping[str, str | None] | None = None) -> None:
        self._site = None if site is None else str(site)  # text: comparing paths takes longer than asking the disk
        self._proposed = {name: _proposed(name, text) for name, text in (proposed or {}).items()}

    def proposing(self, proposed: Mapping[str, str | None]) -> Sources:
        """The same with these templates, none of which is saved anywhere."""
        return Sources(None if self._site is None else Path(self._site), proposed)

    def find(self, name: str) -> Source | None:
        """The site's template of this name, else ours."""
        if (proposed := self._proposed.get(name)) is not None:
            return proposed
        if self._site is not None and name not in self._proposed:
            path = _place(self._site, name)
            about = path and _regular(path)
            if path and about:
                return Source(Path(path), path, _version(path, about))
        return _ours(name)

    def has_own(self, name: str) -> bool:
        """Whether the site has a template of exactly this name; `of_the_site` lists them all."""
        if self._site is None or "\0" in name:
            return False
        path = _place(self._site, name)
        # A loader takes `boot//x` for `boot/x`; it is not that template's name.
        return path == f"{self._site}/{name}" and _regular(path) is not None

    def has(self, name: str) -> bool:
        """Whether there is a template of this name."""
        return _ours(name) is not None or self.find(name) is not None

    def is_sites_own(self, name: str) -> bool:
        """Whether rendering it would run anything that the site wrote: the template itself, or a part of it."""
        names = (name, *parts_of_ours(name))
        if self._proposed and any(self._proposed.get(each) for each in names):
            return True
        site = self._site
        if site is None or not os.path.isdir(site):  # noqa: PTH112 - a tenth of pathlib's time, at each rendering
            return False
        left = names if not self._proposed else [each for each in names if each not in self._proposed]
        return any((path := _place(site, each)) and _regular(path) for each in left)

    def of_the_site(self) -> list[str]:
        """The names of all templates that the site has."""
        if self._site is None:
            return []
        site = Path(self._site)
        paths = [path for folder in TEMPLATE_FOLDERS for path in sorted((site / folder).rglob("*"))]
        return [str(path.relative_to(site)) for path in paths if path.is_file()]


def _proposed(name: str, text: str | None) -> Proposed | None:
    if _place(str(data_root()), name) is None:
        raise TemplateError(f"{name} is not below one of {', '.join(TEMPLATE_FOLDERS)}.")
    if text is None:
        return None
    if len(text.encode()) > LARGEST:
        raise TemplateError(f"{name} is larger than {LARGEST // 1024} KiB.")
    version = f"proposed:{hashlib.sha256(text.encode()).hexdigest()}"
    return Proposed(Path("/proposed") / name, f"the proposed {name}", version, text.replace("\r\n", "\n"))


_FINDING = threading.Lock()


def parts_of_ours(name: str) -> frozenset[str]:
    """What one of our templates extends, includes or imports, and what that does in turn. Ours never change.

    Found once, however many threads want to know at the same moment: all those files are parsed for it.
    """
    with _FINDING:
        return _parts_of_ours(name)


@functools.cache
def _parts_of_ours(name: str) -> frozenset[str]:
    found: set[str] = set()
    left = [name]
    while left:
        path = data_root() / left.pop()
        if not path.is_file():
            continue
        parts = meta.find_referenced_templates(Environment(autoescape=False).parse(path.read_text()))  # noqa: S701
        for part in parts:
            if part is None:  # a test sees to it that ours name theirs
                raise TemplateError(f"{path} includes a template whose name is not written in it.")
            if part not in found:
                found.add(part)
                left.append(part)
    return frozenset(found)


@functools.lru_cache(maxsize=1024)
def _ours(name: str) -> Source | None:
    """Ours of this name. Ours never change while we run, so that the disk is asked once."""
    path = _place(str(data_root()), name)
    about = path and _regular(path)
    return Source(Path(path), name, _version(path, about)) if path and about else None


@functools.lru_cache(maxsize=1024)
def _place(root: str, name: str) -> str | None:
    """Where a template of this name would lie; None where none may."""
    try:
        pieces = split_template_path(name)
    except TemplateNotFound:
        return None
    return os.path.join(root, *pieces) if pieces and pieces[0] in TEMPLATE_FOLDERS else None  # noqa: PTH118


def _version(path: str, about: os.stat_result) -> str:
    return f"{path}:{about.st_ino}:{about.st_mtime_ns}:{about.st_size}"


def _regular(path: str) -> os.stat_result | None:
    try:
        about = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return about if stat.S_ISREG(about.st_mode) else None
