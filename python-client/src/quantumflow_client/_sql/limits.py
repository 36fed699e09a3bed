"""How much of something may be done at once, or in a second."""

from __future__ import annotations

from dataclasses import dataclass

from quantumflow_client._call import Call

from .statements import nothing, scalar, statement


@dataclass(frozen=True, slots=True)
class Limit:
    """How a limit stands, for one of its keys.

    Attributes:
        limit_name: Its name.
        key: The key, as JSON, a long one cut; None for a limit without keys, and for one of which
            nothing runs or waits.
        at_once: How many tasks may be with workers at once; None: any number.
        per_second: How many may begin in a second; None: any number.
        running: How many are with workers.
        waiting: How many wait, those that a worker may have at once with them.
    """

    limit_name: str
    key: str | None
    at_once: int | None
    per_second: float | None
    running: int
    waiting: int


_SET_LIMIT = statement(
    "set_limit",
    """
    select limit_name
    from quantumflow.set_limit(
      limit_name => %(limit_name)s,
      at_once => %(at_once)s::int,
      per_second => %(per_second)s::numeric)
    """,
)


def set_limit(limit_name: str, at_once: int | None, per_second: float | None) -> Call[None]:
    """Set a limit, which steps name."""
    parameters = {"limit_name": limit_name, "at_once": at_once, "per_second": per_second}
    return Call(_SET_LIMIT, nothing, parameters, is_repeatable=True)


_REMOVE_LIMIT = statement(
    "remove_limit",
    "select quantumflow.remove_limit(limit_name => %(limit_name)s)",
)


def remove_limit(limit_name: str) -> Call[bool]:
    """Remove a limit; whether there was one."""
    return Call(_REMOVE_LIMIT, scalar, {"limit_name": limit_name})


_LIST_LIMITS = statement(
    "list_limits",
    """
    select limit_name, key, at_once, per_second::pg_catalog.float8, running, waiting
    from quantumflow.list_limits()
    """,
)


def list_limits() -> Call[list[Limit]]:
    """The limits, by key."""
    return Call(_LIST_LIMITS, lambda rows: [Limit(*row) for row in rows], {}, is_repeatable=True)
