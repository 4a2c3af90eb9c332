"""What every installer is told of a site's settings: whole files, and each release's own parser over them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pykickstart.constants import (
    KS_SCRIPT_ONERROR,
    KS_SCRIPT_POST,
    KS_SCRIPT_PRE,
    SELINUX_DISABLED,
    SELINUX_PERMISSIVE,
)

from pxeapp.answers import checks, kickstart, preseed, releases, render, storage
from pxeapp.answers.spec import AnswerSpec
from pxeapp.templates import TemplateError, Templates
from tests.answers import shells
from tests.answers.samples import AUTOINSTALLS, KICKSTARTS, NODE_URL, PRESEEDS, TEMPLATES, spec
from tests.answers.site.sample import HASH, everything, with_site
from tests.answers.storage.samples import LAYOUTS
from tests.answers.test_kickstart import parse
from tests.answers.test_preseed import lines
from tests.boot import golden

GOLDEN = Path(__file__).parent.parent / "golden"
BROKEN_OUT = re.compile(r"(?m)^(\$\(touch|%packages$)")


def parsed(found: AnswerSpec, templates: Templates = TEMPLATES) -> Any:
    dialect = releases.enterprise(found.release.family, found.release.version)
    return parse(kickstart.render(found, templates), dialect.syntax)


@pytest.mark.parametrize("key", [("centos", "7"), ("rocky", "8"), ("rocky", "9"), ("centos", "10")])
def test_whole_kickstarts(key: tuple[str, str]) -> None:
    golden.check(f"site-full-{key[0]}-{key[1]}.ks", kickstart.render(everything(*key), TEMPLATES), GOLDEN)


@pytest.mark.parametrize("key", [("debian", "12"), ("debian", "13"), ("ubuntu", "18.04")])
def test_whole_preseeds_and_scripts(key: tuple[str, str]) -> None:
    found = everything(*key)
    golden.check(f"site-full-{key[0]}-{key[1]}.cfg", preseed.render(found, TEMPLATES), GOLDEN)
    golden.check(f"site-full-{key[0]}-{key[1]}.sh", preseed.script(found, TEMPLATES), GOLDEN)


def test_whole_kernel_command_lines() -> None:
    keys = [*((*key, "kickstart") for key in KICKSTARTS), *((*key, "preseed") for key in PRESEEDS)]
    keys += [(*key, "autoinstall") for key in AUTOINSTALLS]
    said_then = [
        f"{family} {version} by {installer}\n  {render.kernel_args(everything(family, version, 'base', installer))}"
        for family, version, installer in keys
    ]
    golden.check("site-full-kernel-args.txt", "\n".join(said_then) + "\n", GOLDEN)


@pytest.mark.parametrize(("family", "version"), KICKSTARTS)
def test_the_release_reads_it_without_errors_and_deprecations(family: str, version: str) -> None:
    handler = parsed(everything(family, version))
    assert handler.selinux.selinux == SELINUX_PERMISSIVE
    assert handler.firewall.enabled
    assert handler.firewall.ports == ["8080:tcp", "6000-6010:tcp", "514:udp"]
    assert "ssh" in handler.firewall.services
    assert (handler.logging.host, str(handler.logging.port)) == ("10.77.0.9", "5514")
    (site_repo,) = [repo for repo in handler.repo.repoList if repo.name == "tools.9"]
    assert (site_repo.baseurl, site_repo.cost, site_repo.proxy) == (f"{NODE_URL}/repo/tools", 900, "")
    assert "nano" in handler.packages.excludedList
    assert {"sudo", "puppet-agent", "ca-certificates"} <= set(handler.packages.packageList)
    assert not handler.bootloader.leavebootorder  # disk-first
    assert handler.bootloader.appendLine == (
        "console=tty0 console=ttyS1,57600 mitigations=auto,nosmt nvme_core.default_ps_max_latency_us=0 "
        "modprobe.blacklist=nouveau,floppy"
    )


@pytest.mark.parametrize(("family", "version"), KICKSTARTS)
def test_no_text_ends_a_section_of_the_kickstart(family: str, version: str) -> None:
    """The sample's texts hold `%end`, `%packages` and every terminator of ours: as many sections as without them."""
    plain, nasty = parsed(spec(family, version)), parsed(everything(family, version))
    assert [script.type for script in nasty.scripts] == [script.type for script in plain.scripts]
    assert not any(BROKEN_OUT.search(script.script) for script in nasty.scripts)


@pytest.mark.parametrize(("family", "version"), KICKSTARTS)
def test_selinux_off_is_off(family: str, version: str) -> None:
    handler = parsed(with_site(spec(family, version), {"selinux": "disabled", "firewall": "off"}))
    assert handler.selinux.selinux == SELINUX_DISABLED
    assert handler.firewall.enabled is False
    # From EL9 on the configuration file alone leaves it on, without a policy.
    assert ("selinux=0" in handler.bootloader.appendLine.split()) is (version in ("9", "10"))


@pytest.mark.parametrize(("family", "version"), [("centos", "7"), ("rocky", "9"), ("centos", "10")])
def test_what_is_away_is_fetched_by_the_proxy_and_the_appliances_own_is_not(family: str, version: str) -> None:
    away = {"name": "away", "url": "https://away.example.com/el"}
    found = with_site(spec(family, version), {"proxy": "http://p.example.org:3128", "repositories": [away]})
    handler = parsed(found)
    assert handler.url.proxy in ("", None)
    assert {repo.name: repo.proxy or "" for repo in handler.repo.repoList}["away"] == "http://p.example.org:3128"
    assert all(not repo.proxy for repo in handler.repo.repoList if repo.name != "away")
    assert "inst.proxy" not in render.kernel_args(found)


@pytest.mark.parametrize(("family", "version"), KICKSTARTS)
def test_the_installers_own_part(family: str, version: str) -> None:
    handler = parsed(everything(family, version))
    (pre,) = [script.script for script in handler.scripts if script.type == KS_SCRIPT_PRE]
    assert pre.index("\nif ! pre_scripts; then") < pre.index('keep_host_keys "')
    assert "ca-bundle.crt" in pre
    post = [script.script for script in handler.scripts if script.type == KS_SCRIPT_POST]
    assert "restore_host_keys /mnt/" in post[-1]
    assert "send_log /tmp/anaconda.log anaconda.log" in post[-1]
    assert "send_log /tmp/anaconda.log anaconda.log" not in parsed(spec(family, version)).scripts[-1].script
    silent = parsed(with_site(spec(family, version), {"installer_logs": "never"}))
    onerror = next(script.script for script in silent.scripts if script.type == KS_SCRIPT_ONERROR)
    assert "anaconda.log anaconda.log" not in onerror


@pytest.mark.parametrize(
    ("family", "version", "kind"),
    [("rocky", "9", "kickstart"), ("debian", "13", "script"), ("ubuntu", "24.04", "script")],
)
def test_no_log_leaves_the_machine_where_none_is_to(family: str, version: str, kind: str) -> None:
    """Nor is there anything left that could send one: not at the end, not for the other disks, not after a failure."""
    found = replace(spec(family, version), storage=storage.read(LAYOUTS["spare"]))
    calls = ("/logs/", "send_log")
    assert all(each in render.render(kind, found, TEMPLATES) for each in calls)
    text = render.render(kind, with_site(found, {"installer_logs": "never"}), TEMPLATES)
    assert not any(each in text for each in calls)
    assert "spare" in text


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("key", [("centos", "7"), ("rocky", "9"), ("centos", "10")])
def test_bash_and_shellcheck_read_the_scripts_of_kickstarts(key: tuple[str, str]) -> None:
    for tool in ({"tool": "salt", "server": "salt"}, {"tool": "ansible", "repository": "https://h/x.git"}):
        for script in parsed(everything(*key, handover=tool)).scripts:
            shells.check(("bash",), script.script)
            shells.lint("bash", script.script)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("key", [("debian", "13"), ("ubuntu", "16.04"), ("ubuntu", "20.04")])
def test_the_installers_shells_and_shellcheck_read_the_script_of_preseeds(key: tuple[str, str]) -> None:
    script = preseed.script(everything(*key), TEMPLATES)
    for shell in (("dash",), ("busybox", "sh"), ("bash", "--posix")):
        if shutil.which(shell[0]):
            shells.check(shell, script)
    shells.lint("dash", script)
    finish = shells.inner(script)["/target/root/pxeapp-finish"]
    shells.check(("bash",), finish)
    shells.lint("bash", finish)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("key", [("ubuntu", "20.04"), ("ubuntu", "24.04")])
def test_the_live_sessions_shell_and_shellcheck_read_the_script_of_autoinstall(key: tuple[str, str]) -> None:
    script = render.render("script", everything(*key, "base", "autoinstall"), TEMPLATES)
    shells.check(("dash",), script)
    shells.lint("dash", script)
    finish = shells.inner(script)["/target/root/pxeapp-finish"]
    shells.check(("bash",), finish)
    shells.lint("bash", finish)
    for part in (
        "pre_scripts",
        "keep_host_keys",
        "restore_host_keys /target",
        "installer_certificates",
        "logger --udp",
    ):
        assert part in script, part
    assert "post_script one stop" in finish
    assert "useradd -m -U" in finish


@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_debconf_is_told_each_thing_once(family: str, version: str) -> None:
    found = everything(family, version)
    split = lines(found)
    keys = [key for _, key, *_ in split]
    assert sorted(set(keys)) == sorted(keys)
    values = {key: value for _, key, _, value in split}
    # The release has a repository of its own: the site's are counted on from there, for a gap ends the list.
    assert values["apt-setup/local1/repository"] == f"{NODE_URL}/repo/tools stable main extra"
    if family == "debian":
        assert values["apt-setup/local1/key"].startswith("base64://")
    else:
        assert values["apt-setup/local1/key"] == f"{NODE_URL}/repo/tools/key.asc"
    assert values["grub-installer/update-nvram"] == "true"
    assert values["mirror/http/proxy"] == "", "the mirror is the appliance's"
    assert "nano" not in values["pkgsel/include"].split()
    assert {"sudo", "nftables", "apparmor"} <= set(values["pkgsel/include"].split())


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not installed")
@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_a_repository_without_a_key_is_one_that_the_installers_apt_reads(
    family: str, version: str, tmp_path: Path
) -> None:
    """apt-setup writes `deb` and what it was told, lets apt read it, and takes the line out where apt will not."""
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/Packages").write_text("")
    (tmp_path / "repo/Release").write_text("Suite: tools\n")
    tools = {"name": "tools", "url": "http://tools.example.org/deb", "suite": "./"}
    found = with_site(spec(family, version), {"repositories": [tools]})
    said = {key: value for _, key, _, value in lines(found)}["apt-setup/local1/repository"]
    assert checks.check("preseed", render.render("preseed", found, TEMPLATES), found) == []
    (tmp_path / "sources.list").write_text(
        f"deb {said}\n".replace("http://tools.example.org/deb", f"file:{tmp_path}/repo")
    )
    (tmp_path / "state/lists/partial").mkdir(parents=True)
    (tmp_path / "cache/archives/partial").mkdir(parents=True)
    places = {"Dir::State": "state", "Dir::Cache": "cache", "Dir::Etc::SourceList": "sources.list"}
    done = subprocess.run(
        ["apt-get", "update", "-o", "Dir::Etc::SourceParts=/dev/null", "-o", "APT::Sandbox::User=root"]
        + [f"-o{name}={tmp_path / place}" for name, place in places.items()],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("E:") == 0


@pytest.mark.parametrize(
    ("family", "version", "installer"),
    [*((*key, "kickstart") for key in KICKSTARTS), *((*key, "preseed") for key in PRESEEDS),
     *((*key, "autoinstall") for key in AUTOINSTALLS)],
)  # fmt: skip
def test_what_only_a_repository_of_the_systems_has_is_installed_when_the_system_knows_it(
    family: str, version: str, installer: str
) -> None:
    """The agent that takes over, and the site's own packages: their repository is kept out of the installation."""
    salt = {"name": "salt", "url": "https://salt.example.com/repo", "installer": False}
    if installer != "kickstart":
        salt["suite"] = "./"
    said = {"repositories": [salt], "handover": {"tool": "salt", "server": "salt"}, "packages": ["own-agent", "-nano"]}
    found = with_site(spec(family, version, "base", installer), said)
    found = replace(found, packages=(*found.packages, "own-agent"))
    texts = {kind: render.render(kind, found, TEMPLATES) for kind in render.kinds(installer)}
    kind, told = {
        "kickstart": ("kickstart", r"(?ms)^%packages$(.*?)^%end$"),
        "preseed": ("preseed", r"(?m)^d-i pkgsel/include (.*)$"),
        "autoinstall": ("user-data", r"(?ms)^  packages:(.*?)^  updates:"),
    }[installer]
    asked = re.findall(told, texts[kind])
    assert len(asked) == 1
    assert not {"salt-minion", "own-agent"} & set(re.findall(r"[a-z-]+", asked[0]))
    last = texts["kickstart" if installer == "kickstart" else "script"]
    order = (
        r"(?s)salt\.example\.com/repo.*\b(dnf|yum|apt-get) -q.* install .*salt-minion own-agent\n.*enable salt-minion"
    )
    assert re.search(order, last)
    if installer == "kickstart":
        assert last.index("install salt-minion own-agent") < last.index("systemctl enable chronyd")
        assert not re.search(r"(?m)^services ", last), "one of them may be of a package that is installed late"
    assert [checks.check(kind, text, found) for kind, text in texts.items()] == [[] for _ in texts]
    known = with_site(spec(family, version, "base", installer), {**said, "repositories": [{**salt, "installer": True}]})
    if installer != "autoinstall":
        assert "salt-minion" in re.findall(told, render.render(kind, known, TEMPLATES))[0]


def test_the_installer_of_debian_fetches_by_the_proxy_what_is_away() -> None:
    found = spec("debian", "13")
    away = type(found.release)("x", "debian", "13", "preseed", "http://deb.example.com/debian")
    found = with_site(replace(found, release=away), {"proxy": "http://p.example.org:3128"})
    assert {key: value for _, key, _, value in lines(found)}["mirror/http/proxy"] == "http://p.example.org:3128"


@pytest.mark.skipif(shutil.which("debconf-set-selections") is None, reason="debconf is not installed")
@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_debconf_reads_it(family: str, version: str, tmp_path: Path) -> None:
    path = tmp_path / "preseed.cfg"
    path.write_text(preseed.render(everything(family, version), TEMPLATES))
    done = subprocess.run(
        ["debconf-set-selections", "-c", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("family", "version", "installer"),
    [("rocky", "9", "kickstart"), ("debian", "13", "preseed"), ("ubuntu", "24.04", "autoinstall")],
)
def test_no_secret_is_shown(family: str, version: str, installer: str) -> None:
    found = everything(family, version, "base", installer)
    for kind in render.kinds(installer):
        shown = render.mask(render.render(kind, found, TEMPLATES), found)
        assert not any(secret in shown for secret in ("s3cret", HASH, "a token in plain", "AAECAw==")), kind
    assert "s3cret" not in render.mask(render.kernel_args(found), found)


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "boot/site").mkdir(parents=True)
    (tmp_path / "boot/site/motd").write_text("I am {{ spec.hostname }}\n%end\n$(reboot)\n")
    (tmp_path / "boot/site/wrong").write_text("\n{{ spec.nothing }}\n")
    return Templates(tmp_path)


@pytest.mark.parametrize("key", [("rocky", "9"), ("debian", "13")])
def test_a_text_can_come_from_a_template_of_the_sites(key: tuple[str, str], templates: Templates) -> None:
    found = with_site(spec(*key), {"files": [{"path": "/etc/motd", "template": "boot/site/motd"}]})
    kind = "kickstart" if key[0] == "rocky" else "script"
    text = render.render(kind, found, templates)
    assert "$(reboot)" not in text, "it is encoded: its %end would end the section"
    plain = with_site(spec(*key), {"files": [{"path": "/etc/motd", "content": ["I am node1", "%end", "$(reboot)"]}]})
    assert text == render.render(kind, plain, templates)


def test_a_mistake_in_such_a_template_is_said_with_its_line(templates: Templates) -> None:
    found = with_site(spec("rocky", "9"), {"post_scripts": [{"name": "x", "template": "boot/site/wrong"}]})
    with pytest.raises(TemplateError, match=r"boot/site/wrong, line 2: .*nothing"):
        kickstart.render(found, templates)


def test_a_machine_without_settings_is_told_what_it_always_was() -> None:
    for key in (("rocky", "9"), ("debian", "13")):
        kind = "kickstart" if key[0] == "rocky" else "script"
        text = render.render(kind, spec(*key), TEMPLATES)
        assert "put()" not in text
        assert "restore_host_keys" not in text


@pytest.mark.parametrize(
    ("family", "version", "installer"),
    [
        *((*key, "kickstart") for key in KICKSTARTS),
        *((*key, "preseed") for key in PRESEEDS),
        *((*key, "autoinstall") for key in AUTOINSTALLS),
    ],
)
def test_the_checks_before_a_deployment_find_no_fault(family: str, version: str, installer: str) -> None:
    found = everything(family, version, "base", installer)
    for kind in render.kinds(installer):
        assert checks.check(kind, render.render(kind, found, TEMPLATES), found) == [], kind


@pytest.mark.parametrize("key", [("rocky", "9"), ("debian", "13")])
def test_a_site_with_templates_of_its_own_is_told_the_same(key: tuple[str, str], tmp_path: Path) -> None:
    """They are rendered elsewhere, from plain values: no method of ours can be called there."""
    name, kind = ("kickstarts/base.ks", "kickstart") if key[0] == "rocky" else ("preseeds/installer.sh", "script")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text((Path(__file__).parents[3] / name).read_text())
    found = everything(*key)
    assert render.render(kind, found, Templates(tmp_path)) == render.render(kind, found, TEMPLATES)
