"""What callers hand in, checked where an error can still name it. No rule of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from .errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._json import Json

T = TypeVar("T")

_Wanted = tuple[type | tuple[type, ...], str]
"""What a value is, and the words for it."""


def seconds_of(timeout: float | timedelta | None) -> float | None:
    """A timeout in seconds."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def time_left(name: str, value: float | timedelta | None) -> float | None:
    """How many seconds are left; None: as many as it takes. Less than none is none.

    Raises:
        BadArgument: It is no number, and no timedelta.
    """
    if value is None:
        return None
    seconds = seconds_of(value)
    is_negative = isinstance(seconds, (int, float)) and seconds < 0
    return 0.0 if is_negative else patience(name, value)


def whole_number(name: str, value: int, *, least: int) -> int:
    """A whole number.

    Raises:
        BadArgument: It is none, or less than the least.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadArgument(f"{name} is {value!r}: it is a whole number, {least} or more")
    return value


def patience(name: str, value: float | timedelta) -> float:
    """How many seconds to wait.

    Raises:
        BadArgument: It is no number, no timedelta, or negative.
    """
    seconds = seconds_of(value)
    if not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise BadArgument(f"{name} is {value!r}: it is a number of seconds, or a timedelta")
    return float(seconds)


def duration(name: str, value: timedelta) -> timedelta:
    """A timedelta.

    Raises:
        BadArgument: It is none.
    """
    if not isinstance(value, timedelta):
        raise BadArgument(
            f"{name} is {value!r}: it is a timedelta", hint="timedelta(seconds=30), for example."
        )
    return value


def names(name: str, value: Sequence[str]) -> list[str]:
    """Names, at least one.

    Raises:
        BadArgument: It is one text, whose letters would be taken for names; or none, or no texts.
    """
    if isinstance(value, str):
        raise BadArgument(
            f"{name} is {value!r}, one text: it is a list of names", hint=f"{name}=[{value!r}]"
        )
    listed = list(value) if isinstance(value, Iterable) else []
    if not listed or not all(isinstance(each, str) for each in listed):
        raise BadArgument(f"{name} is {value!r}: it is a list of names, at least one")
    return listed


class Age(str):
    """A length of time as PostgreSQL reads it, '30 days' for example: from the command line."""

    __slots__ = ()


def inputs(name: str, value: Iterable[Json]) -> Iterable[Json]:
    """Inputs, each of a run.

    Raises:
        BadArgument: It is one text, whose letters would start a run each, or an object, whose keys
            would; or nothing that holds inputs.
    """
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise BadArgument(
            f"{name} is one {type(value).__name__}: it is a list of inputs",
            hint=f"For one run {name}=[...], or start_flow.",
        )
    return value


def each(
    name: str, values: Iterable[T] | None, check: Callable[[str, T], object]
) -> list[object] | None:
    """Values of an argument, one for each input, each checked by itself.

    Raises:
        BadArgument: It is one text or one object; or as the check says.
    """
    if values is None:
        return None
    return [check(f"{name}[{i}]", value) for i, value in enumerate(inputs(name, values))]


def moment(name: str, value: datetime | None) -> datetime | None:
    """A moment, whatever the time zone of whoever reads it.

    Raises:
        BadArgument: It has no time zone, or is no datetime.
    """
    if value is None or (isinstance(value, datetime) and value.utcoffset() is not None):
        return value
    if not isinstance(value, datetime):
        raise BadArgument(f"{name} is {value!r}: it is a datetime with a time zone")
    raise BadArgument(
        f"{name} is {value!r}, which has no time zone: nobody can tell which moment that is",
        hint="For local time value.astimezone(), for UTC value.replace(tzinfo=timezone.utc); the "
        "time now is datetime.now(timezone.utc).",
    )


def check(parameters: Mapping[str, object]) -> None:
    """Refuse what no function of the database takes under a name: it would say that there is none.

    Raises:
        BadArgument: A value is of another type, or a number no integer of the database holds.
    """
    for name, value in parameters.items():
        if value is not None and name in _WANTED:
            _typed(name, value, _WANTED[name])


def number(name: str, value: int | None) -> int | None:
    """A whole number that an integer of the database holds, or nothing.

    Raises:
        BadArgument: It is something else.
    """
    return None if value is None else _typed(name, value, _NUMBER)


def _typed(name: str, value: T, wanted: _Wanted) -> T:
    """A value of a type, which is said in words as well."""
    kind, said = wanted
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        if not isinstance(value, int) or -(2**31) <= value < 2**31:
            return value
        said = f"{said}, {2**31 - 1} at most"
    raise BadArgument(f"{name} is {_shown(value)}: it is {said}")


_NUMBER = (int, "a whole number")
_TEXT = (str, "a text")
_FLAG = (bool, "True or False")
_WANTED: dict[str, _Wanted] = {
    "priority": _NUMBER,
    "from_version": _NUMBER,
    "from_iteration": _NUMBER,
    "to_version": _NUMBER,
    "max_runs": _NUMBER,
    "max_failures": _NUMBER,
    "catch_up": _NUMBER,
    "max_goals": _NUMBER,
    "max_events": _NUMBER,
    "at_once": _NUMBER,
    "per_second": ((int, float), "a number"),
    "n": _NUMBER,
    "max_tasks": _NUMBER,
    "workflow_slug": _TEXT,
    "goal": _TEXT,
    "decomposer": _TEXT,
    "schedule_slug": _TEXT,
    "cron": _TEXT,
    "limit_name": _TEXT,
    "time_zone": _TEXT,
    "overlap": _TEXT,
    "level": _TEXT,
    "apply": _TEXT,
    "preserve_structure": _FLAG,
    "step_slug": _TEXT,
    "from_step": _TEXT,
    "status": _TEXT,
    "reason": _TEXT,
    "signal": _TEXT,
    "error": _TEXT,
    "key": _TEXT,
    "idempotency_key": _TEXT,
    "rollback": _FLAG,
    "summary": _FLAG,
    "tree": _FLAG,
    "given_up": _FLAG,
    "gave_up": _FLAG,
    "only_stuck": _FLAG,
    "with_input": _FLAG,
    "with_children": _FLAG,
    "alive_only": _FLAG,
    "dry_run": _FLAG,
    "older_than": ((timedelta, Age), "a timedelta: timedelta(days=30), for example"),
    "before": (UUID, "a UUID, the run_id of the last run of the page before"),
    "parent": (UUID, "a UUID, the run_id of a run"),
}
"""What a parameter of a call is, by its name. Others are checked where the call is made, and so are
those whose name means one thing here and another there."""


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:100]}..."


def run(value: UUID | str | None) -> UUID | None:
    """A run's id; a text that is one will do.

    Raises:
        BadArgument: It is none.
    """
    if value is None or isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise BadArgument(
            f"run_id is {value!r}: it is a UUID", hint="start_flow returned it."
        ) from None


def goal(value: UUID | str) -> UUID:
    """A goal's id; a text that is one will do.

    Raises:
        BadArgument: It is none.
    """
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise BadArgument(
            f"goal_id is {value!r}: it is a UUID", hint="start_goal returned it."
        ) from None


def mapping(name: str, value: Mapping[str, T]) -> Mapping[str, T]:
    """An object.

    Raises:
        BadArgument: It is none.
    """
    if not isinstance(value, Mapping):
        raise BadArgument(f"{name} is {_shown(value)}: it is an object, a dict for example")
    return value


def text(name: str, value: str | None) -> str | None:
    """A text, or nothing.

    Raises:
        BadArgument: It is something else: the database would say that no function takes that.
    """
    if value is None or isinstance(value, str):
        return value
    raise BadArgument(f"{name} is {value!r}: it is a text", hint=f"{name}=str(...) makes it one.")
