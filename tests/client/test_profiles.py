"""Profiles: kept where nobody else reads them, whole or not at all; no token goes over an open line by mistake."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pxeapp.client import profiles
from pxeapp.client.profiles import Profile, Profiles
from pxeapp.config import ClientSettings, load_client
from pxeapp.errors import ConfigError, Invalid, NotFound

TOKEN = "pxe_0123456789abcdef"


@pytest.fixture
def settings(tmp_path: Path) -> ClientSettings:
    return load_client({"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)})


def lab(url: str = "https://pxe.example.org") -> Profile:
    return Profile("lab", url, TOKEN, Path('/etc/a "quoted" ca ☃ 😀.pem'))


def test_what_is_saved_is_read_again_and_nobody_else_can(settings: ClientSettings) -> None:
    profiles.save(settings, Profiles({"lab": lab()}, "lab"))
    assert profiles.load(settings) == Profiles({"lab": lab()}, "lab")
    assert stat.S_IMODE(settings.profiles_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.folder.stat().st_mode) == 0o700
    assert [each.name for each in settings.folder.iterdir()] == ["profiles.toml"]  # no half of one beside it


def test_a_folder_that_was_open_is_closed(settings: ClientSettings) -> None:
    settings.folder.mkdir(parents=True, mode=0o755)
    settings.folder.chmod(0o755)
    profiles.save(settings, Profiles())
    assert stat.S_IMODE(settings.folder.stat().st_mode) == 0o700


def test_a_file_that_others_read_is_refused(settings: ClientSettings) -> None:
    profiles.save(settings, Profiles({"lab": lab()}))
    settings.profiles_file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        profiles.load(settings)


@pytest.mark.parametrize(
    "text", ["current = ", "[profiles.x]\nurl = 'https://h'\n", "profiles = 5\n", "profiles = {a = 1}"]
)
def test_a_broken_file_is_a_sentence(settings: ClientSettings, text: str) -> None:
    settings.folder.mkdir(parents=True)
    settings.profiles_file.touch(mode=0o600)
    settings.profiles_file.write_text(text)
    with pytest.raises(ConfigError, match=r"profiles\.toml"):
        profiles.load(settings)


def test_a_token_is_never_in_what_is_printed_of_a_profile() -> None:
    assert TOKEN not in repr(lab())
    assert TOKEN not in repr(Profiles({"lab": lab()}))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://pxe.example.org/", "https://pxe.example.org"),
        ("https://pxe.example.org/behind/api/v1", "https://pxe.example.org/behind"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_addresses_that_can_be_used(url: str, kept: str) -> None:
    assert profiles.checked(url, insecure=False) == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://pxe.example.org", "http://10.0.0.1", "http://127.0.0.1.example.org", "ftp://h", "pxe.example.org", "https://",
        "https://user:pw@h", "https://h:0/", "https://h:99999", "https://h/?a=b", "https://h/#a",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(Invalid):
        profiles.checked(url, insecure=False)


def test_an_open_line_is_used_only_when_it_is_said() -> None:
    assert profiles.checked("http://pxe.example.org", insecure=True) == "http://pxe.example.org"


@pytest.mark.parametrize("text", ["", "two words long", "a\nb" * 9, "short", "ä" * 20])
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(Invalid) as refused:
        profiles.token_in(file)
    assert not text or text not in refused.value.in_full


def test_which_appliance_is_meant(settings: ClientSettings, tmp_path: Path) -> None:
    two = {"lab": lab(), "prod": Profile("prod", "https://prod.example.org", TOKEN)}
    profiles.save(settings, Profiles(two, "prod"))
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    scripted = {**home, "PXEAPP_URL": "https://ci.example.org", "PXEAPP_TOKEN_FILE": str(tmp_path / "token")}

    def meant(environ: dict[str, str], said: str = "") -> str:
        found = profiles.wanted(load_client(environ), said)
        return found.url if found else "here"

    assert meant(home) == "https://prod.example.org"
    assert meant(scripted) == "https://ci.example.org"
    assert meant({**scripted, "PXEAPP_PROFILE": "lab"}) == "https://pxe.example.org"
    assert meant({**scripted, "PXEAPP_PROFILE": "lab"}, "prod") == "https://prod.example.org"
    assert meant({"HOME": str(tmp_path / "nobody")}) == "here"
    assert meant({}) == "here"
    with pytest.raises(NotFound, match="lab, prod"):
        meant(home, "nothing")


@pytest.mark.parametrize("half", ["PXEAPP_URL", "PXEAPP_TOKEN_FILE"])
def test_half_a_choice_is_refused(half: str) -> None:
    with pytest.raises(ConfigError, match="go together"):
        load_client({half: "x"})
