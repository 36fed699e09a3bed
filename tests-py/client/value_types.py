"""Types of values, and strategies for values of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar, Union
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    NUMBER = 2
    PAIR = (1, 2)
    PRICE = Decimal("1.50")
    LONG = timedelta(days=1)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Rights(IntFlag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    at: date


class Named(TypedDict):
    name: str
    due: timedelta


@dataclass
class Box(Generic[T]):
    inside: T


class Money(BaseModel):
    """As Pydantic reads and writes it."""

    model_config = ConfigDict(frozen=True)
    amount: Decimal = Field(alias="theAmount")
    at: datetime | None = None
    raw: bytes = b""
    days: tuple[date, ...] = ()


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
ZONES = st.none() | st.builds(
    timezone, st.integers(-86_340, 86_340).map(lambda seconds: timedelta(seconds=seconds))
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False) | st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**40), 10**40),
    st.integers(-60, 60),
)
DATETIMES = st.datetimes(timezones=ZONES)

KEYS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(),
    float: FLOATS,
    bool: st.booleans(),
    date: st.dates(),
    datetime: DATETIMES,
    time: st.times(timezones=ZONES),
    timedelta: st.timedeltas(),
    Decimal: DECIMALS,
    UUID: st.uuids(),
    Level: st.sampled_from(Level),
    PurePosixPath: TEXTS.map(PurePosixPath),
    bytes: st.binary(max_size=20),
    Literal["a", 7]: st.sampled_from(["a", 7]),
}
"""What may be a key, or a member of a set."""

SCALARS: dict[Any, st.SearchStrategy[Any]] = KEYS | {
    None: st.none(),
    Path: TEXTS.map(Path),
    bytearray: st.binary(max_size=20).map(bytearray),
    Colour: st.sampled_from(Colour),
    Rights: st.sampled_from([Rights(0), *Rights, Rights.READ | Rights.WRITE]),
    Point: st.builds(Point, st.integers(), st.dates()),
    Named: st.fixed_dictionaries({"name": TEXTS, "due": st.timedeltas()}),
    np.int64: st.integers(-(2**63), 2**63 - 1).map(np.int64),
    np.float32: st.floats(allow_nan=False, allow_infinity=False, width=32).map(np.float32),
    np.float64: FLOATS.map(np.float64),
    np.bool_: st.booleans().map(np.bool_),
    Money: st.builds(
        lambda amount, at, days: Money(theAmount=amount, at=at, days=days),
        DECIMALS,
        # Pydantic reads zones to the minute.
        st.none() | st.datetimes(timezones=st.just(timezone.utc)),
        st.lists(st.dates(), max_size=2).map(tuple),
    ),
}

Typed = tuple[Any, st.SearchStrategy[Any]]
"""An annotation, and values of it."""


def _generic(kind: Any, *arguments: Any) -> Any:
    return kind[arguments if len(arguments) > 1 else arguments[0]]


def _lists(of: Typed) -> Typed:
    return _generic(list, of[0]), st.lists(of[1], max_size=3)


def _pairs(of: Typed) -> Typed:
    return _generic(tuple, of[0], int), st.tuples(of[1], st.integers())


def _boxes(of: Typed) -> Typed:
    return _generic(Box, of[0]), of[1].map(Box)


def _maybes(of: Typed) -> Typed:
    return _generic(Union, of[0], None), st.none() | of[1]


def _dicts(of: Typed, key: Any) -> Typed:
    return _generic(dict, key, of[0]), st.dictionaries(KEYS[key], of[1], max_size=3)


def _sets(key: Any, kind: Any) -> Typed:
    return _generic(kind, key), st.sets(KEYS[key], max_size=3).map(kind)


TYPED = st.recursive(
    st.sampled_from([*SCALARS.items()])
    | st.builds(_sets, st.sampled_from([*KEYS]), st.sampled_from([set, frozenset])),
    lambda inner: st.one_of(
        inner.map(_lists),
        inner.map(_pairs),
        inner.map(_boxes),
        inner.map(_maybes),
        st.builds(_dicts, inner, st.sampled_from([*KEYS])),
    ),
    max_leaves=4,
)


@dataclass
class Everything:
    """One of each, nested, for handlers."""

    when: datetime
    days: set[date]
    at: time
    span: timedelta
    price: Decimal
    who: UUID
    colour: Colour
    level: Level
    where: Path
    raw: bytes
    x: float
    big: int
    count: np.int64
    text: str
    by_day: dict[date, list[Decimal]]
    box: Box[tuple[UUID, timedelta]]
    money: Money | None
    named: Named
    anything: Any
    children: list[Everything] = field(default_factory=list)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def everything(depth: int = 2) -> st.SearchStrategy[Everything]:
    return st.builds(
        Everything,
        when=DATETIMES,
        days=st.sets(st.dates(), max_size=3),
        at=KEYS[time],
        span=st.timedeltas(),
        price=DECIMALS,
        who=st.uuids(),
        colour=SCALARS[Colour],
        level=KEYS[Level],
        where=SCALARS[Path],
        raw=KEYS[bytes],
        x=FLOATS,
        big=st.integers(),
        count=SCALARS[np.int64],
        text=TEXTS,
        by_day=st.dictionaries(st.dates(), st.lists(DECIMALS, max_size=2), max_size=2),
        box=st.builds(Box, st.tuples(st.uuids(), st.timedeltas())),
        money=st.none() | SCALARS[Money],
        named=SCALARS[Named],
        anything=JSON,
        children=st.lists(everything(depth - 1), max_size=2) if depth else st.just([]),
    )
