"""The two applications are two: no operator's route where machines ask, no debugger anywhere, a key of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp import config
from pxeapp.app import create_app
from pxeapp.config import Settings
from pxeapp.errors import PxeError
from pxeapp.wiring import create_node_app


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return config.load({"PXEAPP_DATA_DIR": str(tmp_path / "data")})


def test_machines_find_no_route_of_the_operators_and_operators_none_of_the_machines(settings: Settings) -> None:
    operators, machines = create_app(settings), create_node_app(settings)
    ours = {rule.rule for rule in operators.url_map.iter_rules()}
    theirs = {route.path for route in machines.routes}
    assert not [rule for rule in theirs if rule.startswith(("/api", "/login", "/metrics", "/machines"))]
    assert not [rule for rule in ours if rule.startswith(("/boot", "/a/", "/c/", "/media"))]


def test_there_is_no_debugger(settings: Settings) -> None:
    app = create_app(settings)
    assert not app.debug
    assert not app.testing
    assert not app.config.get("PROPAGATE_EXCEPTIONS")


def test_the_session_key_is_made_once_and_belongs_to_this_appliance(tmp_path: Path) -> None:
    first, second = (config.load({"PXEAPP_DATA_DIR": str(tmp_path / name)}) for name in ("one", "two"))
    key = create_app(first).config["SECRET_KEY"]
    assert create_app(first).config["SECRET_KEY"] == key
    assert create_app(second).config["SECRET_KEY"] != key
    assert len(key) >= 32


def test_a_key_file_that_others_may_read_stops_the_start_with_a_sentence(settings: Settings) -> None:
    create_app(settings)
    keys = [path for path in settings.data_dir.iterdir() if path.is_file() and path.stat().st_mode & 0o777 == 0o600]
    assert keys
    keys[0].chmod(0o644)
    with pytest.raises(PxeError, match="read"):
        create_app(settings)
