"""Files with layouts pass every check that stands before a deployment."""

from __future__ import annotations

import pytest

from pxeapp.answers import checks, render
from pxeapp.answers.storage import read
from tests.answers.samples import TEMPLATES, spec
from tests.answers.storage.samples import LAYOUTS


@pytest.mark.parametrize(
    ("family", "version", "name"),
    [
        ("rocky", "9", "raid10-lvm"),
        ("centos", "7", "spare"),
        ("debian", "13", "raid1-lvm"),
        ("ubuntu", "26.04", "raid1"),
    ],
)
def test_no_fault_is_found(family: str, version: str, name: str) -> None:
    found = spec(family, version, storage=read(LAYOUTS[name]), system_disk=None, data_disks=(), keep_disks=())
    for kind in render.kinds(found.release.installer):
        assert checks.check(kind, render.render(kind, found, TEMPLATES), found) == []
