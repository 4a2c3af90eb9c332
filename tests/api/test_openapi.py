"""The OpenAPI document describes every route of the API as it is, and can be used by a generator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from pxeapp.accounts.permissions import PERMISSIONS, PUBLIC
from tests.api.conftest import Api

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    reply = api.of(None).ask("GET", "/api/v1/openapi.json", headers={"Host": "evil.example"})
    assert reply.status_code == HTTPStatus.OK
    assert "evil.example" not in reply.text
    return dict(reply.json)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_of_the_api_is_described_and_no_other(api: Api, document: dict[str, Any]) -> None:
    routed = {
        (re.sub(r"<(?:[^<:]+:)?([^>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in api.app.url_map.iter_rules()
        if not rule.endpoint.startswith("ui.") and rule.endpoint != "openapi.spec"
        for method in rule.methods or ()
        if method.lower() in METHODS
    }
    assert {(path, method) for path, method, _ in operations(document)} == routed


def test_each_operation_has_a_sentence_a_name_of_its_own_and_its_parameters(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(document):
        assert operation["summary"], f"{method} {path}"
        described = {each["name"]: each for each in operation["parameters"]}
        for name in re.findall(r"\{([^}]+)\}", path):
            assert described[name]["in"] == "path"
            assert described[name]["required"] is True
            assert described[name]["schema"]["type"]
        assert all(each["schema"] for each in operation["parameters"])


def test_each_operation_says_how_it_succeeds_and_how_it_refuses(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        statuses = set(operation["responses"])
        assert any(status.startswith("2") for status in statuses), f"{method} {path}"
        refusals = {status for status in statuses if status.startswith("4")}
        assert refusals, f"{method} {path}"
        for status in refusals:
            content = operation["responses"][status]["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        assert all(response["description"] for response in operation["responses"].values())
        if operation["security"]:
            assert {"401", "403"} <= refusals
            assert PERMISSIONS[operation["operationId"]] in operation["description"]
        else:
            assert PERMISSIONS[operation["operationId"]] == PUBLIC
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= refusals


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    references = set(walk(document))
    assert len(references) > 10
    for reference in references:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_no_two_models_have_one_name(document: dict[str, Any]) -> None:
    """pydantic tells them apart by their modules then, and a client's class is called after one of our files."""
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


def test_its_frame_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "pxeapp"
    assert document["info"]["version"]
    assert document["servers"] == [{"url": "/"}]
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert {tag["name"] for tag in document["tags"]} >= {"Machines", "Deployments", "Releases"}


def test_the_import_takes_each_of_its_forms(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/v1/machines/import"]["post"]["requestBody"]["content"]
    assert {"application/json", "application/yaml", "text/csv"} <= content.keys()


def test_every_answer_of_json_has_a_schema_and_those_that_matter_say_every_field(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            for media, content in response.get("content", {}).items():
                assert content["schema"], f"{method} {path} {status} {media}"
    named = {operation["operationId"]: operation for _, _, operation in operations(document)}
    for endpoint in ("machines.listing", "deployments.listing", "jobs.items", "webhooks.deliveries"):
        schema = named[endpoint]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["required"] == ["items", "next"]
        assert schema["properties"]["items"]["items"]["anyOf"][0]["$ref"].endswith("Out")
    for endpoint in ("machines.change", "networks.replace", "clusters.delete", "releases.delete", "clusters.rotate",
                     "users.delete", "lists.save", "lists.delete"):  # fmt: skip
        assert "If-Match" in {each["name"] for each in named[endpoint]["parameters"]}
        assert {"412", "428"} <= named[endpoint]["responses"].keys()
    assert "Idempotency-Key" in {each["name"] for each in named["deployments.deploy"]["parameters"]}
    for endpoint in ("machines.show", "machines.bring", "clusters.rotate", "releases.verify"):
        assert "ETag" in named[endpoint]["responses"]["200"]["headers"]
    assert "ETag" in named["users.create"]["responses"]["201"]["headers"]
