"""What Ubuntu's installer posts of itself (curtin's webhook reporter), said in our own events.

It posts a few hundred of these per installation: `{"name": "subiquity/Install/install/curtin_install", "event_type":
"start", "description": ..., "result": ...}`. Each is a sign of life. Those that name a stage are its last words.
Whether it started, failed or finished, its commands tell us themselves (preseeds/autoinstall/installer.sh).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pxeapp.errors import FieldProblem, Invalid

# Where the installation itself is told, by subiquity and by the curtin that it runs; deeper down are single commands.
STAGES = re.compile(
    r"(subiquity/(Install/install|Late|Early|Shutdown|Updates)(/[^/]*){0,3}"
    r"|(subiquity/Install/install/.*)?cmd-install/stage-[a-z-]+)"
)
# Ours, and what only loads settings: the first tells us more itself, the second takes no time.
QUIET = re.compile(
    r".*/(command_[0-9]+|run|apply_autoinstall_config|load_autoinstall_data|[A-Za-z]+_GET|[A-Za-z]+_POST)"
)
LIMIT = 200


def is_one(body: Mapping[str, Any]) -> bool:
    """Whether this is the installer's own kind of event: ours have an `event`."""
    return "event" not in body and "event_type" in body


def said(body: Mapping[str, Any]) -> str:
    """The stage in words, or nothing: a sign of life only. Raises Invalid for what is no such event."""
    name, kind, description = (body.get(key, "") for key in ("name", "event_type", "description"))
    if not all(isinstance(each, str) for each in (name, kind, description)) or not name:
        fix = 'Post {"name": "...", "event_type": "start", "description": "..."}, as curtin\'s webhook does.'
        raise Invalid("The installer's event has no name.", problems=[FieldProblem("name", "is missing.", fix)])
    place = name.rstrip("/").rpartition("/")[2].replace("_", " ")
    if kind == "finish" and body.get("result") == "FAIL" and "command_" not in name:
        return _line(f"{place} failed", description)
    if kind != "start" or not STAGES.fullmatch(name) or QUIET.fullmatch(name):
        return ""
    return _line(place, description)


def _line(place: str, description: str) -> str:
    return f"{place}: {description}"[:LIMIT] if description else place[:LIMIT]
