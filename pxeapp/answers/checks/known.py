"""What a checker is told besides the file: what the release's own installer asks and has, read when it was added."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Question:
    """A debconf question: its type, and its choices where they are fixed."""

    kind: str
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Nothing of it is needed: a check that lacks it looks at the rest. `digest` stands for all of it."""

    questions: Mapping[str, Question] = field(default_factory=lambda: MappingProxyType({}))
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    commands: frozenset[str] = frozenset()
    whole: bool = False  # the questions are all there are, as far as the mirror could tell
    digest: str = ""


@lru_cache(maxsize=64)
def read(text: str) -> Known:
    """From a release's catalogue (software/questions.py); one that cannot be read is as none."""
    try:
        said = json.loads(text)
        questions = {
            str(name): Question(str(kind), tuple(map(str, more[0])) if more else None)
            for name, (kind, *more) in said["questions"].items()
        }
        return Known(
            MappingProxyType(questions),
            MappingProxyType({str(key): str(value) for key, value in said["aliases"].items()}),
            frozenset(map(str, said["commands"])),
            bool(said["whole"]) and not said["lacking"],
            hashlib.sha256(text.encode()).hexdigest(),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return Known()
