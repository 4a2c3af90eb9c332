"""A few threads for one kind of work, and how long each of them has been at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Finished(Generic[T, R]):
    """One piece of work that ended: with a result, or with an error."""

    item: T
    result: R | None
    error: BaseException | None


class Lane(Generic[T, R]):
    """Never queues: whoever submits asks for `room` first, so that a start is a start."""

    def __init__(self, name: str, threads: int, work: Callable[[T], R], wake: Callable[[], None]) -> None:
        self._threads = threads
        self._work = work
        self._wake = wake
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._busy: dict[Future[R], tuple[float, T]] = {}

    @property
    def room(self) -> int:
        """How many more may start now."""
        return self._threads - len(self._busy)

    @property
    def items(self) -> list[T]:
        """What is being worked on."""
        return [item for _, item in self._busy.values()]

    def start(self, item: T) -> None:
        """Begin with one; `wake` is called when it ends."""
        future = self._pool.submit(self._work, item)
        self._busy[future] = (time.monotonic(), item)
        future.add_done_callback(lambda _: self._wake())

    def collect(self) -> list[Finished[T, R]]:
        """Everything that ended since the last call."""
        ended = []
        for future in [future for future in self._busy if future.done()]:
            _, item = self._busy.pop(future)
            error = future.exception()
            ended.append(Finished(item, None if error else future.result(), error))
        return ended

    def longest_s(self) -> float:
        """For how many seconds the oldest piece of work has been going on; 0 without any."""
        return max((time.monotonic() - since for since, _ in self._busy.values()), default=0.0)

    def shortest_s(self) -> float:
        """The same of the youngest."""
        return min((time.monotonic() - since for since, _ in self._busy.values()), default=0.0)

    def close(self) -> None:
        """Let the idle threads go; a busy one is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
