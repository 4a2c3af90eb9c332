"""What the tests of the virtual rack share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.lab.images.build import StandIn, build

CACHE = Path.home() / ".cache" / "pxeapp-lab"


@pytest.fixture(scope="session")
def standin() -> StandIn:
    """The stand-in installer; built once per machine and recipe."""
    return build(CACHE)
