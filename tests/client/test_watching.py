"""`--watch`: shown again when it is another, until it is over; a look that fails is no end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from pxeapp.client import Answer, Appliance, Listening, Unreachable, watching
from pxeapp.client.watching import Picture, follow
from pxeapp.jobs.commands import ACTIONS, VERBS
from pxeapp.provisioning import bulk
from pxeapp.provisioning.deployment_commands import attempt


class Silent:
    """A transport on which nothing is ever heard: time passes at once."""

    remote: ClassVar[bool] = True

    def send(self, method: str, path: str, query: Mapping[str, Any], body: bytes | None, headers: Any) -> Answer:
        raise NotImplementedError

    def stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[bytes]:
        raise NotImplementedError

    @contextlib.contextmanager
    def listening(self, events: str) -> Iterator[Listening]:
        yield self

    def wait(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AT_MOST_EVERY_S", 0.0)


def watch(*looks: Picture | Exception, **more: Any) -> Picture:
    left = list(looks)

    def look() -> Picture:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return follow(Appliance(Silent()), look, events="machine.*", **more)


def picture(text: str, **more: Any) -> Picture:
    return Picture({"is": text}, ("NAME",), [(text,)], **more)


def test_what_stays_the_same_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    last = watch(picture("one"), picture("one"), picture("two"), picture("two", over=True))
    assert last.over
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["NAME", "one", "NAME", "two"]


def test_as_json_each_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    watch(picture("one"), picture("two", over=True), as_json=True)
    assert capsys.readouterr().out == '{"is": "one"}\n{"is": "two"}\n'


def test_an_appliance_that_restarts_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    away = [Unreachable("It is away.")] * watching.PATIENCE
    assert watch(picture("one"), *away, picture("two"), *away, picture("three", over=True)).over
    assert "three" in capsys.readouterr().out


def test_one_that_stays_away_is_given_up() -> None:
    with pytest.raises(Unreachable, match="It is away"):
        watch(*[Unreachable("It is away.")] * (watching.PATIENCE + 1))


def test_who_waits_no_longer_is_told_that_it_goes_on() -> None:
    with pytest.raises(Unreachable, match="It goes on"):
        watch(picture("one"), timeout=-1.0)


@pytest.mark.parametrize(
    ("outcome", "over", "failed"),
    [(None, False, False), ("succeeded", True, False), ("failed", True, True), ("aborted", True, True)],
)
def test_how_an_attempt_ends(outcome: str | None, over: bool, failed: bool) -> None:
    steps = [{"step": "armed", "at": "2026-11-26T02:00:00+00:00", "message": "Armed."}]
    found = {
        "id": 1, "machine": "node1", "release": "debian-13", "role": "compute", "step": "armed", "progress": "",
        "step_deadline": "2026-11-26T02:30:00+00:00", "outcome": outcome, "reason": "", "steps": steps,
    }  # fmt: skip
    shown = attempt(found)
    assert (shown.over, shown.failed) == (over, failed)
    assert "Armed." in shown.text()


def test_the_bulk_command_knows_what_the_appliance_can_do() -> None:
    assert set(ACTIONS) == set(bulk.ACTIONS)
    assert set(VERBS) == set(bulk.CHOICES["verb"])
