"""Verdicts that are kept: what was judged once is not judged again, and a crowd that asks at once waits for one."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


def digest(*parts: str) -> bytes:
    """What stands for texts whose words are not to be kept in memory."""
    hashed = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(content))
        hashed.update(content)
    return hashed.digest()


class Verdicts(Generic[T]):
    """The last verdicts by what they are of. Thread-safe; an error is not a verdict, and is not kept."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._found: OrderedDict[bytes, Future[T]] = OrderedDict()

    def get(self, key: bytes, judge: Callable[[], T]) -> T:
        """The verdict, by `judge` if there is none yet."""
        with self._lock:
            future = self._found.get(key)
            mine = future is None
            if future is None:
                future = self._found[key] = Future()
                while len(self._found) > self._kept:
                    self._found.popitem(last=False)
            else:
                self._found.move_to_end(key)
        if mine:
            try:
                future.set_result(judge())
            except BaseException as error:  # noqa: BLE001 - it is handed on to all who wait
                with self._lock:
                    self._found.pop(key, None)
                future.set_exception(error)
        return future.result()
