"""Steps that plan: what their functions are handed, and what becomes of what they return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client import Client, Flow

if TYPE_CHECKING:
    from quantumflow_client import Context


def _planning(asked: list[Any]) -> Flow:
    flow = Flow("w", max_attempts=2, retry_delay=0)

    @flow.step
    def order(run: Any) -> Any:
        return run["n"]

    @flow.plan(may_use=["double", "show"], args={"style": "short"})
    def decide(
        problems: Any, commands: Any, args: Any, ctx: Context, n: int = order.output, more: int = 0
    ) -> Any:
        asked.append(([p["code"] for p in problems], [c["name"] for c in commands], args, n, more))
        ctx.usage(tokens=7)
        if not problems:
            return "ok", [{"id": "rm"}]
        return [{"id": "double"}, {"id": "show", "depends_on": ["double"]}]

    @flow.step
    def end(decide: Any = decide.output) -> Any:
        return decide

    return flow


def test_what_a_planner_returns_is_checked_and_run(client: Client) -> None:
    asked: list[Any] = []
    flow = _planning(asked)
    client.command("double")(lambda run: 2 * run["order"])
    client.command("show")(lambda double: f"n={double}")
    client.deploy(flow)
    run_id = client.start_flow("w", {"n": 21})
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id, timeout=60) == {"end": {"show": "n=42"}}
    told = (["double", "show"], {"style": "short"}, 21, 0)
    assert asked == [([], *told), (["QF602"], *told)]
    assert flow.definition()["steps"][1] == {
        "name": "decide",
        "type": "plan",
        "command": "w.decide",
        "args": {"style": "short"},
        "may_use": ["double", "show"],
        "dependencies": ["order"],
    }
    assert [run.workflow_slug for run in client.runs()] == ["w"]
    client.delete(run_id)
    assert client.check() == []


def test_a_coroutine_may_plan(client: Client) -> None:
    flow = Flow("w")

    @flow.plan("p", may_use=["a"])
    async def decide(run: Any) -> Any:
        return {"tasks": [{"id": run["id"], "command": "a"}]}

    client.command("a")(lambda: 1)
    client.deploy(flow)
    run_id = client.start_flow("w", {"id": "x"})
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id, timeout=60) == {"p": {"x": 1}}


def test_a_planner_that_asks_for_what_it_will_not_get_is_refused() -> None:
    flow = Flow("w")
    with pytest.raises(TypeError, match=r"cannot plan: .*, and asks for goal"):

        @flow.plan(may_use=["a"])
        def decide(goal: Any) -> Any: ...
