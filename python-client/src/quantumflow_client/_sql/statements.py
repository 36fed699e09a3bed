"""What the rooms of this package share: the texts by name, and ways to read an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantumflow_client import _json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.rows import TupleRow
    from typing_extensions import LiteralString

    from quantumflow_client._json import Json

DEFAULT_QUEUE = "quantum_flow_queue"

SYSTEM_QUEUE = "quantum_flow_system"
"""The queue of what waits, of which workers hear and which none serves."""

STATEMENTS: dict[str, LiteralString] = {}
"""The SQL text of each call, by the name of the function that it calls."""


def statement(function: str, text: LiteralString) -> LiteralString:
    STATEMENTS[function] = text
    return text


def nothing(rows: Sequence[TupleRow]) -> None:
    """The answer of a function that returns void."""


def scalar(rows: Sequence[TupleRow]) -> Any:
    return rows[0][0]


def decoded(rows: Sequence[TupleRow]) -> Json:
    return None if rows[0][0] is None else _json.decode(rows[0][0])
