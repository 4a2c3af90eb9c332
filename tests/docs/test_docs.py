"""What the pages say exists: settings, commands, options, targets, links, files."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pxeapp import config
from pxeapp.cli import main
from pxeapp.config import CLIENT_VARIABLES, DEFAULTS, PREFIX
from pxeapp.lab.spec import MachineSpec
from tests.docs import pages
from tests.docs.pages import PAGES, ROOT

OPERATIONS = ROOT / "docs" / "operations.md"
NOT_SETTINGS = {"PXEAPP_CONFIG", "PXEAPP_GOLDEN", *CLIENT_VARIABLES}
named = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def _leaves(command: click.Command, path: tuple[str, ...] = ("pxeapp",)) -> Iterator[str]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _leaves(child, (*path, name))
    elif not command.hidden:
        yield " ".join(path)


def _resolved(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that words lead to, and what is left of them; AssertionError where there is none."""
    command: click.Command = main
    context = click.Context(main, info_name="pxeapp")
    rest = words[1:]
    while rest and rest[0] in ("--local", "--profile"):
        rest = rest[1:] if rest[0] == "--local" else rest[2:]
    while isinstance(command, click.Group):
        assert rest, f"{' '.join(words)}: a command is missing"
        found = command.get_command(context, rest[0])
        assert found is not None, f"{' '.join(words)}: there is no {rest[0]}"
        context = click.Context(found, parent=context, info_name=rest[0], **found.context_settings)
        command, rest = found, rest[1:]
    return command, context, rest


def _parsed(words: list[str]) -> None:
    """Have click parse the command as it would, files left alone; raises what it would tell the operator."""
    command, context, rest = _resolved(words)
    values, left, _ = command.make_parser(context).parse_args(list(rest))
    assert not left, f"{' '.join(words)}: {left} is too much"
    for parameter in command.params:
        value = values.get(parameter.name or "")
        given = isinstance(value, str | int | list | tuple) and not isinstance(value, bool)
        if parameter.required and isinstance(parameter, click.Argument):
            assert given, f"{' '.join(words)}: {parameter.name} is missing"
        if given and isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)


def _pxeapp_commands(words: list[str]) -> Iterator[list[str]]:
    """Each `pxeapp ...` in a command, those behind `rack exec --` and `env` included."""
    for index, word in enumerate(words[:-1]):
        if word == "pxeapp" and (index == 0 or words[index - 1] == "--" or words[0] == "env"):
            yield words[index:]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `PXEAPP_(\w+)` \| ([^|]+) \|", OPERATIONS.read_text(), re.MULTILINE))
    assert {name.lower() for name in rows} == set(DEFAULTS)
    for name, default in DEFAULTS.items():
        said = rows[name.upper()].strip()
        assert said == f"`{default}`" if default else said.startswith("empty"), name


@named
def test_every_row_stands_in_a_table(page: Path) -> None:
    assert pages.torn_rows(page) == []


@named
def test_no_page_names_a_setting_that_does_not_exist(page: Path) -> None:
    known = {PREFIX + name.upper() for name in DEFAULTS} | NOT_SETTINGS
    assert set(re.findall(r"PXEAPP_[A-Z_]+[A-Z]", page.read_text())) <= known


def test_settings_files_in_the_pages_can_be_read(tmp_path: Path) -> None:
    files = re.findall(r"cat > pxeapp\.toml <<'END'\n(.*?)^END$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert files
    for text in files:
        path = tmp_path / "pxeapp.toml"
        path.write_text(text)
        assert config.load({}, toml=path).dhcp == "full"


def test_every_command_is_in_the_pages() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    missing = [path for path in _leaves(main) if path not in text]
    assert missing == []


@named
def test_every_command_line_in_a_block_parses_with_the_real_options(page: Path) -> None:
    for block in pages.blocks(page):
        if block.language in pages.SHELL:
            for words in pages.commands(block.text):
                for command in _pxeapp_commands(words):
                    _parsed(command)


@named
def test_every_command_in_the_prose_exists_with_its_options(page: Path) -> None:
    for code in pages.inline(page):
        words = code.replace("[", " ").replace("]", " ").split()
        if len(words) < 2 or words[0] != "pxeapp" or not re.fullmatch(r"[a-z-]+", words[1]):
            continue
        command: click.Command = main
        for word in words[1:]:
            if isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]*", word):
                found = command.get_command(click.Context(command), word)
                assert found is not None, code
                command = found
        options = {option for parameter in command.params for option in parameter.opts}
        said = {word for word in words if word.startswith("--") and word != "--"}
        assert said <= options, code


def test_every_command_that_explain_recommends_exists() -> None:
    causes = (ROOT / "pxeapp" / "provisioning" / "causes.py").read_text()
    recommended = re.findall(r"`(pxeapp [a-z][^`]*)`", causes)
    assert recommended
    for code in recommended:
        _resolved(code.split())


@named
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets |= {
        target
        for line in re.findall(r"^(setup-.*): ", (ROOT / "Makefile").read_text(), re.M)
        for target in line.split()
    }
    said = {code.split()[1] for code in pages.inline(page) if re.match(r"make [a-z]", code)}
    for block in pages.blocks(page):
        if block.language in pages.SHELL:
            for words in pages.commands(block.text):
                if "make" in words[:2] and words[-1] != "make":
                    said.add(words[words.index("make") + 1])
    assert said <= targets


@named
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    for target in pages.links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in pages.anchors(there), f"{page.name}: {target}"


def test_no_file_mentions_a_page_that_is_not_there() -> None:
    places = [*PAGES, *(ROOT / "pxeapp").rglob("*.py"), ROOT / "Makefile", *(ROOT / "packaging").glob("*.sh")]
    missing = {
        f"{place.relative_to(ROOT)}: {name}"
        for place in places
        for name in re.findall(r"docs/[a-z-]+\.md", place.read_text())
        if not (ROOT / name).exists()
    }
    assert missing == set()


@named
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named_files = {
        code
        for code in pages.inline(page)
        if re.fullmatch(r"(pxeapp|packaging|tests|kickstarts|preseeds|boot|roles|web|docs)/[\w./@*-]*", code)
    }
    missing = {name for name in named_files if not (ROOT / name).exists() and name not in THEIRS}
    assert missing == set()


# What a reader makes by following the page, not what is in the repository.
THEIRS = {"kickstarts/monitor.ks", "preseeds/monitor.cfg", "boot/ipxe"}


def test_every_field_of_a_racks_machine_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", (ROOT / "docs" / "rehearse.md").read_text(), re.MULTILINE)
    said = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert {field.name for field in dataclasses.fields(MachineSpec)} <= said
