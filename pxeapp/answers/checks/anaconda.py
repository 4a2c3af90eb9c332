"""A kickstart as pykickstart reads it for one release: what it stores, and everything that it complains of.

pykickstart complains by exceptions, by printing, and by Python's warnings, which are one for the whole process. Here
each complaint of a parse lands in its own list, whatever thread it runs in. Nothing is included and nothing is fetched:
what `%include` and `%ksappend` name is there at installation only.
"""

from __future__ import annotations

import re
import sys
import threading
import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pykickstart.errors import KickstartDeprecationWarning, KickstartError
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

_ON_LINE = re.compile(r"on line (\d+)")
_BLANKS = re.compile(r"\s+")
_LOADING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Complaint:
    """What pykickstart says about a line; 0: about none."""

    line: int
    words: str
    deprecated: bool = False


@dataclass(slots=True)
class Parsed:
    """The handler with what it has stored, and the complaints. `whole`: it was read to its end."""

    handler: Any
    complaints: list[Complaint] = field(default_factory=list)
    whole: bool = True


def parse(text: str, syntax: str) -> Parsed:
    """Read a kickstart with the handler of a release (RHEL9)."""
    parsed = Parsed(_handler(syntax))
    parser = _Parser(parsed)
    _collector.list, _collector.parser = parsed.complaints, parser
    try:
        parser.readKickstartFromString(text)  # type: ignore[no-untyped-call]
    except (KickstartError, ValueError, IndexError, AttributeError, TypeError, KeyError) as error:
        parsed.whole = False
        parsed.complaints.append(_complaint(error, parser.line))
    finally:
        _collector.list = _collector.parser = None
    return parsed


class _Parser(KickstartParser):
    """Collects errors instead of raising or printing them."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self.line = 0
        super().__init__(parsed.handler, followIncludes=False, errorsAreFatal=False)  # type: ignore[no-untyped-call]

    def handleCommand(self, lineno: int, args: list[str]) -> Any:  # noqa: N802 - pykickstart's name
        self.line = lineno
        return super().handleCommand(lineno, args)  # type: ignore[no-untyped-call]

    def _tryFunc(self, fn: Any) -> None:  # noqa: N802 - pykickstart's name
        try:
            fn()
        except Exception as error:  # noqa: BLE001 - as pykickstart does: its commands raise whatever comes up
            self._parsed.complaints.append(_complaint(error, self.line))


class _Collector(threading.local):
    """Where this thread's complaints go; None: it is not parsing for us."""

    list: list[Complaint] | None = None
    parser: _Parser | None = None


class _Warnings:
    """Stands for the module `warnings` inside pykickstart: what it warns of while we parse is ours."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    def warn(self, message: Any, category: Any = UserWarning, stacklevel: int = 1, **more: Any) -> None:
        if _collector.list is None:
            warnings.warn(message, category, stacklevel + 1, **more)
            return
        found = _ON_LINE.search(str(message))
        line = int(found[1]) if found else _collector.parser.line if _collector.parser else 0
        deprecated = isinstance(category, type) and issubclass(category, KickstartDeprecationWarning)
        _collector.list.append(Complaint(line, _one_line(str(message)), deprecated))


_collector = _Collector()
_warnings = _Warnings()


def _handler(syntax: str) -> Any:
    with _LOADING:
        _load(syntax)
    return makeVersion(syntax)  # type: ignore[no-untyped-call]


@cache
def _load(syntax: str) -> None:
    makeVersion(syntax)  # type: ignore[no-untyped-call]
    for name, module in list(sys.modules.items()):
        if name.startswith("pykickstart.") and getattr(module, "warnings", None) is warnings:
            module.warnings = _warnings  # type: ignore[attr-defined]


def _complaint(error: Exception, line: int) -> Complaint:
    if isinstance(error, KickstartError):
        return Complaint(error.lineno or line, _one_line(str(error.message)))
    return Complaint(line, _one_line(str(error)))


def _one_line(words: str) -> str:
    words = _BLANKS.sub(" ", words).strip()
    return re.sub(r"^(Ignoring deprecated \w+ )?on line \d+: *", r"\1", words)[:300]
