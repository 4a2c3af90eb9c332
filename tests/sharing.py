"""How workers share the files of tests: the long ones first, and those that play firmware on one worker, one by one.

xdist's own order is by the number of tests; a file of one test that takes two minutes then comes last, and one core
has nothing to do meanwhile. Seconds that are wrong cost time, nothing else: what is not named stands by its number.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

FIRMWARE = "firmware"
# They emulate machines, with a whole core each, and their deadlines are those of real ones.
ONE_BY_ONE = frozenset(
    f"tests/{name}.py"
    for name in ("lab/test_demo", "lab/test_provisioning", "boot/test_real_firmware", "lab/test_images")
)
# Seconds on a busy machine, the longest first.
LONG = {
    "tests/docs/test_first_steps.py": 180,
    "tests/migrations/test_revisions.py": 170,
    "tests/ui/test_scenario.py": 140,
    "tests/backup/test_running.py": 110,
    "tests/supervisor/test_serve.py": 100,
    "tests/lab/test_fleet_crashes.py": 95,
    "tests/rollouts/test_runner.py": 90,
    "tests/provisioning/test_admission.py": 80,
    "tests/bmc/test_kills.py": 80,
    "tests/ui/test_every_page.py": 80,
    "tests/packaging/test_serving.py": 70,
    "tests/api/test_permissions.py": 70,
    "tests/api/test_conformance.py": 65,
    "tests/lab/test_fleet.py": 60,
    "tests/bmc/test_crashes.py": 60,
    "tests/ui/test_live.py": 55,
    "tests/provisioning/test_diffs.py": 55,
    "tests/machines/test_selectors.py": 55,
    "tests/ui/test_console.py": 50,
    "tests/storage/test_processes.py": 50,
    "tests/ui/test_rollouts_in_a_browser.py": 40,
    "tests/machines/test_imports.py": 40,
    "tests/client/test_remote.py": 40,
    "tests/ui/test_live_stream.py": 35,
    "tests/templates/test_storm.py": 35,
    "tests/rollouts/test_rehearse.py": 35,
    "tests/test_cli.py": 35,
    "tests/provisioning/test_node_app.py": 30,
    "tests/answers/checks/test_autoinstall.py": 30,
    "tests/answers/checks/test_matrix.py": 30,
    "tests/provisioning/test_deployment.py": 30,
    "tests/provisioning/test_autoinstall.py": 30,
    "tests/ui/software/test_uploading_in_a_browser.py": 30,
    "tests/software/isos/test_importing.py": 25,
    "tests/software/mirrors/test_sync.py": 25,
}


def scope(nodeid: str) -> str:
    """What goes to one worker as a whole: a file, or all that must not run beside each other."""
    file = nodeid.partition("::")[0]
    return FIRMWARE if file in ONE_BY_ONE else file


class Sharing(LoadFileScheduling):
    """By file, but for those."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


@pytest.hookimpl(optionalhook=True)  # there is none with PYTEST_ARGS=
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing | None:
    """Ours for `--dist loadfile`; in the order in which the tests were collected, which is what follows."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Sharing(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, for whoever shares."""
    if not hasattr(config, "workerinput"):
        return
    number = Counter(_file(item) for item in items)

    def rank(item: pytest.Item) -> tuple[bool, int, int]:
        file = _file(item)
        return file not in ONE_BY_ONE, -LONG.get(file, 0), -number[file]

    items.sort(key=rank)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
