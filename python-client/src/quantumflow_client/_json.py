"""JSON on its way to and from jsonb: encoded and decoded where a failure concerns one value only.

What Python's json refuses is an `UnsupportedValue` that says why. What only PostgreSQL refuses (NUL
characters, lone surrogates) is left to PostgreSQL: the client restates no rule of the database.
Large values go by orjson where it is installed (see `_large`), which changes nothing but the time.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from . import _plain
from ._large import ELSEWHERE, dumped, loaded
from .errors import UnsupportedValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._plain import Hook

Json = Any
"""A value that json can encode, or did decode."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no text of PostgreSQL has."""

quoted = json.encoder.encode_basestring_ascii
"""The JSON text of a str."""


class Encoder:
    """Makes the JSON text of values: of JSON's own, and of those that `_plain` knows."""

    def __init__(self, hook: Hook | None = None) -> None:
        """An encoder.

        Args:
            hook: Is asked for what has no form in JSON, and returns what has one.
        """
        self.hook = hook
        # json.dumps would make this anew for each value. That keys are sorted costs little, and
        # finds those of several kinds: 1 and "1" would become one.
        self._encode = json.JSONEncoder(
            allow_nan=False, separators=(",", ":"), sort_keys=True, default=self._plain
        ).encode

    def __call__(self, value: Json, what: str = "the value") -> str:
        """The JSON text of a value.

        Args:
            value: The value.
            what: What to call it in an error.

        Raises:
            UnsupportedValue: It has none: NaN or infinity, a number too long, a cycle, an object
                that is no JSON, two keys that become one. The message says where in the value that
                is.
        """
        try:
            return self._text(value)
        except (TypeError, ValueError, RecursionError) as error:
            where = "" if isinstance(error, RecursionError) else self._place(value)
            at = f" at {where}" if where else ""
            raise UnsupportedValue(
                f"{what} cannot be stored as JSON{at}: {_reason(error)}"
            ) from error

    def _text(self, value: Json) -> str:
        text = dumped(value)
        if text is not None:
            return with_fractions(text)
        try:
            text = self._encode(value)
        except TypeError:
            # Of keys that are no texts, maybe.
            text = self._encode(self._with_texts_as_keys(value))
        if "e+" in text:
            text = with_fractions(text)
        return _plain.with_numbers(text) if _plain.MARK in text else text

    def _plain(self, value: object) -> Json:
        """What is to be encoded in place of what json does not know."""
        if isinstance(value, (set, frozenset)):
            return self._sorted(value)
        try:
            return _plain.plain(value)
        except TypeError:
            if self.hook is None:
                raise
        made = self.hook(value)
        if made is value:
            raise TypeError(f"`encode` returned the {type(value).__name__} that it was given")
        return made

    def _sorted(self, values: Iterable[Json]) -> list[Json]:
        """The members of a set, in an order that is the same each time."""
        members = list(values)
        kinds = {type(member) for member in members}
        if len(kinds) == 1 and kinds <= _ORDERED:
            with suppress(TypeError):  # moments with a time zone, and without
                return sorted(members)
        return sorted(members, key=self._text)

    def _with_texts_as_keys(self, value: Json) -> Json:
        """The same value, in plain containers whose keys are texts."""
        if value is None or isinstance(value, (str, int, float)):
            return value
        if isinstance(value, (list, tuple)):
            return [self._with_texts_as_keys(member) for member in value]
        if not isinstance(value, dict):
            return self._with_texts_as_keys(self._plain(value))
        made: dict[str, Json] = {}
        for key, member in value.items():
            name = _plain.key(key)
            if name in made:
                raise TypeError(f"two keys become {quoted(name)}, one of them {key!r}")
            made[name] = self._with_texts_as_keys(member)
        return made

    def _place(self, value: Json) -> str:
        """Where in a value the first thing is that is refused, as in ["rows"][3]["when"].

        Empty for the value itself, and where that cannot be told.
        """
        place, above = "", {id(value)}
        try:
            while (found := self._refused_in(value)) is not None:
                name, value = found
                place += f"[{name_of(name)[:80]}]"
                if len(above) == _DEEPEST:
                    return f"{place}..."
                if id(value) in above:
                    return place
                above.add(id(value))
        except Exception:  # what is looked into may be an object of users' own classes
            return ""
        return place

    def _refused_in(self, value: Json) -> tuple[Json, Json] | None:
        """The first member of an object or array that is refused, by its name or index."""
        if value is None or isinstance(value, (str, int, float)):
            return None
        if not isinstance(value, (dict, list, tuple)):
            try:
                return self._refused_in(self._plain(value))
            except Exception:  # this, and not a member of it, is what is refused
                return None
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            try:
                self._text(member)
            except Exception:  # noqa: PERF203 - which one it is, is the question
                return name, member
        return None


_ORDERED = {str, int, float, bytes, datetime, date, UUID, Decimal}
"""Whose order is one of all of them."""

_DEEPEST = 50
"""How many steps into a value an error names."""

encode = Encoder()


def name_of(key: object) -> str:
    """An index, or the name of a member, as it stands in a path."""
    return str(key) if type(key) is int else quoted(_plain.key(key))


def with_fractions(text: str) -> str:
    """A JSON text whose large floats have a fraction, and so are floats when they come back.

    PostgreSQL writes 1e+16 as 10000000000000000, which Python reads as a whole number; and 1e+23,
    which is none, as one that is another.
    """
    return _STRING_OR_LARGE.sub(_with_fraction, text) if _LARGE.search(text) else text


# It begins with a letter that is sought fast; a text that has it is looked at properly.
_LARGE = re.compile(r"e\+?[1-9][0-9]{1,2}(?:[,\]}]|$)")
_STRING_OR_LARGE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d(?:\.\d+)?e\+?\d+')


def _with_fraction(found: re.Match[str]) -> str:
    return found[0] if found[0][0] == '"' else f"{Decimal(found[0]):f}.0"


def decode(text: str, what: str = "the value", *, exact: bool = False) -> Json:
    """The value of a JSON text.

    Args:
        text: The text.
        what: What to call it in an error.
        exact: Whether numbers with a fraction are to be Decimals, and no floats.

    Raises:
        UnsupportedValue: Python cannot hold it: a number too long, or nested too deep.
    """
    try:
        value = ELSEWHERE if exact else loaded(text)
        if value is not ELSEWHERE:
            return value
        return _decode_exact(text) if exact else _decode(text)
    except (ValueError, RecursionError) as error:
        raise UnsupportedValue(f"{what} cannot be read by Python: {_reason(error)}") from error


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]}... is too large for a float")
    return number


_decode = json.JSONDecoder(parse_float=_finite).decode
_decode_exact = json.JSONDecoder(parse_float=Decimal).decode


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return str(error)


def plain(text: str) -> str:
    """A text in ASCII, which any database can hold: what is not in it is written as in Python."""
    return text.encode("ascii", "backslashreplace").decode()


def clean(text: str, limit: int) -> str:
    """A text that PostgreSQL can hold, of at most `limit` characters: start and end are kept."""
    if len(text) > limit:
        half = (limit - 40) // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
