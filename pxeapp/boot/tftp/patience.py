"""How long to wait for a client before a packet is sent again, and before the client is given up.

RFC 6298's smoothed round trip time, and Karn's rule: an answer to what was sent twice measures nothing, and the longer
wait of a lossy time stays until an answer has been measured again.
"""

from __future__ import annotations

FIRST_WAIT_S = 1.0  # nothing is known yet
LEAST_WAIT_S = 0.1  # below firmware's own (iPXE begins with 250 ms), above what a busy client takes for a block
MOST_WAIT_S = 8.0
GIVEN_UP_AFTER_S = 15.0  # without any progress: 1 + 2 + 4 + 8
UNPROVEN_REPEATS = 3  # after the first answer; what a forged request can make us send to a stranger


class Patience:
    """One client's. `wait_s` is how long to wait for the answer to what was sent last."""

    __slots__ = ("_allowed_s", "_ambiguous", "_base_s", "_least_s", "_proven", "_repeats", "_since", "_smooth",
                 "_spread", "wait_s")  # fmt: skip

    def __init__(self) -> None:
        self._smooth = -1.0  # seconds; negative: nothing measured yet
        self._spread = 0.0
        self._base_s = FIRST_WAIT_S  # what the measurements say, doubled for each repetition since
        self._least_s = LEAST_WAIT_S
        self._allowed_s = GIVEN_UP_AFTER_S
        self._proven = False
        self._repeats = 0  # since the last progress
        self._ambiguous = False  # what is out was sent more than once
        self._since = 0.0  # when it was sent first
        self.wait_s = FIRST_WAIT_S

    @property
    def may_repeat(self) -> bool:
        """Whether one who may never have asked may hear from us once more."""
        return self._proven or self._repeats < UNPROVEN_REPEATS

    def proven(self, timeout_s: float | None) -> None:
        """The client exists. From now on its `timeout` option counts: to repeat sooner would be against its wish."""
        self._proven = True
        if timeout_s is not None:
            self._least_s = timeout_s
            self._allowed_s = max(GIVEN_UP_AFTER_S, 4 * timeout_s)

    def answered(self, seconds: float, *, whole: bool = True) -> bool:
        """Progress, so long after we spoke; whether it was a measurement: not of what was sent twice or came in part.

        A client that lacks the end of a window answers when its own timer says so, which tells nothing of the way.
        """
        measured = whole and not self._ambiguous
        self._repeats, self._ambiguous = 0, False
        if measured:
            if self._smooth < 0:
                self._smooth, self._spread = seconds, seconds / 2
            else:
                self._spread += (abs(self._smooth - seconds) - self._spread) / 4
                self._smooth += (seconds - self._smooth) / 8
            self._base_s = min(MOST_WAIT_S, max(LEAST_WAIT_S, self._smooth + 4 * self._spread))
        self.wait_s = max(self._base_s, self._least_s)
        return measured

    def sent_twice(self) -> None:
        """What is out was sent again at the client's wish, not because we had waited long enough."""
        self._ambiguous = True

    def again(self, now: float, sent_at: float) -> bool:
        """Nothing came since `sent_at`: whether to repeat it; the wait for its answer is then twice as long."""
        if self._repeats == 0:
            self._since = sent_at
        left = self._since + self._allowed_s - now
        if left < LEAST_WAIT_S or not self.may_repeat:
            return False
        self._repeats += 1
        self._ambiguous = True
        self._base_s = min(MOST_WAIT_S, 2 * self._base_s)
        self.wait_s = min(max(self._base_s, self._least_s), left)
        return True
