"""Appliances elsewhere by name: `profiles.toml` in the user's configuration folder, readable by nobody else.

current = "prod"

[profiles.prod]
url = "https://pxe.example.org"
token = "pxe_..."
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import stat
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pxeapp.config import ClientSettings
from pxeapp.errors import ConfigError, FieldProblem, Invalid, NotFound

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
TOKEN = re.compile(r"[!-~]{8,500}")
FOLDER_MODE, FILE_MODE = 0o700, 0o600


@dataclass(frozen=True, slots=True)
class Profile:
    """Where an appliance is, and what opens it."""

    name: str
    url: str
    token: str = field(repr=False)
    ca_file: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Profiles:
    """All of them, and which one is meant when nothing is said."""

    known: dict[str, Profile] = field(default_factory=dict)
    current: str = ""

    def get(self, name: str) -> Profile:
        """The one of this name; raises NotFound with those there are."""
        if name not in self.known:
            there = ", ".join(self.known) or "none yet; make one with: pxeapp login URL"
            raise NotFound(f"There is no profile {name[:63]!r}.", hint=f"There are: {there}.")
        return self.known[name]


def load(settings: ClientSettings) -> Profiles:
    """What is kept; nothing where no file is. Raises ConfigError for one that others can read or that is broken."""
    path = settings.profiles_file
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(f"Others can read {path}, which holds tokens.", hint=f"Run: chmod 600 {path}")
            said = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # somebody else's home, or none
        return Profiles()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}.", hint="Correct it, or remove it and log in again.") from None
    try:
        known = {name: _profile(name, each) for name, each in said.get("profiles", {}).items()}
    except (KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{path} holds a profile without url or token.", hint="Correct it, or log in again."
        ) from None
    current = str(said.get("current", ""))
    return Profiles(known, current if current in known else "")


def save(settings: ClientSettings, profiles: Profiles) -> None:
    """Put it in the place of the old file, at once: whoever reads meanwhile has the one or the other."""
    folder = settings.folder
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        folder.chmod(FOLDER_MODE)
    handle, name = tempfile.mkstemp(prefix=".profiles-", dir=folder)  # 0600 from its beginning
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_toml(profiles))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(settings.profiles_file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def checked(url: str, *, insecure: bool) -> str:
    """The address without its slash at the end; raises Invalid for what is none, or would show the token to others."""
    parts = urlsplit(url)
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.query or parts.fragment:
        raise _bad("url", f"{url[:80]!r} is no address of an appliance.", "Write https://pxe.example.org.")
    if parts.scheme == "http" and not insecure and not loopback(parts.hostname or ""):
        raise _bad(
            "url",
            f"{url[:80]} is not encrypted: whoever is on the way reads the token.",
            "Use https://, or say --insecure.",
        )
    return url.rstrip("/").removesuffix("/api/v1")


def loopback(host: str) -> bool:
    """Whether it never leaves this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_in(path: Path) -> str:
    """The token that a file holds, and nothing else; raises Invalid."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise _bad("token file", f"{path} cannot be read: {why}.", "Name a file with the token in it.") from None
    return usable(text, f"{path} holds")


def usable(text: str, where: str = "This is") -> str:
    """A token as it can be sent; raises Invalid, without showing it."""
    if not TOKEN.fullmatch(text):
        raise _bad("token", f"{where} no token on one line.", "Copy all of it, and nothing else.")
    return text


def named(name: str) -> str:
    """A profile's name; raises Invalid."""
    if not NAME.fullmatch(name):
        raise _bad("name", f"{name[:63]!r} cannot be a profile's name.", "Use letters, digits, dots and dashes.")
    return name


def wanted(settings: ClientSettings, said: str) -> Profile | None:
    """The appliance that is meant: by --profile, PXEAPP_PROFILE, PXEAPP_URL, or the current one. None: this host's."""
    if said or settings.profile:
        return load(settings).get(said or settings.profile)
    if settings.url and settings.token_file is not None:
        token = token_in(settings.token_file)
        return Profile(settings.url, checked(settings.url, insecure=False), token, settings.ca_file)
    found = load(settings)
    return found.known.get(found.current)


def _profile(name: str, said: dict[str, object]) -> Profile:
    ca_file = said.get("ca_file")
    insecure = bool(said.get("insecure", False))
    url = checked(str(said["url"]), insecure=insecure)
    return Profile(name, url, str(said["token"]), Path(str(ca_file)) if ca_file else None, insecure)


def _toml(profiles: Profiles) -> str:
    """JSON's texts are TOML's."""
    lines = [f"current = {_quoted(profiles.current)}"] if profiles.current else []
    for each in profiles.known.values():
        lines += ["", f"[profiles.{_quoted(each.name)}]", f"url = {_quoted(each.url)}"]
        lines += [f"token = {_quoted(each.token)}"]
        lines += [f"ca_file = {_quoted(str(each.ca_file))}"] if each.ca_file else []
        lines += ["insecure = true"] if each.insecure else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # an escaped surrogate pair is JSON, and no TOML


def _bad(field: str, problem: str, fix: str) -> Invalid:
    return Invalid("This appliance cannot be used.", problems=[FieldProblem(field, problem, fix)])
