"""Whether clouds let us in, as whoever writes a plan wants to know at each word: asked now and then, and remembered."""

from __future__ import annotations

from pxeapp.clouds import service
from pxeapp.clouds.directory import Clouds
from pxeapp.db import Database
from pxeapp.errors import PxeError
from pxeapp.refusals import Refusals
from pxeapp.vault import Vault

PATIENCE_S = 8.0  # somebody waits


class SignIns:
    """What came of the last one at each cloud, for as long as what it takes to sign in is the same."""

    def __init__(self, database: Database, vault: Vault, clouds: Clouds) -> None:
        self._database = database
        self._vault = vault
        self._clouds = clouds
        self._refusals = Refusals()

    def refusal(self, name: str) -> PxeError | None:
        """Why a cloud, or cluster:NAME, cannot be asked; None where it can. Raises NotFound and Invalid."""
        with self._database.read() as session:
            access = service.access(session, self._vault, name)
        return self._refusals.of(access, lambda: self._try(name))

    def _try(self, name: str) -> None:
        api = self._clouds.api(name)
        with api.within(PATIENCE_S):
            api.services()
