"""Reports: exact numbers from the records of finished attempts, the same on both databases."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pxeapp.db import Database
from pxeapp.machines.models import Disk, Machine, Sighting
from pxeapp.provisioning import reports
from pxeapp.provisioning.models import DeploymentRecord
from pxeapp.provisioning.reports import Period, percentile

T0 = dt.datetime(2026, 3, 1, 23, 30, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
WHOLE = Period(T0 - 100 * HOUR, T0 + 1000 * HOUR)


def record(database: Database, number: int, outcome: str, at: dt.datetime, **more: Any) -> None:
    values: dict[str, Any] = {
        "deployment_id": number, "machine_id": 1, "machine": "n1", "release": "debian-13", "role": "compute",
        "requested_at": at - HOUR, "finished_at": at, "outcome": outcome, "reason_code": "", "took_ms": 3_600_000,
    }  # fmt: skip
    with database.write() as session:
        session.add(DeploymentRecord(**{**values, **more}))


def test_medians_and_percentiles_are_by_release_and_step_of_what_succeeded(any_database: Database) -> None:
    for number, took in enumerate((1000, 2000, 3000, 4000)):
        record(any_database, number, "succeeded", T0, took_ms=took * 100, armed=took)
    record(any_database, 8, "failed", T0, armed=99_000)
    record(any_database, 9, "succeeded", T0, release="rocky-9", took_ms=5000)
    with any_database.read() as session:
        found = reports.durations(session, WHOLE)
    assert found == [
        {"release": "debian-13", "step": "whole", "count": 4, "median_s": 250.0, "p90_s": 370.0, "longest_s": 400.0},
        {"release": "debian-13", "step": "armed", "count": 4, "median_s": 2.5, "p90_s": 3.7, "longest_s": 4.0},
        {"release": "rocky-9", "step": "whole", "count": 1, "median_s": 5.0, "p90_s": 5.0, "longest_s": 5.0},
    ]


def test_days_are_those_of_utc_and_an_aborted_one_counts_in_no_rate(any_database: Database) -> None:
    record(any_database, 1, "succeeded", T0)
    record(any_database, 2, "failed", T0 + dt.timedelta(minutes=29))
    record(any_database, 3, "succeeded", T0 + HOUR)
    record(any_database, 4, "aborted", T0 + 48 * HOUR)
    with any_database.read() as session:
        found = reports.success(session, WHOLE)
    assert found == [
        {"day": "2026-03-01", "succeeded": 1, "failed": 1, "aborted": 0, "rate": 0.5},
        {"day": "2026-03-02", "succeeded": 1, "failed": 0, "aborted": 0, "rate": 1.0},
        {"day": "2026-03-03", "succeeded": 0, "failed": 0, "aborted": 1, "rate": None},
    ]


def test_causes_come_by_how_often(any_database: Database) -> None:
    for number, (cause, machine) in enumerate([("no_dhcp", 1), ("no_loader", 1), ("no_loader", 2), ("no_loader", 2)]):
        record(any_database, number, "failed", T0 + number * HOUR, reason_code=cause, machine_id=machine)
    with any_database.read() as session:
        found = reports.failures(session, WHOLE)
    assert [(each["cause"], each["count"], each["share"], each["machines"]) for each in found] == [
        ("no_loader", 3, 0.75, 2),
        ("no_dhcp", 1, 0.25, 1),
    ]
    assert found[0]["last_deployment"] == 3


def test_a_repair_is_from_the_first_failure_to_the_next_success_of_the_same_machine(any_database: Database) -> None:
    for number, (outcome, after, machine) in enumerate(
        [("failed", 0, 1), ("failed", 1, 1), ("aborted", 2, 1), ("succeeded", 3, 1), ("succeeded", 4, 1),
         ("failed", 5, 1),
         ("failed", 0, 2), ("succeeded", 1, 2), ("succeeded", 0, 3)]
    ):  # fmt: skip
        record(any_database, number, outcome, T0 + after * HOUR, machine_id=machine, machine=f"n{machine}")
    with any_database.read() as session:
        found = reports.repairs(session, WHOLE)
    assert [(each["machine"], each["took_s"], each["failures"]) for each in found["items"]] == [
        ("n1", 3 * 3600, 2),
        ("n2", 3600, 1),
    ]
    assert (found["repaired"], found["still_failed"], found["median_s"]) == (2, 1, 2 * 3600)


def test_only_the_period_its_release_and_role_are_counted(any_database: Database) -> None:
    record(any_database, 1, "failed", T0)
    record(any_database, 2, "failed", T0 + HOUR, release="rocky-9")
    record(any_database, 3, "failed", T0 + HOUR, role="storage")
    with any_database.read() as session:

        def total(period: Period) -> int:
            return sum(each["count"] for each in reports.failures(session, period))

        assert total(WHOLE) == 3
        assert total(Period(T0, T0 + HOUR)) == 1, "its end is not in it"
        assert total(Period(WHOLE.since, WHOLE.until, release="rocky-9")) == 1
        assert total(Period(WHOLE.since, WHOLE.until, role="storage")) == 1
        assert reports.repairs(session, Period(T0, T0 + HOUR))["still_failed"] == 1


def test_the_inventory_is_what_there_is_now(any_database: Database) -> None:
    with any_database.write() as session:
        for number, state in enumerate(("active", "available", "deploy failed")):
            row = Machine(
                name=f"n{number}", mac=f"52:54:00:00:00:{number:02x}", state=state, role="compute",
                location={"rack": 4}, created_at=T0, updated_at=T0,
                disks=[Disk(path="sda", purpose="system", size_bytes=3 * 10**12 if number else None)],
            )  # fmt: skip
            session.add(row)
            session.flush()
            session.add(
                Sighting(
                    mac=row.mac, machine_id=row.id, manufacturer="Example", product="R1", first_seen=T0, last_seen=T0
                )
            )
    with any_database.read() as session:
        found = {(each["by"], each["what"]): each for each in reports.inventory(session)}
    role = found["role", "compute"]
    assert (role["machines"], role["active"], role["available"], role["failed"]) == (3, 1, 1, 1)
    assert found["rack", "4"]["machines"] == 3
    assert found["model", "Example R1"]["machines"] == 3
    assert found["disks", "system"]["bytes"] == 6 * 10**12


@pytest.mark.parametrize(("values", "part", "expected"), [([7], 0.9, 7), ([1, 3], 0.5, 2), ([1, 2, 3], 1.0, 3)])
def test_percentiles_lie_between_the_nearest(values: list[float], part: float, expected: float) -> None:
    assert percentile(values, part) == expected
