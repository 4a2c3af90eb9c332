"""A site that says everything there is to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pxeapp.answers import releases, site
from pxeapp.answers.spec import AnswerSpec
from tests.answers.samples import KEY, NODE_URL, SHA512, spec

# Made for these tests; nobody has the private halves any more.
CA = """\
-----BEGIN CERTIFICATE-----
MIIBSjCB/aADAgECAhQHbg/gYXjgintKQ8bFQBbB9+QatDAFBgMrZXAwGjEYMBYG
A1UEAwwPRXhhbXBsZSBSb290IENBMCAXDTI2MTEyNTIwMjk1OFoYDzIxMjYxMTAx
MjAyOTU4WjAaMRgwFgYDVQQDDA9FeGFtcGxlIFJvb3QgQ0EwKjAFBgMrZXADIQBX
DaDbH+XX/fQpgKiSYHzf36G76dij9YKub6A3DTLW/6NTMFEwHQYDVR0OBBYEFIjr
UZV+xj+jLg/CMuPPVLL4y0dCMB8GA1UdIwQYMBaAFIjrUZV+xj+jLg/CMuPPVLL4
y0dCMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAkzGySQZssrygLNcbUIlGe4b0
oYbKr2MDgubIymboFxE2U7ngirMKMcm8vyYvOS05eWW7txQpbzpRMWvbaNEuDg==
-----END CERTIFICATE-----
"""
LEAF = """\
-----BEGIN CERTIFICATE-----
MIIBMTCB5KADAgECAhQOCIDiwzRi+yb+iudGXHhTBaTybzAFBgMrZXAwDzENMAsG
A1UEAwwEbGVhZjAgFw0yNjExMjUyMDI5NThaGA8yMTI2MTEwMTIwMjk1OFowDzEN
MAsGA1UEAwwEbGVhZjAqMAUGAytlcAMhAKbNo7+5FGqD22GJBOtRVjXD+M6bRALH
Cz0CGiy0MnAmo1AwTjAdBgNVHQ4EFgQUhlf6YZQj1+e4j8VPENckwnB6W9AwHwYD
VR0jBBgwFoAUhlf6YZQj1+e4j8VPENckwnB6W9AwDAYDVR0TAQH/BAIwADAFBgMr
ZXADQQCo8G0ES2DAVWKCnZq7l9wMGgYGym/51JcF3NPkmc45PAwn+Z8ZM5yhJfV4
nDQEvFmKe+gQ7Bh6lyrW8T6jnAQF
-----END CERTIFICATE-----
"""
PGP = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawdFRhYJKwYBBAHaRw8BAQdAY1klonnkXxwJoSnPYUuqyQDkaiagjI7fIalc
TJINp0i0IHB4ZWFwcCB0ZXN0cyA8dGVzdHNAZXhhbXBsZS5vcmc+iJAEExYIADgW
IQTMWxt7RKxKJsUAwxAR9skJB1exdwUCawdFRgIbAwULCQgHAgYVCgkICwIEFgID
AQIeAQIXgAAKCRAR9skJB1exd0YAAPwNg1QJJg2l3R/yxQpHsR/QL+B4vSjSGoEo
K5eT4NIUUQEA96kn0/6BwEKy/LaQ2+wIZZ9eG530pwhcch1bw2+HOAQ=
=dksd
-----END PGP PUBLIC KEY BLOCK-----
"""
HASH = SHA512.replace("x", "y")
NASTY = (
    "%end\n%packages\nEOF\nEND_OF_CONTENT\nEND_OF_FINISH\n$(touch /tmp/broken-out) `touch /tmp/broken-out`\n"
    "'\"\\ \\\n\ttab, caf\u00e9, \u65e5\u672c\u8a9e, no line end"
)
SAID: dict[str, Any] = {
    "proxy": {
        "url": "http://ada:s3cret@proxy.example.org:3128",
        "no_proxy": [".example.org", "10.0.0.0/8", "registry.lan"],
    },
    "users": [
        {
            "name": "ada",
            "groups": ["wheel", "adm"],
            "sudo": "nopasswd",
            "ssh_authorized_keys": [KEY],
            "comment": "Ada, on call",
            "uid": 2001,
        },
        {"name": "grace", "sudo": "password", "password_hash": HASH, "shell": "/bin/sh"},
        {"name": "backup-2"},
    ],
    "selinux": "permissive",
    "apparmor": True,
    "firewall": {"ports": ["8080/tcp", "6000-6010/tcp", "514/udp"]},
    "serial_console": "ttyS1,57600",
    "kernel_args": ["mitigations=auto,nosmt", "nvme_core.default_ps_max_latency_us=0"],
    "installer_kernel_args": ["nomodeset"],
    "kernel_modules_blacklist": ["nouveau", "floppy"],
    "sysctl": {"vm.swappiness": 10, "net.ipv4.ip_local_port_range": "15000 61000"},
    "packages_remove": ["nano"],
    "pre_scripts": [
        {"name": "raid", "content": ["#!/bin/sh", "echo raid >/tmp/raid"], "on_failure": "continue"},
        {"name": "nasty", "content": f"#!/bin/sh\n: <<'X'\n{NASTY}\nX\n"},
    ],
    "post_scripts": [
        {"name": "one", "content": ["#!/bin/bash", "echo one >>/root/order"]},
        {"name": "two", "content": "#!/bin/sh\necho two >>/root/order\nexit 3", "on_failure": "continue"},
    ],
    "files": [
        {"path": "/etc/motd", "content": ["Property of Example.", "50 % of it."]},
        {"path": "/etc/deep/er/nasty.txt", "content": NASTY, "mode": "0640", "owner": "ada:adm"},
        {"path": "/opt/with blank/zero", "base64": "AAECAw==", "mode": "0600", "secret": True},
        {"path": "/etc/token", "content": ["a token in plain"], "mode": "0600", "secret": True},
    ],
    "ca_certificates": [{"name": "example", "pem": CA}],
    "handover": {"tool": "puppet", "server": "puppet.example.org", "environment": "production"},
    "boot_order": "disk-first",
    "keep_ssh_host_keys": True,
    "installer_logs": "always",
    "remote_syslog": "10.77.0.9:5514",
    "remote_access": True,
    "remote_access_from": ["10.77.0.9", "10.78.0.0/24"],
}
REPOSITORY: dict[str, Any] = {
    "name": "tools.9",
    "url": "{node_url}/repo/tools",
    "key": PGP,
    "priority": 50,
    "cost": 900,
}
APT = {
    "suite": "stable",
    "components": "main extra",
    "pin": "release o=Example, n=stable",
    "priority": 700,
    "cost": None,
}


def said(family: str, **more: Any) -> dict[str, Any]:
    """The site's variables for a family."""
    own = REPOSITORY if family in releases.EL_FAMILIES else {**REPOSITORY, **APT}
    if family == "ubuntu":
        own = {**own, "key": "{node_url}/repo/tools/key.asc"}
    own = {name: value for name, value in own.items() if value is not None}
    return {**SAID, "repositories": [own], **more}


def with_site(found: AnswerSpec, variables: dict[str, Any]) -> AnswerSpec:
    """The same machine at this site, composed as provisioning/facts does it."""
    settings = site.read(variables, NODE_URL)
    release = found.release
    dialect = releases.dialect(release.family, release.version, release.installer)
    wanted = dict.fromkeys((*found.packages, *settings.packages(dialect)))
    packages = tuple(package for package in wanted if package not in settings.packages_remove)
    return replace(
        found, site=settings, packages=packages, vars=variables, appliance_key=KEY if settings.remote_access else ""
    )


def everything(family: str, version: str, role: str = "base", installer: str = "", **more: Any) -> AnswerSpec:
    """node1 with every site setting said."""
    return with_site(spec(family, version, role, installer), said(family, **more))
