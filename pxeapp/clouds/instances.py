"""Nova's instances: which are on a host, and what can be done to one."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pxeapp.clouds.api import COMPUTE, CloudApi
from pxeapp.clouds.errors import CloudSaysNo

RUNNING, PAUSED = 1, 3  # OS-EXT-STS:power_state
# A migration's status while it is not over; what has no such word is.
UNDER_WAY = frozenset(
    {"queued", "accepted", "preparing", "pre-migrating", "migrating", "running", "running (post-copy)"}
    | {"post-migrating", "confirming", "reverting"}
)


@dataclass(frozen=True, slots=True)
class Instance:
    """One server, as an administrator sees it."""

    id: str
    name: str
    status: str  # ACTIVE, SHUTOFF, VERIFY_RESIZE, ...
    task: str  # what is being done to it; empty: nothing
    power: int
    host: str

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"

    @property
    def runs(self) -> bool:
        """Whether it has a process on its host, by what the hypervisor says."""
        return self.power in (RUNNING, PAUSED)


def on_host(api: CloudApi, host: str) -> list[Instance]:
    """All instances of all projects that have this host."""
    rows = api.every(COMPUTE, "/servers/detail", "servers", all_tenants=1, host=host)
    # A filter that a cloud's policy does not allow is ignored by it, in silence: it is looked at here too.
    return [each for each in map(_read, rows) if each.host == host]


def get(api: CloudApi, number: str) -> Instance | None:
    """One instance; None where it is gone."""
    try:
        return _read(api.get(COMPUTE, f"/servers/{number}")["server"])
    except CloudSaysNo as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return None
        raise


def live_migrate(api: CloudApi, number: str) -> None:
    """To wherever the scheduler thinks, disks too where they are not shared."""
    _do(api, number, {"os-migrateLive": {"host": None, "block_migration": "auto"}})


def cold_migrate(api: CloudApi, number: str) -> None:
    """It is stopped, moved and started again, and then waits for `confirm`."""
    _do(api, number, {"migrate": None})


def confirm(api: CloudApi, number: str) -> None:
    """What is left of it on its old host is thrown away."""
    _do(api, number, {"confirmResize": None})


def stop(api: CloudApi, number: str) -> None:
    """Shut it down."""
    _do(api, number, {"os-stop": None})


def start(api: CloudApi, number: str) -> None:
    """Start it again."""
    _do(api, number, {"os-start": None})


def arriving(api: CloudApi, host: str, since: str) -> list[str]:
    """Instances on their way to this host, from what was decided before it was disabled."""
    rows = api.get(COMPUTE, "/os-migrations", host=host, **{"changes-since": since})["migrations"]
    return [
        str(row["instance_uuid"]) for row in rows if row.get("dest_compute") == host and row.get("status") in UNDER_WAY
    ]


def why(api: CloudApi, number: str, *actions: str) -> str:
    """What Nova wrote down of the last of these actions that failed: the last line of its traceback; empty: nothing."""
    try:
        rows = api.get(COMPUTE, f"/servers/{number}/os-instance-actions")["instanceActions"]
        last = max((row for row in rows if row["action"] in actions), key=lambda row: str(row["start_time"]))
        said = api.get(COMPUTE, f"/servers/{number}/os-instance-actions/{last['request_id']}")["instanceAction"]
    except (CloudSaysNo, ValueError, KeyError):
        return ""  # it is only a better sentence
    for event in said.get("events") or ():
        lines = [line.strip() for line in str(event.get("traceback") or "").splitlines() if line.strip()]
        if str(event.get("result", "")).lower() == "error" and lines:
            return lines[-1][:300]
    return str(said.get("message") or "")


def _do(api: CloudApi, number: str, body: dict[str, Any]) -> None:
    api.post(COMPUTE, f"/servers/{number}/action", body)


def _read(row: dict[str, Any]) -> Instance:
    return Instance(
        id=str(row["id"]),
        name=str(row.get("name", "")),
        status=str(row.get("status", "")),
        task=str(row.get("OS-EXT-STS:task_state") or ""),
        power=int(row.get("OS-EXT-STS:power_state") or 0),
        host=str(row.get("OS-EXT-SRV-ATTR:host") or ""),
    )
