"""A stage for rollouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.db import Database
from tests.rollouts.stage import Stage


@pytest.fixture
def stage(database: Database, tmp_path: Path) -> Stage:
    return Stage.of(database, tmp_path)
