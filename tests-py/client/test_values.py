"""Values of Python's types, both ways, through the database: equal, or refused by their place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from client.value_types import (
    TYPED,
    Box,
    Colour,
    Everything,
    Level,
    Money,
    Point,
    Typed,
    everything,
)
from quantumflow_client import AsyncClient, Client, Flow, UnsupportedValue, _json, _typed
from quantumflow_client._worker.handlers import Handler

EXAMPLES = int(os.environ.get("QUANTUMFLOW_VALUES_EXAMPLES", "60"))

Stored = Callable[[str], str]


@pytest.fixture(scope="module")
def stored(module_dsn: str) -> Iterator[Stored]:
    """What a JSON text is after PostgreSQL had it."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:

        def store(text: str) -> str:
            row = connection.execute("select %s::jsonb::text", [text]).fetchone()
            assert row is not None
            return str(row[0])

        yield store


def read(annotation: Any, text: str) -> Any:
    """A JSON text, read as an annotation says."""
    reader = _typed.reader_of(annotation)
    value = _json.decode(text, exact=reader is not None and reader.is_exact)
    return value if reader is None else reader(value, "it")


@given(data=st.data(), typed=TYPED)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
def test_what_goes_out_comes_in_equal(stored: Stored, data: st.DataObject, typed: Typed) -> None:
    annotation, values = typed
    value = data.draw(values)
    again = read(annotation, stored(_json.encode(value)))
    assert again == value
    assert type(again) is type(value)


JSON_VALUES: list[Any] = [
    1e16,
    -1e23,
    1.7976931348623157e308,
    5e-324,
    0.1,
    2.0,
    {"a": [1e300, '1e+16 and ,1e+16, "']},
    10**400,
    {1: "a", "b": 2},
    {None: 0, True: 1},
]


@pytest.mark.parametrize("value", JSON_VALUES, ids=str)
def test_what_json_has_comes_back_as_it_was(stored: Stored, value: Any) -> None:
    """With keys as texts. Without annotations: a float is a float, however large."""
    again = _json.decode(stored(_json.encode(value)))
    expected = {_json.name_of(k).strip('"'): v for k, v in value.items()} if (
        isinstance(value, dict)
    ) else value  # fmt: skip
    assert again == expected
    assert isinstance(value, dict) or type(again) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2030, 1, 31, 9, tzinfo=timezone.utc), '"2030-01-31T09:00:00+00:00"'),
        (date(2030, 1, 31), '"2030-01-31"'),
        (time(9, 30), '"09:30:00"'),
        (timedelta(minutes=1, microseconds=1), "60.000001"),
        (timedelta(days=1), "86400"),
        (Decimal("1.10"), "1.10"),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Colour.PAIR, "[1,2]"),
        (Level.HIGH, "2"),
        (Path("/a/b"), '"/a/b"'),
        (b"\xff\0", '"/wA="'),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset({"b", "a"}), '["a","b"]'),
        ({1, "a"}, '["a",1]'),
        (np.float32(0.5), "0.5"),
        (np.int8(3), "3"),
        (Box(Box(date(2030, 1, 1))), '{"inside":{"inside":"2030-01-01"}}'),
        (Point(1, date(2030, 1, 1)), '[1,"2030-01-01"]'),
        (Money(theAmount=Decimal("1.10")), '{"at":null,"days":[],"raw":"","theAmount":1.10}'),
        ({UUID(int=1): 1, date(2030, 1, 1): 2}, None),
    ],
)
def test_what_becomes_of_each(value: Any, text: str | None) -> None:
    found = _json.encode(value)
    assert found == text or (text is None and '"2030-01-01":2' in found)


@dataclass
class Order:
    total: Decimal
    due: date | None = None
    lines: list[Box[int]] = field(default_factory=list)


class Positive:
    def __init__(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1: 0, "1": 0}, '": two keys become "1"'),
        ({"a": [{"x": Decimal("NaN")}]}, 'at ["a"][0]["x"]: NaN is no number'),
        ([Decimal("1E+5000")], "at [0]: a number of 5001 digits cannot be read again"),
        ({"a": Order(Decimal("Infinity"))}, 'at ["a"]["total"]: Infinity is no number'),
        ({"n": np.float64("nan")}, 'at ["n"]: Out of range float'),
        ({"n": np.float32("inf")}, 'at ["n"]: Out of range float'),
        ([np.datetime64(1, "ns")], "at [0]: np.datetime64"),
        ([np.datetime64("NaT")], "at [0]: np.datetime64('NaT'"),
        ({"a": [MappingProxyType({})]}, 'at ["a"][0]: Object of type mappingproxy'),
        ({"a": {(1, 2): 3}}, 'at ["a"]: an object\'s keys are texts, which a tuple is not'),
        ({float("nan"): 3}, "Out of range float"),
    ],
)
def test_what_would_not_come_back_is_refused_by_its_place(value: Any, says: str) -> None:
    with pytest.raises(UnsupportedValue) as raised:
        _json.encode(value, "the output")
    assert says.lstrip('":') in str(raised.value)


@pytest.mark.parametrize(
    ("annotation", "text", "says"),
    [
        (Order, '{"total": true}', 'it["total"] cannot be read: it is true, and a Decimal'),
        (Order, '{"due": null}', 'it has no "total", which Order needs'),
        (Order, '{"total": 1, "due": "soon"}', 'it["due"] cannot be read: it is "soon"'),
        (Order, '{"total": 1, "lines": [{"inside": 1.5}]}', 'it["lines"][0]["inside"] cannot be'),
        (Order, "[]", "it cannot be read: it is an array, and an object, for Order, is wanted"),
        (dict[str, Money], '{"a": {"theAmount": "x"}}', 'it["a"]["theAmount"] cannot be read'),
        (set[Decimal], "[1, 1.0]", "equal"),
        (dict[Decimal, int], '{"1": 1, "1.0": 2}', "two of its keys are the same"),
        (dict[UUID, int], '{"x": 1}', "a UUID is wanted"),
        (tuple[int, date], "[1]", "an array of 2 is wanted"),
        (Box[float], '{"inside": 100000000000000000000001}', "a float, which cannot be that"),
        (timedelta, "0.0000001", "to the microsecond"),
        (Colour, '"blue"', "a Colour is wanted"),
        (np.int8, "300", "int8 is wanted"),
        (bytes, '"no!"', "bytes in base64 is wanted"),
        (list[datetime | date | None], '[null, "2030-01-01", "x"]', "it[2] cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_such_value_is_refused_by_its_place(
    annotation: Any, text: str, says: str
) -> None:
    with pytest.raises(UnsupportedValue) as raised:
        read(annotation, text)
    assert says in str(raised.value)


def test_an_annotation_of_jsons_own_types_stays_a_hint() -> None:
    for annotation in (Any, object, str, dict[str, int], list[float] | None, "no type", [1]):
        assert _typed.reader_of(annotation) is None
    assert read(dict[str, int], '{"a": "1"}') == {"a": "1"}
    assert read(Positive, "1") == 1


def test_a_float_beside_exact_numbers_is_a_float() -> None:
    found = read(dict[str, Any | Decimal], '{"a": [0.5]}')
    assert type(found["a"][0]) is float
    read_as = read(Box[dict[str, list[Decimal] | Any]], '{"inside": {"a": {"b": 1.5}}}')
    assert type(read_as.inside["a"]["b"]) is float


class Odd:
    pass


def encode(value: Any) -> Any:
    if isinstance(value, Odd):
        return {"odd": date(2030, 1, 1)}
    raise TypeError(f"{type(value).__name__} is unknown here")


def test_encode_is_asked_for_what_nobody_knows() -> None:
    encoder = _json.Encoder(encode)
    assert encoder({"a": [Odd(), date(2030, 1, 2)]}) == '{"a":[{"odd":"2030-01-01"},"2030-01-02"]}'
    with pytest.raises(UnsupportedValue, match=r'at \["a"\]\[1\]: object is unknown here'):
        encoder({"a": [Odd(), object()]})
    with pytest.raises(UnsupportedValue, match="`encode` returned the object that it was given"):
        _json.Encoder(lambda value: value)([object()])


class Sealed(BaseModel):
    key: SecretStr


def test_pydantic_says_what_it_writes() -> None:
    assert _json.encode(Sealed(key=SecretStr("a"))) == '{"key":"**********"}'


class Text:
    """Its annotations are found when the first task comes."""

    def __call__(self, run: Later, ctx: NoSuchType, other: NoSuchType = 1) -> None: ...  # type: ignore[name-defined] # noqa: F821


@dataclass
class Later:
    at: date


def test_annotations_are_found_late_and_those_that_are_not_stay_hints(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    assert list(Handler.of(Text()).readers) == ["run"]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "the annotation NoSuchType of 'other' cannot be found: its value is as JSON is"
    ]


# Through workers


def sync_echo(run: Everything) -> Everything:
    assert type(run) is Everything
    return run


async def async_echo(run: Everything) -> Everything:
    assert type(run) is Everything
    return run


@dataclass
class Both:
    sync_echo: Everything
    async_echo: Everything


echoes = Flow("echoes", output=Both)
echoes.step(sync_echo)
echoes.step(async_echo)


@given(values=st.lists(everything(), min_size=1, max_size=8))
@settings(
    max_examples=max(EXAMPLES // 20, 2),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_inputs_and_outputs_of_both_clients_and_both_kinds_of_handlers(
    module_dsn: str, values: list[Everything]
) -> None:
    async def start_and_wait(work: Callable[[], int]) -> list[Both]:
        async with AsyncClient(module_dsn) as client:
            runs = [await client.start_flow(echoes, value) for value in values]
            await asyncio.to_thread(work)
            return [await client.wait(run, 30) for run in runs]

    with Client(module_dsn) as client:
        client.deploy(echoes)

        def work() -> int:
            return client.poll_and_run(until_idle=True)

        runs = client.start_flows(echoes, values)
        found = asyncio.run(start_and_wait(work))
        found += [client.wait(run, 30) for run in runs]
    assert found == [Both(value, value) for value in values * 2]


def test_a_refusal_costs_the_attempt_and_not_the_run(client: Client) -> None:
    said: list[str] = []

    def picky(run: Order, ctx: Any) -> Any:
        said.append(f"{type(run).__name__} {ctx.attempt}")
        return {"rows": [{"when": object()}]} if ctx.attempt == 1 else run.total

    client.command("picky")(picky)
    client.deploy({"slug": "picky", "retry_delay": 0, "steps": [{"name": "picky"}]})
    run_id = client.start_flow("picky", {"total": 1.5})
    bad = client.start_flow("picky", {"total": "much"})
    while {"started"} & {client.status(run, summary=True)["status"] for run in (run_id, bad)}:
        client.poll_and_run(until_idle=True)
    assert client.wait(run_id) == {"picky": 1.5}
    assert said == ["Order 1", "Order 2"]
    (first,) = client.failures(run_id)
    assert 'at ["rows"][0]["when"]: Object of type object' in str(first.error_message)
    refused = client.failures(bad)
    assert [each.attempt for each in refused] == [3, 2, 1]
    assert 'UnsupportedValue: run["total"] cannot be read: it is "much"' in str(
        refused[0].error_message
    )


def test_encode_of_a_client_is_for_inputs_args_and_outputs(module_dsn: str) -> None:
    with Client(module_dsn, encode=encode) as client:

        @client.command("odd")
        def odd(run: dict[str, Any], args: Any) -> Any:
            return [run, args, Odd()]

        client.deploy({"slug": "odd", "steps": [{"name": "odd", "args": Odd()}]})
        run_id = client.start_flow("odd", Odd())
        client.poll_and_run(until_idle=True)
        assert client.wait(run_id, 30) == {"odd": [{"odd": "2030-01-01"}] * 3}

    async def start() -> Any:
        async with AsyncClient(module_dsn, encode=encode) as client:
            run_id = await client.start_flow("odd", {"a": Odd()})
            return (await client.status(run_id))["input"]

    assert asyncio.run(start()) == {"a": {"odd": "2030-01-01"}}


@dataclass
class Large:
    who: UUID
    parts: dict[UUID, bytes]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_sixty_four_megabytes(client: Client) -> None:
    large = Large(uuid4(), {uuid4(): os.urandom(1 << 20) for _ in range(46)})
    assert len(_json.encode(large)) > 64_000_000

    flow = Flow("large", output=dict[str, Large], timeout=600)

    @flow.step
    def same(run: Large) -> Large:
        return run

    client.deploy(flow)
    for name in ("max_input_bytes", "max_output_bytes"):
        with psycopg.connect(client._connections.dsn(), autocommit=True) as connection:
            connection.execute("select quantumflow.configure(%s, '200000000')", [name])
    run_id = client.start_flow(flow, large)
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id) == {"same": large}
