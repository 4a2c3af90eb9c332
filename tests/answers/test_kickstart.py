"""Kickstarts: whole files, read by pykickstart in each release's own dialect, their scripts by the shells."""

from __future__ import annotations

import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pykickstart.constants import KS_SCRIPT_ONERROR, KS_SCRIPT_POST, KS_SCRIPT_PRE, KS_SCRIPT_TRACEBACK
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from pxeapp.answers import kickstart, releases
from pxeapp.answers.spec import AnswerSpec, Repository
from tests.answers import shells
from tests.answers.samples import (
    CALLBACK_TOKEN,
    DATA,
    KEEP,
    KEY,
    KICKSTARTS,
    MAC,
    NODE_URL,
    ROLES,
    SYSTEM,
    TEMPLATES,
    full,
    release,
    spec,
)  # fmt: skip
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
INCLUDE = "%include /tmp/pxeapp-disk.ks\n"
WRITTEN_BY_PRE = "ignoredisk --only-use=vda\nclearpart --all --initlabel --disklabel=gpt --drives=vda\n"
every_release = pytest.mark.parametrize(("family", "version"), KICKSTARTS)


def parse(text: str, version: str) -> Any:
    """What this release's own parser makes of it; a deprecation is an error."""
    parser = KickstartParser(makeVersion(version))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parser.readKickstartFromString(text.replace(INCLUDE, WRITTEN_BY_PRE))
    return parser.handler


def parsed(found: AnswerSpec) -> Any:
    dialect = releases.enterprise(found.release.family, found.release.version)
    return parse(kickstart.render(found, TEMPLATES), dialect.syntax)


@pytest.mark.parametrize(("number", "key"), list(enumerate(KICKSTARTS)))
def test_the_whole_file_of_each_release(number: int, key: tuple[str, str]) -> None:
    text = kickstart.render(spec(*key, ROLES[number % 3]), TEMPLATES)
    golden.check(f"{key[0]}-{key[1]}-{ROLES[number % 3]}.ks", text, GOLDEN)


def test_the_whole_file_with_everything_said() -> None:
    golden.check("rocky-9-full.ks", kickstart.render(full("rocky", "9"), TEMPLATES), GOLDEN)


@every_release
def test_the_release_reads_its_kickstart_without_errors_and_deprecations(family: str, version: str) -> None:
    every_role = (spec(family, version, role) for role in ROLES)
    for found in (*every_role, full(family, version), spec(family, version, system_disk=None)):
        handler = parsed(found)
        assert {"openssh-server", "chrony"} <= set(handler.packages.packageList)
        assert handler.packages.environment == ("minimal" if version == "7" else "minimal-environment")


@every_release
def test_only_the_system_disk_is_ever_touched(family: str, version: str) -> None:
    named, unnamed = spec(family, version, "storage"), spec(family, version, "storage", system_disk=None)
    for found, disk in ((named, SYSTEM), (unnamed, "vda")):
        handler = parsed(found)
        assert handler.ignoredisk.onlyuse == [disk]
        assert handler.clearpart.drives == [disk]
        commands = kickstart.render(found, TEMPLATES).split("%packages")[0]
        assert not any(other in commands for other in (*DATA, *KEEP))


@every_release
def test_one_line_per_card_each_by_its_mac(family: str, version: str) -> None:
    cards = parsed(full(family, version)).network.network
    assert [card.device for card in cards if card.device] == [MAC, *(f"52:54:00:00:00:0{n}" for n in (2, 3, 4, 5))]
    first, vlan, static, dynamic, dynamic_vlan = cards[:5]
    assert (first.ip, first.netmask, first.gateway) == ("10.77.0.11", "255.255.255.0", "10.77.0.1")
    assert first.nameserver == "10.77.0.2,10.77.0.3"
    assert first.activate
    assert (vlan.vlanid, vlan.ip, static.netmask) == ("120", "10.78.0.11", "255.255.0.0")
    assert (dynamic.bootProto, dynamic_vlan.vlanid) == ("dhcp", "7")
    assert all(card.nodefroute for card in cards[1:5])
    assert cards[5].hostname == "node1.rack.example.org"


@every_release
def test_keys_reach_root_in_the_way_the_release_knows(family: str, version: str) -> None:
    handler = parsed(spec(family, version))
    if version == "7":
        assert "sshkey" not in handler.commands
        assert any(KEY in script.script for script in handler.scripts if script.type == KS_SCRIPT_POST)
    else:
        assert [(key.username, key.key) for key in handler.sshkey.sshUserList] == [("root", KEY)]


@every_release
def test_time_servers_in_the_way_the_release_knows(family: str, version: str) -> None:
    handler = parsed(full(family, version))
    assert handler.timezone.timezone == "Europe/Rome"
    if version in ("7", "8"):
        servers = set(handler.timezone.ntpservers)
    else:
        servers = {line.ntp_server for line in handler.timesource.timesource_list}
    assert servers == {"10.77.0.1", "ntp.example.org"}


@every_release
def test_boot_order_and_root_password(family: str, version: str) -> None:
    handler = parsed(spec(family, version))
    assert handler.bootloader.leavebootorder
    assert handler.bootloader.bootDrive == SYSTEM
    assert handler.rootpw.lock
    assert parsed(full(family, version)).rootpw.isCrypted


def test_appstream_stands_beside_baseos_unless_it_is_named() -> None:
    found = spec("rocky", "9")
    assert [repo.baseurl for repo in parsed(found).repo.repoList] == [f"{NODE_URL}/repo/rocky-9/AppStream/x86_64/os"]
    epel = Repository("epel", f"{NODE_URL}/repo/epel")
    own = Repository("AppStream", f"{NODE_URL}/repo/own")
    with_epel = parsed(replace(found, release=replace(found.release, repositories=(epel,)))).repo.repoList
    assert [(repo.name, bool(repo.install)) for repo in with_epel] == [("AppStream", False), ("epel", True)]
    named = parsed(replace(found, release=replace(found.release, repositories=(own,)))).repo.repoList
    assert [repo.baseurl for repo in named] == [own.url]
    # A copied DVD has no BaseOS in its address: its .treeinfo names both, and a guess would name what is not there.
    dvd = replace(found, release=release("rocky", "9", install_url=f"{NODE_URL}/media/rocky-9-dvd"))
    assert parsed(dvd).repo.repoList == []


@every_release
def test_every_way_to_end_is_reported_and_installed_comes_last(family: str, version: str) -> None:
    text = kickstart.render(spec(family, version), TEMPLATES)
    scripts = parse(text, releases.enterprise(family, version).syntax).scripts
    said = [(script.type, re.findall(r"(?m)^ *report (\w+)", script.script)) for script in scripts]
    traceback = [(KS_SCRIPT_TRACEBACK, ["failed"])] if version in ("7", "8") else []  # deprecated later
    assert said == [
        (KS_SCRIPT_PRE, ["started", "failed"]),
        (KS_SCRIPT_ONERROR, ["failed"]),
        *traceback,
        (KS_SCRIPT_POST, []),
        (KS_SCRIPT_POST, ["installed"]),
    ]
    assert [script.type for script in scripts if script.errorOnFail] == [KS_SCRIPT_PRE, KS_SCRIPT_POST]
    assert not scripts[-1].errorOnFail
    assert text.rstrip().splitlines()[-2].startswith("report installed ")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize(("family", "version"), [("centos", "7"), ("rocky", "8"), ("centos", "9"), ("alma", "10")])
def test_the_shells_read_every_script(family: str, version: str) -> None:
    for found in (full(family, version), spec(family, version, system_disk=None)):
        for script in parsed(found).scripts:
            shells.check(("bash",), script.script)
            shells.lint("bash", script.script)
            for text in shells.inner(script.script).values():
                if text.startswith("#!/bin/bash"):
                    shells.check(("bash",), text)
                    shells.lint("bash", text)


@every_release
def test_the_callback_token_is_roots_alone_and_the_config_token_is_not_in_the_file(family: str, version: str) -> None:
    found = spec(family, version)
    text = kickstart.render(found, TEMPLATES)
    assert found.answer_url not in text
    inside = [script.script for script in parsed(found).scripts if script.type == KS_SCRIPT_POST and script.inChroot]
    files = {path: body for script in inside for path, body in shells.inner(script).items() if CALLBACK_TOKEN in body}
    assert list(files) == ["/usr/local/sbin/pxeapp-first-boot"]
    program = "/usr/local/sbin/pxeapp-first-boot"
    assert inside[0].index(f": >{program}\nchmod 700 {program}\n") < inside[0].index(f"cat >{program} ")
