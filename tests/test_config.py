"""Settings: variables over the file over the defaults, and one sentence for each that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPNetwork

from pxeapp import config
from pxeapp.config import DEFAULTS, PREFIX, Grant, Listen
from pxeapp.errors import ConfigError


def refused(environ: dict[str, str], *, toml: Path | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(environ, toml=toml)
    assert "\n" not in str(caught.value)
    assert caught.value.sentence.endswith(".")
    return caught.value


def test_nothing_has_to_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = config.load({})
    assert settings.data_dir == Path("/var/lib/pxeapp")
    assert settings.database_url == "sqlite:////var/lib/pxeapp/pxeapp.db"
    assert settings.queue_url == "sqlite:////var/lib/pxeapp/queue.db"
    assert (str(settings.http_listen), str(settings.node_listen)) == ("0.0.0.0:8080", "0.0.0.0:8081")
    assert str(settings.tftp_listen) == "0.0.0.0:69"
    assert settings.dhcp == "off"
    assert settings.node_url.startswith("http://")
    assert settings.node_url.endswith(":8081")
    assert IPNetwork("10.0.0.0/8") in settings.bmc_networks
    assert settings.trusted_proxies == ()


def test_every_setting_can_be_a_variable_and_everything_lies_below_the_data_folder(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("x")
    said = {
        "data_dir": str(tmp_path), "database_url": "postgresql://db/pxeapp", "queue_url": "redis://queue:6379/0",
        "http_listen": "[::1]:80", "node_listen": "10.0.0.1:81", "node_url": "https://boot.example.org/x/",
        "node_tls_listen": "10.0.0.1:443", "node_tls_certificate": str(password), "node_tls_key": str(password),
        "tftp_listen": "10.0.0.1:6969", "tftp_networks": "10.0.0.0/24, 10.0.1.0/24", "dhcp": "proxy",
        "dhcp_interface": "br-lan.7", "bmc_networks": "10.9.0.0/16", "admin_password_file": str(password),
        "trusted_proxies": "10.0.0.9", "mirror_upstreams": "debian=http://deb.example.org/debian/",
        "fetch_networks": "192.0.2.0/24", "installs_at_once": "7", "starts_per_minute": "60",
        "bundle_keys": "AB" * 20,
        "requests_per_minute": "600", "webhook_networks": "192.0.2.0/24", "require_if_match": "on",
        "rollout_networks": "192.0.2.0/24",
        "console_keep_days": "5", "console_recording": "off",
        "public_url": "https://pxe.example.org/", "session_idle_minutes": "5", "session_hours": "8",
        "totp_roles": "admin, operator", "oidc_issuer": "https://id.example.org/realms/x/", "oidc_client_id": "pxeapp",
        "oidc_client_secret_file": str(password), "oidc_scopes": "openid groups", "oidc_name_claim": "email",
        "oidc_groups_claim": "roles", "oidc_roles": "cn=a=admin, web=operator:web+db", "oidc_label": "Example",
        "keystone_url": "https://keystone.example.org:5000/v3/", "keystone_roles": "member=operator:@project",
    }  # fmt: skip
    assert set(said) == set(DEFAULTS)
    settings = config.load({PREFIX + name.upper(): value for name, value in said.items()})
    assert settings.http_listen == Listen("::1", 80)
    assert str(settings.http_listen) == "[::1]:80"
    assert settings.node_url == "https://boot.example.org/x"
    assert (settings.node_tls_listen, settings.node_tls_key) == (Listen("10.0.0.1", 443), password)
    assert settings.tftp_networks == (IPNetwork("10.0.0.0/24"), IPNetwork("10.0.1.0/24"))
    assert settings.mirror_upstreams == {"debian": "http://deb.example.org/debian"}
    assert settings.admin_password_file == password
    assert (settings.installs_at_once, settings.starts_per_minute) == (7, 60)
    assert settings.oidc_issuer == "https://id.example.org/realms/x/", "its tokens are compared with it to the letter"
    assert settings.keystone_url == "https://keystone.example.org:5000/v3"
    assert settings.totp_roles == {"admin", "operator"}
    assert settings.bundle_keys == {"AB" * 20}
    assert settings.oidc_roles == (Grant("cn=a", "admin"), Grant("web", "operator", ("web", "db")))
    for folder in (settings.run_dir, settings.media_dir, settings.templates_dir):
        assert folder.parent == tmp_path


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"PXEAPP_NODE_TLS_LISTEN": "0.0.0.0:8443"}, "PXEAPP_NODE_TLS_CERTIFICATE and PXEAPP_NODE_TLS_KEY are empty"),
        ({"PXEAPP_NODE_TLS_CERTIFICATE": "/nowhere/x.pem"}, "NODE_TLS_(LISTEN|KEY)"),
    ],
)
def test_tls_for_machines_is_whole_or_not_at_all(said: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        config.load(said)


def test_the_node_url_follows_the_listener() -> None:
    assert config.load({"PXEAPP_NODE_LISTEN": "10.0.0.1:99"}).node_url == "http://10.0.0.1:99"
    assert config.load({"PXEAPP_NODE_LISTEN": "[fd00::1]:99"}).node_url == "http://[fd00::1]:99"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_listen", "8080"), ("http_listen", ":8080"), ("http_listen", "0.0.0.0:"),
        ("http_listen", "0.0.0.0:70000"),
        ("http_listen", "0.0.0.0:²"), ("http_listen", "::1:80"), ("node_listen", "a b:80"),
        ("tftp_listen", "0.0.0.0:tftp"),
        ("public_url", "pxe.example.org"), ("public_url", "javascript:x"), ("session_hours", "0"),
        ("session_idle_minutes", "-1"), ("totp_roles", "root"), ("oidc_issuer", "https://a/?x=1"),
        ("oidc_roles", "a"), ("oidc_roles", "=admin"), ("oidc_roles", "a=root"), ("oidc_roles", "a=admin:web"),
        ("oidc_roles", "a=operator:"), ("keystone_roles", "a=b=c"), ("oidc_scopes", "profile"),
        ("oidc_client_secret_file", "/does/not/exist"), ("keystone_url", "http://127.0.0.1:5000"),
        ("installs_at_once", "0"), ("installs_at_once", "many"), ("starts_per_minute", "1e3"),
        ("node_url", "10.0.0.1:8081"), ("node_url", "ftp://10.0.0.1"), ("node_url", "http://"),
        ("node_url", "http://[bad"),
        ("node_url", "http://10.0.0.1:99999"), ("node_url", "http://a/\nexit"), ("node_url", "http://a/${net0/mac}"),
        ("tftp_networks", "all"), ("tftp_networks", "10.0.0.0/33"), ("bmc_networks", "10.0.0.0/8;10.1.0.0/16"),
        ("trusted_proxies", "proxy.example.org"), ("fetch_networks", "10"), ("dhcp", "on"), ("dhcp", "OFF"),
        ("dhcp_interface", "eth0 eth1"), ("dhcp_interface", "x\ny"), ("dhcp_interface", "a-name-that-is-too-long"),
        ("mirror_upstreams", "http://deb.example.org"), ("mirror_upstreams", "Debian=http://deb.example.org"),
        ("mirror_upstreams", "debian=file:///etc"), ("mirror_upstreams", "debian=http://a/;include x"),
        ("admin_password_file", "/does/not/exist"), ("admin_password_file", "/tmp"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_one_sentence_that_names_it(name: str, value: str) -> None:
    variable = PREFIX + name.upper()
    error = refused({variable: value})
    assert variable in error.sentence
    assert error.hint


@given(st.sampled_from(sorted(set(DEFAULTS) - {"data_dir"})), st.text(max_size=30))
def test_no_value_raises_anything_but_that_sentence(name: str, value: str) -> None:
    try:
        settings = config.load({PREFIX + name.upper(): value})
    except ConfigError as error:
        sentence = error.sentence
    else:
        sentence = ""
        assert settings.http_listen.port >= 0
    assert "\n" not in sentence


def test_dhcp_needs_an_interface() -> None:
    assert "PXEAPP_DHCP_INTERFACE" in refused({"PXEAPP_DHCP": "full"}).sentence
    assert config.load({"PXEAPP_DHCP": "full", "PXEAPP_DHCP_INTERFACE": "eno1"}).dhcp == "full"


def test_an_unknown_variable_is_refused_and_the_known_ones_are_named() -> None:
    error = refused({"PXEAPP_HTTP_LISTEM": "0.0.0.0:80"})
    assert "PXEAPP_HTTP_LISTEM is not a setting" in error.sentence
    assert "PXEAPP_HTTP_LISTEN" in error.hint
    assert config.load({"HTTP_LISTEM": "x"})


def test_variables_go_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        'http_listen = "0.0.0.0:1"\nnode_listen = "0.0.0.0:2"\nbmc_networks = ["10.1.0.0/16", "10.2.0.0/16"]\n'
        '[mirror_upstreams]\ndebian = "http://deb.example.org"\n'
    )
    for settings in (
        config.load({"PXEAPP_HTTP_LISTEN": "0.0.0.0:3"}, toml=file),
        config.load({"PXEAPP_HTTP_LISTEN": "0.0.0.0:3", "PXEAPP_CONFIG": str(file)}),
    ):
        assert (settings.http_listen.port, settings.node_listen.port) == (3, 2)
        assert len(settings.bmc_networks) == 2
        assert settings.mirror_upstreams == {"debian": "http://deb.example.org"}


@pytest.mark.parametrize(
    "content", [b"http_listen = ", b"\xff\xfe", b"htpt_listen = 1", b"dhcp = true", b"[dhcp]\nmode = 1"]
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(content)
    refused({}, toml=file)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert str(missing) in refused({"PXEAPP_CONFIG": str(missing)}).sentence
    assert str(missing) in refused({}, toml=missing).sentence
    assert "cannot be read" in refused({}, toml=tmp_path).sentence


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        config.load({}).dhcp = "full"  # type: ignore[misc]
