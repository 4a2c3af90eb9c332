"""Clouds by the API: what is refused, where a secret may go, what is never shown, and a cloud of our own cluster."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.clouds import service
from pxeapp.clouds.models import Cloud
from pxeapp.db import now
from pxeapp.errors import Invalid, NotFound
from pxeapp.rollouts.models import Rollout
from tests.api.conftest import Api, Asker
from tests.clouds.fake_cloud import PASSWORD

URL = "https://cloud.example.org:5000/v3"
SAID = {"auth_url": URL, "username": "pxeapp", "project": "admin", "secret": PASSWORD}


@pytest.fixture
def prod(admin: Asker) -> dict[str, Any]:
    made = admin.post("/clouds", json={"name": "prod", **SAID})
    assert made.status_code == HTTPStatus.CREATED, made.text
    return dict(made.json)


def fields(answer: Any) -> list[str]:
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text
    return [each["field"] for each in answer.json["errors"]]


def test_a_secret_goes_in_and_never_out(api: Api, admin: Asker, prod: dict[str, Any]) -> None:
    assert prod["interface"] == "public"
    assert prod["user_domain"] == prod["project_domain"] == "Default"
    admin.patch("/clouds/prod", json={"secret": "another-one", "region": "RegionOne"})
    told = admin.get("/clouds").text + admin.get("/clouds/prod").text + admin.get("/audit?limit=1000").text
    assert PASSWORD not in told
    assert "another-one" not in told
    with api.read() as session:
        row = session.scalars(select(Cloud)).one()
        assert "another-one" not in row.secret_encrypted
        assert service.access(session, api.context.vault, "prod").secret == "another-one"


def test_a_stored_secret_is_led_to_no_other_address(api: Api, admin: Asker, prod: dict[str, Any]) -> None:
    elsewhere = {"auth_url": "https://evil.example.org/v3"}
    assert fields(admin.patch("/clouds/prod", json=elsewhere)) == ["secret"]
    assert fields(admin.put("/clouds/prod", json={**SAID, **elsewhere, "secret": "***"})) == ["secret"]
    assert admin.get("/clouds/prod").json["auth_url"] == URL
    assert admin.patch("/clouds/prod", json={**elsewhere, "secret": PASSWORD}).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"auth_url": "ftp://cloud/v3"}, ["auth_url"]),
        ({"auth_url": "https://user:secret@cloud/v3"}, ["auth_url"]),
        ({"auth_url": "https://cloud/v3?x=1"}, ["auth_url"]),
        ({"username": ""}, ["username"]),
        ({"username": "", "project": ""}, ["username", "project"]),
        ({"application_credential": "8f2a"}, ["username", "project"]),
        ({"application_credential": "my name", "username": "", "project": ""}, ["application_credential"]),
        ({"region": "a\nb"}, ["region"]),
        ({"ca": "no certificate"}, ["ca"]),
        ({"secret": ""}, ["secret"]),
    ],
)
def test_bad_input_is_refused_by_field_and_nothing_is_saved(
    admin: Asker, said: dict[str, Any], wrong: list[str]
) -> None:
    answer = admin.post("/clouds", json={"name": "bad", **SAID, **said})
    assert fields(answer) == wrong
    assert admin.get("/clouds").json["items"] == []


def test_from_a_password_to_an_application_credential_and_back(admin: Asker, prod: dict[str, Any]) -> None:
    credential = {"application_credential": "8f2a0c1b", "username": "", "project": "", "secret": "s"}
    changed = admin.patch("/clouds/prod", json=credential)
    assert (changed.status_code, changed.json["username"]) == (HTTPStatus.OK, "")
    back = {"application_credential": "", "username": "pxeapp", "project": "admin", "secret": "s"}
    assert admin.patch("/clouds/prod", json=back).json["application_credential"] == ""


def test_only_administrators_see_and_change_clouds(api: Api, prod: dict[str, Any]) -> None:
    for method, path in (("get", ""), ("get", "/prod"), ("delete", "/prod"), ("post", "/prod/check")):
        assert getattr(api.of("operator"), method)(f"/clouds{path}").status_code == HTTPStatus.FORBIDDEN


def test_a_cloud_that_a_rollout_works_with_stays(api: Api, admin: Asker, prod: dict[str, Any]) -> None:
    spec = {"drain": {"openstack": {"cloud": "prod"}}}
    with api.write() as session:
        row = Rollout(name="r", spec=spec, plan={}, created_by="user:ada", created_at=now(), due_at=now())
        session.add(row)
    refused = admin.delete("/clouds/prod")
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "Rollout 1 works with prod" in refused.text
    with api.write() as session:
        session.scalars(select(Rollout)).one().state = "done"
    assert admin.delete("/clouds/prod").status_code == HTTPStatus.NO_CONTENT


def test_a_check_of_an_unknown_cloud_is_a_404_and_of_a_forbidden_address_a_finding(
    admin: Asker, prod: dict[str, Any]
) -> None:
    assert admin.post("/clouds/nowhere/check").status_code == HTTPStatus.NOT_FOUND
    admin.patch("/clouds/prod", json={"auth_url": "http://127.0.0.1:1/v3", "secret": PASSWORD})
    found = admin.post("/clouds/prod/check").json
    assert found["ok"] is False
    assert "may not be contacted" in found["findings"][0]["says"]


class TestOfACluster:
    """cluster:NAME is the cloud that this appliance installed."""

    def test_its_controller_and_its_generated_secret_are_what_it_takes(self, api: Api, admin: Asker) -> None:
        secret = "of-the-cluster-1"
        admin.put("/clusters/prod", json={"vars": {"controller": "fd00::5"}, "secrets": {"admin_password": secret}})
        with api.read() as session:
            found = service.access(session, api.context.vault, "cluster:prod")
        assert (found.auth_url, found.username, found.project) == ("http://[fd00::5]:5000/v3", "admin", "admin")
        assert (found.region, found.secret) == ("RegionOne", secret)

    @pytest.mark.parametrize("said", [{"vars": {"controller": "c1"}}, {"secrets": {"admin_password": "12345678"}}])
    def test_a_cluster_without_a_controller_of_ours_says_what_is_missing(
        self, api: Api, admin: Asker, said: dict[str, Any]
    ) -> None:
        assert admin.put("/clusters/prod", json=said).status_code == HTTPStatus.CREATED
        with api.read() as session:
            with pytest.raises(Invalid, match="no controller that this appliance installed"):
                service.access(session, api.context.vault, "cluster:prod")
            with pytest.raises(NotFound, match="no cluster"):
                service.access(session, api.context.vault, "cluster:nowhere")


def test_what_nobody_said_is_changed_by_nothing(api: Api, admin: Asker, prod: dict[str, Any]) -> None:
    with api.write() as session:
        row = service.get(session, "prod", lock=True)
        assert service.change(session, api.context.vault, row, {}, actor="user:ada", now=now()) == []
        assert row.updated_at - now() < dt.timedelta()
        assert row.version == 1
