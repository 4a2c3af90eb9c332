"""Which projects' machines the one who asks may see, for the length of a request.

The guard says it before any handler runs; machines/projects.py holds every query and every write to it. A thread whose
request is over keeps its limit until the next one begins, so that what is streamed afterwards is held to it as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Projects = frozenset[str] | None  # None: all of them

_projects: ContextVar[Projects] = ContextVar("projects", default=None)


def limit(projects: Projects) -> None:
    """From here on, in this thread, only these projects; None: all."""
    _projects.set(projects)


def present() -> Projects:
    """The projects that whoever asks is limited to; None: not limited."""
    return _projects.get()


@contextmanager
def lifted() -> Iterator[None]:
    """Within it all machines are seen: for what must be counted whole, and is not shown."""
    before = _projects.set(None)
    try:
        yield
    finally:
        _projects.reset(before)


def both(one: Iterable[str] | None, other: Iterable[str] | None) -> Projects:
    """What two limits leave together: a token never reaches further than its user."""
    if one is None or other is None:
        said = other if one is None else one
        return None if said is None else frozenset(said)
    return frozenset(one) & frozenset(other)
