"""Variables of disks and file systems."""

from __future__ import annotations

from pxeapp.answers.variables.schema import Variable

STORAGE = (
    Variable("layout", type="any", help="How the system disk is divided; when nobody says it, as the role does."),
)  # fmt: skip
