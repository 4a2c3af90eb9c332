"""The pages of the prepared appliance; and for tests in a browser a served one, and one browser for the module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.api.conftest import admin, api, machine, prepared, routed
from tests.ui import play
from tests.ui.served import Appliance, serve

__all__ = ["admin", "api", "chromium", "machine", "prepared", "routed", "served"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """A running appliance with the rack of rack.py."""
    with serve(tmp_path_factory.mktemp("served")) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    if lacking := play.missing():
        pytest.skip(f"{lacking} is not installed")
    with play.opened() as browser:
        yield browser
