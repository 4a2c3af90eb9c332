"""A fleet that lives in a thread of its own while a test goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pxeapp.lab.fleet.fleet import Fleet


@contextmanager
def playing(fleet: Fleet) -> Iterator[None]:
    """The fleet lives in a thread of its own meanwhile."""
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_until_complete(fleet.run(stop))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
