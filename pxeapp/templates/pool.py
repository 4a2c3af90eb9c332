"""Renderers, as many as are needed, each rendering with one to itself.

One whose template took too much is killed and replaced by a fresh fork, so that a bomb costs its own request time and
nobody else's.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pxeapp.templates import plain, versions, wire
from pxeapp.templates.language import TemplateError
from pxeapp.templates.limits import Limits
from pxeapp.templates.renderers import OVER, Busy, Job, Lost, Renderer
from pxeapp.templates.sources import Sources

RENDERERS = 8  # at once, per process of ours
OF_ONE_TEMPLATE = 4  # so that a template that takes its whole time leaves room for others
KEPT_WARM = 2
WAIT_S = 3.0  # for a free one; the thread that waits is one that answers nobody
START_S = 15.0  # of the zygote, on a busy host
BOOT = "import sys; sys.path[:] = sys.argv[1].split(chr(10)); from pxeapp.templates import zygote; zygote.main()"


class Pool:
    """Renderers as they are needed, a few kept warm."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._changed = threading.Condition()
        self._idle: list[Renderer] = []
        self._busy: Counter[str] = Counter()
        self._needed: dict[str, tuple[str, tuple[str, ...]]] = {}  # what a template of this version included
        self._starting = threading.Lock()
        self._zygote: _Zygote | None = None

    def render(self, name: str, variables: Mapping[str, Any], sources: Sources) -> str:
        """The text; raises TemplateError with template and line, or Busy."""
        source = sources.find(name)
        version = source.version if source else ""
        seen, needed = self._needed.get(name, ("", ()))
        # What was changed may need less now, and must not be said to be made from what it no longer includes.
        job = Job(wire.RENDER, name, sources, plain.pack(variables), expected=needed if seen == version else ())
        text = self._do(job)
        self._needed[name] = version, tuple(job.given)
        versions.record(job.given.items())
        return text

    def check(self, name: str, sources: Sources) -> None:
        """Raises TemplateError for a template that cannot be read or parsed."""
        self._do(Job(wire.CHECK, name, sources))

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

    def _do(self, job: Job) -> str:
        with self._turn(job.name):
            for renderer in (self._take, self._fresh):
                try:
                    with self._lent(renderer()) as lent:
                        return lent.ask(job, self.limits)
                except Lost:
                    continue  # somebody else may have ended it; twice is the template's doing
        raise TemplateError(
            f"{job.name}: its renderer was ended by what the template does, at a line that is not known.", hint=OVER
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
