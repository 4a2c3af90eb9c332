"""schemathesis asks every operation what its description allows, and what not: no 5xx, no undocumented answer.

Few examples of each, always the same ones, so that a red run is somebody's change. In `make soak`: many more.
"""

from __future__ import annotations

import time
import warnings
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pxeapp.accounts import service
from pxeapp.db import now
from tests.api.conftest import Api, Asker
from tests.sweep import FULL, size

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports warn of one another
    import schemathesis
    from schemathesis.checks import CHECKS
    from schemathesis.generation import GenerationMode

EXAMPLES = size(2, 40)  # of each operation and mode
BUDGET_S = size(60, 3000)
# A stream does not end, and a test client waits for its end; test_exports.py listens to it.
ENDLESS = frozenset({"events.stream"})
# What would end the questions: they are asked last, and of nothing that we need.
ORDER = ("get", "head", "put", "post", "patch", "delete")
KNOWN = {"key": "node1"}
NAMES = (
    "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance",
)  # fmt: skip


@pytest.fixture
def asked(api: Api, admin: Asker, machine: dict[str, Any]) -> Any:
    """The document, with something behind most addresses."""
    admin.put("/networks/lan", json={"cidr": "10.3.0.0/24"})
    admin.put("/clusters/prod", json={"description": "production"})
    admin.put("/webhooks/chat", json={"url": "https://hooks.example.org/"})
    admin.put(
        "/clouds/prod", json={"auth_url": "http://127.0.0.1:1/v3", "username": "a", "project": "a", "secret": "s"}
    )
    admin.post("/machines/node1/deploy", json={})
    admin.post("/machines/bulk", json={"action": "lock", "on": False, "machines": ["node1"]})
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", api.app)


NAMED = {
    "networks": "lan",
    "clusters": "prod",
    "clouds": "prod",
    "webhooks": "chat",
    "roles": "compute",
    "releases": "debian-13",
}


def no_fault(_context: Any, answer: Any, case: Any) -> None:
    """No 5xx; but nothing in a test holds a console, and that the console process does not answer is said as a 503."""
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "/console" in case.operation.path:
        return
    assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, answer.text[:500]


def known(path: str) -> dict[str, Any]:
    """Names that lead somewhere; without them every question would end in a 404."""
    part = path.removeprefix("/api/v1/").partition("/")[0]
    found = dict(KNOWN) if "{key}" in path else {}
    if "{name}" in path and part in NAMED:
        found["name"] = NAMED[part]
    if "{number}" in path and part in ("deployments", "jobs"):
        found["number"] = 1
    return found


@pytest.mark.soak
@pytest.mark.skipif(not FULL, reason="it takes minutes on a busy host; `make soak` asks")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(3600)
def test_every_operation_answers_only_what_it_says(api: Api, admin: Asker, asked: Any) -> None:
    checks = [no_fault, *CHECKS.get_by_names(list(NAMES))]
    operations = [each.ok() for each in asked.get_all_operations()]
    operations.sort(key=lambda each: (ORDER.index(each.method), each.path))
    assert len(operations) > 80
    wrong: list[str] = []
    done = 0
    end = time.monotonic() + BUDGET_S
    for operation in operations:
        name = operation.definition.raw.get("operationId", "")
        if name in ENDLESS or time.monotonic() > end:
            continue
        for mode in GenerationMode:
            done += _ask(api, operation, mode, checks, wrong)
    assert not wrong, "\n\n".join(wrong[:20])
    assert done > 100


def _ask(api: Api, operation: Any, mode: Any, checks: list[Any], wrong: list[str]) -> int:
    """How many questions were asked; what was wrong with an answer is noted, and the next operation's turn comes."""
    asked = 0
    given_names = known(operation.path) if mode == GenerationMode.POSITIVE else None
    try:
        strategy = operation.as_strategy(generation_mode=mode, path_parameters=given_names)
    except Exception:  # noqa: BLE001 - nothing that is wrong can be sent to it
        return 0

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),  # to shrink one finding takes longer than to ask all the rest
    )  # fmt: skip
    @given(case=strategy, _twice=st.none())
    def ask(case: Any, _twice: None) -> None:
        nonlocal asked
        asked += 1
        answer = case.call(headers={"Authorization": f"Bearer {_token(api)}"})
        case.validate_response(answer, checks=checks)

    try:
        ask()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        if type(error).__name__ not in ("Unsatisfiable", "FailedHealthCheck"):
            wrong.append(f"{operation.method.upper()} {operation.path} ({mode}): {_said(error)}")
    return asked


def _said(error: BaseException) -> str:
    parts = getattr(error, "exceptions", None) or [error]
    return " / ".join(f"{type(each).__name__}: {each}"[:1500] for each in parts)


def _token(api: Api) -> str:
    """The admin's; a new one when a question has taken it away."""
    asker = api.of("admin")
    if asker.get("/appliance").status_code == HTTPStatus.UNAUTHORIZED:
        with api.write() as session:
            _, api.tokens["admin"] = service.create_token(session, name="again", role="admin", actor="test", now=now())
    return api.tokens["admin"]
