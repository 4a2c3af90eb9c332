from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.front import httpd, nginx, nginx_site
from pxeapp.software.front.spec import Front, Site
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


@pytest.mark.parametrize(("name", "render"), [("nginx", nginx_site.render), ("httpd", httpd.render)])
def test_a_site_of_an_operators_own_server_is_as_it_was(name: str, render: Callable[[Site], str]) -> None:
    plain = Site(fronts.front(), 80, Path("/var/log/front"))
    check(f"site-{name}.conf", render(plain))
    tls = replace(plain, port=443, name="pxe.example.org", certificate=fronts.TLS.certificate, key=fronts.TLS.key)
    check(f"site-{name}-tls.conf", render(tls))
    for bad in ({"name": "a b"}, {"name": "x;"}, {"logs": Path("/x y")}, {"certificate": Path('/x"')}):
        with pytest.raises(Invalid):
            render(replace(tls, **bad))
