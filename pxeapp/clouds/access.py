"""What it takes to sign in to a cloud, opened; it is made for one use and is written nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Access:
    """A cloud's address and who we are there; with `application_credential`, an id, user and project are not used."""

    name: str  # as operators call the cloud
    auth_url: str
    secret: str = field(repr=False)
    region: str = ""
    interface: str = "public"
    username: str = ""
    user_domain: str = "Default"
    project: str = ""
    project_domain: str = "Default"
    application_credential: str = ""
    ca: str = field(default="", repr=False)
