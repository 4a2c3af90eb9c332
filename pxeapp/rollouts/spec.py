"""What a rollout is told, in YAML or JSON: which machines, what is done to them, and how carefully.

    name: openssl
    machines: {cluster: prod, role: compute}
    action: {patch: {packages: security}}
    order: {canary: 1, waves: {by: percent, size: 25}, max_unavailable: "10%", soak: 10m}
    drain: {openstack: {cloud: prod, instances: live-migrate}}
    verify: {gates: [{ssh: {}}, {services: {units: [nova-compute]}}]}

Every field has a default that is careful rather than quick. docs/rollouts.md explains each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pxeapp.machines.narrowing import Narrowed
from pxeapp.rollouts.amounts import Amount, Span, span
from pxeapp.rollouts.windows import Window

Name = Annotated[str, Field(min_length=1, max_length=255)]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
# No dash at the end: apt would take it for "remove this".
Package = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9+._:*~-]{0,119}[A-Za-z0-9+._:*~])?$")]
Unit = Annotated[str, Field(pattern=r"^[A-Za-z0-9@._:\\-]{1,200}$")]
Command = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")]
Url = Annotated[str, Field(max_length=500, pattern=r"^https?://[^\s\x00-\x1f\x7f]+$")]


class Part(BaseModel):
    """A part of a rollout's text: nothing unknown in it, and it does not change any more."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Choice(Part):
    """One of several, said by its name: exactly one field is set."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, said: Any) -> Any:
        """`reboot`, `{reboot: }` and `{reboot: {}}` say the same; a null beside what is said says nothing."""
        if isinstance(said, str):
            return {said: {}}
        if not isinstance(said, Mapping):
            return said
        kept = {name: value for name, value in said.items() if value is not None or name not in cls.model_fields}
        return {next(iter(said)): {}} if not kept and len(said) == 1 else kept

    @model_validator(mode="after")
    def _one(self) -> Self:
        said = sorted(self.model_fields_set)
        if len(said) != 1 or getattr(self, said[0]) is None:
            known = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            raise ValueError(f"Say exactly one of {known}.")
        return self

    @property
    def kind(self) -> str:
        """The name of what was chosen."""
        return next(iter(self.model_fields_set))

    @property
    def chosen(self) -> Any:
        """What was said of it."""
        return getattr(self, self.kind)


# --- Which machines ---------------------------------------------------------------------------------------------------


class Machines(Narrowed):
    """Those that are named, or all that the fields find, as GET /machines narrows them; both: those of both."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    names: Annotated[tuple[Name, ...], Field(max_length=20_000, description="By name, MAC or number.")] = ()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.names and not any(self.model_dump(exclude={"names"}).values()):
            raise ValueError("Say which machines: names, or fields such as cluster, role, q. All of them is not meant.")
        return self


# --- What is done -----------------------------------------------------------------------------------------------------


class Patch(Part):
    """Patch the running system over ssh."""

    method: Annotated[
        Literal["packages", "ansible", "salt"],
        Field(description="The system's own packages, a playbook, or a Salt state."),
    ] = "packages"
    packages: Annotated[
        Literal["all", "security"] | tuple[Package, ...],
        Field(description="All that has a newer version, what security asks for, or these by name."),
    ] = "all"
    exclude: Annotated[tuple[Package, ...], Field(max_length=500, description="Never touched by this rollout.")] = ()
    snapshot: Annotated[
        str,
        Field(
            max_length=100,
            description="What it is held to: a snapshot of ours, channel:NAME, or a moment of apt's, 20261101T000000Z.",
        ),
    ] = ""
    playbook: Annotated[str, Field(max_length=200, description="For ansible: a file of the playbook folder.")] = ""
    state: Annotated[str, Field(max_length=200, description="For salt: the state, empty for the highstate.")] = ""
    timeout: Annotated[Span, Field(description="Within which it is patched.")] = span("1h")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.packages, tuple) and not self.packages:
            raise ValueError("packages names none; write all, security, or names.")
        if (self.method == "ansible") != bool(self.playbook):
            raise ValueError("playbook is said with method ansible, and only with it.")
        if self.state and self.method != "salt":
            raise ValueError("state is said with method salt only.")
        return self


class Reinstall(Part):
    """Install anew; what is left out stays as the machine has it."""

    release: Annotated[str, Field(max_length=63, description="Which one is installed.")] = ""
    role: Annotated[str, Field(max_length=63, description="As what it is installed.")] = ""
    timeout: Annotated[Span, Field(description="Within which it is installed and has called in.")] = span("4h")


class Reboot(Part):
    """Only restart it."""


class Run(Part):
    """A runbook of one's own, such as a firmware update: a command on the machine, or one on the appliance's host."""

    command: Annotated[Command, Field(description="Run by a shell; 0 is success.")]
    timeout: Annotated[Span, Field(description="Within which it ends.")] = span("1h")


class Action(Choice):
    """What is done to each machine."""

    patch: Patch | None = None
    reinstall: Reinstall | None = None
    reboot: Reboot | None = None
    run: Run | None = None


# --- How --------------------------------------------------------------------------------------------------------------


class Waves(Part):
    """How machines are put into waves, after the canaries."""

    by: Annotated[
        str,
        Field(
            pattern=r"^(count|percent|rack|role|label:[A-Za-z0-9._/-]{1,63})$",
            description="count, percent, rack, role, or label:KEY: a wave for each of its values.",
        ),
    ] = "percent"
    size: Annotated[int, Field(ge=1, le=20_000, description="Machines, or percent of all.")] = 20
    first: Annotated[
        tuple[str, ...], Field(max_length=200, description="Which racks, roles or values come first, in this order.")
    ] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.by == "percent" and self.size > 100:
            raise ValueError("size is in percent here: 1 to 100.")
        if self.by not in ("count", "percent") and "size" in self.model_fields_set:
            raise ValueError(f"size has no meaning with by: {self.by}.")
        return self


class Order(Part):
    """How carefully: who goes first, how many at once, and when it stops by itself."""

    canary: Annotated[
        int | tuple[Name, ...], Field(description="How many go first and alone, or which; 0 for none.")
    ] = 1
    waves: Annotated[Waves, Field(description="How the others are put into waves.")] = Waves()
    max_unavailable: Annotated[
        Amount, Field(description="Of all machines of the rollout, whatever they are down for.")
    ] = 1
    max_failures: Annotated[Amount, Field(description="In total; one more pauses it.")] = 0
    max_failures_per_wave: Annotated[Amount | None, Field(description="In one wave; one more pauses it.")] = None
    soak: Annotated[Span, Field(description="How long a wave is watched before the next begins.")] = span("5m")
    pause_after: Annotated[
        tuple[Literal["canary", "every"] | Annotated[int, Field(ge=1)], ...],
        Field(description="Waves after which a person says go on: canary, every, or their numbers."),
    ] = ()
    windows: Annotated[
        tuple[Window, ...], Field(max_length=50, description="When machines may begin; none: at any time.")
    ] = ()
    deadline: Annotated[Span | None, Field(description="From its start; then it pauses.")] = None

    @field_validator("canary")
    @classmethod
    def _canary(cls, said: int | tuple[str, ...]) -> int | tuple[str, ...]:
        if isinstance(said, int) and not 0 <= said <= 1000:
            raise ValueError("Write 0 to 1000 canaries, or their names.")
        return said


class Invariant(Part):
    """A change of a built-in rule, or a rule of one's own: see invariants.py."""

    role: Annotated[str, Field(max_length=63, description="Whose machines are counted; empty: all.")] = ""
    per: Annotated[
        Literal["cluster", "availability_zone", "all"], Field(description="Within what they are counted together.")
    ] = "cluster"
    max_down: Annotated[Amount | None, Field(description="How many may be down at once.")] = None
    min_up: Annotated[Amount | None, Field(description="How many must be up.")] = None
    quorum: Annotated[bool | None, Field(description="More than half must be up.")] = None
    domain: Annotated[
        str,
        Field(
            pattern=r"^(|rack|machine|label:[A-Za-z0-9._/-]{1,63})$",
            description="What fails together: rack, machine, or label:KEY.",
        ),
    ] = ""
    max_domains: Annotated[int | None, Field(ge=1, description="In how many domains machines may be down at once.")] = (
        None
    )
    off: Annotated[bool, Field(description="The built-in rule of this name does not hold.")] = False
    reason: Annotated[
        str, Field(max_length=500, description="Why; needed where a built-in rule is switched off or loosened.")
    ] = ""


# --- Drain and undrain ------------------------------------------------------------------------------------------------


class OpenStackDrain(Part):
    """By the cloud's own API; each service that the machine has."""

    cloud: Annotated[str, Field(min_length=1, max_length=71, description="A cloud that the appliance knows.")]
    instances: Annotated[
        Literal["live-migrate", "cold-migrate", "stop", "leave"], Field(description="What becomes of its instances.")
    ] = "live-migrate"
    host: Annotated[str, Field(max_length=255, description="Its name in the cloud; empty: the machine's name.")] = ""
    timeout: Annotated[Span, Field(description="Within which it is drained.")] = span("2h")


class CommandDrain(Part):
    """A command on the machine itself that drains it, and one that puts it back; each exits with 0."""

    drain: Annotated[Command, Field(description="Takes it out of service.")]
    undrain: Annotated[Command, Field(description="Puts it back.")]
    check: Annotated[Command | None, Field(description="Exits with 0 once it is drained; asked until then.")] = None
    timeout: Annotated[Span, Field(description="Within which it is drained.")] = span("30m")


class SwiftDrain(Part):
    """By the weights of its devices in Swift's rings, which every node is given anew."""

    rings: Annotated[Name, Field(description="The machine that has the rings' builder files; by name, MAC or number.")]
    builders: Annotated[
        str, Field(max_length=200, pattern=r"^(/[A-Za-z0-9._-]+)+$", description="The folder of the builder files.")
    ] = "/etc/swift"
    until: Annotated[
        Literal["moved", "assigned"],
        Field(description="moved: nothing is left on its disks; assigned: the rings lead elsewhere."),
    ] = "moved"
    timeout: Annotated[Span, Field(description="Within which it is drained, and has its share again.")] = span("24h")


class Nothing(Part):
    """Nothing is drained."""


class Drain(Choice):
    """How a machine is taken out of service and put back."""

    openstack: OpenStackDrain | None = None
    swift: SwiftDrain | None = None
    command: CommandDrain | None = None
    none: Nothing | None = None


# --- Verify -----------------------------------------------------------------------------------------------------------


class SshGate(Part):
    """It answers on ssh with the key that is pinned."""


class RebootedGate(Part):
    """Its boot id is another than before; holds where it was restarted."""


class ServicesGate(Part):
    """Units are active; without names: none has failed that had not failed before."""

    units: Annotated[tuple[Unit, ...], Field(max_length=100, description="Names of systemd units.")] = ()


class CommandGate(Part):
    """A command on the machine exits with 0."""

    command: Annotated[Command, Field(description="Run by a shell on the machine.")]
    timeout: Annotated[Span, Field(description="Within which it ends; at most 20s: it is asked again and again.")] = (
        span("15s")
    )

    @model_validator(mode="after")
    def _short(self) -> Self:
        if not 1 <= self.timeout.total_seconds() <= 20:
            raise ValueError("timeout of a gate's command is 1s to 20s: what takes longer belongs into action run.")
        return self


class HttpGate(Part):
    """A URL answers; {machine} and {address} in it are the machine's."""

    url: Annotated[Url, Field(description="Asked from the appliance.")]
    status: Annotated[int, Field(ge=100, le=599, description="What it answers.")] = 200
    contains: Annotated[str, Field(max_length=500, description="A text within the answer.")] = ""


class PrometheusGate(Part):
    """A query gives at least one sample, and each is true (not 0); {machine} and {address} are the machine's."""

    server: Annotated[Url, Field(description="The address of Prometheus.")]
    query: Annotated[str, Field(min_length=1, max_length=2000, description="In PromQL.")]


class OpenStackGate(Part):
    """Its compute service and agents are alive in the cloud."""

    cloud: Annotated[str, Field(max_length=71, description="Empty: the one that drained it.")] = ""
    host: Annotated[str, Field(max_length=255, description="Its name in the cloud; empty: as in drain.")] = ""


class SelGate(Part):
    """Its BMC's event log has no new entry of a severity since the machine was drained."""


class Gate(Choice):
    """One thing that must hold before a machine serves again."""

    ssh: SshGate | None = None
    rebooted: RebootedGate | None = None
    services: ServicesGate | None = None
    command: CommandGate | None = None
    http: HttpGate | None = None
    prometheus: PrometheusGate | None = None
    openstack: OpenStackGate | None = None
    sel: SelGate | None = None


class Verify(Part):
    """Gates, and how long all of them must hold without a break."""

    gates: Annotated[tuple[Gate, ...], Field(max_length=50, description="What must hold, all of it.")] = ()
    settle: Annotated[Span, Field(description="All gates hold for so long without one failing.")] = span("30s")
    flaps: Annotated[int, Field(ge=0, le=100, description="How often a gate may fail again after it held.")] = 3
    timeout: Annotated[Span, Field(description="Within which all gates have held.")] = span("15m")


class Spec(Part):
    """A whole rollout."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", description="How people call it.")]
    description: Annotated[str, Field(max_length=2000, description="Why it is done.")] = ""
    machines: Annotated[Machines, Field(description="Which machines.")]
    action: Annotated[Action, Field(description="What is done to each.")]
    order: Annotated[Order, Field(description="How carefully.")] = Order()
    drain: Annotated[Drain, Field(description="How a machine is taken out of service.")] = Drain(none=Nothing())
    reboot: Annotated[
        Literal["needed", "always", "never"],
        Field(description="After a patch or a runbook; needed: as the system says."),
    ] = "needed"
    verify: Annotated[Verify, Field(description="What must hold before a machine serves again.")] = Verify()
    invariants: Annotated[
        dict[Word, Invariant], Field(max_length=50, description="Built-in rules changed, and rules of one's own.")
    ] = {}
    on_conflict: Annotated[
        Literal["refuse", "hold"],
        Field(description="A plan that could break an invariant is refused, or machines wait so that it does not."),
    ] = "refuse"
