"""The pages as HTML: what needs attention first, why, and with which evidence."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pxeapp import templates
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.machines.models import Disk, Machine
from pxeapp.provisioning.models import Deployment
from pxeapp.ui.blueprint import ago, coded, span
from pxeapp.ui.machines import PAGE
from tests.api.conftest import Api
from tests.ui import rack
from tests.ui.test_sign_in import sign_in

STYLE = (templates.data_root() / "web" / "static" / "pxeapp.css").read_text()
DARK = (templates.data_root() / "web" / "static" / "dark.css").read_text()


@pytest.fixture
def pages(api: Api) -> FlaskClient:
    """Somebody signed in to the filled rack."""
    rack.fill(api.context.database, api.context.vault, now=now())
    client = api.app.test_client()
    sign_in(client)
    return client


def test_an_empty_appliance_says_how_to_begin(api: Api) -> None:
    client = api.app.test_client()
    sign_in(client)
    text = client.get("/machines").text
    assert "No machines yet" in text
    assert "pxeapp machine import" in text


def test_the_states_that_need_somebody_stand_first(pages: FlaskClient) -> None:
    text = pages.get("/machines").text
    tallies = re.findall(r'id="s-([a-z-]+)" class="tally', text)
    assert tallies[0] == "all"
    assert tallies[1:] == ["deploy-failed", "deploying", "enrolled", "active", "available"]


def test_every_machine_is_listed_with_what_is_happening_to_it(pages: FlaskClient) -> None:
    text = pages.get("/machines").text
    for name in ("compute-01", "compute-04", "storage-01", "spare-01", "new-01"):
        assert f">{name}</a>" in text
    assert "Installing packages: 212 of 438" in text
    assert "Waits for a new power supply." in text
    assert "it fetched no boot loader" in text


def test_the_list_is_searched_and_narrowed(pages: FlaskClient) -> None:
    text = pages.get("/machines?search=storage&state=deploying").text
    assert ">storage-01</a>" in text
    assert ">storage-02</a>" not in text
    assert ">compute-04</a>" not in text
    assert "No machine matches." in pages.get("/machines?search=nothing-like-it").text


def test_what_an_operator_typed_is_never_markup(api: Api, pages: FlaskClient) -> None:
    evil = "<script>alert(1)</script>"
    with api.write() as session:
        row = selectors.get(session, "spare-01")
        row.fault, row.labels, row.location = evil, {"x": evil}, {evil: evil}
        deployment = session.query(Deployment).filter_by(outcome=None).first()
        deployment.progress = evil
    for path in (
        "/",
        f"/machines?search={evil}&state={evil}&after={evil}",
        "/machines/spare-01",
        "/machines/compute-04",
    ):
        text = pages.get(path).text
        assert evil not in text, path
    assert "&lt;script&gt;" in pages.get("/machines/spare-01").text


def test_what_is_known_of_a_disk_stands_beside_it(api: Api, pages: FlaskClient) -> None:
    with api.write() as session:
        selectors.get(session, "spare-01").disks = [
            Disk(path="sda", purpose="system", serial="S3Z9", size_bytes=480 * 10**9, rotational=False),
            Disk(path="sdb", purpose="keep"),
        ]
    text = pages.get("/machines/spare-01").text
    assert '<dd class="mono">sda <span class="dim">480 GB, serial S3Z9, does not spin</span></dd>' in text
    assert '<dt>Disk, keep</dt><dd class="mono">sdb</dd>' in text


def test_a_machines_page_tells_its_steps_with_evidence_and_durations(pages: FlaskClient) -> None:
    text = pages.get("/machines/compute-04").text
    looks = re.findall(r'<li class="(\w+)" id="step-(\w+)"', text)
    assert looks == [
        ("reached", "armed"), ("reached", "power_cycled"), ("reached", "dhcp_seen"), ("reached", "nbp_fetched"),
        ("reached", "kernel_fetched"), ("reached", "answer_fetched"), ("reached", "installing"), ("now", "installed"),
        ("open", "first_boot"), ("open", "verified"),
    ]  # fmt: skip
    assert "+26 s" in text, "from the kernel to the answer file"
    assert "address=10.77.0.21" in text
    assert re.search(r'class="mono hash">[0-9a-f]{64}<', text), "the hash of what it was given"
    assert rack.BMC_PASSWORD not in text


def test_a_failed_machines_page_begins_with_why_and_what_to_try(pages: FlaskClient) -> None:
    text = pages.get("/machines/storage-02").text
    assert text.index("it fetched no boot loader") < text.index("Likeliest first") < text.index('id="timeline"')
    assert re.findall(r'<li class="failed" id="step-(\w+)"', text) == ["nbp_fetched"]


def test_a_step_that_was_only_implied_is_not_shown_as_seen(api: Api, pages: FlaskClient) -> None:
    with api.write() as session:
        deployment = session.query(Deployment).join(Machine, Machine.id == Deployment.machine_id)
        row = deployment.filter(Machine.name == "compute-04").one()
        row.steps = [entry for entry in row.steps if entry["step"] != "dhcp_seen"]
    text = pages.get("/machines/compute-04").text
    assert re.findall(r'<li class="implied" id="step-(\w+)"', text) == ["dhcp_seen"]


def test_a_page_of_a_machine_that_is_gone_stops_asking(pages: FlaskClient) -> None:
    reply = pages.get("/machines/nobody/timeline", headers={"HX-Request": "true"})
    assert reply.status_code == 286
    assert "nobody is gone" in reply.text
    reply = pages.get("/machines/nobody", headers={"Accept": "text/html"})
    assert (reply.status_code, reply.mimetype) == (HTTPStatus.NOT_FOUND, "text/html")


def test_deployments_that_nobody_ends_are_said_to_hang(api: Api, pages: FlaskClient) -> None:
    assert "does not seem to run" not in pages.get("/").text
    with api.write() as session:
        row = session.query(Deployment).filter_by(outcome=None).first()
        row.step_deadline = now() - dt.timedelta(minutes=5)
    assert "does not seem to run" in pages.get("/").text


def test_more_machines_than_a_page_holds_are_reached_by_its_link(api: Api) -> None:
    with api.write() as session:
        for number in range(PAGE + 1):
            rack.add(session, api.context.vault, f"n{number:03}", number, rack.State.AVAILABLE, "off", None, now=now())
    client = api.app.test_client()
    sign_in(client)
    first = client.get("/machines").text
    last = f">n{PAGE:03}</a>"
    assert last not in first
    link = re.search(r'id="p-next" href="([^"]+)"', first)
    assert link is not None
    assert last in client.get(link[1].replace("&amp;", "&")).text


@pytest.mark.parametrize("path", ["/assets/static/../templates/base.html", "/assets/static/%2e%2e/templates/base.html",
                                  "/assets/templates/base.html", "/assets/static/nothing.css"])  # fmt: skip
def test_only_assets_are_assets(api: Api, path: str) -> None:
    assert api.app.test_client().get(path).status_code == HTTPStatus.NOT_FOUND


def test_spans_moments_and_commands_are_written_for_people() -> None:
    second = dt.timedelta(seconds=1)
    lengths = [0.4, 8, 72, 3600, 3905, 90000]
    assert [span(length * second) for length in lengths] == [
        "0.4 s", "8 s", "1 min 12 s", "1 h", "1 h 05 min", "1 d 01 h",
    ]  # fmt: skip
    assert ago(None) == "never"
    assert ago(now() - 125 * second) == "2 min ago"
    assert coded("Run `pxeapp doctor` & <look>.") == "Run <code>pxeapp doctor</code> &amp; &lt;look&gt;."


def _tokens() -> Iterator[tuple[str, dict[str, str]]]:
    """The colours of each scheme."""
    (light,) = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    (dark,) = re.findall(r":root \{(.*?)\}", DARK, re.DOTALL)
    pattern = r"--([a-z-]+): (#[0-9a-f]{3,6})"
    plain = dict(re.findall(pattern, light))
    yield "light", plain
    yield "dark", {**plain, **dict(re.findall(pattern, dark))}


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(letter * 2 for letter in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("scheme", "colours"), list(_tokens()))
def test_every_text_is_readable_on_its_background(scheme: str, colours: dict[str, str]) -> None:
    """WCAG AA: 4.5 to 1."""
    pairs = [(ink, back) for ink in ("ink", "dim", "accent", "bad", "busy") for back in ("card", "paper", "hover")]
    pairs += [(tone, f"{tone}-tint") for tone in ("good", "bad", "busy", "calm")] + [("on-accent", "accent")]
    for ink, back in pairs:
        one, other = sorted((_luminance(colours[ink]), _luminance(colours[back])))
        assert (other + 0.05) / (one + 0.05) >= 4.5, f"{scheme}: {ink} on {back}"


def test_the_pages_load_nothing_from_elsewhere() -> None:
    root: Path = templates.data_root() / "web"
    for file in [*root.glob("templates/*.html"), *root.glob("static/*.css")]:
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", file.read_text()), file.name
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?! src)", file.read_text()), file.name
