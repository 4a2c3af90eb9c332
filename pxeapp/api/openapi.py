"""The OpenAPI document: what APIFlask reads from the code, plus what holds for every route of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from apiflask import APIFlask
from pydantic import BaseModel

from pxeapp.accounts.permissions import PUBLIC, needed
from pxeapp.api import answers, audit, examples, jobs, rollouts
from pxeapp.api.bodies import LONGER, MAX_BODY
from pxeapp.api.limits import KEY, REPLAYED
from pxeapp.api.machines import FORM_OF
from pxeapp.api.problems import MEDIA_TYPE

REF = "#/components/schemas/"
METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `detail` and `hint` are sentences; `errors` lists every field that is wrong.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "problem": {"type": "string"},
                    "fix": {"type": "string"},
                    "line": {"type": ["integer", "null"]},
                },
            },
        },
    },
}
IMPORTED = {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/MachineIn"}}}}
TEXT = {"schema": {"type": "string"}}
ROLLOUT = {
    "application/json": {"schema": {"$ref": "#/components/schemas/Spec"}, "example": rollouts.EXAMPLE},
    "application/yaml": TEXT,
}
FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
RAW = frozenset({"uploads.put"})  # whose body is a file as it is
# The few answers that are not JSON.
PLAIN = {
    "deployments.log": "text/plain",
    "health.metrics": "text/plain",
    "given.exact": "text/plain",
    "events.stream": "text/event-stream",
    "consoles.stream": "text/event-stream",
    "lists.machines_csv": "text/csv",
    "consoles.recording": "application/x-asciicast",
    "consoles.recording_text": "text/plain",
    "bundles.fetch": "application/octet-stream",
}
# Those that are written in the form that `?format=` names.
FORMS = {
    "audit.export": {
        "application/x-ndjson": TEXT, "text/csv": TEXT,
        "application/json": {"schema": answers.page_of(audit.AuditOut)},
    },
}  # fmt: skip
# What is answered with another status when something else was asked for, or it is more than a request has time for.
OR: dict[str, tuple[str, str, type[BaseModel]]] = {
    "jobs.order": ("200", "`dry_run`: what it would touch.", jobs.RadiusOut),
    "rollouts.create": ("200", "`dry_run`: the plan.", rollouts.PreviewOut),
    "diffs.compare": ("202", "These are many machines: a job to watch.", jobs.JobOut),
}
# Lists that are narrowed by the name of something else.
NARROWED = frozenset({"deployments.listing", "variables.listing"})
# These say so of a name in the body that nobody knows; most others tell it as a field's fault.
NAMES_OTHERS = frozenset({"bundles.create", "bundles.verify", "bundles.take", "channels.create", "tokens.create"})
# What only somebody with an account here has: a token that belongs to nobody is told so.
OWNED = frozenset({"account.sessions", "account.tokens"})
CONSOLES = frozenset({"consoles.stream"})  # of a machine that has none it is refused
ETAG = {"ETag": {"description": "The version, for If-Match.", "schema": {"type": "string"}}}
REPLAY = {REPLAYED: {"description": "`true`: this is the answer from before.", "schema": {"type": "string"}}}
RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
LOCATION = {"Location": {"description": "Where to watch what comes of it.", "schema": {"type": "string"}}}
FIELDS = {
    "name": "fields", "in": "query", "required": False, "schema": {"type": "string", "default": ""},
    "description": "Only these, separated by commas: `?fields=name,state`.",
}  # fmt: skip
IF_MATCH = {
    "name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}, "example": '"3"',
    "description": "The ETag of what is to be changed: 412 when it is another by now.",
}  # fmt: skip
ONCE = {
    "name": KEY, "in": "header", "required": False, "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "A UUID, say: whoever sends the same request with it again, within a day, gets the same answer, and "
    "nothing is done twice.",
}  # fmt: skip


def install(app: APIFlask) -> None:
    """Describe ourselves at /api/v1/openapi.json."""
    app.description = "Bare-metal provisioning. Send `Authorization: Bearer TOKEN`."
    app.security_schemes = {"token": {"type": "http", "scheme": "bearer"}}
    app.servers = [{"url": "/"}]  # whichever name the document was first asked for by, it is not part of it
    app.config["AUTO_OPERATION_ID"] = True
    app.spec_callback = lambda spec: _whole(app, spec)


def _whole(app: APIFlask, spec: Any) -> Any:
    endpoints = _endpoints(app)
    for path, operations in spec["paths"].items():
        for method in METHODS:
            if method in operations:
                _operation(operations[method], method, path, endpoints[path, method])
    schemas = spec["components"]["schemas"]
    for unused in ("ValidationError", "HTTPError"):
        schemas.pop(unused, None)
    schemas.update(answers.schemas())
    schemas.update(rollouts.schemas())
    schemas["Problem"] = PROBLEM
    return _told_apart(spec)


def _told_apart(spec: Any) -> Any:
    """Every model once, under a name and a title that no other has: a generator of clients makes a class of each.

    What a body holds is called `MachinePatch.BmcIn` by whoever made its schema, once for each body.
    """
    schemas: dict[str, Any] = spec["components"]["schemas"]
    alike: dict[str, set[str]] = {}
    for name, schema in schemas.items():
        shortened = _renamed(schema, {each: each.rpartition(".")[2] for each in schemas})
        alike.setdefault(name.rpartition(".")[2], set()).add(json.dumps(shortened, sort_keys=True))
    names = {
        name: short if len(alike[short]) == 1 else name.replace(".", "").replace("__", "_")
        for name in schemas
        if (short := name.rpartition(".")[2])
    }
    found = _renamed(spec, names)
    found["components"]["schemas"] = {
        names[name]: {**schema, "title": names[name]} for name, schema in found["components"]["schemas"].items()
    }
    return found


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """With its references to these schemas under their new names."""
    if isinstance(node, dict):
        return {
            key: REF + names.get(value.removeprefix(REF), value.removeprefix(REF))
            if key == "$ref" and isinstance(value, str)
            else _renamed(value, names)
            for key, value in node.items()
        }
    return [_renamed(each, names) for each in node] if isinstance(node, list) else node


def _endpoints(app: APIFlask) -> dict[tuple[str, str], str]:
    """Endpoint by OpenAPI path and method."""
    found = {}
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<([^<:]+:)?", "{", rule.rule).replace(">", "}")
        for method in rule.methods or ():
            found[path, method.lower()] = rule.endpoint
    return found


def _operation(operation: dict[str, Any], method: str, path: str, endpoint: str) -> None:
    least = needed(endpoint)
    operation["operationId"] = endpoint
    operation["security"] = [] if least == PUBLIC else [{"token": []}]
    if least != PUBLIC:
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the role {least}.".strip()
    if endpoint in ("rollouts.create", "rollouts.preview", "rollouts.packages"):
        operation["requestBody"] = {"required": True, "content": ROLLOUT}
    if endpoint == "machines.imports":
        operation["requestBody"] = {"required": True, "content": {**IMPORTED, **dict.fromkeys(list(FORM_OF)[1:], TEXT)}}
    if endpoint in RAW:
        operation["requestBody"] = {"required": True, "content": FILE}
    if endpoint in examples.EXAMPLES:
        operation["requestBody"]["content"]["application/json"]["example"] = examples.EXAMPLES[endpoint]
    _answers(operation, endpoint)
    if endpoint.startswith("reports."):
        operation["responses"]["200"]["content"]["text/csv"] = TEXT  # ?format=csv
    _parameters(operation, method, endpoint)
    for status, answer in examples.answers().get(endpoint, {}).items():
        operation["responses"][status]["content"]["application/json"]["example"] = answer
    responses = operation["responses"]
    for status, meaning in _refusals(operation, method, path, endpoint, least).items():
        responses[status] = {
            "description": meaning,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            **({"headers": RETRY} if status in ("429", "503") else {}),
        }


def _answers(operation: dict[str, Any], endpoint: str) -> None:
    """What it answers when all is well."""
    responses = operation["responses"]
    if (status := answers.STATUS.get(endpoint)) and "200" in responses:
        responses[status] = responses.pop("200")
    good = next((each for each in responses if each.startswith("2")), "200")
    answer = responses.setdefault(good, {"description": "Done."})
    if content := _content(endpoint):
        answer["content"] = content
    elif good != "204":
        for said in answer.get("content", {}).values():
            said["schema"] = said.get("schema") or {"type": "object"}
    if endpoint in answers.TAGGED:
        answer["headers"] = {**answer.get("headers", {}), **ETAG}
    if endpoint in answers.TAGGED and _shows(endpoint) and endpoint not in answers.MOVING:
        responses["304"] = {"description": "If-None-Match has its ETag."}
    if endpoint in answers.CREATES:
        responses["201"] = {**answer, "description": "It was not there, and is created."}
    if endpoint in OR:
        status, meaning, model = OR[endpoint]
        content = {"application/json": {"schema": answers.ref(model)}}
        responses[status] = {"description": meaning, "content": content}
    if endpoint in answers.WATCHED:
        responses["202"]["headers"] = {**responses["202"].get("headers", {}), **LOCATION}
    if endpoint == "health.readyz":
        responses["503"] = {"description": "Not ready.", "content": answer["content"]}


def _content(endpoint: str) -> dict[str, Any] | None:
    """What our tables say of its answer; None: they say nothing."""
    if endpoint in FORMS:
        return FORMS[endpoint]
    if endpoint in PLAIN:
        return {PLAIN[endpoint]: TEXT}
    if endpoint in answers.MANY:
        return {"application/json": {"schema": answers.page_of(answers.MANY[endpoint])}}
    if endpoint in answers.BARE:
        return {"application/json": {"schema": {"type": "array", "items": answers.ref(answers.BARE[endpoint])}}}
    return {"application/json": {"schema": _one(endpoint)}} if endpoint in answers.ONE else None


def _one(endpoint: str) -> dict[str, Any]:
    whole = answers.ref(answers.ONE[endpoint])
    return (
        {"anyOf": [whole, answers.ref(answers.Selected)]} if endpoint in answers.TAGGED and _shows(endpoint) else whole
    )


def _shows(endpoint: str) -> bool:
    return endpoint.endswith(".show")


def _parameters(operation: dict[str, Any], method: str, endpoint: str) -> None:
    """What holds for many routes alike."""
    found = operation.setdefault("parameters", [])
    for parameter in found:
        if parameter["in"] == "path":
            parameter["example"] = examples.address(endpoint, parameter["name"])
    if endpoint in answers.MANY or (endpoint in answers.TAGGED and _shows(endpoint)):
        found.append(FIELDS)
    if endpoint in answers.CONDITIONAL:
        found.append(IF_MATCH)
    if method != "get" and needed(endpoint) != PUBLIC:
        found.append(ONCE)
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                answer["headers"] = {**answer.get("headers", {}), **REPLAY}


def _refusals(operation: dict[str, Any], method: str, path: str, endpoint: str, least: str | None) -> dict[str, str]:
    """Every way in which this operation says no."""
    found = {} if endpoint == "health.readyz" else {"503": "The database cannot be used right now."}
    if least == PUBLIC and method == "get":
        return {"405": "This method is not possible here.", **found}
    found["401"] = "No valid token." if least != PUBLIC else "Name or password is wrong."
    found["429"] = "Too many requests; ask again when Retry-After says."
    found["403"] = f"The role {least} is needed." if least != PUBLIC else "It came from another site."
    if "{" in path or endpoint in NARROWED:
        found["404"] = "There is no such thing."
    if endpoint in NAMES_OTHERS:
        found["404"] = "What is named in the body is not there."
    if operation.get("parameters") or "requestBody" in operation:
        found["422"] = "What was sent is wrong; every problem is listed and nothing was changed."
    if endpoint in OWNED:
        found["409"] = "The token belongs to no account here."
    if endpoint in CONSOLES:
        found["409"] = "No BMC of it gives us a serial console."
    if method != "get":
        found["409"] = "Its state does not allow this; nothing was changed."
    if "requestBody" in operation:
        found["400"] = "The body cannot be parsed."
        found["413"] = f"The body is longer than {LONGER.get(endpoint, MAX_BODY)} bytes."
        found["415"] = "The body's Content-Type is not possible here."
    if endpoint in answers.CONDITIONAL:
        found["412"] = "If-Match was sent, and it was changed meanwhile."
        found["428"] = "This site insists on If-Match, and none was sent."
    return found
