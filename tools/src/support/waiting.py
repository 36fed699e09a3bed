"""Waiting for a state, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], *, timeout: float = 30.0, what: str = "") -> T:
    """Ask until the answer is true.

    Args:
        predicate: The question.
        timeout: Seconds after which to give up.
        what: What is waited for, for the error's text.

    Returns:
        The answer.
    """
    end = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > end:
            raise TimeoutError(f"not in {timeout:g} s: {what or predicate}")
        time.sleep(0.005)
    return answer


def is_blocked(connection: psycopg.Connection[Any], pid: int) -> bool:
    """Whether a session waits for a lock, as seen by another."""
    found = connection.execute(
        "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'", (pid,)
    )
    return found.rowcount > 0


def wait_until_blocked(
    connection: psycopg.Connection[Any], pid: int, *, timeout: float = 30.0
) -> None:
    """Wait until a session waits for a lock.

    Args:
        connection: Another session, which looks.
        pid: The backend that is expected to wait, `other.info.backend_pid`.
        timeout: Seconds after which to give up.
    """
    wait_until(
        lambda: is_blocked(connection, pid), timeout=timeout, what=f"backend {pid} waits for a lock"
    )


def wait_until_idle(
    connection: psycopg.Connection[Any], pid: int, *, timeout: float = 30.0
) -> None:
    """Wait until a session has finished its statement."""

    def idle() -> bool:
        found = connection.execute(
            "select from pg_stat_activity where pid = %s and state like 'idle%%'", (pid,)
        )
        return found.rowcount > 0

    wait_until(idle, timeout=timeout, what=f"backend {pid} is idle")
