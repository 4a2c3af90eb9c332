"""The services gate, with a systemctl that answers as systemd does: this host may have none that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.gates.services import Services, failed_units
from pxeapp.rollouts.port import Finding, Subject
from pxeapp.rollouts.spec import ServicesGate, Spec
from tests.nodes import conftest as machines
from tests.nodes.sshd import Sshd

pytestmark = pytest.mark.network
vault, sshd, machine_id, nodes = machines.vault, machines.sshd, machines.machine_id, machines.nodes
SYSTEMCTL = """\
#!/bin/bash
if [ "$1" = list-units ]; then
    echo "old.service loaded failed failed Broken since long"
    echo "● new.service loaded failed failed Broken since the patch"
    exit
fi
while [ "$1" != -- ]; do shift; done
shift
for unit; do
    case $unit in
        sick.service) printf 'Id=%s\\nLoadState=loaded\\nActiveState=activating\\nSubState=dead\\n\\n' "$unit" ;;
        none.service) printf 'Id=%s\\nLoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n\\n' "$unit" ;;
        *) printf 'Id=%s\\nLoadState=loaded\\nActiveState=active\\nSubState=running\\n\\n' "$unit" ;;
    esac
done
"""


def look(nodes: Nodes, machine_id: int, units: tuple[str, ...] = (), before: list[str] | None = None) -> Finding:
    spec = Spec.model_validate({"name": "x", "machines": {"names": ["m1"]}, "action": {"reboot": {}}})
    earlier: dict[str, Any] = {} if before is None else {"drain": {"failed_units": before}}
    about = Subject(
        rollout_id=1, member_id=1, machine_id=machine_id, machine="m1", role=None, release=None, cluster=None,
        spec=spec, step="verify", tries=1, began_at=machines.T0, earlier=earlier,
    )  # fmt: skip
    return Services(nodes).look(about, ServicesGate(units=units), now=machines.T0)


def test_units_are_active_or_the_finding_names_those_that_are_not(
    nodes: Nodes, machine_id: int, sshd: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin/systemctl").chmod(0o755)
    sshd.stop()
    sshd.environment = {"PATH": f"{tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    sshd.start()
    assert look(nodes, machine_id, ("web.service", "db.service")).says == "web.service, db.service are active."
    bad = look(nodes, machine_id, ("web.service", "sick.service", "none.service"))
    assert not bad.holds
    assert bad.says == "sick.service is activating (dead), none.service is not-found."
    known = look(nodes, machine_id, before=["old.service"])
    assert (known.holds, known.says) == (False, "new.service failed.")
    assert look(nodes, machine_id, before=["old.service", "new.service"]).holds
    assert "whether they had failed before is not known" in look(nodes, machine_id).says


def test_an_older_systemds_dots_are_no_part_of_a_name() -> None:
    assert failed_units("● a.service loaded failed failed A\n* b.mount loaded failed failed B\n\n") == [
        "a.service", "b.mount"
    ]  # fmt: skip
