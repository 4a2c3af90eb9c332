"""Numbers that stand in an address or a form: one that no row can have is an answer, never an error of ours."""

from __future__ import annotations

import itertools

import pytest

from pxeapp.api.paging import MAX_NUMBER, row_number
from pxeapp.db import now
from tests.api.conftest import Api
from tests.ui import rack
from tests.ui.forms import Person, person

TEMPLATE = "kickstarts/ours.ks.j2"
ADDRESSES = (
    "/deployments?before=", "/deployments/part?before=", f"/templates/edit/{TEMPLATE}?version=", "/audit?after=",
    "/sightings?from=", "/sightings/part?from=", "/users?tokens_after=", "/reports?days=",
    "/machines/imported?created=", "/api/v1/deployments?limit=1&after=",
)  # fmt: skip
NUMBERS = ("9" * 30, "-" + "9" * 30, "9" * 5000, "-1", "٣", "1e3", "x")


@pytest.fixture
def somebody(api: Api) -> Person:
    rack.fill(api.context.database, api.context.vault, now=now())
    return person(api)


def test_an_address_with_any_number_is_answered(somebody: Person) -> None:
    for address, number in itertools.product(ADDRESSES, NUMBERS):
        assert somebody.get(address + number).status_code in (200, 404, 422), (address, number[:40])


def test_a_form_with_any_number_is_answered(somebody: Person) -> None:
    for number in NUMBERS:
        assert somebody.post(f"/templates/rollback/{TEMPLATE}", version=number).status_code == 404
        assert somebody.post("/users/tokens", name="t", role="viewer", days=number).status_code == 422
        assert somebody.post("/machines/spare-01/edit", name="other", version=number).status_code == 422
        bulk = {"do": "lock", "scope": "filter", "q": "role=storage", "expect": number, "typed": number}
        assert somebody.post("/machines/bulk/order", **bulk).status_code == 422


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), ("007", 7), ("0" * 5000 + "7", 7), ("", 0), ("0", 0), ("-7", 0), ("+7", 0), (" 7", 0), ("²", 0),
        (str(MAX_NUMBER), MAX_NUMBER), (str(MAX_NUMBER + 1), MAX_NUMBER), ("9" * 5000, MAX_NUMBER),
    ],
)  # fmt: skip
def test_a_number_is_what_its_digits_say_up_to_the_most_that_a_row_can_have(text: str, number: int) -> None:
    assert row_number(text) == number


def test_the_most_may_be_less() -> None:
    assert [row_number(each, most=100) for each in ("99", "100", "101", "1000")] == [99, 100, 100, 100]
