"""What a load balancer and Prometheus read."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from tests.api.conftest import Api, Asker


def test_it_is_alive_and_ready_for_everybody_to_see(api: Api) -> None:
    assert api.of(None).ask("GET", "/healthz").json == {"status": "ok"}
    ready = api.of(None).ask("GET", "/readyz")
    assert ready.status_code == HTTPStatus.OK
    assert set(ready.json["checks"].values()) == {"ok"}


def test_it_is_not_ready_with_an_old_schema_and_says_what_to_do(api: Api) -> None:
    with api.context.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    reply = api.of(None).ask("GET", "/readyz")
    assert reply.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "pxeapp db upgrade" in reply.json["checks"]["database"]
    assert api.of(None).ask("GET", "/healthz").status_code == HTTPStatus.OK


def test_metrics_are_prometheus_text_and_count_machines_and_deployments(admin: Asker, machine: dict[str, Any]) -> None:
    admin.post("/machines/node1/deploy")
    reply = admin.ask("GET", "/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'pxeapp_machines{state="deploying"} 1' in reply.text
    assert 'pxeapp_deployments_running{step="requested"} 1' in reply.text
    label = r'[a-z_]+="[^"\n]*"'
    sample = re.compile(rf"[a-z_]+(\{{{label}(,{label})*\}})? [0-9.e+-]+")
    for line in reply.text.splitlines():
        assert line.startswith("# ") or sample.fullmatch(line), line
