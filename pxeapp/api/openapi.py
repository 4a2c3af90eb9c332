"""The OpenAPI document: what APIFlask reads from the code, plus what holds for every route of ours."""

from __future__ import annotations

import re
from typing import Any

from apiflask import APIFlask

from pxeapp.accounts.permissions import PUBLIC, needed
from pxeapp.api.bodies import LONGER, MAX_BODY
from pxeapp.api.machines import FORM_OF
from pxeapp.api.problems import MEDIA_TYPE

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
# The few answers that are not JSON.
PLAIN = {"deployments.log": "text/plain", "health.metrics": "text/plain"}


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
    schemas["Problem"] = PROBLEM
    return spec


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
    if endpoint == "machines.imports":
        operation["requestBody"] = {"required": True, "content": {**IMPORTED, **dict.fromkeys(list(FORM_OF)[1:], TEXT)}}
    if endpoint in PLAIN:
        operation["responses"]["200"]["content"] = {PLAIN[endpoint]: TEXT}
    responses = operation["responses"]
    for status, meaning in _refusals(operation, method, path, endpoint, least).items():
        responses[status] = {
            "description": meaning,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }


def _refusals(operation: dict[str, Any], method: str, path: str, endpoint: str, least: str | None) -> dict[str, str]:
    """Every way in which this operation says no."""
    found = {"503": "The database cannot be used right now."}
    if least == PUBLIC:
        return {"405": "This method is not possible here.", **found}
    found["401"] = "No valid token."
    found["403"] = f"The role {least} is needed."
    if "{" in path:
        found["404"] = "There is no such thing."
    if operation.get("parameters") or "requestBody" in operation:
        found["422"] = "What was sent is wrong; every problem is listed and nothing was changed."
    if method != "get":
        found["409"] = "Its state does not allow this; nothing was changed."
    if "requestBody" in operation:
        found["400"] = "The body cannot be parsed."
        found["413"] = f"The body is longer than {LONGER.get(endpoint, MAX_BODY)} bytes."
        found["415"] = "The body's Content-Type is not possible here."
    if method in ("put", "patch"):
        found["412"] = "If-Match was sent, and it was changed meanwhile."
    return found
