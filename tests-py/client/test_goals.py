"""Goals over the client: decomposed by rules, executed, waited for; the names of the source."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest

import quantumflow_client
from quantumflow_client import (
    AsyncClient,
    BadArgument,
    Client,
    ExecutionResult,
    GoalError,
    GoalEvent,
    WaitTimeout,
)
from quantumflow_client.errors import (
    CommandNotAllowed,
    NotAtOnce,
    UnknownDecomposer,
    UnknownGoal,
    UnknownGoalType,
)

if TYPE_CHECKING:
    from collections.abc import Callable

GRAPH = {
    "tasks": [
        {"id": "check-order"},
        {"id": "charge", "depends_on": ["check-order"], "args": {"currency": "EUR"}},
    ]
}


def check(run: Any) -> Any:
    return run["context"].get("amount", 42)


def charge(check_order: int, args: Any) -> Any:
    if check_order < 0:
        raise quantumflow_client.PermanentError("no money")
    return f"{check_order} {args['currency']}"


STEPS: dict[str, Callable[..., Any]] = {"check-order": check, "charge": charge}


@pytest.fixture
def shop(client: Client) -> Client:
    client.register_decomposer("shop")
    client.add_method("shop", GRAPH, pattern="order")
    return client


def test_a_goal_is_composed_and_comes_to_a_result(shop: Client) -> None:
    result = shop.compose_from_goal("ship order 17", "shop", STEPS, timeout=30)
    assert (result.status, result.ok, result.error, result.goal) == (
        *("completed", True, None, "ship order 17"),
    )
    assert result.outputs == {"check-order": 42, "charge": "42 EUR"}
    assert result.output == {"charge": "42 EUR"}
    assert result.graph == GRAPH
    assert result.duration.total_seconds() > 0
    assert result.goal_id is not None
    assert shop.goal_status(result.goal_id)["run_id"] == str(result.run_id)
    assert [goal.status for goal in shop.goals()] == ["completed"]


def test_one_that_fails_has_the_same_shape(shop: Client) -> None:
    result = shop.compose_from_goal(
        "ship order 18", "shop", STEPS, context={"amount": -1}, timeout=30
    )
    assert (result.status, result.outputs) == ("failed", {"check-order": -1})
    assert "no money" in (result.error or "")


def test_an_unknown_goal_has_failed(shop: Client) -> None:
    result = shop.compose_from_goal("make tea", "shop", STEPS)
    assert (result.status, result.run_id, result.goal) == ("failed", None, "make tea")
    assert "no rule" in (result.error or "")
    with pytest.raises(UnknownGoalType):
        shop.start_goal("make tea", "shop")
    with pytest.raises(UnknownDecomposer):
        shop.start_goal("make tea", "nobody")


def test_of_several_goals_one_that_fails_hides_no_other(shop: Client) -> None:
    results = shop.compose_multiple_workflows(
        [
            "order 1",
            "make tea",
            {"goal": "order 2", "context": {"amount": -1}},
            {"goal": "order 3", "context": {"amount": 3}},
        ],
        "shop",
        STEPS,
        timeout=30,
    )
    assert [result.status for result in results] == ["completed", "failed", "failed", "completed"]
    assert [result.outputs.get("charge") for result in results] == ["42 EUR", None, None, "3 EUR"]


def test_a_graph_is_composed(client: Client) -> None:
    graph = [{"id": "double", "command": "twice"}, {"id": "again", "depends_on": ["double"]}]
    steps: dict[str, Callable[..., Any]] = {
        "twice": lambda run: run * 2,
        "again": lambda double: double * 2,
    }
    result = client.compose_from_task_graph(graph, steps, input=3, timeout=30)
    assert (result.status, result.outputs) == ("completed", {"double": 6, "again": 12})
    assert result.duration.total_seconds() > 0


def test_a_task_without_a_function_is_refused_before_anything_runs(client: Client) -> None:
    graph = [{"id": "a"}, {"id": "b"}]
    with pytest.raises(CommandNotAllowed, match='no step function found for task "b"'):
        client.create_workflow(graph, {"a": check})
    result = client.compose_from_task_graph(graph, {"a": check})
    assert (result.status, result.run_id) == ("failed", None)
    assert client.create_workflow(graph).version == 1


def test_the_source_s_names_take_a_client_a_text_or_a_connection(shop: Client, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        for repo in (shop, dsn, connection):
            result = quantumflow_client.compose_from_goal("order", "shop", STEPS, repo, timeout=30)
            assert result.ok
    with pytest.raises(BadArgument, match="repo is 3"):
        quantumflow_client.compose_from_goal("order", "shop", STEPS, 3)  # type: ignore[arg-type]
    made = quantumflow_client.create_workflow(GRAPH, STEPS, repo=shop)
    assert made == shop.create_workflow(GRAPH, STEPS)
    graph = [{"id": "a"}]
    steps = {"a": lambda: 1}
    assert quantumflow_client.compose_from_task_graph(graph, steps, dsn, timeout=30).ok
    results = quantumflow_client.compose_multiple_workflows(["order"], "shop", STEPS, shop)
    assert [result.ok for result in results] == [True]


def test_a_goal_may_be_waited_for_and_cancelled(shop: Client) -> None:
    goal_id = shop.start_goal("order", "shop", idempotency_key="k")
    assert shop.start_goal("order", "shop", idempotency_key="k") == goal_id
    with pytest.raises(WaitTimeout):
        shop.wait_goal(goal_id, timeout=0)
    shop.cancel_goal(goal_id, "no need")
    assert shop.wait_goal(goal_id, timeout=5).error == "no need"
    assert [event.kind for event in shop.recent_events(max_events=1)] == ["execution_cancelled"]
    with pytest.raises(UnknownGoal):
        shop.goal_status(UUID(int=1))


def test_what_rules_make_of_a_goal(shop: Client) -> None:
    assert shop.decompose("an order", "shop") == GRAPH
    assert shop.decompose_goal("an order", "shop") == GRAPH
    assert [method.pattern for method in shop.methods("shop")] == ["order"]
    shop.register_decomposer("asked", "command", command="ask", may_use=["a"])
    with pytest.raises(NotAtOnce):
        shop.decompose("an order", "asked")
    with pytest.raises(GoalError, match="args_schema"):
        shop.describe_command("ask", "Asks", {"$ref": "#"})
    assert shop.configure_orchestrator()["max_depth"] == 10


def test_all_of_it_is_there_for_asynchronous_applications(shop: Client, dsn: str) -> None:
    async def compose() -> list[ExecutionResult]:
        async with AsyncClient(dsn) as client:
            await client.register_decomposer("aio")
            await client.add_method("aio", [{"id": "a"}])
            await client.describe_command("a", "Does it")
            assert await client.decompose("x", "aio") == {"tasks": [{"id": "a"}]}
            assert await client.decompose_goal("x", "aio") == {"tasks": [{"id": "a"}]}
            assert len(await client.methods("aio")) == 1
            assert (await client.create_workflow([{"id": "a"}])).version == 1
            goal_id = await client.start_goal("x", "aio")
            await client.cancel_goal(goal_id)
            assert len(await client.goals()) == 2
            assert len(await client.recent_events()) > 0
            assert (await client.configure_orchestrator())["timeout"] == 60000
            with shop._serving(STEPS, {}):
                one = await client.execute_goal("order", "shop", timeout=30)
                return [one, *await client.execute_goals(["order"], "shop", timeout=30)]

    assert [result.status for result in asyncio.run(compose())] == ["completed", "completed"]


def by_rules(goal: str) -> Any:
    """The source's first pattern: rules."""
    if "order" in goal:
        return ("ok", GRAPH["tasks"])
    return ("error", "unknown_goal_type")


def test_a_function_decomposes_goals(client: Client) -> None:
    result = client.compose_from_goal("an order", by_rules, STEPS, timeout=30)
    assert (result.status, result.error, result.outputs.get("charge")) == (
        *("completed", None, "42 EUR"),
    )
    result = client.compose_from_goal("tea", by_rules, STEPS, timeout=30)
    assert result.status == "failed"
    assert "unknown_goal_type" in (result.error or "")


def test_what_is_wrong_with_a_plan_goes_back_to_its_planner(client: Client) -> None:
    seen: list[Any] = []

    @client.decomposer("learns", may_use=["check-order"], cache_for=timedelta(hours=1))
    def learns(goal: str, problems: list[Any], commands: list[Any], depth: int) -> Any:
        seen.append((goal, [problem["code"] for problem in problems], commands, depth))
        return [{"id": "check-order" if problems else "rm"}]

    assert client.deploy_decomposers() == ["learns"]
    with client._serving({"check-order": check, "learns": client._handlers["learns"].function}, {}):
        result = client.execute_goal("an order", "learns", timeout=30)
        again = client.execute_goal("An  order", "learns", timeout=30)
    assert (result.ok, again.ok) == (True, True)
    told = [{"name": "check-order"}]
    assert seen == [("an order", [], told, 1), ("an order", ["QF602"], told, 1)]


def test_a_function_that_asks_for_something_else_is_no_decomposer(client: Client) -> None:
    with pytest.raises(TypeError, match="asks for weather, wind"):
        client.decomposer("odd", may_use=["a"])(lambda weather, wind: weather or wind)


def test_real_time_tells_ids_at_once_and_only_where_it_is_on(shop: Client, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("listen quantumflow_events")
        shop.start_goal("order", "shop")
        shop.configure_orchestrator({"notifications": {"real_time": True}})
        goal_id = shop.start_goal("order", "shop")
        told = [json.loads(n.payload) for n in connection.notifies(timeout=10, stop_after=1)]
    run_id = shop.goal_status(goal_id)["run_id"]
    assert told == [{"kind": "execution_started", "goal_id": str(goal_id), "run_id": run_id}]


def test_who_listens_is_told_each_event_once_until_it_unlistens(shop: Client) -> None:
    shop.start_goal("order", "shop")
    heard: list[Any] = []
    done = threading.Event()

    def hear(event: GoalEvent) -> None:
        heard.append(event)
        if event.kind == "execution_completed":
            done.set()
            raise ValueError("who is told may raise")

    listening = shop.listen(hear)
    result = shop.compose_from_goal("order 2", "shop", STEPS, timeout=30)
    assert done.wait(30)
    shop.unlisten(listening)
    shop.unlisten(listening)
    mine = [event for event in heard if event.goal_id == result.goal_id]
    assert {event.kind for event in mine} == {
        *("decomposition_started", "decomposition_completed", "execution_started"),
        *("task_started", "task_completed", "execution_completed"),
    }
    assert len({event.event_id for event in heard}) == len(heard)
