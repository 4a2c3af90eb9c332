"""A machine whose release cannot carry its role is refused when it is saved, by field and with what to do."""

from __future__ import annotations

import pytest

from pxeapp.answers.roles import series
from pxeapp.answers.spec import ReleaseSpec, Repository
from pxeapp.machines.service import Draft
from pxeapp.provisioning.carrying import Carrying
from pxeapp.templates import Templates

RELEASES = {
    "debian-13": ReleaseSpec("debian-13", "debian", "13", "preseed", ""),
    "centos-7": ReleaseSpec("centos-7", "centos", "7", "kickstart", ""),
    "rocky-9": ReleaseSpec("rocky-9", "rocky", "9", "kickstart", ""),
    "alma-9": ReleaseSpec("alma-9", "alma", "9", "kickstart", "", (Repository(f"{series.REPOSITORY}epoxy", ""),)),
}
CLOUD = {"cloud": {"controller": "10.0.0.1"}, "testing": {"controller": "10.0.0.1", "openstack_series": "zed"}}


def problems(role: str | None, release: str | None, cluster: str | None = "cloud", given: str = "role") -> list[str]:
    known = Carrying(Templates(), RELEASES, {"base": {}, "compute": {}, "block": {}}, CLOUD)
    draft = Draft("52:54:00:00:00:01", role, cluster, {}, (), frozenset({given}), release=release)
    return [found.field for found in known.problems(draft)]


@pytest.mark.parametrize(
    ("role", "release", "cluster", "fields"),
    [
        ("compute", "debian-13", "cloud", []),
        ("compute", "centos-7", "cloud", ["role"]),
        ("compute", "centos-7", None, []),  # without a controller it is only prepared
        ("block", "centos-7", None, ["role"]),
        ("compute", "rocky-9", "cloud", ["release.repositories"]),
        ("compute", "alma-9", "cloud", []),
        ("compute", "debian-13", "testing", ["vars.openstack_series"]),
        ("base", "centos-7", "cloud", []),
        ("nonsense", "centos-7", "cloud", []),  # said elsewhere
        ("compute", None, "cloud", []),
    ],
)
def test_what_cannot_be_carried_is_refused(
    role: str, release: str | None, cluster: str | None, fields: list[str]
) -> None:
    assert problems(role, release, cluster) == fields


def test_who_changes_something_else_is_left_alone() -> None:
    assert problems("compute", "centos-7", given="labels") == []
