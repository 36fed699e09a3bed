"""For how long something is broken on purpose: what that explains is told from what nothing does.

A spell is written down in chaos.spells before the fault begins and when it is mended, each by
itself: two of a kind may overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    import psycopg

Kind = Literal["queue gone", "hurry", "deaf"]

TABLE = """
create table chaos.spells (
  id int primary key, kind text, began timestamptz, ended timestamptz, pids int[]);
"""

_BEGIN = """
insert into chaos.spells values (%s, %s, clock_timestamp(), null, null)
on conflict do nothing
"""
_END = "update chaos.spells set ended = clock_timestamp() where id = %s"
_NOTE = "update chaos.spells set pids = %s where id = %s"

SINCE = """
select exists (select from chaos.spells where kind = %s and (ended is null or ended > %s))
"""
"""Whether there has been a spell of a kind since some time."""

_ALL = "select kind, began, ended, coalesce(pids, '{}') from chaos.spells order by id"


@dataclass(frozen=True, slots=True)
class Spell:
    """One that is over.

    Attributes:
        kind: What was broken.
        began: Before it was.
        ended: When it was mended.
        pids: Whose transactions were open when it began to matter; see Faults._deafen.
    """

    kind: Kind
    began: datetime
    ended: datetime
    pids: frozenset[int]

    def holds(self, at: datetime) -> bool:
        return self.began <= at <= self.ended


def past(connection: psycopg.Connection[Any]) -> list[Spell]:
    """The spells there were, when they are over."""
    rows = connection.execute(_ALL).fetchall()
    return [Spell(kind, began, ended, frozenset(pids)) for kind, began, ended, pids in rows]


class Spells:
    """Writes spells down."""

    def __init__(self, say: Callable[[str, tuple[object, ...]], object]) -> None:
        self._say = say
        self._count = 0

    def begin(self, kind: Kind) -> int:
        self._count += 1
        self._say(_BEGIN, (self._count, kind))
        return self._count

    def note(self, spell: int, pids: Iterable[int]) -> None:
        self._say(_NOTE, (list(pids), spell))

    def end(self, spell: int) -> None:
        self._say(_END, (spell,))
