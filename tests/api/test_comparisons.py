"""A comparison of more machines than a request has time for: a job, watched, stopped, and kept for whoever asked."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, update

from pxeapp.cli import main
from pxeapp.db import now
from pxeapp.jobs import service as jobs
from pxeapp.jobs.models import Job, JobContent
from pxeapp.provisioning import comparing
from tests.api.conftest import Api, Asker, token_of, user

SAID = {"vars": {"timezone": "Europe/Rome"}, "limit": 1}


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch, admin: Asker, machine: dict[str, Any]) -> Any:
    """node1 to node3, which are more than a request compares."""
    for number in (2, 3):
        said = {
            "name": f"node{number}", "mac": f"52:54:00:00:00:{number:02x}", "release": "debian-13", "role": "compute",
            "disks": machine["disks"], "project": "web",
        }  # fmt: skip
        assert admin.post("/machines", json=said).status_code == HTTPStatus.CREATED
    wanted = admin.post("/diff", json=SAID)
    assert wanted.status_code == HTTPStatus.OK
    monkeypatch.setattr(comparing, "AT_ONCE", 2)
    monkeypatch.setattr(comparing, "TELL_S", 0.0)
    return wanted.json


def comparer(api: Api, owner: str = "here") -> comparing.Comparer:
    own = api.context
    return comparing.Comparer(comparing.Hands(own.database, own.vault, own.checker), owner)


def ordered(asker: Asker, said: dict[str, Any] = SAID) -> dict[str, Any]:
    reply = asker.post("/diff", json=said)
    assert reply.status_code == HTTPStatus.ACCEPTED, reply.text
    assert reply.headers["Location"] == f"/api/v1/jobs/{reply.json['id']}"
    return dict(reply.json)


def test_it_is_a_job_whose_result_is_what_a_request_would_have_got(api: Api, admin: Asker, many: Any) -> None:
    job = ordered(api.of("operator"))
    assert (job["action"], job["state"], job["total"], job["waiting"], job["result"]) == ("diff", "running", 3, 3, None)
    early = admin.get(f"/jobs/{job['id']}/comparison")
    assert early.status_code == HTTPStatus.CONFLICT
    assert "0 of 3" in early.json["detail"]
    assert comparer(api).look()
    done = api.of("operator").get(f"/jobs/{job['id']}").json
    assert (done["state"], done["done"], done["waiting"], done["problem"]) == ("finished", 3, 0, "")
    assert api.of("operator").ask("GET", done["result"]).json == many
    assert not comparer(api).look()
    assert [row["action"] for row in admin.get("/audit?subject=job%201").json["items"]] == [
        "machines.diff",
        "job.finish",
    ]


def test_what_it_found_is_for_whoever_asked_and_for_admins(api: Api, admin: Asker, many: Any) -> None:
    with api.write() as session:
        ada = api.with_token(token_of(session, user(session, "ada", "operator"), "operator"))
    job = ordered(ada)
    comparer(api).look()
    path = f"/jobs/{job['id']}/comparison"
    assert ada.get(path).json == admin.get(path).json == many
    assert api.of("operator").get(path).status_code == HTTPStatus.FORBIDDEN
    assert api.of("viewer").get(path).status_code == HTTPStatus.FORBIDDEN


def test_neither_what_was_thought_of_nor_what_was_found_can_be_read_in_the_database(
    api: Api, admin: Asker, many: Any
) -> None:
    said = {"templates": {"preseeds/base.cfg": "# a-word-of-ours\n"}}
    ordered(admin, said)

    def kept() -> tuple[bytes, bytes]:
        with api.read() as session:
            return tuple(each or b"" for each in session.execute(select(JobContent.wanted, JobContent.found)).one())

    wanted, found = kept()
    assert wanted
    assert b"a-word-of-ours" not in wanted
    comparer(api).look()
    wanted, found = kept()
    assert (wanted, bool(found)) == (b"", True)
    assert b"a-word-of-ours" not in found
    assert "a-word-of-ours" in admin.get("/jobs/1/comparison").text


def test_what_could_not_be_saved_is_refused_before_anybody_waits(api: Api, admin: Asker, many: Any) -> None:
    for said, field in (
        ({}, ""),
        ({"to_role": "king"}, "to_role"),
        ({"vars": {"timezoone": "x"}}, "vars.timezoone"),
        ({"to_role": "base", "select": {"names": ["node1", "node2", "nobody"]}}, "select.names"),
    ):
        reply = admin.post("/diff", json=said)
        assert reply.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, said
        assert [each["field"] for each in reply.json["errors"]] == [field]
    assert admin.get("/jobs").json["items"] == []


def test_what_does_not_fit_any_more_when_its_turn_comes_is_said_by_the_job(api: Api, admin: Asker, many: Any) -> None:
    job = ordered(admin, {"to_role": "base", "select": {"names": ["node1", "node2", "node3"]}})
    assert admin.delete("/machines/node2").status_code == HTTPStatus.NO_CONTENT
    comparer(api).look()
    done = admin.get(f"/jobs/{job['id']}").json
    assert (done["state"], done["refused"], done["result"]) == ("finished", 3, None)
    assert "There is no machine 'node2'." in done["problem"]
    reply = admin.get(f"/jobs/{job['id']}/comparison")
    assert reply.status_code == HTTPStatus.CONFLICT
    assert "node2" in reply.json["detail"]


def test_one_that_is_cancelled_on_its_way_stops(api: Api, admin: Asker, many: Any) -> None:
    job = ordered(admin)
    one = comparer(api)
    taken = jobs.take(api.context.database, Job.action == "diff", owner="here", lease=comparing.LEASE, now=now())
    assert taken == job["id"]
    with api.read() as session:
        wanted = session.scalar(select(JobContent.wanted))
    cancelled = admin.post(f"/jobs/{taken}/cancel").json
    assert (cancelled["state"], cancelled["cancelled"], cancelled["skipped"]) == ("finished", True, 3)
    with api.write() as session:  # as it was read before somebody cancelled it
        session.execute(update(JobContent).values(wanted=wanted))
    with pytest.raises(comparing._Stopped):
        one._compare(taken, threading.Event())
    assert "cancelled" in admin.get(f"/jobs/{taken}/comparison").json["detail"]


def test_a_worker_that_ends_gives_it_back_and_the_next_one_begins_anew(api: Api, admin: Asker, many: Any) -> None:
    job = ordered(admin)
    stop = threading.Event()
    stop.set()
    assert comparer(api, "ends").look(stop)
    assert comparer(api, "next").look()
    assert admin.get(f"/jobs/{job['id']}/comparison").json == many


def test_one_that_ends_its_worker_each_time_is_given_up(api: Api, admin: Asker, many: Any) -> None:
    job = ordered(admin)
    with api.write() as session:
        session.execute(update(JobContent).values(begun=comparing.BEGUN))
    comparer(api).look()
    assert "never ended" in admin.get(f"/jobs/{job['id']}").json["problem"]


def test_nobody_has_more_than_a_few_waiting(api: Api, admin: Asker, many: Any) -> None:
    for _ in range(comparing.WAITING):
        ordered(admin)
    reply = admin.post("/diff", json=SAID)
    assert reply.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert reply.headers["Retry-After"]
    ordered(api.of("operator"))


def test_who_is_limited_to_projects_compares_theirs_whoever_does_the_work(
    api: Api, admin: Asker, many: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "AT_ONCE", 1)
    secret = admin.post("/tokens", json={"name": "web", "role": "operator", "projects": ["web"]}).json["token"]
    limited = api.with_token(secret)
    job = ordered(limited)
    assert job["total"] == 2
    comparer(api).look()
    found = limited.get(f"/jobs/{job['id']}/comparison").json
    assert (found["looked_at"], found["groups"][0]["machines"]) == (2, ["node2"])
    others = ordered(admin)["id"]
    assert limited.get(f"/jobs/{others}").status_code == HTTPStatus.NOT_FOUND


def test_a_job_of_another_kind_compares_nothing(api: Api, admin: Asker, many: Any) -> None:
    number = admin.post("/machines/bulk", json={"action": "lock", "on": True, "machines": ["node1"]}).json["id"]
    assert admin.get(f"/jobs/{number}/comparison").status_code == HTTPStatus.NOT_FOUND
    assert not comparer(api).look()  # it is not theirs to do


def test_it_is_forgotten_with_its_job(api: Api, admin: Asker, many: Any) -> None:
    ordered(admin)
    comparer(api).look()
    with api.write() as session:
        session.execute(update(Job).values(finished_at=now() - jobs.KEPT * 2))
    with api.write() as session:
        jobs.forget_old(session, now=now())
    with api.read() as session:
        assert session.scalar(select(func.count()).select_from(JobContent)) == 0


def test_the_command_waits_for_it_and_does_the_work_itself_where_no_worker_runs(api: Api, many: Any) -> None:
    settings = api.context.settings
    environment = {"PXEAPP_DATA_DIR": str(settings.data_dir), "PXEAPP_NODE_URL": settings.node_url}
    arguments = ["diff", "--var", "timezone=Europe/Rome", "--limit", "1", "--json"]
    done = CliRunner().invoke(main, arguments, env=environment)
    assert done.exit_code == 1, done.output
    assert json.loads(done.stdout) == many


def test_what_is_kept_is_bounded_and_says_what_it_leaves_out() -> None:
    group = {"count": 2, "machines": ["a"], "more": 1, "files": [{"kind": "preseed", "diff": "x" * 1000}], "faults": []}
    shown = {"groups": [group] * (comparing.MOST_GROUPS + 3), "failures": [], "notes": ["one"]}
    found = comparing.bounded(shown)
    assert len(found["groups"]) == comparing.MOST_GROUPS
    assert found["notes"] == ["one", "3 more groups, of 6 machines, are not shown: narrow the selection."]
    long = {**group, "files": [{"kind": "preseed", "diff": "x" * (comparing.MOST_TEXT + 1)}]}
    assert len(comparing.bounded({**shown, "groups": [long, group]})["groups"]) == 1
