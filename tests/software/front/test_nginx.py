from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.front import nginx
from pxeapp.software.front.spec import Front
from tests.software.front import fronts

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, found: str) -> None:
    """Compare with the golden file, or write it."""
    path = GOLDEN / name
    if os.environ.get("PXEAPP_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize(
    ("name", "front"),
    [
        ("without-mirrors", fronts.front()),
        (
            "whole",
            fronts.front(
                fronts.DEBIAN, fronts.ROCKY, fronts.OFFLINE, fronts.GONE, fronts.DOOR, tls=fronts.TLS
            ),
        ),
    ],
)  # fmt: skip
def test_the_whole_configuration_is_as_it_was(name: str, front: Front) -> None:
    check(f"nginx-{name}.conf", nginx.render(front))


@pytest.mark.parametrize("path", ["relative", "/a b", "/a;b", "/a{b", "/a'b", "/a$b", "/a%b", "/a\nb"])
def test_a_path_that_could_mean_something_is_refused(path: str) -> None:
    with pytest.raises(Invalid, match="cannot be used by nginx"):
        nginx.render(replace(fronts.front(), media_dir=Path(path)))
    with pytest.raises(Invalid, match="node_tls_key"):
        nginx.render(fronts.front(tls=replace(fronts.TLS, key=Path(path))))
