"""An Ansible playbook against one machine, run on the appliance's host as a job of its own.

Only playbooks of the playbook folder are run. ansible-playbook is given an inventory of that one machine, its pinned
host keys as the only known ones, and the appliance's key in a file that is the job's alone and gone when it ends.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shlex
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pxeapp.nodes.connection import Target
from pxeapp.nodes.here import JobsHere
from pxeapp.nodes.reach import Nodes
from pxeapp.rollouts.port import Failed, Subject, Waiting
from pxeapp.rollouts.spec import Patch as PatchSpec
from pxeapp.rollouts.steps.walking import AT_ONCE, Ended, Work, walk

PROGRAM = "ansible-playbook"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\.ya?ml")
# The key comes by the script, which nobody else may read, and never by a command line.
SCRIPT = """\
set -e
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT
cat >"$work/key" <<'END_OF_KEY'
{key}END_OF_KEY
cat >"$work/known_hosts" <<'END_OF_KNOWN'
{known}
END_OF_KNOWN
cat >"$work/inventory.json" <<'END_OF_INVENTORY'
{inventory}
END_OF_INVENTORY
export ANSIBLE_HOST_KEY_CHECKING=True ANSIBLE_NOCOLOR=1 ANSIBLE_RETRY_FILES_ENABLED=0 ANSIBLE_LOCAL_TEMP="$work/tmp"
export ANSIBLE_SSH_ARGS="-o ControlMaster=no -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o BatchMode=yes \\
-o UserKnownHostsFile=$work/known_hosts -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=15 \\
-o ServerAliveInterval=5 -o ServerAliveCountMax=3 -F /dev/null"
export ANSIBLE_PIPELINING=1 PYTHONUNBUFFERED=1 LC_ALL=C.UTF-8
cd {folder}
{program} --inventory "$work/inventory.json" --private-key "$work/key" {playbook} &
wait $!
"""


@dataclass(frozen=True, slots=True)
class Playbooks:
    """The folder, and where jobs of this host are kept."""

    nodes: Nodes
    jobs: JobsHere
    folder: Path
    program: str = PROGRAM

    def look(
        self, subject: Subject, said: PatchSpec, memory: Mapping[str, Any], *, now: dt.datetime
    ) -> Waiting | Failed | Ended:
        """As walking.walk, on this host: another host that looks waits for this one."""
        here = socket.gethostname()
        if "host" not in memory:
            # Written down before it begins: no second host may begin it.
            return Waiting(f"The playbook is run on {here}.", {**memory, "host": here}, AT_ONCE)
        if memory["host"] != here and now - subject.began_at <= said.timeout:
            return Waiting(f"The playbook runs on {memory['host']}; {here} cannot see how far it is.", memory)
        script = ""
        if not memory.get("starts"):
            if problem := self.problem(said.playbook):
                return Failed("playbook", problem, f"Playbooks lie in {self.folder}.", memory=memory)
            script = self._script(self.nodes.target(subject.machine_id), said.playbook)
        work = Work(script, (), said.timeout, stopped=True, called="The playbook")
        return walk(self.jobs, subject, memory, work, now=now)

    def problem(self, playbook: str) -> str:
        """Why this one cannot be run; empty where it can."""
        if not NAME.fullmatch(playbook):
            return f"{playbook[:100]!r} is no playbook's name: write it as folder/name.yml."
        path = (self.folder / playbook).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            return f"There is no playbook {playbook} in {self.folder}."
        if shutil.which(self.program) is None:
            return f"There is no {self.program} on this host: install Ansible."
        return ""

    def _script(self, target: Target, playbook: str) -> str:
        where = f"[{target.address}]:{target.port}" if target.port != 22 else target.address
        host = {
            "ansible_host": target.address,
            "ansible_port": target.port,
            "ansible_user": target.username,
            "ansible_become": target.username != "root",
        }
        return SCRIPT.format(
            key=self.nodes.private_key,
            known="\n".join(f"{where} {key}" for key in target.host_keys),
            inventory=json.dumps({"all": {"hosts": {target.machine: host}}}),
            folder=shlex.quote(str(self.folder)),
            program=shlex.quote(shutil.which(self.program) or self.program),
            playbook=shlex.quote(os.fspath(self.folder / playbook)),
        )
