"""Handlers: which functions can be one, and what they are called with."""

# ruff: noqa: ARG005, A006 - the parameters' names are what is tested

from __future__ import annotations

import functools
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from quantumflow_client import Context
from quantumflow_client._sql.tasks import Task, TaskRef
from quantumflow_client._worker.handlers import Handler, Registry, Unfit
from quantumflow_client._worker.steps import Step, steps_of
from quantumflow_client.errors import UnknownStep

if TYPE_CHECKING:
    from collections.abc import Callable

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
        version=1,
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


def call(function: Callable[..., Any], ctx: Context, step: Step | None = None) -> Any:
    return function(**Handler.of(function).arguments(ctx, step))


def step(**keys: Any) -> Step:
    """What a flow at hand says of a step."""
    (found,) = steps_of({"slug": "flow", "steps": [{"name": "step", "command": "command", **keys}]})
    return found


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


def test_what_a_task_lacks_makes_it_another_codes_and_is_named() -> None:
    with pytest.raises(Unfit, match=r"asks for 'total', 'tax', .* has 'run', 'charge'"):
        call(lambda run, total, tax: 1, context({"run": 1, "charge": 2}))
    with pytest.raises(Unfit, match=r"asks for 'total'"):
        call(lambda total: 1, context({"item": 1, "index": 0}, step_type="map", fetched={}))


def test_a_task_that_has_what_the_step_at_hand_has_not_is_another_codes() -> None:
    at_hand = step(dependencies=["charge"])
    ctx = context({"run": 1, "charge": 2, "discount": 3})
    with pytest.raises(Unfit, match="has 'discount', on which the step does not depend here"):
        call(lambda charge: charge, ctx, at_hand)
    assert call(lambda charge: charge, ctx) == 2, "no flow at hand says otherwise"
    assert call(lambda charge, discount=0: discount, ctx, at_hand) == 3, "it can take it"
    assert call(lambda input: len(input), ctx, at_hand) == 3, "it takes all there is"
    assert call(lambda charge: charge, context({"run": 1, "charge": 2}), at_hand) == 2


@pytest.mark.parametrize(
    ("keys", "given", "step_type"),
    [
        ({"type": "map"}, {"run": 1}, "single"),
        ({}, {"item": 1, "index": 0}, "map"),
        ({"type": "map", "chunk_size": 2}, {"item": 1, "index": 0}, "map"),
        ({"type": "map"}, {"items": [1], "index": 0}, "map"),
    ],
)
def test_a_task_of_another_kind_than_the_step_at_hand_is_another_codes(
    keys: dict[str, Any],
    given: dict[str, Any],
    step_type: str,
) -> None:
    ctx = context(given, step_type=step_type, fetched={"run": 1})
    with pytest.raises(Unfit, match="here it is a"):
        call(lambda run: run, ctx, step(**keys))
    assert call(lambda run: run, ctx) == 1


def test_a_task_of_the_very_step_at_hand_is_taken() -> None:
    chunk = context({"items": [1], "index": 0}, step_type="map")
    assert call(lambda items: items, chunk, step(type="map", chunk_size=5)) == [1]
    item = context({"item": 1, "index": 0}, step_type="map", fetched={"a": 2})
    assert call(lambda item, a: (item, a), item, step(type="map", dependencies=["a"])) == (1, 2)
    (_, ended) = steps_of({"slug": "flow", "steps": [{"name": "a"}], "on_failure": "page"})
    failed = context({"run": 1, "error": "no"}, step_type="callback")
    assert call(lambda error: error, failed, ended) == "no"


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
    registry.add("b", lambda run: 1)
    with pytest.raises(ValueError, match="'b' has a handler already"):
        registry.add("b", lambda run: 2)
    registry.add("c", functools.partial(an_async_handler))
    with pytest.raises(ValueError, match="'c' has a handler already"):
        registry.add("c", functools.partial(an_async_handler))
    assert registry.commands() == ["a", "b", "c"]


def cell(answer: int) -> Callable[..., Any]:
    def in_a_notebook(run: Any) -> Any:
        return run + answer

    return in_a_notebook


def test_a_function_that_is_defined_again_takes_its_own_place() -> None:
    registry = Registry()
    for answer in (1, 2):
        registry.add("a", cell(answer))
    assert registry["a"].function(1) == 3


def test_a_handler_that_a_step_at_hand_can_never_call_is_refused() -> None:
    order = {
        "slug": "order",
        "steps": [{"name": "charge"}, {"name": "ship", "dependencies": ["charge"]}],
    }
    registry = Registry()
    registry.add("charge", lambda run, ctx, tip=0: 1)
    registry.add_flow(order, {})
    with pytest.raises(
        TypeError, match=r"step 'ship' asks for 'chrage': a single step that depends"
    ):
        registry.add("ship", lambda chrage: 1)
    registry.add("ship", lambda charge, args, input: 1)
    alone = {"slug": "alone", "steps": [{"slug": "ship"}]}
    with pytest.raises(TypeError, match="step 'ship' asks for 'charge'"):
        registry.add_flow(alone, {})
    assert registry.flows() == ["order"], "nothing of it is kept"
    with pytest.raises(TypeError, match=r"'_on_failure' asks for 'output': a callback has"):
        registry.add_flow(order | {"on_failure": "page"}, {"page": lambda output: 1})
    assert "page" not in registry


def test_a_flow_at_hand_is_replaced_with_its_handlers() -> None:
    registry = Registry()
    registry.add_flow({"slug": "f", "steps": [{"name": "a"}]}, {"a": lambda run: 1})
    ship = Handler.of(positional_or_keyword).function
    registry.add_flow({"slug": "f", "steps": [{"name": "b", "depends_on": ["c"]}]}, {"b": ship})
    assert registry.commands() == ["a", "b"]
    registry.add("a", registry["a"].function)


@pytest.mark.parametrize(
    "nonsense", [5, {}, {"slug": "f"}, {"slug": "f", "steps": [5, {"name": 5}]}]
)
def test_what_cannot_be_read_is_for_the_database_to_refuse(nonsense: Any) -> None:
    registry = Registry()
    registry.add_flow(nonsense, {})
    assert registry.flows() == []


def test_no_task_has_an_item_and_items() -> None:
    with pytest.raises(TypeError, match=r"no task has both 'items?', 'items?'"):
        Handler.of(lambda item, items: 1)


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
