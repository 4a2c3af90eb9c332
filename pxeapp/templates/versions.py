"""Which templates a text was made from, and what stood in them: for the record of what a machine was given.

Whoever wants to know begins a recording; rendering then notes each template that it uses. Ours do not change while we
run, so that theirs are known after the first time; of a site's own the file is hashed again when it was changed.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from pxeapp.templates.language import TemplateError
from pxeapp.templates.sources import Source, data_root, parts_of_ours


class Version(NamedTuple):
    """Of one template: whose it is (`ours`, `site`, `proposed`), and the hash of what stands in it."""

    of: str
    sha256: str


_recording: ContextVar[dict[str, Version] | None] = ContextVar("recording", default=None)


@contextmanager
def recording() -> Iterator[dict[str, Version]]:
    """What is rendered within notes here what it was made from, by name."""
    found: dict[str, Version] = {}
    token = _recording.set(found)
    try:
        yield found
    finally:
        _recording.reset(token)


def record_ours(name: str) -> None:
    """One of ours is about to be rendered, with all that it may include."""
    found = _recording.get()
    if found is not None:
        found.update(_of_ours(name))


def record(given: Iterable[tuple[str, Source]]) -> None:
    """These were given to a renderer that asked for them."""
    found = _recording.get()
    if found is not None:
        found.update((name, _of(source, name)) for name, source in given)


@functools.cache
def _of_ours(name: str) -> dict[str, Version]:
    files = {each: data_root() / each for each in sorted({name, *parts_of_ours(name)})}
    return {
        each: Version("ours", hashlib.sha256(path.read_bytes()).hexdigest())
        for each, path in files.items()
        if path.is_file()
    }


@functools.lru_cache(maxsize=1024)
def _of(source: Source, name: str) -> Version:
    """Kept by the source, which is another one after each change of its file."""
    of = "proposed" if source.version.startswith("proposed:") else "ours" if source.shown == name else "site"
    try:
        return Version(of, hashlib.sha256(source.text().encode()).hexdigest())
    except (OSError, TemplateError):
        return Version(of, "")  # deleted in this very moment
