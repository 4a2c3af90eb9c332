"""A site's folder of templates, and renderers whose patience is short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.templates.limits import Limits
from pxeapp.templates.pool import Pool, shared


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "kickstarts").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(Limits(cpu_s=0.5))
    yield pool
    pool.close()


@pytest.fixture
def alone() -> None:
    """No renderers but the test's own: those that this process shares are ended, and made anew when one is needed."""
    shared().close()
