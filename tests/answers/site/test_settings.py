"""What a site may say: read once, in short and long forms, and whatever cannot work is refused by its field."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.answers import releases, site
from pxeapp.answers.site.contents import Content
from pxeapp.answers.site.proxy import Proxy
from pxeapp.answers.spec import BadAnswerValue
from pxeapp.answers.variables import BUILTIN
from pxeapp.errors import Invalid
from tests.answers.samples import KEY, NODE_URL, spec
from tests.answers.site.sample import CA, HASH, LEAF, PGP, SAID, said, with_site


def test_nothing_said_is_the_same_nothing_for_every_machine() -> None:
    assert site.read({"motd": "x", "packages": ["vim"]}) is site.NOTHING
    assert not site.NOTHING.said
    assert site.read({"proxy": None}) is site.NOTHING
    assert site.read({"selinux": "enforcing"}).said


def test_every_setting_is_a_variable_with_help_and_every_sample_is_possible() -> None:
    assert set(site.NAMES) <= set(BUILTIN)
    for name in site.NAMES:
        assert BUILTIN[name].help.endswith(".")
        assert BUILTIN[name].problems(said("rocky")[name]) == [], name
    assert set(said("rocky")) == set(site.NAMES), "the sample says everything there is"


def test_short_forms_mean_their_long_ones() -> None:
    for short, long in (
        ({"proxy": "http://p:3128"}, {"proxy": {"url": "http://p:3128"}}),
        ({"firewall": "off"}, {"firewall": {"on": False}}),
        ({"firewall": True}, {"firewall": {"on": True}}),
        ({"serial_console": "ttyS1,57600n8"}, {"serial_console": {"port": "ttyS1", "speed": 57600}}),
        ({"serial_console": False}, {"serial_console": {"port": "none"}}),
        ({"remote_syslog": "log:5514"}, {"remote_syslog": {"host": "log", "port": 5514}}),
        ({"remote_syslog": "fd00::1"}, {"remote_syslog": {"host": "fd00::1", "port": 514}}),
        ({"handover": "none"}, {"handover": {"tool": "none"}}),
    ):
        assert site.read(short) == site.read(long)


def test_repositories_of_the_appliance_are_named_as_a_releases_are() -> None:
    found = site.read({"repositories": [{"name": "x", "url": "{node_url}/repo/x", "key": "{node_url}/k"}]}, NODE_URL)
    assert (found.repositories[0].url, found.repositories[0].key_url) == (f"{NODE_URL}/repo/x", f"{NODE_URL}/k")
    assert list(site.check("repositories", [{"name": "x", "url": "{node_url}/repo/x"}])) == []


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"proxy": "proxy:3128"}, "vars.proxy.url", "http://proxy.example.org:3128"),
    ({"proxy": {"url": "http://a b@proxy"}}, "vars.proxy.url", "http://proxy"),
    ({"proxy": {"url": "http://p", "no_proxy": ["*.x"]}}, "vars.proxy.no_proxy.0", "10.0.0.0/8"),
    ({"proxy": {"url": "http://p", "installer": False, "system": False}}, "vars.proxy", "installer: true"),
    ({"users": [{"name": "root"}]}, "vars.users.0.name", "root_password_hash"),
    ({"users": [{"name": "a", "sudo": "password"}]}, "vars.users.0", "nopasswd"),
    ({"users": [{"name": "a"}, {"name": "a"}]}, "vars.users", "name of its own"),
    ({"users": [{"name": "a", "sudo": True}]}, "vars.users.0.sudo", "'password'"),
    ({"users": [{"name": "Ada"}]}, "vars.users.0.name", "a-z"),
    ({"users": [{"name": "a", "shell": "bash"}]}, "vars.users.0.shell", "/etc/motd"),
    ({"users": [{"name": "a", "groups": ["a:b"]}]}, "vars.users.0.groups.0", "a-z"),
    ({"users": [{"name": "a", "uid": 0}]}, "vars.users.0.uid", "60000"),
    ({"users": [{"name": "a", "comment": "x:y"}]}, "vars.users.0.comment", "ASCII"),
    ({"users": [{"name": "a", "home": "/x"}]}, "vars.users.0.home", "spelling"),
    ({"users": {"name": "a"}}, "vars.users", "["),
    ({"selinux": "off"}, "vars.selinux", "'permissive'"),
    ({"apparmor": "yes"}, "vars.apparmor", "true or false"),
    ({"firewall": {"ports": [80]}}, "vars.firewall.ports.0", "quotes"),
    ({"firewall": {"ports": ["80"]}}, "vars.firewall.ports.0", "8080/tcp"),
    ({"firewall": {"ports": ["90-80/tcp"]}}, "vars.firewall.ports.0", "8080/tcp"),
    ({"firewall": {"ports": ["0/tcp"]}}, "vars.firewall.ports.0", "8080/tcp"),
    ({"firewall": "maybe"}, "vars.firewall", "off"),
    ({"serial_console": "tty1"}, "vars.serial_console.port", "ttyS1"),
    ({"serial_console": "ttyS1,1234"}, "vars.serial_console.speed", "115200"),
    ({"serial_console": "ttyS1,fast"}, "vars.serial_console", "ttyS1,115200"),
    ({"kernel_args": "quiet"}, "vars.kernel_args", "["),
    ({"kernel_args": ["a b"]}, "vars.kernel_args.0", "name=value"),
    ({"kernel_args": ["---"]}, "vars.kernel_args.0", "name=value"),
    ({"kernel_args": ['a="b"']}, "vars.kernel_args.0", "name=value"),
    ({"kernel_modules_blacklist": ["a b"]}, "vars.kernel_modules_blacklist.0", "nouveau"),
    ({"sysctl": {"vm swappiness": 1}}, "vars.sysctl", "vm.swappiness"),
    ({"sysctl": {"vm.swappiness": True}}, "vars.sysctl", "number"),
    ({"sysctl": {"kernel.core_pattern": "x\ny"}}, "vars.sysctl", "one line"),
    ({"packages_remove": ["-x"]}, "vars.packages_remove.0", "without a version"),
    ({"pre_scripts": [{"name": "../x", "content": ["x"]}]}, "vars.pre_scripts.0.name", "letters"),
    ({"pre_scripts": [{"name": "x"}]}, "vars.pre_scripts.0", "one of content"),
    ({"post_scripts": [{"name": "x", "content": ["a\nb"]}]}, "vars.post_scripts.0.content", "two lines"),
    ({"post_scripts": [{"name": "x", "content": "a", "base64": "YQ=="}]}, "vars.post_scripts.0", "one of content"),
    (
        {"post_scripts": [{"name": "x", "content": "a", "on_failure": "shrug"}]},
        "vars.post_scripts.0.on_failure",
        "stop",
    ),
    ({"post_scripts": [{"name": "x", "template": "boot/../x"}]}, "vars.post_scripts.0.template", "boot/NAME"),
    ({"post_scripts": [{"name": "x", "template": "/etc/x"}]}, "vars.post_scripts.0.template", "boot/NAME"),
    ({"files": [{"path": "etc/x", "content": "x"}]}, "vars.files.0.path", "/etc/motd"),
    ({"files": [{"path": "/etc/../x", "content": "x"}]}, "vars.files.0.path", "Leave out"),
    ({"files": [{"path": "/proc/x", "content": "x"}]}, "vars.files.0.path", "outside"),
    ({"files": [{"path": "/etc//x", "content": "x"}]}, "vars.files.0.path", "/etc/motd"),
    ({"files": [{"path": "/etc/", "content": "x"}]}, "vars.files.0.path", "/etc/motd"),
    ({"files": [{"path": "/etc/x\n", "content": "x"}]}, "vars.files.0.path", "/etc/motd"),
    ({"files": [{"path": f"/{'x' * 256}", "content": "x"}]}, "vars.files.0.path", "/etc/motd"),
    ({"files": [{"path": "/x", "content": "x", "mode": 644}]}, "vars.files.0.mode", "quotes"),
    ({"files": [{"path": "/x", "content": "x", "mode": "rw"}]}, "vars.files.0.mode", "0644"),
    ({"files": [{"path": "/x", "content": "x", "owner": "$(id)"}]}, "vars.files.0.owner", "user:group"),
    ({"files": [{"path": "/x", "base64": "%"}]}, "vars.files.0.base64", "base64 -w0"),
    ({"files": [{"path": "/x", "content": "a\0"}]}, "vars.files.0.content", "base64"),
    ({"files": [{"path": "/x", "content": "x" * 300_000}]}, "vars.files.0", "HTTP"),
    ({"files": [{"path": "/x", "template": "boot/x", "secret": True}]}, "vars.files.0", "no place for secrets"),
    ({"ca_certificates": [{"name": "x", "pem": "x"}]}, "vars.ca_certificates.0.pem", "BEGIN CERTIFICATE"),
    ({"ca_certificates": [{"name": "x", "pem": CA.replace("MIIB", "MIIC")}]}, "vars.ca_certificates.0.pem", "BEGIN"),
    ({"ca_certificates": [{"name": "x", "pem": LEAF}]}, "vars.ca_certificates.0.pem", "authority's own"),
    (
        {"ca_certificates": [{"name": "x", "pem": CA + "-----BEGIN PRIVATE KEY-----"}]},
        "vars.ca_certificates.0.pem",
        "think of it as published",
    ),
    ({"handover": "puppet"}, "vars.handover", "puppet's server"),
    ({"handover": {"tool": "ansible"}}, "vars.handover", "https://host/path.git"),
    ({"handover": {"tool": "chef"}}, "vars.handover.tool", "'salt'"),
    ({"handover": {"tool": "salt", "server": "a b"}}, "vars.handover.server", "ntp.example.org"),
    ({"boot_order": "cdrom"}, "vars.boot_order", "'disk-first'"),
    ({"keep_ssh_host_keys": 1}, "vars.keep_ssh_host_keys", "true or false"),
    ({"installer_logs": "sometimes"}, "vars.installer_logs", "'always'"),
    ({"remote_syslog": "log:0"}, "vars.remote_syslog.port", "65535"),
    ({"remote_syslog": "a b"}, "vars.remote_syslog.host", "ntp.example.org"),
    ({"remote_access": "yes"}, "vars.remote_access", "true or false"),
    ({"remote_access_from": ["10.0.0.0/33"]}, "vars.remote_access_from.0", "10.0.0.0/24"),
    ({"remote_access_from": ['10.0.0.1",command="x']}, "vars.remote_access_from.0", "10.0.0.0/24"),
    ({"repositories": [{"name": "x", "url": "ftp://x"}]}, "vars.repositories.0.url", "http://host/path"),
    ({"repositories": [{"name": "x", "url": "http://x", "key": "x"}]}, "vars.repositories.0.key", "BEGIN PGP"),
    (
        {"repositories": [{"name": "x", "url": "http://x", "key": PGP.replace("PUBLIC KEY", "PRIVATE KEY")}]},
        "vars.repositories.0.key",
        "BEGIN PGP",
    ),
    (
        {"repositories": [{"name": "x", "url": "http://x", "key": PGP.replace("nkXxwJ", "nkXxwK")}]},
        "vars.repositories.0.key",
        "BEGIN PGP",
    ),
    ({"repositories": [{"name": "x", "url": "http://x", "priority": 0}]}, "vars.repositories.0.priority", "apt"),
    ({"repositories": [{"name": "x", "url": "http://x", "pin": "release o=X"}]}, "vars.repositories.0", "both"),
    ({"repositories": [{"name": "x", "url": "http://x", "cost": 0}]}, "vars.repositories.0", "1000"),
]


@pytest.mark.parametrize(("variables", "field", "fix"), REFUSED, ids=[f"{row[1]}-{n}" for n, row in enumerate(REFUSED)])
def test_what_cannot_work_is_refused_with_field_and_fix(variables: dict[str, Any], field: str, fix: str) -> None:
    with pytest.raises(Invalid) as refused:
        site.read(variables)
    (problem,) = refused.value.problems
    assert problem.field == field
    assert problem.problem.endswith(".")
    assert fix in problem.fix
    # At save time, where the same is asked of one variable at a time.
    ((name, value),) = variables.items()
    ((said_then, _),) = site.check(name, value)
    assert problem.problem in said_then
    assert field.removeprefix(f"vars.{name}").removeprefix(".") in said_then


def test_every_problem_is_said_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        site.read({"selinux": "x", "users": [{"name": "A", "sudo": "x"}], "firewall": {"ports": ["x"]}})
    assert {problem.field for problem in refused.value.problems} == {
        "vars.selinux", "vars.users.0.name", "vars.users.0.sudo", "vars.firewall.ports.0"
    }  # fmt: skip


def test_a_refusal_repeats_no_secret() -> None:
    for variables in (
        {"proxy": "http://ada:s3c ret@proxy"},
        {"users": [{"name": "a", "password_hash": "s3c ret"}]},
        {"files": [{"path": "/x", "content": "s3c ret\0", "secret": True}]},
        {"files": [{"path": "/x", "content": "s3c ret", "secret": "yes"}]},
    ):
        with pytest.raises(Invalid) as refused:
            site.read(variables)
        assert "s3c ret" not in refused.value.in_full


@pytest.mark.parametrize(
    ("key", "variables", "field"),
    [
        (
            ("rocky", "9"),
            {"repositories": [{"name": "x", "url": "http://x", "suite": "./"}]},
            "vars.repositories.0.suite",
        ),
        (("debian", "13"), {"repositories": [{"name": "x", "url": "http://x"}]}, "vars.repositories.0.suite"),
        (
            ("ubuntu", "18.04"),
            {"repositories": [{"name": "x", "url": "http://x", "suite": "./", "key": PGP}]},
            "vars.repositories.0.key",
        ),
        (
            ("debian", "13"),
            {"repositories": [{"name": "updates", "url": "http://x", "suite": "./"}]},
            "vars.repositories.0.name",
        ),
        (
            ("centos", "7"),
            {"users": [{"name": "a", "password_hash": "$y$j9T$" + "a" * 22 + "$" + "b" * 43}]},
            "vars.users.0.password_hash",
        ),
        (("rocky", "9"), {"remote_syslog": "fd00::1"}, "vars.remote_syslog.host"),
        (("debian", "13"), {"remote_access": True, "users": [{"name": "pxeapp"}]}, "vars.users.0.name"),
    ],
)
def test_what_this_release_cannot_do_is_refused_where_the_release_is_known(
    key: tuple[str, str], variables: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadAnswerValue) as refused:
        with_site(spec(*key), variables)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_several_lines_are_possible_only_where_they_are_encoded() -> None:
    assert with_site(spec("rocky", "9"), {"files": [{"path": "/x", "content": "a\nb\n"}]})
    with pytest.raises(BadAnswerValue):
        with_site(spec("rocky", "9"), {"motd": "a\nb"})


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_one_of_both_ways_of_writing_them_gives_them_back(data: bytes) -> None:
    found = Content(base64=base64.b64encode(data).decode())
    assert found.encode() == data
    if found.plain:
        assert found.body.encode() == data
        assert not any(line.lstrip().startswith(("%", "END_OF")) for line in found.body.splitlines())
    else:
        assert base64.b64decode(found.body) == data
    octal = "".join(found.octal)
    assert bytes(int(octal[at : at + 4][1:], 8) for at in range(0, len(octal), 4)) == data


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_a_text_is_kept_as_it_is_and_lines_end(text: str) -> None:
    assert Content(content=text).encode() == text.encode()
    lines = tuple(text.split("\n"))
    assert Content(content=lines).encode() == f"{text}\n".encode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        (f"{NODE_URL}/x", True),
        ("http://mirror.example.org/x", True),
        ("http://example.org/x", True),
        ("http://example.com/x", False),
        ("http://notexample.org/x", False),
        ("http://10.200.0.1/x", True),
        ("http://11.0.0.1/x", False),
        ("http://[fd00::1]/x", False),
    ],
)
def test_the_proxy_is_left_out_where_no_proxy_says_so(url: str, direct: bool) -> None:
    proxy = Proxy(url="http://p:3128", no_proxy=(".example.org", "10.0.0.0/8"))
    assert proxy.direct(url, NODE_URL) is direct


def test_what_settings_need_is_installed_with_them() -> None:
    for key, wanted in (
        (("rocky", "9"), {"ca-certificates", "firewalld", "puppet-agent"}),
        (("centos", "7"), {"ca-certificates", "firewalld", "puppet-agent", "yum-plugin-priorities"}),
        (("debian", "13"), {"ca-certificates", "nftables", "apparmor", "puppet-agent"}),
        (("ubuntu", "20.04"), {"ca-certificates", "nftables", "apparmor", "puppet"}),
    ):
        always = {"sudo", "openssh-server"}
        assert set(site.read(said(key[0]), NODE_URL).packages(releases.dialect(*key))) == wanted | always
    pulls = site.read({"handover": {"tool": "ansible", "repository": "https://git.example.org/site.git"}})
    assert pulls.packages(releases.dialect("rocky", "9")) == ("ansible-core", "git")
    assert "nano" not in with_site(spec("rocky", "9", packages=("nano", "vim")), SAID).packages


def test_keys_and_hashes_are_among_the_secrets_and_public_keys_are_not() -> None:
    secrets = site.read(said("rocky"), NODE_URL).secrets
    assert {"ada:s3cret", HASH, "a token in plain", "AAECAw=="} <= set(secrets)
    assert KEY not in secrets
