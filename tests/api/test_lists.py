"""Lists of machines: as CSV, and saved to come back to."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.accounts import service
from tests.api.conftest import Api, Asker, token_of, user


@pytest.fixture
def ada(api: Api) -> Asker:
    with api.write() as session:
        return api.with_token(token_of(session, user(session, "ada", "operator"), "operator"))


def test_machines_are_a_file_with_the_columns_that_were_asked_for(admin: Asker, machine: dict[str, Any]) -> None:
    reply = admin.get("/machines.csv?q=role%3Dcompute&columns=name,mac,bmc.address,labels.row")
    assert (reply.status_code, reply.mimetype) == (200, "text/csv")
    assert reply.text == "name,mac,bmc.address,labels.row\r\nnode1,52:54:00:00:00:01,10.0.9.1,\r\n"
    assert admin.get("/machines.csv?q=role%3Dnobody").text.startswith("name,mac,state,")


@pytest.mark.parametrize("query", ["q=colour%3Dx", "columns=colour", "sort=colour"])
def test_what_cannot_be_understood_is_said_before_the_first_line(admin: Asker, query: str) -> None:
    reply = admin.get(f"/machines.csv?{query}")
    assert reply.status_code == 422
    assert reply.json["errors"][0]["fix"]


def test_a_filter_is_kept_in_one_spelling_and_only_for_its_user_unless_it_is_shared(api: Api, ada: Asker) -> None:
    saved = ada.put("/filters/Broken ones", json={"query": 'state:"deploy-failed"  ROLE=compute', "sort": "-updated"})
    assert saved.status_code == 200, saved.text
    assert saved.json["query"] == 'state="deploy failed" role=compute'
    ada.put("/filters/All", json={"query": "", "shared": True, "columns": ["name", "mac"]})
    assert [(each["name"], each["shared"]) for each in ada.get("/filters").json["items"]] == [
        ("Broken ones", False),
        ("All", True),
    ]
    assert [each["name"] for each in api.of("viewer").get("/filters").json["items"]] == ["All"]
    assert ada.delete("/filters/Broken ones").status_code == 204
    assert ada.delete("/filters/Broken ones").status_code == 404


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x", {"query": "colour=x"}),
        ("x", {"query": "", "sort": "colour"}),
        ("x", {"query": "", "columns": ["colour"]}),
        ("x", {}),
        ("%00", {"query": ""}),
        ("x" * 64, {"query": ""}),
    ],
)
def test_what_cannot_be_saved_is_refused(ada: Asker, name: str, said: dict[str, Any]) -> None:
    assert ada.put(f"/filters/{name}", json=said).status_code == 422
    assert ada.get("/filters").json["items"] == []


def test_shared_filters_are_changed_by_operators_and_a_token_without_a_user_has_none_of_its_own(api: Api) -> None:
    assert api.of("viewer").put("/filters/x", json={"query": "", "shared": True}).status_code == 403
    assert api.of("operator").put("/filters/x", json={"query": ""}).status_code == 422
    assert api.of("operator").put("/filters/x", json={"query": "", "shared": True}).status_code == 200
    assert api.of("viewer").delete("/filters/x?shared=1").status_code == 403


def test_what_somebody_saved_goes_with_them_and_what_all_share_stays(api: Api, ada: Asker, admin: Asker) -> None:
    ada.put("/filters/own", json={"query": ""})
    ada.put("/filters/all", json={"query": "", "shared": True})
    with api.write() as session:
        service.delete_user(session, "ada", actor="test", now=service.dt.datetime.now(service.dt.UTC))
    assert [each["name"] for each in admin.get("/filters").json["items"]] == ["all"]
