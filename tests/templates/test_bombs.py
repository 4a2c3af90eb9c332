"""A site's template that takes too much is refused with its name and line, and nobody else waits for it."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pxeapp.answers import kickstart
from pxeapp.templates import TemplateError, Templates
from pxeapp.templates.limits import Limits
from pxeapp.templates.pool import OF_ONE_TEMPLATE, Pool
from pxeapp.templates.renderers import Busy
from tests.answers import samples
from tests.sweep import size

BOMB = "kickstarts/bomb.ks"
GOOD = "kickstarts/good.ks"
NESTED = "{% for i in range(100000) %}\n{% for j in range(100000) %}\n{% set x = j %}\n{% endfor %}\n{% endfor %}\n"

TIME = "more than 0.5 s of computing time"
MEMORY = "needs more than 128 MiB of memory"
OUTPUT = "longer than 4194304 characters"


def refused(templates: Templates, name: str = BOMB, **variables: object) -> str:
    with pytest.raises(TemplateError) as caught:
        templates.render(name, **variables)
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 'A' * 6 * 10**8 }}", MEMORY),
        ("{% set a = 'A' * 6 * 10**8 %}", MEMORY),
        ("{{ '%0999999999d' % 1 }}", MEMORY),
        ("{{ 'a' | center(10**9) }}", MEMORY),
        ("{% set n = namespace(x='A') %}{% for i in range(50) %}{% set n.x = n.x ~ n.x %}{% endfor %}", MEMORY),
        ("{% set n = namespace(x=[1]) %}{% for i in range(50) %}{% set n.x = n.x + n.x %}{% endfor %}", MEMORY),
        ("{% macro m() %}{% for i in range(99999) %}{{ 'A' * 99999 }}{% endfor %}{% endmacro %}{{ m() }}", MEMORY),
        ("{% for i in range(9) %}{{ 'A' * 10**6 }}{% endfor %}", OUTPUT),
        ("{% for i in range(99999) %}" + "AAAAAAAAAA" * 20 + "{% endfor %}", OUTPUT),
        ("{% block b %}{% for i in range(99999) %}" + "AAAAAAAAAA" * 20 + "{% endfor %}{% endblock %}", OUTPUT),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% set x = j %}{% endfor %}{% endfor %}", TIME),
        ("{% for i in range(99999) %}{{ range(99999) | sum }}{% endfor %}", TIME),
        ("{{ 10 ** (10 ** 8) }}", TIME),  # one long computation, which hears no signal
        ("{{ lipsum(n=99999) | length }}", TIME),
        ("{% for i in range(9999) %}{% set x = ('www.a. <' * 9999) | urlize | striptags %}{% endfor %}", TIME),
    ],
)
def test_a_bomb_is_refused_with_template_and_line(site: Path, pool: Pool, text: str, said: str) -> None:
    (site / BOMB).write_text(f"one\n\n{text}\nfour\n")
    (site / GOOD).write_text("{{ word }}\n")
    templates = Templates(site, pool=pool)
    sentence = refused(templates)
    assert sentence.startswith(f"{site / BOMB}, line 3: ")
    assert said in sentence
    assert templates.render(GOOD, word="good") == "good\n"


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
        "{{ 1" + "+1" * 100_000 + " }}",
        "{% if a %}" * 5_000 + "{% endif %}" * 5_000,
        "{{ [" * 3_000 + "]}}" * 3_000,
        "{#" * 300_000,
        "x" * 2_000_000,
    ],
)
def test_one_that_is_a_bomb_to_whoever_only_parses_it_is_refused_by_name(site: Path, pool: Pool, text: str) -> None:
    (site / BOMB).write_text(text)
    templates = Templates(site, pool=pool)
    assert str(site / BOMB) in refused(templates)
    with pytest.raises(TemplateError):
        templates.check(BOMB)


def test_an_included_bomb_is_named_and_not_who_includes_it(site: Path, pool: Pool) -> None:
    (site / BOMB).write_text("\n" + NESTED)
    (site / GOOD).write_text("{% include 'kickstarts/bomb.ks' %}")
    assert re.match(rf"{site / BOMB}, line [2-6]: ", refused(Templates(site, pool=pool), GOOD))
    (site / BOMB).write_text("\n\n{% for i in range(99999) %}" + "A" * 200 + "{% endfor %}")
    assert refused(Templates(site, pool=pool), GOOD).startswith(f"{site / BOMB}, line 3: ")


def test_a_bomb_in_a_part_of_ours_is_refused(site: Path, pool: Pool) -> None:
    (site / "kickstarts/_network.ks").write_text("#\n{{ 'A' * 10**9 }}\n")
    with pytest.raises(TemplateError, match=r"/_network.ks, line 2: it needs more than 128 MiB"):
        kickstart.render(samples.spec("rocky", "9"), Templates(site, pool=pool))


def test_templates_that_include_each_other_for_ever_are_refused(site: Path, pool: Pool) -> None:
    (site / BOMB).write_text("{% include 'kickstarts/good.ks' %}")
    (site / GOOD).write_text("{% include 'kickstarts/bomb.ks' %}")
    assert "recursion" in refused(Templates(site, pool=pool))
    for number in range(300):
        (site / f"kickstarts/{number}.ks").write_text("")
    (site / BOMB).write_text("{% for i in range(300) %}{% include 'kickstarts/%d.ks' % i %}{% endfor %}")
    assert "more than 200 templates" in refused(Templates(site, pool=pool))


@pytest.mark.soak
def test_a_hundred_good_ones_are_rendered_while_a_bomb_still_burns(site: Path) -> None:
    """Who is done first is compared, no time is measured."""
    pool = Pool(Limits(cpu_s=size(4, 20), wall_s=600))
    (site / BOMB).write_text(NESTED)
    (site / GOOD).write_text("{% for i in range(20) %}{{ i }} {{ word }}\n{% endfor %}")
    templates = Templates(site, pool=pool)
    with ThreadPoolExecutor(8) as threads:
        bombs = [threads.submit(refused, templates) for _ in range(size(1, OF_ONE_TEMPLATE))]
        texts = list(threads.map(lambda number: templates.render(GOOD, word=number), range(100)))
        burning = [not bomb.done() for bomb in bombs]
        said = [bomb.result() for bomb in bombs]
    pool.close()
    assert all(burning)
    assert [text.split()[-1] for text in texts] == [str(number) for number in range(100)]
    assert all("computing time" in sentence for sentence in said)


def test_bombs_of_one_template_leave_room_for_others_and_say_that_they_wait(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pxeapp.templates.pool.WAIT_S", 0.05)
    pool = Pool(Limits(cpu_s=0.5, wall_s=120))
    (site / BOMB).write_text(NESTED)
    (site / GOOD).write_text("good")
    templates = Templates(site, pool=pool)
    said: list[str] = []

    def burn() -> None:
        try:
            templates.render(BOMB)
        except (TemplateError, Busy) as error:
            said.append(type(error).__name__)

    threads = [threading.Thread(target=burn) for _ in range(OF_ONE_TEMPLATE + 2)]
    for thread in threads:
        thread.start()
    assert templates.render(GOOD) == "good"
    for thread in threads:
        thread.join()
    pool.close()
    assert len(said) == OF_ONE_TEMPLATE + 2
    assert said.count("TemplateError") >= OF_ONE_TEMPLATE
