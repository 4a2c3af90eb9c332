"""Variables of the software that machines are given."""

from __future__ import annotations

from pxeapp.answers.variables.schema import Variable

SOFTWARE = (
    Variable(
        "snapshot", help="The snapshot that the appliance's own repositories are read from: NAME, or channel:NAME.",
        pattern=r"(channel:)?[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?",
        fix="Write a snapshot's name, or channel:NAME. See: pxeapp snapshot list",
    ),
)  # fmt: skip
