"""The boot scripts: whole files for each language, and what each language refuses."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.boot import grub, ipxe, pxelinux
from pxeapp.boot.spec import BadBootValue, InstallBoot, LocalBoot, plain, words
from pxeapp.errors import Invalid
from pxeapp.templates import Templates
from tests.boot import golden
from tests.boot.samples import INSTALL, LOCAL, MAC, NODE_URL, TWO_INITRDS

TEMPLATES = Templates()


def _ipxe(boot: InstallBoot | LocalBoot) -> str:
    return ipxe.render(boot, TEMPLATES, node_url=NODE_URL)


def _grub(boot: InstallBoot | LocalBoot) -> str:
    return grub.render(boot, TEMPLATES)


def _pxelinux(boot: InstallBoot | LocalBoot) -> str:
    return pxelinux.render(boot, TEMPLATES)


RENDERERS = {"ipxe": _ipxe, "grub.cfg": _grub, "pxelinux": _pxelinux}


@pytest.mark.parametrize("language", RENDERERS)
@pytest.mark.parametrize(
    ("name", "boot"),
    [("install", INSTALL), ("two-initrds", TWO_INITRDS), ("local", LOCAL)],
    ids=lambda value: str(value)[:12],
)
def test_the_machines_own_script(language: str, name: str, boot: InstallBoot | LocalBoot) -> None:
    golden.check(f"{name}.{language}", RENDERERS[language](boot))


def test_static_first_stages() -> None:
    golden.check("autoexec.ipxe", ipxe.render_autoexec(TEMPLATES, node_url=NODE_URL))
    golden.check("first.grub.cfg", grub.render_first(TEMPLATES))
    golden.check("localdisk.grub.cfg", grub.render_local_disk(TEMPLATES))
    golden.check("default.pxelinux", pxelinux.render_default(TEMPLATES))


def test_grub_over_http_names_the_server() -> None:
    golden.check("install-http.grub.cfg", grub.render(INSTALL, TEMPLATES, node_url=NODE_URL))


def test_a_client_with_the_short_url_is_asked_for_its_identity() -> None:
    golden.check("local-identity.ipxe", ipxe.render(LOCAL, TEMPLATES, node_url=NODE_URL, report_identity=True))


def test_no_script_waits_for_a_person() -> None:
    for render in RENDERERS.values():
        for boot in (INSTALL, LOCAL):
            assert not re.search(r"(?im)^\s*(prompt\s+(?!0)|menu|choose|read\b|shell)", render(boot))


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\tb", "a\0b", "caf\u00e9", 'open"', "x" * 2048])
def test_an_argument_that_no_language_can_carry_is_refused_by_field(value: str) -> None:
    with pytest.raises(BadBootValue) as refused:
        replace(INSTALL, args=value)
    assert refused.value.problems[0].field == "args"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("machine", "a b"),
        ("machine", "x\nboot"),
        ("release", "../etc"),
        ("kernel", "/etc/passwd"),
        ("kernel", "media/../../etc/passwd"),
        ("kernel", "media/.hidden/linux"),
        ("kernel", "media/x/li nux"),
        ("kernel", "media/x/${net0/mac}"),
        ("initrds", ("media/x/a,b",)),
        ("mac", "52-54-00-00-00-01"),
        ("mac", "nonsense"),
    ],
)
def test_a_name_or_path_that_means_something_else_is_refused(field: str, value: object) -> None:
    with pytest.raises(Invalid) as refused:
        replace(INSTALL, **{field: value})  # type: ignore[arg-type]
    assert refused.value.problems


@pytest.mark.parametrize("word", ["${net0/mac}", ";", "||", "&&", "#comment", 'a="b  c"'])
def test_ipxe_refuses_what_it_would_expand_or_cut(word: str) -> None:
    with pytest.raises(BadBootValue, match="iPXE"):
        _ipxe(replace(INSTALL, args=f"auto=true {word} more"))


@pytest.mark.parametrize("word", ["it's", "back\\slash"])
def test_grub_refuses_what_it_would_hand_on_altered(word: str) -> None:
    with pytest.raises(BadBootValue, match="GRUB"):
        _grub(replace(INSTALL, args=word))


def test_a_command_line_that_a_loader_would_cut_off_is_refused() -> None:
    # 2040 fit the kernel, but not with what the loaders add.
    long = replace(INSTALL, args="a" * 2040)
    for render in RENDERERS.values():
        with pytest.raises(BadBootValue, match="characters"):
            render(long)


def test_pxelinux_refuses_a_lone_dash() -> None:
    with pytest.raises(BadBootValue, match="dash"):
        _pxelinux(replace(INSTALL, args="-"))


@pytest.mark.parametrize("url", ["http://h:1/", "ftp://h", "http://h/${x}", "http://h\nx", "http://a b", ""])
def test_a_base_url_that_is_not_one_word_is_refused(url: str) -> None:
    with pytest.raises(BadBootValue, match="node_url"):
        ipxe.render(INSTALL, TEMPLATES, node_url=url)


def test_words_are_split_as_the_kernel_splits_them() -> None:
    assert words('a=1  b="two words" "c=three words" --- d') == ("a=1", 'b="two words"', '"c=three words"', "---", "d")


ARGUMENTS = st.lists(st.from_regex(r"[A-Za-z0-9_.=:,/;@&|<>()$*!?{}\[\]~^%+-]{1,30}", fullmatch=True), max_size=12).map(
    " ".join
)


@given(ARGUMENTS)
def test_every_argument_reaches_the_kernel_unchanged_or_is_refused(args: str) -> None:
    boot = replace(INSTALL, args=args)
    for render, read in ((_ipxe, _kernel_words_ipxe), (_grub, _kernel_words_grub), (_pxelinux, _kernel_words_pxelinux)):
        try:
            text = render(boot)
        except BadBootValue:
            continue
        assert read(text) == args.split()


def _kernel_words_ipxe(text: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith("kernel "))
    assert "${" not in line
    return line.removesuffix(" || goto again").split()[4:-1]


def _kernel_words_grub(text: str) -> list[str]:
    # GRUB's single quotes are the shell's: everything between two of them is literal.
    line = next(line.strip() for line in text.splitlines() if line.strip().startswith("if linux "))
    return shlex.split(line.removesuffix("; then"))[3:]


def _kernel_words_pxelinux(text: str) -> list[str]:
    line = next((line for line in text.splitlines() if line.startswith("  APPEND")), "")
    return line.split()[1:]


@given(st.text(max_size=300))
def test_any_reason_lets_the_machine_reach_its_disk(reason: str) -> None:
    clean = plain(reason)
    assert re.fullmatch(r"[A-Za-z0-9 .,:()/_?-]*", clean)
    reference = LocalBoot("")
    for render in RENDERERS.values():
        assert len(render(LocalBoot(reason)).splitlines()) == len(render(reference).splitlines())


@pytest.mark.skipif(shutil.which("grub-script-check") is None, reason="grub-common is not installed")
@pytest.mark.parametrize(
    "render",
    [lambda: _grub(INSTALL), lambda: _grub(TWO_INITRDS), lambda: _grub(LOCAL), lambda: grub.render_first(TEMPLATES)],
)
def test_grub_reads_its_scripts(render: Callable[[], str], tmp_path: Path) -> None:
    script = tmp_path / "grub.cfg"
    script.write_text(render())
    subprocess.run(["grub-script-check", str(script)], check=True, timeout=20)


def test_ipxe_labels_all_exist() -> None:
    for text in (_ipxe(INSTALL), _ipxe(LOCAL), ipxe.render_autoexec(TEMPLATES, node_url=NODE_URL)):
        labels = set(re.findall(r"(?m)^:(\w+)$", text))
        assert set(re.findall(r"goto (\w+)", text)) <= labels


def test_the_script_names_the_machine() -> None:
    assert MAC in _ipxe(INSTALL)
