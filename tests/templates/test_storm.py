"""Good ones, bombs and mistakes from many threads at once, while somebody kills renderers: no text is ever wrong."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pxeapp.templates import TemplateError, Templates
from pxeapp.templates.limits import Limits
from pxeapp.templates.pool import Pool
from pxeapp.templates.renderers import Busy
from tests.sweep import size
from tests.templates.processes import renderers, zygotes

GOOD = "kickstarts/good.ks"
BAD = (
    "{{ 'A' * 10**9 }}",
    "{% for i in range(99999) %}{{ range(99999) | sum }}{% endfor %}",
    "{% for i in range(99999) %}" + "A" * 200 + "{% endfor %}",
    "{{ oops }}",
    "{% if %}",
)
THREADS = 4


@pytest.mark.soak
@pytest.mark.usefixtures("alone")
def test_no_text_is_wrong_and_nothing_is_lost(site: Path) -> None:
    (site / GOOD).write_text("{% for i in range(20) %}{{ i }} {{ word }}\n{% endfor %}")
    for number, text in enumerate(BAD):
        (site / f"kickstarts/{number}.ks").write_text(text)
    pool = Pool(Limits(cpu_s=0.3, renders=20))
    templates = Templates(site, pool=pool)
    done = threading.Event()
    chance = random.Random(7)

    def render(word: str) -> str:
        while True:
            try:
                return templates.render(GOOD, word=word)
            except Busy:
                continue
            except TemplateError as error:  # on a busy host its second renderer, too, may be hit
                if "its renderer was ended" not in error.sentence:
                    raise

    def fail() -> int:
        refused = 0
        while not done.is_set():
            with pytest.raises((TemplateError, Busy)):
                templates.render(f"kickstarts/{chance.randrange(len(BAD))}.ks")
            refused += 1
        return refused

    killed: list[int] = []

    def kill() -> int:
        while not done.wait(0.3):
            victims = zygotes() if len(killed) % 4 == 2 else renderers()
            with contextlib.suppress(ProcessLookupError, IndexError):
                killed.append(chance.choice(victims))
                os.kill(killed[-1], signal.SIGKILL)
        return len(killed)

    with ThreadPoolExecutor(2 * THREADS + 1) as threads:
        others = [*(threads.submit(fail) for _ in range(THREADS - 1)), threads.submit(kill)]
        try:
            words: list[str] = []
            texts: list[str] = []
            while len(texts) < size(600, 200_000) or len(killed) < 3:  # a zygote is among the first three
                more = [f"word{len(words) + number}" for number in range(100)]
                texts += threads.map(render, more)
                words += more
        finally:
            done.set()
        assert all(other.result() > 0 for other in others)
    assert [text.split()[-1] for text in texts] == words
    pool.close()
    assert renderers() == zygotes() == []
