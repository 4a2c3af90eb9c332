"""Variables of the installed system."""

from __future__ import annotations

from pxeapp.answers.variables.schema import Variable

SYSTEM = (
    Variable(
        "timezone", default="Etc/UTC", help="Where its clock is.",
        pattern=r"[A-Za-z0-9_+/-]{1,64}", fix="Write it as Europe/Rome.",
    ),
    Variable(
        "locale", default="en_US.UTF-8", help="Its language.",
        pattern=r"[A-Za-z0-9_.-]{1,32}", fix="Write it as en_US.UTF-8.",
    ),
    Variable("keyboard", type="word", default="us", help="The layout of its keyboard.", fix="Write it as us or de."),
    Variable(
        "packages", type="list", items="text", default=[], help="More packages, after the role's.",
        pattern=r"[-@]?\^?[A-Za-z0-9][A-Za-z0-9+._:-]{0,127}", fix="Write package names.",
    ),
    Variable("ssh_authorized_keys", type="list", items="text", default=[], help="Public keys that sign in as root."),
    Variable(
        "root_password_hash", secret=True, help="A crypt(5) hash of root's password; without one it is locked.",
        pattern=r"\$(1|5|6|y|2[aby])\$[A-Za-z0-9./$=,]{8,250}", fix="Make one with: openssl passwd -6",
    ),
)  # fmt: skip
