"""Every release, roles taking turns: what we render passes every check."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pxeapp.answers import checks, releases, render
from pxeapp.answers.spec import AnswerSpec
from tests.answers import samples
from tests.answers.roles.cluster import OPENSTACK, node
from tests.answers.samples import TEMPLATES

KEYS = list(releases.DIALECTS)


def _cases() -> Iterator[AnswerSpec]:
    for number, (family, version, installer) in enumerate(KEYS):
        yield samples.full(family, version, samples.ROLES[number % 3], installer)
        if number % 2:
            yield samples.spec(family, version, samples.ROLES[(number + 1) % 3], installer, system_disk=None)
    for family, version in (("centos", "9"), ("debian", "13"), ("ubuntu", "24.04")):
        for role in OPENSTACK:
            yield node(family, version, role)


@pytest.mark.parametrize(
    "found", list(_cases()), ids=lambda found: f"{found.release.name}-{found.release.installer}-{found.role}"
)
def test_what_we_render_passes(found: AnswerSpec) -> None:
    for kind in render.kinds(found.release.installer):
        text = render.render(kind, found, TEMPLATES)
        faults = [str(fault) for fault in checks.check(kind, text, found)]
        assert faults == [], kind
