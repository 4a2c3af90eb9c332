"""A client that a generator makes of the OpenAPI document works: every operation has a function, and some are used."""

from __future__ import annotations

import json
import subprocess
import threading
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from tests.api.conftest import Api
from tests.sweep import FULL

GENERATOR = "openapi-python-client==0.29.1"
SCRIPT = """
import sys
from pxeapp_client import AuthenticatedClient
from pxeapp_client.api.jobs import jobs_order
from pxeapp_client.api.machines import machines_create, machines_listing, machines_show
from pxeapp_client.models import BulkIn, MachineIn

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
said = MachineIn.from_dict({"name": "n1", "mac": "52:54:00:00:00:09"})
made = machines_create.sync_detailed(client=client, body=said)
assert made.status_code == 201, made
page = machines_listing.sync(client=client)
assert [each.name for each in page.items] == ["n1"], page
assert machines_show.sync(client=client, key="n1").mac == "52:54:00:00:00:09"
refused = machines_show.sync_detailed(client=client, key="nobody")
assert refused.status_code == 404 and "nobody" in refused.parsed.detail, refused
job = jobs_order.sync(client=client, body=BulkIn.from_dict({"action": "lock", "on": True, "machines": ["n1"]}))
assert job.total == 1, job
print("used")
"""


@pytest.fixture
def served(api: Api) -> Iterator[str]:
    """Its address."""
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.soak
@pytest.mark.skipif(not FULL, reason="installs a generator of clients into an environment of its own: make soak")
def test_a_generated_client_works(api: Api, served: str, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    _run(python, "-m", "pip", "install", "-q", GENERATOR)
    document = api.of(None).ask("GET", "/api/v1/openapi.json").json
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    out = _run(
        str(home / "bin" / "openapi-python-client"), "generate", "--path", str(tmp_path / "openapi.json"),
        "--output-path", str(tmp_path / "client"), "--meta", "none", "--fail-on-warning", cwd=tmp_path,
    )  # fmt: skip
    assert "WARNING" not in out
    (tmp_path / "client").rename(tmp_path / "pxeapp_client")
    (tmp_path / "use.py").write_text(SCRIPT)
    assert "used" in _run(python, "use.py", served, api.tokens["admin"], cwd=tmp_path)


def _run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{' '.join(words[:4])}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
