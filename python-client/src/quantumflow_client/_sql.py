"""Every SQL text of the client: one call of a public function of schema quantumflow each.

Arguments are named, and so are the columns that come back, so that neither a new parameter nor a
new column disturbs an old client. Schemas are always written, since on a connection of the user's
the search path is his; what syntax names (int, interval, extract) is PostgreSQL's. `STATEMENTS`
collects the texts: a contract test prepares each of them. jsonb travels as text in both directions:
values are encoded and decoded one by one, by `_json`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import UUID

from psycopg.adapt import PyFormat, Transformer

from . import _arguments, _json
from ._call import Call
from ._runs import RunId, RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from psycopg.rows import TupleRow
    from typing_extensions import LiteralString

    from ._json import Json

T = TypeVar("T")

DEFAULT_QUEUE = "quantum_flow_queue"

SYSTEM_QUEUE = "quantum_flow_system"
"""The queue of what waits, of which workers hear and which none serves."""

STATEMENTS: dict[str, LiteralString] = {}
"""The SQL text of each call, by the name of the function that it calls."""


def _statement(function: str, text: LiteralString) -> LiteralString:
    STATEMENTS[function] = text
    return text


def _nothing(rows: Sequence[TupleRow]) -> None:
    """The answer of a function that returns void."""


def _scalar(rows: Sequence[TupleRow]) -> Any:
    return rows[0][0]


def _decoded(rows: Sequence[TupleRow]) -> Json:
    return None if rows[0][0] is None else _json.decode(rows[0][0])


# Definitions


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """A version of a workflow.

    Attributes:
        workflow_slug: The workflow.
        version: The version's number, from 1.
        frozen_at: When its first run froze it; None while it has none.
        current_version: The version that new runs use.
    """

    workflow_slug: str
    version: int
    frozen_at: datetime | None
    current_version: int

    def beside(self, flows: list[FlowSummary]) -> WorkflowVersion:
        """The same, with what is current by now; unchanged if the workflow is gone."""
        current = [f.current_version for f in flows if f.workflow_slug == self.workflow_slug]
        return replace(self, current_version=current[0]) if current else self


_DEFINE_FLOW = _statement(
    "define_flow",
    """
    select workflow_slug, version, frozen_at
    from quantumflow.define_flow(
      definition => %(definition)s::pg_catalog.jsonb,
      workflow_slug => %(workflow_slug)s,
      rollback => %(rollback)s)
    """,
)


def _defined(rows: Sequence[TupleRow]) -> WorkflowVersion:
    workflow_slug, version, frozen_at = rows[0]
    return WorkflowVersion(workflow_slug, version, frozen_at, current_version=version)


def define_flow(
    definition: Mapping[str, Json],
    workflow_slug: str | None,
    *,
    rollback: bool,
    encode: _json.Encoder = _json.encode,
) -> Call[WorkflowVersion]:
    """Define a workflow as a whole. Without rollback another version may be current: see beside."""
    return Call(
        _DEFINE_FLOW,
        _defined,
        {
            "definition": encode(definition, "the definition"),
            "workflow_slug": workflow_slug,
            "rollback": rollback,
        },
        is_repeatable=True,
    )


_VALIDATE_FLOW = _statement(
    "validate_flow",
    """
    select code, path, message
    from quantumflow.validate_flow(
      definition => %(definition)s::pg_catalog.jsonb,
      workflow_slug => %(workflow_slug)s)
    """,
)


@dataclass(frozen=True, slots=True)
class DefinitionProblem:
    """What is wrong with a definition; `path` leads to the place, and is empty for the whole."""

    code: str
    path: str
    message: str


def validate_flow(definition: Json, workflow_slug: str | None) -> Call[list[DefinitionProblem]]:
    """Find everything that is wrong with a definition."""
    return Call(
        _VALIDATE_FLOW,
        lambda rows: [DefinitionProblem(*row) for row in rows],
        {
            "definition": _json.encode(definition, "the definition"),
            "workflow_slug": workflow_slug,
        },
        is_repeatable=True,
    )


_GET_FLOW = _statement(
    "get_flow",
    """
    select quantumflow.get_flow(
      workflow_slug => %(workflow_slug)s, version => %(version)s::int)::pg_catalog.text
    """,
)


def get_flow(workflow_slug: str, version: int | None) -> Call[dict[str, Json]]:
    """A workflow's definition."""
    return Call(
        _GET_FLOW,
        _decoded,
        {"workflow_slug": workflow_slug, "version": _arguments.number("version", version)},
    )


_TEST_CONDITION = _statement(
    "test_condition",
    """
    select result, reason, saw::pg_catalog.text
    from quantumflow.test_condition(
      workflow_slug => %(workflow_slug)s,
      step_slug => %(step_slug)s,
      input => %(input)s::pg_catalog.jsonb,
      status => %(status)s::pg_catalog.jsonb,
      version => %(version)s::int)
    """,
)


@dataclass(frozen=True, slots=True)
class ConditionAnswer:
    """What a step's condition says of an input.

    Attributes:
        result: True: the step runs. False: its `otherwise` decides. None: unknown, and it fails.
        reason: Why it is unknown, or that the step has no condition.
        saw: By each path of the condition a list of what it finds, the first ten values, long ones
            in short; or a text, which says why it finds none.
    """

    result: bool | None
    reason: str | None
    saw: dict[str, Json]


def test_condition(
    workflow_slug: str,
    step_slug: str,
    input: Json,  # noqa: A002
    *,
    status: Mapping[str, str],
    version: int | None,
    encode: _json.Encoder,
) -> Call[ConditionAnswer]:
    """Ask a step's condition of an input."""
    return Call(
        _TEST_CONDITION,
        lambda rows: ConditionAnswer(rows[0][0], rows[0][1], _json.decode(rows[0][2])),
        {
            "workflow_slug": workflow_slug,
            "step_slug": step_slug,
            "input": encode(input, "the input"),
            "status": _json.encode(status, "status"),
            "version": _arguments.number("version", version),
        },
        is_repeatable=True,
    )


_LIST_FLOWS = _statement(
    "list_flows",
    """
    select workflow_slug, title, current_version, versions, steps, frozen, created_at
    from quantumflow.list_flows()
    """,
)


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """A workflow in a line."""

    workflow_slug: str
    title: str | None
    current_version: int
    versions: int
    steps: int
    frozen: bool
    created_at: datetime


def list_flows() -> Call[list[FlowSummary]]:
    """The workflows, the newest first."""
    return Call(_LIST_FLOWS, lambda rows: [FlowSummary(*row) for row in rows])


_DELETE_FLOW = _statement(
    "delete_flow", "select quantumflow.delete_flow(workflow_slug => %(workflow_slug)s)"
)


def delete_flow(workflow_slug: str) -> Call[bool]:
    """Delete a workflow with all its versions; whether there was one."""
    return Call(_DELETE_FLOW, _scalar, {"workflow_slug": workflow_slug})


# Runs

_START_FLOW = _statement(
    "start_flow",
    """
    select quantumflow.start_flow(
      workflow_slug => %(workflow_slug)s,
      input => %(input)s::pg_catalog.jsonb,
      run_id => %(run_id)s,
      priority => %(priority)s::int,
      start_at => %(start_at)s,
      idempotency_key => %(idempotency_key)s,
      headers => %(headers)s::pg_catalog.jsonb,
      version => %(version)s::int)
    """,
)


def start_flow(
    workflow_slug: str,
    input: Json,  # noqa: A002
    *,
    run_id: UUID | None,
    priority: int,
    start_at: datetime | None,
    idempotency_key: str | None,
    headers: Mapping[str, Json] | None,
    version: int | None,
    output: object = None,
    encode: _json.Encoder = _json.encode,
) -> Call[RunId[Any]]:
    """Start a run, whose output is of a type."""
    return Call(
        _START_FLOW,
        lambda rows: RunId.of(rows[0][0], output),
        {
            "workflow_slug": workflow_slug,
            "input": encode(input, "the input"),
            "run_id": _arguments.run(run_id),
            "priority": priority,
            "start_at": _arguments.moment("start_at", start_at),
            "idempotency_key": _arguments.text("idempotency_key", idempotency_key),
            "headers": None if headers is None else encode(headers, "headers"),
            "version": _arguments.number("version", version),
        },
    )


_START_FLOWS = _statement(
    "start_flows",
    """
    select run_id
    from quantumflow.start_flows(
      workflow_slug => %(workflow_slug)s,
      inputs => %(inputs)s::pg_catalog.jsonb[],
      priority => %(priority)s::int,
      idempotency_keys => %(idempotency_keys)s::pg_catalog.text[],
      start_at => %(start_at)s::pg_catalog.timestamptz[],
      headers => %(headers)s::pg_catalog.jsonb[]) as run_id
    """,
)


def start_flows(
    workflow_slug: str,
    inputs: Iterable[Json],
    *,
    priority: int,
    idempotency_keys: Iterable[str | None] | None = None,
    start_at: Iterable[datetime | None] | None = None,
    headers: Iterable[Mapping[str, Json] | None] | None = None,
    output: object = None,
    encode: _json.Encoder = _json.encode,
) -> Call[list[RunId[Any]]]:
    """Start a run for each input, all in one transaction."""
    listed = enumerate(_arguments.inputs("inputs", inputs))
    keys = _arguments.each("idempotency_keys", idempotency_keys, _arguments.text)
    times = _arguments.each("start_at", start_at, _arguments.moment)
    heads = _arguments.each(
        "headers", headers, lambda name, head: None if head is None else encode(head, name)
    )
    return Call(
        _START_FLOWS,
        lambda rows: [RunId.of(row[0], output) for row in rows],
        {
            "workflow_slug": workflow_slug,
            "inputs": [encode(value, f"input {i}") for i, value in listed],
            "priority": priority,
            "idempotency_keys": keys,
            "start_at": times,
            "headers": heads,
        },
    )


_STATUS = _statement(
    "status",
    """
    select quantumflow.status(
      run_id => %(run_id)s, summary => %(summary)s, tree => %(tree)s)::pg_catalog.text
    """,
)


def status(
    run_id: UUID, *, summary: bool = False, tree: bool = False, exact: bool = False
) -> Call[RunStatus]:
    """How a run is doing; numbers with a fraction are Decimals if they are to be exact."""
    return Call(
        _STATUS,
        lambda rows: _json.decode(rows[0][0], "the run", exact=exact),
        {"run_id": _arguments.run(run_id), "summary": summary, "tree": tree},
        is_repeatable=True,
    )


_LIST_RUNS = _statement(
    "list_runs",
    """
    select run_id, workflow_slug, version, status, done_steps, steps, priority, retries,
      idempotency_key, created_at, started_at, ended_at, error_message, gave_up, parent, started_by,
      origin
    from quantumflow.list_runs(
      workflow_slug => %(workflow_slug)s,
      status => %(status)s,
      max_runs => %(max_runs)s::int,
      before => %(before)s,
      gave_up => %(gave_up)s,
      since => %(since)s::pg_catalog.timestamptz,
      until => %(until)s::pg_catalog.timestamptz,
      ended_since => %(ended_since)s::pg_catalog.timestamptz,
      ended_until => %(ended_until)s::pg_catalog.timestamptz,
      input => %(input)s::pg_catalog.jsonb,
      headers => %(headers)s::pg_catalog.jsonb,
      idempotency_key => %(idempotency_key)s,
      error => %(error)s,
      version => %(version)s::int,
      parent => %(parent)s,
      with_children => %(with_children)s)
    """,
)


_FIND_RUN = _statement(
    "find_run", "select quantumflow.find_run(run_id_prefix => %(run_id_prefix)s)"
)


def find_run(run_id_prefix: str) -> Call[UUID]:
    """The run whose id begins so."""
    return Call(_FIND_RUN, _scalar, {"run_id_prefix": run_id_prefix}, is_repeatable=True)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a line.

    Attributes:
        run_id: The run.
        workflow_slug: The workflow.
        version: Its version.
        status: started, paused, completed, failed or cancelled.
        done_steps: Steps that are done.
        steps: Steps there are.
        priority: Seconds by which it overtakes.
        retries: How often it was retried.
        idempotency_key: The key it was started with.
        created_at: When it was started.
        started_at: From when its first steps may run.
        ended_at: When it ended; None while it goes on.
        error_message: Why it failed or was cancelled.
        gave_up: How many steps and tasks it went on without; None where its version cannot.
        parent: The run of which a step started it; None: none did.
        started_by: Who started it: a role of the database.
        origin: What started it, if that was quantumflow itself: "schedule:nightly".
    """

    run_id: UUID
    workflow_slug: str
    version: int
    status: str
    done_steps: int
    steps: int
    priority: int
    retries: int
    idempotency_key: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error_message: str | None
    gave_up: int | None
    parent: UUID | None
    started_by: str | None
    origin: str | None


def list_runs(
    workflow_slug: str | None = None,
    *,
    status: str | None = None,
    max_runs: int = 20,
    before: UUID | None = None,
    gave_up: bool | None = None,
    parent: UUID | None = None,
    with_children: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    ended_since: datetime | None = None,
    ended_until: datetime | None = None,
    input: Json = None,  # noqa: A002
    headers: Mapping[str, Json] | None = None,
    idempotency_key: str | None = None,
    error: str | None = None,
    version: int | None = None,
    encode: _json.Encoder = _json.encode,
) -> Call[list[RunSummary]]:
    """The latest runs, newest first; an input of None is any."""
    return Call(
        _LIST_RUNS,
        lambda rows: [RunSummary(*row) for row in rows],
        {
            "workflow_slug": workflow_slug,
            "status": status,
            "max_runs": max_runs,
            "before": before,
            "gave_up": gave_up,
            "parent": parent,
            "with_children": with_children,
            "since": _arguments.moment("since", since),
            "until": _arguments.moment("until", until),
            "ended_since": _arguments.moment("ended_since", ended_since),
            "ended_until": _arguments.moment("ended_until", ended_until),
            "input": None if input is None else encode(input, "the input"),
            "headers": None if headers is None else encode(headers, "headers"),
            "idempotency_key": _arguments.text("idempotency_key", idempotency_key),
            "error": error,
            "version": _arguments.number("version", version),
        },
        is_repeatable=True,
    )


_CANCEL_RUN = _statement(
    "cancel_run",
    "select id from quantumflow.cancel_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def cancel_run(run_id: UUID, reason: str | None) -> Call[None]:
    """Stop a run for good."""
    return Call(
        _CANCEL_RUN,
        _nothing,
        {"run_id": _arguments.run(run_id), "reason": reason},
        is_repeatable=True,
    )


_PAUSE_RUN = _statement(
    "pause_run",
    "select status from quantumflow.pause_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def pause_run(run_id: UUID, reason: str | None) -> Call[str]:
    """Hold a run; its status then."""
    parameters = {"run_id": _arguments.run(run_id), "reason": reason}
    return Call(_PAUSE_RUN, _scalar, parameters, is_repeatable=True)


_RESUME_RUN = _statement(
    "resume_run",
    "select status from quantumflow.resume_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def resume_run(run_id: UUID, reason: str | None) -> Call[str]:
    """Let a run go on; its status then."""
    parameters = {"run_id": _arguments.run(run_id), "reason": reason}
    return Call(_RESUME_RUN, _scalar, parameters, is_repeatable=True)


_PAUSES = {
    "queue": _statement(
        "pause_queue", "select quantumflow.pause_queue(queue => %(queue)s, reason => %(reason)s)"
    ),
    "workflow": _statement(
        "pause_flow",
        "select quantumflow.pause_flow(workflow_slug => %(workflow_slug)s, reason => %(reason)s)",
    ),
    "command": _statement(
        "pause_command",
        "select quantumflow.pause_command(command => %(command)s, reason => %(reason)s)",
    ),
}

_RESUMES = {
    "queue": _statement(
        "resume_queue", "select quantumflow.resume_queue(queue => %(queue)s, reason => %(reason)s)"
    ),
    "workflow": _statement(
        "resume_flow",
        "select quantumflow.resume_flow(workflow_slug => %(workflow_slug)s, reason => %(reason)s)",
    ),
    "command": _statement(
        "resume_command",
        "select quantumflow.resume_command(command => %(command)s, reason => %(reason)s)",
    ),
}


def pause(kind: str, name: str, reason: str | None) -> Call[datetime]:
    """Hand nothing out of a queue, a flow or a command; since when it is paused."""
    return Call(_PAUSES[kind], _scalar, _named(kind, name, reason), is_repeatable=True)


def resume(kind: str, name: str, reason: str | None) -> Call[int]:
    """Let a queue, a flow or a command be handed out again; how many tasks came back."""
    return Call(_RESUMES[kind], _scalar, _named(kind, name, reason), is_repeatable=True)


def _named(kind: str, name: str, reason: str | None) -> dict[str, str | None]:
    said = "workflow_slug" if kind == "workflow" else kind
    return {said: _arguments.text(said, name), "reason": reason}


@dataclass(frozen=True, slots=True)
class Pause:
    """What is paused.

    Attributes:
        kind: queue, workflow or command.
        name: Its name.
        paused_at: Since when.
        paused_by: The role that paused it.
        on_behalf_of: For whom, as that one's session said.
        reason: Why.
        waiting: Tasks that are due and wait for it; of a flow those that claims have met.
    """

    kind: str
    name: str
    paused_at: datetime
    paused_by: str
    on_behalf_of: str | None
    reason: str | None
    waiting: int


_LIST_PAUSES = _statement(
    "list_pauses",
    """
    select kind, name, paused_at, paused_by, on_behalf_of, reason, waiting
    from quantumflow.list_pauses()
    """,
)


def list_pauses() -> Call[list[Pause]]:
    """What is paused, what has been longest first."""
    return Call(_LIST_PAUSES, lambda rows: [Pause(*row) for row in rows], {}, is_repeatable=True)


_ANNOUNCE_END = _statement("announce_end", "select quantumflow.announce_end(run_id => %(run_id)s)")


def announce_end(run_id: UUID) -> Call[str]:
    """Ask that the end of a run be told on channel quantumflow_events; its status."""
    return Call(_ANNOUNCE_END, _scalar, {"run_id": _arguments.run(run_id)}, is_repeatable=True)


_RUN_NOW = _statement(
    "run_now",
    """
    select quantumflow.run_now(
      run_id => %(run_id)s, step_slug => %(step_slug)s, task_index => %(task_index)s::int)
    """,
)


def run_now(run_id: UUID, step_slug: str, task_index: int) -> Call[str]:
    """Let a task wait no longer for its time; what became of it."""
    parameters = {
        "run_id": _arguments.run(run_id),
        "step_slug": step_slug,
        "task_index": _arguments.number("task_index", task_index),
    }
    return Call(_RUN_NOW, _scalar, parameters, is_repeatable=True)


@dataclass(frozen=True, slots=True)
class RunAct:
    """What a call on many runs has done with one of them, or would do.

    Attributes:
        run_id: The run.
        workflow_slug: Its workflow.
        status: Its status; of one that is deleted the last.
        what: cancelled, retried, paused, resumed or deleted; in a dry run that with "to be" before
            it; or, where that was refused, with "not" before it, and the reason.
        error_message: Why it had failed or been cancelled before.
    """

    run_id: UUID
    workflow_slug: str
    status: str
    what: str
    error_message: str | None


_ACTS = {
    "cancel": _statement(
        "cancel_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.cancel_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "pause": _statement(
        "pause_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.pause_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "resume": _statement(
        "resume_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.resume_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "retry": _statement(
        "retry_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.retry_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
    "delete": _statement(
        "delete_runs",
        """
        select run_id, workflow_slug, status, what, error_message
        from quantumflow.delete_runs(
          filter => %(filter)s::pg_catalog.jsonb, max_runs => %(max_runs)s::int,
          dry_run => %(dry_run)s, reason => %(reason)s)
        """,
    ),
}


def act_on_runs(
    verb: str,
    filter: Mapping[str, Json],  # noqa: A002
    max_runs: int,
    *,
    dry_run: bool,
    reason: str | None,
    encode: _json.Encoder = _json.encode,
) -> Call[list[RunAct]]:
    """Do something to the runs that a filter means, or say which they are."""
    return Call(
        _ACTS[verb],
        lambda rows: [RunAct(*row) for row in rows],
        {
            "filter": encode(filter, "the filter"),
            "max_runs": max_runs,
            "dry_run": dry_run,
            "reason": reason,
        },
    )


_RETRY_RUN = _statement(
    "retry_run",
    """
    select status
    from quantumflow.retry_run(
      run_id => %(run_id)s,
      from_step => %(from_step)s,
      from_iteration => %(from_iteration)s,
      given_up => %(given_up)s,
      reason => %(reason)s)
    """,
)


def retry_run(
    run_id: UUID,
    from_step: str | None,
    *,
    from_iteration: int | None,
    given_up: bool,
    reason: str | None,
) -> Call[str]:
    """Run again what an ended run did not finish; its status then."""
    return Call(
        _RETRY_RUN,
        _scalar,
        {
            "run_id": _arguments.run(run_id),
            "from_step": from_step,
            "from_iteration": from_iteration,
            "given_up": given_up,
            "reason": reason,
        },
    )


@dataclass(frozen=True, slots=True)
class RetriedStep:
    """What a retry would do with a step.

    Attributes:
        step_slug: The step.
        status: What it is now.
        tasks_again: How many of its tasks would run; None for a loop, and for a map whose size is
            not known before.
        tasks_kept: How many finished ones would keep their outputs.
    """

    step_slug: str
    status: str
    tasks_again: int | None
    tasks_kept: int


_RETRY_PREVIEW = _statement(
    "retry_preview",
    """
    select step_slug, status, tasks_again, tasks_kept
    from quantumflow.retry_preview(
      run_id => %(run_id)s,
      from_step => %(from_step)s,
      from_iteration => %(from_iteration)s,
      given_up => %(given_up)s)
    """,
)


def retry_preview(
    run_id: UUID, from_step: str | None, *, from_iteration: int | None, given_up: bool
) -> Call[list[RetriedStep]]:
    """What a retry would run again."""
    return Call(
        _RETRY_PREVIEW,
        lambda rows: [RetriedStep(*row) for row in rows],
        {
            "run_id": _arguments.run(run_id),
            "from_step": from_step,
            "from_iteration": from_iteration,
            "given_up": given_up,
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item of a map whose task has failed for good, so that there is no output of it.

    Attributes:
        item_index: Its position, and that of the None in the output; None if the step is no map.
        task_index: The task, which has several items in a map in chunks.
        kind: What its last attempt failed of: error, timeout or lost.
        error_message: What was reported of that.
    """

    item_index: int | None
    task_index: int
    kind: str
    error_message: str | None


_FAILED_ITEMS = _statement(
    "failed_items",
    """
    select item_index, task_index, kind, error_message
    from quantumflow.failed_items(run_id => %(run_id)s, step_slug => %(step_slug)s)
    """,
)


def failed_items(run_id: UUID, step_slug: str) -> Call[list[FailedItem]]:
    """The items of a map whose tasks have failed for good."""
    return Call(
        _FAILED_ITEMS,
        lambda rows: [FailedItem(*row) for row in rows],
        {"run_id": _arguments.run(run_id), "step_slug": step_slug},
        is_repeatable=True,
    )


_DELETE_RUN = _statement(
    "delete_run",
    "select status from quantumflow.delete_run(run_id => %(run_id)s, reason => %(reason)s)",
)


def delete_run(run_id: UUID, reason: str | None) -> Call[str]:
    """Delete an ended run with all that is its; the status that it had."""
    parameters = {"run_id": _arguments.run(run_id), "reason": reason}
    return Call(_DELETE_RUN, _scalar, parameters)


_PRUNE = _statement(
    "prune",
    """
    select quantumflow.prune(
      older_than => %(older_than)s::interval,
      max_runs => %(max_runs)s::int,
      workflow_slug => %(workflow_slug)s,
      reason => %(reason)s)
    """,
)


def prune(
    older_than: timedelta | _arguments.Age,
    max_runs: int,
    workflow_slug: str | None,
    reason: str | None,
) -> Call[int]:
    """Delete runs that ended before that; how many."""
    return Call(
        _PRUNE,
        _scalar,
        {
            "older_than": older_than,
            "max_runs": max_runs,
            "workflow_slug": workflow_slug,
            "reason": reason,
        },
    )


@dataclass(frozen=True, slots=True)
class PrunedRuns:
    """Runs of a workflow and a status that a prune would delete.

    Attributes:
        workflow_slug: The workflow.
        status: completed, failed or cancelled.
        runs: How many there are.
        tasks: How many tasks they have together.
        oldest: When the first of them ended.
    """

    workflow_slug: str
    status: str
    runs: int
    tasks: int
    oldest: datetime


_PRUNE_PREVIEW = _statement(
    "prune_preview",
    """
    select workflow_slug, status, runs, tasks, oldest
    from quantumflow.prune_preview(
      older_than => %(older_than)s::interval, workflow_slug => %(workflow_slug)s)
    """,
)


def prune_preview(
    older_than: timedelta | _arguments.Age, workflow_slug: str | None
) -> Call[list[PrunedRuns]]:
    """What a prune would delete in the end."""
    return Call(
        _PRUNE_PREVIEW,
        lambda rows: [PrunedRuns(*row) for row in rows],
        {"older_than": older_than, "workflow_slug": workflow_slug},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that did not complete.

    Attributes:
        run_id: The run.
        workflow_slug: The workflow.
        step_slug: The step.
        task_index: The task.
        retries: The run's retries at that time.
        attempt: Which attempt it was, from 1; 0 of a step that its condition has failed.
        kind: error, timeout, lost or condition.
        worker_id: Who had it.
        worker: The name of that worker, or None.
        started_at: When its handler began; when it was claimed, if nobody says.
        ended_at: When its failure was reported or noticed.
        error_message: What was reported.
        error_details: What the worker added: `type` and `traceback`.
        due_at: From when it could be claimed; None for what failed under 0.3.0.
    """

    run_id: UUID
    workflow_slug: str
    step_slug: str
    task_index: int
    retries: int
    attempt: int
    kind: str
    worker_id: UUID | None
    worker: str | None
    started_at: datetime | None
    ended_at: datetime
    error_message: str | None
    error_details: Json
    due_at: datetime | None


_LIST_FAILURES = _statement(
    "list_failures",
    """
    select run_id, workflow_slug, step_slug, task_index, retries, attempt, kind, worker_id, worker,
      started_at, ended_at, error_message, error_details::pg_catalog.text, due_at
    from quantumflow.list_failures(run_id => %(run_id)s, max_failures => %(max_failures)s::int)
    """,
)


def list_failures(run_id: UUID | None, *, max_failures: int) -> Call[list[FailedAttempt]]:
    """The attempts that failed last, the latest first."""
    return Call(
        _LIST_FAILURES,
        lambda rows: [
            FailedAttempt(*[*row[:12], _decoded([row[12:13]]), *row[13:]]) for row in rows
        ],
        {"run_id": _arguments.run(run_id), "max_failures": max_failures},
        is_repeatable=True,
    )


# Signals and waits

_SEND_SIGNAL = _statement(
    "send_signal",
    """
    select quantumflow.send_signal(
      run_id => %(run_id)s,
      signal => %(signal)s,
      payload => %(payload)s::pg_catalog.jsonb,
      key => %(key)s)
    """,
)


def send_signal(
    run_id: UUID,
    signal: str,
    payload: Json,
    *,
    key: str | None,
    encode: _json.Encoder,
) -> Call[str]:
    """Send a run a signal; what became of it."""
    return Call(
        _SEND_SIGNAL,
        _scalar,
        {
            "run_id": _arguments.run(run_id),
            "signal": signal,
            "payload": encode(payload, "the payload"),
            "key": key,
        },
        is_repeatable=key is not None,
    )


_SEND_SIGNAL_BY_KEY = _statement(
    "send_signal_by_key",
    """
    select quantumflow.send_signal_by_key(
      workflow_slug => %(workflow_slug)s,
      idempotency_key => %(idempotency_key)s,
      signal => %(signal)s,
      payload => %(payload)s::pg_catalog.jsonb,
      key => %(key)s)
    """,
)


def send_signal_by_key(
    workflow_slug: str,
    idempotency_key: str,
    signal: str,
    payload: Json,
    *,
    key: str | None,
    encode: _json.Encoder,
) -> Call[str]:
    """Send a signal to the run that was started with a key; what became of it."""
    return Call(
        _SEND_SIGNAL_BY_KEY,
        _scalar,
        {
            "workflow_slug": workflow_slug,
            "idempotency_key": idempotency_key,
            "signal": signal,
            "payload": encode(payload, "the payload"),
            "key": key,
        },
        is_repeatable=key is not None,
    )


@dataclass(frozen=True, slots=True)
class WaitSummary:
    """A step that waits for a signal.

    Attributes:
        run_id: The run.
        workflow_slug: The workflow.
        step_slug: The step.
        signals: The signals of which it takes the first that comes.
        since: Since when it waits.
        until: When its time is over; None: there is no end to it.
        idempotency_key: What the run was started with.
        headers: As well.
        input: What the step is given, as a handler would be; None unless it was asked for.
    """

    run_id: UUID
    workflow_slug: str
    step_slug: str
    signals: list[str]
    since: datetime
    until: datetime | None
    idempotency_key: str | None
    headers: dict[str, Json] | None
    input: Json


_LIST_WAITS = _statement(
    "list_waits",
    """
    select run_id, workflow_slug, step_slug, signals, since, until, idempotency_key,
      headers::pg_catalog.text, input::pg_catalog.text
    from quantumflow.list_waits(
      workflow_slug => %(workflow_slug)s,
      signal => %(signal)s,
      max_runs => %(max_runs)s::int,
      with_input => %(with_input)s)
    """,
)


def list_waits(
    workflow_slug: str | None,
    signal: str | None,
    *,
    max_runs: int,
    with_input: bool,
) -> Call[list[WaitSummary]]:
    """The steps that wait for a signal, those that have waited longest first."""
    return Call(
        _LIST_WAITS,
        lambda rows: [
            WaitSummary(*[*row[:7], _decoded([row[7:8]]), _decoded([row[8:9]])]) for row in rows
        ],
        {
            "workflow_slug": workflow_slug,
            "signal": signal,
            "max_runs": max_runs,
            "with_input": with_input,
        },
        is_repeatable=True,
    )


# Looking


@dataclass(frozen=True, slots=True)
class Reason:
    """What tasks of a step wait for, or who works on them.

    Attributes:
        workflow_slug: The workflow.
        step_slug: The step; None of what is so of the whole run.
        command: The command of the step.
        tasks: How many tasks; None for a step that has none yet.
        reason: running, waits for a free worker and so on: those of the type quantumflow.reason.
        since: Since when it has been so of one of them; None where it is not known.
        until: When that changes by itself, of the first of them; None if it does not.
        detail: By whom, how many are ahead, the last error, which steps.
    """

    workflow_slug: str
    step_slug: str | None
    command: str | None
    tasks: int | None
    reason: str
    since: datetime | None
    until: datetime | None
    detail: str | None


_WHY = _statement(
    "why",
    """
    select workflow_slug, step_slug, command, tasks, reason, since, until, detail
    from quantumflow.why(run_id => %(run_id)s, only_stuck => %(only_stuck)s)
    """,
)


def why(run_id: UUID | None, *, only_stuck: bool) -> Call[list[Reason]]:
    """Why a run goes on or does not, or all of them do."""
    return Call(
        _WHY,
        lambda rows: [Reason(*row) for row in rows],
        {"run_id": _arguments.run(run_id), "only_stuck": only_stuck},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run.

    Attributes:
        at: When.
        what: "run started", "attempt lost" and so on.
        step_slug: The step; None of what happened to the whole run.
        task_index: The task, of an attempt.
        attempt: Which attempt.
        who: The worker.
        detail: What was started, how long it had waited, what went wrong.
    """

    at: datetime
    what: str
    step_slug: str | None
    task_index: int | None
    attempt: int | None
    who: str | None
    detail: str | None


_TIMELINE = _statement(
    "timeline",
    """
    select at, what, step_slug, task_index, attempt, who, detail
    from quantumflow.timeline(run_id => %(run_id)s)
    """,
)


def timeline(run_id: UUID) -> Call[list[Event]]:
    """What happened to a run, in order."""
    return Call(
        _TIMELINE,
        lambda rows: [Event(*row) for row in rows],
        {"run_id": _arguments.run(run_id)},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class PastEvent:
    """Something that happened, or that somebody did.

    Attributes:
        at: When.
        what: The function that was called, cancel_run for example; or "run started" and so on.
        step_slug: The step, if it was about one.
        task_index: The task, if it was about one.
        attempt: Which attempt.
        who: Who did it, and for whom, as that claimed; or the worker.
        detail: The reason that was given, what was overwritten, what went wrong.
        workflow_slug: The workflow.
        run_id: The run.
    """

    at: datetime
    what: str
    step_slug: str | None
    task_index: int | None
    attempt: int | None
    who: str | None
    detail: str | None
    workflow_slug: str | None
    run_id: UUID | None


_HISTORY = _statement(
    "history",
    """
    select at, what, step_slug, task_index, attempt, who, detail, workflow_slug, run_id
    from quantumflow.history(
      since => %(since)s::pg_catalog.timestamptz,
      until => %(until)s::pg_catalog.timestamptz,
      run_id => %(run_id)s)
    """,
)


def history(
    since: datetime | None, until: datetime | None, run_id: UUID | None
) -> Call[list[PastEvent]]:
    """What happened in a time, and what people did, in order."""
    return Call(
        _HISTORY,
        lambda rows: [PastEvent(*row) for row in rows],
        {
            "since": _arguments.moment("since", since),
            "until": _arguments.moment("until", until),
            "run_id": _arguments.run(run_id),
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class PathStep:
    """A step on the path that decided how long a run took.

    Attributes:
        step_slug: The step.
        ready_at: When its last dependency had ended.
        waited: For how long nobody worked on the task that ended it.
        worked: For how long somebody did, failed attempts included.
        ended_at: When it ended; None while it goes on.
        share: Its part of the time of the path, from 0 to 1.
        slack: By how much sooner it could have ended before another one would have decided.
    """

    step_slug: str
    ready_at: datetime
    waited: timedelta
    worked: timedelta
    ended_at: datetime | None
    share: Decimal | None
    slack: timedelta | None


_CRITICAL_PATH = _statement(
    "critical_path",
    """
    select step_slug, ready_at, waited, worked, ended_at, share, slack
    from quantumflow.critical_path(run_id => %(run_id)s)
    """,
)


def critical_path(run_id: UUID) -> Call[list[PathStep]]:
    """The steps that decided how long a run took."""
    return Call(
        _CRITICAL_PATH,
        lambda rows: [PathStep(*row) for row in rows],
        {"run_id": _arguments.run(run_id)},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a task, or the one that the task waits for.

    Attributes:
        step_slug: The step.
        task_index: The task.
        retries: The run's retries at that time, as far as it is known.
        attempt: Which attempt since then, from 1; 0 for what was completed by hand before any.
        due_at: From when it could be claimed.
        began_at: When its handler began; None if nobody has claimed it.
        ended_at: When it ended; None while it goes on.
        outcome: queued, started, completed, failed, cancelled or undone.
        kind: Of a failed one: error, timeout or lost.
        worker: Who had it.
        error_message: What went wrong.
    """

    step_slug: str
    task_index: int
    retries: int
    attempt: int
    due_at: datetime | None
    began_at: datetime | None
    ended_at: datetime | None
    outcome: str
    kind: str | None
    worker: str | None
    error_message: str | None


_LIST_ATTEMPTS = _statement(
    "list_attempts",
    """
    select step_slug, task_index, retries, attempt, due_at, began_at, ended_at, outcome, kind,
      worker, error_message
    from quantumflow.list_attempts(run_id => %(run_id)s, step_slug => %(step_slug)s)
    """,
)


def list_attempts(run_id: UUID, step_slug: str | None) -> Call[list[Attempt]]:
    """Every attempt at the tasks of a run, or of one of its steps."""
    return Call(
        _LIST_ATTEMPTS,
        lambda rows: [Attempt(*row) for row in rows],
        {"run_id": _arguments.run(run_id), "step_slug": step_slug},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """What there is to do for a command in a queue, and who does it.

    Attributes:
        queue: The queue.
        command: The command.
        due: Tasks that may be claimed now.
        later: Tasks that wait for their time, for other code, or for their run or flow to be
            resumed.
        retrying: Tasks that failed and wait for their next attempt.
        running: Tasks that are leased to a worker.
        oldest_due: How long the one that has been due longest has been so.
        workers: Live workers that serve the queue and have the command.
        free_slots: How many tasks more these could have at once; None where nobody says.
        paused_at: Since when the queue, or the command, is paused.
    """

    queue: str
    command: str
    due: int
    later: int
    retrying: int
    running: int
    oldest_due: timedelta | None
    workers: int
    free_slots: int | None
    paused_at: datetime | None


_LIST_QUEUES = _statement(
    "list_queues",
    """
    select queue, command, due, later, retrying, running, oldest_due, workers, free_slots,
      paused_at
    from quantumflow.list_queues()
    """,
)


def list_queues() -> Call[list[QueueSummary]]:
    """What waits and runs, by queue and command."""
    return Call(
        _LIST_QUEUES,
        lambda rows: [QueueSummary(*row) for row in rows],
        {},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """A worker, as it says of itself.

    Attributes:
        worker_id: The id it claims with.
        name: Its name.
        host: The machine it is on.
        pid: Its process there.
        version: The version of its client.
        queues: The queues it serves.
        commands: The commands it has handlers for; None: any.
        slots: How many tasks it may have at once.
        running: How many it had when it was last heard of.
        since: When it registered.
        last_seen_at: When it was last heard of, to a few seconds.
        state: busy, working, idle, alive, silent or stopped.
    """

    worker_id: UUID
    name: str | None
    host: str | None
    pid: int | None
    version: str | None
    queues: list[str]
    commands: list[str] | None
    slots: int | None
    running: int | None
    since: datetime
    last_seen_at: datetime
    state: str


_LIST_WORKERS = _statement(
    "list_workers",
    """
    select worker_id, name, host, pid, version, queues, commands, slots, running, since,
      last_seen_at, state
    from quantumflow.list_workers(alive_only => %(alive_only)s)
    """,
)


def list_workers(*, alive_only: bool) -> Call[list[WorkerSummary]]:
    """The workers that are alive, or all that are known."""
    return Call(
        _LIST_WORKERS,
        lambda rows: [WorkerSummary(*row) for row in rows],
        {"alive_only": alive_only},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Size:
    """How large a table or a queue is.

    Attributes:
        what: The table, or the queue.
        kind: table, queue or archive.
        rows_estimate: How many rows it has, as the statistics say.
        bytes: What it takes on disk, with its indexes.
        dead_share: The part of its rows that is dead, from 0 to 1.
    """

    what: str
    kind: str
    rows_estimate: int
    bytes: int
    dead_share: Decimal | None


_LIST_SIZES = _statement(
    "list_sizes",
    """
    select what, kind, rows_estimate, bytes, dead_share
    from quantumflow.list_sizes()
    """,
)


def list_sizes() -> Call[list[Size]]:
    """How large the tables and queues are, the largest first."""
    return Call(
        _LIST_SIZES,
        lambda rows: [Size(*row) for row in rows],
        {},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class StepStats:
    """How the attempts at a step went, or, without a step, the runs of a version.

    Attributes:
        workflow_slug: The workflow.
        version: The version.
        step_slug: The step; None: the runs themselves.
        n: How many attempts, or runs, ended.
        failures: How many of them did not complete.
        waited_p50: Half of the attempts waited no longer; None for runs.
        waited_p95: 95 of 100 waited no longer.
        worked_p50: Half of the attempts were worked on no longer, or half of the runs took no
            longer.
        worked_p95: 95 of 100 likewise.
        worked_p50_before: worked_p50 of the time before.
        change: worked_p50 as a multiple of that.
    """

    workflow_slug: str
    version: int
    step_slug: str | None
    n: int
    failures: int
    waited_p50: timedelta | None
    waited_p95: timedelta | None
    worked_p50: timedelta | None
    worked_p95: timedelta | None
    worked_p50_before: timedelta | None
    change: Decimal | None


_STATS = _statement(
    "stats",
    """
    select workflow_slug, version, step_slug, n, failures, waited_p50, waited_p95, worked_p50,
      worked_p95, worked_p50_before, change
    from quantumflow.stats(
      workflow_slug => %(workflow_slug)s,
      since => %(since)s::interval,
      baseline => %(baseline)s::interval)
    """,
)


def stats(
    workflow_slug: str | None, since: timedelta, baseline: timedelta
) -> Call[list[StepStats]]:
    """How long steps waited and worked, of late and before."""
    return Call(
        _STATS,
        lambda rows: [StepStats(*row) for row in rows],
        {
            "workflow_slug": workflow_slug,
            "since": _arguments.duration("since", since),
            "baseline": _arguments.duration("baseline", baseline),
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a run will have ended, as far as its past and that of others tell.

    Attributes:
        expected_at: When it is expected to end; None while it is paused, or nothing is known.
        p95_at: Until when 95 of 100 such runs would have ended.
        based_on: How often the step of which least is known had completed before.
        note: What it does not know.
    """

    expected_at: datetime | None
    p95_at: datetime | None
    based_on: int | None
    note: str | None


_ETA = _statement(
    "eta",
    """
    select expected_at, p95_at, based_on, note
    from quantumflow.eta(run_id => %(run_id)s)
    """,
)


def eta(run_id: UUID) -> Call[Estimate]:
    """When a run is expected to end."""
    return Call(
        _ETA,
        lambda rows: Estimate(*rows[0]),
        {"run_id": _arguments.run(run_id)},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Metric:
    """A number for a monitoring system, as Prometheus has them.

    Attributes:
        name: Of what. Of a histogram there are three: NAME_bucket, with a label le, NAME_sum and
            NAME_count.
        kind: gauge, counter or histogram.
        labels: Of which.
        value: The number; times are in seconds.
        help: What it says, the same for each of a name.
    """

    name: str
    kind: str
    labels: dict[str, str]
    value: float
    help: str


_METRICS = _statement(
    "metrics",
    "select name, kind, labels::pg_catalog.text, value, help from quantumflow.metrics()",
)


def metrics() -> Call[list[Metric]]:
    """Numbers for a monitoring system."""
    return Call(
        _METRICS,
        lambda rows: [
            Metric(name, kind, _json.decode(labels), value, help_)
            for name, kind, labels, value, help_ in rows
        ],
        {},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two versions of a workflow.

    Attributes:
        path: Which setting: "timeout", "steps.charge.timeout", "steps.charge".
        change: added, removed or changed.
        before: Its value in the first of them; None if it has none.
        after: Its value in the second of them.
    """

    path: str
    change: str
    before: Json
    after: Json


_DIFF_FLOW = _statement(
    "diff_flow",
    """
    select path, change, before::pg_catalog.text, after::pg_catalog.text
    from quantumflow.diff_flow(
      workflow_slug => %(workflow_slug)s,
      from_version => %(from_version)s::int,
      to_version => %(to_version)s::int)
    """,
)


def diff_flow(workflow_slug: str, from_version: int, to_version: int) -> Call[list[Difference]]:
    """What differs between two versions of a workflow."""
    return Call(
        _DIFF_FLOW,
        lambda rows: [
            Difference(path, change, _decoded([(before,)]), _decoded([(after,)]))
            for path, change, before, after in rows
        ],
        {
            "workflow_slug": workflow_slug,
            "from_version": from_version,
            "to_version": to_version,
        },
        is_repeatable=True,
    )


# Schedules


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a schedule does, and how it is doing.

    Attributes:
        schedule_slug: Its name.
        workflow_slug: The workflow that it starts.
        cron: When.
        time_zone: By which clocks.
        next_at: When it starts the next run, jitter included, or tries again; None while paused.
        last_at: The time for which it started the last run.
        last_run_id: The last run.
        last_status: The status of that; None where there is none, or it is gone.
        missed: How many times came while nothing could be started, and were not made up for.
        paused_at: Since when it is paused.
        problem: Why it starts nothing; None when nothing is wrong.
        skipped: How many times came while the last run went on, and started nothing.
    """

    schedule_slug: str
    workflow_slug: str
    cron: str
    time_zone: str
    next_at: datetime | None
    last_at: datetime | None
    last_run_id: UUID | None
    last_status: str | None
    missed: int
    paused_at: datetime | None
    problem: str | None
    skipped: int


_SCHEDULE_FLOW = _statement(
    "schedule_flow",
    """
    select next_at
    from quantumflow.schedule_flow(
      schedule_slug => %(schedule_slug)s,
      workflow_slug => %(workflow_slug)s,
      cron => %(cron)s,
      time_zone => %(time_zone)s,
      input => %(input)s::pg_catalog.jsonb,
      overlap => %(overlap)s,
      catch_up => %(catch_up)s::int,
      jitter => %(jitter)s::interval,
      priority => %(priority)s::int)
    """,
)


def schedule_flow(
    schedule_slug: str,
    workflow_slug: str,
    cron: str,
    *,
    time_zone: str,
    input_: Json,
    overlap: str,
    catch_up: int,
    jitter: timedelta,
    priority: int,
    encode: _json.Encoder = _json.encode,
) -> Call[datetime | None]:
    """Start a workflow at certain times; when it starts next, None while the schedule is paused."""
    return Call(
        _SCHEDULE_FLOW,
        _scalar,
        {
            "schedule_slug": schedule_slug,
            "workflow_slug": workflow_slug,
            "cron": cron,
            "time_zone": time_zone,
            "input": encode(input_, "input"),
            "overlap": overlap,
            "catch_up": catch_up,
            "jitter": _arguments.duration("jitter", jitter),
            "priority": priority,
        },
        is_repeatable=True,
    )


_UNSCHEDULE_FLOW = _statement(
    "unschedule_flow",
    "select schedule_slug from quantumflow.unschedule_flow(schedule_slug => %(schedule_slug)s)",
)


def unschedule_flow(schedule_slug: str) -> Call[None]:
    """Remove a schedule."""
    return Call(_UNSCHEDULE_FLOW, _nothing, {"schedule_slug": schedule_slug})


_PAUSE_SCHEDULE = _statement(
    "pause_schedule",
    """
    select paused_at
    from quantumflow.pause_schedule(schedule_slug => %(schedule_slug)s, reason => %(reason)s)
    """,
)


def pause_schedule(schedule_slug: str, reason: str | None) -> Call[datetime]:
    """Let a schedule start nothing; since when it is paused."""
    parameters = {"schedule_slug": schedule_slug, "reason": reason}
    return Call(_PAUSE_SCHEDULE, _scalar, parameters, is_repeatable=True)


_RESUME_SCHEDULE = _statement(
    "resume_schedule",
    """
    select next_at
    from quantumflow.resume_schedule(schedule_slug => %(schedule_slug)s, reason => %(reason)s)
    """,
)


def resume_schedule(schedule_slug: str, reason: str | None) -> Call[datetime]:
    """Let a paused schedule go on; when it starts next."""
    parameters = {"schedule_slug": schedule_slug, "reason": reason}
    return Call(_RESUME_SCHEDULE, _scalar, parameters, is_repeatable=True)


_LIST_SCHEDULES = _statement(
    "list_schedules",
    """
    select schedule_slug, workflow_slug, cron, time_zone, next_at, last_at, last_run_id,
      last_status, missed, paused_at, problem, skipped
    from quantumflow.list_schedules(workflow_slug => %(workflow_slug)s)
    """,
)


def list_schedules(workflow_slug: str | None) -> Call[list[Schedule]]:
    """The schedules, that which comes next first."""
    return Call(
        _LIST_SCHEDULES,
        lambda rows: [Schedule(*row) for row in rows],
        {"workflow_slug": workflow_slug},
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """How a limit stands, for one of its keys.

    Attributes:
        limit_name: Its name.
        key: The key, as JSON, a long one cut; None for a limit without keys, and for one of which
            nothing runs or waits.
        at_once: How many tasks may be with workers at once; None: any number.
        per_second: How many may begin in a second; None: any number.
        running: How many are with workers.
        waiting: How many wait, those that a worker may have at once with them.
    """

    limit_name: str
    key: str | None
    at_once: int | None
    per_second: float | None
    running: int
    waiting: int


_SET_LIMIT = _statement(
    "set_limit",
    """
    select limit_name
    from quantumflow.set_limit(
      limit_name => %(limit_name)s,
      at_once => %(at_once)s::int,
      per_second => %(per_second)s::numeric)
    """,
)


def set_limit(limit_name: str, at_once: int | None, per_second: float | None) -> Call[None]:
    """Set a limit, which steps name."""
    parameters = {"limit_name": limit_name, "at_once": at_once, "per_second": per_second}
    return Call(_SET_LIMIT, _nothing, parameters, is_repeatable=True)


_REMOVE_LIMIT = _statement(
    "remove_limit",
    "select quantumflow.remove_limit(limit_name => %(limit_name)s)",
)


def remove_limit(limit_name: str) -> Call[bool]:
    """Remove a limit; whether there was one."""
    return Call(_REMOVE_LIMIT, _scalar, {"limit_name": limit_name})


_LIST_LIMITS = _statement(
    "list_limits",
    """
    select limit_name, key, at_once, per_second::pg_catalog.float8, running, waiting
    from quantumflow.list_limits()
    """,
)


def list_limits() -> Call[list[Limit]]:
    """The limits, by key."""
    return Call(_LIST_LIMITS, lambda rows: [Limit(*row) for row in rows], {}, is_repeatable=True)


_NEXT_TIMES = _statement(
    "next_times",
    """
    select at
    from quantumflow.next_times(
      cron => %(cron)s,
      time_zone => %(time_zone)s,
      n => %(n)s::int,
      after => %(after)s::pg_catalog.timestamptz) as at
    """,
)


def next_times(cron: str, time_zone: str, n: int, after: datetime | None) -> Call[list[datetime]]:
    """The next times of a cron text."""
    return Call(
        _NEXT_TIMES,
        lambda rows: [row[0] for row in rows],
        {
            "cron": cron,
            "time_zone": time_zone,
            "n": n,
            "after": _arguments.moment("after", after),
        },
        is_repeatable=True,
    )


# Learning


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Another value for a key of a step, and what speaks for it.

    Attributes:
        step_slug: The step.
        key: timeout, max_attempts, retry_delay or chunk_size.
        current: What it is now, as a definition would say it.
        suggested: What it should be.
        n: How many attempts, or tasks, speak for it.
        predicted_gain: The share of a run's median time that it is predicted to save.
        confidence: 1 - 1/w, where w is what a fair bet on each pair of a trial has made of 1.
        why: What speaks for it, in words.
    """

    step_slug: str
    key: str
    current: Any
    suggested: Any
    n: int
    predicted_gain: float
    confidence: float
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Other settings for a workflow, and what came of them.

    Attributes:
        number: 1, 2, 3 and so on.
        level: What it might change: basic, advanced or aggressive.
        state: proposed, trial, adopted, rejected, rolled_back or superseded.
        base_version: The version that it changes.
        tuned_version: The version with its changes.
        changes: What it changes, and why: recommendations as objects.
        predicted_gain: The share of a run's time that it was predicted to save.
        measured_gain: What it saved in the median of its pairs; None before there is one.
        won: How many pairs the tuned version has won.
        lost: How many it has lost.
        dropped: How many said nothing.
        confidence: As of a recommendation, by the pairs since its state began.
        reason: Why it is in this state.
        made_at: When it was proposed.
        adopted_at: When it was adopted first.
        decided_at: When it ended.
    """

    number: int
    level: str
    state: str
    base_version: int
    tuned_version: int
    changes: Any
    predicted_gain: float | None
    measured_gain: float | None
    won: int
    lost: int
    dropped: int
    confidence: float
    reason: str | None
    made_at: datetime
    adopted_at: datetime | None
    decided_at: datetime | None


_RECOMMENDATIONS = _statement(
    "recommendations",
    """
    select step_slug, key, current, suggested, n, predicted_gain::float8, confidence::float8, why
    from quantumflow.recommendations(workflow_slug => %(workflow_slug)s, level => %(level)s)
    """,
)


def recommendations(workflow_slug: str, level: str) -> Call[list[Recommendation]]:
    """What the past of a workflow says that its settings should be."""
    return Call(
        _RECOMMENDATIONS,
        lambda rows: [Recommendation(*row) for row in rows],
        {"workflow_slug": workflow_slug, "level": level},
        is_repeatable=True,
    )


_OPTIMIZE_FLOW = _statement(
    "optimize_flow",
    """
    select number
    from quantumflow.optimize_flow(
      workflow_slug => %(workflow_slug)s,
      level => %(level)s,
      preserve_structure => %(preserve_structure)s,
      apply => %(apply)s)
    """,
)


def optimize_flow(
    workflow_slug: str, level: str, preserve_structure: bool, apply: str
) -> Call[int | None]:
    """Make a policy; its number, None where nothing is to be changed."""
    return Call(
        _OPTIMIZE_FLOW,
        _scalar,
        {
            "workflow_slug": workflow_slug,
            "level": level,
            "preserve_structure": preserve_structure,
            "apply": apply,
        },
    )


_ROLLBACK_POLICY = _statement(
    "rollback_policy",
    """
    select number
    from quantumflow.rollback_policy(workflow_slug => %(workflow_slug)s, reason => %(reason)s)
    """,
)


def rollback_policy(workflow_slug: str, reason: str | None) -> Call[int]:
    """End the policy that is at work; its number."""
    return Call(_ROLLBACK_POLICY, _scalar, {"workflow_slug": workflow_slug, "reason": reason})


_POLICY_HISTORY = _statement(
    "policy_history",
    """
    select number, level, state, base_version, tuned_version, changes, predicted_gain::float8,
      measured_gain::float8, won, lost, dropped, confidence::float8, reason, made_at, adopted_at,
      decided_at
    from quantumflow.policy_history(workflow_slug => %(workflow_slug)s)
    """,
)


def policy_history(workflow_slug: str) -> Call[list[Policy]]:
    """What was proposed, tried and adopted, oldest first."""
    return Call(
        _POLICY_HISTORY,
        lambda rows: [Policy(*row) for row in rows],
        {"workflow_slug": workflow_slug},
        is_repeatable=True,
    )


# Tasks


class TaskRef(NamedTuple):
    """Which task, and by which right: what reports, extensions and releases name a task by."""

    run_id: str
    step_slug: str
    task_index: int
    lease_token: int

    def __str__(self) -> str:
        return f"{self.run_id}/{self.step_slug}/{self.task_index}"

    def fields(self) -> str:
        """Its members of a JSON object, without the braces."""
        return (
            f'"run_id":"{self.run_id}","step_slug":{_json.quoted(self.step_slug)},'
            f'"task_index":{self.task_index},"lease_token":{self.lease_token}'
        )


TaskKey = tuple[str, str, int]
"""A task's primary key, as answers name it."""


class Task(NamedTuple):
    """A task as it is handed out, hardly read: JSON is text, or None; moments are Unix times."""

    ref: TaskRef
    workflow_slug: str
    command: str
    args: str | None
    input: str
    attempt: int
    max_attempts: int
    lease_expires_at: float
    deadline: float
    headers: str | None
    losses: int
    step_type: str
    retries: int = 0
    fresh_since: int = 0
    version: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it has."""
        return len(self.input) + len(self.args or "") + 500


class Spent(NamedTuple):
    """What an attempt took: for how many seconds its handler ran, and what it used, as JSON text.

    None is what nobody knows.
    """

    seconds: float | None = None
    usage: str | None = None

    def fields(self) -> str:
        """Its members of a JSON object, each after a comma."""
        fields = "" if self.seconds is None else f',"seconds":{self.seconds:.6f}'
        return fields if self.usage is None else f'{fields},"usage":{self.usage}'


_UNKNOWN = Spent()


class Completion(NamedTuple):
    """A task's output, as JSON text."""

    ref: TaskRef
    output: str
    spent: Spent = _UNKNOWN

    @property
    def size(self) -> int:
        """About how many bytes its report has."""
        return len(self.output) + 200

    def row(self) -> str:
        """The row of complete_tasks."""
        return f'{{{self.ref.fields()},"output":{self.output}{self.spent.fields()}}}'


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt; `details` is JSON text, `retry_after` seconds or None: the step's delay."""

    ref: TaskRef
    message: str
    retryable: bool = True
    retry_after: float | None = None
    details: str | None = None
    spent: Spent = _UNKNOWN

    @property
    def size(self) -> int:
        """About how many bytes its report has."""
        return len(self.message) + len(self.details or "") + 200

    def row(self) -> str:
        """The row of fail_tasks."""
        row = (
            f'{{{self.ref.fields()},"error_message":{_json.encode(self.message)},'
            f'"retryable":{_json.encode(self.retryable)}{self.spent.fields()}'
        )
        if self.retry_after is not None:
            row += f',"retry_after":{_json.encode(self.retry_after)}'
        if self.details is not None:
            row += f',"error_details":{self.details}'
        return row + "}"


def _array(rows: Iterable[str]) -> str:
    return f"[{','.join(rows)}]"


def _task(row: TupleRow) -> Task:
    return Task(TaskRef(*row[:4]), *row[4:18])


@lru_cache
def _names(names: tuple[str, ...]) -> str:
    """As PostgreSQL writes an array; psycopg would do so at each call."""
    return bytes(Transformer().get_dumper([*names], PyFormat.TEXT).dump([*names]) or b"").decode()


_CLAIM_TASKS = _statement(
    "claim_tasks",
    """
    select run_id::pg_catalog.text, step_slug, task_index, lease_token, workflow_slug, command,
      args::pg_catalog.text, input::pg_catalog.text, attempt, max_attempts,
      extract(epoch from lease_expires_at)::pg_catalog.float8,
      extract(epoch from deadline)::pg_catalog.float8, headers::pg_catalog.text, losses, step_type,
      retries, fresh_since, version
    from quantumflow.claim_tasks(
      worker_id => %(worker_id)s,
      quantity => %(quantity)s::int,
      queues => %(queues)s::pg_catalog.text[],
      lease => %(lease)s,
      commands => %(commands)s::pg_catalog.text[],
      held => %(held)s::int)
    """,
)


def claim_tasks(
    worker_id: UUID,
    *,
    quantity: int,
    queues: tuple[str, ...],
    lease: timedelta,
    commands: tuple[str, ...],
    held: int,
) -> Call[list[Task]]:
    """Take tasks to run."""
    return Call(
        _CLAIM_TASKS,
        lambda rows: [_task(row) for row in rows],
        {
            "worker_id": worker_id,
            "quantity": quantity,
            "queues": _names(queues),
            "lease": lease,
            "commands": _names(commands),
            "held": held,
        },
    )


class Outcome(NamedTuple):
    """What became of a report, and why: a word, and words for people."""

    outcome: str
    reason: str | None = None
    detail: str | None = None


UNANSWERED = Outcome("stale", detail="the answer does not mention the task")
"""What a report comes to of which the answer says nothing."""


def _outcomes(rows: Sequence[TupleRow]) -> dict[TaskKey, Outcome]:
    return {row[:3]: Outcome(*row[3:]) for row in rows}


_COMPLETE_TASKS = _statement(
    "complete_tasks",
    """
    select run_id::pg_catalog.text, step_slug, task_index, outcome, reason, detail
    from quantumflow.complete_tasks(results => %(results)s::pg_catalog.jsonb)
    """,
)


def complete_tasks(completions: Iterable[Completion]) -> Call[dict[TaskKey, Outcome]]:
    """Report outputs."""
    return Call(
        _COMPLETE_TASKS,
        _outcomes,
        {"results": _array(completion.row() for completion in completions)},
    )


_COMPLETE_AND_CLAIM = _statement(
    "complete_and_claim",
    """
    select run_id::pg_catalog.text, step_slug, task_index, lease_token, workflow_slug, command,
      args::pg_catalog.text, input::pg_catalog.text, attempt, max_attempts,
      extract(epoch from lease_expires_at)::pg_catalog.float8,
      extract(epoch from deadline)::pg_catalog.float8, headers::pg_catalog.text, losses, step_type,
      retries, fresh_since, version, outcome, reason, detail
    from quantumflow.complete_and_claim(
      worker_id => %(worker_id)s,
      results => %(results)s::pg_catalog.jsonb,
      quantity => %(quantity)s::int,
      queues => %(queues)s::pg_catalog.text[],
      lease => %(lease)s,
      commands => %(commands)s::pg_catalog.text[],
      held => %(held)s::int)
    """,
)


class Exchange(NamedTuple):
    """What complete_and_claim answers: what became of the reports, and the next tasks."""

    outcomes: dict[TaskKey, Outcome]
    tasks: list[Task]


def complete_and_claim(
    worker_id: UUID,
    completions: Iterable[Completion],
    *,
    quantity: int,
    queues: tuple[str, ...],
    lease: timedelta,
    commands: tuple[str, ...],
    held: int,
) -> Call[Exchange]:
    """Report outputs, and take the next tasks."""
    return Call(
        _COMPLETE_AND_CLAIM,
        lambda rows: Exchange(
            {row[:3]: Outcome(*row[18:]) for row in rows if row[18] is not None},
            [_task(row) for row in rows if row[18] is None],
        ),
        {
            "worker_id": worker_id,
            "results": _array(completion.row() for completion in completions),
            "quantity": quantity,
            "queues": _names(queues),
            "lease": lease,
            "commands": _names(commands),
            "held": held,
        },
    )


_FAIL_TASKS = _statement(
    "fail_tasks",
    """
    select run_id::pg_catalog.text, step_slug, task_index, outcome, reason, detail
    from quantumflow.fail_tasks(results => %(results)s::pg_catalog.jsonb)
    """,
)


def fail_tasks(failures: Iterable[Failure]) -> Call[dict[TaskKey, Outcome]]:
    """Report failures."""
    return Call(_FAIL_TASKS, _outcomes, {"results": _array(failure.row() for failure in failures)})


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What became of a lease that was to be extended: held, lost or cancelled, and until when."""

    state: str
    lease_expires_at: datetime | None


_EXTEND_LEASES = _statement(
    "extend_leases",
    """
    select run_id::pg_catalog.text, step_slug, task_index, state, lease_expires_at
    from quantumflow.extend_leases(
      worker_id => %(worker_id)s, tasks => %(tasks)s::pg_catalog.jsonb, lease => %(lease)s)
    """,
)


def extend_leases(
    worker_id: UUID, tasks: Iterable[TaskRef], *, lease: timedelta
) -> Call[dict[TaskKey, LeaseState]]:
    """Keep tasks for another lease."""
    return Call(
        _EXTEND_LEASES,
        lambda rows: {row[:3]: LeaseState(row[3], row[4]) for row in rows},
        {
            "worker_id": worker_id,
            "tasks": _array(f"{{{task.fields()}}}" for task in tasks),
            "lease": lease,
        },
        is_repeatable=True,
    )


_HOLD_TASK = _statement(
    "hold_task",
    """
    select quantumflow.hold_task(
      run_id => %(run_id)s::pg_catalog.uuid,
      step_slug => %(step_slug)s,
      task_index => %(task_index)s::int,
      lease_token => %(lease_token)s::bigint)
    """,
)


def hold_task(task: TaskRef) -> Call[str]:
    """Begin a task's own transaction: held, lost or cancelled."""
    return Call(_HOLD_TASK, _scalar, task._asdict())


_RELEASE_TASKS = _statement(
    "release_tasks", "select quantumflow.release_tasks(tasks => %(tasks)s::pg_catalog.jsonb)"
)


def release_tasks(tasks: Iterable[TaskRef], unfit: Mapping[TaskRef, str]) -> Call[int]:
    """Hand unstarted tasks back; to other code those that this one cannot take, and why."""
    return Call(
        _RELEASE_TASKS, _scalar, {"tasks": _array(_handed_back(t, unfit.get(t)) for t in tasks)}
    )


def _handed_back(task: TaskRef, reason: str | None) -> str:
    said = "" if reason is None else f',"reason":{_json.encode(reason)}'
    return f"{{{task.fields()}{said}}}"


_LEFT_WORK = _statement(
    "left_work",
    """
    select quantumflow.left_work(
      queues => %(queues)s::pg_catalog.text[],
      commands => %(commands)s::pg_catalog.text[],
      refused => %(refused)s::pg_catalog.jsonb)
    """,
)


def left_work(
    queues: Sequence[str], commands: Sequence[str], refused: Iterable[tuple[str, int, str]]
) -> Call[datetime | None]:
    """When the first task comes back that others left to other code; None: there is none.

    Args:
        queues: Where to look.
        commands: Of which commands.
        refused: The flow, version and step of those that the caller has left so itself.
    """
    steps = [
        {"workflow_slug": slug, "version": version, "step_slug": step}
        for slug, version, step in refused
    ]
    return Call(
        _LEFT_WORK,
        _scalar,
        {"queues": list(queues), "commands": list(commands), "refused": _json.encode(steps)},
        is_repeatable=True,
    )


_RUN_INPUT = _statement(
    "run_input", "select quantumflow.run_input(run_id => %(run_id)s)::pg_catalog.text"
)


def run_input(run_id: UUID) -> Call[str | None]:
    """A run's input, as JSON text."""
    return Call(_RUN_INPUT, _scalar, {"run_id": run_id}, is_repeatable=True)


_STEP_OUTPUT = _statement(
    "step_output",
    """
    select quantumflow.step_output(
      run_id => %(run_id)s, step_slug => %(step_slug)s)::pg_catalog.text
    """,
)


def step_output(run_id: UUID, step_slug: str) -> Call[str | None]:
    """A step's output, as JSON text; None if it has none."""
    parameters = {"run_id": run_id, "step_slug": step_slug}
    return Call(_STEP_OUTPUT, _scalar, parameters, is_repeatable=True)


_LIST_OUTPUTS = _statement(
    "list_outputs",
    """
    select item_index, output::pg_catalog.text
    from quantumflow.list_outputs(
      run_id => %(run_id)s,
      step_slug => %(step_slug)s,
      after_index => %(after_index)s::int,
      max_items => %(max_items)s::int)
    """,
)


def list_outputs(
    run_id: UUID,
    step_slug: str,
    *,
    after_index: int,
    max_items: int,
    read: Callable[[str, int], T],
) -> Call[list[tuple[int, T]]]:
    """Outputs of a map's items, each read from its JSON text."""
    return Call(
        _LIST_OUTPUTS,
        lambda rows: [(index, read(text, index)) for index, text in rows],
        {
            "run_id": _arguments.run(run_id),
            "step_slug": step_slug,
            "after_index": after_index,
            "max_items": _arguments.number("page", max_items),
        },
        is_repeatable=True,
    )


# Workers

_REGISTER_WORKER = _statement(
    "register_worker",
    """
    select quantumflow.register_worker(
      worker_id => %(worker_id)s,
      name => %(name)s,
      commands => %(commands)s::pg_catalog.text[],
      queues => %(queues)s::pg_catalog.text[],
      host => %(host)s,
      pid => %(pid)s::int,
      version => %(version)s,
      slots => %(slots)s::int,
      running => %(running)s::int,
      oldest => %(oldest)s::pg_catalog.jsonb)
    """,
)


def register_worker(
    worker_id: UUID,
    *,
    name: str,
    commands: tuple[str, ...],
    queues: tuple[str, ...],
    slots: int,
    running: int,
    oldest: Sequence[tuple[TaskRef, datetime]],
    version: str,
    host: str,
    pid: int,
) -> Call[None]:
    """Say who works, where, on what, and how much of it.

    Args:
        worker_id: The id that it claims with.
        name: Its name.
        commands: Those it has handlers for.
        queues: Those it serves.
        slots: How many tasks it may have at once.
        running: How many it has.
        oldest: Those it has had longest, and since when; the first five are told.
        version: That of its client.
        host: The machine it is on.
        pid: Its process there.
    """
    return Call(
        _REGISTER_WORKER,
        _nothing,
        {
            "worker_id": worker_id,
            "name": name,
            "commands": _names(commands),
            "queues": _names(queues),
            "host": host,
            "pid": pid,
            "version": version,
            "slots": slots,
            "running": running,
            "oldest": _json.encode(
                [
                    {
                        "run_id": task.run_id,
                        "step_slug": task.step_slug,
                        "task_index": task.task_index,
                        "since": since.isoformat(),
                    }
                    for task, since in oldest[:5]
                ],
                "the oldest tasks",
            ),
        },
    )


_STOP_WORKER = _statement(
    "stop_worker", "select quantumflow.stop_worker(worker_id => %(worker_id)s)"
)


def stop_worker(worker_id: UUID) -> Call[None]:
    """Say that a worker works no more."""
    return Call(_STOP_WORKER, _nothing, {"worker_id": worker_id})


_REPORT_PROGRESS = _statement(
    "report_progress",
    """
    select quantumflow.report_progress(
      run_id => %(run_id)s,
      step_slug => %(step_slug)s,
      task_index => %(task_index)s::int,
      lease_token => %(lease_token)s::bigint,
      done => %(done)s,
      total => %(total)s,
      note => %(note)s)
    """,
)


def report_progress(
    ref: TaskRef, done: float, total: float | None, note: str | None
) -> Call[str | None]:
    """Say how far the work at a task has come: held, lost or cancelled."""
    return Call(
        _REPORT_PROGRESS,
        _scalar,
        {
            "run_id": ref.run_id,
            "step_slug": ref.step_slug,
            "task_index": ref.task_index,
            "lease_token": ref.lease_token,
            "done": done,
            "total": total,
            "note": _arguments.text("note", note),
        },
        is_repeatable=True,
    )


_SWEEP = _statement("sweep", "select action, tasks from quantumflow.sweep()")


def sweep() -> Call[dict[str, int]]:
    """Mend what nobody else will notice."""
    return Call(_SWEEP, lambda rows: {row[0]: row[1] for row in rows})


@dataclass(frozen=True, slots=True)
class Settled:
    """What was settled.

    Attributes:
        tasks: How many tasks.
        due_in: In how many seconds the next one is due; 0 if there may be more, None if none will.
        next_due: When that is.
    """

    tasks: int
    due_in: float | None
    next_due: datetime | None = None


_SETTLE = _statement(
    "settle",
    "select settled, next_due, extract(epoch from next_due - current_timestamp)::pg_catalog.float8 "
    "from quantumflow.settle(max_tasks => %(max_tasks)s::int)",
)


def settle(max_tasks: int = 100) -> Call[Settled]:
    """End what no worker is given and whose time has come."""
    return Call(_SETTLE, lambda rows: _settled(*rows[0]), {"max_tasks": max_tasks})


def _settled(tasks: int, next_due: datetime | None, due_in: float | None) -> Settled:
    return Settled(tasks, None if due_in is None else max(0.0, due_in), next_due)


_ADVANCE_CLOCK = _statement(
    "advance_clock",
    """
    select quantumflow.advance_clock(
      ahead => %(ahead)s::interval,
      until_due => %(until_due)s,
      queues => %(queues)s::pg_catalog.text[])
    """,
)


def advance_clock(
    ahead: timedelta | None, *, until_due: bool = False, queues: Sequence[str] | None = None
) -> Call[datetime | None]:
    """Let time pass, where that is a test's; what time it is then."""
    return Call(
        _ADVANCE_CLOCK,
        _scalar,
        {
            "ahead": ahead,
            "until_due": until_due,
            "queues": None if queues is None else _names(tuple(queues)),
        },
    )


# The installation


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at: its state is ok, warning or error."""

    subject: str
    state: str
    fact: str
    advice: str | None


_DOCTOR = _statement("doctor", "select subject, state, fact, advice from quantumflow.doctor()")


def doctor() -> Call[list[Finding]]:
    """Examine the server, the installation, the queues and the workers."""
    return Call(_DOCTOR, lambda rows: [Finding(*row) for row in rows])


@dataclass(frozen=True, slots=True)
class StateProblem:
    """Something that breaks a rule that is always true; None as remedy: a person has to decide."""

    rule: int
    run_id: UUID | None
    step_slug: str | None
    task_index: int | None
    queue: str | None
    message_id: int | None
    problem: str
    remedy: str | None


_CHECK_STATE = _statement(
    "check_state",
    """
    select rule, run_id, step_slug, task_index, queue, message_id, problem, remedy
    from quantumflow.check_state(run_id => %(run_id)s)
    """,
)


def check_state(run_id: UUID | None) -> Call[list[StateProblem]]:
    """Find what breaks the rules, in one run or in all."""
    return Call(
        _CHECK_STATE,
        lambda rows: [StateProblem(*row) for row in rows],
        {"run_id": _arguments.run(run_id)},
    )


@dataclass(frozen=True, slots=True)
class StateRepair:
    """Something that breaks a rule that is always true, and what was done about it or would be."""

    rule: int
    run_id: UUID | None
    step_slug: str | None
    task_index: int | None
    queue: str | None
    message_id: int | None
    problem: str
    action: str


_REPAIR = _statement(
    "repair",
    """
    select rule, run_id, step_slug, task_index, queue, message_id, problem, action
    from quantumflow.repair(dry_run => %(dry_run)s)
    """,
)


def repair(*, dry_run: bool) -> Call[list[StateRepair]]:
    """Mend what breaks the rules, or say how."""
    return Call(_REPAIR, lambda rows: [StateRepair(*row) for row in rows], {"dry_run": dry_run})


_REBUILD_QUEUES = _statement(
    "rebuild_queues", "select queue, messages from quantumflow.rebuild_queues()"
)


def rebuild_queues() -> Call[dict[str, int]]:
    """Make the queues anew from the tasks; how many messages each has."""
    return Call(_REBUILD_QUEUES, lambda rows: {row[0]: row[1] for row in rows})


_ADOPT = _statement("adopt", "select quantumflow.adopt()")


def adopt() -> Call[str]:
    """Declare that this database's runs go on here; its identity."""
    return Call(_ADOPT, _scalar)


_SETUP = _statement("setup", "select quantumflow.setup()")


def setup() -> Call[str]:
    """Make the queues that are missing; what was done."""
    return Call(_SETUP, _scalar)


_VERSION = _statement("version", "select quantumflow.version()")


def version() -> Call[str]:
    """The version of quantumflow in the database."""
    return Call(_VERSION, _scalar)


# Goals


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


_EXECUTE_GOAL = _statement(
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

_DECOMPOSE_GOAL = _statement(
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
        _scalar,
        {
            "goal": goal,
            "decomposer": decomposer,
            "context": encode(context, "context"),
            "options": encode(options, "options"),
            "idempotency_key": idempotency_key,
        },
        is_repeatable=idempotency_key is not None,
    )


_EXECUTE_GOALS = _statement(
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


_DECOMPOSE = _statement(
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
    return Call(_DECOMPOSE, _decoded, parameters, is_repeatable=True)


_GOAL_STATUS = _statement(
    "goal_status",
    "select quantumflow.goal_status(goal_id => %(goal_id)s)::pg_catalog.text",
)


def goal_status(goal_id: UUID) -> Call[Any]:
    """How a goal is doing and what came of it."""
    return Call(_GOAL_STATUS, _decoded, {"goal_id": _arguments.goal(goal_id)}, is_repeatable=True)


_LIST_GOALS = _statement(
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


_CANCEL_GOAL = _statement(
    "cancel_goal",
    """
    select goal_id
    from quantumflow.cancel_goal(goal_id => %(goal_id)s, reason => %(reason)s)
    """,
)


def cancel_goal(goal_id: UUID, reason: str | None) -> Call[None]:
    """Cancel a goal, in whatever phase it is."""
    parameters = {"goal_id": _arguments.goal(goal_id), "reason": reason}
    return Call(_CANCEL_GOAL, _nothing, parameters, is_repeatable=True)


_CREATE_FLOW_FROM_GRAPH = _statement(
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
        _defined,
        {
            "graph": encode(graph, "the graph"),
            "workflow_slug": workflow_slug,
            "options": encode(options, "options"),
        },
        is_repeatable=True,
    )


_REGISTER_DECOMPOSER = _statement(
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
        _nothing,
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


_ADD_METHOD = _statement(
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
        _scalar,
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


_LIST_METHODS = _statement(
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


_DESCRIBE_COMMAND = _statement(
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
        _nothing,
        {
            "command": _arguments.text("command", command),
            "description": _arguments.text("description", description),
            "args_schema": None
            if args_schema is None
            else _json.encode(args_schema, "args_schema"),
        },
        is_repeatable=True,
    )


_RECENT_EVENTS = _statement(
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


_CONFIGURE_ORCHESTRATOR = _statement(
    "configure_orchestrator",
    """
    select quantumflow.configure_orchestrator(
      settings => %(settings)s::pg_catalog.jsonb)::pg_catalog.text
    """,
)


def configure_orchestrator(settings: Mapping[str, Json]) -> Call[Any]:
    """Set how goals are decomposed and told of; all of it as it is then."""
    parameters = {"settings": _json.encode(settings, "settings")}
    return Call(_CONFIGURE_ORCHESTRATOR, _decoded, parameters, is_repeatable=True)


# What is no call of a function of ours: what the role may call, and for whom it acts.

_MAY = """
    select n.name, pg_catalog.has_function_privilege(
      pg_catalog.to_regproc('quantumflow.' operator(pg_catalog.||) n.name)::pg_catalog.oid,
      'execute')
    from pg_catalog.unnest(%(names)s::pg_catalog.text[]) as n (name)
"""
_ACT_FOR = "select pg_catalog.set_config('quantumflow.actor', %(who)s, true)"


def may(names: Iterable[str]) -> Call[frozenset[str]]:
    """Which of the functions the role may call; those that are not there it may not."""
    return Call(
        _MAY,
        lambda rows: frozenset(name for name, may_call in rows if may_call),
        {"names": list(names)},
        is_repeatable=True,
    )


def act_for(who: str) -> Call[None]:
    """For whom the session acts in this transaction: audit_log has it as on_behalf_of."""
    return Call(_ACT_FOR, _nothing, {"who": who})


# Nor is this: to be told of new work.

LISTEN = "listen quantumflow"
UNLISTEN = "unlisten quantumflow"
LISTEN_TO_EVENTS = "listen quantumflow_events"
NOTIFY = "select pg_catalog.pg_notify('quantumflow', %s)"

# Nor is this: what sessions of ours begin with. None of it looks a name up.

PATH = "pg_catalog,pg_temp"
SHOW_PATH = "show search_path"
SET_PATH = "set local search_path = pg_catalog, pg_temp"

ENCODING = "UTF8"
"""What texts are sent in; a role's or a database's may be SQL_ASCII, which says nothing."""

READABLE = {"DateStyle": "ISO", "IntervalStyle": "postgres"}
"""What psycopg reads by, which a role may have set to something else."""

SAY_READABLE = """
    select pg_catalog.set_config('client_encoding', 'UTF8', true),
      pg_catalog.set_config('DateStyle', 'ISO', true),
      pg_catalog.set_config('IntervalStyle', 'postgres', true)
"""
"""As much, in one transaction, of a session that does not keep what it was told."""

FOR_CALLS = {"search_path": PATH, "standard_conforming_strings": "on"}
"""Where names are looked up, and what a backslash means in the functions that are called."""

SAY_FOR_CALLS = """
    select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
      pg_catalog.set_config('standard_conforming_strings', 'on', true)
"""
