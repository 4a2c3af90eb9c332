"""Drains as a real Nova saw them, played again without it: each look asks the same, and says the same of the answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.db import Database
from pxeapp.rollouts.port import Done
from tests.clouds.fake_cloud import running
from tests.rollouts import recorded
from tests.rollouts.draining import T0, Course, course
from tests.rollouts.recorded import Live, Recording

NAMES = ("live-migrate", "stop", "no-valid-host", "disabled-by-somebody-else")


@pytest.fixture
def database(_with_tables: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copyfile(_with_tables, tmp_path / "test.db")
    found = Database(f"sqlite:///{tmp_path / 'test.db'}")
    yield found
    found.dispose()


@pytest.mark.network
def test_what_is_recorded_can_be_played(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    monkeypatch.setattr(recorded.time, "sleep", lambda _: None)
    with running() as cloud:
        for host in ("node1", "node2"):
            cloud.add_compute(host)
        for name in ("one", "two"):
            cloud.add_server(name, "node1")
        one = course(database, cloud, {"instances": "live-migrate"})
        live = Live(one, Recording({}), lambda: one.now)
        for step in ("drain", "undrain"):
            assert isinstance(live.over(step), Done)
    live.recording.save("fake")
    recording = Recording.load("fake")

    def again() -> Course:
        return replace(one, now=T0, memory={}, earlier={}, log="", says=[])

    recorded.played(again(), recording, monkeypatch)
    with pytest.raises(AssertionError, match="nobody asked"):
        recorded.played(again(), replace(recording, exchanges=recording.exchanges[:-1]), monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_and_says_what_it_did_then(name: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording.load(name)
    recorded.known(database)
    recorded.played(recorded.course(database, recording.said), recording, monkeypatch)
    outcomes = [look["outcome"] for look in recording.looks if look["outcome"] != "Waiting"]
    assert outcomes == ["Failed", "Done", "Done"] if name == "no-valid-host" else ["Done", "Done"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_holds_no_password_no_token_and_nothing_that_is_over_one_day(name: str) -> None:
    for each in Recording.load(name).exchanges:
        assert set(recorded.EXPIRES.findall(each["body"])) <= {recorded.FAR}
        assert each["headers"].get(recorded.TOKEN, "a-token") == "a-token"
        assert '"password": "a-password"' in each["said"] or '"password"' not in each["said"]
