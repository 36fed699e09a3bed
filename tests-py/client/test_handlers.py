"""Handlers: which functions can be one, and what they are called with."""

# ruff: noqa: ARG005, A006 - the parameters' names are what is tested

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import pytest

from quantumflow_client import Context, PermanentError
from quantumflow_client._sql import Task, TaskRef
from quantumflow_client._worker.handlers import Handler, Registry
from quantumflow_client.errors import UnknownStep

LATER = datetime(2100, 1, 1, tzinfo=timezone.utc)
RUN = UUID(int=1)


def context(
    input: dict[str, Any],  # noqa: A002
    *,
    args: Any = None,
    step_type: str = "single",
    fetched: dict[str, Any] | None = None,
) -> Context:
    """A task; `fetched` is what the database holds: the run's input as "run", outputs by step."""

    def fetch(call: Any) -> str | None:
        name = call.params.get("step_slug", "run")
        if fetched is None or name not in fetched:
            raise UnknownStep(f"no step {name}")
        value = fetched[name]
        return None if value is None else json.dumps(value)

    task = Task(
        TaskRef(str(RUN), "step", 0, 7),
        "flow",
        "command",
        None if args is None else json.dumps(args),
        json.dumps(input),
        1,
        3,
        LATER.timestamp(),
        LATER.timestamp(),
        None,
        0,
        step_type,
    )
    nothing: Any = None
    return Context(
        task,
        cancelled=lambda: False,
        heartbeat=lambda: True,
        fetch=fetch,
        transaction=lambda: nothing,
        used={},
    )


def call(function: Callable[..., Any], ctx: Context) -> Any:
    return function(**Handler.of(function).arguments(ctx))


def test_a_handler_is_given_what_it_asks_for_by_name() -> None:
    ctx = context({"run": {"id": 7}, "validate": True}, args={"mode": "fast"})
    assert call(lambda: 1, ctx) == 1
    assert call(lambda input: input, ctx) == {"run": {"id": 7}, "validate": True}
    assert call(lambda run, validate: (run, validate), ctx) == ({"id": 7}, True)
    assert call(lambda args: args, ctx) == {"mode": "fast"}
    assert call(lambda ctx: ctx.run_input, ctx) == {"id": 7}


def test_a_map_handler_is_given_its_item_and_index() -> None:
    ctx = context({"item": None, "index": 3}, step_type="map")
    assert call(lambda item, index: (item, index), ctx) == (None, 3)


def test_a_map_handler_may_ask_for_what_its_input_does_not_hold() -> None:
    ctx = context(
        {"item": 1, "index": 0}, step_type="map", fetched={"run": {"k": 2}, "prices": [1, 2]}
    )
    assert call(lambda item, run, prices: (item, run, prices), ctx) == (1, {"k": 2}, [1, 2])


@pytest.mark.parametrize(
    ("function", "needs"),
    [
        (lambda item, index, args, ctx, input: None, False),
        (lambda item, run: None, True),
        (lambda item, prices: None, True),
    ],
)
def test_a_map_handler_is_known_to_fetch(function: Callable[..., Any], needs: bool) -> None:
    assert (
        Handler.of(function).needs_fetching(context({"item": 1, "index": 0}, step_type="map"))
        is needs
    )


def test_a_single_handler_never_fetches() -> None:
    assert not Handler.of(lambda run, x: None).needs_fetching(context({"run": 1, "x": 2}))


def test_a_null_output_is_none_and_no_default() -> None:
    assert call(lambda a=5: a, context({"run": 1, "a": None})) is None


def test_a_skipped_dependency_is_the_parameters_default() -> None:
    assert call(lambda a=5: a, context({"run": 1})) == 5
    ctx = context({"item": 1, "index": 0}, step_type="map", fetched={"a": None})
    assert call(lambda a=5: a, ctx) == 5


def test_a_missing_dependency_is_a_permanent_error_that_names_it() -> None:
    with pytest.raises(PermanentError, match=r"asks for 'chrage'.* has 'run', 'charge'"):
        call(lambda chrage: 1, context({"run": 1, "charge": 2}))
    with pytest.raises(PermanentError, match=r"asks for 'chrage'"):
        call(lambda chrage: 1, context({"item": 1, "index": 0}, step_type="map", fetched={}))


def positional_only(a: int, /) -> None: ...


def star_args(*args: int) -> None: ...


def star_kwargs(**kwargs: int) -> None: ...


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    "function", [positional_only, star_args, star_kwargs, generator, async_generator]
)
def test_a_function_that_cannot_be_a_handler_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="cannot be a handler"):
        Handler.of(function)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="a handler is a function"):
        Handler.of("charge")  # type: ignore[arg-type]


async def an_async_handler(run: int) -> None: ...


class Operator:
    async def __call__(self, run: int) -> None: ...


class Service:
    async def charge(self, run: int) -> None: ...

    def refund(self, run: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (an_async_handler, True),
        (functools.partial(an_async_handler), True),
        (Operator(), True),
        (Service().charge, True),
        (Service().refund, False),
        (lambda run: None, False),
    ],
)
def test_async_handlers_are_recognised(function: Callable[..., Any], is_async: bool) -> None:
    handler = Handler.of(function)
    assert handler.is_async is is_async
    assert handler.parameters == {"run": False}


def test_a_wrapped_function_asks_for_what_it_wraps() -> None:
    @functools.wraps(an_async_handler)
    def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    assert Handler.of(wrapper).parameters == {"run": False}
    assert not Handler.of(wrapper).is_async


def test_a_command_has_one_handler() -> None:
    registry = Registry()
    registry.add("a", an_async_handler)
    registry.add("a", an_async_handler)
    with pytest.raises(ValueError, match="'a' has a handler already: an_async_handler"):
        registry.add("a", positional_or_keyword)
    assert registry.commands() == ["a"]


def positional_or_keyword(run: int) -> None: ...


def test_the_context_says_which_task_it_is() -> None:
    ctx = context({"run": 1})
    assert ctx.idempotency_key == f"{RUN}/step/0"
    assert (ctx.attempt, ctx.max_attempts, ctx.deadline) == (1, 3, LATER)


def test_output_of_looks_into_the_input_first_and_fetches_once() -> None:
    outputs = {"b": 2}
    ctx = context({"run": 1, "a": 1}, fetched=outputs)
    assert ctx.output_of("a") == 1
    assert ctx.output_of("b") == 2
    outputs["b"] = 3
    assert ctx.output_of("b") == 2


def test_a_callbacks_output_is_not_taken_for_a_step_of_that_name() -> None:
    ctx = context({"run": 1, "output": {"x": 1}}, step_type="callback", fetched={"output": 5})
    assert ctx.output_of("output") == 5


def test_the_logger_names_the_task(caplog: pytest.LogCaptureFixture) -> None:
    context({"run": 1}).logger.warning("slow", extra={"seconds": 3})
    record = caplog.records[0]
    assert record.name == "quantumflow_client"
    found = [getattr(record, name) for name in ("run_id", "step_slug", "task_index", "attempt")]
    assert found == [RUN, "step", 0, 1]
    assert record.seconds == 3  # type: ignore[attr-defined]
