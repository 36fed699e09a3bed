"""How quickly a worker works and how large its tasks are: what it may take beyond its free slots.

What waits in one worker cannot be started by another. So a worker has no more waiting than it
starts within a moment, as measured: nothing where handlers are slow, hundreds where they do nearly
nothing. Measured, too, is how large tasks are, so that neither a claim nor what waits grows large.
No clock, no database.
"""

from __future__ import annotations

WINDOW = 0.05
"""How many seconds of work may wait for a slot."""

AHEAD_ROWS = 500
"""How many tasks may wait for a slot at most."""

CLAIM_BYTES = 16_000_000
"""How large a claim may be, and what waits for a slot, if tasks are as large as those before."""


class Pace:
    """What was measured.

    Args:
        concurrency: How many handlers run at once.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._rate = 0.0
        self._seconds = 0.0
        self._bytes = 1.0
        self._ended = 0
        self._since: float | None = None

    @property
    def ahead(self) -> int:
        """How many tasks may wait for a slot."""
        each = self._concurrency * int(WINDOW / max(self._seconds, 1e-6))
        return min(AHEAD_ROWS, int(self._rate * WINDOW), each, int(CLAIM_BYTES / self._bytes))

    @property
    def largest_claim(self) -> int:
        """How many tasks one claim may bring."""
        return max(1, int(CLAIM_BYTES / self._bytes))

    def claimed(self, tasks: int, size: int, now: float) -> None:
        """So many tasks of this size altogether were handed out."""
        if tasks:
            self._bytes = max(size / tasks, self._bytes / 2, 1.0)
        if self._since is None:
            self._since = now
        elif self._ended and now > self._since:
            rate = self._ended / (now - self._since)
            self._rate = (self._rate + rate) / 2 if self._rate else rate
            self._since, self._ended = now, 0

    def ended(self, tasks: int, seconds: float) -> None:
        """So many handlers have ended, which ran for so long altogether."""
        self._ended += tasks
        self._seconds = (self._seconds + seconds / tasks) / 2

    def idle(self) -> None:
        """There is nothing to do: the time that passes says nothing."""
        self._since, self._ended = None, 0

    def overtaken(self) -> None:
        """Tasks waited too long for a slot: measure anew before taking so many."""
        self._rate = 0.0
        self.idle()
