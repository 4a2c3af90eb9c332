"""`/variables`: which variables there are, and which hold for a machine and why."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict

from pxeapp.answers import knowledge, roles
from pxeapp.api.context import context
from pxeapp.api.paging import Page, PageQuery, part
from pxeapp.machines import selectors
from pxeapp.provisioning import effective

bp = APIBlueprint("variables", __name__, url_prefix="/api/v1", tag="Variables")


class VariableQuery(PageQuery):
    """Which role's; the built-in ones are every role's. Left out: those of all roles."""

    role: str = ""


class VariableOut(BaseModel):
    """A variable that can be said, or that holds."""

    model_config = ConfigDict(extra="allow")
    name: str


@bp.get("/variables")
@bp.input(VariableQuery, location="query", arg_name="query")
@bp.output(Page)
def listing(query: VariableQuery) -> dict[str, Any]:
    """List the variables that can be said, with type, default, limits and help"""
    with context().database.read() as session:
        if query.role:
            roles.get(session, query.role)
        rules = knowledge.rules(session, context().templates)
        return part(effective.reference(rules, query.role or None), query, lambda each: each["name"])


@bp.get("/machines/<key>/variables")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(Page)
def of_machine(key: str, query: PageQuery) -> dict[str, Any]:
    """Which variables hold for a machine, and where each is said; secrets masked"""
    with context().database.read() as session:
        machine = selectors.get(session, key)
        return part(effective.of_machine(session, context().templates, machine), query, lambda each: each["name"])
