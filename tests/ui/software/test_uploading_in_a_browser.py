"""Files of a form go to the appliance in pieces, and the form follows with what they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import select

from pxeapp.db import now
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.tasks.models import SoftwareTask
from tests.ui.play import complaints, signed_in
from tests.ui.served import Appliance, needs_assets

pytestmark = [pytest.mark.chromium, pytest.mark.network, needs_assets]

# Each time that the page says how far it is.
TELLS = """() => {
  const form = document.querySelector('form[data-upload]');
  const tell = () => told(form.querySelector('progress').value);
  new MutationObserver(tell).observe(form.querySelector('.sent span'), {childList: true, characterData: true});
}"""


def test_several_files_are_sent_and_ordered_by_their_hashes(
    served: Appliance, chromium: Browser, tmp_path: Path
) -> None:
    with served.database.write() as session:
        session.add(
            SoftwareRepository(
                name="tools", kind="deb", origin="local", suite="stable", components=["main"], architectures=["amd64"],
                created_at=now(), updated_at=now(),
            )
        )  # fmt: skip
    large = b"a" * (9 * 2**20)  # of two pieces
    files = {"agent_1.0_all.deb": large, "my tools_1.0_all.deb": b"small"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    page = signed_in(chromium, served.url)
    heard = complaints(page)
    page.goto(f"{served.url}/software/repositories/tools")
    page.set_input_files("#f-file", [tmp_path / name for name in files])
    told: list[float] = []
    page.expose_function("told", lambda part: told.append(part))
    page.evaluate(TELLS)
    with page.expect_navigation():
        page.click("form[data-upload] button")
    with served.database.read() as session:
        task = session.scalars(select(SoftwareTask).where(SoftwareTask.subject == "tools")).one()
    assert task.options["add"] == [
        {"sha256": hashlib.sha256(content).hexdigest(), "name": name, "component": ""}
        for name, content in files.items()
    ]
    whole = sum(map(len, files.values()))
    assert told == [0, 8 * 2**20 / whole, len(large) / whole], "how far all of them are together"
    assert heard == []
    page.context.close()


def test_a_bundles_parts_are_sent_and_only_verified_by_the_button_that_was_pressed(
    served: Appliance, chromium: Browser, tmp_path: Path
) -> None:
    files = {f"site.00{number}-of-002": bytes([number]) * 4096 for number in (1, 2)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    page = signed_in(chromium, served.url)
    heard = complaints(page)
    page.goto(f"{served.url}/software/bundles")
    page.set_input_files("#f-file", [tmp_path / name for name in files])
    with page.expect_navigation():
        page.click("button[value=verify]")
    with served.database.read() as session:
        task = session.scalars(select(SoftwareTask).where(SoftwareTask.kind == "bundle.verify")).one()
    assert task.options["uploads"] == [hashlib.sha256(content).hexdigest() for content in files.values()]
    assert (task.options["names"], task.subject) == (list(files), "site.001-of-002")
    assert heard == []
    page.context.close()
