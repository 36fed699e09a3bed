"""The server's log: which errors were reported, and which of them no fault explains."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from chaos.flows import DROPPED_QUEUE
from chaos.runs import HARNESS, OPERATOR, ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from chaos.spells import Spell
    from quantumflow_client.embedded import EmbeddedServer

SETTINGS = {"log_line_prefix": "%m [%p] %u {%s} (%a) ", "log_timezone": "UTC"}

_ENTRY = re.compile(
    r"^(\S+ \S+) UTC \[(\d+)\] (\S*) \{(\S+ \S+) UTC\} \((.*?)\) (?:ERROR|FATAL|PANIC): +(.*)",
    re.MULTILINE,
)

_LISTENER = "quantumflow listener"


class ServerLog:
    """What the server says, in a file of ours, which is whole however long it gets."""

    def __init__(self, server: EmbeddedServer, folder: Path) -> None:
        self._source = server.log_file
        self.file = folder / "server.log"

    def keep(self) -> None:
        """Take over what there is, lest a start sets it aside."""
        with self.file.open("ab") as kept:
            kept.write(self._source.read_bytes())
        with self._source.open("r+b") as source:
            source.truncate()


@dataclass(frozen=True, slots=True)
class Error:
    """What was reported to a session, and to which."""

    at: datetime
    pid: int
    user: str
    session_began: datetime
    application: str
    text: str


def unexplained(text: str, spells: Sequence[Spell]) -> list[str]:
    """Errors that no fault of ours explains.

    Args:
        text: The server's log.
        spells: What was broken for a while, and when.
    """
    found = Counter(
        re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "<uuid>", f"{error.text} (to {error.application})")
        for error in _errors(text)
        if not _is_explained(error, spells)
    )
    return [f"the server said {count} times: {error}" for error, count in found.items()]


def _errors(text: str) -> Iterator[Error]:
    for at, pid, user, session_began, application, said in _ENTRY.findall(text):
        yield Error(_time(at), int(pid), user, _time(session_began), application, said)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def _is_explained(error: Error, spells: Iterable[Spell]) -> bool:
    explanations = [explains for pattern, explains in _USUAL if re.search(pattern, error.text)]
    return any(explains(error, spells) for explains in explanations)


def _always(_error: Error, _spells: Iterable[Spell]) -> bool:
    return True


def _is_operators(error: Error, _spells: Iterable[Spell]) -> bool:
    return error.application == OPERATOR


def _is_hurried(error: Error, spells: Iterable[Spell]) -> bool:
    """Whether the session began with a statement_timeout; the log tells that by the second."""
    second = timedelta(seconds=1)
    return error.user == ROLE and any(
        spell.holds(error.session_began) or spell.holds(error.session_began + second)
        for spell in spells
        if spell.kind == "hurry"
    )


def _is_without_queue(error: Error, spells: Iterable[Spell]) -> bool:
    return any(spell.kind == "queue gone" and spell.holds(error.at) for spell in spells)


def _is_our_count(error: Error, spells: Iterable[Spell]) -> bool:
    return error.application == HARNESS and _is_without_queue(error, spells)


def _may_be_deaf(error: Error, spells: Iterable[Spell]) -> bool:
    """Whether a worker tried whether it hears, or had looked before the queue was half full."""
    return any(
        error.application == _LISTENER or error.pid in spell.pids
        for spell in spells
        if spell.kind == "deaf" and spell.holds(error.at)
    )


_USUAL: tuple[tuple[str, Callable[[Error, Iterable[Spell]], bool]], ...] = (
    ("terminating (connection|autovacuum process)", _always),
    ("the database system is (starting up|in recovery|not yet accepting|shutting down)", _always),
    ("connection to client lost", _always),
    ("has (not )?ended|has nothing to run again|is (completed|cancelled|failed)", _is_operators),
    # Between two messages of a client PostgreSQL forgets which of the two it was.
    ("canceling statement due to (statement timeout|user request)", _is_hurried),
    (f'queue "{DROPPED_QUEUE}" does not exist', _is_without_queue),
    (f'relation "pgmq.q_{DROPPED_QUEUE}" does not exist', _is_our_count),
    ("too many notifications in the NOTIFY queue", _may_be_deaf),
)
"""Errors that may be as they should be, and when they are."""
