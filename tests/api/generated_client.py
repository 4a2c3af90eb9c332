"""Run by test_generated_client.py in a process of its own, beside the client that was generated."""

import sys

from pxeapp_client import AuthenticatedClient
from pxeapp_client.api.deployments import deployments_abort, deployments_deploy, deployments_show
from pxeapp_client.api.jobs import jobs_order, jobs_show
from pxeapp_client.api.machines import (
    machines_change,
    machines_create,
    machines_imports,
    machines_listing,
    machines_show,
)
from pxeapp_client.models import BulkIn, DeployIn, MachineIn, MachinePatch

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])

# Import, and the list page by page
rows = [
    MachineIn.from_dict({"name": f"n{number}", "mac": f"52:54:00:00:00:0{number}", "role": "compute",
                         "release": "debian-13", "disks": {"system": "sda"}})
    for number in range(1, 6)
]  # fmt: skip
done = machines_imports.sync(client=client, body=rows)
assert (done.created, done.names.created) == (5, ["n1", "n2", "n3", "n4", "n5"]), done
found, after = [], ""
while after is not None:
    page = machines_listing.sync(client=client, limit=2, after=after)
    found += [each.name for each in page.items]
    after = page.next_
assert found == ["n1", "n2", "n3", "n4", "n5"], found

# One of them, by hand; and what is refused is a Problem
made = machines_create.sync_detailed(
    client=client, body=MachineIn.from_dict({"name": "n9", "mac": "52:54:00:00:00:09"})
)
assert made.status_code == 201, made
assert machines_show.sync(client=client, key="n9").mac == "52:54:00:00:00:09"
refused = machines_show.sync_detailed(client=client, key="nobody")
assert refused.status_code == 404, refused
assert "nobody" in refused.parsed.detail, refused

# A deployment is accepted, watched, and aborted
accepted = deployments_deploy.sync_detailed(client=client, key="n1", body=DeployIn())
assert accepted.status_code == 202, accepted
number = accepted.parsed.id
assert accepted.headers["Location"].endswith(f"/deployments/{number}")
watched = deployments_show.sync(client=client, number=number)
assert (watched.machine, watched.outcome, watched.step) == ("n1", None, "requested"), watched
assert deployments_abort.sync(client=client, key="n1").id == number
assert deployments_show.sync(client=client, number=number).outcome == "aborted"

# A change with an ETag: the second of two is told
tag = machines_show.sync_detailed(client=client, key="n2").headers["ETag"]
patch = MachinePatch.from_dict({"serial": "CZ1234"})
changed = machines_change.sync_detailed(client=client, key="n2", body=patch, if_match=tag)
assert (changed.status_code, changed.parsed.serial) == (200, "CZ1234"), changed
late = machines_change.sync_detailed(
    client=client, key="n2", body=MachinePatch.from_dict({"serial": "X"}), if_match=tag
)
assert (late.status_code, late.parsed.status) == (412, 412), late

# Many at once, once
order = BulkIn.from_dict({"action": "lock", "on": True, "machines": ["n2", "n3"]})
job = jobs_order.sync(client=client, body=order, idempotency_key="once")
again = jobs_order.sync(client=client, body=order, idempotency_key="once")
assert job.id == again.id, (job, again)
assert jobs_show.sync(client=client, number=job.id).total == 2
print("all the way")
