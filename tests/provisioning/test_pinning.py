"""A machine reads the snapshot that its release, role or cluster pins; one that lacks what it reads is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pxeapp.answers import clusters
from pxeapp.answers.cluster_secrets import Hand
from pxeapp.answers.roles import rows as roles
from pxeapp.db import now
from pxeapp.errors import Conflict, Invalid
from pxeapp.machines import selectors
from pxeapp.provisioning import lifecycle, members, pinning, plan
from pxeapp.software import releases
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.snapshots import channels, service, uses
from pxeapp.software.snapshots.pins import Pin
from tests.provisioning.rack import Rack

TREE = "9/BaseOS/x86_64/os"


def take(rack: Rack, name: str, *repositories: str) -> str:
    with rack.provisioner.database.write() as session:
        for number, each in enumerate(repositories):
            row = SoftwareRepository(name=each, kind="rpm", origin="local", created_at=now(), updated_at=now())
            row.manifest = f"{number:064x}"
            session.add(row)
        session.flush()
        return service.take(session, name, actor="user:ops", now=now()).digest


def pin_release(rack: Rack, said: Any) -> None:
    with rack.provisioner.database.write() as session:
        releases.update(session, "rocky-9", {"settings": {"snapshot": said}}, actor="user:ops", now=now())


def hand(rack: Rack, session: Any) -> Hand:
    return clusters.hand(session, rack.provisioner.vault, rack.provisioner.templates, actor="user:ops", now=now())


def pin_role(rack: Rack, **said: Any) -> None:
    with rack.provisioner.database.write() as session:
        row = roles.get(session, "compute")
        members.change_role(session, rack.provisioner.templates, hand(rack, session), row, {"vars": said})


def url(rack: Rack) -> str:
    with rack.provisioner.database.read() as session:
        machine = selectors.get(session, "node1")
        spec = plan.preview(session, rack.checker.tools, machine, release="rocky-9", role="compute")
        return spec.release.install_url


def test_the_nearest_pin_counts_release_role_cluster_machine(rack: Rack) -> None:
    for name in "abcd":
        take(rack, name, *(["rocky"] if name == "a" else []))
    base = "http://10.77.0.1:8081/repo"
    assert url(rack) == f"{base}/rocky/{TREE}"
    pin_release(rack, "a")
    assert url(rack) == f"{base}/snapshots/a/rocky/{TREE}"
    pin_role(rack, snapshot="b")
    assert url(rack) == f"{base}/snapshots/b/rocky/{TREE}"
    with rack.provisioner.database.write() as session:
        clusters.create(session, hand(rack, session), {"name": "east", "vars": {"snapshot": "c"}})
        selectors.get(session, "node1").cluster = "east"
    assert url(rack) == f"{base}/snapshots/c/rocky/{TREE}"
    with rack.provisioner.database.write() as session:
        selectors.get(session, "node1").vars = {"snapshot": "channel:dev"}
    assert url(rack) == f"{base}/channels/dev/rocky/{TREE}"
    with rack.provisioner.database.read() as session:
        held = {str(holder): holder.pin for holder, _ in pinning.holders(session)}
    assert held == {
        "release rocky-9": Pin("a"), "role compute": Pin("b"), "cluster east": Pin("c"),
        "machine node1": Pin("dev", channel=True),
    }  # fmt: skip


def test_repositories_of_the_site_are_pinned_too_and_others_are_left_alone(rack: Rack) -> None:
    take(rack, "s", "rocky", "openstack")
    repositories = [
        {"name": "openstack", "url": "{node_url}/repo/openstack/"},
        {"name": "elsewhere", "url": "http://elsewhere.example/repo/openstack/"},
        {"name": "upstream", "url": "{node_url}/mirror/rdo"},
    ]
    pin_role(rack, snapshot="s", repositories=repositories)
    with rack.provisioner.database.read() as session:
        machine = selectors.get(session, "node1")
        spec = plan.preview(session, rack.checker.tools, machine, release="rocky-9", role="compute")
    assert [each.url for each in spec.site.repositories] == [
        "http://10.77.0.1:8081/repo/snapshots/s/openstack/",
        "http://elsewhere.example/repo/openstack/",
        "http://10.77.0.1:8081/mirror/rdo",
    ]


def test_a_snapshot_that_lacks_what_is_read_is_refused_when_it_is_saved(rack: Rack) -> None:
    take(rack, "s", "openstack")
    with pytest.raises(Invalid) as caught:
        pin_release(rack, "s")
    assert str(caught.value.problems[0]).startswith("settings.snapshot: snapshot s lacks the repository rocky.")
    for said in ("none", "channel:none", "channel:dev", "../etc", 7, "a/b"):
        with pytest.raises(Invalid):
            pin_release(rack, said)
    with pytest.raises(Invalid, match="role compute cannot be changed"):
        pin_role(rack, snapshot="s", repositories=[{"name": "x", "url": "{node_url}/repo/nova"}])


def test_a_machine_is_not_deployed_from_a_snapshot_that_lacks_its_repository(rack: Rack) -> None:
    take(rack, "s", "openstack")
    pin_role(rack, snapshot="s")  # what its machines' releases read is not known here
    with pytest.raises(Invalid, match="node1 cannot be deployed: snapshot s lacks the repository rocky"):
        rack.deploy()


def test_what_a_machine_was_given_is_kept_by_digest_and_held_while_it_is_installed(rack: Rack) -> None:
    digest = take(rack, "s", "rocky")
    with rack.provisioner.database.write() as session:
        channels.create(session, "nightly", before="dev", actor="user:ops", now=now())
        channels.promote(session, "s", "nightly", actor="user:ops", now=now())
    pin_release(rack, "channel:nightly")
    number = rack.deploy()
    rack.work(number)
    machine = rack.simulated()
    machine.netboot()
    assert f"http://10.77.0.1:8081/repo/channels/nightly/rocky/{TREE}" in machine.fetch_answer()
    with rack.provisioner.database.write() as session:
        said = uses.of(session, pinning.subject(number)) or {}
        assert (said["pin"], said["snapshot"], said["digest"]) == ("channel:nightly", "s", digest)
        assert said["machine"] == "node1"
        held_by = [holder for holder, _ in pinning.holders(session)]
        with pytest.raises(Conflict, match=f"held by channel nightly, deployment {number} of node1"):
            service.delete(session, "s", held_by=held_by, actor="user:ops", now=now())
        # It reads something else from now on; node1 goes on with what it was given.
        releases.update(session, "rocky-9", {"settings": {}}, actor="user:ops", now=now())
        held_by = [holder for holder, _ in pinning.holders(session)]
        with pytest.raises(Conflict, match=f"nightly is read by deployment {number} of node1"):
            channels.delete(session, "nightly", held_by=held_by, actor="user:ops", now=now())
        lifecycle.abort(session, selectors.get(session, "node1"), requested_by="user:ops", now=now())
        session.flush()
        assert list(pinning.holders(session)) == []
