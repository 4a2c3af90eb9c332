"""What other tools read: Ansible's inventory, Prometheus' targets and metrics, and events."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Api, Asker


@pytest.fixture
def rack(admin: Asker) -> None:
    """Three machines; one has no address that anybody knows."""
    for number, (role, address) in enumerate(
        [("controller", "10.0.0.1"), ("compute", "10.0.0.2"), ("compute", None)], 1
    ):
        mac = f"52:54:00:00:03:{number:02x}"
        said = {
            "name": f"node{number}", "mac": mac, "role": role, "release": "debian-13", "labels": {"env": "prod-1"},
            "location": {"rack": "R 1"}, "interfaces": [{"mac": mac, "name": "eno1", "address": address}],
            "bmc": {"type": "ipmi", "address": f"10.0.9.{number}", "password": "never-to-be-seen"},
        }  # fmt: skip
        assert admin.post("/machines", json=said).status_code == HTTPStatus.CREATED


def test_the_inventory_has_groups_and_variables_and_no_secret(admin: Asker, rack: None) -> None:
    reply = admin.get("/inventory/ansible")
    assert reply.json["role_compute"]["hosts"] == ["node2", "node3"]
    assert reply.json["release_debian_13"]["hosts"] == ["node1", "node2", "node3"]
    assert reply.json["rack_R_1"]["hosts"] == reply.json["label_env_prod_1"]["hosts"] == ["node1", "node2", "node3"]
    hosts = reply.json["_meta"]["hostvars"]
    assert hosts["node1"]["ansible_host"] == "10.0.0.1"
    assert "ansible_host" not in hosts["node3"]
    assert "never-to-be-seen" not in reply.text
    assert list(admin.get("/inventory/ansible?role=controller").json["_meta"]["hostvars"]) == ["node1"]


def test_ansible_itself_reads_it(api: Api, admin: Asker, rack: None, tmp_path: Path) -> None:
    program = shutil.which("ansible-inventory", path=str(Path(sys.executable).parent)) or shutil.which(
        "ansible-inventory"
    )
    if program is None:
        pytest.skip("ansible-inventory is not installed; it comes with the development dependencies (ansible-core).")
    script = tmp_path / "rack.sh"
    data = api.context.settings.data_dir
    script.write_text(
        f'#!/bin/sh\nPXEAPP_DATA_DIR={data} PXEAPP_CONFIG= exec {sys.executable} -m pxeapp inventory ansible "$@"\n'
    )
    script.chmod(0o755)
    done = subprocess.run(
        [program, "-i", str(script), "--list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["role_compute"]["hosts"] == ["node2", "node3"]
    assert found["_meta"]["hostvars"]["node1"]["ansible_host"] == "10.0.0.1"


def test_prometheus_finds_the_machines_that_are_reached_somewhere(admin: Asker, rack: None) -> None:
    groups = admin.get("/prometheus/targets?port=9100").json
    assert [group["targets"] for group in groups] == [["10.0.0.1:9100"], ["10.0.0.2:9100"]]
    assert groups[0]["labels"]["__meta_pxeapp_role"] == "controller"
    assert all(isinstance(value, str) for group in groups for value in group["labels"].values())


def test_metrics_are_what_prometheus_reads_with_few_values_of_each_label(admin: Asker, machine: Any) -> None:
    assert admin.post("/machines/node1/deploy").status_code == HTTPStatus.ACCEPTED
    assert admin.get("/machines/nobody").status_code == HTTPStatus.NOT_FOUND
    families = {each.name: each for each in text_string_to_metric_families(admin.ask("GET", "/metrics").text)}
    states = {sample.labels["state"]: sample.value for sample in families["pxeapp_machines"].samples}
    assert (states["deploying"], states["enrolled"], states["active"]) == (1, 0, 0)
    assert {
        "pxeapp_deployment_step_seconds",
        "pxeapp_bmc_errors",
        "pxeapp_queue_up",
        "pxeapp_webhooks",
    } <= families.keys()
    requests = families["pxeapp_http_requests"]
    assert sum(sample.value for sample in requests.samples if sample.labels["kind"] == "api") >= 3
    buckets = [each for each in families["pxeapp_http_request_seconds"].samples if each.name.endswith("_bucket")]
    assert {each.labels["le"] for each in buckets} >= {"0.01", "1.0", "+Inf"}
    for family in families.values():
        names = [(*sorted(sample.labels.items()), sample.name) for sample in family.samples]
        assert len(names) == len(set(names)) < 100


def test_events_tell_what_comes_after_the_one_that_was_seen(api: Api, admin: Asker) -> None:
    admin.post("/networks", json={"name": "lan", "cidr": "10.9.0.0/24"})
    first = admin.get("/audit?limit=1000").json["items"][-1]["id"]
    admin.post("/machines", json={"name": "one", "mac": "52:54:00:00:03:01"})
    admin.post("/users", json={"name": "eve", "password": "a-long-password-indeed"})
    admin.post("/networks", json={"name": "lan2", "cidr": "10.8.0.0/24"})
    found = listen(api.of("viewer"), "/events", first, until="network.create")
    assert [each["event"] for each in found] == ["machine.create", "network.create"]  # accounts are for admins
    assert [each["id"] for each in found] == sorted(each["id"] for each in found)
    assert found[0]["subject"] == "one"
    assert "user.create" in [each["event"] for each in listen(admin, "/events", first, until="network.create")]
    only = listen(admin, "/events?events=network.*", first, until="network.create")
    assert [each["event"] for each in only] == ["network.create"]


def listen(asker: Asker, path: str, after: int, *, until: str) -> list[dict[str, Any]]:
    """The events that come, up to the first of this name; nothing after a minute."""
    reply = asker.get(path, headers={"Last-Event-ID": str(after)}, buffered=False)
    assert reply.status_code == HTTPStatus.OK
    assert reply.mimetype == "text/event-stream"
    found: list[dict[str, Any]] = []
    end = threading.Timer(60, reply.close)
    end.start()
    try:
        for chunk in reply.iter_encoded():
            lines = chunk.decode().splitlines()
            found += [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
            if found and found[-1]["event"] == until:
                return found
    finally:
        end.cancel()
        reply.close()
    return found
