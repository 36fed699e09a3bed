"""Every SQL text of the client: one call of a public function of schema quantumflow each.

Arguments are named, and so are the columns that come back, so that neither a new parameter nor a
new column disturbs an old client. Schemas are always written, since on a connection of the user's
the search path is his; what syntax names (int, interval, extract) is PostgreSQL's. `STATEMENTS`
collects the texts: a contract test prepares each of them. jsonb travels as text in both directions:
values are encoded and decoded one by one, by `_json`.
"""

from . import (
    definitions,
    goals,
    installation,
    learning,
    limits,
    looking,
    runs,
    schedules,
    session,
    signals,
    steering,
    tasks,
    workers,
)
from .statements import DEFAULT_QUEUE, STATEMENTS, SYSTEM_QUEUE

__all__ = [
    "DEFAULT_QUEUE",
    "STATEMENTS",
    "SYSTEM_QUEUE",
    "definitions",
    "goals",
    "installation",
    "learning",
    "limits",
    "looking",
    "runs",
    "schedules",
    "session",
    "signals",
    "steering",
    "tasks",
    "workers",
]
