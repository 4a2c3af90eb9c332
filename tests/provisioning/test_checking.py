"""Validated before deploy: nothing is given to a machine that its installer would stumble over."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp.answers import render
from pxeapp.answers.checks.known import Known
from pxeapp.answers.storage import LVM, Layout, Volume
from pxeapp.errors import Invalid
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.provisioning import checking, plan, rendered
from pxeapp.provisioning.checking import NotDeployable
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.shape import Shape
from pxeapp.templates.versions import recording
from tests.answers import samples
from tests.provisioning.rack import Rack


def override(rack: Rack, name: str, text: str) -> Path:
    path = rack.provisioner.settings.templates_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def site(block: str) -> str:
    return '{% extends "kickstarts/base.ks" %}\n{% block site %}\n' + block + "\n{% endblock %}\n"


def test_what_we_render_is_deployed(rack: Rack) -> None:
    assert rack.deploy() > 0


def test_a_fault_in_a_sites_template_is_refused_with_template_line_and_fix(rack: Rack) -> None:
    path = override(
        rack, "kickstarts/compute.ks", site("%post\nif true; then\necho unfinished\n%end\nlogvol /x --vgname=gone")
    )
    before = rack.machine().state
    with pytest.raises(NotDeployable) as refused:
        rack.deploy()
    said = [str(problem) for problem in refused.value.problems]
    assert any(str(path) in each and "is no bash" in each for each in said)
    assert any(f"{path}, line 7" in each and "required: --name" in each for each in said), said
    assert all(problem.fix for problem in refused.value.problems)
    with rack.provisioner.database.read() as session:
        assert session.scalars(select(Deployment)).all() == []
        assert session.scalars(select(Machine)).one().state == before
    path.unlink()
    assert rack.deploy() > 0


def test_a_template_that_cannot_be_rendered_is_refused_before_anything_is_touched(rack: Rack) -> None:
    override(rack, "kickstarts/compute.ks", site("{{ nothing_of_that_name }}"))
    with pytest.raises(Invalid, match="nothing_of_that_name"):
        rack.deploy()


def test_advice_refuses_nothing_and_is_shown(rack: Rack) -> None:
    override(rack, "kickstarts/compute.ks", site("module --name=x"))
    with rack.provisioner.database.write() as session:
        machine = selectors.get(session, "node1", lock=True)
        machine.release, machine.role = "rocky-9", "compute"
    with rack.provisioner.database.read() as session:
        files = rendered.rendered(session, rack.checker, selectors.get(session, "node1"), kind="kickstart")
    assert all(fault["advice"] for fault in files[0]["faults"])
    assert rack.deploy() > 0


# What no layout that was read has: two volumes of one name.
TWICE = Layout(simple=False, root="lvm", volumes=(Volume("swap", 1024), Volume("/swap", 1024), Volume("/", None)))


def places(rack: Rack, family: str, version: str, kind: str, *change: str, layout: Layout = LVM) -> dict[str, str]:
    """The problems of a file that is changed behind the renderer, each with where it is said to come from."""
    spec = samples.spec(family, version, storage=layout, system_disk=None, data_disks=(), keep_disks=())
    with recording() as made_from:
        text = render.render(kind, spec, rack.checker.tools.templates)
    if change:
        assert change[0] in text
        text = text.replace(*change, 1)
    file = checking.File(kind, text, tuple(made_from))
    return {fault.problem: fault.place for fault in rack.checker.faults_of(file, spec, Known(), Shape(spec))}


def test_a_line_that_is_built_in_code_is_said_to_come_from_its_variable(rack: Rack) -> None:
    found = places(rack, "rocky", "9", "kickstart", layout=TWICE)
    assert found["system has two volumes named swap."].endswith("(from vars.layout)")
    found = places(rack, "ubuntu", "24.04", "user-data", layout=TWICE)
    assert found["The id 'volume-swap' stands twice."].endswith("(from vars.layout)")


def test_other_lines_come_from_their_template_or_from_nowhere_that_is_known(rack: Rack) -> None:
    found = places(rack, "rocky", "9", "kickstart", "lang en_US.UTF-8", "lang english")
    assert "(from kickstarts/_system.ks, line" in found["'english' is no language."]
    found = places(rack, "rocky", "9", "kickstart", "\nkeyboard ", "\n# ")
    assert found["There is no keyboard: the keyboard is asked for."] == " (from kickstarts/base.ks)"
    found = places(rack, "ubuntu", "24.04", "user-data", "  shutdown:", "  shutdwn:")
    assert found
    assert all("from" not in each for each in found.values()), "no template has a line of it, and no variable"


def test_a_line_of_a_sites_own_document_is_said_to_come_from_there(rack: Rack) -> None:
    path = override(rack, "preseeds/autoinstall/base.yaml", "storage:\n  swap:\n    filname: /x\n")
    found = places(rack, "ubuntu", "24.04", "user-data")
    assert [each.partition("(from ")[2] for each in found.values()] == [f"{path}, line 3)"]


def test_a_rehearsal_is_kept_as_long_as_nothing_changes(rack: Rack) -> None:
    path = override(rack, "kickstarts/compute.ks", site("nonsense"))
    database = rack.provisioner.database
    rehearsal = rack.checker.rehearse(database, "node1", release="rocky-9", role="compute")
    assert [fault.template for fault in rehearsal.faults] == [str(path)]
    with database.read() as session:
        machine = selectors.get(session, "node1")
        said = {"release": "rocky-9", "role": "compute"}
        with pytest.raises(NotDeployable):
            plan.check_deployable(session, machine, **said, rehearsal=rehearsal)
        path.unlink()  # the very specification is looked at again only when it is another one
        with pytest.raises(NotDeployable):
            plan.check_deployable(session, machine, **said, rehearsal=rehearsal)
        assert plan.check_deployable(session, machine, **said, rehearsal=rack.checker.unrehearsed())


def test_what_is_not_there_is_said_by_the_deployment_and_not_by_the_rehearsal(rack: Rack) -> None:
    assert rack.checker.rehearse(rack.provisioner.database, "nobody", release=None, role=None).spec is None


def test_machines_that_differ_in_names_and_addresses_have_one_shape() -> None:
    def text(number: int) -> str:
        found = samples.spec(
            "rocky", "9", boot=samples.Card(f"52:54:00:00:00:{number:02x}", address=f"10.77.0.{number}/24"),
            hostname=f"node{number}", system_disk=f"disk/by-id/ata-SERIAL{number}",
        )  # fmt: skip
        said = f"{found.hostname} {found.hostname}x {found.boot.mac} {found.boot.mac.replace(':', '-')}"
        return Shape(found).of(f"{said} {found.boot.ip} {found.boot.ip}0 {found.system_disk} 10.77.0.1")

    assert text(12) == text(34).replace("340", "120").replace("34x", "12x")
    assert "node12 " not in text(12)
    assert text(12).endswith(" 10.77.0.1")  # whatever is the network's stays


def test_another_network_is_another_shape() -> None:
    shapes = {
        Shape(samples.spec("rocky", "9", boot=samples.Card(samples.MAC, address=address))).of(address.partition("/")[0])
        for address in ("10.77.0.5/24", "10.77.0.6/24", "10.78.0.5/24")
    }
    assert len(shapes) == 2


def test_a_machine_called_like_a_word_of_the_file_is_not_refused_for_its_name(rack: Rack) -> None:
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).name = "cmdline"
    with rack.provisioner.database.read() as session:
        machine = selectors.get(session, "cmdline")
        said = {"release": "rocky-9", "role": "compute"}
        assert plan.check_deployable(session, machine, **said, rehearsal=rack.checker.unrehearsed())


def test_each_shape_is_checked_once(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = checking.answer_checks.check

    def counted(kind: str, text: str, *more: object) -> object:
        asked.append(kind)
        return real(kind, text + f"# {rack.provisioner.settings.data_dir}\n", *more)  # type: ignore[arg-type]

    monkeypatch.setattr(checking.answer_checks, "check", counted)
    override(rack, "kickstarts/compute.ks", site(f"# {rack.provisioner.settings.data_dir}"))
    for number in range(3):
        with rack.provisioner.database.write() as session:
            selectors.get(session, "52:54:00:00:00:01", lock=True).name = f"node{number}"
        with rack.provisioner.database.read() as session:
            machine = selectors.get(session, f"node{number}")
            said = {"release": "rocky-9", "role": "compute"}
            plan.check_deployable(session, machine, **said, rehearsal=rack.checker.unrehearsed())
    assert asked == ["kickstart"]
