"""What each answer holds, for the OpenAPI document: by operation, a model, or a list of it.

Nothing is checked against these at run time; schemathesis does that in the tests. An operation that is not here says in
its own `output` what it answers.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from pxeapp.accounts.permissions import VERSIONED
from pxeapp.api import account, bmc, checks, clouds, consoles, exports, lists, rollouts, templates
from pxeapp.api.clusters import ClusterOut
from pxeapp.api.machines import MachineOut
from pxeapp.api.networks import NetworkOut
from pxeapp.api.releases import ReleaseOut
from pxeapp.api.roles import RoleOut
from pxeapp.api.software import tables as software
from pxeapp.api.versions import VersionOut, VersionRowOut

REF = "#/components/schemas/{model}"


class _Open(BaseModel):
    """More fields may come."""

    model_config = ConfigDict(extra="allow")


class StepOut(_Open):
    """A step that was reached, and what it was seen by."""

    step: str
    at: str
    message: str


class ServedOut(_Open):
    """What a machine was given, by hash."""

    at: str
    kind: str
    sha256: str
    size: int


class UsedSnapshotOut(_Open):
    """The snapshot that was pinned when it began, by digest: a channel leads elsewhere later."""

    pin: str
    snapshot: str
    digest: str


class DeploymentOut(_Open):
    """One attempt. `outcome` is null while it runs."""

    id: int
    machine: str
    attempt: int
    release: str
    role: str
    requested_by: str
    requested_at: str
    step: str
    step_since: str
    step_deadline: str
    deadline: str
    progress: str
    outcome: Literal["succeeded", "failed", "aborted"] | None
    reason: str
    reason_code: str
    admitted_at: str | None
    finished_at: str | None
    grant: str
    armed_until: str | None
    claimed_address: str | None
    frozen: bool
    steps: list[StepOut]
    served: list[ServedOut] = Field(default=[], description="In the answer for one deployment only.")
    snapshot: UsedSnapshotOut | None = Field(default=None, description="In the answer for one deployment only.")


class PowerActionOut(_Open):
    """An order to the BMC worker. `outcome` is null while it is carried out."""

    id: int
    goal: str
    phase: str
    outcome: str | None
    error_code: str | None
    error: str | None
    requested_by: str
    requested_at: str
    finished_at: str | None
    log: list[Any]


class PowerOut(_Open):
    """The power state, when it was seen, and the last order."""

    power: Literal["on", "off", "unknown"]
    seen_at: str | None
    action: PowerActionOut | None


class EventOut(_Open):
    """A line of a machine's timeline."""

    id: int
    deployment_id: int | None
    at: str
    source: str
    kind: str
    message: str
    evidence: dict[str, Any]


class CauseOut(BaseModel):
    """A likely cause, and what to try."""

    cause: str
    attempt: str = Field(alias="try")


class ExplainOut(_Open):
    """Why a machine is where it is."""

    machine: str
    state: str
    summary: str
    step: str | None = None
    last_evidence: str
    last_evidence_at: str | None = None
    expected_next: str
    waited_s: int | None = None
    code: str | None = None
    causes: list[CauseOut]


class RenderedFileOut(_Open):
    """A file, secrets masked, with its faults."""

    kind: str
    sha256: str
    text: str
    faults: list[dict[str, Any]]


class RenderedOut(BaseModel):
    """What a machine would be given."""

    machine: str
    items: list[RenderedFileOut]


class GivenFileOut(_Open):
    """A file that a machine was given, secrets masked."""

    id: int
    kind: str
    at: str
    sha256: str
    size: int
    text: str | None
    problem: str


class GivenOut(BaseModel):
    """What a machine was given in an attempt."""

    machine: str
    deployment: int
    items: list[GivenFileOut]
    next: str | None


class ImportedNames(BaseModel):
    """The first thousand of each."""

    created: list[str]
    updated: list[str]


class ImportOut(BaseModel):
    """What an import did, or would do."""

    dry_run: bool
    created: int
    updated: int
    unchanged: int
    names: ImportedNames


class SightingOut(_Open):
    """A machine seen on the wire."""

    mac: str
    machine_id: int | None
    address: str | None
    arch: str | None
    first_seen: str
    last_seen: str


class UserOut(_Open):
    """Somebody who may sign in."""

    name: str
    role: str
    projects: list[str] | None
    disabled: bool
    source: str
    second_factor: bool
    must_change_password: bool
    created_at: str
    last_sign_in_at: str | None


class TokenOut(_Open):
    """A token without its secret."""

    id: int
    name: str
    role: str
    projects: list[str] | None
    read_only: bool
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked: bool


class NewTokenOut(TokenOut):
    """A token with its secret, which is never to be had again."""

    token: str


class AuditOut(_Open):
    """Who did what, and when."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    outcome: Literal["done", "refused"]
    address: str
    request_id: str
    before: Any
    after: Any
    details: dict[str, Any]
    number: int | None
    hash: str


class LogOut(BaseModel):
    """A log that an installer sent."""

    name: str
    at: str
    size: int


class VariableOut(_Open):
    """A variable that can be said, or that holds."""

    name: str


class Some(BaseModel):
    """Machines: how many, the first of them by name, and how many more."""

    count: int
    machines: list[str]
    more: int


class DiffFileOut(BaseModel):
    """A file that would be another one, as a unified difference."""

    kind: str
    diff: str


class DiffFaultOut(Some):
    """What would be wrong with a file, and on which machines. `already`: it is now, too."""

    kind: str
    line: int | None
    template: str | None
    template_line: int | None
    problem: str
    fix: str
    advice: bool
    text: str
    already: bool


class DiffGroupOut(Some):
    """Machines with the same difference, shown on the first of them."""

    example: str
    files: list[DiffFileOut]
    faults: list[DiffFaultOut]


class DiffFailureOut(Some):
    """Machines that could not be given a file, all for the same reason. `already`: nor can they be given it now."""

    reason: str
    already: bool


class DiffOut(BaseModel):
    """What a change would do: groups of machines with the same difference, the largest first."""

    differs: bool
    looked_at: int
    changed: int
    unchanged: int
    without_release_or_role: int
    groups: list[DiffGroupOut]
    failures: list[DiffFailureOut]
    mended: Some
    faulty: int
    unchecked: int
    notes: list[str]


class JobOut(BaseModel):
    """How far a job is."""

    id: int
    action: str
    options: dict[str, Any]
    state: Literal["running", "finished"]
    requested_by: str
    requested_at: str
    finished_at: str | None
    cancelled: bool
    problem: str = Field(description="Why all of it failed, of a comparison.")
    total: int
    waiting: int
    done: int
    refused: int
    skipped: int
    result: str | None = Field(description="Where a comparison's answer is, once it has ended.")


class RadiusOut(BaseModel):
    """What a bulk action would touch."""

    total: int
    by_state: dict[str, int]
    machines: list[str]


class JobItemOut(BaseModel):
    """How one machine of a job fared."""

    id: int
    machine: str
    machine_id: int
    outcome: Literal["waiting", "done", "refused", "cancelled"]
    detail: str
    result: dict[str, Any]
    at: str | None


class WebhookOut(BaseModel):
    """A webhook; its secret only in the answer that makes it."""

    name: str
    url: str
    events: list[str]
    enabled: bool
    problem: str
    failing_since: str | None
    version: int
    created_at: str
    updated_at: str
    secret: str | None = Field(default=None, description="Only once, in the answer that made it.")


class ChangeOut(_Open):
    """A change, as webhooks and event streams tell it."""

    id: int
    event: str
    at: str
    subject: str
    actor: str
    details: dict[str, Any]


class DeliveryOut(BaseModel):
    """What a webhook was sent."""

    id: int
    event: str
    body: ChangeOut
    outcome: Literal["waiting", "delivered", "failed"]
    attempts: int
    status: int | None
    problem: str
    created_at: str
    finished_at: str | None


class AliveOut(BaseModel):
    """It answers."""

    status: Literal["ok"]


class ReadyOut(_Open):
    """Whether it can work, and why not."""

    status: Literal["ok", "not ready"]
    checks: dict[str, str]


class Selected(_Open):
    """Only the fields that `?fields=` asked for."""


ONE: dict[str, type[BaseModel]] = {
    "health.healthz": AliveOut,
    "health.readyz": ReadyOut,
    "machines.show": MachineOut,
    **dict.fromkeys((f"{kind}.version" for kind in VERSIONED), VersionOut),
    "clusters.show": ClusterOut,
    "networks.show": NetworkOut,
    "releases.show": ReleaseOut,
    "roles.show": RoleOut,
    "machines.imports": ImportOut,
    "deployments.deploy": DeploymentOut,
    "deployments.abort": DeploymentOut,
    "deployments.show": DeploymentOut,
    "deployments.release": MachineOut,
    "deployments.explain": ExplainOut,
    "deployments.rendered": RenderedOut,
    "given.listing": GivenOut,
    "diffs.compare": DiffOut,
    "diffs.found": DiffOut,
    "power.show": PowerOut,
    "power.order": PowerActionOut,
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
    "users.create": UserOut,
    "users.change": UserOut,
    "users.show": UserOut,
    "tokens.create": NewTokenOut,
    "account.create_token": NewTokenOut,
    "account.sign_in": NewTokenOut,
    "audit.show": AuditOut,
    "templates.show": templates.TemplateOut,
    "exports.inventory": exports.InventoryOut,
    "exports.host": exports.HostOut,
    "jobs.order": JobOut,
    "jobs.show": JobOut,
    "jobs.cancel": JobOut,
    "rollouts.show": rollouts.RolloutOut,
    "rollouts.create": rollouts.RolloutOut,
    "rollouts.preview": rollouts.PreviewOut,
    "rollouts.packages": rollouts.PackagesOut,
    "rollouts.member": rollouts.MemberOut,
    "rollouts.forecast": rollouts.ForecastOut,
    **dict.fromkeys(rollouts.STEERING, rollouts.RolloutOut),
    **dict.fromkeys((f"clouds.{what}" for what in ("show", "create", "change", "replace")), clouds.CloudOut),
    "clouds.check": clouds.CloudCheckOut,
    "webhooks.show": WebhookOut,
    "webhooks.create": WebhookOut,
    "webhooks.change": WebhookOut,
    "webhooks.replace": WebhookOut,
    "webhooks.test": DeliveryOut,
    "webhooks.replay": DeliveryOut,
    "webhooks.delivery": DeliveryOut,
    **software.ONE,
}
MANY: dict[str, type[BaseModel]] = {
    "machines.listing": MachineOut,
    "machines.events": EventOut,
    "bmc.sel": bmc.SelEntryOut,
    "consoles.listing": consoles.RecordingOut,
    "clusters.listing": ClusterOut,
    "networks.listing": NetworkOut,
    "releases.listing": ReleaseOut,
    "roles.listing": RoleOut,
    "lists.listing": lists.FilterOut,
    "templates.listing": templates.TemplateRowOut,
    **dict.fromkeys((f"{kind}.versions" for kind in VERSIONED), VersionRowOut),
    "templates.versions": templates.TemplateVersionOut,
    "deployments.listing": DeploymentOut,
    "deployments.logs": LogOut,
    "sightings.listing": SightingOut,
    "users.listing": UserOut,
    "tokens.listing": TokenOut,
    "account.tokens": TokenOut,
    "account.sessions": account.SessionOut,
    "audit.listing": AuditOut,
    "variables.listing": VariableOut,
    "variables.of_machine": VariableOut,
    "jobs.listing": JobOut,
    "jobs.items": JobItemOut,
    "checks.listing": checks.CheckedOut,
    "rollouts.listing": rollouts.RolloutRowOut,
    "rollouts.members": rollouts.MemberRowOut,
    "rollouts.events": rollouts.RolloutEventOut,
    "clouds.listing": clouds.CloudOut,
    "webhooks.listing": WebhookOut,
    "webhooks.deliveries": DeliveryOut,
    **software.MANY,
}
# Lists without pages, as the tools that read them want them.
BARE: dict[str, type[BaseModel]] = {"exports.targets": exports.TargetGroup}
MORE: tuple[type[BaseModel], ...] = (RadiusOut, Selected)
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
