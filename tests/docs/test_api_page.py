"""docs/api.md: each curl command of it is run, in its order, against a served appliance."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from pxeapp.webhooks import sending
from tests.api.conftest import Api, api, prepared, routed
from tests.docs import pages

PAGE = pages.ROOT / "docs" / "api.md"
__all__ = ["api", "prepared", "routed"]
# Told to the appliance itself, or to a NetBox that is not there: other tests run these.
ELSEWHERE = ("pxeapp token create", "pxeapp netbox import")


@pytest.fixture
def served(api: Api) -> Iterator[str]:
    """Its address."""
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)


def test_every_example_is_answered_as_the_page_says(api: Api, served: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt install curl")
    blocks = [block for block in pages.blocks(PAGE) if block.language == "sh" and not block.text.startswith("pxeapp")]
    assert len(blocks) >= 10
    for number, block in enumerate(blocks):
        text = "\n".join(line for line in block.text.splitlines() if not any(each in line for each in ELSEWHERE))
        (tmp_path / f"{number}.sh").write_text(text.replace("http://127.0.0.1:8080", served))
    script = "\n".join(
        f"echo {shlex.quote('## ' + block.heading)} >&2; . ./{number}.sh" for number, block in enumerate(blocks)
    )
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TOKEN": api.tokens["admin"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout[-2000:]}"
    assert "application/problem+json" not in done.stdout
    assert '"total":1' in done.stdout.replace(" ", "")
    assert "event: machine.create" in done.stdout
    assert (tmp_path / "rack.sh").stat().st_mode & 0o100


def test_the_python_that_checks_a_signature_agrees_with_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in pages.blocks(PAGE) if block.language == "python"]
    names: dict[str, object] = {}
    exec(block.text, names)  # noqa: S102 - our own page
    monkeypatch.setattr("time.time", lambda: 1_000_100.0)
    headers = {"Pxeapp-Timestamp": "1000000", "Pxeapp-Signature": sending.signature("secret", 1_000_000, b"{}")}
    is_ours = names["is_ours"]
    assert callable(is_ours)
    assert is_ours("secret", headers, b"{}")
    assert not is_ours("other", headers, b"{}")
    assert not is_ours("secret", headers, b"{ }")
    assert not is_ours("secret", {**headers, "Pxeapp-Timestamp": "999000"}, b"{}")
