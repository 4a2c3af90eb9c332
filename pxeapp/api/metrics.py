"""`/metrics` for Prometheus: sums of rows, asked when somebody scrapes, and the counters of HTTP.

Every label has few values, whatever machines, releases and clients there are: states, outcomes, steps, codes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from pxeapp import __version__
from pxeapp.api.context import Context
from pxeapp.appliance import observing
from pxeapp.bmc.models import PowerAction
from pxeapp.db import now
from pxeapp.errors import PxeError
from pxeapp.jobs.models import JobItem
from pxeapp.jobs.service import WAITING
from pxeapp.machines import adopting, selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Machine
from pxeapp.provisioning import breaker
from pxeapp.provisioning.models import Deployment, DeploymentRecord
from pxeapp.provisioning.steps import Step
from pxeapp.rollouts import looking
from pxeapp.rollouts.models import Rollout, RolloutMember
from pxeapp.software.bundles.models import IMPORTED, MADE, Bundle
from pxeapp.software.cache import configured, statistics
from pxeapp.software.cache.models import UpstreamState
from pxeapp.software.isos.models import SoftwareMedium
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import channels
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.traffic.tally import BOUNDS, CLASSES, Tally
from pxeapp.webhooks import telling
from pxeapp.webhooks.models import Webhook

Sample = tuple[str, Mapping[str, str], float]
Column = InstrumentedAttribute[Any] | ColumnElement[Any]


@dataclass(slots=True)
class Page:
    """What is written, in Prometheus' text format."""

    lines: list[str] = field(default_factory=list)

    def family(self, name: str, kind: str, about: str, samples: Iterable[Sample]) -> None:
        """A metric with its samples; the first of each is put behind its name: _sum, _count, _bucket or nothing."""
        self.lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        for suffix, labels, value in samples:
            said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            self.lines.append(
                f"{name}{suffix}{{{said}}} {_number(value)}" if said else f"{name}{suffix} {_number(value)}"
            )

    def gauge(self, name: str, about: str, label: str, values: Mapping[str, float]) -> None:
        """One that goes up and down, by one label."""
        self.family(name, "gauge", about, ((("", {label: key}, value)) for key, value in sorted(values.items())))

    def one(self, name: str, about: str, value: float) -> None:
        """A single number."""
        self.family(name, "gauge", about, [("", {}, value)])


def text(own: Context, tally: Tally) -> str:
    """All of it."""
    page = Page()
    page.family("pxeapp_build_info", "gauge", "The version that runs.", [("", {"version": __version__}, 1)])
    with own.database.read() as session:
        _machines(page, session)
        _deployments(page, session)
        _power(page, session)
        _rollouts(page, session)
        _work(page, session, own)
        _cache(page, session, own)
        _repositories(page, session)
        _media(page, session)
        _snapshots(page, session)
    _http(page, tally)
    return "\n".join(page.lines) + "\n"


def _machines(page: Page, session: Session) -> None:
    states = {**dict.fromkeys(map(str, State), 0), **selectors.counts(session)}
    page.gauge("pxeapp_machines", "Machines by state.", "state", states)
    power = {"on": 0, "off": 0, "unknown": 0, **_counted(session, Machine.power)}
    page.gauge("pxeapp_machines_power", "Machines by power, as it was last seen.", "power", power)
    for name, column in (("maintenance", Machine.maintenance), ("locked", Machine.locked)):
        number = session.scalar(select(func.count()).select_from(Machine).where(column.is_(True))) or 0
        page.one(f"pxeapp_machines_{name}", f"Machines with {name} set.", number)
    page.one("pxeapp_unknown_machines", "Seen, not registered.", adopting.count(session))


def _deployments(page: Page, session: Session) -> None:
    page.gauge("pxeapp_deployments", "Deployments by outcome.", "outcome", _ended(session, Deployment.outcome))
    running = Deployment.outcome.is_(None)
    steps = {**dict.fromkeys(map(str, Step), 0), **_counted(session, Deployment.step, running)}
    page.gauge("pxeapp_deployments_running", "Running deployments by step.", "step", steps)
    overdue = select(func.count()).where(running, Deployment.step_deadline < now())
    page.one("pxeapp_deployments_overdue", "Running past their deadline.", session.scalar(overdue) or 0)
    oldest = session.scalar(select(func.min(Deployment.requested_at)).where(running))
    age = (now() - oldest).total_seconds() if oldest else 0
    page.one("pxeapp_deployments_oldest_seconds", "How long the oldest of the running has been going on.", age)
    failed = _counted(session, Deployment.reason_code, Deployment.outcome == "failed")
    page.gauge("pxeapp_deployments_failed", "Failed deployments by reason.", "reason", failed)
    columns = [getattr(DeploymentRecord, step) for step in _timed()]
    sums = session.execute(
        select(*itertools.chain.from_iterable((func.sum(column), func.count(column)) for column in columns))
    ).one()
    samples: list[Sample] = []
    for number, step in enumerate(_timed()):
        samples += [
            ("_sum", {"step": step}, float(sums[2 * number] or 0) / 1000),
            ("_count", {"step": step}, sums[2 * number + 1] or 0),
        ]
    about = "How long after the step before it each step was reached, of deployments that have ended."
    page.family("pxeapp_deployment_step_seconds", "summary", about, samples)
    whole = select(
        DeploymentRecord.outcome, func.sum(DeploymentRecord.took_ms), func.count(DeploymentRecord.id)
    ).group_by(DeploymentRecord.outcome)
    samples = []
    for outcome, took, number in session.execute(whole):
        samples += [("_sum", {"outcome": outcome}, float(took or 0) / 1000), ("_count", {"outcome": outcome}, number)]
    page.family("pxeapp_deployment_seconds", "summary", "How long deployments took, by outcome.", samples)


def _power(page: Page, session: Session) -> None:
    page.gauge("pxeapp_power_actions", "Power actions by outcome.", "outcome", _ended(session, PowerAction.outcome))
    wrong = _counted(session, PowerAction.error_code, PowerAction.error_code != "")
    page.gauge("pxeapp_bmc_errors", "Power actions that a BMC failed, by error.", "code", wrong)
    late = select(func.count()).where(PowerAction.finished_at.is_(None), PowerAction.deadline < now())
    page.one(
        "pxeapp_power_actions_overdue", "Not ended past their deadline: no BMC worker runs.", session.scalar(late) or 0
    )


def _work(page: Page, session: Session, own: Context) -> None:
    page.one(
        "pxeapp_observing",
        "1 while nothing is moved until told to resume.",
        int(observing.present(session) is not None),
    )
    waiting = session.scalar(select(func.count()).select_from(JobItem).where(JobItem.outcome == WAITING)) or 0
    page.one("pxeapp_job_machines_waiting", "Machines of jobs that are still to be worked on.", waiting)
    page.one("pxeapp_webhook_deliveries_waiting", "Deliveries that wait.", telling.waiting(session))
    broken = case((Webhook.enabled.is_(False), "disabled"), (Webhook.failures > 0, "failing"), else_="ok")
    hooks = {"ok": 0, "failing": 0, "disabled": 0, **_counted(session, broken)}
    page.gauge("pxeapp_webhooks", "Webhooks by how they are.", "state", hooks)
    try:
        hints = own.queue.waiting()
    except PxeError:
        page.one("pxeapp_queue_up", "Whether the queue answers.", 0)
    else:
        page.one("pxeapp_queue_up", "Whether the queue answers.", 1)
        page.one("pxeapp_queue_hints", "Hints that no worker has taken yet.", hints)


def _cache(page: Page, session: Session, own: Context) -> None:
    known = configured.effective(session, own.settings)
    today = statistics.on(session, f"{now():%Y-%m-%d}")
    asked: list[Sample] = []
    moved: list[Sample] = []
    for name in known:
        day = today.get(name, {})
        asked += [
            ("", {"upstream": name, "result": result}, day.get(column, 0))
            for result, column in (
                ("hit", "hits"), ("miss", "misses"), ("index_hit", "index_hits"), ("index_miss", "index_misses"),
                ("absent", "absent"), ("error", "errors"),
            )
        ]  # fmt: skip
        moved += [
            ("", {"upstream": name, "from": source}, day.get(f"bytes_from_{source}", 0))
            for source in ("cache", "upstream")
        ]
    about = "What machines asked of upstreams' mirrors since midnight UTC: hits came from the cache."
    page.family("pxeapp_cache_requests_total", "counter", about, asked)
    page.family("pxeapp_cache_bytes_total", "counter", "Bytes since midnight UTC, by where they came from.", moved)
    states = {row.name: row.problem for row in session.scalars(select(UpstreamState))}
    wrong = {name: float(bool(states.get(name))) for name in known}
    page.gauge("pxeapp_cache_problem", "1: something is wrong with the upstream.", "upstream", wrong)


def _repositories(page: Page, session: Session) -> None:
    row = SoftwareRepository
    sums = (
        func.count(),
        func.sum(row.package_count),
        func.sum(row.bytes),
        func.sum(case((row.problem != "", 1), else_=0)),
    )
    found = {origin: values for origin, *values in session.execute(select(row.origin, *sums).group_by(row.origin))}
    for number, (name, about) in enumerate(
        (
            ("pxeapp_repositories", "Repositories that are published, by where their packages come from."),
            ("pxeapp_repository_packages", "Packages in them."),
            ("pxeapp_repository_bytes", "Bytes of their packages; what two of them share counts twice."),
            ("pxeapp_repositories_failing", "Those whose last publication or sync failed; the former one is served."),
        )
    ):
        values = {
            origin: float(found[origin][number] or 0) if origin in found else 0.0 for origin in ("local", "mirror")
        }
        page.gauge(name, about, "origin", values)


def _media(page: Page, session: Session) -> None:
    row = SoftwareMedium
    count, held = session.execute(select(func.count(), func.coalesce(func.sum(row.bytes), 0)).select_from(row)).one()
    page.one("pxeapp_media", "Media that were imported.", count)
    page.one("pxeapp_media_bytes", "Bytes of their files; what two of them share counts twice.", held)


def _snapshots(page: Page, session: Session) -> None:
    kept = session.scalar(select(func.count()).where(Snapshot.deleted_at.is_(None))) or 0
    page.one("pxeapp_snapshots", "Snapshots that are kept.", kept)
    rows = channels.listing(session)
    lagging = {row.name: float(row.snapshot != row.published) for row in rows}
    page.gauge("pxeapp_channel_lagging", "1: a channel does not serve yet what it is to lead to.", "channel", lagging)
    moved = {row.name: row.updated_at.timestamp() for row in rows if row.snapshot}
    page.gauge("pxeapp_channel_moved_seconds", "When a channel was last moved, in Unix time.", "channel", moved)
    ways = dict.fromkeys((MADE, IMPORTED), 0.0)
    ways |= {way: float(count) for way, count in _grouped(session, Bundle.direction)}
    page.gauge("pxeapp_bundles", "Bundles that were made or imported here.", "direction", ways)


def _http(page: Page, tally: Tally) -> None:
    found = list(tally.each())
    counted: list[Sample] = [
        ("", {"kind": kind, "status": name}, number)
        for kind, by_class, _buckets, _seconds in found
        for name, number in zip(CLASSES, by_class, strict=True)
    ]
    page.family("pxeapp_http_requests_total", "counter", "Requests by kind and class of status.", counted)
    timed: list[Sample] = []
    for kind, _by_class, buckets, seconds in found:
        below = list(itertools.accumulate(buckets))
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), below, strict=True):
            timed.append(("_bucket", {"kind": kind, "le": bound}, number))
        timed += [("_sum", {"kind": kind}, seconds), ("_count", {"kind": kind}, below[-1])]
    page.family("pxeapp_http_request_seconds", "histogram", "How long requests took.", timed)


def _rollouts(page: Page, session: Session) -> None:
    states = {**dict.fromkeys(looking.STATES, 0), **_counted(session, Rollout.state)}
    page.gauge("pxeapp_rollouts", "Rollouts by state.", "state", states)
    page.one("pxeapp_breaker_open", "1: machines that work are not reinstalled.", int(bool(breaker.holds(session))))
    of_open = RolloutMember.rollout_id.in_(select(Rollout.id).where(Rollout.state.in_(looking.OPEN)))
    members = {**dict.fromkeys(looking.MEMBER_STATES, 0), **_counted(session, RolloutMember.state, of_open)}
    page.gauge("pxeapp_rollout_machines", "Machines of rollouts that are not over, by state.", "state", members)
    now_in = _counted(session, RolloutMember.step, of_open, RolloutMember.state == "running")
    page.gauge("pxeapp_rollout_machines_running", "Machines that rollouts work on, by step.", "step", now_in)
    failed = _counted(session, RolloutMember.reason_code, of_open, RolloutMember.state == "failed")
    page.gauge("pxeapp_rollout_machines_failed", "Machines that failed in these rollouts, by reason.", "reason", failed)


def _timed() -> list[str]:
    return [str(step) for step in Step if hasattr(DeploymentRecord, str(step))]


def _ended(session: Session, outcome: Column) -> dict[str, float]:
    """By outcome; what has none yet is running."""
    return {str(key or "running"): number for key, number in _grouped(session, outcome)}


def _counted(session: Session, column: Column, *conditions: ColumnElement[bool]) -> dict[str, float]:
    return {str(key): number for key, number in _grouped(session, column, *conditions)}


def _grouped(session: Session, column: Column, *conditions: ColumnElement[bool]) -> list[tuple[Any, int]]:
    query = select(column, func.count()).where(*conditions).group_by(column)
    return [(key, number) for key, number in session.execute(query)]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
