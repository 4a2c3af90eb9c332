"""Which OpenStack a release can carry: refused by field, with what can be had instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pxeapp.answers import releases
from pxeapp.answers.roles import series, work
from pxeapp.answers.roles.definition import BadRole
from pxeapp.answers.spec import BadAnswerValue
from pxeapp.errors import FieldProblem
from tests.answers.roles.cluster import CLUSTER, OPENSTACK, TABLE, node, repository
from tests.answers.samples import TEMPLATES, release, spec


def problems(family: str, version: str, *repositories: str, **said: object) -> list[FieldProblem]:
    of = release(family, version, repositories=tuple(repository(name) for name in repositories))
    return series.problems(TABLE, "compute", of, said)


def test_the_releases_own_series_needs_nothing() -> None:
    assert problems("debian", "13") == []
    assert series.of(TABLE, release("debian", "13"), {}) == "epoxy"
    assert series.of(TABLE, release("ubuntu", "24.04"), {}) == "caracal"


def test_another_series_needs_its_repository() -> None:
    [found] = problems("debian", "12", openstack_series="epoxy")
    assert (found.field, "no repository openstack-epoxy" in found.problem) == ("release.repositories", True)
    assert "a mirror of Debian's OpenStack backports" in found.fix
    assert "openstack_series: zed" in found.fix
    assert problems("debian", "12", "openstack-epoxy", openstack_series="epoxy") == []


def test_rdo_is_always_a_repository() -> None:
    [found] = problems("centos", "9")
    assert "no repository openstack-epoxy" in found.problem
    assert problems("rocky", "9", "openstack-epoxy") == []


def test_what_a_release_cannot_have_is_refused_with_what_it_can() -> None:
    [found] = problems("debian", "13", openstack_series="zed")
    assert found.field == "vars.openstack_series"
    assert "epoxy, flamingo" in found.fix
    [found] = problems("centos", "7")
    assert (found.field, "cannot carry the role compute" in found.problem) == ("role", True)
    assert "el-9" in found.fix


def test_testing_packages_are_taken_only_by_name() -> None:
    [found] = problems("centos", "10", "openstack-epoxy")
    assert (found.field, "epoxy, flamingo" in found.fix) == ("vars.openstack_series", True)
    assert problems("centos", "10", "openstack-epoxy", openstack_series="epoxy") == []


def test_what_a_series_lacks_is_refused_by_its_variable() -> None:
    found = problems("ubuntu", "26.04", telemetry=True, trove=True)
    assert sorted(each.field for each in found) == ["vars.telemetry", "vars.trove"]
    assert problems("ubuntu", "26.04") == []


@pytest.mark.parametrize("key", releases.DIALECTS)
@pytest.mark.parametrize("role", OPENSTACK)
def test_every_release_carries_every_role_or_says_why_not(key: tuple[str, ...], role: str) -> None:
    family, version = key[:2]
    known = TABLE.of(release(family, version))
    found = work.problems(node(family, version, role), TEMPLATES)
    if known is None:
        assert [each.field for each in found] == ["role"]
    elif not known.default:
        assert [each.field for each in found] == ["vars.openstack_series"]
    else:
        assert found == []


def test_a_refusal_names_machine_role_and_release() -> None:
    bad = spec("centos", "7", "network", vars=CLUSTER)
    with pytest.raises(BadAnswerValue, match="node1 cannot be a network on centos-7"):
        work.of(bad, TEMPLATES)


def test_point_releases_and_streams_are_found() -> None:
    assert series.key_of("ubuntu", "24.04.2") == "ubuntu-24.04"
    assert series.key_of("centos", "9-stream") == "el-9"
    assert series.key_of("alma", "9.4") == "el-9"


@pytest.mark.parametrize(
    "text", ["a: [", "[]", "series: 1\nreleases: {}", "series: [a]\nreleases: {debian-12: {native: b}}", "series: []"]
)
def test_a_table_that_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(BadRole):
        series.parse(text)


def test_compute_without_a_controller_is_only_prepared() -> None:
    found = work.of(spec("centos", "7", "compute"), TEMPLATES)
    assert (found.install, found.files) == ("", ())
    assert not any("nova" in package for package in found.packages)


def test_disks_for_data_are_wanted_where_data_are_kept() -> None:
    for role in ("block", "object"):
        found = work.problems(replace(node("debian", "13", role), data_disks=()), TEMPLATES)
        assert [each.field for each in found] == ["disks.data"]
