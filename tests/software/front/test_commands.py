from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pxeapp.cli import Where, where
from pxeapp.software.front.commands import front


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--for", "nginx"], ["listen 80;", "proxy_pass http://127.0.0.1:8081;", "access_log /var/log/nginx/"]),
        (["--for", "httpd", "--name", "pxe.example.org"], ["<VirtualHost *:80>", "ServerName pxe.example.org"]),
        (["--for", "httpd", "--tls", "/c.pem", "/k.pem"], ["<VirtualHost *:443>", 'SSLCertificateFile "/c.pem"']),
        (["--for", "nginx", "--tls", "/c.pem", "/k.pem", "--port", "8443"], ["listen 8443 ssl;", "/k.pem;"]),
    ],
)
def test_a_configuration_is_printed(
    words: list[str], shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PXEAPP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PXEAPP_MIRROR_UPSTREAMS", "debian=http://mirror.invalid/debian")
    said = CliRunner().invoke(front, ["config", *words], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert all(each in said.output for each in shown), said.output
    assert f"{tmp_path}/run/node.sock" in said.output
    assert where("front config") is Where.PROCESS
