"""Our side of a renderer: a request, the templates that it asks for, and an answer that is nothing but text."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from pxeapp.errors import Unavailable
from pxeapp.templates import wire
from pxeapp.templates.language import TemplateError
from pxeapp.templates.limits import Limits
from pxeapp.templates.sources import Source, Sources

LONGEST_SAID = 64 * 1024  # bytes of any message but the text
OVER = "Find what repeats itself there; templates are for answers, not for computing."
_FRAME = re.compile(rb'File "([^"\n]*)", line (\d+)')


class Busy(Unavailable):
    """No renderer was to be had, or it came to no end although it had not used its time: this host is overloaded."""

    title = "Rendering is busy"


class Lost(Exception):
    """The renderer ended, or what it sent is not what a renderer sends."""


class Job:
    """One rendering: what is asked for, and the templates that were given for it, the last asked for at the end."""

    def __init__(
        self, what: bytes, name: str, sources: Sources, variables: str = "{}", *, expected: Iterable[str] = ()
    ) -> None:
        self.what = what
        self.name = name
        self.given: dict[str, Source] = {}
        self._variables = variables
        self._sources = sources
        for each in expected:
            self.look_up(each)

    def look_up(self, name: str) -> Source | None:
        """Where a template lies now."""
        self.given.pop(name, None)
        source = self._sources.find(name)
        if source is not None:
            self.given[name] = source
        return source

    def request(self) -> bytes:
        """With the versions of what is known to be needed: what the renderer has already, it need not ask for."""
        versions = json.dumps({name: source.version for name, source in self.given.items()})
        said = f'{{"name": {json.dumps(self.name)}, "versions": {versions}, "variables": {self._variables}}}'
        return said.encode()


class Renderer:
    """One confined process. Used by one thread at a time."""

    def __init__(self, sock: socket.socket, handle: int, renders: int) -> None:
        self._socket = sock
        self._handle = handle
        self._left = renders
        self._sound = True

    @property
    def may_go_on(self) -> bool:
        """Whether it waits for its next request, and is not due to be replaced."""
        return self._sound and self._left > 0

    def ask(self, job: Job, limits: Limits) -> str:
        """The text; raises TemplateError, Busy, or Lost."""
        deadline = time.monotonic() + limits.wall_s
        name = job.name
        self._left -= 1
        self._sound = False
        try:
            self._send(job.what, job.request(), deadline)
            for _ in range(limits.templates + 1):
                kind, length = wire.HEADER.unpack(self._exactly(wire.HEADER.size, deadline))
                if kind == wire.NEED and length <= LONGEST_SAID:
                    self._give(json.loads(self._exactly(length, deadline)), job, deadline)
                elif kind == wire.TEXT and length <= 4 * limits.output:
                    text = self._exactly(length, deadline).decode()
                    self._sound = True
                    return text
                elif kind == wire.WRONG and length <= LONGEST_SAID:
                    self._refuse(job, json.loads(self._exactly(length, deadline)))
                elif kind == wire.DUMP[:1]:
                    self._too_long(job, limits)
                else:
                    raise Lost
        except TimeoutError:
            raise Busy(
                f"{name} was not rendered within {limits.wall_s:g} s, because this host is too busy.", hint="Try again."
            ) from None
        except (OSError, EOFError, ValueError, TypeError, KeyError, RecursionError):
            raise Lost from None
        raise TemplateError(f"{name} includes more than {limits.templates} templates.")

    def end(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.forget()

    def forget(self) -> None:
        """Close our side."""
        self._socket.close()
        os.close(self._handle)

    def _give(self, asked: Any, job: Job, deadline: float) -> None:
        source = job.look_up(str(asked["name"]))
        if source is None:
            self._send(wire.SOURCE, b"null", deadline)
            return
        said = {"path": str(source.path), "version": source.version}
        if asked["have"] != source.version:
            said["text"] = source.text()
        self._send(wire.SOURCE, json.dumps(said).encode(), deadline)

    def _too_long(self, job: Job, limits: Limits) -> NoReturn:
        """It has written where it is, since its time is up; the innermost frame in a template is the place."""
        self._socket.settimeout(0.5)
        said = b""
        with contextlib.suppress(OSError):
            while len(said) < LONGEST_SAID and not said.endswith(b"\n\n") and (piece := self._socket.recv(4096)):
                said += piece
                self._socket.settimeout(0.05)  # it is written at one go, and nothing marks its end
        by_path = {str(source.path): source.shown for source in job.given.values()}
        places = [(path.decode(), int(line)) for path, line in _FRAME.findall(said)]
        inside = [f"{by_path[path]}, line {line}" for path, line in places if path in by_path]
        compiling = list(by_path.values())[-1:]  # where it renders nothing yet
        where = (inside or compiling or [job.name])[0]
        raise TemplateError(f"{where}: it takes more than {limits.cpu_s:g} s of computing time.", hint=OVER)

    def _refuse(self, job: Job, said: Any) -> NoReturn:
        """The renderer's complaint in our words. It is a stranger's text: one line of bounded length."""
        if "missing" in said:
            self._sound = True
            raise TemplateError(f"There is no template {_tame(said['missing'])}.")
        shown = [source.shown for source in job.given.values() if str(source.path) == said["path"]]
        place = (shown or [job.name])[0]
        if isinstance(said["line"], int):
            place += f", line {said['line']}"
        self._sound = not said["over"]
        raise TemplateError(f"{place}: {_tame(said['why'])}.", hint=OVER if said["over"] else "")

    def _send(self, kind: bytes, payload: bytes, deadline: float) -> None:
        self._socket.settimeout(max(0.01, deadline - time.monotonic()))
        self._socket.sendall(wire.frame(kind, payload))

    def _exactly(self, count: int, deadline: float) -> bytes:
        pieces = bytearray()
        while len(pieces) < count:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            piece = self._socket.recv(count - len(pieces))
            if not piece:
                raise EOFError
            pieces += piece
        return bytes(pieces)


def _tame(said: object) -> str:
    return "".join(each if each.isprintable() else "?" for each in str(said)[:500])
