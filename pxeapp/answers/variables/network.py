"""Variables of the network."""

from __future__ import annotations

from pxeapp.answers.variables.schema import Variable

NETWORK = (
    Variable("domain", help="Its domain; when nobody says it, its network's."),
    Variable("ntp", type="list", items="host", help="Time servers; when nobody says them, its network's."),
)
