"""Finding machines: by any of their names, page by page, narrowed; the same on both databases."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pxeapp.db import Database
from pxeapp.errors import Invalid, NotFound
from pxeapp.machines import selectors
from pxeapp.machines.models import Bmc, Interface, Machine, Network
from pxeapp.machines.selectors import Filter
from tests.machines.conftest import T0, add, mac


def names(database: Database, limit: int = 100, **narrowed: str) -> list[str]:
    """Every name over all pages."""
    found: list[str] = []
    after: str | None = ""
    with database.read() as session:
        while after is not None:
            rows, after = selectors.page(session, Filter(**narrowed), after=after, limit=limit)
            assert len(rows) <= limit
            found += [row.name for row in rows]
    return found


@pytest.fixture
def rack(any_database: Database) -> Database:
    with any_database.write() as session:
        for number, (name, fields) in enumerate(
            {
                "alpha": {"role": "base", "labels": {"rack": "r1"}, "serial": "XB-77"},
                "beta": {"role": "compute", "labels": {"rack": "r2", "site.example.org/row": "4"}, "serial": "x_b%8"},
                "gamma": {"role": "compute", "labels": {"rack": "r1"}, "power": "on", "state": "active"},
                "delta-1": {"release": "rocky-9"},
            }.items(),
            1,
        ):
            at = T0 + dt.timedelta(seconds=number % 3)
            session.add(Machine(name=name, mac=mac(number), created_at=T0, updated_at=at, **fields))
        session.add(Network(name="lan", cidr="10.0.0.0/24"))
        session.flush()
        gamma, delta = selectors.get(session, "gamma"), selectors.get(session, "delta-1")
        gamma.location, delta.location = {"rack": 7, "unit": 12}, {"rack": "r1", "site": "Cologne 2"}
        gamma.interfaces = [Interface(mac="52:54:00:ff:00:01", network="lan", address="10.0.0.9")]
        delta.bmc = Bmc(type="ipmi", address="10.9.0.4")
        delta.fault, delta.maintenance = "No answer from 10.9.0.4:623.", True
    return any_database


def test_a_machine_is_found_by_name_mac_in_any_spelling_and_number(rack: Database) -> None:
    with rack.read() as session:
        row = selectors.get(session, "beta")
        for key in (mac(2), mac(2).upper(), "5254.0000.0002", "525400000002", str(row.id)):
            assert selectors.get(session, key) is row
    with rack.write() as session:
        assert selectors.get(session, "beta", lock=True).name == "beta"


def test_a_name_goes_before_what_it_looks_like(any_database: Database) -> None:
    """An operator who named a machine 1 deletes that one, not the first of the table."""
    add(any_database, "first", "1", "525400000001")
    with any_database.read() as session:
        assert selectors.get(session, "1").mac == mac(2)
        assert selectors.get(session, "525400000001").mac == mac(3)
        assert selectors.get(session, mac(1)).name == "first"


@pytest.mark.parametrize(
    "key", ["", "nobody", "²", "٣", "9" * 30, "2147483648", "-1", "1 OR 1=1", "a\0b", "x" * 10_000]
)
def test_what_is_not_there_is_not_found(rack: Database, key: str) -> None:
    with rack.read() as session, pytest.raises(NotFound) as caught:
        selectors.get(session, key)
    assert caught.value.hint


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_pages_hold_every_machine_once_in_the_order_of_names(rack: Database, limit: int) -> None:
    assert names(rack, limit) == ["alpha", "beta", "delta-1", "gamma"]


@pytest.mark.parametrize("limit", [0, -1, selectors.MAX_PAGE + 1])
def test_a_page_size_that_is_not_possible_is_refused(rack: Database, limit: int) -> None:
    with rack.read() as session, pytest.raises(Invalid):
        selectors.page(session, Filter(), limit=limit)


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        ({"role": "compute"}, ["beta", "gamma"]),
        ({"release": "rocky-9"}, ["delta-1"]),
        ({"state": "active"}, ["gamma"]),
        ({"power": "on"}, ["gamma"]),
        ({"label": "rack=r1"}, ["alpha", "gamma"]),
        ({"label": "rack=r1", "role": "compute"}, ["gamma"]),
        ({"label": "site.example.org/row=4"}, ["beta"]),
        ({"label": "rack="}, []),
        ({"label": "other=r1"}, []),
        ({"search": "TA"}, ["beta", "delta-1"]),
        ({"search": "xb-"}, ["alpha"]),
        ({"search": "b%8"}, ["beta"]),
        ({"search": "x_b"}, ["beta"]),
        ({"search": "%"}, ["beta"]),
        ({"search": "\\"}, []),
        ({"search": "5254.0000.0003"}, ["gamma"]),
        ({"search": "00:00:04"}, ["delta-1"]),
        ({"search": "nothing"}, []),
    ],
)
def test_lists_are_narrowed(rack: Database, narrowed: dict[str, str], expected: list[str]) -> None:
    assert names(rack, **narrowed) == expected


@pytest.mark.parametrize(
    "narrowed", [{"label": 'a"b=c'}, {"label": "=x"}, {"label": "$.x=1"}, {"search": "a\0"}, {"role": "\0"}]
)
def test_what_cannot_be_searched_for_is_refused_with_a_sentence(rack: Database, narrowed: dict[str, str]) -> None:
    with rack.read() as session, pytest.raises(Invalid) as caught:
        selectors.page(session, Filter(**narrowed))
    assert caught.value.problems[0].field in narrowed


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.sampled_from(["state", "role", "release", "power", "label", "search", "rack", "network", "q"]),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["name", "-role", "updated"]),
)
def test_any_text_narrows_or_is_refused_on_every_database(rack: Database, field: str, text: str, sort: str) -> None:
    with rack.read() as session:
        try:
            rows, _ = selectors.page(session, Filter(**{field: text}), after=text, sort=sort)
        except Invalid:
            return
        assert {row.name for row in rows} <= {"alpha", "beta", "gamma", "delta-1"}


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", ["alpha", "beta", "delta-1", "gamma"]),
        ("role=compute", ["beta", "gamma"]),
        ("role=comp*", ["beta", "gamma"]),
        ("role=compute power=on", ["gamma"]),
        ("role=base,compute", ["alpha", "beta", "gamma"]),
        ("role=", ["delta-1"]),
        ("-role=compute", ["alpha", "delta-1"]),
        ("role!=", ["alpha", "beta", "gamma"]),
        ("state=active", ["gamma"]),
        ("state!=active", ["alpha", "beta", "delta-1"]),
        ("state=failed", []),
        ("label.rack=r1", ["alpha", "gamma"]),
        ("label.rack=", ["delta-1"]),
        ("-label.rack=r1", ["beta", "delta-1"]),
        ("label=site.example.org/row=4", ["beta"]),
        ("rack=7", ["gamma"]),
        ("rack=r*", ["delta-1"]),
        ("unit=12", ["gamma"]),
        ('site="Cologne 2"', ["delta-1"]),
        ("network=lan", ["gamma"]),
        ("network=", ["alpha", "beta", "delta-1"]),
        ("-network=lan", ["alpha", "beta", "delta-1"]),
        ("address=10.9.0.4", ["delta-1"]),
        ("address=10.0.*", ["gamma"]),
        ("10.0.0", ["gamma"]),
        ("mac=5254.00ff.0001", ["gamma"]),
        ("maintenance=yes", ["delta-1"]),
        ("locked=no", ["alpha", "beta", "delta-1", "gamma"]),
        ("fault=answer", ["delta-1"]),
        ("serial=x_b*", ["beta"]),
        ("ta -delta", ["beta"]),
    ],
)
def test_a_query_narrows(rack: Database, q: str, expected: list[str]) -> None:
    assert names(rack, q=q) == expected
    with rack.read() as session:
        assert selectors.count(session, Filter(q=q)) == len(expected)
        assert [name for _, name, _ in selectors.brief(session, Filter(q=q), limit=10)] == expected


def test_single_fields_and_a_query_are_one_query(rack: Database) -> None:
    narrowed = Filter(role="compute", label="rack=r1", search=" ga ", q="power=on")
    assert names(rack, role="compute", label="rack=r1", search=" ga ", q="power=on") == ["gamma"]
    whole = selectors.as_query(narrowed)
    assert whole == "role=compute label.rack=r1 ga power=on"
    assert names(rack, q=whole) == ["gamma"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize(("sort", "direction"), list(itertools.product(selectors.SORTS, ["", "-"])))
def test_every_order_holds_every_machine_once_on_pages_of_any_size(
    rack: Database, sort: str, direction: str, limit: int
) -> None:
    found: list[Machine] = []
    after: str | None = ""
    with rack.read() as session:
        while after is not None:
            rows, after = selectors.page(session, Filter(), after=after, limit=limit, sort=direction + sort)
            found += rows
    assert sorted(row.name for row in found) == ["alpha", "beta", "delta-1", "gamma"]
    values = [getattr(row, selectors.SORTS[sort].key) for row in found]
    known = [value for value in values if value is not None]
    assert values[: len(known)] == known, "those without a value stand last"
    if sort in ("role", "state", "updated"):
        assert known == sorted(known, reverse=bool(direction))


@pytest.mark.parametrize(
    ("sort", "after"), [("colour", ""), ("", ""), ("--name", ""), ("role", "x"), ("updated", "=never~alpha")]
)
def test_an_order_or_a_place_that_there_is_not_is_refused(rack: Database, sort: str, after: str) -> None:
    with rack.read() as session, pytest.raises(Invalid):
        selectors.page(session, Filter(), sort=sort, after=after)


def test_the_rack_of_a_location_is_found_whether_it_is_a_text_or_a_number(rack: Database) -> None:
    with rack.write() as session:
        selectors.get(session, "alpha").location = {"rack": "7"}
    assert names(rack, rack="7") == ["alpha", "gamma"]
    with rack.write() as session:
        selectors.get(session, "alpha").location = {"unit": 3}
    assert names(rack, rack="7") == ["gamma"]


def test_states_are_counted(rack: Database) -> None:
    with rack.read() as session:
        assert selectors.counts(session) == {"enrolled": 3, "active": 1}
