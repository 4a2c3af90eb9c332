"""Whether clouds let us in, as whoever writes a plan wants to know at each word: asked now and then, and remembered."""

from __future__ import annotations

import threading
import time

from pxeapp.clouds import service
from pxeapp.clouds.access import Access
from pxeapp.clouds.directory import Clouds
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.vault import Vault

PATIENCE_S = 8.0  # somebody waits
KEPT_S = 60.0  # that we were let in
REFUSED_KEPT_S = 10.0  # that we were not: somebody is mending it
MOST = 100


class SignIns:
    """What came of the last one at each cloud, for as long as what it takes to sign in is the same."""

    def __init__(self, database: Database, vault: Vault, clouds: Clouds) -> None:
        self._database = database
        self._vault = vault
        self._clouds = clouds
        self._lock = threading.Lock()
        self._kept: dict[Access, tuple[float, PxeError | None]] = {}

    def refusal(self, name: str) -> PxeError | None:
        """Why a cloud, or cluster:NAME, cannot be asked; None where it can. Raises NotFound and Invalid."""
        with self._database.read() as session:
            access = service.access(session, self._vault, name)
        with self._lock:
            until, found = self._kept.get(access, (0.0, None))
        if time.monotonic() < until:
            return found
        found = self._tried(name)
        with self._lock:
            while len(self._kept) >= MOST:
                self._kept.pop(next(iter(self._kept)))
            self._kept[access] = (time.monotonic() + (REFUSED_KEPT_S if found else KEPT_S), found)
        return found

    def _tried(self, name: str) -> PxeError | None:
        api = self._clouds.api(name)
        try:
            with api.within(PATIENCE_S):
                api.services()
        except PxeError as error:
            return error
        return None
