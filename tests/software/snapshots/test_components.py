"""What a repository is divided into, as an installer that reads it there is told."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from pxeapp import prepared
from pxeapp.db import now
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import channels, components, service
from tests.software.snapshots.conftest import OPS, Site


@pytest.mark.parametrize(
    ("place", "has"),
    [
        ("debian", ("main", "contrib")),
        ("debian/", ("main", "contrib")),
        ("snapshots/2026-11/debian", ("main",)),
        ("snapshots/2026-11/debian/deeper", ("main",)),
        ("channels/dev/debian", ("main",)),
        ("channels/production/debian", ()),
        ("channels/dev", ()),
        ("snapshots/2026-11/other", ()),
        ("other", ()),
        ("", ()),
    ],
)
def test_it_is_what_is_there_and_not_what_is_elsewhere_by_now(site: Site, place: str, has: tuple[str, ...]) -> None:
    site.publish("debian", {"base_1": "one"})
    with site.database.write() as session:
        service.take(session, "2026-11", actor=OPS, now=now())
    site.work()
    with site.database.write() as session:
        channels.promote(session, "2026-11", "dev", actor=OPS, now=now())
    site.work()
    with site.database.write() as session:
        row = session.scalars(select(SoftwareRepository)).one()
        row.components = ["main", "contrib"]
    with site.database.read() as session:
        assert components.seen_by(session, place) == has
    with prepared.reading(site.database) as run:
        assert components.at(run, place) == has
