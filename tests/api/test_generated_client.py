"""A client that a generator makes of the OpenAPI document works: import, pages, a deployment that is watched, ETags."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from tests.api.conftest import Api

GENERATOR = Path(sys.executable).with_name("openapi-python-client")
SCRIPT = Path(__file__).with_name("generated_client.py")


@pytest.fixture
def served(api: Api) -> Iterator[str]:
    """Its address."""
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)


@pytest.fixture
def package(api: Api, tmp_path: Path) -> Path:
    """The client, made of the whole document: nothing of it was left out."""
    document = api.of(None).ask("GET", "/api/v1/openapi.json").json
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    out = _run(
        str(GENERATOR), "generate", "--path", str(tmp_path / "openapi.json"), "--meta", "none",
        "--output-path", str(tmp_path / "pxeapp_client"),
        "--config", _config(tmp_path), cwd=tmp_path,
    )  # fmt: skip
    said = re.findall(r"^(?:Unable|Unsupported|Cannot|Could not).*", out, re.MULTILINE)
    # YAML, CSV and recordings are more than the generator knows: its client sends JSON.
    assert [line for line in said if not re.search(r"Unsupported content.type .*(yaml|csv|asciicast)", line)] == []
    operations = sum(len(methods) for methods in document["paths"].values())
    made = [file for file in (tmp_path / "pxeapp_client" / "api").rglob("*.py") if file.name != "__init__.py"]
    assert len(made) == operations
    return tmp_path


def test_a_generated_client_goes_all_the_way(api: Api, served: str, package: Path) -> None:
    (package / "use.py").write_text(SCRIPT.read_text())
    assert "all the way" in _run(sys.executable, "use.py", served, api.tokens["admin"], cwd=package)


def _config(folder: Path) -> str:
    """No formatter runs over it: nobody reads it."""
    path = folder / "generator.json"
    path.write_text(json.dumps({"post_hooks": []}))
    return str(path)


def _run(*words: str, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{' '.join(words[:4])}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
