"""Templates are strict and sandboxed, the site's own win, and what is wrong is named with template and line."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pxeapp.answers import kickstart, render
from pxeapp.answers.spec import Card
from pxeapp.errors import PxeError
from pxeapp.templates import TEMPLATE_FOLDERS, TemplateError, Templates, data_root
from pxeapp.templates.language import FILTERS, OPTIONS, reason
from pxeapp.templates.sources import parts_of_ours
from tests.answers import samples

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
        "{{ cycler.__init__.__globals__.os }}", "{{ lipsum.__globals__ }}", "{{ self._TemplateReference__context }}",
        "{{ values.append(1) }}", "{{ '{0.__class__}'.format(host) }}", "{% set values.x = 1 %}",
        "{{ '{0.__class__}'.format_map({'0': host}) }}", "{{ (host | attr('__class__')).mro() }}",
        "{{ ('{0.__class__}'|attr('format'))(host) }}", "{{ card.__class__ }}", "{{ card.__dict__ }}",
        "{{ card.__eq__.__globals__ }}", "{% set ns = namespace() %}{{ ns.__init__.__globals__ }}",
    ],
)  # fmt: skip
def test_nothing_gets_out_of_the_sandbox(site: Path, text: str) -> None:
    values: list[int] = []
    refused(write(site, text), host="node1", values=values, card=Card("52:54:00:00:00:01"))
    assert values == []


def test_a_syntax_error_names_its_line(site: Path) -> None:
    assert "line 2: " in refused(write(site, "\n{% if %}\n"))
    assert "No filter named 'nosuch'" in refused(write(site, "{{ 1|nosuch }}"))


def test_a_template_that_is_no_text_is_refused(site: Path) -> None:
    (site / NAME).write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused(Templates(site))


@pytest.mark.parametrize(
    "name",
    ["kickstarts/none.ks", "kickstarts/../../etc/passwd", "kickstarts//etc/passwd", "boot/", "kickstarts/a/../../x"],
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


@pytest.mark.parametrize(
    "name",
    ["kickstarts/ours.ks", "kickstarts//own.ks", "kickstarts/./own.ks", "kickstarts", "kickstarts/\0", "x/y", ""],
)
def test_the_site_has_a_template_of_its_own_by_its_exact_name_only(site: Path, name: str) -> None:
    templates = write(site, "mine\n", "kickstarts/own.ks")
    assert templates.has_own("kickstarts/own.ks")
    assert templates.of_the_site() == ["kickstarts/own.ks"]
    assert not templates.has_own(name)
    assert not Templates().has_own("kickstarts/own.ks")


def test_a_template_that_the_site_adds_or_removes_counts_at_once(site: Path) -> None:
    """Operators correct a kickstart while the appliance runs; nobody restarts it for that."""
    name = next(name for name in OURS if name.startswith("kickstarts/"))
    templates = Templates(site)
    before = refused(templates, name) if "base" in name else None
    (site / name).write_text("mine\n")
    assert templates.render(name) == "mine\n"
    (site / name).unlink()
    assert (refused(templates, name) if before is not None else None) == before


@pytest.mark.parametrize("name", ["pyproject.toml", "../secret.key", "web/templates/base.html", "/etc/passwd"])
def test_only_the_template_folders_are_included_from(site: Path, name: str) -> None:
    assert refused(write(site, f"{{% include '{name}' %}}")) == f"There is no template {name}."


def test_a_part_of_ours_that_the_site_replaced_counts_in_ours(site: Path) -> None:
    """`kickstarts/base.ks` is ours and includes it by way of others; the site's is what runs."""
    write(site, "\n{{ oops }}\n", "kickstarts/_report.sh")
    spec = samples.spec("rocky", "9")
    with pytest.raises(TemplateError) as caught:
        kickstart.render(spec, Templates(site))
    assert caught.value.sentence == f"{site / 'kickstarts/_report.sh'}, line 2: 'oops' is undefined."


def test_no_template_of_ours_leaves_open_what_it_includes() -> None:
    assert {name: parts_of_ours(name) for name in OURS}["kickstarts/compute.ks"] >= {
        "kickstarts/base.ks",
        "kickstarts/_scripts.ks",
        "kickstarts/_report.sh",
        "boot/_disks.sh",
        "boot/first-boot.sh",
    }


def test_what_a_crowd_wants_for_the_first_time_is_compiled_once() -> None:
    environment, together = Templates()._ours, threading.Barrier(8)

    def wanted() -> object:
        together.wait()
        return environment.get_template("kickstarts/_scripts.ks")

    with ThreadPoolExecutor(8) as pool:
        found = {id(each.result()) for each in [pool.submit(wanted) for _ in range(8)]}
    assert len(found) == 1


def test_a_sites_copy_of_ours_gives_the_same_text(site: Path) -> None:
    """What the other process gets to see of the variables is all that our own templates use."""
    for name in OURS:
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text((data_root() / name).read_text())
    for family, version, role in [("rocky", "9", "storage"), ("centos", "7", "compute"), ("debian", "13", "storage")]:
        spec = samples.spec(family, version, role)
        for kind in render.kinds(spec.release.installer):
            assert render.render(kind, spec, Templates(site)) == render.render(kind, spec, Templates())


def test_every_filter_and_test_does_in_the_other_process_what_it_does_here(site: Path) -> None:
    """Python loads some of what they use at their first use, which there would be too late."""
    here = ImmutableSandboxedEnvironment(**OPTIONS)
    here.filters.update(FILTERS)
    words = [f"{{{{ value | {name} }}}}" for name in here.filters if name != "random"]
    words += [f"{{{{ value is {name} }}}}" for name in here.tests]
    words += [
        "{{ [value] | random }}",
        "{{ lipsum(n=2) | length > 100 }}",
        "{{ 'ü'.encode('idna') }}",
        "{{ value.encode('nosuch') }}",
        "{{ value.isalpha() }}",
    ]
    for text in words:
        for value in ("a <b>c</b> http://d.example", [3], {"k": [1]}, 2.5):
            assert outcome(lambda: write(site, text).render(NAME, value=value)) == outcome(  # noqa: B023 - called at once
                lambda: here.from_string(text).render(value=value)  # noqa: B023
            ), (text, value)


def outcome(rendering: Callable[[], str]) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", rendering())
    except TemplateError as error:
        return error.sentence.partition(": ")[2].rstrip(".")
    except Exception as error:  # noqa: BLE001 - whatever it is here, it is said there
        return reason(error)
