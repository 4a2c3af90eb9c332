"""The root of every error that the product raises on purpose.

An error is a sentence an operator can act on. Each class carries the HTTP status it
becomes at the door and whether trying again can help; nobody else decides either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import ClassVar

RETRY_AFTER_S = "5"  # what the answer to a retryable error asks for, to operators and machines alike


class PxeError(Exception):
    """Root error: one sentence for the operator, and optionally what to do about it."""

    status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}".strip()

    @property
    def in_full(self) -> str:
        """Everything there is to say, on one line: for a reason that is kept."""
        return str(self)


class NotFound(PxeError):
    """What was asked for does not exist (or must look as if it did not)."""

    status = HTTPStatus.NOT_FOUND
    title = "Not found"


class Conflict(PxeError):
    """The object is in a state in which this cannot be done; nothing was changed."""

    status = HTTPStatus.CONFLICT
    title = "Conflict"


class PreconditionFailed(PxeError):
    """The caller's If-Match is not the object's present version."""

    status = HTTPStatus.PRECONDITION_FAILED
    title = "Changed meanwhile"


class PreconditionRequired(PxeError):
    """The site insists on If-Match, and the caller sent none."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    title = "If-Match is needed"


class TooMany(PxeError):
    """Whoever asks asks too often; after `after_s` seconds they may again."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Too many requests"
    retryable = True

    def __init__(self, sentence: str, *, hint: str = "", after_s: int = 1) -> None:
        super().__init__(sentence, hint=hint)
        self.after_s = after_s


class Forbidden(PxeError):
    """The account is known but its role does not allow this."""

    status = HTTPStatus.FORBIDDEN
    title = "Forbidden"


class Unauthenticated(PxeError):
    """No valid token or session came with the request."""

    status = HTTPStatus.UNAUTHORIZED
    title = "Not signed in"


class Unavailable(PxeError):
    """A part we depend on is not there right now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Unavailable"
    retryable = True


class ConfigError(PxeError):
    """A setting is wrong; the start is refused with this one sentence."""

    title = "Bad setting"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with what came in: where it is, what is wrong, how to mend it."""

    field: str
    problem: str
    fix: str = ""
    line: int | None = None
    row: int | None = None  # which one of the file's, counted from 1: a whole file may be one line

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        if self.row is not None:
            where = f"line {self.line}, machine {self.row}: "
        return f"{where}{self.field}: {self.problem} {self.fix}".strip()


class Invalid(PxeError):
    """What came in is wrong; every problem is listed and nothing was changed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Invalid input"

    def __init__(self, sentence: str, *, problems: Sequence[FieldProblem] = (), hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.problems = tuple(problems)

    @property
    def in_full(self) -> str:
        """The sentence and every problem."""
        return " ".join([str(self), *map(str, self.problems)])

    def as_list(self) -> list[dict[str, object]]:
        """The problems as plain dictionaries, for problem+json's `errors` member."""
        return [asdict(problem) for problem in self.problems]
