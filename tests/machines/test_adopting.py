"""Strangers become machines: with what was seen of them, all or none, and never twice."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.machines import adopting, selectors, sightings
from pxeapp.machines.models import Sighting
from tests.api.conftest import Api, admin, api, prepared, routed

__all__ = ["admin", "api", "prepared", "routed"]
T0 = dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC)
MACS = [f"52:54:00:bb:00:{number:02x}" for number in range(1, 5)]


def see(api: Api) -> None:
    """Four strangers; the last two are of a maker that writes one serial number into all."""
    with api.write() as session:
        for number, mac in enumerate(MACS):
            serial = f"SN{number}" if number < 2 else "To be filled by O.E.M."
            sightings.record(
                session, mac=mac, now=T0 + dt.timedelta(minutes=number), serial=serial, product=f"R{number}"
            )


def ask(api: Api, *items: dict[str, Any], role: str = "operator", **more: Any) -> Any:
    return api.of(role).post("/sightings/adopt", json={"items": list(items), **more})


def test_several_are_registered_at_once_with_what_was_seen_of_them(api: Api) -> None:
    see(api)
    said = [{"mac": mac.upper(), "name": f"n{number}", "location": {"rack": "r1"}} for number, mac in enumerate(MACS)]
    reply = ask(api, *said)
    assert (reply.status_code, reply.json["created"]) == (HTTPStatus.CREATED, ["n0", "n1", "n2", "n3"])
    with api.read() as session:
        assert [selectors.get(session, name).serial for name in ("n0", "n1", "n2", "n3")] == ["SN0", "SN1", None, None]
        assert adopting.count(session) == 0
        assert selectors.get(session, "n0").location == {"rack": "r1"}
        actions = session.scalars(select(AuditRow.subject).where(AuditRow.action == "sighting.adopt")).all()
        assert actions == ["n0", "n1", "n2", "n3"]


def test_one_bad_item_keeps_all_out_and_is_named_by_number_and_field(api: Api) -> None:
    see(api)
    reply = ask(
        api, {"mac": MACS[0], "name": "good"}, {"mac": MACS[1], "name": "Bad_Name"}, {"mac": MACS[2], "name": "good"}
    )
    assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert {(each["row"], each["field"]) for each in reply.json["errors"]} == {(2, "name"), (3, "name")}
    with api.read() as session:
        assert adopting.count(session) == 4


def test_only_a_stranger_that_was_seen_is_adopted_and_only_once(api: Api) -> None:
    see(api)
    assert ask(api, {"mac": MACS[0], "name": "first"}).status_code == HTTPStatus.CREATED
    for items in (
        [{"mac": MACS[0], "name": "again"}], [{"mac": "52:54:00:99:99:99", "name": "unseen"}],
        [{"mac": "x", "name": "y"}], [{"name": "nobody"}],
        [{"mac": MACS[1], "name": "a"}, {"mac": MACS[1], "name": "b"}],
    ):  # fmt: skip
        reply = ask(api, *items)
        assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, items
        assert reply.json["errors"][-1]["field"] == "mac"


def test_a_dry_run_checks_all_and_changes_nothing(api: Api) -> None:
    see(api)
    reply = ask(api, {"mac": MACS[0], "name": "n0"}, dry_run=True)
    assert (reply.json["created"], reply.json["dry_run"]) == (["n0"], True)
    with api.read() as session:
        assert adopting.count(session) == 4
        assert session.scalar(select(AuditRow.id).where(AuditRow.action == "sighting.adopt")) is None


def test_a_viewer_adopts_nothing(api: Api) -> None:
    see(api)
    assert ask(api, {"mac": MACS[0], "name": "n0"}, role="viewer").status_code == HTTPStatus.FORBIDDEN


def test_strangers_are_found_by_what_they_said_and_the_latest_stands_first(api: Api) -> None:
    see(api)
    with api.read() as session:
        assert [row.mac for row in adopting.latest(session, limit=2)] == [MACS[3], MACS[2]]
        assert [row.mac for row in adopting.latest(session, "r1", limit=9)] == [MACS[1]]
        assert adopting.count(session, "525400BB0001") == 1
        assert adopting.count(session, "100%_\0") == 0
    assert ask(api, {"mac": MACS[0], "name": "n0"}).status_code == HTTPStatus.CREATED
    listed = api.of("viewer").get("/sightings?unknown=1").json["items"]
    assert [each["mac"] for each in listed] == MACS[1:]
    with api.read() as session:
        assert session.scalar(select(Sighting.machine_id).where(Sighting.mac == MACS[0])) is not None
