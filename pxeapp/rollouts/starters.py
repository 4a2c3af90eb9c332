"""What a new rollout begins with in the editor: a careful text for each of what is done most, to be changed."""

from __future__ import annotations

import json
from typing import Final

CAREFULLY = """\
order:
  canary: 1                              # goes first and alone
  waves: {by: percent, size: 25}         # or by: count, rack, role, label:KEY
  max_unavailable: "10%"                 # at once, those that are down already included
  max_failures: 1                        # one more pauses it
  soak: 10m                              # each wave is watched for so long
  pause_after: [canary]                  # until somebody says: go on
"""
DRAINED = """\
drain: none                              # or {openstack: {cloud: NAME}}, {swift: {rings: NAME}},
                                         # {command: {drain: ..., undrain: ...}}
"""
STARTERS: Final[dict[str, str]] = {
    "patch": f"""\
name: security-updates
description: Security updates
machines: HERE
action:
  patch:
    packages: security                   # or all, or [names of packages]
    exclude: []
{CAREFULLY}{DRAINED}reboot: needed                           # as the system says; or always, never
verify:
  gates: [ssh, services]
  settle: 30s
""",
    "reinstall": f"""\
name: reinstall
description: Install anew
machines: HERE
action:
  reinstall: {{}}                          # or {{release: NAME, role: NAME}}; left out, each keeps its own
{CAREFULLY}{DRAINED}verify:
  gates: [ssh, services]
  settle: 1m
""",
    "reboot": f"""\
name: reboot
description: Restart
machines: HERE
action: reboot
{CAREFULLY}{DRAINED}verify:
  gates: [ssh, rebooted, services]
  settle: 30s
""",
    "run": f"""\
name: own-command
description: A runbook of our own
machines: HERE
action:
  run:
    command: /usr/local/sbin/runbook     # on each machine; 0 is success
    timeout: 30m
{CAREFULLY}{DRAINED}reboot: never                            # or needed, always
verify:
  gates: [ssh, services]
  settle: 30s
""",
}


def text(form: str, machines: dict[str, str]) -> str:
    """The text of a form for these machines, by the fields of `machines`."""
    return STARTERS[form].replace("HERE", json.dumps(machines, ensure_ascii=False), 1)
