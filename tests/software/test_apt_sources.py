from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pxeapp.software import apt_sources

SAMPLES = Path(__file__).parent / "apt"


def test_deb822_sources_give_mirrors_and_leave_out_third_parties_and_disabled_ones() -> None:
    sources = apt_sources.parse_deb822((SAMPLES / "company.sources").read_text())
    found = apt_sources.mirrors(sources)
    assert {name: mirror.url for name, mirror in found.items()} == {
        "debian": "http://mirror.example/pub/linux/debian",
        "debian-security": "http://mirror.example/pub/linux/debian-security",
    }
    assert found["debian"].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_an_embedded_key_is_not_taken_for_a_keyring_path() -> None:
    sources = apt_sources.parse_deb822((SAMPLES / "company.sources").read_text())
    assert [source.signed_by for source in sources if "containers" in source.uri] == [""]


def test_one_line_sources_give_mirrors_signed_ones_first() -> None:
    found = apt_sources.mirrors(apt_sources.parse_one_line((SAMPLES / "ubuntu.list").read_text()))
    assert {name: mirror.url for name, mirror in found.items()} == {
        "ubuntu": "https://ubuntu.example/repo/ubuntu",
        "ubuntu-security": "https://security.example/ubuntu",
    }


def test_a_source_signed_by_the_distribution_wins_wherever_it_stands() -> None:
    doubtful = apt_sources.AptSource("http://first.example/x", ("trixie",), ("main",))
    sure = apt_sources.AptSource("http://second.example/y", ("trixie",), ("main",), "/k/debian-archive-keyring.pgp")
    assert apt_sources.mirrors([doubtful, sure])["debian"].url == "http://second.example/y"


def test_a_proxying_repository_is_recognised_by_its_suite_not_its_path() -> None:
    source = apt_sources.AptSource("https://nexus.example/repository/apt-proxy/", ("trixie",), ("main",))
    assert apt_sources.mirrors([source])["debian"].url == "https://nexus.example/repository/apt-proxy"


def test_a_machines_folder_is_read_and_other_files_ignored(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    shutil.copy(SAMPLES / "ubuntu.list", tmp_path / "sources.list")
    shutil.copy(SAMPLES / "company.sources", tmp_path / "sources.list.d" / "a.sources")
    shutil.copy(SAMPLES / "company.sources", tmp_path / "sources.list.d" / "a.sources.save")
    assert set(apt_sources.mirrors(apt_sources.read(tmp_path))) == {
        *("debian", "debian-security"),
        *("ubuntu", "ubuntu-security"),
    }
    assert apt_sources.read(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://mirror.example/debian", "http://proxy.example:3142"),
        ("http://direct.example/debian", ""),
        ("https://mirror.example/debian", "http://tunnel.example:3128/"),
    ],
)
def test_apts_own_proxy_is_honoured(url: str, proxy: str) -> None:
    assert apt_sources.proxy_for(url, (SAMPLES / "dump.txt").read_text()) == proxy


def test_no_proxy_is_made_up() -> None:
    assert apt_sources.proxy_for("http://mirror.example/", 'Acquire::http::Proxy "";\n') == ""
