"""schemathesis asks every operation what its description allows, and what not: no 5xx, no undocumented answer.

In `make test` each operation gets what its description makes by itself (schemathesis calls it coverage): a few
questions that are right and a few that are wrong, always the same ones. In `make soak` all of those, and random ones.
An operation that was not asked both ways is a failure; there is no time after which the rest is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pxeapp.accounts import service
from pxeapp.api import examples
from pxeapp.config import Settings
from pxeapp.db import now
from tests.api import tour
from tests.api.conftest import Api
from tests.sweep import FULL, size

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports warn of one another
    import schemathesis
    from schemathesis.checks import CHECKS
    from schemathesis.generation import GenerationMode

MOST = size(2, 200)  # questions of each operation and mode that its description makes
RANDOM = size(0, 40)  # and random ones besides
# What would end the questions: they are asked last, and of nothing that we need.
ORDER = ("get", "head", "put", "post", "patch", "delete")
NAMES = (
    "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance",
)  # fmt: skip


@pytest.fixture(scope="module")
def asked(prepared: tuple[Settings, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An appliance with something behind most addresses, and the document."""
    folder = tmp_path_factory.mktemp("asked") / "data"
    api = tour.appliance(prepared, folder, PXEAPP_REQUESTS_PER_MINUTE="1000000")
    admin = api.of("admin")
    for name in ("networks", "clusters", "roles", "machines", "webhooks", "users"):
        made = admin.post(f"/{name}", json=examples.EXAMPLES[f"{name}.create"])
        assert made.status_code == HTTPStatus.CREATED, made.text
    for path, endpoint in (("/filters/Broken", "lists.save"), ("/templates/kickstarts/monitor.ks", "templates.save")):
        admin.put(path, json=examples.EXAMPLES[endpoint])
    cloud = {"auth_url": "http://127.0.0.1:1/v3", "username": "a", "project": "a", "secret": "s"}
    admin.put("/clouds/prod", json=cloud)
    admin.post("/machines/node1/deploy", json={})
    admin.post("/machines/bulk", json={"action": "lock", "on": False, "machines": ["node1"]})
    admin.post("/webhooks/chat/test")
    yield api, schemathesis.openapi.from_wsgi("/api/v1/openapi.json", api.app)
    api.context.database.dispose()


def no_fault(_context: Any, answer: Any, case: Any) -> None:
    """No 5xx; but that a console process, of which no test here has one, or the DNS does not answer is told as 503."""
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and (
        "/console" in case.operation.path or "cannot be resolved" in answer.text
    ):
        return
    assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, answer.text[:500]


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(size(300, 7200))
def test_every_operation_answers_only_what_it_says(asked: tuple[Api, Any]) -> None:
    api, document = asked
    operations = [each.ok() for each in document.get_all_operations()]
    operations.sort(key=lambda each: (ORDER.index(each.method), each.path))
    assert len(operations) > 80
    questions = Questions(api)
    silent = []
    for operation in operations:
        name = operation.definition.raw["operationId"]
        if name in tour.ENDLESS:
            continue
        modes = [mode.value for mode in GenerationMode if not questions.ask(operation, mode)]
        silent += [f"{operation.method.upper()} {operation.path} ({mode})" for mode in modes]
    print(f"{questions.asked} questions")
    assert not questions.wrong, "\n\n".join(questions.wrong[:20])
    assert not silent, f"never asked: {silent}"


class Questions:
    """What is asked with one token, and what was wrong with the answers."""

    def __init__(self, api: Api) -> None:
        self.asked = 0
        self.wrong: list[str] = []
        self._api = api
        self._checks = [no_fault, *CHECKS.get_by_names(list(NAMES))]

    def ask(self, operation: Any, mode: Any) -> int:
        """How many questions it was asked; of an operation that answers wrongly one answer is enough."""
        before, self._known = self.asked, self._names(operation) if mode == GenerationMode.POSITIVE else {}
        try:
            for case in self._made(operation, mode):
                self._one(case)
            if RANDOM:
                self._random(operation, mode)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            if type(error).__name__ not in ("Unsatisfiable", "FailedHealthCheck"):
                self.wrong.append(f"{operation.method.upper()} {operation.path} ({mode.value}): {_said(error)}")
        return self.asked - before

    def _made(self, operation: Any, mode: Any) -> Iterator[Any]:
        """Those that the description makes: of the wrong ones first one for each place where something can be wrong."""
        config = operation.schema.config.generation_for(operation=operation, phase="coverage")
        made = operation.schema.iter_coverage_cases(
            operation, generation_modes=[mode], generation_config=config, extra_data_source=None, error_feedback=None
        )
        places: set[Any] = set()
        spare, given_ = [], 0
        for case in made:
            place = getattr(case.meta.phase.data, "parameter_location", None) if case.meta else None
            if given_ >= MOST:
                return
            if place in places and not FULL:
                spare.append(case)
                continue
            places.add(place)
            given_ += 1
            yield case
        yield from spare[: MOST - given_]

    def _random(self, operation: Any, mode: Any) -> None:
        @settings(
            max_examples=RANDOM, derandomize=True, database=None, deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # to shrink one finding takes longer than to ask all the rest
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            self._one(case)

        ask()

    def _one(self, case: Any) -> None:
        for name, value in self._known.items():
            case.path_parameters[name] = value
        self.asked += 1
        answer = case.call(headers={"Authorization": f"Bearer {self._api.tokens['admin']}"})
        if answer.status_code == HTTPStatus.UNAUTHORIZED:  # a question has taken the token away
            self._again()
        case.validate_response(answer, checks=self._checks)

    def _again(self) -> None:
        with self._api.write() as session:
            _, self._api.tokens["admin"] = service.create_token(
                session, name="again", role="admin", actor="test", now=now()
            )

    @staticmethod
    def _names(operation: Any) -> dict[str, Any]:
        """What leads somewhere; without it every question would end in a 404."""
        endpoint = operation.definition.raw["operationId"]
        return {each.name: examples.address(endpoint, each.name) for each in operation.path_parameters}


def _said(error: BaseException) -> str:
    parts = getattr(error, "exceptions", None) or [error]
    return " / ".join(f"{type(each).__name__}: {each}"[:1500] for each in parts)
