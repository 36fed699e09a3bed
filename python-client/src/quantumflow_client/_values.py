"""Values that PostgreSQL cannot hold: what its errors, and the driver's, mean of a call."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from ._json import UNSTORABLE
from .errors import UnsupportedValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._call import Call

_OF_VALUES = {"22P05", "22021", "54000", "54001"}
"""No such character in the database's encoding; a value too large, or nested too deep."""


@contextmanager
def explained(call: Call[Any]) -> Iterator[None]:
    """Say of a call that failed for a value of the caller's which one, and why.

    Raises:
        UnsupportedValue: PostgreSQL cannot hold a value of the call.
    """
    try:
        yield
    except (psycopg.DataError, psycopg.OperationalError, UnicodeEncodeError) as error:
        found = None
        if isinstance(error, (psycopg.DataError, UnicodeEncodeError)):
            found = next(_unstorable(call), None)
        sqlstate = getattr(error, "sqlstate", None)
        if found is not None:
            where, character = found
            raise UnsupportedValue(
                f"{where} has the character U+{ord(character):04X}, which PostgreSQL cannot hold",
                sqlstate=sqlstate,
                hint="Leave it out, or replace it. What is no text goes as base64, for example.",
            ) from error
        if isinstance(error, UnicodeEncodeError):
            character = error.object[error.start]
            raise UnsupportedValue(
                f"a value has the character U+{ord(character):04X}, which the encoding of the "
                f"connection, {error.encoding}, has not",
                hint="Let its client_encoding be UTF8.",
            ) from error
        if isinstance(error, psycopg.Error) and sqlstate in _OF_VALUES:
            diag = error.diag
            raise UnsupportedValue(
                f"the database cannot hold a value: {diag.message_primary}",
                sqlstate=sqlstate,
                detail=diag.message_detail,
            ) from error
        raise


def unstorable_in(name: str, text: str) -> str | None:
    """What there is in a JSON text that no text of PostgreSQL has, and where."""
    for where, character in _in_text(name, text):
        return f"{where} has the character U+{ord(character):04X}"
    return None


def _unstorable(call: Call[Any]) -> Iterator[tuple[str, str]]:
    """Where in the values of a call there is a character that no text has, and which."""
    for name, value in call.params.items():
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from _in_text(f"{name}[{index}]", each)
        else:
            yield from _in_text(name, value)


def _in_text(name: str, value: object) -> Iterator[tuple[str, str]]:
    if not isinstance(value, str):
        return
    if found := UNSTORABLE.search(value):
        yield name, found[0]
        return
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return
    yield from _in_document(name, document)


def _in_document(path: str, value: object) -> Iterator[tuple[str, str]]:
    # A list of what is left to look at: the value may be nested deep.
    left: list[tuple[str, object]] = [(path, value)]
    while left:
        path, value = left.pop()
        if isinstance(value, str):
            if found := UNSTORABLE.search(value):
                yield path, found[0]
        elif isinstance(value, dict):
            for key, each in value.items():
                if found := UNSTORABLE.search(key):
                    yield f"a key of {path}", found[0]
                left.append((f"{path}.{key}", each))
        elif isinstance(value, list):
            left.extend((f"{path}[{index}]", each) for index, each in enumerate(value))
