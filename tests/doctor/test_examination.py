"""Checks run side by side, in bounded time, and are told in their order, whatever one of them does."""

from __future__ import annotations

import importlib
import inspect
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pxeapp.cli import main
from pxeapp.config import Settings
from pxeapp.doctor.examination import CHECKS, examine
from pxeapp.doctor.finding import Check, Finding, Patient, ok


@pytest.fixture(autouse=True)
def _of_this_appliance(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data_dir", "http_listen", "node_listen", "tftp_listen"):
        monkeypatch.setenv(f"PXEAPP_{name.upper()}", str(getattr(settings, name)))


def test_a_check_that_hangs_or_breaks_delays_and_hides_no_other(patient: Patient) -> None:
    release = threading.Event()

    def hang(_patient: Patient) -> Finding:
        release.wait()
        return ok("at last")

    def break_(_patient: Patient) -> Finding:
        raise ZeroDivisionError("of ours")

    def crawl(_patient: Patient) -> Finding:
        raise OSError(5, "Input/output error", "/a/disk")

    found = list(
        examine(
            [
                Check("hangs", hang, within_s=0.2),
                Check("is late", hang, within_s=0.2, late="Do it by hand."),
                Check("breaks", break_),
                Check("dead disk", crawl),
                Check("well", lambda _: ok("well")),
            ]
        )
    )
    release.set()
    assert [(name, each.status) for name, each in found] == [
        ("settings", "ok"),
        ("hangs", "fail"),
        ("is late", "warn"),
        ("breaks", "fail"),
        ("dead disk", "fail"),
        ("well", "ok"),
    ]
    assert found[2][1].attempt == "Do it by hand."
    assert "ZeroDivisionError" in found[3][1].sentence


def _seen() -> Iterator[tuple[str, str]]:
    """What the tests see of each check; that it is true, each says itself (cases.py)."""
    here = Path(__file__).parent
    for file in [*here.glob("test_*.py"), here.parent / "appliance/test_observing.py"]:
        module = importlib.import_module(f"tests.{file.parent.name}.{file.stem}")
        for test in filter(inspect.isfunction, vars(module).values()):
            for check, statuses in getattr(test, "sees", []):
                yield from ((check, status) for status in statuses)


def test_for_every_check_there_is_a_test_that_sees_it_well_and_one_that_sees_it_ill() -> None:
    seen = set(_seen())
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert [name for name in names if (name, "ok") not in seen] == []
    assert [name for name in names if not {(name, "warn"), (name, "fail")} & seen] == []


def test_they_run_side_by_side(patient: Patient) -> None:
    """Each waits for the other: one after the other, they would never end."""
    both = threading.Barrier(2)

    def meet(_patient: Patient) -> Finding:
        both.wait(20)
        return ok("met")

    found = dict(examine([Check("one", meet), Check("other", meet)]))
    assert {each.status for each in found.values()} == {"ok"}


def test_before_the_first_start_the_host_itself_is_looked_at(settings: Settings) -> None:
    found = dict(examine())
    assert found["data directory"].status == "fail"
    assert {"programs", "clock", "KVM", "ports", "boot programs"} < set(found)
    assert {"database", "worker", "BMCs"}.isdisjoint(found)
    assert not settings.data_dir.exists()


def test_the_exit_code_is_1_for_a_failure_only(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    items = json.loads(result.stdout)["items"]
    assert [item["check"] for item in items] == ["settings", *(check.name for check in CHECKS)]
    assert result.exit_code == 1  # nothing of it runs
    assert all(item["try"] for item in items if item["status"] != "ok")
    warned = (Check("warned", lambda _: Finding("warn", "Look.", "There.")),)
    monkeypatch.setattr("pxeapp.doctor.commands.examine", lambda: examine(warned))
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, "Warnings: 1." in result.output) == (0, True)
