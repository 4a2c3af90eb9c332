from __future__ import annotations

from pxeapp import systems
from pxeapp.software import debian


def test_every_debian_that_can_be_asked_for_has_the_name_of_its_suite() -> None:
    assert set(systems.versions("debian")) == set(debian.CODENAMES)
