"""What a list of machines is narrowed by, whoever asks: in an address, or within a body."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from pxeapp.machines.query import LONGEST
from pxeapp.machines.selectors import Filter

Word = Annotated[str, Field(max_length=255)]


class Narrowed(BaseModel):
    """Narrow the list; `search` looks at name, serial and MAC."""

    state: Word = ""
    role: Word = ""
    release: Word = ""
    cluster: Word = ""
    project: Word = ""
    power: Word = ""
    label: Annotated[str, Field(max_length=400, description="key=value")] = ""
    search: Word = ""
    rack: Word = ""
    network: Annotated[Word, Field(description="One with a card in it.")] = ""
    q: Annotated[str, Field(max_length=LONGEST, description="A query, as the machines' page takes it.")] = ""

    def filter(self) -> Filter:
        """In our words."""
        return Filter(**self.model_dump(include=set(Narrowed.model_fields)))
