"""How quick and how large a worker's tasks are: how many it may have waiting beyond its free slots.

What waits in one worker cannot be started by another. So a worker has no more waiting than it
starts within a moment, as measured: nothing where handlers are slow, hundreds where they do nearly
nothing. And it has no more than its claims and what waits may take of memory. No clock.
"""

from __future__ import annotations

WINDOW = 0.05
"""How many seconds of work may wait for a slot."""

CLAIM_BYTES = 16_000_000
"""How large a claim may be, and what waits for a slot, if tasks are as large as those before."""


class Pace:
    """What was measured.

    Args:
        concurrency: How many handlers run at once.
        most: How many tasks may wait for a slot however quick they are.
    """

    def __init__(self, concurrency: int, most: int) -> None:
        self._concurrency = concurrency
        self._most = most
        self._seconds = 0.0
        self._bytes = 1.0
        self._seen = 0

    @property
    def ahead(self) -> int:
        """How many tasks may wait for a slot; no more than were seen, so that it grows by steps."""
        in_time = self._concurrency * int(WINDOW / max(self._seconds, 1e-6))
        return min(self._most, self._seen, in_time, int(CLAIM_BYTES / self._bytes))

    @property
    def largest_claim(self) -> int:
        """How many tasks one claim may bring."""
        return max(1, int(CLAIM_BYTES / self._bytes))

    def weighed(self, tasks: int, size: int) -> None:
        """So many tasks of this size altogether were handed out."""
        if tasks:
            self._bytes = max(size / tasks, self._bytes / 2, 1.0)

    def timed(self, tasks: int, seconds: float) -> None:
        """So many handlers have ended, which ran for so long altogether."""
        self._seconds = (self._seconds + seconds / tasks) / 2 if self._seen else seconds / tasks
        self._seen += tasks

    def restart(self) -> None:
        """Another kind of work begins, or tasks waited too long: measure anew."""
        self._seen = 0
