"""Variables of the installed system."""

from __future__ import annotations

from pxeapp.answers import patterns
from pxeapp.answers.variables import existing
from pxeapp.answers.variables.schema import Variable

SYSTEM = (
    Variable(
        "timezone", default="Etc/UTC", help="Where its clock is.",
        pattern=patterns.ZONE.pattern, check=existing.zone, fix="Write it as Europe/Rome.",
    ),
    Variable(
        "locale", default="en_US.UTF-8", help="Its language.",
        pattern=patterns.LOCALE.pattern, check=existing.locale, fix="Write it as en_US.UTF-8.",
    ),
    Variable(
        "keyboard", type="word", default="us", help="The layout of its keyboard.",
        pattern=patterns.WORD.pattern, check=existing.keyboard, fix="Write it as us or de.",
    ),
    Variable(
        "packages", type="list", items="text", default=[], help="More packages, after the role's.",
        pattern=patterns.PACKAGE.pattern, fix="Write package names.",
    ),
    Variable(
        "ssh_authorized_keys", type="list", items="text", default=[], help="Public keys that sign in as root.",
        pattern=patterns.SSH_KEY.pattern, fix="Paste the public key: type, key, comment.",
    ),
    Variable(
        "root_password_hash", secret=True, help="A crypt(5) hash of root's password; without one it is locked.",
        pattern=patterns.CRYPT.pattern, fix="Make one with: openssl passwd -6",
    ),
)  # fmt: skip
