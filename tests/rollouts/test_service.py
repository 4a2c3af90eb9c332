from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from pxeapp import config
from pxeapp.accounts import scope
from pxeapp.answers import roles
from pxeapp.answers.models import Role
from pxeapp.appliance import observing
from pxeapp.audit import AuditRow
from pxeapp.clouds.models import Cloud
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.machines import (
    projects,  # noqa: F401 - holds every session to the limit
    selectors,
)
from pxeapp.machines.models import Cluster, Machine
from pxeapp.nodes.errors import HostKeyUnknown
from pxeapp.nodes.models import Node
from pxeapp.provisioning.models import DeploymentRecord
from pxeapp.provisioning.plan import Tools
from pxeapp.rollouts import budget, choosing, service, standing, wire
from pxeapp.rollouts.models import Rollout, RolloutEvent, RolloutMember, RolloutStep
from pxeapp.rollouts.plan import Plan
from pxeapp.rollouts.spec import Spec
from pxeapp.software.models import Release
from pxeapp.templates import Templates
from pxeapp.vault import open_vault

T0 = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
ACTOR = "user:ada"


class Site:
    """An appliance with a few machines."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        settings = config.load({"PXEAPP_DATA_DIR": str(folder / "data")})
        self.tools = Tools(settings, open_vault(folder), Templates(settings.templates_dir))

    def add(self, role: str | None, number: int, **more: Any) -> list[str]:
        names = []
        values = {"cluster": "prod", "state": "active", "power": "on", **more}
        with self.database.write() as session:
            before = session.scalar(select(func.count(Machine.id))) or 0
            for place in range(before + 1, before + number + 1):
                names.append(f"{role or 'bare'}{place}")
                mac = f"52:54:00:00:{place >> 8:02x}:{place & 255:02x}"
                session.add(Machine(name=names[-1], mac=mac, role=role, created_at=T0, updated_at=T0, **values))
        return names

    def set(self, name: str, **values: Any) -> None:
        with self.database.write() as session:
            row = selectors.get(session, name)
            for field, value in values.items():
                setattr(row, field, value)

    def preview(self, said: Spec) -> service.Preview:
        with self.database.read() as session:
            return service.preview(session, said, tools=self.tools, now=T0)

    def create(self, said: Spec, state: str = "planned") -> int:
        with self.database.write() as session:
            row = service.create(session, said, tools=self.tools, actor=ACTOR, now=T0)
            row.state = state
            return row.id

    def refused(self, said: Spec) -> list[str]:
        with pytest.raises(Invalid) as caught:
            self.preview(said)
        with pytest.raises(Invalid) as again:
            self.create(said)
        assert caught.value.as_list() == again.value.as_list()
        with self.database.read() as session:
            assert session.scalar(select(func.count(RolloutMember.id))) in (0, self.kept)
        return [f"{each.field}: {each.problem}" for each in caught.value.problems]

    kept = 0


def spec(**said: Any) -> Spec:
    return Spec.model_validate({"name": "x", "machines": {"cluster": "prod"}, "action": {"reboot": {}}, **said})


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    with database.write() as session:
        session.add(Cluster(name="prod", created_at=T0, updated_at=T0))
        roles.ensure_builtin(session, now=T0)
    return Site(database, tmp_path)


@pytest.fixture
def limited() -> Iterator[None]:
    """Whoever asks works in one project only."""
    scope.limit(frozenset({"mine"}))
    yield
    scope.limit(None)


# --- Which machines ---------------------------------------------------------------------------------------------------


def test_machines_are_found_by_fields_in_the_order_in_which_people_count(site: Site) -> None:
    names = site.add("web", 11)
    site.add("gpu", 1)
    found = site.preview(spec(machines={"cluster": "prod", "role": "web"}, order={"canary": 0}))
    assert [each.name for each in found.machines.values()] == names


def test_machines_by_name_keep_their_order_and_both_means_those_of_both(site: Site) -> None:
    one, two, three = site.add("web", 3)
    found = site.preview(spec(machines={"names": [three, one, "52:54:00:00:00:02", three]}, order={"canary": 0}))
    assert [each.name for each in found.machines.values()] == [three, one, two]
    site.set(one, labels={"row": "b"})
    found = site.preview(spec(machines={"names": [three, one], "label": "row=b"}))
    assert [each.name for each in found.machines.values()] == [one]


def test_names_that_do_not_exist_are_all_told(site: Site) -> None:
    (one,) = site.add("web", 1)
    assert site.refused(spec(machines={"names": [one, "w7", "w8\0"]})) == [
        "machines.names: There is no machine 'w7'.",
        "machines.names: There is no machine 'w8\\x00'.",
    ]


def test_nothing_that_is_found_and_a_query_that_means_nothing_are_refused(site: Site) -> None:
    site.add("web", 1)
    assert site.refused(spec(machines={"role": "gpu"})) == ["machines: No machine is meant."]
    (problem,) = site.refused(spec(machines={"q": "colour=red"}))
    assert problem.startswith("machines.q: colour is not known.")


def test_machines_that_are_not_in_service_are_told_by_reason_with_what_leaves_them_out(site: Site) -> None:
    one, two, three, four, _ = site.add("web", 5)
    site.set(one, state="available")
    site.set(two, state="deploy failed")
    site.set(three, maintenance=True, maintenance_reason="new fan")
    site.set(four, locked=True)
    assert site.refused(spec(order={"canary": [one]})) == [
        (
            "machines: Only active machines can be rolled over, and these are not: "
            f"{one} (available), {two} (deploy failed)."
        ),
        f"machines: These are in maintenance: {three} (new fan).",
        f"machines: These are locked, on purpose: {four}.",
    ]
    found = site.preview(spec(machines={"cluster": "prod", "q": "state=active maintenance=no locked=no"}))
    assert len(found.machines) == 1


def test_two_rollouts_share_no_machine(site: Site) -> None:
    one, two, three = site.add("web", 3)
    number = site.create(spec(name="first", machines={"names": [one, two]}), "paused")
    site.kept = 2
    assert site.refused(spec(machines={"names": [two, three]})) == [
        f"machines: Rollout {number} (first) is paused and has {two}."
    ]
    with site.database.write() as session:
        service.get(session, number).state = "done"
    other = site.create(spec(machines={"names": [two, three]}))
    with site.database.write() as session:
        service.get(session, number).state = "running"
        numbers = session.scalars(select(RolloutMember.machine_id).where(RolloutMember.rollout_id == other)).all()
        (problem,) = choosing.shared(session, numbers, besides=other)
        assert problem.problem == f"Rollout {number} (first) is running and has {two}."
        assert choosing.shared(session, numbers, besides=number) == []


# --- What it leads to -------------------------------------------------------------------------------------------------


def test_a_cloud_that_nobody_knows_is_refused(site: Site) -> None:
    site.add("web", 2)
    said: dict[str, Any] = {
        "drain": {"openstack": {"cloud": "prod"}}, "verify": {"gates": [{"openstack": {"cloud": "lab"}}]},
    }  # fmt: skip
    assert site.refused(spec(**said)) == [
        "drain.openstack.cloud: There is no cloud 'prod'.",
        "verify.gates.0.openstack.cloud: There is no cloud 'lab'.",
    ]
    assert site.refused(spec(verify={"gates": [{"openstack": {}}]})) == [
        "verify.gates.0.openstack.cloud: No cloud is named, and the drain has none either."
    ]
    secret = site.tools.vault.encrypt("s3cret")
    with site.database.write() as session:
        for name in ("prod", "lab"):
            session.add(Cloud(name=name, auth_url="http://x", secret_encrypted=secret, created_at=T0, updated_at=T0))
    assert site.preview(spec(**said)).plan.max_unavailable == 1


def add_release(site: Site, name: str, family: str, version: str, *, ready: bool = True) -> None:
    installer = "preseed" if family == "debian" else "kickstart"
    with site.database.write() as session:
        session.add(
            Release(
                name=name, family=family, version=version, installer=installer, ready=ready, created_at=T0,
                updated_at=T0,
            )
        )  # fmt: skip


def test_a_release_that_cannot_be_installed_is_refused(site: Site) -> None:
    site.add("web", 2, release="debian-13")
    add_release(site, "debian-12", "debian", "12", ready=False)
    assert site.refused(spec(action={"reinstall": {"release": "debian-99"}})) == [
        "action.reinstall.release: There is no release 'debian-99'."
    ]
    (problem,) = site.refused(spec(action={"reinstall": {"release": "debian-12"}}))
    assert problem.startswith("action.reinstall.release: Release debian-12 is not ready")
    assert site.refused(spec(action={"reinstall": {}})) == [
        "action.reinstall.release: There is no release 'debian-13'."
    ]
    (problem,) = site.refused(spec(action={"reinstall": {"role": "nobody"}}))
    assert problem.startswith("action.reinstall.role: ")
    site.add(None, 1)
    problems = site.refused(spec(action={"reinstall": {}}))
    assert "action.reinstall.release: These have no release: bare3." in problems


def test_a_role_that_the_release_has_no_packages_for_is_refused(site: Site) -> None:
    site.add("block", 3)
    add_release(site, "centos-7", "centos", "7")
    add_release(site, "debian-13", "debian", "13")
    (problem,) = site.refused(spec(action={"reinstall": {"release": "centos-7"}}))
    assert problem.startswith("action.reinstall.release: centos-7 cannot carry the role block")
    assert site.preview(spec(action={"reinstall": {"release": "debian-13"}})).plan.max_unavailable == 1


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_it_is_kept_as_it_was_planned_with_every_machine_in_its_place(site: Site) -> None:
    names = site.add("web", 5, release="debian-13")
    order = {"canary": 1, "waves": {"by": "count", "size": 2}, "windows": [{"from": "22:00", "to": "04:00"}]}
    said = spec(order=order, drain={"none": {}})
    number = site.create(said)
    for name in names:
        site.set(name, role="gpu", cluster=None)
    with site.database.read() as session:
        row = service.get(session, number)
        assert (row.state, row.wave, row.started_at) == ("planned", 0, None)
        assert Spec.model_validate(row.spec) == said
        assert [each.number for each in Plan.from_dict(row.plan).waves] == [0, 1, 2]
        found = service.members(session, row, 0, 10)
        assert [(each.machine, each.wave, each.position, each.role, each.release, each.cluster) for each in found] == [
            (name, wave, position, "web", "debian-13", "prod")
            for name, wave, position in zip(names, (0, 1, 1, 2, 2), (0, 0, 1, 0, 1), strict=True)
        ]
        assert {each.state for each in found} == {"waiting"}
        (event,) = service.events(session, row, 0, 10)
        assert event.message.startswith("Planned by user:ada: 5 machines in 3 waves. About ")
        audited = session.scalars(select(AuditRow).where(AuditRow.action == "rollout.create")).one()
        assert (audited.actor, audited.subject) == (ACTOR, f"rollout {number}")


def test_waves_by_rack_are_read_back_as_they_were_said(site: Site) -> None:
    site.add("web", 3, location={"rack": "r1"})
    said = spec(order={"waves": {"by": "rack"}})
    number = site.create(said)
    with site.database.read() as session:
        assert Spec.model_validate(service.get(session, number).spec) == said


def test_lists_are_paged_and_narrowed(site: Site) -> None:
    names = site.add("web", 4)
    first = site.create(spec(machines={"names": names[:2]}))
    second = site.create(spec(machines={"names": names[2:]}), "running")
    with site.database.read() as session:
        assert [row.id for row in service.listing(session, 0, 10)] == [first, second]
        assert [row.id for row in service.listing(session, first, 10)] == [second]
        assert [row.id for row in service.listing(session, 0, 10, "running")] == [second]
        row = service.get(session, first)
        one, two = service.members(session, row, 0, 10)
        assert service.members(session, row, one.id, 10) == [two]
        assert service.members(session, row, 0, 10, wave=1) == [two]
        assert service.members(session, row, 0, 10, state="done") == []
        assert service.member(session, row, names[1]) == two
        assert service.member(session, row, str(two.machine_id)) == two
        for key in (names[3], "nobody", "a\0b"):
            with pytest.raises(NotFound):
                service.member(session, row, key)
        for number in (0, 99, 2**40):
            with pytest.raises(NotFound):
                service.get(session, number)


def test_an_appliance_that_only_observes_makes_none(site: Site) -> None:
    site.add("web", 1)
    with site.database.write() as session:
        observing.begin(session, reason="restored", actor=ACTOR, now=T0)
    with pytest.raises(Conflict):
        site.create(spec())


def test_what_the_api_shows(site: Site) -> None:
    names = site.add("controller", 3)
    shown = wire.preview(site.preview(spec(order={"canary": [names[2]]})))
    assert shown["total"] == 3
    assert [(each["title"], each["names"]) for each in shown["plan"]["waves"]] == [
        ("the canary", [names[2]]), ("wave 1", [names[0]]), ("wave 2", [names[1]]),
    ]  # fmt: skip
    assert shown["plan"]["groups"] == [
        {
            "invariant": "controllers", "name": "controllers of prod", "allowed": 1, "total": 3, "machines": 3,
            "says": "prod has 3 controllers, 2 are its quorum, so 1 may be down",
        }
    ]  # fmt: skip
    assert shown["forecast"]["guessed"] is True
    number = site.create(spec())
    with site.database.read() as session:
        row = service.get(session, number)
        assert "plan" not in wire.rollout(row, {"waiting": 3})
        whole = wire.rollout(row, {"waiting": 3}, plan=True)
        assert (whole["total"], whole["plan"]["max_unavailable"]) == (3, 1)
        assert "names" not in whole["plan"]["waves"][0]
        assert wire.member(service.members(session, row, 0, 1)[0])["machine"] == names[0]
        assert wire.event(service.events(session, row, 0, 1)[0])["kind"] == "planned"


# --- How it stands ----------------------------------------------------------------------------------------------------


def test_who_serves_and_why_not(site: Site) -> None:
    one, two, three, four, five, six, seven = site.add("web", 7)
    site.set(two, power="off")
    site.set(three, state="service failed")
    site.set(four, maintenance=True, maintenance_reason="new fan")
    site.set(five, state="available")  # not meant to serve
    site.set(six, state="deploying")  # for the first time
    site.set(seven, state="deploy failed")
    with site.database.write() as session:
        session.add(record(selectors.get(session, seven).id, "web", 60))
    with site.database.read() as session:
        found = {each.name: each.why_down for each in standing.everyone(session)}
    assert found == {
        one: "", two: "its power is off", three: "it is service failed", four: "in maintenance: new fan",
        seven: "it is deploy failed",
    }  # fmt: skip


def record(machine: int, role: str, seconds: float, release: str = "debian-13") -> DeploymentRecord:
    return DeploymentRecord(
        deployment_id=1, machine_id=machine, machine="x", release=release, role=role, requested_at=T0, finished_at=T0,
        outcome="succeeded", reason_code="", took_ms=round(seconds * 1000),
    )  # fmt: skip


def test_the_zone_is_the_machines_or_its_clusters_or_its_roles(site: Site) -> None:
    one, two = site.add("compute", 2)
    (three,) = site.add("compute", 1, cluster=None)
    (four,) = site.add("web", 1, cluster=None)
    site.set(one, vars={"availability_zone": "east"})
    with site.database.write() as session:
        session.scalars(select(Cluster)).one().vars = {"availability_zone": "west"}
        session.scalars(select(Role).where(Role.name == "compute")).one().vars = {"availability_zone": "south"}
    with site.database.read() as session:
        found = {each.name: each.zone for each in standing.everyone(session)}
    assert found == {one: "east", two: "west", three: "south", four: "nova"}


def test_what_any_rollout_works_on_is_down_until_it_serves_again(site: Site) -> None:
    names = site.add("controller", 3)
    number = site.create(spec(machines={"names": names[:2]}, order={"canary": 0}))
    with site.database.write() as session:
        row = service.get(session, number)
        first = service.member(session, row, names[0])
        first.state, first.step = "running", "patch"
    with site.database.write() as session:
        row = service.get(session, number)
        found = standing.read(session, row, Plan.from_dict(row.plan), wave=2)
        assert list(found.down.values()) == [f"{names[0]} (patch in rollout {number})"]
        assert list(found.waiting.values()) == [names[1]]
        decision = budget.next_ones(Plan.from_dict(row.plan), found, now=T0)
        assert (decision.begin, decision.code) == ((), "unavailable")
        service.member(session, row, names[0]).step = "soak"
        session.flush()
        found = standing.read(session, row, Plan.from_dict(row.plan), wave=2)
        assert found.down == {}
    with site.database.read() as session:
        assert not any(each.down for each in standing.everyone(session))


def test_a_machine_that_is_not_there_any_more_is_down_and_one_that_was_skipped_is_excused(site: Site) -> None:
    names = site.add("controller", 3)
    number = site.create(spec(order={"canary": 0}))
    with site.database.write() as session:
        gone = selectors.get(session, names[2])
        machine_id = gone.id
        session.delete(gone)
        row = service.get(session, number)
        service.member(session, row, names[0]).state = "skipped"
        session.flush()
        found = standing.read(session, row, Plan.from_dict(row.plan), wave=3)
    assert found.down == {machine_id: f"machine {machine_id} (it is not there any more)"}
    assert found.excused == {1}


@pytest.mark.usefixtures("limited")
def test_who_sees_some_machines_is_told_of_quorums_of_all_and_of_nobodys_name(site: Site) -> None:
    scope.limit(None)
    mine = site.add("controller", 2, project="mine")
    (other,) = site.add("controller", 1, project="theirs", maintenance=True, maintenance_reason="secret")
    scope.limit(frozenset({"mine"}))
    with pytest.raises(Invalid) as caught:
        site.preview(spec())
    (problem,) = caught.value.problems
    assert problem.problem.startswith(
        "prod has 3 controllers, 2 are its quorum, so 1 may be down; down already: a machine"
    )
    assert other not in problem.problem
    assert "secret" not in problem.problem
    with pytest.raises(Invalid):
        site.preview(spec(machines={"names": [mine[0], other]}))


@pytest.mark.usefixtures("limited")
def test_who_sees_some_machines_sees_only_rollouts_of_theirs_and_shares_none(site: Site) -> None:
    scope.limit(None)
    mine = site.add("web", 2, project="mine")
    theirs = site.add("web", 1, project="theirs")
    number = site.create(spec(name="both", machines={"names": [mine[0], *theirs]}), "running")
    own = site.create(spec(machines={"names": [mine[1]]}))
    scope.limit(frozenset({"mine"}))
    with site.database.read() as session:
        assert [row.id for row in service.listing(session, 0, 10)] == [own]
        assert session.scalars(select(RolloutEvent.rollout_id)).all() == [own]
        assert session.scalars(select(Rollout.id)).all() == [own]
    with pytest.raises(Invalid) as caught:
        site.preview(spec())
    assert [each.problem for each in caught.value.problems] == [
        f"Rollout {number} (both) is running and has {mine[0]}."
    ]


# --- How long it takes ------------------------------------------------------------------------------------------------


def worked(site: Site, number: int, seconds: dict[str, float]) -> None:
    """Every machine of this rollout took so long."""
    with site.database.write() as session:
        for member in service.members(session, service.get(session, number), 0, 100):
            member.state = "done"
            at = T0 - dt.timedelta(days=1)
            for step, length in seconds.items():
                ended = at + dt.timedelta(seconds=length)
                session.add(
                    RolloutStep(
                        member_id=member.id, step=step, tries=1, started_at=at, finished_at=ended, outcome="done"
                    )
                )
                at = ended


def test_the_forecast_is_from_what_this_site_has_measured(site: Site) -> None:
    names = site.add("web", 6)
    said = spec(machines={"names": names}, order={"soak": 0})
    number = site.create(said, "done")
    worked(site, number, {"drain": 2, "reboot": 100, "verify": 60, "undrain": 2})
    found = site.preview(said).forecast
    assert not found.guessed
    assert found.total.median == 6 * 164
    with site.database.write() as session:
        service.get(session, number).spec = {"name": "x", "of": "an earlier version"}
    assert site.preview(said).forecast.guessed
    with site.database.write() as session:
        service.get(session, number).spec = said.model_dump(mode="json", by_alias=True, exclude_unset=True)
    patched = site.preview(spec(machines={"names": names}, action={"patch": {}}, order={"soak": 0})).forecast
    assert [each.step for each in patched.bases if each.guessed] == ["patch", "reboot"]


def test_a_reinstallation_is_foreseen_from_every_deployment_of_its_role(site: Site) -> None:
    names = site.add("web", 2, release="debian-13")
    add_release(site, "debian-13", "debian", "13")
    with site.database.write() as session:
        session.add_all([record(1, "web", 900) for _ in range(5)] + [record(1, "gpu", 9000) for _ in range(50)])
        session.add_all([record(1, "web", 7, "rocky-9") for _ in range(50)])
    said = spec(machines={"names": names}, action={"reinstall": {"release": "debian-13"}})
    (basis,) = [each for each in site.preview(said).forecast.bases if each.step == "reinstall"]
    assert (basis.guessed, basis.spread.median, basis.measured) == (False, 900, 5)


def test_the_forecast_of_a_running_rollout_is_of_what_is_left(site: Site) -> None:
    names = site.add("web", 8)
    order = {"soak": 0, "canary": 0, "waves": {"by": "count", "size": 4}}
    steps = {"drain": 2.0, "reboot": 100.0, "verify": 60.0, "undrain": 2.0}
    worked(site, site.create(spec(machines={"names": names}, order=order), "done"), steps)
    number = site.create(spec(machines={"names": names}, order=order), "running")
    with site.database.write() as session:
        row = service.get(session, number)
        assert service.forecast(session, row, now=T0).total.median == 8 * 164
        for name in names[:4]:
            service.member(session, row, name).state = "done"
        fifth = service.member(session, row, names[4])
        fifth.state, fifth.step = "running", "verify"
        session.add(RolloutStep(member_id=fifth.id, step="verify", tries=1, started_at=T0 - dt.timedelta(seconds=50)))
        session.flush()
        found = service.forecast(session, row, now=T0)
    assert [(each.number, each.left) for each in found.waves] == [(2, 4)]
    assert found.total.median == 12 + 3 * 164


def test_a_deadline_that_cannot_be_kept_and_a_window_that_is_too_short_are_refused(site: Site) -> None:
    names = site.add("web", 6)
    order: dict[str, Any] = {"soak": 0}
    worked(site, site.create(spec(order=order), "done"), {"drain": 2, "reboot": 1800, "verify": 60, "undrain": 2})
    site.kept = 6
    assert site.refused(spec(order={**order, "deadline": "3h"})) == [
        "order.deadline: It allows 3h, and by what this site has measured this takes at least 3h6m."
    ]
    assert site.preview(spec(order={**order, "deadline": "4h"})).plan.max_unavailable == 1
    assert site.refused(spec(order={**order, "windows": [{"from": "22:00", "to": "22:30"}]})) == [
        "order.windows: The longest is open for 30m; by the forecast one machine takes 31m."
    ]
    nights = {**order, "windows": [{"from": "22:00", "to": "23:00"}]}  # one machine each
    assert site.refused(spec(order={**nights, "deadline": "4d"})) == [
        "order.deadline: It allows 4d, and by what this site has measured this takes at least 5d31m."
    ]
    assert site.preview(spec(order={**nights, "deadline": "6d"})).plan.max_unavailable == 1
    guess = spec(machines={"names": names[:1]}, action={"run": {"command": "true"}}, order={"deadline": "10s"})
    (problem,) = site.refused(guess)
    assert problem.startswith("order.deadline: It allows 10s, and by a guess this takes at least ")


# --- On either database -----------------------------------------------------------------------------------------------


def test_a_rollout_is_planned_and_stands_the_same_on_either_database(any_database: Database, tmp_path: Path) -> None:
    site = Site(any_database, tmp_path)
    with any_database.write() as session:
        session.add(Cluster(name="prod", vars={"availability_zone": "west"}, created_at=T0, updated_at=T0))
        roles.ensure_builtin(session, now=T0)
    names = site.add("compute", 3)
    site.set(names[0], vars={"availability_zone": "east"})
    number = site.create(
        spec(
            order={"soak": 0, "canary": 0, "max_unavailable": 2, "waves": {"by": "count", "size": 3}},
            on_conflict="hold",
        ),
        "running",
    )
    worked(site, number, {"drain": 2, "reboot": 100, "verify": 60, "undrain": 2})
    with any_database.write() as session:
        row = service.get(session, number, lock=True)
        for member in service.members(session, row, 0, 10):
            member.state = "waiting"
        session.flush()
        plan = Plan.from_dict(row.plan)
        assert [each.name for each in plan.groups] == [
            "compute nodes of zone east of prod", "compute nodes of zone west of prod",
        ]  # fmt: skip
        decision = budget.next_ones(plan, standing.read(session, row, plan, wave=1), now=T0)
        assert (len(decision.begin), decision.code) == (2, "unavailable")
        found = service.forecast(session, row, now=T0)
        assert [each.measured for each in found.bases] == [3, 3, 3, 3]
        assert found.waves[0].left == 3
    scope.limit(frozenset({"mine"}))
    try:
        with any_database.read() as session:
            assert [each.name for each in standing.everyone(session)] == [standing.ANOTHERS] * 3
            assert service.listing(session, 0, 10) == []
    finally:
        scope.limit(None)


def test_the_machine_with_the_rings_is_known_and_is_not_installed_anew(site: Site) -> None:
    names = site.add("object", 2)
    drained = {"machines": {"names": names}, "drain": {"swift": {"rings": names[0]}}}
    nobody = {**drained, "drain": {"swift": {"rings": "nobody"}}}
    assert [each for each in site.refused(spec(**nobody)) if each.startswith("drain.")] == [
        "drain.swift.rings: There is no machine 'nobody'."
    ]
    assert [each for each in site.refused(spec(**drained)) if each.startswith("drain.")] == [
        f"drain.swift.rings: {HostKeyUnknown(names[0]).sentence}"
    ]
    with site.database.write() as session:
        number = selectors.get(session, names[0]).id
        session.add(Node(machine_id=number, host_keys=["ssh-ed25519 AAAA"], keys_from="first_boot", keys_at=T0))
    again = site.refused(spec(**drained, action={"reinstall": {}}))
    assert (
        f"drain.swift.rings: {names[0]} is one of those that are installed anew: the only builder files would be lost."
        in again
    )
