"""Who listens for changes, and the one thread of this process that looks for them, only while anybody does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from pxeapp.errors import PxeError

log = logging.getLogger(__name__)
LOOKS_EVERY_S = 1.0
CHECKS_EVERY = 3  # looks: what costs more than a few counters, above all whether each may still listen
ListenerT = TypeVar("ListenerT")


class Look(Protocol[ListenerT]):
    """Tell the listeners what is new to them; with `check`, end those that may not listen any more."""

    def __call__(self, listeners: list[ListenerT], *, check: bool) -> None: ...


class Watch(Generic[ListenerT]):
    """The listeners. A look that fails is written to the log, and the next one comes."""

    def __init__(self, name: str, look: Look[ListenerT], *, on_idle: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._look = look
        self._on_idle = on_idle  # called with the lock held when nobody is left
        self.lock = threading.RLock()  # held while listeners come and go, and by who keeps something beside them
        self._listeners: set[ListenerT] = set()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def present(self) -> list[ListenerT]:
        """Who listens now."""
        with self.lock:
            return list(self._listeners)

    def add(self, listener: ListenerT) -> None:
        """From now on it is told."""
        with self.lock:
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._wanted.set()

    def discard(self, listener: ListenerT) -> None:
        """It is gone."""
        with self.lock:
            self._listeners.discard(listener)

    def _run(self) -> None:
        looks = 0
        while True:
            self._wanted.wait()
            with self.lock:
                listeners = list(self._listeners)
                if not listeners:
                    self._wanted.clear()
                    self._on_idle()
                    continue
            looks += 1
            try:
                self._look(listeners, check=looks % CHECKS_EVERY == 0)
            except PxeError as error:
                log.warning("The %s streams wait for the database: %s", self._name, error)
            except Exception:
                log.exception("A look for the %s streams failed; the next one comes.", self._name)
            threading.Event().wait(LOOKS_EVERY_S)
