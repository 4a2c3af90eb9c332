"""Our side of the renderers: whatever a site wrote is rendered in one of them, never here.

Each rendering has a renderer to itself. One whose template took too much is killed and replaced by a fresh fork, so
that a bomb costs its own request time and nobody else's.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pxeapp.errors import Unavailable
from pxeapp.templates import plain, wire
from pxeapp.templates.language import TemplateError
from pxeapp.templates.limits import Limits
from pxeapp.templates.sources import Source, Sources

RENDERERS = 8  # at once, per process of ours
OF_ONE_TEMPLATE = 4  # so that a template that takes its whole time leaves room for others
KEPT_WARM = 2
WAIT_S = 3.0  # for a free one; the thread that waits is one that answers nobody
START_S = 15.0  # of the zygote, on a busy host
LONGEST_SAID = 64 * 1024  # bytes of any message but the text
BOOT = "import sys; sys.path[:] = sys.argv[1].split(chr(10)); from pxeapp.templates import zygote; zygote.main()"
OVER = "Find what repeats itself there; templates are for answers, not for computing."
_FRAME = re.compile(rb'File "([^"\n]*)", line (\d+)')


class Busy(Unavailable):
    """No renderer was to be had, or it came to no end although it had not used its time: this host is overloaded."""

    title = "Rendering is busy"


class Lost(Exception):
    """The renderer ended, or what it sent is not what a renderer sends."""


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

    def ask(self, what: bytes, name: str, request: bytes, sources: Sources, limits: Limits) -> str:
        """The text; raises TemplateError, Busy, or Lost."""
        deadline = time.monotonic() + limits.wall_s
        given: dict[str, Source] = {}
        self._left -= 1
        self._sound = False
        try:
            self._send(what, request, deadline)
            for _ in range(limits.templates + 1):
                kind, length = wire.HEADER.unpack(self._exactly(wire.HEADER.size, deadline))
                if kind == wire.NEED and length <= LONGEST_SAID:
                    self._give(json.loads(self._exactly(length, deadline)), sources, given, deadline)
                elif kind == wire.TEXT and length <= 4 * limits.output:
                    text = self._exactly(length, deadline).decode()
                    self._sound = True
                    return text
                elif kind == wire.WRONG and length <= LONGEST_SAID:
                    self._refuse(name, json.loads(self._exactly(length, deadline)), given)
                elif kind == wire.DUMP[:1]:
                    self._too_long(name, given, limits)
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

    def _give(self, asked: Any, sources: Sources, given: dict[str, Source], deadline: float) -> None:
        source = sources.find(str(asked["name"]))
        if source is None:
            self._send(wire.SOURCE, b"null", deadline)
            return
        given[str(source.path)] = source
        said = {"path": str(source.path), "version": source.version}
        if asked["have"] != source.version:
            said["text"] = source.text()
        self._send(wire.SOURCE, json.dumps(said).encode(), deadline)

    def _too_long(self, name: str, given: Mapping[str, Source], limits: Limits) -> NoReturn:
        """It has written where it is, since its time is up; the innermost frame in a template is the place."""
        self._socket.settimeout(0.5)
        said = b""
        with contextlib.suppress(OSError):
            while len(said) < LONGEST_SAID and not said.endswith(b"\n\n") and (piece := self._socket.recv(4096)):
                said += piece
                self._socket.settimeout(0.05)  # it is written at one go, and nothing marks its end
        places = [(path.decode(), int(line)) for path, line in _FRAME.findall(said)]
        inside = [(given[path].shown, line) for path, line in places if path in given]
        last = [source.shown for source in given.values()][-1:]  # what it compiles, if it renders nothing yet
        where = f"{inside[0][0]}, line {inside[0][1]}" if inside else (last or [name])[0]
        raise TemplateError(f"{where}: it takes more than {limits.cpu_s} s of computing time.", hint=OVER)

    def _refuse(self, name: str, said: Any, given: Mapping[str, Source]) -> NoReturn:
        """The renderer's complaint in our words. It is a stranger's text: one line of bounded length."""
        if "missing" in said:
            self._sound = True
            raise TemplateError(f"There is no template {_tame(said['missing'])}.")
        source = given.get(str(said["path"]))
        place = source.shown if source else name
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


class Pool:
    """Renderers as they are needed, a few kept warm."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._changed = threading.Condition()
        self._idle: list[Renderer] = []
        self._busy: Counter[str] = Counter()
        self._starting = threading.Lock()
        self._zygote: _Zygote | None = None

    def render(self, name: str, variables: Mapping[str, Any], sources: Sources) -> str:
        """The text; raises TemplateError with template and line, or Busy."""
        request = json.dumps({"name": name, "variables": plain.pack(variables)}).encode()
        return self._ask(wire.RENDER, name, request, sources)

    def check(self, name: str, sources: Sources) -> None:
        """Raises TemplateError for a template that cannot be read or parsed."""
        self._ask(wire.CHECK, name, json.dumps({"name": name}).encode(), sources)

    def close(self) -> None:
        """End every renderer."""
        with self._changed:
            idle, self._idle = self._idle, []
        for renderer in idle:
            renderer.end()
        with self._starting:
            if self._zygote is not None:
                self._zygote.end()
            self._zygote = None

    def abandon(self) -> None:
        """In a forked child: what we hold is our parent's."""
        for renderer in self._idle:
            renderer.forget()
        if self._zygote is not None:
            self._zygote.forget()

    def _ask(self, what: bytes, name: str, request: bytes, sources: Sources) -> str:
        with self._turn(name):
            for renderer in (self._take, self._fresh):
                try:
                    with self._lent(renderer()) as lent:
                        return lent.ask(what, name, request, sources, self.limits)
                except Lost:
                    continue  # somebody else may have ended it; twice is the template's doing
        raise TemplateError(
            f"{name}: its renderer was ended by what the template does, at a line that is not known.", hint=OVER
        )

    @contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        def free() -> bool:
            return self._busy.total() < RENDERERS and self._busy[name] < OF_ONE_TEMPLATE

        with self._changed:
            if not self._changed.wait_for(free, WAIT_S):
                raise Busy(f"{name} waits for others that are being rendered.", hint="Try again.")
            self._busy[name] += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy[name] -= 1
                self._changed.notify_all()

    @contextmanager
    def _lent(self, renderer: Renderer) -> Iterator[Renderer]:
        try:
            yield renderer
        finally:
            with self._changed:
                kept = renderer.may_go_on and len(self._idle) < KEPT_WARM
                if kept:
                    self._idle.append(renderer)
            if not kept:
                renderer.end()

    def _take(self) -> Renderer:
        with self._changed:
            if self._idle:
                return self._idle.pop()
        return self._fresh()

    def _fresh(self) -> Renderer:
        with self._starting:
            for _ in range(2):  # a zygote that somebody ended is made anew
                if self._zygote is None:
                    self._zygote = _Zygote(self.limits)
                try:
                    return self._zygote.fork()
                except (OSError, EOFError):
                    self._zygote.end()
                    self._zygote = None
        raise Busy("The process that renders the site's templates cannot be started.", hint="Try again; read its log.")


class _Zygote:
    """The process that forks renderers (see zygote.py)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(START_S)
        path = "\n".join(each or str(Path.cwd()) for each in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", BOOT, path, json.dumps(dataclasses.asdict(limits))],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={},  # ours holds the database's password
                cwd="/",
            )

    def fork(self) -> Renderer:
        """A fresh renderer."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._socket, [b"+"], [theirs.fileno()])
            message, handles, _, _ = socket.recv_fds(self._socket, 1, 1)
            if not message or not handles:
                raise EOFError
        except BaseException:
            ours.close()
            raise
        return Renderer(ours, handles[0], self._limits.renders)

    def end(self) -> None:
        """Its renderers end with it."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def forget(self) -> None:
        """In a forked child: close our copy, and wait for nobody."""
        self._socket.close()
        self._process.returncode = 0


_shared: Pool | None = None
_sharing = threading.Lock()


def shared() -> Pool:
    """The pool of this process, made when the first of a site's templates is rendered."""
    global _shared
    with _sharing:
        if _shared is None:
            _shared = Pool()
            atexit.register(_shared.close)
        return _shared


def _after_fork() -> None:
    global _shared, _sharing
    if _shared is not None:
        atexit.unregister(_shared.close)
        _shared.abandon()
    _shared, _sharing = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
