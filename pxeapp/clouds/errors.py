"""What a cloud does wrong, in sentences: it is away, it refuses us, it says no to one thing."""

from __future__ import annotations

from http import HTTPStatus

from pxeapp.errors import PxeError


class CloudAway(PxeError):
    """No answer, or one that says: not now. It may pass by itself."""

    status = HTTPStatus.BAD_GATEWAY
    title = "The cloud does not answer"
    retryable = True


class CloudRefused(PxeError):
    """It does not let us in, or not as who we are: nothing passes by itself."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "The cloud refuses us"


class CloudSaysNo(PxeError):
    """It understood, and does not do this one thing; `code` is its HTTP status."""

    status = HTTPStatus.BAD_GATEWAY
    title = "The cloud says no"

    def __init__(self, sentence: str, *, code: int, hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.code = code
