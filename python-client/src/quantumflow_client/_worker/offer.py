"""Who a worker is and what it serves, as the database is told with each claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Offer:
    """A worker, as others see it.

    Attributes:
        worker_id: The worker.
        name: Its name for people.
        commands: The commands that it serves.
        queues: The queues that it serves, in this order.
        lease: How long its leases are.
    """

    worker_id: UUID
    name: str
    commands: tuple[str, ...]
    queues: tuple[str, ...]
    lease: timedelta

    @property
    def extra(self) -> dict[str, object]:
        """What a log record says of the worker."""
        return {"worker_id": self.worker_id}
