"""Clouds by name, signed in to: one connection for each thread, kept while what it takes to sign in is the same."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netaddr import IPNetwork

from pxeapp.clouds import service
from pxeapp.clouds.access import Access
from pxeapp.db import Database
from pxeapp.vault import Vault

if TYPE_CHECKING:
    from pxeapp.clouds.api import CloudApi

MOST = 20  # connections that a thread keeps


class Clouds:
    """What rollouts and the API ask. `networks`: the only ones that a cloud may be in; empty: any but this host."""

    def __init__(self, database: Database, vault: Vault, networks: Sequence[IPNetwork]) -> None:
        self._database = database
        self._vault = vault
        self._networks = networks
        self._kept = threading.local()

    def api(self, name: str) -> CloudApi:
        """A cloud, or cluster:NAME; raises NotFound and Invalid. Nothing is asked of it yet."""
        with self._database.read() as session:
            access = service.access(session, self._vault, name)
        kept: dict[Access, CloudApi] = self._kept.__dict__.setdefault("apis", {})
        if access not in kept:
            # openstacksdk takes a second to import: whoever asks no cloud never pays for it.
            from pxeapp.clouds.api import CloudApi

            while len(kept) >= MOST:
                kept.pop(next(iter(kept)))
            kept[access] = CloudApi(access, self._networks)
        return kept[access]
