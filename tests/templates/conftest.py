"""A site's folder of templates, and renderers whose patience is short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.templates.limits import Limits
from pxeapp.templates.renderers import Pool


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "kickstarts").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(Limits(cpu_s=1))
    yield pool
    pool.close()
