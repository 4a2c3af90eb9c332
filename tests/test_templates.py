"""Templates are strict and sandboxed, the site's own win, and what is wrong is named with template and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.errors import PxeError
from pxeapp.templates import TEMPLATE_FOLDERS, TemplateError, Templates, data_root

NAME = "kickstarts/test.ks"
OURS = sorted(
    f"{folder}/{path.name}"
    for folder in TEMPLATE_FOLDERS
    for path in (data_root() / folder).iterdir()
    if path.is_file()
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "kickstarts").mkdir()
    return tmp_path


def write(site: Path, text: str, name: str = NAME) -> Templates:
    (site / name).write_text(text)
    return Templates(site)


def refused(templates: Templates, name: str = NAME, **variables: object) -> str:
    with pytest.raises(TemplateError) as caught:
        templates.render(name, **variables)
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


def test_values_are_put_in_and_nothing_is_escaped(site: Path) -> None:
    text = "{% if host %}\nhost {{ host }} <&>\n{% endif %}\nend\n"
    assert write(site, text).render(NAME, host="a") == "host a <&>\nend\n"


def test_an_undefined_name_is_an_error_with_template_line_and_variable(site: Path) -> None:
    sentence = refused(write(site, "one\ntwo {{ hostnam }}\n"))
    assert sentence == f"{site / NAME}, line 2: 'hostnam' is undefined."
    assert "no attribute 'gatewy'" in refused(write(site, "\n\n{{ network.gatewy }}\n"), network={"gateway": 1})
    assert "line 1" in refused(write(site, "{% if missing %}x{% endif %}\n"))


def test_the_line_of_an_included_template_is_named(site: Path) -> None:
    write(site, "a\nb\n{{ missing }}\n", "kickstarts/part.ks")
    sentence = refused(write(site, "{% include 'kickstarts/part.ks' %}\n"))
    assert sentence.startswith(f"{site / 'kickstarts/part.ks'}, line 3: 'missing'")


@pytest.mark.parametrize("name", OURS)
def test_our_own_templates_name_themselves_when_a_variable_is_missing(name: str) -> None:
    try:
        rendered = Templates().render(name)
    except TemplateError as error:
        rendered = error.sentence
    assert "undefined" not in rendered or rendered.startswith(name.split("/")[0])


@pytest.mark.parametrize(
    "text",
    [
        "{{ 1 / 0 }}", "{{ [][3] }}", "{{ 'a' + 1 }}", "{{ 'x'|int.y }}", "{{ range(10**9)|list }}",
        "{{ 'a'|join(1, 2, 3, 4) }}",
        "{% include 'kickstarts/test.ks' %}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ {}.pop('x') }}",
    ],
)  # fmt: skip
def test_whatever_goes_wrong_inside_is_a_template_error(site: Path, text: str) -> None:
    assert ", line 2: " in refused(write(site, f"\n{text}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}", "{{ host.__init__.__globals__ }}", "{{ self.__init__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ values.append(1) }}", "{{ '{0.__class__}'.format(host) }}", "{% set values.x = 1 %}", "{{ call.__func__ }}",
    ],
)  # fmt: skip
def test_nothing_gets_out_of_the_sandbox(site: Path, text: str) -> None:
    values: list[int] = []
    refused(write(site, text), host="node1", values=values, call=Path.home)
    assert values == []


def test_a_syntax_error_names_its_line(site: Path) -> None:
    assert "line 2: " in refused(write(site, "\n{% if %}\n"))
    assert "No filter named 'nosuch'" in refused(write(site, "{{ 1|nosuch }}"))


def test_a_template_that_is_no_text_is_refused(site: Path) -> None:
    (site / NAME).write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused(Templates(site))


@pytest.mark.parametrize(
    "name", ["kickstarts/none.ks", "kickstarts/../../etc/passwd", "kickstarts//etc/passwd", "boot/"]
)
def test_what_is_not_there_is_not_found(site: Path, name: str) -> None:
    assert refused(Templates(site), name) == f"There is no template {name}."


@pytest.mark.parametrize("name", ["pyproject.toml", "web/index.html", "../kickstarts/x", ""])
def test_only_the_template_folders_are_read(site: Path, name: str) -> None:
    with pytest.raises(PxeError, match="not below"):
        Templates(site).render(name)


def test_the_sites_template_wins_and_falls_back_to_ours(site: Path) -> None:
    name = next(name for name in OURS if name.startswith("kickstarts/"))
    assert write(site, "mine\n", name).render(name) == "mine\n"
    assert Templates(site).first("kickstarts/none.ks", name) == name
    assert Templates(site).first("kickstarts/none.ks", "kickstarts/neither.ks") == "kickstarts/neither.ks"


def test_a_template_that_the_site_adds_or_removes_counts_at_once(site: Path) -> None:
    """Operators correct a kickstart while the appliance runs; nobody restarts it for that."""
    name = next(name for name in OURS if name.startswith("kickstarts/"))
    templates = Templates(site)
    before = refused(templates, name) if "base" in name else None
    (site / name).write_text("mine\n")
    assert templates.render(name) == "mine\n"
    (site / name).unlink()
    assert (refused(templates, name) if before is not None else None) == before


def test_filters_can_be_added(site: Path) -> None:
    (site / NAME).write_text("{{ 'a'|shout }}")
    assert Templates(site, {"shout": lambda text: f"{text}!"}).render(NAME) == "a!"
