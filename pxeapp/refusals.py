"""Why something outside does not let us in, remembered for a moment: whoever writes a plan asks at each word."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

from pxeapp.errors import PxeError

KEPT_S = 60.0  # that we were let in
REFUSED_KEPT_S = 10.0  # that we were not: somebody is mending it
MOST = 100


class Refusals:
    """What came of the last try of each, by all that the try depends on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, PxeError | None]] = {}

    def of(self, key: Hashable, try_it: Callable[[], object]) -> PxeError | None:
        """Why `try_it` cannot be, now or a moment ago; None where it can."""
        with self._lock:
            until, found = self._kept.get(key, (0.0, None))
        if time.monotonic() < until:
            return found
        found = None
        try:
            try_it()
        except PxeError as error:
            found = error
        with self._lock:
            while len(self._kept) >= MOST:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = (time.monotonic() + (REFUSED_KEPT_S if found else KEPT_S), found)
        return found
