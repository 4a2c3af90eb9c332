"""No secret in any answer: everything that can be read is read, and searched for what must never be in it."""

from __future__ import annotations

from typing import Any

from pxeapp.bmc import power
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.machines.models import Bmc
from pxeapp.provisioning import lifecycle, tokens
from tests.api.conftest import BMC_PASSWORD, Api, Asker
from tests.api.test_permissions import routes


def test_nothing_that_can_be_read_holds_a_secret(api: Api, admin: Asker, machine: dict[str, Any]) -> None:
    admin.patch("/machines/node1", json={"bmc": {"password": BMC_PASSWORD}})
    number = admin.post("/machines/node1/deploy").json["id"]
    with api.write() as session:
        row = selectors.get(session, "node1")
        deployment = lifecycle.latest(session, row.id)
        assert deployment is not None
        tokens.issue(session, api.context.vault, deployment, now=now())
        power.request(session, machine_id=row.id, goal="netboot", requested_by="test", now=now())
        bmc = session.query(Bmc).one()
        secrets = {
            BMC_PASSWORD, bmc.password_encrypted, *api.tokens.values(),
            *(tokens.derive(api.context.vault, deployment, scope) for scope in ("config", "callback")),
        }  # fmt: skip
    read = 0
    for endpoint, method, path in routes(api.app):
        if method != "GET":
            continue
        reply = admin.ask("GET", path.replace("/4711", f"/{number}").replace("nothing-of-this-name", "debian-13"))
        read += reply.status_code == 200
        endless = reply.mimetype == "text/event-stream"
        text = next(iter(reply.iter_encoded())).decode() if endless else reply.text
        reply.close()
        for secret in secrets:
            assert secret not in text, f"{endpoint} shows a secret"
            assert secret not in str(reply.headers)
    assert read > 25
