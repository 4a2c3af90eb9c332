"""What each role does on each family: whole scripts compared, read by the shells, and free of what would end them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pxeapp.answers import render
from pxeapp.answers.roles import catalogue, work
from pxeapp.answers.roles.definition import BadRole
from pxeapp.answers.spec import BadAnswerValue
from pxeapp.templates import Templates
from tests.answers import shells
from tests.answers.roles.cluster import EVERYTHING, OPENSTACK, SECRETS, node
from tests.answers.samples import CALLBACK_TOKEN, TEMPLATES, spec
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
FAMILIES = (("debian", "13"), ("ubuntu", "24.04"), ("centos", "9"))
every_family = pytest.mark.parametrize(("family", "version"), FAMILIES)
every_role = pytest.mark.parametrize("role", OPENSTACK)


def first_boot(found: work.Work) -> str:
    """The script of the first boot, as the installed system has it."""
    return found.install.split(f"<<'{work.END_OF_SCRIPT}'\n")[1].split(f"{work.END_OF_SCRIPT}\n")[0]


def text_of(found: work.Work, path: str) -> str:
    return next(file.text for file in found.files if file.path == path)


@every_family
@every_role
def test_the_whole_script(family: str, version: str, role: str) -> None:
    golden.check(f"{role}-{family}.sh", work.of(node(family, version, role), TEMPLATES).install, GOLDEN)


@every_role
@pytest.mark.parametrize("neutron", ["ovs", "ovn"])
def test_the_shells_read_both_scripts_to_their_end(role: str, neutron: str) -> None:
    for family, version in (*FAMILIES, ("debian", "12"), ("rocky", "8")):
        more = EVERYTHING if role == "controller" else {}
        found = work.of(node(family, version, role, neutron=neutron, **more), TEMPLATES)
        for script in (found.install, first_boot(found)):
            shells.check(("bash",), script)


@every_role
def test_shellcheck_has_nothing_to_say(role: str) -> None:
    family, version = FAMILIES[OPENSTACK.index(role) % 3]
    more = EVERYTHING if role == "controller" else {}
    found = work.of(node(family, version, role, neutron="ovn", **more), TEMPLATES)
    shells.lint("bash", found.install)
    shells.lint("bash", first_boot(found))


def test_the_base_role_does_nothing_beyond_packages_and_services() -> None:
    found = work.of(spec("debian", "13"), TEMPLATES)
    assert (found.install, found.files, found.secrets) == ("", (), ())
    assert found.packages == spec("debian", "13").packages


@every_role
def test_passwords_stand_only_in_files_that_others_cannot_read(role: str) -> None:
    found = work.of(node("debian", "13", role, **(EVERYTHING if role == "controller" else {})), TEMPLATES)
    holding = [file for file in found.files if any(secret in file.text for secret in SECRETS.values())]
    assert holding
    assert all(file.mode in ("0640", "0600") and file.owner.startswith("root:") for file in holding)
    script = first_boot(found)
    assert "0700 root:root" in found.install.split("/usr/local/sbin/pxeapp-role")[1][:20]
    for secret in SECRETS.values():
        for line in script.splitlines():
            if secret in line:  # never an argument of a program: exported, on standard input, or masked
                assert re.search(
                    r"export |message=\$\{message//|^ *echo '?[\w-]+'? \| |IDENTIFIED BY|\"password\": ", line
                ), line


@every_role
def test_every_secret_of_the_role_is_known_as_one(role: str) -> None:
    found = work.of(node("debian", "13", role), TEMPLATES)
    needed = {
        name for name, about in catalogue.load(role, TEMPLATES).variables.items() if about.required and about.secret
    }
    assert {SECRETS[name] for name in needed} <= set(found.secrets)


@pytest.mark.parametrize(
    ("driver", "wanted", "unwanted"),
    [
        ("kvm", {"nova-compute-kvm", "neutron-openvswitch-agent"}, {"nova-compute-qemu"}),
        ("qemu", {"nova-compute-qemu", "libvirt-daemon-system"}, {"nova-compute-kvm"}),
        ("fake", {"nova-compute"}, {"libvirt-daemon-system", "neutron-openvswitch-agent"}),
        ("vmware", {"nova-compute", "python3-oslo.vmware"}, {"libvirt-daemon-system", "openvswitch-switch"}),
    ],
)
def test_compute_variants(driver: str, wanted: set[str], unwanted: set[str]) -> None:
    more = (
        {"vmware_host": "10.77.0.9", "vmware_cluster": "C1", "vmware_password": "pa$s wörd"}
        if driver == "vmware"
        else {}
    )
    found = work.of(node("debian", "13", "compute", compute_driver=driver, **more), TEMPLATES)
    assert wanted <= set(found.packages)
    assert not unwanted & set(found.packages)
    conf = text_of(found, "/etc/nova/nova.conf")
    last = text_of(found, "/etc/nova/nova-compute.conf")  # Debian's own says KVM, and is read after nova.conf
    assert last.count("\ncompute_driver = ") == 1
    assert re.findall("compute_driver = .*", last) == re.findall("compute_driver = .*", conf)
    for text in (conf, last):
        assert ("virt_type = " + driver in text) == (driver in ("kvm", "qemu"))
    assert ("host_password = pa$$s wörd\n" in conf) == (driver == "vmware")


def test_the_vsphere_driver_needs_its_vcenter() -> None:
    found = work.problems(node("debian", "13", "compute", compute_driver="vmware"), TEMPLATES)
    assert {each.field for each in found} == {"vars.vmware_host", "vars.vmware_cluster", "vars.vmware_password"}


def test_ovn_needs_no_agents_of_its_own_on_a_network_node() -> None:
    ovs, ovn = (
        set(work.of(node("debian", "13", "network", neutron=kind), TEMPLATES).packages) for kind in ("ovs", "ovn")
    )
    assert "neutron-l3-agent" in ovs - ovn
    assert "ovn-host" in ovn - ovs


def test_a_controller_brings_only_what_is_asked_for() -> None:
    small = work.of(node("debian", "13", "controller", cinder=False, heat=False, horizon=False), TEMPLATES)
    large = work.of(node("debian", "13", "controller", **EVERYTHING), TEMPLATES)
    for package in ("cinder-api", "heat-engine", "openstack-dashboard", "swift-proxy", "trove-api", "gnocchi-api"):
        assert package not in small.packages
        assert package in large.packages
    assert "heat_domain_admin" not in first_boot(small)


@pytest.mark.parametrize(("role", "services"), [("controller", 5), ("compute", 1), ("block", 1)])
def test_with_telemetry_every_service_tells_what_happens(role: str, services: int) -> None:
    for telemetry in (True, False):
        files = work.of(node("debian", "13", role, telemetry=telemetry), TEMPLATES).files
        telling = [file.text for file in files if "[oslo_messaging_notifications]\ndriver = messagingv2\n" in file.text]
        assert len(telling) == telemetry * services
        assert all("transport_url = rabbit://" in text for text in telling)


def test_no_service_starts_before_it_has_its_database() -> None:
    found = work.of(node("debian", "13", "controller", **EVERYTHING), TEMPLATES)
    waiting = found.install.split("for unit in ")[1].split("; do")[0].split()
    started = re.findall(r"^ +run (.+)$", first_boot(found), re.MULTILINE)
    own = {unit for units in started for unit in units.split()} - {"mariadb", "rabbitmq-server", "memcached", "etcd"}
    assert own - {"apache2", '"$unit"'} <= set(waiting)


def test_rabbitmq_reads_the_password_only_without_more_arguments() -> None:
    script = first_boot(work.of(node("debian", "13", "controller"), TEMPLATES))
    assert re.findall(r"\| rabbitmqctl (.*)$", script, re.MULTILINE) == [
        "change_password openstack",
        "add_user openstack",
    ]


def test_availability_zone_and_aggregates_are_asked_for_at_the_first_boot() -> None:
    said = {"availability_zone": "az-2", "host_aggregates": ["ssd", "gpu"], "region": "Rome", "cell": "cell7"}
    script = first_boot(work.of(node("debian", "13", "compute", **said), TEMPLATES))
    assert '"region": "Rome", "zone": "az-2"' in script
    assert '"aggregates": ["ssd", "gpu"]' in script


CELLS = """\
+-------+--------------------------------------+-----------------------+
|  Name |                 UUID                 |     Transport URL     |
+-------+--------------------------------------+-----------------------+
| cell0 | 00000000-0000-0000-0000-000000000000 |         none:/        |
"""
OWN_CELL = "| cell1 | 7b0b1f0c-6a60-4f5f-9a3b-0d2f7a3d4c11 | rabbit://openstack:** |\n"


@pytest.mark.parametrize(
    ("name", "listed", "makes"),
    [("cell7", CELLS, True), ("cell0", CELLS, True), ("cell1", CELLS + OWN_CELL, False), ("x", CELLS + OWN_CELL, False)],
)
def test_a_controller_makes_one_cell_and_calls_it_as_the_cluster_does(name: str, listed: str, makes: bool) -> None:
    script = first_boot(work.of(node("debian", "13", "controller", cell=name), TEMPLATES))
    part = re.search(r"(?m)^ *as nova nova-manage cell_v2 list_cells .*\n.*create_cell.*$", script)
    assert part
    manage = f'as() {{ shift; case "$*" in *list_cells) cat <<"EOF"\n{listed}EOF\n;; *) echo "$@" ;; esac; }}'
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", f"{manage}\n{part[0]}"], capture_output=True, text=True, check=True
    )
    assert done.stdout == (f"nova-manage cell_v2 create_cell --name={name}\n" if makes else "")


def test_a_compute_node_is_in_the_cell_whose_message_bus_it_uses() -> None:
    conf = text_of(work.of(node("debian", "13", "compute", cell="cell7"), TEMPLATES), "/etc/nova/nova.conf")
    assert "transport_url = rabbit://openstack:" in conf
    assert "[database]" not in conf
    assert catalogue.load("compute", TEMPLATES).variables["cell"].scope == "cluster", "said of one machine it would mean nothing"


def test_a_controller_with_an_ipv6_address_stands_in_brackets() -> None:
    conf = text_of(
        work.of(node("debian", "13", "compute", controller="2001:db8::10"), TEMPLATES), "/etc/nova/nova.conf"
    )
    assert "@[2001:db8::10]:5672/" in conf
    assert "auth_url = http://[2001:db8::10]:5000/v3" in conf


@pytest.mark.parametrize("family", ["debian", "ubuntu", "centos"])
def test_every_installer_does_the_work(family: str) -> None:
    found = node(family, dict(FAMILIES)[family], "block")
    kind = {"debian": "script", "ubuntu": "script", "centos": "kickstart"}[family]
    text = render.render(kind, found, TEMPLATES)
    assert work.of(found, TEMPLATES).install in text
    assert "cinder-volume" in text


def test_the_callback_token_is_gone_with_the_checklist() -> None:
    script = first_boot(work.of(node("debian", "13", "block"), TEMPLATES))
    assert CALLBACK_TOKEN in script
    assert "rm -f" in script.split("is set up.")[1]
    assert "/usr/local/sbin/pxeapp-role" in script.split("is set up.")[1]


HOSTILE = [
    "a\nb",
    "a\r\n%end",
    "$(reboot)",
    "`reboot`",
    "'; reboot; '",
    '"',
    "%end",
    "a b",
    "é" * 255,
    "x" * 300,
    "*a",
    "{{ 7 }}",
    "",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "name", ["controller", "region", "cell", "nova_password", "provider_interface", "availability_zone"]
)
def test_a_hostile_value_is_refused_by_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadAnswerValue) as refused:  # by the specification itself, or by the role's schema
        work.of(node("debian", "13", "compute", **{name: value}), TEMPLATES)
    assert [each.field for each in refused.value.problems] == [f"vars.{name}"]


@pytest.mark.parametrize(
    "value", ["$(reboot)", "`x`", "'; reboot; '", '"', "%end", "END_OF_ROLE_FILE", "Grüße, 世界", "x" * 255]
)
def test_a_hostile_text_is_only_itself_where_texts_are_possible(value: str) -> None:
    more = {"compute_driver": "vmware", "vmware_host": "10.77.0.9", "vmware_password": "0123456789"}
    found = work.of(node("debian", "13", "compute", **more, vmware_cluster=value), TEMPLATES)
    conf = text_of(found, "/etc/nova/nova.conf")
    assert f"cluster_name = {value.replace('$', '$$')}\n" in conf
    shells.check(("bash",), found.install)
    assert conf in found.install


def test_a_template_that_would_end_the_script_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "roles/gpu"
    folder.mkdir(parents=True)
    (folder / "role.yaml").write_text("files: [{path: /etc/gpu.conf, template: gpu/gpu.conf}]\n")
    for line in ("%end", "  %include /etc/passwd", "END_OF_ROLE_FILE", "END_OF_FINISH"):
        (folder / "gpu.conf").write_text(f"# one\n{line}\n")
        with pytest.raises(BadRole, match=r"roles/gpu/gpu\.conf: its line 2"):
            work.of(replace(spec("debian", "13"), role="gpu"), Templates(tmp_path))
