"""Goals, and what decomposes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .definitions import WorkflowVersion, defined
from .statements import decoded, nothing, scalar, statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from psycopg.rows import TupleRow

    from quantumflow_client._json import Json


@dataclass(frozen=True, slots=True)
class GoalSummary:
    """A goal in a line.

    Attributes:
        goal_id: Its id.
        goal: What it is, in words.
        decomposer: What it was given to.
        status: decomposing, decomposed, running, paused, completed, failed or cancelled.
        tasks: How many tasks it came to; None while nobody knows.
        done_tasks: How many of them are done.
        run_id: Its run.
        created_at: When it was given.
        ended_at: When it completed, failed or was cancelled.
        error_message: Why it failed or was cancelled.
    """

    goal_id: UUID
    goal: str
    decomposer: str
    status: str
    tasks: int | None
    done_tasks: int | None
    run_id: UUID | None
    created_at: datetime
    ended_at: datetime | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class GoalEvent:
    """Something that happened to a goal, its run, or a task.

    Attributes:
        event_id: The same whenever it is told; later events have greater ones.
        at: When.
        kind: decomposition_started, execution_completed, task_failed and so on.
        run_id: The run.
        goal_id: The goal whose run it is, if it is one's.
        step_slug: The step, of a task.
        data: What else there is to say: `{"error": ...}` of what failed.
    """

    event_id: UUID
    at: datetime
    kind: str
    run_id: UUID | None
    goal_id: UUID | None
    step_slug: str | None
    data: dict[str, Json]


_EXECUTE_GOAL = statement(
    "execute_goal",
    """
    select quantumflow.execute_goal(
      goal => %(goal)s,
      decomposer => %(decomposer)s,
      context => %(context)s::pg_catalog.jsonb,
      options => %(options)s::pg_catalog.jsonb,
      idempotency_key => %(idempotency_key)s)
    """,
)
_DECOMPOSE_GOAL = statement(
    "decompose_goal",
    """
    select quantumflow.decompose_goal(
      goal => %(goal)s,
      decomposer => %(decomposer)s,
      context => %(context)s::pg_catalog.jsonb,
      options => %(options)s::pg_catalog.jsonb,
      idempotency_key => %(idempotency_key)s)
    """,
)


def begin_goal(
    goal: str,
    decomposer: str,
    context: Mapping[str, Json],
    options: Mapping[str, Json],
    idempotency_key: str | None,
    *,
    executes: bool,
    encode: _json.Encoder = _json.encode,
) -> Call[UUID]:
    """Have a goal decomposed and, if it is to be, executed; its id."""
    return Call(
        _EXECUTE_GOAL if executes else _DECOMPOSE_GOAL,
        scalar,
        {
            "goal": goal,
            "decomposer": decomposer,
            "context": encode(context, "context"),
            "options": encode(options, "options"),
            "idempotency_key": idempotency_key,
        },
        is_repeatable=idempotency_key is not None,
    )


_EXECUTE_GOALS = statement(
    "execute_goals",
    """
    select goal_id, run_id
    from quantumflow.execute_goals(
      goals => %(goals)s::pg_catalog.jsonb,
      decomposer => %(decomposer)s,
      options => %(options)s::pg_catalog.jsonb)
    """,
)


def execute_goals(
    goals: Sequence[str | Mapping[str, Json]],
    decomposer: str,
    options: Mapping[str, Json],
    encode: _json.Encoder = _json.encode,
) -> Call[list[UUID]]:
    """Have several goals executed; their ids."""
    return Call(
        _EXECUTE_GOALS,
        lambda rows: [row[0] for row in rows],
        {
            "goals": encode(list(_arguments.inputs("goals", goals)), "goals"),
            "decomposer": decomposer,
            "options": encode(options, "options"),
        },
    )


_DECOMPOSE = statement(
    "decompose",
    """
    select quantumflow.decompose(
      goal => %(goal)s,
      decomposer => %(decomposer)s,
      context => %(context)s::pg_catalog.jsonb)::pg_catalog.text
    """,
)


def decompose(
    goal: str,
    decomposer: str,
    context: Mapping[str, Json],
    encode: _json.Encoder = _json.encode,
) -> Call[Any]:
    """The tasks that rules make of a goal, at once."""
    parameters = {"goal": goal, "decomposer": decomposer, "context": encode(context, "context")}
    return Call(_DECOMPOSE, decoded, parameters, is_repeatable=True)


_GOAL_STATUS = statement(
    "goal_status",
    "select quantumflow.goal_status(goal_id => %(goal_id)s)::pg_catalog.text",
)


def goal_status(goal_id: UUID) -> Call[Any]:
    """How a goal is doing and what came of it."""
    return Call(_GOAL_STATUS, decoded, {"goal_id": _arguments.goal(goal_id)}, is_repeatable=True)


_LIST_GOALS = statement(
    "list_goals",
    """
    select goal_id, goal, decomposer, status, tasks, done_tasks, run_id, created_at, ended_at,
      error_message
    from quantumflow.list_goals(status => %(status)s, max_goals => %(max_goals)s::int)
    """,
)


def list_goals(status: str | None, max_goals: int) -> Call[list[GoalSummary]]:
    """The latest goals, newest first."""
    return Call(
        _LIST_GOALS,
        lambda rows: [GoalSummary(*row) for row in rows],
        {"status": status, "max_goals": max_goals},
        is_repeatable=True,
    )


_CANCEL_GOAL = statement(
    "cancel_goal",
    """
    select goal_id
    from quantumflow.cancel_goal(goal_id => %(goal_id)s, reason => %(reason)s)
    """,
)


def cancel_goal(goal_id: UUID, reason: str | None) -> Call[None]:
    """Cancel a goal, in whatever phase it is."""
    parameters = {"goal_id": _arguments.goal(goal_id), "reason": reason}
    return Call(_CANCEL_GOAL, nothing, parameters, is_repeatable=True)


_CREATE_FLOW_FROM_GRAPH = statement(
    "create_flow_from_graph",
    """
    select workflow_slug, version, frozen_at
    from quantumflow.create_flow_from_graph(
      graph => %(graph)s::pg_catalog.jsonb,
      workflow_slug => %(workflow_slug)s,
      options => %(options)s::pg_catalog.jsonb)
    """,
)


def create_flow_from_graph(
    graph: Json,
    workflow_slug: str | None,
    options: Mapping[str, Json],
    encode: _json.Encoder = _json.encode,
) -> Call[WorkflowVersion]:
    """Define a workflow of a graph of tasks."""
    return Call(
        _CREATE_FLOW_FROM_GRAPH,
        defined,
        {
            "graph": encode(graph, "the graph"),
            "workflow_slug": workflow_slug,
            "options": encode(options, "options"),
        },
        is_repeatable=True,
    )


_REGISTER_DECOMPOSER = statement(
    "register_decomposer",
    """
    select name
    from quantumflow.register_decomposer(
      name => %(name)s,
      kind => %(kind)s,
      command => %(command)s,
      version => %(version)s,
      may_use => %(may_use)s::pg_catalog.text[],
      max_depth => %(max_depth)s::int,
      timeout => %(timeout)s::interval,
      cache_for => %(cache_for)s::interval,
      fallback => %(fallback)s)
    """,
)


def register_decomposer(
    name: str,
    kind: str,
    *,
    command: str | None = None,
    version: str = "1",
    may_use: Sequence[str] | None = None,
    max_depth: int | None = None,
    timeout: timedelta | None = None,
    cache_for: timedelta | None = None,
    fallback: str | None = None,
) -> Call[None]:
    """Say what makes tasks of goals."""
    return Call(
        _REGISTER_DECOMPOSER,
        nothing,
        {
            "name": _arguments.text("name", name),
            "kind": _arguments.text("kind", kind),
            "command": _arguments.text("command", command),
            "version": _arguments.text("version", version),
            "may_use": None if may_use is None else _arguments.names("may_use", may_use),
            "max_depth": _arguments.number("max_depth", max_depth),
            "timeout": None if timeout is None else _arguments.duration("timeout", timeout),
            "cache_for": None if cache_for is None else _arguments.duration("cache_for", cache_for),
            "fallback": _arguments.text("fallback", fallback),
        },
        is_repeatable=True,
    )


_ADD_METHOD = statement(
    "add_method",
    """
    select number
    from quantumflow.add_method(
      decomposer => %(decomposer)s,
      graph => %(graph)s::pg_catalog.jsonb,
      pattern => %(pattern)s,
      condition => %(condition)s,
      task => %(task)s,
      number => %(number)s::int)
    """,
)


def add_method(
    decomposer: str,
    graph: Json,
    *,
    pattern: str | None = None,
    condition: str | None = None,
    task: str | None = None,
    number: int | None = None,
    encode: _json.Encoder = _json.encode,
) -> Call[int]:
    """Add a rule to a decomposer; which of its rules it is."""
    return Call(
        _ADD_METHOD,
        scalar,
        {
            "decomposer": decomposer,
            "graph": encode(graph, "the graph"),
            "pattern": _arguments.text("pattern", pattern),
            "condition": _arguments.text("condition", condition),
            "task": _arguments.text("task", task),
            "number": _arguments.number("number", number),
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Method:
    """A rule of a decomposer.

    Attributes:
        decomposer: The decomposer.
        number: Which of its rules it is.
        task: The command of the tasks that it is for; None: it is for goals.
        pattern: What a goal matches; None: any goal.
        condition: What must be true; None: nothing.
        graph: The tasks that it comes to.
    """

    decomposer: str
    number: int
    task: str | None
    pattern: str | None
    condition: str | None
    graph: Json


_LIST_METHODS = statement(
    "list_methods",
    """
    select decomposer, number, task, pattern, condition, graph::pg_catalog.text
    from quantumflow.list_methods(decomposer => %(decomposer)s)
    """,
)


def list_methods(decomposer: str | None) -> Call[list[Method]]:
    """The rules of a decomposer, or of all, in the order in which they are tried."""
    return Call(
        _LIST_METHODS,
        lambda rows: [Method(*(*row[:-1], _json.decode(row[-1]))) for row in rows],
        {"decomposer": decomposer},
        is_repeatable=True,
    )


_DESCRIBE_COMMAND = statement(
    "describe_command",
    """
    select command
    from quantumflow.describe_command(
      command => %(command)s,
      description => %(description)s,
      args_schema => %(args_schema)s::pg_catalog.jsonb)
    """,
)


def describe_command(
    command: str, description: str, args_schema: Mapping[str, Json] | None
) -> Call[None]:
    """Say what a command does and what args it takes."""
    return Call(
        _DESCRIBE_COMMAND,
        nothing,
        {
            "command": _arguments.text("command", command),
            "description": _arguments.text("description", description),
            "args_schema": None
            if args_schema is None
            else _json.encode(args_schema, "args_schema"),
        },
        is_repeatable=True,
    )


_RECENT_EVENTS = statement(
    "recent_events",
    """
    select event_id, at, kind, run_id, goal_id, step_slug, data::pg_catalog.text
    from quantumflow.recent_events(
      kinds => %(kinds)s::pg_catalog.text[],
      run_id => %(run_id)s,
      since => %(since)s::pg_catalog.timestamptz,
      max_events => %(max_events)s::int)
    """,
)


def recent_events(
    kinds: Sequence[str] | None, run_id: UUID | None, since: datetime | None, max_events: int
) -> Call[list[GoalEvent]]:
    """What happened to goals, runs and their tasks, the latest first."""

    def read(rows: Sequence[TupleRow]) -> list[GoalEvent]:
        return [GoalEvent(*(*row[:-1], _json.decode(row[-1]))) for row in rows]

    return Call(
        _RECENT_EVENTS,
        read,
        {
            "kinds": None if kinds is None else _arguments.names("kinds", kinds),
            "run_id": _arguments.run(run_id),
            "since": _arguments.moment("since", since),
            "max_events": max_events,
        },
        is_repeatable=True,
    )


_CONFIGURE_ORCHESTRATOR = statement(
    "configure_orchestrator",
    """
    select quantumflow.configure_orchestrator(
      settings => %(settings)s::pg_catalog.jsonb)::pg_catalog.text
    """,
)


def configure_orchestrator(settings: Mapping[str, Json]) -> Call[Any]:
    """Set how goals are decomposed and told of; all of it as it is then."""
    parameters = {"settings": _json.encode(settings, "settings")}
    return Call(_CONFIGURE_ORCHESTRATOR, decoded, parameters, is_repeatable=True)
