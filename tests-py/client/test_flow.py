"""Flows written in Python: what definition comes of them."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import pytest

from quantumflow_client import Client, Context, Flow, Signalled
from quantumflow_client.errors import NoSuchIteration


def test_a_flow_compiles_to_its_definition() -> None:
    flow = Flow(
        "order", title="Order handling", max_attempts=3, retry_delay=1.5, timeout=60, announce=True
    )

    @flow.step
    def validate(run: Any) -> None: ...

    @flow.step(depends_on=[validate], max_attempts=5, timeout=timedelta(minutes=2))
    def charge(run: Any, validate: Any) -> None: ...

    @flow.map(over=validate, depends_on=["charge"], start_delay=timedelta(milliseconds=1500))
    def notify(item: Any, index: int, run: Any, charge: Any) -> None: ...

    flow.add_step("ship", depends_on=[notify], command="ship_it", queue="slow", args={"by": "air"})

    assert flow.definition() == {
        "version": "1.0",
        "slug": "order",
        "title": "Order handling",
        "max_attempts": 3,
        "retry_delay": 1.5,
        "timeout": 60,
        "announce": True,
        "steps": [
            {"name": "validate", "command": "order.validate"},
            {
                "name": "charge",
                "command": "order.charge",
                "dependencies": ["validate"],
                "max_attempts": 5,
                "timeout": 120,
            },
            {
                "name": "notify",
                "type": "map",
                "command": "order.notify",
                "dependencies": ["charge", "validate"],
                "map_over": "validate",
                "start_delay": 1.5,
            },
            {
                "name": "ship",
                "command": "ship_it",
                "args": {"by": "air"},
                "dependencies": ["notify"],
                "queue": "slow",
            },
        ],
    }
    assert list(flow.handlers()) == ["order.validate", "order.charge", "order.notify"]


def test_a_step_may_have_another_name_and_command_than_its_function() -> None:
    flow = Flow("f")

    @flow.step("first", command="do_it")
    def function() -> None: ...

    flow.add_step("second", depends_on=[function])
    assert flow.definition()["steps"] == [
        {"name": "first", "command": "do_it"},
        {"name": "second", "dependencies": ["first"]},
    ]
    assert flow.handlers() == {"do_it": function}


def test_a_decorated_function_stays_the_function() -> None:
    flow = Flow("f")

    @flow.step
    def twice(run: int) -> int:
        return 2 * run

    @flow.map()
    def thrice(item: int) -> int:
        return 3 * item

    assert (twice(2), thrice(2)) == (4, 6)


def test_callbacks_are_commands_or_functions() -> None:
    def finished(run: Any, output: Any) -> None: ...

    flow = Flow("f", on_complete=finished, on_failure="page_somebody")
    assert flow.definition()["on_complete"] == "f.on_complete"
    assert flow.definition()["on_failure"] == "page_somebody"
    assert flow.handlers() == {"f.on_complete": finished}


def test_false_and_zero_are_settings() -> None:
    flow = Flow("f", retry_delay=0)
    flow.add_step("a", args=False)
    assert flow.definition()["retry_delay"] == 0
    assert flow.definition()["steps"] == [{"name": "a", "args": False}]


def test_a_function_that_asks_for_something_else_is_refused_where_it_is_written() -> None:
    flow = Flow("f")
    flow.add_step("charge")
    with pytest.raises(TypeError, match=r"asks for 'chrage'.*depends on 'charge' has"):

        @flow.step(depends_on=["charge"])
        def ship(chrage: Any) -> None: ...

    with pytest.raises(TypeError, match=r"asks for 'item': a single step"):

        @flow.step
        def count(item: Any) -> None: ...

    assert [step["name"] for step in flow.definition()["steps"]] == ["charge"]


def test_a_map_in_chunks_has_items_instead_of_an_item() -> None:
    flow = Flow("f")

    @flow.map(chunk_size=50)
    def shrink(items: Any, index: Any, run: Any) -> Any: ...

    assert flow.definition()["steps"] == [
        {"name": "shrink", "type": "map", "command": "f.shrink", "chunk_size": 50}
    ]
    with pytest.raises(TypeError, match=r"asks for 'item': a map step that .* has .*'items'"):

        @flow.map(chunk_size=50)
        def grow(item: Any) -> Any: ...


def test_a_loop_has_the_last_output_and_the_iteration(client: Client) -> None:
    flow = Flow("f")

    @flow.loop(until="$.last.n >= 2", max_iterations=5, delay=timedelta(0), keep=9, max_attempts=1)
    def count(run: Any, last: Any, iteration: Any, ctx: Context) -> Any:
        assert ctx.is_iteration
        assert ctx.task_index == iteration
        return {"n": iteration, "before": last}

    @flow.loop("again", while_="$.last == 1", max_iterations=1, fallback=0)
    def once(run: Any, count: Any = count.output) -> Any:
        return count["n"]

    flow.add_step("there", type="loop", until="$.last", max_iterations=3)
    assert flow.definition()["steps"] == [
        {
            "name": "count",
            "type": "loop",
            "command": "f.count",
            "until": "$.last.n >= 2",
            "max_iterations": 5,
            "delay": 0,
            "keep": 9,
            "max_attempts": 1,
        },
        {
            "name": "again",
            "type": "loop",
            "command": "f.again",
            "while": "$.last == 1",
            "max_iterations": 1,
            "fallback": 0,
            "dependencies": ["count"],
        },
        {"name": "there", "type": "loop", "until": "$.last", "max_iterations": 3},
    ]
    with pytest.raises(TypeError, match="asks for 'item': a loop step that depends on nothing has"):

        @flow.loop(until="$.last == 1", max_iterations=1)
        def wrong(item: Any) -> Any: ...

    rounds = flow.flow("rounds", "other", until="$.last == 1", max_iterations=2, delay=1, keep=1)
    flow.flow("more", "other", while_="$.last == 1", max_iterations=2, depends_on=[rounds])
    first, second = flow.definition()["steps"][-2:]
    assert first == {
        "name": "rounds",
        "type": "loop",
        "flow": "other",
        "until": "$.last == 1",
        "max_iterations": 2,
        "delay": 1,
        "keep": 1,
    }
    assert (second["type"], second["while"]) == ("loop", "$.last == 1")

    with pytest.raises(TypeError, match="asks for 'last': a single step"):

        @flow.step
        def single(last: Any) -> Any: ...

    flow = Flow("g")
    flow.loop("count", until="$.last.n >= 2", max_iterations=5)(count)
    client.deploy(flow)
    run_id = client.start_flow("g")
    client.poll_and_run(until_idle=True)
    last = {"n": 2, "before": {"n": 1, "before": {"n": 0, "before": None}}}
    assert client.wait(run_id, timeout=60) == {"count": last}

    assert [s.tasks_kept for s in client.retry_preview(run_id, "count", from_iteration=2)] == [2]
    client.retry(run_id, "count", from_iteration=1)
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id, timeout=60) == {"count": last}
    with pytest.raises(NoSuchIteration, match="has no iteration 3 to begin at"):
        client.retry(run_id, "count", from_iteration=3)


def test_a_step_says_when_it_runs_and_what_its_failure_means(client: Client) -> None:
    flow = Flow("f")

    @flow.step
    def check(run: Any) -> None: ...

    @flow.step(depends_on=[check], if_="$.check.n > 1", otherwise="fail", on_error="continue")
    def charge(check: Any) -> None: ...

    @flow.map(over=check, tolerate="5%", fallback=[])
    def notify(item: Any) -> None: ...

    @flow.step(depends_on=[charge], join="any", after=[notify], prefer_after=["check"])
    def ship(charge: Any = None) -> None: ...

    flow.add_step("tell", depends_on=[ship], join="none", fallback=None)
    keys = [
        {},
        {"if": "$.check.n > 1", "otherwise": "fail", "on_error": "continue"},
        {"tolerate": "5%", "fallback": []},
        {"join": "any", "after": ["notify"], "prefer_after": ["check"]},
        {"join": "none", "fallback": None},
    ]
    steps = flow.definition()["steps"]
    assert isinstance(steps, list)
    for step, expected in zip(steps, keys, strict=True):
        usual = ("name", "type", "command", "dependencies", "map_over")
        assert {key: step[key] for key in step if key not in usual} == expected
    assert client.deploy(flow).version == 1
    stored = client.test_condition("f", "charge", {"run": {}, "check": {"n": 1}})
    assert (stored.result, stored.reason, stored.saw) == (False, None, {"$.check.n": [1]})
    assert client.test_condition("f", "tell", {"run": {}}, status={"ship": "failed"}).result


def test_steps_that_wait_are_named_and_wanted_like_others() -> None:
    flow = Flow("f", run_timeout=timedelta(days=7))

    @flow.step
    def order(run: Any) -> None: ...

    cooled = flow.sleep("cool_down", seconds=timedelta(minutes=1), after=[order], fallback=None)
    due = flow.sleep("due", at="$.order.due", depends_on=[order, cooled], if_="$.order.due > 0")
    approved = flow.wait_for("approved", timeout=3600, depends_on=[order])
    paid = flow.wait_for("paid", ["paid", "refused"], after=[due], on_error="continue")
    flow.wait_for("named", "ready", prefer_after=["approved"])

    @flow.step(after=[paid])
    def ship(by: dict[str, Any] = approved.output, how: Signalled = paid.output) -> None: ...

    @flow.map(over=approved)
    def tell(item: Any) -> None: ...

    @flow.map
    def pack(items: list[Any] = approved.each) -> None: ...

    assert flow.definition() == {
        "version": "1.0",
        "slug": "f",
        "run_timeout": 604800,
        "steps": [
            {"name": "order", "command": "f.order"},
            {
                "name": "cool_down",
                "type": "sleep",
                "seconds": 60,
                "after": ["order"],
                "fallback": None,
            },
            {
                "name": "due",
                "type": "sleep",
                "at": "$.order.due",
                "dependencies": ["order", "cool_down"],
                "if": "$.order.due > 0",
            },
            {"name": "approved", "type": "wait", "timeout": 3600, "dependencies": ["order"]},
            {
                "name": "paid",
                "type": "wait",
                "signals": ["paid", "refused"],
                "after": ["due"],
                "on_error": "continue",
            },
            {"name": "named", "type": "wait", "signal": "ready", "prefer_after": ["approved"]},
            {
                "name": "ship",
                "command": "f.ship",
                "dependencies": ["approved", "paid"],
                "after": ["paid"],
            },
            {
                "name": "tell",
                "type": "map",
                "command": "f.tell",
                "dependencies": ["approved"],
                "map_over": "approved",
            },
            {
                "name": "pack",
                "type": "map",
                "command": "f.pack",
                "dependencies": ["approved"],
                "map_over": "approved",
            },
        ],
    }
    with pytest.raises(ValueError, match="is no step of flow 'g'"):
        Flow("g").add_step("a", depends_on=[approved])
    with pytest.raises(ValueError, match="has a step 'approved' already"):
        flow.sleep("approved", seconds=1)


def test_no_worker_is_given_a_step_that_waits() -> None:
    flow = Flow("f", queue="own")
    flow.sleep("pause", seconds=1)
    flow.wait_for("approve", depends_on=["pause"])
    assert flow.queues() == []

    client = Client("host=nowhere")
    client.register(flow)

    @client.command("approve")
    def approve(item: Any) -> None:
        """The command of another flow's map: the wait has no handler that it could be."""


def test_several_flows_are_registered_at_once() -> None:
    flows = [Flow("one"), Flow("two")]
    for flow in flows:
        flow.step("a", command="shared")(lambda run: run)
    Client("host=nowhere").register(flows[0])
    with pytest.raises(ValueError, match="shared"):
        Client("host=nowhere").register(*flows)


def test_a_parameter_with_a_default_may_be_anything() -> None:
    flow = Flow("f")

    @flow.step
    def ship(speed: int = 3) -> None: ...

    assert flow.definition()["steps"]


def test_what_has_no_name_needs_a_step() -> None:
    flow = Flow("f")
    doubled = functools.partial(lambda run, by: run * by, by=2)
    with pytest.raises(TypeError, match=r"has no name: say the step's, as in flow.step\('name'\)"):
        flow.step(doubled)
    flow.step("double")(doubled)
    assert flow.handlers() == {"f.double": doubled}


def test_a_function_that_is_defined_again_takes_its_steps_place() -> None:
    flow = Flow("f")

    def cell(attempts: int) -> Any:
        @flow.step(max_attempts=attempts)
        def ship(run: Any) -> int:
            return attempts

        return ship

    cell(1)
    again = cell(2)
    (step,) = flow.definition()["steps"]
    assert (step["name"], step["max_attempts"]) == ("ship", 2)
    assert flow.handlers() == {"f.ship": again}
    with pytest.raises(ValueError, match=r"'f.ship' has a handler already"):

        @flow.step("ship")
        def another() -> None: ...

    with pytest.raises(TypeError, match="asks for 'item'"):
        flow.step("other")(lambda item: item)
    assert flow.definition()["steps"] == [step], "a refusal changes nothing"


def test_two_steps_of_a_command_have_one_handler() -> None:
    flow = Flow("f")

    @flow.step("a", command="both")
    def first() -> None: ...

    flow.step("b", command="both")(first)
    with pytest.raises(ValueError, match="command 'both' has a handler already"):

        @flow.step("c", command="both")
        def second() -> None: ...

    assert [step["name"] for step in flow.definition()["steps"]] == ["a", "b"]


def test_a_callback_that_asks_for_something_else_is_refused() -> None:
    def failed(run: Any, error: Any, failure: Any, ctx: Any) -> None: ...

    with pytest.raises(TypeError, match="asks for 'error', 'failure': a callback has"):
        Flow("f", on_complete=failed)
    Flow("f", on_failure=failed)


def test_a_step_cannot_be_added_twice() -> None:
    flow = Flow("f")
    flow.add_step("a")
    with pytest.raises(ValueError, match="has a step 'a' already"):
        flow.add_step("a")


def test_a_dependency_must_be_a_function_of_the_flow() -> None:
    def stranger() -> None: ...

    with pytest.raises(ValueError, match="is no step of flow 'f'"):
        Flow("f").add_step("a", depends_on=[stranger])


@pytest.mark.parametrize("key", ["depends_on", "after", "prefer_after"])
def test_a_slug_is_not_taken_for_a_list_of_steps(key: str) -> None:
    flow = Flow("f")
    flow.add_step("ab")
    wrong: dict[str, Any] = {key: "ab"}
    with pytest.raises(TypeError, match=r"'ab' is one step where .*: \['ab'\]"):
        flow.add_step("c", **wrong)


def test_the_queues_of_a_flow_are_where_its_tasks_wait() -> None:
    flow = Flow("f")
    flow.add_step("a")
    flow.add_step("b", queue="slow")
    assert flow.queues() == ["quantum_flow_queue", "slow"]

    elsewhere = Flow("g", queue="g", on_failure="page")
    elsewhere.add_step("a", queue="slow")
    assert elsewhere.queues() == ["slow", "g"]


def test_registering_a_flow_registers_its_functions() -> None:
    flow = Flow("f")

    @flow.step
    def a() -> None: ...

    client = Client("host=nowhere")
    client.register(flow)
    client.register(flow)
    assert client.commands == ["f.a"]
