"""Which packages are meant, as bodies say it: of a mirror, and of what a cache is seeded with."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Word = Annotated[str, Field(max_length=300)]


class SourceIn(BaseModel):
    """Where packages come from."""

    model_config = ConfigDict(extra="forbid")
    upstream: Word = Field(description="An upstream's name.")
    path: Word = Field("", description="Below the upstream; rpm: the folder that holds repodata/.")
    suite: Word = Field("", description="deb: trixie, noble-updates/epoxy.")
    components: Annotated[list[Word], Field(max_length=50)] = Field([], description="deb: main.")


class RoleIn(BaseModel):
    """A role whose packages are meant."""

    model_config = ConfigDict(extra="forbid")
    role: Word
    vars: dict[str, Any] = Field({}, description='Variables that choose packages, as {"neutron": "ovn"}.')
