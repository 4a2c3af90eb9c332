"""What installers fetch by the proxy, and that the appliance is spoken to without it: by real curls and wgets."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pxeapp.answers import preseed, render
from pxeapp.answers.spec import AnswerSpec
from tests.answers import shells
from tests.answers.appliance import running
from tests.answers.samples import TEMPLATES, spec
from tests.answers.site.sample import with_site
from tests.answers.test_running import AWAY, _programs, first_boot, functions, kickstart_for, run, section

ROOT = Path(__file__).parents[3]
PROXY = "http://p.example.org:3128"
ENVIRONMENT = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), AWAY)
CALL = re.compile(r"\b(?:curl|wget) -(?:[^\\\n|]|\\\n)*")
SAID = ("--noproxy '*'", "--no-proxy", "--proxy=off", "--proxy ", "http_proxy=", "--help")


def away(found: AnswerSpec, **more: Any) -> AnswerSpec:
    """The same machine, whose installer fetches what it installs from elsewhere, by a proxy."""
    said = {"archive": "http://ubuntu.example.com/ubuntu"} if found.release.archive else {
        "install_url": "http://mirror.example.com/os"
    }  # fmt: skip
    found = replace(found, release=replace(found.release, **said))
    return with_site(found, {"proxy": {"url": PROXY, "no_proxy": [".example.net"], **more}})


@pytest.mark.parametrize(
    ("language", "program"),
    [("kickstart", "curl"), ("preseed", "wget"), ("autoinstall", "curl"), ("autoinstall", "wget")],
)
@pytest.mark.network
def test_no_proxy_stands_between_the_installers_script_and_the_appliance(
    language: str, program: str, tmp_path: Path
) -> None:
    """Anaconda and subiquity export theirs to every script; nobody listens where this one is said to be."""
    programs = _programs(tmp_path, program, "date", "sleep", "grep")
    (tmp_path / "anaconda.log").write_text("the end\n")
    with running() as appliance:
        url = f"{appliance.url}/c/{'C' * 43}"
        if language == "kickstart":
            body = section(kickstart_for(appliance.url), "onerror").replace("/tmp/", f"{tmp_path}/")
            done = run(("bash",), body, path=programs, **ENVIRONMENT)
        else:
            family, version = ("debian", "13") if language == "preseed" else ("ubuntu", "24.04")
            found = spec(family, version, callback_url=url)
            kind = functions(render.render("script", found, TEMPLATES)).replace("/run/", f"{tmp_path}/")
            call = "report started hello 0" + (
                f"\nsend_log {tmp_path}/anaconda.log anaconda.log" if language == "autoinstall" else ""
            )
            done = run(("dash",), f"{kind}\n{call}", path=programs, **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert len(appliance.events) == 1
    if language != "preseed":
        assert appliance.logs["anaconda.log"] == b"the end\n"


@pytest.mark.network
@pytest.mark.parametrize("program", ["curl", "wget"])
def test_nor_between_it_and_the_first_boot(program: str, tmp_path: Path) -> None:
    path = _programs(tmp_path, program)
    with running() as appliance:
        script = first_boot(appliance, tmp_path).replace("seq 1 300", "seq 1 2").replace("seq 1 30)", "seq 1 1)")
        run(("bash",), script, path=path, **ENVIRONMENT)
    assert [event["event"] for event in appliance.events] == ["first_boot"]


@pytest.mark.parametrize("folder", ["boot", "kickstarts", "preseeds", "roles"])
def test_every_call_says_whether_it_goes_by_a_proxy(folder: str) -> None:
    """But for the first one in debian-installer, where nobody has said a proxy yet."""
    calls = [
        (path.name, call[0])
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file()
        for call in CALL.finditer(path.read_text())
    ]
    forgotten = [name for name, call in calls if not any(word in call for word in SAID)]
    assert forgotten == (["_installer.cfg"] if folder == "preseeds" else [])


@pytest.mark.parametrize(
    ("key", "word"), [(("rocky", "9"), True), (("ubuntu", "24.04"), True), (("debian", "13"), False)]
)
def test_the_installers_own_requests_to_us_go_around_it_too(key: tuple[str, str], word: bool) -> None:
    """By systemd, which gives it to the installer: its proxy is set for the whole of its environment."""
    said = "systemd.setenv=no_proxy=localhost,127.0.0.1,::1,10.77.0.1,.example.net,[::1]"
    assert (said in render.kernel_args(away(spec(*key))).split(" --- ")[0].split()) is word
    assert "no_proxy" not in render.kernel_args(with_site(spec(*key), {"proxy": PROXY}))


def test_debian_installers_own_downloads_go_around_it_and_so_does_apt(tmp_path: Path) -> None:
    found = away(spec("debian", "13"))
    text = functions(preseed.script(found, TEMPLATES))
    for there in ("/etc/wgetrc", "/usr/lib/base-installer.d", "/target/"):
        text = text.replace(there, f"{tmp_path}{there}")
    (tmp_path / "etc").mkdir()
    hook = f"sh {tmp_path}/usr/lib/base-installer.d/06pxeapp-direct"
    done = run(("dash",), f"{text}\naround_proxy\n{hook}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/wgetrc").read_text() == "no_proxy = localhost,127.0.0.1,::1,10.77.0.1,.example.net\n"
    direct = (tmp_path / "target/etc/apt/apt.conf.d/90pxeapp-proxy").read_text()
    assert 'Acquire::http::Proxy::10.77.0.1 "DIRECT";' in direct
    assert "around_proxy" not in preseed.script(with_site(spec("debian", "13"), {"proxy": PROXY}), TEMPLATES)


@pytest.mark.parametrize("system", [True, False])
def test_the_installers_proxy_alone_is_not_left_behind_in_the_system(system: bool) -> None:
    script = preseed.script(away(spec("debian", "13"), system=system), TEMPLATES)
    assert ("rm -f /target/etc/apt/apt.conf.d/90pxeapp-proxy" in script) is not system
    shells.check(("dash",), script)
    if shutil.which("shellcheck"):
        shells.lint("dash", script)


@pytest.mark.network
@pytest.mark.parametrize("direct", [True, False])
def test_an_rpm_repositorys_key_is_fetched_the_way_that_leads_there(direct: bool, tmp_path: Path) -> None:
    """rpm fetches keys too, but by no proxy: where one is needed, it would end the installation."""
    asked: list[str] = []

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the key\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        here = f"127.0.0.1:{server.server_port}"
        away = f"http://{here if direct else 'keys.example.invalid'}/a.asc"
        proxy = {"url": AWAY if direct else f"http://{here}", "no_proxy": ["127.0.0.1"]}
        outside = {"name": "tools", "url": "https://rpm.example.com/el", "key": away}
        found = with_site(spec("rocky", "9"), {"proxy": proxy, "repositories": [outside]})
        text = TEMPLATES.render("boot/site/_repositories_dnf.sh", spec=found, site=found.site).replace(
            "/etc/", f"{tmp_path}/"
        )
        (tmp_path / "pki/rpm-gpg").mkdir(parents=True)
        (tmp_path / "yum.repos.d").mkdir()
        done = run(("bash",), f'set -e\nput() {{ cat >"$1"; }}\nrpm() {{ cat "$2"; }}\n{text}')
        server.shutdown()
    assert (done.returncode, done.stdout) == (0, "the key\n"), done.stderr
    assert asked == ["/a.asc" if direct else "http://keys.example.invalid/a.asc"]
    assert (
        f"gpgkey=file://{tmp_path}/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-tools\n"
        in (tmp_path / "yum.repos.d/tools.repo").read_text()
    )
