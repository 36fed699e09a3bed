"""An error in the server's log is explained by what was broken then, and by nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from chaos.server_log import unexplained
from chaos.spells import Kind, Spell

_NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)

_DEAF = "too many notifications in the NOTIFY queue"
_GONE = 'queue "chaos_dropped_queue" does not exist'
_NO_TABLE = 'relation "pgmq.q_chaos_dropped_queue" does not exist'
_TIMEOUT = "canceling statement due to statement timeout"
_CANCELLED = "canceling statement due to user request"
_ENDED = "run 0e1d0c0b-0000-0000-0000-000000000000 is completed"


def _line(
    text: str,
    *,
    seconds: float = 1,
    session: float = -100,
    user: str = "chaos_worker",
    application: str = "quantumflow",
) -> str:
    at = (_NOON + timedelta(seconds=seconds)).isoformat(" ", "milliseconds")[:23]
    began = (_NOON + timedelta(seconds=session)).isoformat(" ", "seconds")[:19]
    return f"{at} UTC [7] {user} {{{began} UTC}} ({application}) ERROR:  {text}\n"


def _spell(kind: Kind, *pids: int) -> Spell:
    return Spell(kind, _NOON, _NOON + timedelta(seconds=2), frozenset(pids))


@pytest.mark.parametrize(
    ("line", "spell"),
    [
        (_line(_GONE), _spell("queue gone")),
        (_line(_NO_TABLE, application="chaos"), _spell("queue gone")),
        (_line(_TIMEOUT, session=1, seconds=30), _spell("hurry")),
        (_line(_CANCELLED, session=1), _spell("hurry")),
        (_line(_DEAF, application="quantumflow listener"), _spell("deaf")),
        (_line(_DEAF), _spell("deaf", 7)),
        (_line(_ENDED, application="chaos operator"), _spell("deaf")),
    ],
)
def test_what_explains_it(line: str, spell: Spell) -> None:
    assert unexplained(line, [spell]) == []


@pytest.mark.parametrize(
    ("line", "spell"),
    [
        (_line(_GONE, seconds=3), _spell("queue gone")),
        (_line(_GONE), _spell("hurry")),
        (_line(_NO_TABLE), _spell("queue gone")),
        (_line(_TIMEOUT, session=5, seconds=6), _spell("hurry")),
        (_line(_TIMEOUT, session=1, user="postgres"), _spell("hurry")),
        (_line(_CANCELLED), _spell("hurry")),
        (_line(_DEAF), _spell("deaf", 8)),
        (_line(_DEAF, application="quantumflow listener", seconds=3), _spell("deaf")),
        (_line(_ENDED), _spell("deaf")),
        (_line("deadlock detected", application="chaos operator"), _spell("deaf", 7)),
    ],
)
def test_what_does_not(line: str, spell: Spell) -> None:
    (problem,) = unexplained(line, [spell])
    assert problem.startswith("the server said 1 times: ")
