"""The page of a machine: what its BMC said, what can be done, and that each refusal stands where it belongs."""

from __future__ import annotations

import datetime as dt
import html
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from pxeapp.answers.models import Role
from pxeapp.audit import AuditRow
from pxeapp.bmc import orders
from pxeapp.bmc.models import BmcOrder, PowerAction, SelEntry
from pxeapp.consoles import recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.consoles.recordings import Recorder
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from tests.api.conftest import Api
from tests.ui import rack
from tests.ui.test_sign_in import sign_in

EVIL = "<script>alert(1)</script>"


class Visit:
    """Somebody at a browser, and what is behind the page."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.client: FlaskClient = api.app.test_client()
        sign_in(self.client)
        self.csrf = re.search(r'name="csrf" value="([^"]+)"', self.text("/machines"))[1]  # type: ignore[index]

    def text(self, path: str) -> str:
        return self.client.get(path).text

    def post(self, path: str, **form: str) -> tuple[int, str]:
        answer = self.client.post(path, data={"csrf": self.csrf, **form})
        return answer.status_code, answer.text

    def machine(self, name: str) -> Machine:
        with self.api.context.database.read() as session:
            row = selectors.get(session, name)
            _ = row.bmc
            return row


@pytest.fixture
def visit(api: Api) -> Visit:
    rack.fill(api.context.database, api.context.vault, now=now())
    return Visit(api)


def told(visit: Visit, name: str) -> int:
    """A BMC that has said everything, some of it evil."""
    row = visit.machine(name)
    with visit.api.context.database.write() as session:
        items = [
            {"name": EVIL, "value": 91.5, "unit": "°C", "health": "critical", "states": ["too hot"],
             "thresholds": {"upper_critical": 90.0}},
            {"name": "PSU 2", "value": None, "unit": "", "health": "unavailable", "states": [], "thresholds": {}},
        ]  # fmt: skip
        orders.keep(session, row.id, "sensors", {"items": items, "health": "critical"}, now=now())
        orders.keep(
            session, row.id, "boot_device",
            {"device": "disk", "persistent": True, "uefi": False, "confirmed": False}, now=now(),
        )  # fmt: skip
        orders.keep(session, row.id, "sel", {"entries": 1, "overflowed": True}, now=now())
        session.add(
            SelEntry(
                machine_id=row.id, raw="00", record=1, at=None, sensor=EVIL, event=EVIL, severity="failed",
                asserted=True, seen_at=now(),
            )
        )  # fmt: skip
    return row.id


def test_what_the_bmc_said_stands_on_the_page_and_runs_nothing(visit: Visit) -> None:
    told(visit, "compute-01")
    text = visit.text("/machines/compute-01")
    card = text[text.index('id="bmc"') :]
    assert "91.5 °C" in card
    assert 'class="health critical"' in card
    assert "every boot" in card
    assert "not confirmed" in card
    assert "clock not set" in card
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)" in card


def test_the_bmc_card_is_fetched_alone_when_something_changed(visit: Visit) -> None:
    told(visit, "compute-01")
    text = visit.text("/machines/compute-01/bmc-card")
    assert "91.5 °C" in text
    assert "<html" not in text


def test_power_is_ordered_and_a_second_order_is_refused_with_its_reason(visit: Visit) -> None:
    assert visit.post("/machines/compute-01/power", action="off")[0] == 303
    with visit.api.context.database.read() as session:
        assert session.scalars(select(PowerAction.goal).order_by(PowerAction.id.desc())).first() == "off"
    status, text = visit.post("/machines/compute-01/power", action="on")
    assert status == 422
    assert "already being switched" in text


def test_everything_is_read_with_one_button(visit: Visit) -> None:
    assert visit.post("/machines/compute-01/ask", kind="all")[0] == 303
    with visit.api.context.database.read() as session:
        kinds = session.scalars(select(BmcOrder.kind).order_by(BmcOrder.id)).all()
    assert kinds == ["sensors", "sel", "boot_device", "identity"]
    assert "Event log …" in visit.text("/machines/compute-01")


def test_maintenance_needs_a_reason_at_its_field(visit: Visit) -> None:
    status, text = visit.post("/machines/compute-01/maintenance", maintenance="1", reason=" ")
    assert status == 422
    assert 'id="f-reason-error"' in text
    assert visit.post("/machines/compute-01/maintenance", maintenance="1", reason="a disk")[0] == 303
    assert visit.machine("compute-01").maintenance_reason == "a disk"
    assert visit.post("/machines/compute-01/maintenance", maintenance="")[0] == 303
    assert not visit.machine("compute-01").maintenance


def test_a_deployment_of_something_unknown_is_refused_at_the_field(visit: Visit) -> None:
    status, text = visit.post("/machines/new-01/deploy", release="never-heard-of", role="base")
    assert status == 422
    assert 'id="f-release-error"' in text or "never-heard-of" in text


def test_an_active_machine_is_not_erased_without_a_word(visit: Visit) -> None:
    status, text = visit.post("/machines/compute-01/deploy", release="", role="")
    assert status == 422
    assert visit.machine("compute-01").state == "active"
    assert "reimage" in text


def test_lock_and_unlock(visit: Visit) -> None:
    visit.post("/machines/compute-01/lock", locked="1")
    assert visit.machine("compute-01").locked
    assert "is locked" in visit.post("/machines/compute-01/power", action="off")[1]
    visit.post("/machines/compute-01/lock", locked="")
    assert not visit.machine("compute-01").locked


def form_of(text: str) -> dict[str, str]:
    """What a browser would send of the edit form if nobody touched it."""
    found = dict(re.findall(r'<input id="[^"]+" name="([^"]+)"[^>]*? value="([^"]*)"', text))
    found |= dict(re.findall(r'<textarea id="[^"]+" name="([^"]+)"[^>]*>([^<]*)</textarea>', text))
    for name, options in re.findall(r'<select id="[^"]+" name="([^"]+)"[^>]*>(.*?)</select>', text, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    found["version"] = re.search(r'name="version" value="(\d+)"', text)[1]  # type: ignore[index]
    return {name: html.unescape(value) for name, value in found.items()}


def test_an_edit_that_touches_nothing_changes_nothing(visit: Visit) -> None:
    before = visit.machine("compute-01")
    form = form_of(visit.text("/machines/compute-01/edit"))
    assert visit.post("/machines/compute-01/edit", **form)[0] == 303
    after = visit.machine("compute-01")
    assert after.version == before.version
    assert after.bmc is not None
    assert before.bmc is not None
    assert after.bmc.password_encrypted == before.bmc.password_encrypted


def test_an_edit_changes_what_was_typed_and_keeps_it_when_it_is_refused(visit: Visit) -> None:
    form = form_of(visit.text("/machines/compute-01/edit"))
    status, text = visit.post(
        "/machines/compute-01/edit", **{**form, "serial": "SN-NEW", "mac": "nonsense", "vars": "{"}
    )
    assert status == 422
    assert "no JSON" in text
    assert 'value="SN-NEW"' in text
    changed = {**form, "serial": "SN-NEW", "labels": "tier=gold\r\nowner=ada", "location.rack": "r9"}
    assert visit.post("/machines/compute-01/edit", **changed)[0] == 303
    row = visit.machine("compute-01")
    assert (row.serial, row.labels, row.location["rack"]) == ("SN-NEW", {"tier": "gold", "owner": "ada"}, "r9")


def test_of_two_who_edit_at_once_the_second_is_told(visit: Visit) -> None:
    form = form_of(visit.text("/machines/compute-01/edit"))
    assert visit.post("/machines/compute-01/edit", **{**form, "serial": "first"})[0] == 303
    status, text = visit.post("/machines/compute-01/edit", **{**form, "serial": "second"})
    assert status == 422
    assert "changed meanwhile" in text
    assert visit.machine("compute-01").serial == "first"


def test_a_recording_is_listed_played_and_downloaded_as_text(visit: Visit) -> None:
    row = visit.machine("compute-01")
    with visit.api.context.database.write() as session:
        kept = ConsoleRecording(
            machine_id=row.id, title=EVIL, started_at=now() - dt.timedelta(minutes=2), ended_at=now(), size=10
        )
        session.add(kept)
        session.flush()
        number = kept.id
    folder = visit.api.context.settings.data_dir
    recorder = Recorder(recordings.path_of(folder, number), started_at=now(), title=EVIL)
    recorder.heard(b"\x1b[31mpanic\x1b[0m\r\n", now=now())
    recorder.close()
    assert f"/console/recordings/{number}" in visit.text("/machines/compute-01")
    page = visit.text(f"/machines/compute-01/console/recordings/{number}")
    assert EVIL not in page
    answer = visit.client.get(f"/api/v1/machines/compute-01/console/recordings/{number}/text")
    assert answer.text == "panic\n"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    cast = visit.client.get(f"/api/v1/machines/compute-01/console/recordings/{number}")
    assert cast.text.count("\n") == 2


def test_without_a_console_process_the_keys_are_refused_and_the_audit_has_no_key(visit: Visit) -> None:
    answer = visit.client.post(
        "/machines/compute-01/console/keys", data=b"hunter2\r", headers={"X-CSRF-Token": visit.csrf}
    )
    assert answer.status_code == 503
    with visit.api.context.database.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == "console.type")).all()
    assert len(rows) == 1
    assert "hunter2" not in repr([(row.subject, row.details) for row in rows])


def test_what_a_machine_lacks_for_its_role_stands_on_its_page(visit: Visit, api: Api) -> None:
    with api.context.database.write() as session:
        needy = {"size": {"type": "integer", "required": True, "help": "In MiB."}}
        session.add(Role(name="needy", builtin=False, description="", packages={}, services={}, storage={}, vars={},
                         variables=needy))  # fmt: skip
        name = session.scalars(select(Machine.name).where(Machine.cluster.is_(None)).limit(1)).one()
    assert "Cannot be deployed as it is" not in visit.text(f"/machines/{name}")
    with api.context.database.write() as session:
        selectors.get(session, name, lock=True).role = "needy"
    page = html.unescape(visit.text(f"/machines/{name}"))
    assert "Cannot be deployed as it is" in page
    assert "is missing; the role needy needs it: In MiB." in page
