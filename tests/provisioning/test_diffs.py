"""What a change would do to every machine that it touches, before it is saved; and that nothing is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.answers import roles
from pxeapp.db import Base, now
from pxeapp.errors import Invalid
from pxeapp.machines import selectors
from pxeapp.machines.lifecycle import State
from pxeapp.machines.models import Cluster, Disk, Interface, Machine, Network
from pxeapp.machines.selectors import Filter
from pxeapp.machines.service import Site, networks_known
from pxeapp.provisioning import diffs, proposals
from pxeapp.provisioning.diffs import Comparison, Look
from pxeapp.provisioning.proposals import Proposal, Selection
from pxeapp.software import adding, releases
from pxeapp.software.releases import Description
from pxeapp.templates import TemplateError, pool
from tests.provisioning.rack import Rack, rack

__all__ = ["rack"]
HASH = "$6$rounds=5000$abcdefgh$" + "x" * 86
BASE_KS = "kickstarts/base.ks"
MANY = 7


@pytest.fixture
def rack_database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgresql_url")) if getattr(request, "param", "") == "postgresql" else ""


on_postgresql_too = pytest.mark.parametrize(
    "rack_database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)


@pytest.fixture
def site(rack: Rack, tmp_path: Path) -> Rack:
    """Seven compute nodes alike, one of base, one without a role; two releases and two networks."""
    own = rack.provisioner
    (tmp_path / "deb").mkdir()
    for name in ("linux", "initrd.gz"):
        (tmp_path / "deb" / name).write_bytes(b"x")
    adding.from_directory(
        own.database,
        own.settings,
        Description(name="debian-13", family="debian", version="13", install_url="{node_url}/mirror/debian"),
        tmp_path / "deb",
        kernel="linux",
        initrd="initrd.gz",
        actor="user:ada",
        now=now(),
    )
    with own.database.write() as session:
        for number, name in enumerate(("rack", "far")):
            session.add(
                Network(
                    name=name,
                    cidr=f"10.{77 + number}.0.0/24",
                    gateway=f"10.{77 + number}.0.1",
                    dns=[],
                    ntp=[],
                    domain="",
                )
            )
        session.flush()
        for number in range(2, MANY + 2):
            session.add(_machine(f"compute{number}", number, "compute", "rack"))
        session.add(_machine("base1", 101, "base", "far"))
    return rack


def _machine(name: str, number: int, role: str, network: str) -> Machine:
    mac = f"52:54:00:00:00:{number:02x}"
    subnet = {"rack": 77, "far": 78}[network]
    row = Machine(name=name, mac=mac, state=State.AVAILABLE, created_at=now(), updated_at=now())
    row.role, row.release, row.serial, row.labels = role, "rocky-9", f"SN{number}", {"row": "a" if number % 2 else "b"}
    row.interfaces = [Interface(mac=mac, name="eno1", network=network, address=f"10.{subnet}.0.{number}")]
    row.disks = [Disk(purpose="system", path=f"disk/by-id/wwn-0x5000c500{number:08x}")]
    row.vars = {"root_password_hash": HASH}
    return row


def compare(rack: Rack, proposal: Proposal, *names: str, **narrowed: str) -> Comparison:
    own = rack.provisioner
    before = _everything(own.database)
    with own.database.read() as session:
        found = diffs.compare(session, _look(session, rack), proposal, Selection(names, Filter(**narrowed)), now=now())
    assert _everything(own.database) == before
    return found


def _look(session: Session, rack: Rack) -> Look:
    known = Site(
        roles=frozenset(row.name for row in roles.listing(session)),
        releases=frozenset(row.name for row in releases.listing(session)),
        networks=networks_known(session),
        bmc_networks=(),
    )
    return Look(rack.checker, known)


def _everything(database: Any) -> dict[str, list[Any]]:
    """Every row of every table: nothing may be other after a comparison."""
    with database.engine.connect() as connection:
        return {
            table.name: sorted(tuple(map(repr, row)) for row in connection.execute(select(table)))
            for table in Base.metadata.sorted_tables
        }


def diff_of(found: Comparison, group: int = 0) -> str:
    return "".join(file.unified(found.groups[group].machines[0]) for file in found.groups[group].files)


COMPUTES = [f"compute{number}" for number in range(2, MANY + 2)]


def test_a_changed_role_shows_on_its_machines_as_one_group(site: Rack) -> None:
    with site.provisioner.database.read() as session:
        had = roles.get(session, "compute").packages
    found = compare(site, Proposal(roles={"compute": {"packages": {**had, "el": [*had.get("el", []), "htop"]}}}))
    assert [group.machines for group in found.groups] == [COMPUTES]
    diff = diff_of(found)
    assert diff.startswith("--- kickstart of compute2, now\n+++ kickstart of compute2, then\n@@ ")
    assert "+htop\n" in diff
    assert [line for line in diff.splitlines() if line.startswith("-")] == ["--- kickstart of compute2, now"]
    assert (found.looked_at, found.unchanged, found.without, found.differs) == (MANY + 2, 1, 1, True)


def test_what_is_each_machines_own_does_not_keep_it_out_of_its_group(site: Rack) -> None:
    """Every line that says who it is goes and another comes, and it is one difference still."""
    text = "# {{ spec.hostname }} {{ spec.boot.mac }} {{ bootif }} {{ spec.boot.ip }} {{ spec.system_disk }}\n"
    found = compare(site, Proposal(templates={BASE_KS: text}))
    assert sorted(len(group.machines) for group in found.groups) == [1, MANY]
    assert found.groups[0].files[0].after.startswith("# compute2 52:54:00:00:00:02 01-52-54-00-00-00-02 ")


def test_a_proposed_template_is_rendered_confined_and_saved_nowhere(site: Rack) -> None:
    own = site.provisioner
    found = compare(site, Proposal(templates={BASE_KS: "{{ spec.role }}\n# more\n"}))
    assert {name for group in found.groups for name in group.machines} == {*COMPUTES, "base1"}
    assert diff_of(found).endswith("+compute\n+# more\n")
    assert not own.settings.templates_dir.exists()
    with pytest.raises(Invalid):
        compare(site, Proposal(templates={BASE_KS: "{{ spec.hostname"}))
    escape = compare(site, Proposal(templates={BASE_KS: "{{ spec.__class__.__mro__ }}"}))
    assert [failure.already for failure in escape.failures] == [False]
    assert "the proposed kickstarts/base.ks, line 1: access to attribute '__class__'" in escape.failures[0].reason


def test_a_proposed_template_touches_those_machines_whose_files_are_made_from_it_only(site: Rack) -> None:
    renders = []
    shared = pool.shared()
    original = shared.render

    def counted(name: str, *rest: Any) -> str:
        renders.append(name)
        return original(name, *rest)

    shared.render = counted  # type: ignore[method-assign]
    try:
        found = compare(site, Proposal(templates={"preseeds/base.cfg": "# nobody has this\n"}))
    finally:
        del shared.render  # type: ignore[attr-defined]
    assert (found.differs, renders) == (False, [])
    assert found.notes == ["No machine that was looked at is given a file made from preseeds/base.cfg: check the name."]
    new = compare(site, Proposal(templates={"kickstarts/compute.ks": "# its own\n"}))
    assert [group.machines for group in new.groups] == [COMPUTES]


def test_a_sites_template_thought_away_shows_ours_again(site: Rack) -> None:
    folder = site.provisioner.settings.templates_dir / "kickstarts"
    folder.mkdir(parents=True)
    (folder / "base.ks").write_text("# the site's line\n")
    found = compare(site, Proposal(templates={BASE_KS: None}))
    assert "-# the site's line\n" in diff_of(found)
    assert "+lang en_US.UTF-8\n" in diff_of(found)
    assert (folder / "base.ks").read_text() == "# the site's line\n"


@on_postgresql_too
def test_variables_of_a_selection_touch_that_selection_only(site: Rack) -> None:
    found = compare(site, Proposal(vars={"timezone": "Europe/Rome"}), label="row=a")
    assert [group.machines for group in found.groups] == [["base1", "compute3", "compute5", "compute7"]]
    assert "+timezone --utc Europe/Rome" in diff_of(found)
    assert found.looked_at == 4
    named = compare(site, Proposal(vars={"timezone": "Europe/Rome"}), "compute3", "52:54:00:00:00:02", role="compute")
    assert [group.machines for group in named.groups] == [["compute2", "compute3"]]
    taken = compare(site, Proposal(vars={"root_password_hash": None}), "compute3")
    assert "-rootpw --iscrypted ***(" in diff_of(taken)


def test_a_changed_secret_shows_as_changed_and_is_not_shown(site: Rack) -> None:
    found = compare(site, Proposal(vars={"root_password_hash": HASH.replace("xx", "yy")}), role="compute")
    assert [group.machines for group in found.groups] == [COMPUTES]
    lines = [line for line in diff_of(found).splitlines() if "rootpw" in line]
    assert [line.partition("***(")[0] for line in lines] == ["-rootpw --iscrypted ", "+rootpw --iscrypted "]
    assert lines[0][1:] != lines[1][1:]
    assert HASH not in repr(found)
    assert HASH[:20] not in diff_of(found)


def test_a_changed_network_shows_on_the_machines_in_it(site: Rack) -> None:
    found = compare(site, Proposal(networks={"rack": {"gateway": "10.77.0.254"}}))
    assert [group.machines for group in found.groups] == [COMPUTES]
    assert "10.77.0.254" in diff_of(found)


def test_a_changed_release_shows_in_boot_scripts_and_answer_files_that_can_change(site: Rack) -> None:
    found = compare(site, Proposal(releases={"rocky-9": {"kernel_args": "quiet"}}))
    assert {name for group in found.groups for name in group.machines} == {*COMPUTES, "base1"}
    assert [file.kind for file in found.groups[0].files][:3] == ["ipxe", "grub", "pxelinux"]
    assert all("quiet" in file.after for file in found.groups[0].files[:3])


@on_postgresql_too
def test_a_changed_cluster_shows_on_its_machines(site: Rack) -> None:
    with site.provisioner.database.write() as session:
        session.add(Cluster(name="west", vars={}, secrets={}, description="", created_at=now(), updated_at=now()))
        session.flush()
        for name in ("compute2", "compute3"):
            selectors.get(session, name, lock=True).cluster = "west"
    found = compare(site, Proposal(clusters={"west": {"vars": {"timezone": "Europe/Rome"}}}))
    assert [group.machines for group in found.groups] == [["compute2", "compute3"]]
    assert "+timezone --utc Europe/Rome" in diff_of(found)
    with pytest.raises(Invalid) as caught:
        compare(site, Proposal(clusters={"west": {"vars": {"timezoone": "x"}}, "east": {"vars": {}}}))
    assert [problem.field for problem in caught.value.problems] == ["clusters.west.vars.timezoone", "clusters.east"]


def test_machines_moved_to_another_release_get_other_files(site: Rack) -> None:
    found = compare(site, Proposal(to_release="debian-13"), role="compute")
    assert [group.machines for group in found.groups] == [COMPUTES]
    kinds = [file.kind for file in found.groups[0].files]
    assert kinds[:4] == ["ipxe", "grub", "pxelinux", "kickstart"]
    assert "preseed" in kinds
    kickstart = found.groups[0].files[3]
    assert (kickstart.after, kickstart.before != "") == ("", True)
    back = compare(site, Proposal(to_role="base"), "compute2", "base1")
    assert [group.machines for group in back.groups] == [["compute2"]]
    both = compare(site, Proposal(to_role="base", to_release="debian-13"), "node1")
    assert both.groups[0].files[0].before == ""  # it has neither now


def test_machines_that_could_not_be_rendered_are_named_with_the_reason(site: Rack) -> None:
    with site.provisioner.database.write() as session:
        selectors.get(session, "compute2", lock=True).vars = {"timezone": "no zone"}
    found = compare(site, Proposal(templates={BASE_KS: "{{ spec.vars.site_rack }}\n"}))
    already, new = sorted(found.failures, key=lambda failure: -failure.already)
    assert (already.machines, already.already) == (["compute2"], True)
    assert "timezone" in already.reason
    assert (new.machines, new.already) == (["base1", *COMPUTES[1:]], False)
    assert new.reason.startswith("kickstart: the proposed kickstarts/base.ks, line 1: ")
    mended = compare(site, Proposal(vars={"timezone": None}), "compute2")
    assert (mended.mended, mended.differs) == (["compute2"], True)


def test_a_template_that_fails_now_and_not_then_is_mended(site: Rack) -> None:
    folder = site.provisioner.settings.templates_dir / "kickstarts"
    folder.mkdir(parents=True)
    (folder / "base.ks").write_text("{{ nothing }}")
    assert compare(site, Proposal(templates={BASE_KS: None})).mended == ["base1", *COMPUTES]
    still = compare(site, Proposal(vars={"timezone": "Europe/Rome"}))
    assert [(failure.already, len(failure.machines)) for failure in still.failures] == [(True, MANY + 1)]
    assert not still.differs


def test_what_changes_nothing_says_so(site: Rack) -> None:
    found = compare(site, Proposal(vars={"timezone": "Etc/UTC"}))
    assert (found.differs, found.groups, found.unchanged, found.without) == (False, [], MANY + 1, 1)
    assert compare(site, Proposal(vars={"timezone": "Etc/UTC"}), state="active").notes == ["No machine is selected."]


@pytest.mark.parametrize(
    ("proposal", "field"),
    [
        (Proposal(), ""),
        (Proposal(roles={"compute": {"packages": {"el": ["a b"]}}}), "roles.compute.packages.el"),
        (Proposal(roles={"nothing": {}, "compute": {"vars": {}}}), "roles.nothing"),
        (Proposal(networks={"rack": {"gateway": "10.99.0.1"}}), "networks.rack.gateway"),
        (Proposal(releases={"rocky-9": {"family": "debian"}}), "releases.rocky-9.family"),
        (Proposal(to_release="windows"), "to_release"),
        (Proposal(to_role="king"), "to_role"),
        (Proposal(vars={"site_text": "\0"}), "vars"),
    ],
)
def test_what_could_not_be_saved_is_refused_with_field_and_fix(rack: Rack, proposal: Proposal, field: str) -> None:
    with rack.provisioner.database.write() as session:
        session.add(Network(name="rack", cidr="10.77.0.0/24", dns=[], ntp=[], domain=""))
    with pytest.raises(Invalid) as caught:
        compare(rack, proposal)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert all(problem.fix for problem in caught.value.problems if field != "roles.compute.packages.el")


def test_unknown_machines_are_all_named(site: Rack) -> None:
    with pytest.raises(Invalid) as caught:
        compare(site, Proposal(to_role="base"), "compute2", "nobody", "noone")
    assert [str(problem)[:45] for problem in caught.value.problems] == [
        "select.names: There is no machine 'nobody'. U",
        "select.names: There is no machine 'noone'. Us",
    ]


def test_a_template_outside_of_the_folders_is_refused(site: Rack) -> None:
    for name in ("../secret.key", "web/templates/base.html"):
        with pytest.raises(TemplateError, match="is not below one of"):
            compare(site, Proposal(templates={name: "x"}))


@on_postgresql_too
def test_whoever_would_write_while_comparing_is_stopped(rack: Rack) -> None:
    with rack.provisioner.database.read() as session:
        with proposals.never_written(session):
            session.add(Network(name="x", cidr="10.0.0.0/24", dns=[], ntp=[], domain=""))
            with pytest.raises(RuntimeError, match="A comparison writes nothing"):
                session.flush()
        assert session.scalars(select(Network)).all() == []
        session.add(Network(name="x", cidr="10.0.0.0/24", dns=[], ntp=[], domain=""))
        session.flush()  # afterwards it is a session like any other


def test_a_running_attempt_is_looked_at_as_it_is_being_installed(site: Rack) -> None:
    with site.provisioner.database.write() as session:
        row = selectors.get(session, "node1", lock=True)
        row.release, row.role = "rocky-9", "base"
    number = site.deploy()
    with site.provisioner.database.write() as session:
        selectors.get(session, "node1", lock=True).role = "base"
    assert number
    with site.provisioner.database.read() as session:
        had = roles.get(session, "compute").packages
    found = compare(site, Proposal(roles={"compute": {"packages": {**had, "el": ["htop"]}}}))
    assert found.groups[0].machines == [*COMPUTES, "node1"]
    moved = compare(site, Proposal(to_role="storage"), "node1")
    assert moved.groups[0].machines == ["node1"]


def test_the_sealed_key_of_a_comparison_is_its_own(site: Rack) -> None:
    """What one shows of a secret cannot be looked up in another."""
    shown = set()
    for _ in range(3):
        found = compare(site, Proposal(vars={"root_password_hash": None}), "compute2")
        shown.add(next(line for line in diff_of(found).splitlines() if "rootpw" in line and line.startswith("-")))
    assert len(shown) == 3
    assert hashlib.sha256(HASH.encode()).hexdigest()[:4] not in "".join(shown)


def test_a_new_file_is_checked_and_its_faults_are_said_once_for_all_machines_alike(site: Rack) -> None:
    text = "autostep\nlang en_US.UTF-8\n%post\necho {{ spec.hostname }}\n"
    found = compare(site, Proposal(templates={BASE_KS: text}))
    faults = [each for group in found.groups for each in group.faults.values()]
    of_all = [each for each in faults if each.grave and len(each.machines) == MANY]
    assert of_all
    assert not of_all[0].already
    assert BASE_KS in of_all[0].fault.template
    assert found.faulty == MANY + 1
    shown = found.to_dict(2)
    assert (shown["faulty"], shown["unchecked"]) == (MANY + 1, 0)
    assert shown["groups"][0]["faults"][0]["count"] == MANY


def test_a_fault_that_is_there_already_is_told_apart(site: Rack) -> None:
    wrong = "lang en_US.UTF-8\n%post\necho {{ spec.hostname }}\n"
    own = site.provisioner
    (own.settings.templates_dir / "kickstarts").mkdir(parents=True)
    (own.settings.templates_dir / BASE_KS).write_text(wrong)
    found = compare(site, Proposal(templates={BASE_KS: f"# more\n{wrong}"}))
    faults = [each for group in found.groups for each in group.faults.values()]
    assert faults
    assert all(each.already or each.fault.advice for each in faults)
    assert found.faulty == 0


def test_checking_ends_when_the_patience_does(site: Rack) -> None:
    own = site.provisioner
    with own.database.read() as session:
        look = replace(_look(session, site), patience=-1.0)
        found = diffs.compare(session, look, Proposal(vars={"timezone": "Europe/Rome"}), Selection(), now=now())
    assert found.unchecked == MANY + 1
    assert "were not checked" in found.notes[0]
