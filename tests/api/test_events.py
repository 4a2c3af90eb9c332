"""`/events`: who is told what, and that a stream ends with the right to it."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from pxeapp.accounts import service
from pxeapp.accounts.permissions import OPERATOR, VIEWER
from pxeapp.api.events import Feed, Listener
from pxeapp.api.guard import Credential
from pxeapp.db import now
from pxeapp.streams import Stream
from tests.api.conftest import Api, Asker

PASSWORD = "correct horse battery"


@pytest.fixture
def eve(api: Api) -> Listener:
    """A program of an operator of the project web, that listens from the beginning."""
    with api.write() as session:
        owner = service.create_user(
            session, name="eve", role=OPERATOR, password=PASSWORD, projects=["web"], actor="test", now=now()
        )
        _, secret = service.create_token(session, name="t", role=OPERATOR, user=owner, actor="test", now=now())
    return Listener(Stream(owner="eve"), Credential(token=secret), (), False, frozenset({"web"}), 0)


@pytest.fixture
def feed(api: Api) -> Feed:
    return Feed(api.context.database)


def add(admin: Asker, name: str, place: int, project: str) -> None:
    body = {"name": name, "mac": f"52:54:00:00:00:0{place}", "project": project}
    assert admin.post("/machines", json=body).status_code == HTTPStatus.CREATED


def test_who_is_limited_to_projects_hears_of_their_machines(admin: Asker, eve: Listener, feed: Feed) -> None:
    add(admin, "mine1", 1, "web")
    add(admin, "theirs1", 2, "db")
    feed.look([eve], check=False)
    heard = eve.stream.take()
    assert b"mine1" in heard
    assert b"theirs1" not in heard


@pytest.mark.parametrize("change", [{"projects": ["db"]}, {"projects": ["web", "db"]}, {"disabled": True}])
def test_a_stream_ends_before_another_word_when_what_its_account_may_know_changes(
    api: Api, admin: Asker, eve: Listener, feed: Feed, change: dict[str, object]
) -> None:
    feed.look([eve], check=True)
    assert b"bye" not in eve.stream.take()
    with api.write() as session:
        service.change_user(session, "eve", actor="test", now=now(), **change)  # type: ignore[arg-type]
    add(admin, "mine1", 1, "web")
    feed.look([eve], check=False)
    assert eve.stream.closed
    assert eve.stream.take() == b"event: bye\ndata: {}\n\n"


def test_a_stream_goes_on_when_the_account_changes_in_another_way(
    api: Api, admin: Asker, eve: Listener, feed: Feed
) -> None:
    with api.write() as session:
        service.change_user(session, "eve", role=VIEWER, actor="test", now=now())
    add(admin, "mine1", 1, "web")
    feed.look([eve], check=True)
    assert not eve.stream.closed
    assert b"mine1" in eve.stream.take()
