"""The page of the software worker: how far each task is, stopped and begun again by whoever may."""

from __future__ import annotations

import re
from http import HTTPStatus

from sqlalchemy import update

from pxeapp.accounts import service as users
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.db import now
from pxeapp.software.tasks import service
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.ui.live import marks
from tests.api.conftest import PASSWORD, Api
from tests.ui.forms import person


def ordered(api: Api, subject: str = "debian", **values: object) -> int:
    with api.write() as session:
        row = service.order(session, "mirror.sync", subject, {}, actor="user:ops", now=now())
        for name, value in values.items():
            setattr(row, name, value)
        return row.id


def test_a_task_shows_how_far_it_is(api: Api) -> None:
    ordered(api, lease_owner="w", done=300 * 1024**2, total=1024**3, unit="bytes", says="Fetching nova-compute")
    ordered(api, "ubuntu", outcome="failed", finished_at=now(), problem="The mirror <b>lies</b>.")
    text = person(api).get("/software").text
    assert "Fetching nova-compute" in text
    assert "300 MiB / 1.0 GiB" in text
    assert 'max="1073741824"' in text
    assert "The mirror &lt;b&gt;lies&lt;/b&gt;." in text


def test_a_task_is_stopped_and_begun_again(api: Api) -> None:
    number = ordered(api)
    admin = person(api)
    assert admin.post(f"/software/tasks/{number}/cancel").status_code == HTTPStatus.SEE_OTHER
    again = admin.post(f"/software/tasks/{number}/cancel")
    assert (again.status_code, "has ended already" in again.text) == (HTTPStatus.CONFLICT, True)
    assert "Try again" in admin.get("/software").text
    assert admin.post(f"/software/tasks/{number}/retry").status_code == HTTPStatus.SEE_OTHER
    assert admin.post(f"/software/tasks/{number}/explode").status_code == HTTPStatus.NOT_FOUND


def test_an_operator_stops_a_task_and_only_an_admin_begins_it_again(api: Api) -> None:
    with api.write() as session:
        users.create_user(session, name="olga", password=PASSWORD, role=OPERATOR, actor="test", now=now())
    number, olga = ordered(api), person(api, "olga")
    assert olga.post(f"/software/tasks/{number}/cancel").status_code == HTTPStatus.SEE_OTHER
    assert olga.post(f"/software/tasks/{number}/retry").status_code == HTTPStatus.FORBIDDEN
    assert "Try again" not in olga.get("/software").text
    assert olga.post("/software/clean").status_code == HTTPStatus.FORBIDDEN


def test_what_is_not_needed_is_removed_at_the_press_of_a_button(api: Api) -> None:
    admin = person(api, "admin")
    assert admin.post("/software/clean").status_code == HTTPStatus.SEE_OTHER
    assert "already" in admin.post("/software/clean").text


def test_older_tasks_are_on_the_next_page(api: Api) -> None:
    for number in range(52):
        ordered(api, f"repository-{number}")
    text = person(api).get("/software").text
    following = re.search(r'href="(/software\?before=\d+)" rel="next"', text)
    assert following is not None
    assert "repository-1<" in person(api).get(following[1]).text


def test_the_page_hears_of_progress(api: Api) -> None:
    number = ordered(api)
    with api.read() as session:
        before = marks(session, {"software"})
    with api.write() as session:
        session.execute(update(SoftwareTask).where(SoftwareTask.id == number).values(done=1))
    with api.read() as session:
        assert marks(session, {"software"}) != before
