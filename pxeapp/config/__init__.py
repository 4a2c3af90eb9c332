"""Settings: read once, from `PXEAPP_*` variables over `pxeapp.toml`, into a frozen object.

Nobody else reads the environment. A bad setting stops the start with one sentence that
names the setting, what was found and what would be right.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from netaddr import IPNetwork

from pxeapp.config import values
from pxeapp.config.values import Grant, Listen
from pxeapp.errors import ConfigError

__all__ = [
    "CLIENT_VARIABLES", "DEFAULTS", "PREFIX", "ClientSettings", "DhcpMode", "Effective", "Grant", "Listen", "Settings",
    "effective", "load", "load_client",
]  # fmt: skip

PREFIX = "PXEAPP_"
DhcpMode = Literal["off", "proxy", "full"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the appliance. Field names in upper case with `PXEAPP_` before them are the variables."""

    data_dir: Path
    database_url: str
    queue_url: str
    http_listen: Listen
    node_listen: Listen
    node_tls_listen: Listen | None
    node_tls_certificate: Path | None
    node_tls_key: Path | None
    node_url: str
    tftp_listen: Listen
    tftp_networks: tuple[IPNetwork, ...]
    dhcp: DhcpMode
    dhcp_interface: str
    bmc_networks: tuple[IPNetwork, ...]
    admin_password_file: Path | None
    trusted_proxies: tuple[IPNetwork, ...]
    mirror_upstreams: Mapping[str, str]
    fetch_networks: tuple[IPNetwork, ...]
    bundle_keys: frozenset[str]
    installs_at_once: int
    starts_per_minute: int
    public_url: str
    session_idle_minutes: int
    session_hours: int
    totp_roles: frozenset[str]
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret_file: Path | None
    oidc_scopes: str
    oidc_name_claim: str
    oidc_groups_claim: str
    oidc_roles: tuple[Grant, ...]
    oidc_label: str
    keystone_url: str
    keystone_roles: tuple[Grant, ...]
    requests_per_minute: int
    webhook_networks: tuple[IPNetwork, ...]
    rollout_networks: tuple[IPNetwork, ...]
    require_if_match: bool
    console_recording: bool
    console_keep_days: int

    @property
    def run_dir(self) -> Path:
        """Sockets, pid files and generated configuration: everything that a restart may throw away."""
        return self.data_dir / "run"

    @property
    def media_dir(self) -> Path:
        """Kernels, initrds and install trees, one folder per release."""
        return self.data_dir / "media"

    @property
    def backups_dir(self) -> Path:
        """Backups without a name of their own, and the copies that are made before an upgrade."""
        return self.data_dir / "backups"

    @property
    def templates_dir(self) -> Path:
        """The site's own templates; one of the same name wins over ours."""
        return self.data_dir / "templates"

    @property
    def playbooks_dir(self) -> Path:
        """The site's own playbooks, which rollouts may run."""
        return self.data_dir / "playbooks"


DEFAULTS: dict[str, str] = {
    "data_dir": "/var/lib/pxeapp",
    "database_url": "",  # empty: SQLite in the data directory
    "queue_url": "",  # empty: SQLite in the data directory
    "http_listen": "0.0.0.0:8080",
    "node_listen": "0.0.0.0:8081",
    "node_tls_listen": "",  # empty: machines are served by plain HTTP alone
    "node_tls_certificate": "",
    "node_tls_key": "",
    "node_url": "",  # empty: this host's own address and the port of node_listen
    "tftp_listen": "0.0.0.0:69",
    "tftp_networks": "",  # empty: private and link-local networks
    "dhcp": "off",
    "dhcp_interface": "",
    "bmc_networks": "",  # empty: private networks
    "admin_password_file": "",
    "trusted_proxies": "",
    "mirror_upstreams": "",  # NAME=URL, comma separated; empty: taken from this host's own package sources
    "fetch_networks": "",  # where release files may be downloaded from; empty: anywhere but this host and link-local
    "bundle_keys": "",  # fingerprints of appliances whose bundles are imported here, comma separated
    "installs_at_once": "100",
    "starts_per_minute": "300",
    "public_url": "",  # how operators' browsers reach the pages; empty: as each request says
    "session_idle_minutes": "240",
    "session_hours": "24",
    "totp_roles": "",  # roles whose local accounts must have a second factor
    "oidc_issuer": "",  # empty: no sign-in by OpenID Connect
    "oidc_client_id": "",
    "oidc_client_secret_file": "",
    "oidc_scopes": "openid profile email",
    "oidc_name_claim": "preferred_username",
    "oidc_groups_claim": "groups",
    "oidc_roles": "",  # GROUP=ROLE or GROUP=ROLE:PROJECT+PROJECT, comma separated
    "oidc_label": "",  # what stands on the button
    "keystone_url": "",  # empty: no Keystone token opens anything
    "keystone_roles": "",  # ROLE OF KEYSTONE=ROLE, or =ROLE:@project for the machines of the token's project
    "requests_per_minute": "3000",  # to the API, of one account or token; of an address without one a tenth
    "require_if_match": "off",  # on: what exists is changed by the API only with If-Match
    "console_recording": "on",  # off: no deployment's serial console is recorded
    "console_keep_days": "30",  # how long a recording is kept
    "webhook_networks": "",  # where webhooks may be sent to; empty: anywhere but this host and link-local
    "rollout_networks": "",  # where clouds and the URLs of gates may be; empty: anywhere but this host and link-local
}
# What `pxeapp` reads as the client of an appliance elsewhere; the appliance itself takes no notice of them.
CLIENT_VARIABLES = frozenset({"PXEAPP_PROFILE", "PXEAPP_URL", "PXEAPP_TOKEN_FILE", "PXEAPP_CA_FILE"})
_SCOPES = re.compile(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*")  # RFC 6749's scope-token
_INTERFACE = re.compile(r"[^\s/:]{1,15}")  # what Linux takes; it ends up in dnsmasq's configuration
_PASSWORD = re.compile(r"(://[^/@\s:]*:)\S*@")  # up to the last @: a password may hold one, and a slash


def load(environ: Mapping[str, str] | None = None, *, toml: Path | None = None) -> Settings:
    """Read the settings once; raises ConfigError with one sentence when something is wrong."""
    environ = os.environ if environ is None else environ
    raw = dict(DEFAULTS)
    named = toml or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    raw.update(_from_toml(named or Path("pxeapp.toml"), required=named is not None))
    known = {PREFIX + name.upper(): name for name in DEFAULTS}
    for variable, value in environ.items():
        if variable in known:
            raw[known[variable]] = value
        elif variable.startswith(PREFIX) and variable not in {PREFIX + "CONFIG", *CLIENT_VARIABLES}:
            raise ConfigError(
                f"{variable} is not a setting of pxeapp.", hint="Known: " + ", ".join(sorted(known)) + "."
            )
    return _build(raw)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What decides which appliance the command line speaks to; empty: what the profiles say."""

    folder: Path
    profile: str = ""
    url: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None

    @property
    def profiles_file(self) -> Path:
        """Addresses and tokens of appliances elsewhere."""
        return self.folder / "profiles.toml"


def load_client(environ: Mapping[str, str] | None = None) -> ClientSettings:
    """The client's few settings; raises ConfigError for half a choice."""
    environ = os.environ if environ is None else environ
    said = environ.get("XDG_CONFIG_HOME", "")
    base = Path(said) if said.startswith("/") else Path(environ.get("HOME") or "/nonexistent") / ".config"
    found = ClientSettings(
        folder=base / "pxeapp",
        profile=environ.get("PXEAPP_PROFILE", ""),
        url=environ.get("PXEAPP_URL", ""),
        token_file=Path(environ["PXEAPP_TOKEN_FILE"]) if environ.get("PXEAPP_TOKEN_FILE") else None,
        ca_file=Path(environ["PXEAPP_CA_FILE"]) if environ.get("PXEAPP_CA_FILE") else None,
    )
    if bool(found.url) != bool(found.token_file):
        missing = "PXEAPP_TOKEN_FILE" if found.url else "PXEAPP_URL"
        raise ConfigError(f"{missing} is missing.", hint="PXEAPP_URL and PXEAPP_TOKEN_FILE go together.")
    return found


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it is: its value without passwords, where it comes from, and what it would be otherwise."""

    variable: str
    value: str
    source: str  # default, environment, or the file's path
    default: str


def effective(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Effective]:
    """Every setting, for people to read."""
    environ = os.environ if environ is None else environ
    file = Path(environ.get(PREFIX + "CONFIG") or "pxeapp.toml")
    try:
        of_file = _from_toml(file, required=False)
    except ConfigError:  # it was broken after we had read it
        of_file = {}
    found = []
    for name, default in DEFAULTS.items():
        variable = PREFIX + name.upper()
        source = "environment" if variable in environ else str(file.absolute()) if name in of_file else "default"
        found.append(Effective(variable, _shown(getattr(settings, name)), source, default))
    return found


def _shown(value: Any) -> str:
    """A value as it would be written; the password of a URL is masked."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_shown(inner)}" for name, inner in value.items())
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(map(_shown, value)) if isinstance(value, frozenset) else map(_shown, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else _PASSWORD.sub(r"\1***@", str(value))


def _build(raw: Mapping[str, str]) -> Settings:
    data_dir = Path(raw["data_dir"]).absolute()
    node_listen = values.listen("node_listen", raw["node_listen"])
    dhcp = raw["dhcp"]
    if dhcp not in ("off", "proxy", "full"):
        raise ConfigError(f"PXEAPP_DHCP is {dhcp!r}.", hint="Use off, proxy or full.")
    if dhcp != "off" and not raw["dhcp_interface"]:
        raise ConfigError(
            f"PXEAPP_DHCP is {dhcp} but PXEAPP_DHCP_INTERFACE is empty.",
            hint="Name the interface of the provisioning network; we never serve DHCP on all of them.",
        )
    if raw["dhcp_interface"] and not _INTERFACE.fullmatch(raw["dhcp_interface"]):
        raise ConfigError(
            f"PXEAPP_DHCP_INTERFACE is {raw['dhcp_interface']!r}.", hint="Name one interface as `ip link` shows it."
        )
    _refuse_half_oidc(raw)
    _refuse_half_tls(raw)
    password_file = Path(raw["admin_password_file"]) if raw["admin_password_file"] else None
    if password_file is not None and not (password_file.is_file() and os.access(password_file, os.R_OK)):
        raise ConfigError(
            f"PXEAPP_ADMIN_PASSWORD_FILE names {str(password_file)!r}, which cannot be read.",
            hint="Create it readable by this user, or leave the setting out to have a password made and shown once.",
        )
    return Settings(
        data_dir=data_dir,
        database_url=raw["database_url"] or f"sqlite:///{data_dir / 'pxeapp.db'}",
        queue_url=raw["queue_url"] or f"sqlite:///{data_dir / 'queue.db'}",
        http_listen=values.listen("http_listen", raw["http_listen"]),
        node_listen=node_listen,
        node_tls_listen=values.listen("node_tls_listen", raw["node_tls_listen"]) if raw["node_tls_listen"] else None,
        node_tls_certificate=values.present_file("node_tls_certificate", raw["node_tls_certificate"]),
        node_tls_key=values.present_file("node_tls_key", raw["node_tls_key"]),
        node_url=values.node_url(raw["node_url"], node_listen),
        tftp_listen=values.listen("tftp_listen", raw["tftp_listen"]),
        tftp_networks=values.networks("tftp_networks", raw["tftp_networks"] or values.PRIVATE_NETWORKS),
        dhcp=dhcp,  # type: ignore[arg-type]  # checked above
        dhcp_interface=raw["dhcp_interface"],
        bmc_networks=values.networks("bmc_networks", raw["bmc_networks"] or values.PRIVATE_NETWORKS),
        admin_password_file=password_file,
        trusted_proxies=values.networks("trusted_proxies", raw["trusted_proxies"]),
        mirror_upstreams=values.upstreams("mirror_upstreams", raw["mirror_upstreams"]),
        fetch_networks=values.networks("fetch_networks", raw["fetch_networks"]),
        bundle_keys=values.fingerprints("bundle_keys", raw["bundle_keys"]),
        installs_at_once=values.number("installs_at_once", raw["installs_at_once"], 1, 10_000),
        starts_per_minute=values.number("starts_per_minute", raw["starts_per_minute"], 1, 60_000),
        public_url=values.web_url("public_url", raw["public_url"]),
        session_idle_minutes=values.number("session_idle_minutes", raw["session_idle_minutes"], 1, 100_000),
        session_hours=values.number("session_hours", raw["session_hours"], 1, 10_000),
        totp_roles=values.roles("totp_roles", raw["totp_roles"]),
        oidc_issuer=values.web_url("oidc_issuer", raw["oidc_issuer"], slash=True),
        oidc_client_id=raw["oidc_client_id"].strip(),
        oidc_client_secret_file=values.secret_file("oidc_client_secret_file", raw["oidc_client_secret_file"]),
        oidc_scopes=raw["oidc_scopes"].strip(),
        oidc_name_claim=raw["oidc_name_claim"].strip(),
        oidc_groups_claim=raw["oidc_groups_claim"].strip(),
        oidc_roles=values.grants("oidc_roles", raw["oidc_roles"]),
        oidc_label=raw["oidc_label"].strip()[:60],
        keystone_url=values.web_url("keystone_url", raw["keystone_url"]),
        keystone_roles=values.grants("keystone_roles", raw["keystone_roles"]),
        requests_per_minute=values.number("requests_per_minute", raw["requests_per_minute"], 10, 1_000_000),
        webhook_networks=values.networks("webhook_networks", raw["webhook_networks"]),
        rollout_networks=values.networks("rollout_networks", raw["rollout_networks"]),
        require_if_match=values.switch("require_if_match", raw["require_if_match"]),
        console_recording=values.switch("console_recording", raw["console_recording"]),
        console_keep_days=values.number("console_keep_days", raw["console_keep_days"], 1, 3650),
    )


def _from_toml(path: Path, *, required: bool) -> dict[str, str]:
    if not path.exists():
        if required:
            raise ConfigError(f"The configuration file {path} does not exist.")
        return {}
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    unknown = sorted(set(content) - set(DEFAULTS))
    if unknown:
        raise ConfigError(f"{path} has unknown settings: {', '.join(unknown)}.")
    return {name: _one_text(value) for name, value in content.items()}


def _one_text(value: Any) -> str:
    """TOML's lists and tables as the variables write them: `a,b` and `name=value,name=value`."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={inner}" for key, inner in value.items())
    return str(value)


def _refuse_half_tls(raw: Mapping[str, str]) -> None:
    """A port without a certificate, or the other way round, is a mistake and not a wish."""
    names = ("node_tls_listen", "node_tls_certificate", "node_tls_key")
    missing = [f"PXEAPP_{name.upper()}" for name in names if not raw[name].strip()]
    if missing and len(missing) < len(names):
        raise ConfigError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty, and TLS for machines needs all "
            "three: PXEAPP_NODE_TLS_LISTEN, PXEAPP_NODE_TLS_CERTIFICATE and PXEAPP_NODE_TLS_KEY.",
            hint="Set all of them, or none.",
        )


def _refuse_half_oidc(raw: Mapping[str, str]) -> None:
    """A sign-in that lets nobody in, or that has no client, is a mistake and not a wish."""
    for needed in ("oidc_client_id", "oidc_roles") if raw["oidc_issuer"] else ():
        if not raw[needed].strip():
            raise ConfigError(
                f"PXEAPP_OIDC_ISSUER is set but PXEAPP_{needed.upper()} is empty.",
                hint="Set both, or neither for no sign-in by OpenID Connect.",
            )
    if raw["keystone_url"] and not raw["keystone_roles"].strip():
        raise ConfigError(
            "PXEAPP_KEYSTONE_URL is set but PXEAPP_KEYSTONE_ROLES is empty.",
            hint="Say what Keystone's roles may do here, as admin=admin,member=operator:@project.",
        )
    if not _SCOPES.fullmatch(raw["oidc_scopes"].strip()) or "openid" not in raw["oidc_scopes"].split():
        raise ConfigError(f"PXEAPP_OIDC_SCOPES is {raw['oidc_scopes']!r}.", hint="Write openid profile email.")


assert {field.name for field in fields(Settings)} == set(DEFAULTS)  # noqa: S101 - a setting without a default is our bug
