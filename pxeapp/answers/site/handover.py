"""Who takes the machine over once it runs: Salt, Puppet or Ansible."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, StrictStr, model_validator

from pxeapp.answers.site.words import Host, PackageName, Part, Unfit, matching, shorthand

SERVICES = {"salt": "salt-minion", "puppet": "puppet", "ansible": "pxeapp-ansible-pull.timer", "none": ""}


class Handover(Part):
    """The agent that is installed, given the machine's name and its server, and started at the first boot.

    Ansible has no agent: the machine pulls a repository of playbooks, and runs the one for it.
    """

    tool: Literal["salt", "puppet", "ansible", "none"]
    server: Host | None = None
    environment: Annotated[StrictStr, matching(r"[A-Za-z0-9_]{0,63}", "Use letters, digits and _.")] = ""
    package: PackageName | None = None  # the agent's, where it is not the distribution's
    repository: (
        Annotated[
            StrictStr,
            matching(
                r"(https?|ssh)://([a-z0-9_-]+@)?[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~+-]+)+/?",
                "Write it as https://git.example.org/site.git.",
            ),
        ]
        | None
    ) = None
    playbook: Annotated[
        StrictStr, matching(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/-]{0,200}", "Write its path in the repository.")
    ] = "local.yml"

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Handover:
        if self.tool in ("salt", "puppet") and self.server is None:
            raise Unfit("has no server.", f"Name {self.tool}'s server.")
        if self.tool == "ansible" and self.repository is None:
            raise Unfit("has no repository.", "Name the repository of playbooks that it pulls, https://host/path.git.")
        return self

    @property
    def service(self) -> str:
        """The unit that is enabled."""
        return SERVICES[self.tool]


HandoverSetting = Annotated[Handover, BeforeValidator(shorthand(lambda tool: {"tool": tool}))]
