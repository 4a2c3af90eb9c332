"""Which file for which installer, kernel command lines, masks, and what is not possible."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.answers import releases, render
from pxeapp.answers.spec import ReleaseSpec
from pxeapp.boot.spec import InstallBoot, words
from pxeapp.errors import Invalid, NotFound
from tests.answers.samples import (
    ANSWER_TOKEN,
    CALLBACK_TOKEN,
    KICKSTARTS,
    PRESEEDS,
    RELEASES,
    SHA512,
    TEMPLATES,
    full,
    release,
    spec,
)
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"


def test_the_command_line_of_every_release() -> None:
    lines = [f"{family} {version}\n  {render.kernel_args(spec(family, version))}" for family, version in RELEASES]
    focal = render.kernel_args(spec("ubuntu", "20.04", installer="autoinstall"))
    static = [
        f"{family} {version}, static\n  {render.kernel_args(full(family, version))}"
        for family, version in (("rocky", "9"), ("debian", "13"), ("ubuntu", "20.04"), ("ubuntu", "24.04"))
    ]
    text = "\n".join([*lines, f"ubuntu 20.04, autoinstall\n  {focal}", *static])
    golden.check("kernel-args.txt", f"{text}\n", GOLDEN)


@pytest.mark.parametrize(("family", "version"), KICKSTARTS)
def test_anaconda_reads_every_option_of_ours(family: str, version: str) -> None:
    said = render.kernel_args(spec(family, version)).split()
    known = {"inst.ks", "inst.repo", "inst.ks.sendmac", "inst.ks.sendsn", "inst.nosave", "inst.cmdline", "ip", "BOOTIF",
             "rd.net.timeout.carrier", "console"}  # fmt: skip
    assert {word.partition("=")[0] for word in said} == known
    assert "BOOTIF=01-52-54-00-00-00-01" in said
    assert said[-1] == "console=ttyS0,115200"  # the last one is the one that is used


@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_debian_installer_knows_before_it_has_a_network(family: str, version: str) -> None:
    line = render.kernel_args(full(family, version))
    said = dict(word.partition("=")[::2] for word in words(line.split(" --- ")[0]))
    assert (said["hostname"], said["domain"], said["interface"]) == ("node1", "rack.example.org", "auto")
    assert (said["auto"], said["priority"]) == ("true", "critical")
    assert said["netcfg/get_gateway"] == "10.77.0.1"
    assert said["netcfg/get_nameservers"] == '"10.77.0.2 10.77.0.3"'
    assert line.endswith(" --- console=ttyS0,115200")
    assert " domain= " in render.kernel_args(spec(family, version, domain=""))


@pytest.mark.parametrize(("family", "version"), RELEASES)
def test_the_longest_command_line_fits_every_loader(family: str, version: str) -> None:
    found = full(family, version)
    longest = replace(found, hostname="h" * 63, domain=".".join(["d" * 60] * 4))
    args = render.kernel_args(longest)
    InstallBoot("node1", "52:54:00:00:00:01", "x", "media/x/linux", ("media/x/initrd",), args)
    assert len(args) < 1800  # the loaders add the paths of kernel and initrd


@pytest.mark.parametrize(("family", "version"), [("rocky", "9"), ("debian", "13")])
def test_a_releases_arguments_are_added_and_its_consoles_win(family: str, version: str) -> None:
    added = render.kernel_args(spec(family, version, release=release(family, version, kernel_args="nomodeset x=1")))
    assert "console=ttyS0,115200 nomodeset x=1" in added
    own = render.kernel_args(spec(family, version, release=release(family, version, kernel_args="console=ttyS1 x=1")))
    assert "console=ttyS1 x=1" in own
    assert "console=tty0" not in own.split(" --- ")[0]


def test_each_installer_is_given_its_own_files() -> None:
    assert render.kinds("kickstart") == ["kickstart"]
    assert render.kinds("preseed") == ["preseed", "script"]
    assert render.kinds("autoinstall") == ["user-data", "meta-data", "vendor-data", "network-config", "script"]
    with pytest.raises(NotFound, match=r"rocky-9 is given no preseed\. It is given: kickstart\."):
        render.render("preseed", spec("rocky", "9"), TEMPLATES)


@pytest.mark.parametrize(("family", "version"), RELEASES)
def test_what_an_operator_sees_holds_no_secret(family: str, version: str) -> None:
    found = full(family, version)
    for kind in render.kinds(found.release.installer):
        text = render.render(kind, found, TEMPLATES)
        shown = render.mask(text, found)
        assert not any(secret in shown for secret in (ANSWER_TOKEN, CALLBACK_TOKEN, SHA512))
        assert len(shown.splitlines()) == len(text.splitlines())
        assert "/c/***/" in shown or kind in ("preseed", "meta-data", "vendor-data", "network-config")
    assert ANSWER_TOKEN not in render.mask(render.kernel_args(found), found)


def test_a_short_placeholder_is_masked_in_its_place_only() -> None:
    found = spec("debian", "13", answer_url="http://h/a/TOKEN", callback_url="http://h/c/TOKEN", packages=("token",))
    shown = render.mask("wget http://h/a/TOKEN/script # TOKEN http://h/c/TOKEN/events", found)
    assert shown == "wget http://h/a/***/script # TOKEN http://h/c/***/events"


@pytest.mark.parametrize(
    ("family", "version", "installer", "said"),
    [
        ("ubuntu", "22.04", "preseed", "We install ubuntu 22.04 by autoinstall, not by preseed"),
        ("ubuntu", "18.04", "autoinstall", "We install ubuntu 18.04 by preseed, not by autoinstall"),
        ("ubuntu", "20.04", "kickstart", "We install ubuntu 20.04 by preseed or autoinstall, not by kickstart"),
        ("ubuntu", "14.04", "preseed", "There are no answer files for ubuntu 14.04.*Possible are: .*ubuntu 26.04"),
        ("debian", "13", "kickstart", "We install debian 13 by preseed, not by kickstart"),
        ("rocky", "9", "preseed", "We install rocky 9 by kickstart, not by preseed"),
        ("debian", "11", "preseed", "There are no answer files for debian 11"),
        ("centos", "8", "kickstart", "Possible are: centos 7, centos 9, .*rocky 8"),
        ("suse", "15", "kickstart", "There are no answer files for suse 15"),
    ],
)
def test_what_is_not_possible_is_said_with_what_is(family: str, version: str, installer: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        replace(spec("rocky", "9"), release=ReleaseSpec("x", family, version, installer, "http://h/x"))
    assert refused.value.problems


@pytest.mark.parametrize(
    ("family", "version", "means"),
    [
        ("rocky", "9.4", ("rocky", "9", "kickstart")),
        ("centos", "9-stream", ("centos", "9", "kickstart")),
        ("debian", "13.2", ("debian", "13", "preseed")),
        ("ubuntu", "20.04.6", ("ubuntu", "20.04", "preseed")),
        ("ubuntu", "24.04.3", ("ubuntu", "24.04", "autoinstall")),
    ],
)
def test_a_point_release_is_its_release(family: str, version: str, means: tuple[str, str, str]) -> None:
    assert releases.dialect(family, version) is releases.DIALECTS[means]
