"""Our side of the renderers: they may die, hang or lie, and we go on."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxeapp.templates import TemplateError, Templates, wire
from pxeapp.templates.limits import Limits
from pxeapp.templates.pool import Pool
from pxeapp.templates.renderers import Busy, Job, Lost, Renderer
from pxeapp.templates.sources import Sources
from tests.templates.processes import alive, await_that, renderers, zygotes

pytestmark = pytest.mark.usefixtures("alone")
NAME = "kickstarts/a.ks"
OWNER = f"""
import sys, time
from pathlib import Path
from pxeapp.templates import Templates
print(Templates(Path(sys.argv[1])).render({NAME!r}, word="up"), flush=True)
time.sleep(600)
"""


@pytest.fixture
def site(site: Path) -> Path:
    (site / NAME).write_text("{{ word }}\n")
    return site


def test_a_renderer_is_used_again_and_at_last_replaced(site: Path) -> None:
    pool = Pool(Limits(renders=3))
    templates = Templates(site, pool=pool)
    used = []
    for _ in range(6):
        templates.render(NAME, word="x")
        used.append(tuple(renderers()))
    pool.close()
    assert used[0] == used[1] != used[3] == used[4]


@pytest.mark.parametrize("which", ["renderer", "zygote"])
def test_a_renderer_or_its_parent_that_somebody_killed_is_replaced_and_nobody_notices(site: Path, which: str) -> None:
    pool = Pool()
    templates = Templates(site, pool=pool)
    templates.render(NAME, word="x")
    victim = (renderers() if which == "renderer" else zygotes())[0]
    os.kill(victim, signal.SIGKILL)
    await_that(lambda: not alive(victim))
    assert templates.render(NAME, word="y") == "y\n"
    pool.close()
    assert zygotes() == []


def test_one_that_hangs_is_given_up_and_replaced(site: Path) -> None:
    pool = Pool(Limits(wall_s=0.5))
    templates = Templates(site, pool=pool)
    Pool.render(pool, NAME, {"word": "x"}, Sources(site))
    (hanging,) = renderers()
    os.kill(hanging, signal.SIGSTOP)
    with pytest.raises(Busy, match=r"kickstarts/a.ks was not rendered within 0.5 s"):
        templates.render(NAME, word="x")
    await_that(lambda: not alive(hanging))
    pool.close()


def test_when_its_owner_is_killed_none_is_left(site: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(site)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    theirs = [*zygotes(owner.pid), *renderers(owner.pid)]
    assert len(theirs) == 2
    owner.kill()
    owner.communicate()
    await_that(lambda: not any(alive(pid) for pid in theirs))


def test_a_forked_child_has_renderers_of_its_own(site: Path) -> None:
    templates = Templates(site)
    assert templates.render(NAME, word="parent") == "parent\n"
    before = zygotes()
    pid = os.fork()
    if pid == 0:
        ok = False
        try:
            ok = templates.render(NAME, word="child") == "child\n" and not set(zygotes()) & set(before)
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert templates.render(NAME, word="parent") == "parent\n"
    assert zygotes() == before


def test_a_zygote_that_cannot_start_is_said(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pxeapp.templates.pool.BOOT", "raise SystemExit(1)")
    pool = Pool()
    with pytest.raises(Busy, match="cannot be started"):
        Templates(site, pool=pool).render(NAME, word="x")


NEED = wire.frame(wire.NEED, b'{"name": "kickstarts/a.ks", "have": ""}')


@pytest.mark.parametrize(
    ("lies", "error"),
    [
        (b"", Lost),
        (b"t", Lost),
        (pickle.dumps(Busy("x")), Lost),
        (wire.HEADER.pack(wire.TEXT, 0xFFFFFFFF), Lost),
        (wire.HEADER.pack(wire.NEED, 1 << 20), Lost),
        (wire.HEADER.pack(wire.WRONG, 1 << 20), Lost),
        (wire.frame(wire.TEXT, b"\xff"), Lost),
        (wire.frame(wire.WRONG, b"not JSON"), Lost),
        (wire.frame(wire.WRONG, b"[" * 60_000), Lost),
        (wire.frame(wire.WRONG, b"[1]"), Lost),
        (wire.frame(wire.WRONG, b"{}"), Lost),
        (wire.frame(wire.NEED, b"{}"), Lost),
        (wire.frame(b"x", b""), Lost),
        (NEED * 500, TemplateError),
        (b"Stack (most recent call first):\n" + b"A" * 200_000, TemplateError),
        (wire.frame(wire.WRONG, b'{"why": "a\\nb", "path": "/etc/passwd", "line": "9", "over": 1}'), TemplateError),
        (wire.frame(wire.NEED, b'{"name": "../secret.key", "have": ""}'), Lost),
    ],
)
def test_a_renderer_that_lies_is_believed_nothing(site: Path, lies: bytes, error: type[Exception]) -> None:
    (site / "secret.key").write_text("secret")
    ours, theirs = socket.socketpair()
    heard = bytearray()

    def lie() -> None:
        with contextlib.suppress(ConnectionError):  # nobody listens to all of them
            theirs.sendall(lies)
            theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := theirs.recv(1 << 16):
                heard.extend(piece)

    liar = threading.Thread(target=lie)
    liar.start()
    renderer = Renderer(ours, _handle(), 10)
    with pytest.raises(error) as caught:
        renderer.ask(Job(wire.RENDER, NAME, Sources(site)), Limits(wall_s=5))
    renderer.forget()
    liar.join()
    theirs.close()
    assert not renderer.may_go_on
    assert b"secret" not in heard
    if isinstance(caught.value, TemplateError):
        assert caught.value.sentence.isprintable()
        assert caught.value.sentence.startswith("kickstarts/a.ks")


def _handle() -> int:
    return os.pidfd_open(os.getpid())


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 4  # the shared pool may have been made meanwhile
