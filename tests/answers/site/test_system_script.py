"""The script for the installed system, run for real: its users, sudoers, repositories, files, whatever they hold."""

from __future__ import annotations

import base64
import configparser
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pykickstart.constants import KS_SCRIPT_POST

from pxeapp.answers import kickstart, preseed, releases
from pxeapp.answers.roles.work import Work
from pxeapp.answers.spec import AnswerSpec
from tests.answers import shells
from tests.answers.samples import KEY, TEMPLATES, spec
from tests.answers.site import chroots
from tests.answers.site.sample import CA, HASH, NASTY, PGP, everything, with_site
from tests.answers.test_kickstart import parse

# What a Debian has not: each leaves a line of what it was asked.
TOLD = '#!/bin/sh\necho "$(basename "$0") $*" >>/root/told\n'
STAND_INS = {"update-ca-trust": TOLD, "rpm": TOLD, "systemctl": TOLD, "apt-get": TOLD}
real = pytest.mark.skipif(bool(chroots.impossible()), reason=chroots.impossible() or "-")
BOTH = pytest.mark.parametrize("key", [("rocky", "9"), ("debian", "13")], ids=["dnf", "apt"])


def script_of(found: AnswerSpec) -> str:
    """The site's part of the last script, as the shells take it out of the answer file."""
    if found.release.installer == "kickstart":
        syntax = releases.enterprise(found.release.family, found.release.version).syntax
        scripts = parse(kickstart.render(found, TEMPLATES), syntax).scripts
        text = next(each.script for each in scripts if each.type == KS_SCRIPT_POST)
    else:
        text = shells.inner(preseed.script(found, TEMPLATES))["/target/root/pxeapp-finish"]
    start = text.index("put() {")
    return "set -e\n" + re.sub(r"(?m)^systemctl enable (ssh|chrony) \|\| :$", "", text[start:])


@pytest.fixture(scope="module")
def dnf(tmp_path_factory: pytest.TempPathFactory) -> chroots.Ran:
    if why := chroots.impossible():
        pytest.skip(why)
    before = "mkdir -p /etc/dnf; printf '[main]\\nproxy=http://old\\n' >/etc/dnf/dnf.conf\n"
    folder = tmp_path_factory.mktemp("dnf")
    return chroots.run(before + script_of(everything("rocky", "9")), folder, programs=STAND_INS)


@pytest.fixture(scope="module")
def apt(tmp_path_factory: pytest.TempPathFactory) -> chroots.Ran:
    """What the installer left behind is there before; afterwards apt and gpg are asked what they read."""
    if why := chroots.impossible():
        pytest.skip(why)
    before = (
        "echo 'deb http://10.77.0.1:8081/repo/tools stable main extra' >>/etc/apt/sources.list\n"
        "echo 'Acquire::http::Proxy \"http://installer\";' >/etc/apt/apt.conf\n"
    )
    ask = (
        "\napt-config dump | grep -i '^Acquire::http' >/root/apt-config"
        "\n/usr/bin/apt-get --print-uris update >/root/targets"
        "\ngpg --show-keys --with-colons /usr/share/keyrings/pxeapp-tools.9.gpg >/root/keys 2>/dev/null || :\n"
    )
    script = before + script_of(everything("debian", "13")) + ask
    return chroots.run(script, tmp_path_factory.mktemp("apt"), programs=STAND_INS)


@pytest.fixture(params=["dnf", "apt"])
def ran(request: pytest.FixtureRequest) -> chroots.Ran:
    found: chroots.Ran = request.getfixturevalue(request.param)
    return found


def test_it_runs_to_its_end(ran: chroots.Ran) -> None:
    assert ran.status == 0, ran.said


def test_the_appliances_account_has_a_key_and_no_password_and_becomes_root(ran: chroots.Ran) -> None:
    line = ran.text("/home/pxeapp/.ssh/authorized_keys")
    options = "no-agent-forwarding,no-port-forwarding,no-pty,no-X11-forwarding"
    assert line == f'from="10.77.0.9,10.78.0.0/24",{options} {KEY}\n'
    assert (ran.mode("/home/pxeapp/.ssh"), ran.mode("/home/pxeapp/.ssh/authorized_keys")) == ("0700", "0600")
    assert re.search(r"(?m)^pxeapp:\*:", ran.text("/etc/shadow"))
    assert "pxeapp ALL=(ALL) NOPASSWD: ALL" in ran.text("/etc/sudoers.d/pxeapp-appliance")
    assert ran.mode("/etc/sudoers.d/pxeapp-appliance") == "0440"


def test_files_are_byte_for_byte_what_was_said(ran: chroots.Ran) -> None:
    assert ran.text("/etc/motd") == "Property of Example.\n50 % of it.\n"
    assert ran.text("/etc/deep/er/nasty.txt") == NASTY
    assert ran.bytes("/opt/with blank/zero") == b"\0\1\2\3"
    assert [ran.mode(path) for path in ("/etc/motd", "/etc/deep/er/nasty.txt", "/opt/with blank/zero")] == [
        "0644", "0640", "0600"
    ]  # fmt: skip
    assert ran.mode("/etc/deep") == "0755", "folders are made for everybody to pass"
    status = (ran.changed / "etc/deep/er/nasty.txt").stat()
    assert status.st_uid == 2001
    assert not (ran.changed / "tmp/broken-out").exists()


def test_users_are_what_they_should_be(ran: chroots.Ran) -> None:
    users = {line.split(":")[0]: line.split(":") for line in ran.text("/etc/passwd").splitlines()}
    assert users["ada"][2:3] + users["ada"][4:] == ["2001", "Ada, on call", "/home/ada", "/bin/bash"]
    assert users["grace"][6] == "/bin/sh"
    shadow = {line.split(":")[0]: line.split(":")[1] for line in ran.text("/etc/shadow").splitlines()}
    assert shadow["grace"] == HASH
    assert shadow["ada"].startswith("!")
    assert shadow["backup-2"].startswith("!")
    groups = {line.split(":")[0]: line.split(":")[3] for line in ran.text("/etc/group").splitlines()}
    assert groups["wheel"] == "ada"
    assert "ada" in groups["adm"].split(",")
    assert ran.text("/home/ada/.ssh/authorized_keys") == f"{KEY}\n"
    assert (ran.mode("/home/ada/.ssh"), ran.mode("/home/ada/.ssh/authorized_keys")) == ("0700", "0600")
    assert (ran.changed / "home/ada/.ssh/authorized_keys").stat().st_uid == 2001


@pytest.mark.skipif(shutil.which("visudo") is None, reason="sudo is not installed")
def test_sudoers_are_read_by_visudo(ran: chroots.Ran) -> None:
    for name, text in (("ada", "ada ALL=(ALL) NOPASSWD: ALL\n"), ("grace", "grace ALL=(ALL) ALL\n")):
        assert ran.text(f"/etc/sudoers.d/pxeapp-{name}") == text
        assert ran.mode(f"/etc/sudoers.d/pxeapp-{name}") == "0440"
        done = subprocess.run(
            ["visudo", "-cf", str(ran.changed / f"etc/sudoers.d/pxeapp-{name}")], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert not (ran.changed / "etc/sudoers.d/pxeapp-backup-2").exists()


def test_post_scripts_run_in_their_order_and_leave_nothing_behind(ran: chroots.Ran) -> None:
    assert ran.text("/root/order") == "one\ntwo\n"
    assert "the post script two ended with status 3" in ran.said
    assert not list((ran.changed / "root").glob("pxeapp-post-*"))


def test_kernel_settings(ran: chroots.Ran) -> None:
    assert ran.text("/etc/sysctl.d/90-pxeapp.conf") == (
        "vm.swappiness = 10\nnet.ipv4.ip_local_port_range = 15000 61000\n"
    )
    assert ran.text("/etc/modprobe.d/pxeapp-blacklist.conf").splitlines()[:2] == [
        "blacklist nouveau", "install nouveau /bin/false"
    ]  # fmt: skip
    assert "systemctl enable serial-getty@ttyS1.service" in ran.text("/root/told").splitlines()


def test_the_environment_knows_the_proxy_and_what_to_reach_without_it(ran: chroots.Ran) -> None:
    said = dict(line.split("=", 1) for line in ran.text("/etc/environment").splitlines() if "=" in line)
    assert said["http_proxy"] == said["HTTPS_PROXY"] == "http://ada:s3cret@proxy.example.org:3128"
    assert said["no_proxy"] == "localhost,127.0.0.1,::1,10.77.0.1,.example.org,10.0.0.0/8,registry.lan"


def test_the_agent_knows_its_server_and_itself(ran: chroots.Ran) -> None:
    said = configparser.ConfigParser()
    said.read_string(ran.text("/etc/puppet/puppet.conf"))
    assert dict(said["main"]) == {"server": "puppet.example.org", "certname": "node1.rack.example.org"}
    assert said["agent"]["environment"] == "production"
    assert "systemctl enable puppet" in ran.text("/root/told")


def test_rpm_repositories_are_read_with_their_key_priority_and_way(dnf: chroots.Ran) -> None:
    ran = dnf
    said = configparser.ConfigParser()
    said.read_string(ran.text("/etc/yum.repos.d/tools.9.repo"))
    assert dict(said["tools.9"]) == {
        "name": "tools.9", "baseurl": "http://10.77.0.1:8081/repo/tools", "enabled": "1", "gpgcheck": "1",
        "gpgkey": "file:///etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-tools.9", "priority": "50", "cost": "900",
        "proxy": "_none_",
    }  # fmt: skip
    assert ran.text("/etc/dnf/dnf.conf") == "[main]\nproxy=http://ada:s3cret@proxy.example.org:3128\n"
    key = ran.text("/etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-tools.9")
    assert key == PGP
    told = ran.text("/root/told").splitlines()
    assert told[:2] == ["update-ca-trust extract", "rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-tools.9"]
    assert ran.text("/etc/pki/ca-trust/source/anchors/pxeapp-example.crt") == CA


def test_apt_reads_its_repositories_keys_pins_and_proxy(apt: chroots.Ran) -> None:
    """By apt itself, and by gpg, in the copy of this system."""
    ran = apt
    assert ran.status == 0, ran.said
    assert ran.text("/etc/apt/sources.list.d/pxeapp-tools-9.list") == (
        "deb [signed-by=/usr/share/keyrings/pxeapp-tools.9.gpg] http://10.77.0.1:8081/repo/tools stable main extra\n"
    )
    assert "10.77.0.1" not in ran.text("/etc/apt/sources.list"), "the installer's own line would contradict the keyring"
    assert "'http://10.77.0.1:8081/repo/tools/dists/stable/InRelease'" in ran.text("/root/targets")
    assert ran.text("/etc/apt/preferences.d/pxeapp-tools-9").splitlines() == [
        "Package: *", "Pin: release o=Example, n=stable", "Pin-Priority: 700"
    ]  # fmt: skip
    config = ran.text("/root/apt-config")
    assert 'Acquire::http::Proxy "http://ada:s3cret@proxy.example.org:3128";' in config
    assert 'Acquire::http::Proxy::10.77.0.1 "DIRECT";' in config
    assert "http://installer" not in config
    if shutil.which("gpg"):
        assert ":CC5B1B7B44AC4A26C500C31011F6C9090757B177:" in ran.text("/root/keys")
    # update-ca-certificates is Debian's own: the bundle has it.
    if shutil.which("update-ca-certificates"):
        assert CA in ran.text("/etc/ssl/certs/ca-certificates.crt")


def test_what_a_role_serves_is_let_in_too() -> None:
    found = with_site(spec("debian", "13"), {"firewall": "on"})
    role = Work("object", (), (), ports=("873/tcp", "6200-6202/tcp"))
    dialect = releases.dialect("debian", "13")
    text = TEMPLATES.render("boot/site/system.sh", spec=found, dialect=dialect, work=role)
    assert "        tcp dport 873 accept\n        tcp dport 6200-6202 accept\n" in text


@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables is not installed")
def test_nft_reads_the_packet_filter(apt: chroots.Ran) -> None:
    rules = apt.text("/etc/nftables.conf")
    assert "tcp dport 8080 accept\n        tcp dport 6000-6010 accept\n        udp dport 514 accept\n" in rules
    done = subprocess.run(
        ["unshare", "--net", "nft", "-c", "-f", "-"], input=rules, capture_output=True, text=True, check=False
    )
    if "Operation not supported" in done.stderr or "Protocol not supported" in done.stderr:
        pytest.skip("this kernel has no nf_tables")
    assert done.returncode == 0, done.stderr


@real
@pytest.mark.parametrize("name", ["chrony", "timesyncd"])
def test_time_servers_stand_in_place_of_the_pools(name: str, tmp_path: Path) -> None:
    found = spec("debian", "13", ntp=("10.77.0.1", "ntp.example.org"))
    text = shells.inner(preseed.script(found, TEMPLATES))["/target/root/pxeapp-finish"]
    text = text[text.index("# Its time servers") : text.index("systemctl enable ssh")]
    before = (
        "mkdir -p /etc/chrony/sources.d\n"
        "printf 'pool 2.pool iburst\\nserver a\\nmakestep 1 3\\n' >/etc/chrony/chrony.conf\n"
        "printf 'pool ntp.ubuntu iburst\\n' >/etc/chrony/sources.d/ubuntu.sources\n"
        if name == "chrony"
        else "rm -rf /etc/chrony\nmkdir -p /etc/systemd\n: >/etc/systemd/timesyncd.conf\n"
    )
    ran = chroots.run(f"set -e\n{before}{text}{text}", tmp_path)  # twice: it is the same
    assert ran.status == 0, ran.said
    if name == "chrony":
        assert ran.text("/etc/chrony/chrony.conf") == (
            "#pool 2.pool iburst\n#server a\nmakestep 1 3\n"
            "# pxeapp\nserver 10.77.0.1 iburst\nserver ntp.example.org iburst\n"
        )
        assert ran.text("/etc/chrony/sources.d/ubuntu.sources") == "#pool ntp.ubuntu iburst\n"
    else:
        assert ran.text("/etc/systemd/timesyncd.conf.d/pxeapp.conf") == (
            "[Time]\nNTP=10.77.0.1 ntp.example.org\nFallbackNTP=\n"
        )


@real
@BOTH
def test_a_post_script_that_fails_ends_the_installation_unless_it_may(key: tuple[str, str], tmp_path: Path) -> None:
    scripts: list[dict[str, Any]] = [
        {"name": "bad", "content": ["exit 7"]}, {"name": "never", "content": ["touch /root/never"]}
    ]  # fmt: skip
    ran = chroots.run(script_of(with_site(spec(*key), {"post_scripts": scripts})), tmp_path / "stop")
    assert ran.status != 0
    assert "the post script bad ended with status 7" in ran.said
    assert not (ran.changed / "root/never").exists()


ME = pwd.getpwuid(os.geteuid()).pw_name
LINES = st.sampled_from(
    ["%end", " %end", "%pre", "EOF", "END_OF_CONTENT", "END_OF_FINISH", "END_OF_ROLE_SCRIPT", "$(reboot)", "`id`", "\\",
     "'", '"', "{{ 7 }}", "{% raw %}", "\u65e5\u672c", "caf\u00e9", "", "\t", "a\r", "x" * 300]
)  # fmt: skip
CONTENT = (
    st.binary(max_size=200)
    | st.lists(LINES, max_size=8).map(lambda lines: "\n".join(lines).encode())
    | (st.lists(LINES, max_size=8).map(lambda lines: "".join(f"{line}\n" for line in lines).encode()))
)


@BOTH
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(CONTENT, min_size=1, max_size=6))
def test_whatever_a_file_holds_it_arrives_and_does_nothing_else(
    key: tuple[str, str], contents: list[bytes], tmp_path: Path
) -> None:
    """Through the whole kickstart and Anaconda's own parser, or through the script and its two here-documents."""
    folder = tmp_path / "out"
    shutil.rmtree(folder, ignore_errors=True)
    said = [
        {"path": f"{folder}/{n}", "base64": base64.b64encode(data).decode(), "owner": ME}
        for n, data in enumerate(contents)
    ]
    text = script_of(with_site(spec(*key), {"files": said}))
    text = text[: text.index("# Keep the network first")] if "# Keep the network first" in text else text
    done = subprocess.run(["bash"], input=text.encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [(folder / str(n)).read_bytes() for n in range(len(contents))] == contents
    assert len(list(folder.iterdir())) == len(contents)
