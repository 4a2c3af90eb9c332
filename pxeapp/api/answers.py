"""What each operation answers, for the OpenAPI document: a model, which stands with its routes, or a list of it.

Nothing is checked against these at run time; schemathesis does that in the tests. An operation that is not here says in
its own `output` what it answers.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from pxeapp.accounts.permissions import VERSIONED
from pxeapp.api import (
    account,
    accounts,
    audit,
    bmc,
    checks,
    clouds,
    clusters,
    consoles,
    deployments,
    diffs,
    exports,
    given,
    health,
    jobs,
    lists,
    machines,
    networks,
    power,
    releases,
    roles,
    rollouts,
    sightings,
    templates,
    variables,
    versions,
    webhooks,
)
from pxeapp.api.software import tables as software

REF = "#/components/schemas/{model}"


class Selected(BaseModel):
    """Only the fields that `?fields=` asked for."""

    model_config = ConfigDict(extra="allow")


ONE: dict[str, type[BaseModel]] = {
    "health.healthz": health.AliveOut,
    "health.readyz": health.ReadyOut,
    "machines.show": machines.MachineOut,
    **dict.fromkeys((f"{kind}.version" for kind in VERSIONED), versions.VersionOut),
    "clusters.show": clusters.ClusterOut,
    "networks.show": networks.NetworkOut,
    "releases.show": releases.ReleaseOut,
    "roles.show": roles.RoleOut,
    "machines.imports": machines.ImportOut,
    "deployments.deploy": deployments.DeploymentOut,
    "deployments.abort": deployments.DeploymentOut,
    "deployments.show": deployments.DeploymentOut,
    "deployments.release": machines.MachineOut,
    "deployments.explain": deployments.ExplainOut,
    "deployments.rendered": deployments.RenderedOut,
    "given.listing": given.GivenOut,
    "diffs.compare": diffs.DiffOut,
    "diffs.found": diffs.DiffOut,
    "power.show": power.PowerOut,
    "power.order": power.PowerActionOut,
    "bmc.sensors": bmc.SensorsOut,
    "bmc.boot_device": bmc.BootDeviceOut,
    "bmc.identity": bmc.BmcOut,
    "bmc.order": bmc.BmcOrderOut,
    "bmc.set_boot_device": bmc.BmcOrderOut,
    "bmc.refresh_sensors": bmc.BmcOrderOut,
    "bmc.refresh_sel": bmc.BmcOrderOut,
    "bmc.refresh_boot_device": bmc.BmcOrderOut,
    "bmc.refresh_identity": bmc.BmcOrderOut,
    "bmc.clear_sel": bmc.BmcOrderOut,
    "bmc.identify": bmc.BmcOrderOut,
    "consoles.show": consoles.ConsoleOut,
    "users.create": accounts.UserOut,
    "users.change": accounts.UserOut,
    "users.show": accounts.UserOut,
    "tokens.create": accounts.NewTokenOut,
    "account.create_token": accounts.NewTokenOut,
    "account.sign_in": accounts.NewTokenOut,
    "audit.show": audit.AuditOut,
    "templates.show": templates.TemplateOut,
    "exports.inventory": exports.InventoryOut,
    "exports.host": exports.HostOut,
    "jobs.order": jobs.JobOut,
    "jobs.show": jobs.JobOut,
    "jobs.cancel": jobs.JobOut,
    "rollouts.show": rollouts.RolloutOut,
    "rollouts.create": rollouts.RolloutOut,
    "rollouts.preview": rollouts.PreviewOut,
    "rollouts.packages": rollouts.PackagesOut,
    "rollouts.member": rollouts.MemberOut,
    "rollouts.forecast": rollouts.ForecastOut,
    **dict.fromkeys(rollouts.STEERING, rollouts.RolloutOut),
    **dict.fromkeys((f"clouds.{what}" for what in ("show", "create", "change", "replace")), clouds.CloudOut),
    "clouds.check": clouds.CloudCheckOut,
    "webhooks.show": webhooks.WebhookOut,
    "webhooks.create": webhooks.WebhookOut,
    "webhooks.change": webhooks.WebhookOut,
    "webhooks.replace": webhooks.WebhookOut,
    "webhooks.test": webhooks.DeliveryOut,
    "webhooks.replay": webhooks.DeliveryOut,
    "webhooks.delivery": webhooks.DeliveryOut,
    **software.ONE,
}
MANY: dict[str, type[BaseModel]] = {
    "machines.listing": machines.MachineOut,
    "machines.events": machines.EventOut,
    "bmc.sel": bmc.SelEntryOut,
    "consoles.listing": consoles.RecordingOut,
    "clusters.listing": clusters.ClusterOut,
    "networks.listing": networks.NetworkOut,
    "releases.listing": releases.ReleaseOut,
    "roles.listing": roles.RoleOut,
    "lists.listing": lists.FilterOut,
    "templates.listing": templates.TemplateRowOut,
    **dict.fromkeys((f"{kind}.versions" for kind in VERSIONED), versions.VersionRowOut),
    "templates.versions": templates.TemplateVersionOut,
    "deployments.listing": deployments.DeploymentOut,
    "deployments.logs": deployments.LogOut,
    "sightings.listing": sightings.SightingOut,
    "users.listing": accounts.UserOut,
    "tokens.listing": accounts.TokenOut,
    "account.tokens": accounts.TokenOut,
    "account.sessions": account.SessionOut,
    "audit.listing": audit.AuditOut,
    "variables.listing": variables.VariableOut,
    "variables.of_machine": variables.VariableOut,
    "jobs.listing": jobs.JobOut,
    "jobs.items": jobs.JobItemOut,
    "checks.listing": checks.CheckedOut,
    "rollouts.listing": rollouts.RolloutRowOut,
    "rollouts.members": rollouts.MemberRowOut,
    "rollouts.events": rollouts.RolloutEventOut,
    "clouds.listing": clouds.CloudOut,
    "webhooks.listing": webhooks.WebhookOut,
    "webhooks.deliveries": webhooks.DeliveryOut,
    **software.MANY,
}
# Lists without pages, as the tools that read them want them.
BARE: dict[str, type[BaseModel]] = {"exports.targets": exports.TargetGroup}
MORE: tuple[type[BaseModel], ...] = (jobs.RadiusOut, Selected)
# What they answer besides 200, and which answers carry an ETag.
STATUS = {
    "clouds.create": "201",
    "rollouts.create": "201",
    "jobs.order": "202", "webhooks.create": "201", "webhooks.test": "202", "webhooks.replay": "202",
    **dict.fromkeys(software.CREATES, "201"), **dict.fromkeys(software.TASKS, "202"),
}  # fmt: skip
CREATES = frozenset({"machines.replace", "networks.replace", "roles.replace", "clusters.replace", "webhooks.replace",
                     "releases.replace", "clouds.replace"})  # fmt: skip
# Those that answer 202 say in Location where to watch what comes of it.
WATCHED = frozenset(
    {
        "deployments.deploy",
        "power.order",
        "jobs.order",
        "diffs.compare",
        "webhooks.test",
        "webhooks.replay",
        "bmc.refresh_sensors",
        "bmc.refresh_sel",
        "bmc.refresh_boot_device",
        "bmc.refresh_identity",
        "bmc.clear_sel",
        "bmc.set_boot_device",
        "bmc.identify",
        *software.TASKS,
    }
)
EDITABLE = ("machines", "networks", "roles", "clusters", "releases", "webhooks", "clouds", "users", *software.EDITABLE)
# What heeds If-Match.
CONDITIONAL = frozenset(f"{kind}.{what}" for kind in EDITABLE for what in ("change", "replace", "delete")) | {
    "templates.save", "templates.delete", "templates.rollback", "lists.save", "lists.delete", "clusters.rotate",
    *rollouts.STEERING,
}  # fmt: skip
TAGGED = frozenset(f"{kind}.{what}" for kind in EDITABLE for what in ("show", "create", "change", "replace")) | {
    *(f"{kind}.restore" for kind in VERSIONED),
    "templates.show", "templates.save", "templates.rollback", "lists.save", "clusters.rotate", "machines.bring",
    "rollouts.show", "rollouts.create", *rollouts.STEERING,
    "releases.verify", *(f"{kind}.restore" for kind in VERSIONED),
}  # fmt: skip
# Whose version counts what persons change, while they go on by themselves: no If-None-Match finds them as they were.
MOVING = frozenset({"rollouts.show"})


def schemas() -> dict[str, Any]:
    """Every model that is named above, and what they are made of."""
    models = {*ONE.values(), *MANY.values(), *BARE.values(), *MORE}
    _, found = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda each: each.__name__)], ref_template=REF
    )
    return dict(found["$defs"])


def ref(model: type[BaseModel]) -> dict[str, str]:
    """Where the document has it."""
    return {"$ref": REF.format(model=model.__name__)}


def page_of(model: type[BaseModel]) -> dict[str, Any]:
    """A page of a list; each thing whole, or the fields that were asked for."""
    return {
        "type": "object",
        "title": model.__name__.removesuffix("Out") + "Page",
        "description": "`next` is what to pass as `after` for the next page; null: this is the last one.",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": {"anyOf": [ref(model), ref(Selected)]}},
            "next": {"type": ["string", "null"]},
        },
    }
