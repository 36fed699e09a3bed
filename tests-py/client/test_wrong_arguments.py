"""Whatever a verb is given, what shows through is an error of the client's, with name and value."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from quantumflow_client import AsyncClient, BadArgument, Client, Flow, QuantumflowError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

RUN_ID = UUID(int=7)

# What is no type of any argument, or no value of it: each is handed in under each name.
ODD: list[Any] = [
    object(),
    2**31,
    -(2**70),
    1.5,
    float("nan"),
    True,
    "odd",
    b"odd",
    [object()],
    {"odd": object()},
    timedelta.max,
    UUID(int=8),
    None,
]


def _flow() -> Flow:
    flow = Flow("odd_flow")

    @flow.step
    def only(run: Any) -> Any:
        return run

    return flow


# The verbs, and what each needs; what does not ask the database is not among them.
VERBS: dict[str, dict[str, Any]] = {
    "deploy": {"flow": _flow()},
    "test_condition": {"workflow_slug": "odd_flow", "step_slug": "only", "input": {}},
    "start_flow": {"workflow_slug": "odd_flow"},
    "start_flows": {"workflow_slug": "odd_flow", "inputs": [{}]},
    "outputs": {"run_id": RUN_ID, "step": "only"},
    "status": {"run_id": RUN_ID},
    "wait": {"run_id": RUN_ID, "timeout": 0},
    "cancel": {"run_id": RUN_ID},
    "pause": {"run_id": RUN_ID},
    "resume": {"run_id": RUN_ID},
    "pause_queue": {"queue": "odd"},
    "pause_flow": {"workflow_slug": "odd_flow"},
    "pause_command": {"command": "only"},
    "resume_queue": {"queue": "odd"},
    "resume_flow": {"workflow_slug": "odd_flow"},
    "resume_command": {"command": "only"},
    "pauses": {},
    "cancel_runs": {"filter": {"workflow_slug": "odd_flow"}},
    "pause_runs": {"filter": {"workflow_slug": "odd_flow"}},
    "resume_runs": {"filter": {"workflow_slug": "odd_flow"}},
    "retry_runs": {"filter": {"workflow_slug": "odd_flow"}},
    "delete_runs": {"filter": {"workflow_slug": "odd_flow"}},
    "announce_end": {"run_id": RUN_ID},
    "run_now": {"run_id": RUN_ID, "step_slug": "only"},
    "retry": {"run_id": RUN_ID},
    "retry_preview": {"run_id": RUN_ID},
    "failed_items": {"run_id": RUN_ID, "step_slug": "only"},
    "delete": {"run_id": RUN_ID},
    "prune": {"older_than": timedelta(days=1)},
    "prune_preview": {"older_than": timedelta(days=1)},
    "signal": {"run_id": RUN_ID, "signal": "go"},
    "signal_by_key": {"workflow_slug": "odd_flow", "idempotency_key": "k", "signal": "go"},
    "waits": {},
    "settle": {},
    "schedule": {"schedule_slug": "odd", "workflow_slug": "odd_flow", "cron": "@daily"},
    "schedules": {},
    "pause_schedule": {"schedule_slug": "odd"},
    "resume_schedule": {"schedule_slug": "odd"},
    "unschedule": {"schedule_slug": "odd"},
    "next_times": {"cron": "@daily"},
    "start_goal": {"goal": "tidy up", "decomposer": "nobody"},
    "start_goals": {"goals": ["tidy up"], "decomposer": "nobody"},
    "execute_goal": {"goal": "tidy up", "decomposer": "nobody", "timeout": 0},
    "execute_goals": {"goals": ["tidy up"], "decomposer": "nobody", "timeout": 0},
    "decompose_goal": {"goal": "tidy up", "decomposer": "nobody", "timeout": 0},
    "decompose": {"goal": "tidy up", "decomposer": "nobody"},
    "wait_goal": {"goal_id": RUN_ID, "timeout": 0},
    "goal_status": {"goal_id": RUN_ID},
    "goals": {},
    "cancel_goal": {"goal_id": RUN_ID},
    "register_decomposer": {"name": "odd"},
    "add_method": {"decomposer": "odd", "graph": [{"id": "a"}]},
    "methods": {},
    "describe_command": {"command": "odd", "description": "odd"},
    "configure_orchestrator": {},
    "recent_events": {},
    "create_workflow": {"graph": [{"id": "a"}]},
    "set_limit": {"limit_name": "odd", "at_once": 1},
    "remove_limit": {"limit_name": "odd"},
    "limits": {},
    "recommendations": {"workflow_slug": "odd_flow"},
    "optimize": {"workflow_slug": "odd_flow"},
    "rollback_policy": {"workflow_slug": "odd_flow"},
    "policies": {"workflow_slug": "odd_flow"},
    "failures": {},
    "why": {},
    "runs": {},
    "timeline": {"run_id": RUN_ID},
    "history": {},
    "stats": {},
    "eta": {"run_id": RUN_ID},
    "metrics": {},
    "critical_path": {"run_id": RUN_ID},
    "attempts": {"run_id": RUN_ID},
    "queues": {},
    "workers": {},
    "sizes": {},
    "diff": {"workflow_slug": "odd_flow", "from_version": 1, "to_version": 1},
    "check": {},
    "repair": {},
    "rebuild_queues": {},
    "adopt": {},
}
_OTHERS = {
    *("around", "close", "command", "commands", "flows", "poll_and_run", "register", "resource"),
    *("stop", "with_source"),
    *(
        "decomposer",
        "deploy_decomposers",
        "listen",
        "unlisten",
        "compose_from_goal",
        "compose_from_task_graph",
        "compose_multiple_workflows",
    ),
}


def test_each_verb_is_tried() -> None:
    for client in (Client, AsyncClient):
        public = {name for name, _ in inspect.getmembers(client, inspect.isfunction)}
        assert {name for name in public if not name.startswith("_")} - _OTHERS <= set(VERBS)


def _cases(client: type) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for verb, arguments in VERBS.items():
        names = inspect.signature(getattr(client, verb)).parameters.keys() - {"self"}
        for name, odd in itertools.product(sorted(names), ODD):
            yield verb, name, arguments | {name: odd}


def _found(error: Exception | None, name: str, value: Any) -> str | None:
    """What is wrong with an error, if anything."""
    if error is None or (
        isinstance(error, QuantumflowError) and not isinstance(error, BadArgument)
    ):
        return None
    if not isinstance(error, BadArgument):
        return f"{type(error).__module__}.{type(error).__name__}: {error}"
    return None if name in str(error) else f"without the name: {error}"


async def _wrong(client: Any, answer: Callable[[Any], Awaitable[Any]]) -> list[str]:
    wrong = []
    for verb, name, arguments in _cases(type(client)):
        error = None
        try:
            await answer(lambda v=verb, a=arguments: getattr(client, v)(**a))
        except Exception as raised:
            error = raised
        if (what := _found(error, name, arguments[name])) is not None:
            wrong.append(f"{verb}({name}={arguments[name]!r}): {what}")
    return wrong


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda c: c.start_flow("f", priority=2**40),
            "priority is 1099511627776: it is a whole number, 2147483647 at most",
        ),
        (lambda c: c.start_flow("f", version=True), "version is True: it is a whole number"),
        (lambda c: c.prune(5), r"older_than is 5: it is a timedelta: timedelta\(days=30\)"),
        (lambda c: c.failures(max_failures="x"), "max_failures is 'x': it is a whole number"),
        (lambda c: c.retry(RUN_ID, given_up=1), "given_up is 1: it is True or False"),
        (
            lambda c: c.retry(RUN_ID, "a", from_iteration="2"),
            "from_iteration is '2': it is a whole number",
        ),
        (lambda c: c.start_flow(b"f" * 999), r"workflow_slug is b'f{98}\.\.\.: it is a text"),
        (lambda c: c.wait(RUN_ID, "2 s"), "timeout is '2 s': it is a number of seconds"),
    ],
)
def test_it_says_what_was_wrong_before_it_asks_anybody(
    call: Callable[[Client], object], said: str
) -> None:
    with pytest.raises(BadArgument, match=f"^{said}"):
        call(Client(""))


def test_no_verb_shows_an_error_of_the_drivers(client: Client) -> None:
    async def answer(call: Callable[[], Any]) -> None:
        found = call()
        if inspect.isgenerator(found):
            list(found)

    client.deploy(_flow())
    assert "\n".join(asyncio.run(_wrong(client, answer))) == ""


def test_no_verb_of_the_asynchronous_client_does(dsn: str) -> None:
    async def answer(call: Callable[[], Any]) -> None:
        found = call()
        if inspect.isasyncgen(found):
            async for _ in found:
                pass
        else:
            await found

    async def all_verbs() -> list[str]:
        async with AsyncClient(dsn) as client:
            await client.deploy(_flow())
            return await _wrong(client, answer)

    assert "\n".join(asyncio.run(all_verbs())) == ""
