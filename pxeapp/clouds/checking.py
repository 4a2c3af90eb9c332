"""Whether a cloud lets us do what a rollout asks of it: sign in, and see all services, instances and agents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pxeapp.clouds.api import COMPUTE, NETWORK, VOLUME, WORDS, CloudApi
from pxeapp.errors import PxeError

PATIENCE_S = 25.0  # for all of it: somebody waits


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was asked, and what came of it."""

    what: str  # Keystone, Nova, Cinder, Neutron
    ok: bool
    says: str

    def to_dict(self) -> dict[str, Any]:
        """For the wire."""
        return asdict(self)


def check(api: CloudApi) -> list[Seen]:
    """Keystone first; without it nothing else is asked. A service that is not in the catalogue is not needed."""
    with api.within(PATIENCE_S):
        found = [_asked("Keystone", lambda: f"signed in; the catalogue has {', '.join(api.services())}")]
        if found[0].ok:
            for service, look in ((COMPUTE, _nova), (VOLUME, _cinder), (NETWORK, _neutron)):
                if service == COMPUTE or api.has(service):
                    found.append(_asked(WORDS[service], lambda look=look: look(api)))  # type: ignore[misc]
    return found


def _nova(api: CloudApi) -> str:
    rows = api.get(COMPUTE, "/os-services", binary="nova-compute")["services"]
    api.get(COMPUTE, "/servers/detail", all_tenants=1, limit=1)
    up = sum(row["state"] == "up" for row in rows)
    disabled = sum(row["status"] != "enabled" for row in rows)
    return f"{len(rows)} compute services, {up} up, {disabled} disabled; instances of all projects"


def _cinder(api: CloudApi) -> str:
    rows = api.get(VOLUME, "/os-services")["services"]
    return f"{sum(row['binary'] == 'cinder-volume' for row in rows)} volume services"


def _neutron(api: CloudApi) -> str:
    rows = api.get(NETWORK, "/agents")["agents"]
    return f"{len(rows)} agents, {sum(bool(row.get('alive')) for row in rows)} alive"


def _asked(what: str, ask: Callable[[], str]) -> Seen:
    try:
        return Seen(what, ok=True, says=ask())
    except PxeError as error:
        return Seen(what, ok=False, says=str(error))
