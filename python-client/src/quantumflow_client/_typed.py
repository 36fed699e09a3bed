"""Values on their way in: read as an annotation says, where JSON has no such values.

What becomes of an annotation is a reader, or none: the value is handed over as JSON is. That is so
of whatever consists of JSON's own types, and of classes that nothing is known of: an annotation
was never more than a hint before, and those stay one.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import re
import sys
import types
import typing
from base64 import b64decode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Union
from uuid import UUID

from . import _json, _plain
from .errors import UnsupportedValue

T = typing.TypeVar("T")

Read = Callable[[Any], Any]
"""Makes a value of a decoded one, or raises a _Refusal."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """Reads values of one annotation.

    Attributes:
        is_exact: Whether it wants numbers with a fraction as Decimals.
    """

    is_exact: bool
    _read: Read

    def __call__(self, value: Any, what: str) -> Any:
        """The value that a decoded one stands for.

        Args:
            value: The decoded one.
            what: What to call it in an error.

        Raises:
            UnsupportedValue: It stands for none. The message says where in it that is, and why.
        """
        try:
            return self._read(value)
        except _Refusal as refusal:
            place = "".join(f"[{_json.name_of(name)[:80]}]" for name in reversed(refusal.path))
            raise UnsupportedValue(
                f"{what}{place} cannot be read: {refusal.reason}"
            ) from refusal.__cause__
        except RecursionError as error:
            raise UnsupportedValue(f"{what} cannot be read: it is nested too deep") from error


def reader_of(annotation: object) -> Reader | None:
    """What reads values of an annotation; None: they are as JSON is.

    Raises:
        TypeError: Pydantic can make nothing of it.
    """
    return _compiled(annotation) if _has_hash(annotation) else None


def annotations_of(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A function's annotations, by parameter, and the texts of those that cannot be found."""
    function = getattr(function, "func", function)  # below a partial
    call: Any = function
    if not isinstance(function, (types.FunctionType, types.MethodType, type)):
        call = type(function).__call__
    try:
        return typing.get_type_hints(call, include_extras=True), {}
    except Exception:  # names that are there for type checkers only, or whatever stands there
        return _one_by_one(call)


def _one_by_one(function: Any) -> tuple[dict[str, Any], dict[str, str]]:
    found, unknown = {}, {}
    names = getattr(function, "__globals__", {})
    for name, annotation in getattr(function, "__annotations__", {}).items():
        try:
            (found[name],) = typing.get_type_hints(
                types.SimpleNamespace(__annotations__={name: annotation}),
                globalns=names,
                include_extras=True,
            ).values()
        except Exception:  # noqa: PERF203 - it may be any expression
            unknown[name] = str(annotation)
    return found, unknown


@lru_cache(maxsize=1000)
def _compiled(annotation: object) -> Reader | None:
    if _is_json(annotation):
        return None
    compiler = _Compiler()
    read = compiler.reader(annotation)
    return None if read == compiler.as_json else Reader(compiler.is_exact, read)


class _Refusal(Exception):  # noqa: N818 - nobody else sees it
    """A value is not what was asked for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[Any] = []

    def below(self, name: object) -> _Refusal:
        """The same, of what it was found in."""
        self.path.append(name)
        return self


def _no(value: object, wanted: str) -> _Refusal:
    """A refusal of a value, which says what it is."""
    if isinstance(value, dict | list):
        is_what = "an object" if isinstance(value, dict) else "an array"
    else:
        is_what = _json.encode(value)
        if len(is_what) > 80:
            is_what = f"{is_what[:80]}..."
    return _Refusal(f"it is {is_what}, and {wanted} is wanted")


# What an annotation is

_ATOMS: frozenset[Any] = frozenset({bool, int, float, str, type(None), None, Any, object})
_LISTS: frozenset[Any] = frozenset(
    {
        list,
        collections.abc.Sequence,
        collections.abc.MutableSequence,
        collections.abc.Collection,
        collections.abc.Iterable,
        collections.abc.Reversible,
    }
)
_SETS: dict[Any, type] = {
    set: set,
    frozenset: frozenset,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_DICTS: frozenset[Any] = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
_UNIONS = (Union, types.UnionType)
_MARKERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar", "InitVar")


def _bare(annotation: Any) -> Any:
    """What stands behind an alias, a new name, or a mark."""
    while True:
        if isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif getattr(typing.get_origin(annotation), "_name", None) in _MARKERS:
            (annotation,) = typing.get_args(annotation)
        elif typing.get_origin(annotation) is typing.Annotated and not _is_pydantic(annotation):
            annotation = typing.get_args(annotation)[0]
        else:
            return annotation


def _is_json(annotation: Any) -> bool:
    """Whether JSON has such values itself."""
    annotation = _bare(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return all(type(each) in _ATOMS for each in arguments)
    if not _has_hash(annotation):
        return False
    if annotation in _LISTS or annotation in _DICTS:
        return True
    if origin in _UNIONS or origin in _LISTS:
        return all(map(_is_json, arguments))
    if origin in _DICTS:
        return _bare(arguments[0]) in (str, Any) and _is_json(arguments[1])
    return annotation in _ATOMS


def _has_hash(annotation: Any) -> bool:
    """Whether it can be a type at all; anything may stand where an annotation does."""
    try:
        hash(annotation)
    except TypeError:
        return False
    return True


def _is_pydantic(annotation: Any) -> bool:
    """Whether it says itself how Pydantic reads it; so it is one of Pydantic's, or for it."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *marks = typing.get_args(annotation)
        packages = {type(mark).__module__.partition(".")[0] for mark in marks}
        return bool(packages & {"pydantic", "annotated_types"}) or _is_pydantic(inner)
    kind = typing.get_origin(annotation) or annotation
    return isinstance(kind, type) and (
        hasattr(kind, "__pydantic_core_schema__") or hasattr(kind, "__get_pydantic_core_schema__")
    )


def _is_for_pydantic(annotation: Any) -> bool:
    """Whether Pydantic is to read it as a whole: its own, in nothing but JSON's types."""
    annotation = _bare(annotation)
    if _is_pydantic(annotation):
        return "pydantic" in sys.modules
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin not in _UNIONS and origin not in _LISTS and origin not in _DICTS:
        return False
    return any(map(_is_for_pydantic, arguments)) and all(
        _is_json(each) or _is_for_pydantic(each) for each in arguments
    )


class _Compiler:
    """Makes readers of annotations that are parts of one."""

    def __init__(self) -> None:
        self.is_exact = False
        self._classes: dict[Any, Read] = {}

    def as_json(self, value: Any) -> Any:
        """Reads what may be anything: floats are floats."""
        return _with_floats(value) if self.is_exact else value

    def reader(self, annotation: Any) -> Read:
        """What reads values of an annotation."""
        annotation = _bare(annotation)
        if not _has_hash(annotation):
            return self.as_json
        if _is_for_pydantic(annotation):
            self.is_exact = True
            return _of_pydantic(annotation)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        kind = origin or annotation
        if origin is typing.Literal:
            return self._literal(arguments)
        if origin in _UNIONS:
            return self._union(arguments)
        if kind in _LISTS:
            return _list_of(self.reader(arguments[0] if arguments else Any))
        if kind in _SETS:
            return _set_of(_SETS[kind], self.reader(arguments[0] if arguments else Any))
        if kind in _DICTS:
            names, members = arguments or (str, Any)
            return _dict_of(self._key_reader(names), self.reader(members))
        if kind is tuple:
            return self._tuple(arguments)
        if typing.is_typeddict(kind) or dataclasses.is_dataclass(kind):
            return self._class(annotation, kind, arguments)
        return self._scalar(kind)

    def _scalar(self, kind: Any) -> Read:
        if not isinstance(kind, type):
            return self.as_json if kind is not None else _none
        if kind in (Decimal, timedelta):
            self.is_exact = True
        if kind in _SCALARS:
            return _SCALARS[kind]
        if issubclass(kind, Enum):
            return self._enum(kind)
        if issubclass(kind, PurePath):
            return lambda value: kind(_text(value, "a path"))
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            hints = _hints_of(kind)
            members = [self.reader(hints.get(name, Any)) for name in kind._fields]
            return _tuple_of(members, lambda values: kind(*values))
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.generic):
            return _of_numpy(kind)
        return self.as_json

    def _literal(self, choices: tuple[Any, ...]) -> Read:
        readers = [(choice, self._scalar(type(choice))) for choice in choices]

        def read(value: Any) -> Any:
            for choice, of_its_kind in readers:
                try:
                    if of_its_kind(value) == choice:
                        return choice
                except _Refusal:  # noqa: PERF203 - it may be another one
                    continue
            raise _no(value, f"one of {', '.join(map(repr, choices))}")

        return read

    def _union(self, choices: tuple[Any, ...]) -> Read:
        # A whole number is one; where a float is meant, it has a fraction.
        choices = tuple(sorted(choices, key=lambda each: each is float))
        readers = [self.reader(choice) for choice in choices]
        says = " or ".join(map(_called, choices))

        def read(value: Any) -> Any:
            ordered = readers
            if isinstance(value, dict):
                # Of classes, those first that have all that is there.
                names = value.keys()
                ordered = sorted(readers, key=lambda each: not getattr(each, "has", bool)(names))
            refusals = []
            for each in ordered:
                try:
                    return each(value)
                except _Refusal as refusal:  # noqa: PERF203 - it may be another one
                    refusals.append(refusal)
            deepest = max(refusals, key=lambda each: len(each.path))
            raise deepest if deepest.path else _no(value, says)

        return read

    def _tuple(self, arguments: tuple[Any, ...]) -> Read:
        if not arguments:
            arguments = (Any, ...)
        if len(arguments) == 2 and arguments[1] is ...:
            of_list = _list_of(self.reader(arguments[0]))
            return lambda value: tuple(of_list(value))
        members = [self.reader(each) for each in arguments if each != ()]
        return _tuple_of(members, tuple)

    def _enum(self, kind: type[Enum]) -> Read:
        if issubclass(kind, Flag):
            return lambda value: _made(kind, value, _whole(value), kind.__name__)
        values = [(member, self.reader(type(member.value))) for member in kind]

        def read(value: Any) -> Any:
            for member, of_its_kind in values:
                try:
                    if of_its_kind(value) == member.value:
                        return member
                except _Refusal:  # noqa: PERF203 - it may be another one
                    continue
            raise _no(value, f"a {kind.__name__}")

        return read

    def _class(self, annotation: Any, kind: Any, arguments: tuple[Any, ...]) -> Read:
        if annotation in self._classes:
            return self._classes[annotation]
        of_class = _OfClass(kind)
        self._classes[annotation] = of_class  # a member may be of the same class
        variables = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
        hints = _hints_of(kind)
        for name in of_class.names:
            of_class.members[name] = self.reader(_substituted(hints.get(name, Any), variables))
        return of_class

    def _key_reader(self, annotation: Any) -> Read | None:
        """What reads the keys of an object, which are texts; None: as they are."""
        annotation = _bare(annotation)
        if annotation in (str, Any):
            return None
        if typing.get_origin(annotation) in _UNIONS:
            return _first_of([self._key_reader(each) for each in typing.get_args(annotation)])
        if typing.get_origin(annotation) is typing.Literal:
            return _by_key(typing.get_args(annotation), _called(annotation))
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return _by_key(tuple(annotation), _called(annotation))
        if annotation in (bool, None, type(None)):
            choices = (True, False) if annotation is bool else (None,)
            return _by_key(choices, _called(annotation))
        of_kind = self.reader(annotation)
        if annotation in (int, float, Decimal, timedelta):
            return lambda name: of_kind(_number(name))
        return of_kind


# What reads a value


def _none(value: Any) -> None:
    if value is not None:
        raise _no(value, "null")


def _bool(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise _no(value, "a bool")


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _no(value, "an int")


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _no(value, "a float")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number - number != 0 or (isinstance(value, int) and number != value):
        raise _no(value, "a float, which cannot be that number,")
    return number


def _text(value: Any, wanted: str = "a str") -> str:
    if isinstance(value, str):
        return value
    raise _no(value, wanted)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    return Decimal(_number(_text(value, "a Decimal")))


def _number(text: str) -> int | Decimal:
    """The number that a text is."""
    if not _NUMBER.fullmatch(text):
        raise _no(text, "a number")
    return int(text) if text.removeprefix("-").isdigit() else Decimal(text)


_NUMBER = re.compile(r"-?\d{1,4300}(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def _seconds(value: Any) -> timedelta:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        microseconds = Decimal(value).scaleb(6)
        if microseconds == microseconds.to_integral_value():
            return _made(
                lambda n: timedelta(microseconds=n), value, int(microseconds), "a timedelta"
            )
    raise _no(value, "a number of seconds, to the microsecond,")


def _made(kind: Callable[[Any], T], value: Any, part: Any, wanted: str) -> T:
    """What a class makes of a value, which may be too large for it, say."""
    try:
        return kind(part)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise _no(value, wanted) from error


def _of_text(make: Callable[[str], Any], wanted: str) -> Read:
    return lambda value: _made(make, value, _text(value, wanted), wanted)


def _instant(text: str) -> datetime:
    # Python 3.10 knows no Z.
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


_SCALARS: dict[Any, Read] = {
    bool: _bool,
    int: _whole,
    float: _float,
    str: _text,
    type(None): _none,
    Decimal: _decimal,
    timedelta: _seconds,
    datetime: _of_text(_instant, "a datetime in ISO 8601"),
    date: _of_text(date.fromisoformat, "a date in ISO 8601"),
    time: _of_text(time.fromisoformat, "a time in ISO 8601"),
    UUID: _of_text(UUID, "a UUID"),
    bytes: _of_text(_bytes, "bytes in base64"),
    bytearray: _of_text(lambda text: bytearray(_bytes(text)), "bytes in base64"),
}


def _list_of(read: Read) -> Callable[[Any], list[Any]]:
    def read_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _no(value, "an array")
        made: list[Any] = []
        try:
            for member in value:
                made.append(read(member))  # noqa: PERF401 - how many there are says where it ended
        except _Refusal as refusal:
            raise refusal.below(len(made)) from refusal.__cause__
        return made

    return read_all


def _set_of(kind: type, read: Read) -> Read:
    of_list = _list_of(read)

    def read_all(value: Any) -> Any:
        members = of_list(value)
        made = _made(kind, value, members, "a set")
        if len(made) != len(members):
            raise _Refusal("some of its members are equal, and so it is no set")
        return made

    return read_all


def _tuple_of(members: list[Read], make: Callable[[list[Any]], Any]) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(members):
            raise _no(value, f"an array of {len(members)}")
        made: list[Any] = []
        try:
            for of_member, member in zip(members, value, strict=True):
                made.append(of_member(member))
        except _Refusal as refusal:
            raise refusal.below(len(made)) from refusal.__cause__
        return make(made)

    return read


def _dict_of(read_key: Read | None, read: Read) -> Read:
    def read_all(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise _no(value, "an object")
        made = {}
        for name, member in value.items():
            key = name if read_key is None else read_key(name)
            if key in made:
                raise _Refusal(f"two of its keys are the same, {_json.name_of(name)} for one")
            try:
                made[key] = read(member)
            except _Refusal as refusal:
                raise refusal.below(name) from refusal.__cause__
        return made

    return read_all


class _OfClass:
    """Reads dataclasses and TypedDicts: what these do not name is left out, or as JSON is."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._is_dict = typing.is_typeddict(kind)
        self.members: dict[str, Read] = {}
        if self._is_dict:
            self.names, self._needed = list(_hints_of(kind)), kind.__required_keys__
            return
        fields = [field for field in dataclasses.fields(kind) if field.init]
        no = dataclasses.MISSING
        self.names = [field.name for field in fields]
        self._needed = {f.name for f in fields if f.default is no and f.default_factory is no}

    def has(self, names: collections.abc.Set[str]) -> bool:
        """Whether it has all of these."""
        return names <= self.members.keys()

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise _no(value, f"an object, for {self._kind.__name__},")
        if missing := sorted(self._needed - value.keys()):
            names = ", ".join(map(_json.name_of, missing))
            raise _Refusal(f"it has no {names}, which {self._kind.__name__} needs")
        made = dict(value) if self._is_dict else {}
        for name in self.names:
            if name not in value:
                continue
            try:
                made[name] = self.members[name](value[name])
            except _Refusal as refusal:
                raise refusal.below(name) from refusal.__cause__
        if self._is_dict:
            return made
        try:
            return self._kind(**made)
        except Exception as error:
            raise _Refusal(f"{self._kind.__name__} raised {_told(error)}") from error


def _of_pydantic(annotation: Any) -> Read:
    from pydantic import TypeAdapter, ValidationError  # it was imported by who has the annotation

    try:
        adapter: Any = TypeAdapter(annotation)
    except Exception as error:
        raise TypeError(f"Pydantic cannot read {_called(annotation)}: {error}") from error

    def read(value: Any) -> Any:
        try:
            return adapter.validate_json(_json.encode(_as_exact_texts(value)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            refusal = _Refusal(f"{first['msg']} ({_called(annotation)})")
            refusal.path = list(reversed(first["loc"]))
            raise refusal from error

    return read


def _as_exact_texts(value: Any) -> Any:
    """A value whose Decimals that no float is are texts: of numbers Pydantic reads floats."""
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, list):
        return [_as_exact_texts(member) for member in value]
    if isinstance(value, dict):
        return {name: _as_exact_texts(member) for name, member in value.items()}
    return value


def _of_numpy(kind: Any) -> Read:
    def read(value: Any) -> Any:
        made = _made(kind, value, value, f"a {kind.__name__}")
        if not isinstance(value, bool | int | float | str) or (
            not isinstance(value, str) and made.item() != value
        ):
            raise _no(value, f"a {kind.__name__}")
        return made

    return read


def _first_of(readers: list[Read | None]) -> Read:
    def read(name: str) -> Any:
        refusals = []
        for each in readers:
            try:
                return name if each is None else each(name)
            except _Refusal as refusal:  # noqa: PERF203 - it may be another one
                refusals.append(refusal)
        raise refusals[0]

    return read


def _by_key(choices: tuple[Any, ...], wanted: str) -> Read:
    keys = {_plain.key(choice): choice for choice in choices}

    def read(name: str) -> Any:
        if name not in keys:
            raise _Refusal(f"its key {_json.name_of(name)} is no {wanted}")
        return keys[name]

    return read


def _with_floats(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_with_floats(member) for member in value]
    if isinstance(value, dict):
        return {name: _with_floats(member) for name, member in value.items()}
    return value


# What is known of a class


def _hints_of(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception as error:  # names that are there for type checkers only
        raise TypeError(
            f"an annotation of {kind.__qualname__} cannot be found, and so nothing can be read as "
            f"one: {error}"
        ) from error


def _substituted(hint: Any, variables: dict[Any, Any]) -> Any:
    if not variables:
        return hint
    if hint in variables:
        return variables[hint]
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(variables.get(each, Any) for each in parameters)] if parameters else hint


def _called(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its text is of users' code
        return type(error).__name__
