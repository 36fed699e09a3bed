"""What a worker can do next, and which answer the core is told of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantumflow_client._sql.tasks import TaskRef

    from .reports import Report


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect, and register the worker. Answer: connected, or failed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim up to so many tasks, and run them. Answer: claimed, or claim_refused, or failed."""

    quantity: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """Report outputs, and claim up to so many tasks in the same call; or report failures.

    Answer: delivered, and claimed unless the quantity is 0; or refused, or failed.
    """

    reports: Sequence[Report]
    quantity: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """Hand unstarted tasks back; some to other code, and why. Answer: released, or failed."""

    tasks: Sequence[TaskRef]
    unfit: Mapping[TaskRef, str]


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for what others have left to other code, before it ends. Answer: looked, or failed."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Sweep. Answer: nothing, or failed."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Settle what waited for a time or a signal. Answer: tended, or not_tended, or failed."""


@dataclass(frozen=True, slots=True)
class Register:
    """Say again that the worker is there. Answer: nothing, or failed."""


@dataclass(frozen=True, slots=True)
class OpenSecond:
    """Open a second connection, which is not waited for. Answer: second_opened, or second_lost."""


@dataclass(frozen=True, slots=True)
class DeliverApart:
    """Report on the second connection, which is not waited for. Answer: delivered, or returned."""

    reports: Sequence[Report]


@dataclass(frozen=True, slots=True)
class CloseSecond:
    """Close it. Answer: nothing."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait until something happens; for at most so many seconds, if given.

    A handler's end is something once there are so many results that were not told yet; never, if
    that is None.
    """

    seconds: float | None
    results: int | None = 1


@dataclass(frozen=True, slots=True)
class Finish:
    """Say goodbye if connected, and return."""


Errand = Connect | Claim | Deliver | Release | Look | Sweep | Settle | Register
"""What goes to the database, and may fail."""

OfSecond = OpenSecond | DeliverApart | CloseSecond
"""What the second connection is for, and is not waited for."""

Action = Errand | OfSecond | Rest | Finish
