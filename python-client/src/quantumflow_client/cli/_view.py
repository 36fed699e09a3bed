"""How runs look in text: a list's columns, a run with its steps."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from quantumflow_client.page.goal import name_of, tasks_of, tree_of

from ._errors import Exit
from ._output import as_json, coloured, fitted, lines_of, one_line, when

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import TypeAlias

    from quantumflow_client._sql.looking import Estimate
    from quantumflow_client._sql.runs import FailedAttempt

    Status: TypeAlias = Mapping[str, Any]

ENDED = ("completed", "failed", "cancelled")
_BAR = 20

RUN_COLUMNS: dict[str, Callable[[Any], object]] = {
    "run": lambda run: run.run_id,
    "workflow": lambda run: run.workflow_slug,
    "version": lambda run: run.version,
    "status": lambda run: f"{run.status}, gave up {run.gave_up}" if run.gave_up else run.status,
    "steps": lambda run: f"{run.done_steps}/{run.steps}",
    "created": lambda run: when(run.created_at),
    "ended": lambda run: when(run.ended_at),
    "error": lambda run: run.error_message,
}

RETRY_COLUMNS: dict[str, Callable[[Any], object]] = {
    "step": lambda step: step.step_slug,
    "status": lambda step: step.status,
    "tasks again": lambda step: "?" if step.tasks_again is None else step.tasks_again,
    "tasks kept": lambda step: step.tasks_kept,
}

ITEM_COLUMNS: dict[str, Callable[[Any], object]] = {
    "item": lambda item: item.item_index,
    "task": lambda item: item.task_index,
    "kind": lambda item: item.kind,
    "error": lambda item: item.error_message,
}

FAILURE_COLUMNS: dict[str, Callable[[Any], object]] = {
    "ended": lambda failed: when(failed.ended_at),
    "task": lambda failed: f"{failed.run_id}/{failed.step_slug}/{failed.task_index}",
    "attempt": lambda failed: failed.attempt,
    "kind": lambda failed: failed.kind,
    "worker": lambda failed: failed.worker or failed.worker_id,
    "error": lambda failed: failed.error_message,
}


REASON_COLUMNS: dict[str, Callable[[Any], object]] = {
    "reason": lambda reason: reason.reason,
    "workflow": lambda reason: reason.workflow_slug,
    "step": lambda reason: reason.step_slug,
    "tasks": lambda reason: reason.tasks,
    "since": lambda reason: when(reason.since),
    "until": lambda reason: when(reason.until),
    "detail": lambda reason: reason.detail,
}

QUEUE_COLUMNS: dict[str, Callable[[Any], object]] = {
    "queue": lambda queue: queue.queue,
    "command": lambda queue: queue.command,
    "due": lambda queue: queue.due,
    "later": lambda queue: queue.later,
    "retrying": lambda queue: queue.retrying,
    "running": lambda queue: queue.running,
    "oldest due": lambda queue: queue.oldest_due,
    "workers": lambda queue: queue.workers,
    "free slots": lambda queue: queue.free_slots,
    "paused": lambda queue: when(queue.paused_at),
}

PAUSE_COLUMNS: dict[str, Callable[[Any], object]] = {
    "kind": lambda pause: pause.kind,
    "name": lambda pause: pause.name,
    "since": lambda pause: when(pause.paused_at),
    "by": lambda pause: pause.on_behalf_of or pause.paused_by,
    "waiting": lambda pause: pause.waiting,
    "reason": lambda pause: pause.reason,
}

SCHEDULE_COLUMNS: dict[str, Callable[[Any], object]] = {
    "schedule": lambda schedule: schedule.schedule_slug,
    "workflow": lambda schedule: schedule.workflow_slug,
    "cron": lambda schedule: schedule.cron,
    "zone": lambda schedule: schedule.time_zone,
    "next": lambda schedule: when(schedule.next_at) or "paused",
    "last": lambda schedule: when(schedule.last_at),
    "status": lambda schedule: schedule.last_status,
    "missed": lambda schedule: schedule.missed,
    "skipped": lambda schedule: schedule.skipped,
    "problem": lambda schedule: schedule.problem,
}

LIMIT_COLUMNS: dict[str, Callable[[Any], object]] = {
    "limit": lambda limit: limit.limit_name,
    "key": lambda limit: limit.key,
    "at once": lambda limit: "any" if limit.at_once is None else limit.at_once,
    "a second": lambda limit: "any" if limit.per_second is None else f"{limit.per_second:g}",
    "running": lambda limit: limit.running,
    "waiting": lambda limit: limit.waiting,
}

RECOMMENDATION_COLUMNS: dict[str, Callable[[Any], object]] = {
    "step": lambda found: found.step_slug,
    "key": lambda found: found.key,
    "now": lambda found: as_json(found.current),
    "suggested": lambda found: as_json(found.suggested),
    "gain": lambda found: percent(found.predicted_gain),
    "of": lambda found: found.n,
    "why": lambda found: found.why,
}

POLICY_COLUMNS: dict[str, Callable[[Any], object]] = {
    "policy": lambda policy: policy.number,
    "state": lambda policy: policy.state,
    "level": lambda policy: policy.level,
    "version": lambda policy: policy.tuned_version,
    "changes": lambda policy: ", ".join(
        f"{change['step_slug']}.{change['key']} {change['current']} -> {change['suggested']}"
        for change in policy.changes
    ),
    "predicted": lambda policy: percent(policy.predicted_gain),
    "measured": lambda policy: percent(policy.measured_gain),
    "won": lambda policy: policy.won,
    "lost": lambda policy: policy.lost,
    "reason": lambda policy: policy.reason,
}

WORKER_COLUMNS: dict[str, Callable[[Any], object]] = {
    "name": lambda worker: worker.name or worker.worker_id,
    "state": lambda worker: worker.state,
    "running": lambda worker: "" if worker.slots is None else f"{worker.running}/{worker.slots}",
    "seen": lambda worker: when(worker.last_seen_at),
    "since": lambda worker: when(worker.since),
    "host": lambda worker: worker.host,
    "pid": lambda worker: worker.pid,
    "version": lambda worker: worker.version,
    "queues": lambda worker: ", ".join(worker.queues),
    "commands": lambda worker: "any" if worker.commands is None else ", ".join(worker.commands),
}

EVENT_COLUMNS: dict[str, Callable[[Any], object]] = {
    "at": lambda event: when(event.at),
    "what": lambda event: event.what,
    "step": lambda event: event.step_slug,
    "task": lambda event: event.task_index,
    "attempt": lambda event: event.attempt,
    "who": lambda event: event.who,
    "detail": lambda event: event.detail,
}

PAST_COLUMNS: dict[str, Callable[[Any], object]] = {
    "at": lambda event: when(event.at),
    "what": lambda event: event.what,
    "who": lambda event: event.who,
    "workflow": lambda event: event.workflow_slug,
    "run": lambda event: event.run_id,
    "step": lambda event: event.step_slug,
    "task": lambda event: event.task_index,
    "detail": lambda event: event.detail,
}

STATS_COLUMNS: dict[str, Callable[[Any], object]] = {
    "workflow": lambda stats: f"{stats.workflow_slug} {stats.version}",
    "step": lambda stats: stats.step_slug,
    "n": lambda stats: stats.n,
    "failed": lambda stats: stats.failures or "",
    "waited": lambda stats: _span(stats.waited_p50),
    "95 %": lambda stats: _span(stats.waited_p95),
    "worked": lambda stats: _span(stats.worked_p50),
    "95 % ": lambda stats: _span(stats.worked_p95),
    "before": lambda stats: _span(stats.worked_p50_before),
    "change": lambda stats: "" if stats.change is None else f"x {stats.change}",
}

WAIT_COLUMNS: dict[str, Callable[[Any], object]] = {
    "run": lambda wait: wait.run_id,
    "workflow": lambda wait: wait.workflow_slug,
    "step": lambda wait: wait.step_slug,
    "signals": lambda wait: ", ".join(wait.signals),
    "since": lambda wait: when(wait.since),
    "until": lambda wait: when(wait.until),
    "key": lambda wait: wait.idempotency_key,
}

INPUT_COLUMN: dict[str, Callable[[Any], object]] = {"input": lambda wait: as_json(wait.input)}

PATH_COLUMNS: dict[str, Callable[[Any], object]] = {
    "step": lambda step: step.step_slug,
    "ready": lambda step: when(step.ready_at),
    "waited": lambda step: step.waited,
    "worked": lambda step: step.worked,
    "share": lambda step: "" if step.share is None else f"{step.share:.0%}",
    "slack": lambda step: step.slack,
}

ATTEMPT_COLUMNS: dict[str, Callable[[Any], object]] = {
    "task": lambda attempt: f"{attempt.step_slug}/{attempt.task_index}",
    "attempt": lambda attempt: attempt.attempt,
    "outcome": lambda attempt: attempt.kind or attempt.outcome,
    "due": lambda attempt: when(attempt.due_at),
    "began": lambda attempt: when(attempt.began_at),
    "ended": lambda attempt: when(attempt.ended_at),
    "worker": lambda attempt: attempt.worker,
    "error": lambda attempt: attempt.error_message,
}

GOAL_COLUMNS: dict[str, Callable[[Any], object]] = {
    "goal": lambda goal: goal.goal_id,
    "status": lambda goal: goal.status,
    "tasks": lambda goal: "" if goal.done_tasks is None else f"{goal.done_tasks}/{goal.tasks}",
    "by": lambda goal: goal.decomposer,
    "created": lambda goal: when(goal.created_at),
    "ended": lambda goal: when(goal.ended_at),
    "text": lambda goal: goal.goal,
    "error": lambda goal: goal.error_message,
}

METHOD_COLUMNS: dict[str, Callable[[Any], object]] = {
    "number": lambda method: method.number,
    "for": lambda method: f"task {method.task}" if method.task else method.pattern or "any goal",
    "condition": lambda method: method.condition,
    "tasks": lambda method: ", ".join(map(name_of, tasks_of(method.graph))),
}

DIFFERENCE_COLUMNS: dict[str, Callable[[Any], object]] = {
    "path": lambda difference: difference.path,
    "change": lambda difference: difference.change,
    "before": lambda difference: _value(difference.before, difference.change == "added"),
    "after": lambda difference: _value(difference.after, difference.change == "removed"),
}

SIZE_COLUMNS: dict[str, Callable[[Any], object]] = {
    "what": lambda size: size.what,
    "kind": lambda size: size.kind,
    "rows": lambda size: size.rows_estimate,
    "size": lambda size: bytes_of(size.bytes),
    "dead": lambda size: "" if size.dead_share is None else f"{size.dead_share:.0%}",
}

PRUNE_COLUMNS: dict[str, Callable[[Any], object]] = {
    "workflow": lambda pruned: pruned.workflow_slug,
    "status": lambda pruned: pruned.status,
    "runs": lambda pruned: pruned.runs,
    "tasks": lambda pruned: pruned.tasks,
    "oldest": lambda pruned: when(pruned.oldest),
}


def _span(length: timedelta | None) -> str:
    """A length of time to three digits, which is more than is known of it."""
    if length is None:
        return ""
    seconds = length.total_seconds()
    if seconds < 100:
        return f"{seconds:.3g} s"
    return str(timedelta(seconds=round(seconds)))


def estimate(found: Estimate) -> str:
    """When a run is expected to end."""
    said = [
        "Nobody knows when it will end."
        if found.expected_at is None
        else f"About {when(found.expected_at)}, by {when(found.p95_at)} in 95 of 100 cases."
    ]
    if found.based_on:
        said.append(f"Of the step of which least is known: {found.based_on} times before.")
    if found.note is not None:
        said.append(f"But: {found.note}.")
    return " ".join(said)


def failure(failed: FailedAttempt) -> list[str]:
    """A failed attempt, with all that the worker sent of it."""
    lines = [_field(name, shown(failed)) for name, shown in FAILURE_COLUMNS.items()]
    details = failed.error_details
    if isinstance(details, dict) and isinstance(details.get("traceback"), str):
        return [*lines, lines_of(details["traceback"])]
    return lines if details is None else [*lines, as_json(details, indent=2)]


def exit_of(status: Status) -> Exit:
    """How a command ends that looked at a run: not well when it failed or was cancelled."""
    return Exit.UNWELL if status["status"] in ("failed", "cancelled") else Exit.OK


def status(found: Status) -> list[str]:
    """All that quantumflow.status says, as lines."""
    lines = [_field("run", found["run_id"]), _field("workflow", _workflow(found))]
    lines.append(_field("status", coloured(found["status"]), is_clean=True))
    for name, key in (("created", "created_at"), ("started", "started_at"), ("ended", "ended_at")):
        if found[key] is not None:
            lines.append(_field(name, when(found[key])))
    if found.get("deadline") is not None:
        lines.append(_field("ends by", when(found["deadline"])))
    if found["idempotency_key"] is not None:
        lines.append(_field("key", found["idempotency_key"]))
    lines += [_field(name, found[name]) for name in ("priority", "retries") if found[name]]
    if found["gave_up"]:
        lines.append(_field("gave up", f"{found['gave_up']} of its steps and tasks"))
    if found["error_message"] is not None:
        lines.append(_field("error", found["error_message"]))
    lines += ["", *fitted(steps(found))]
    if found.get("children"):
        lines += ["", "runs that its steps have started", *fitted(tree(found["children"]))]
    lines += ["", "input", as_json(found["input"], indent=2)]
    if found["output"] is not None:
        lines += ["output", as_json(found["output"], indent=2)]
    return lines


def goal(found: Status) -> list[str]:
    """All that quantumflow.goal_status says, as lines: the tasks as a tree."""
    lines = [_field("goal", found["goal"]), _field("id", found["goal_id"])]
    lines.append(_field("status", coloured(found["status"]), is_clean=True))
    lines.append(_field("by", found["decomposer"]))
    if found["run_id"] is not None:
        lines.append(_field("run", found["run_id"]))
    if found["error_message"] is not None:
        lines.append(_field("error", found["error_message"]))
    if found["problems"] is not None:
        lines.append(_field("problems", ""))
        lines += [f"  {one_line(line)}" for line in found["problems"].splitlines()]
    if found["graph"] is not None:
        lines += ["", *fitted(tasks(found["graph"], found["tasks"]))]
    if found["output"] is not None:
        lines += ["", "output", as_json(found["output"], indent=2)]
    return lines


def tasks(graph: Any, states: Mapping[str, str]) -> list[str]:
    """The tasks of a graph as a tree: below each goal what it was decomposed into."""
    lines = []
    for task in tree_of(graph, states):
        line = f"{'  ' * (task.depth + 1)}{task.name}"
        line += f"  {coloured(task.status)}" if task.status else ""
        line += f"  <- {', '.join(task.waits_for)}" if task.waits_for else ""
        lines.append(line)
    return lines


def title(found: Status) -> str:
    """A run in a line."""
    steps = found["steps"]
    done = len(steps) - found["remaining_steps"]
    state = coloured(found["status"])
    if found["gave_up"]:
        state += f", gave up {found['gave_up']}"
    return f"{found['run_id']}  {_workflow(found)}  {state}  {done}/{len(steps)} steps"


def steps(found: Status) -> list[str]:
    """A line for each step, and for each callback: its status, a bar, how many tasks are done."""
    everything = found["steps"] + found["callbacks"]
    width = max((len(one_line(step["step_slug"])) for step in everything), default=0)
    under_way = {s["step_slug"] for s in found["steps"] if s["status"] in ("created", "started")}
    lines = []
    for step in everything:
        name = one_line(step["step_slug"]).ljust(width)
        waits = _waits(step, under_way)
        line = f"  {name}  {coloured(step['status'], 9)}  {one_line(waits or _tasks(step))}"
        if why := _why(step):
            line += f"  {one_line(why)}"
        lines.append(line.rstrip())
    return lines


def tree(children: list[Any], depth: int = 1) -> list[str]:
    """A line for each run below another, further in the deeper it is."""
    lines = []
    for child in children:
        where = f"{child['step_slug']}[{child['task_index']}]"
        line = (
            f"{'  ' * depth}{one_line(where)}  {one_line(child['workflow_slug'])}  "
            f"{coloured(child['status'])}  {child['run_id']}"
        )
        if child["error_message"]:
            line += f"  {one_line(child['error_message'])}"
        lines += [line, *tree(child["children"], depth + 1)]
    return lines


def _waits(step: dict[str, Any], under_way: Collection[str]) -> str | None:
    """What a step waits for, and until when, in a line; None: for nothing, or for a worker.

    Args:
        step: As the status of its run has it.
        under_way: The steps of that run that have not ended.
    """
    if step["status"] == "created":
        before = (step.get("depends_on") or []) + (step.get("after") or [])
        open_ones = [slug for slug in before if slug in under_way]
        return f"waits for {', '.join(open_ones)}" if open_ones else None
    if step["status"] != "started" or step.get("step_type") not in ("sleep", "wait", "flow"):
        return None
    until = step.get("until")
    if step["step_type"] == "flow":
        child = f"run {step['child']}" if step.get("child") else "its run to start"
        return f"waits for {child} of {step.get('child_flow')}"
    if step["step_type"] == "sleep":
        return f"sleeps until {when(until)}"
    limit = f", until {when(until)}" if until else ""
    return f"waits for the signal {' or '.join(step['signals'])}{limit}"


def _why(step: dict[str, Any]) -> str | None:
    """Why a step failed, fell back or was skipped, in a line."""
    error: str | None = step["error_message"]
    if step.get("fell_back"):
        return f"fell back: {error}"
    match step.get("skip_reason"):
        case "condition":
            return f"its condition was false: {step['condition']}{_saw(step)}"
        case "dependency":
            return "too few of its dependencies completed"
    return error


def _saw(step: dict[str, Any]) -> str:
    saw = [
        f"{path} {as_json(seen[0] if isinstance(seen, list) and len(seen) == 1 else seen)}"
        for path, seen in (step.get("saw") or {}).items()
    ]
    return f"; it saw {', '.join(saw)}" if saw else ""


def _tasks(step: dict[str, Any]) -> str:
    tasks = step.get("tasks")
    if tasks is None:  # a callback
        return ""
    total = tasks["total"]
    if step.get("iterations"):
        return _iterations(step)
    if not total:
        return ""
    done = tasks.get("completed", 0) + tasks.get("skipped", 0)
    filled = _BAR * done // total
    text = f"[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total}"
    for status, word in (("started", "running"), ("failed", "failed"), ("cancelled", "cancelled")):
        if tasks.get(status):
            text += f", {tasks[status]} {word}"
    if tasks["failures"]:
        text += f", {tasks['failures']} failed attempts"
    return text


def _iterations(step: dict[str, Any]) -> str:
    """How far a loop is, and of what; once it has ended, how many iterations it had."""
    made, most = step["iterations"], step["max_iterations"]
    filled = _BAR * made // most
    text = f"{made} iterations"
    if step["status"] == "started":
        text = f"[{'#' * filled}{'.' * (_BAR - filled)}] iteration {made} of {most} at most"
    if step["tasks"]["failures"]:
        text += f", {step['tasks']['failures']} failed attempts"
    return text


def percent(share: float | None) -> str:
    """A share of one as 12 %; nothing for None."""
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def bytes_of(size: int) -> str:
    """A size, to be read at a glance."""
    for unit, bytes_ in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size} B"


def _value(value: object, is_none: bool) -> str:
    return "" if is_none else as_json(value)


def _workflow(found: Status) -> str:
    return f"{found['workflow_slug']}, version {found['version']}"


def _field(name: str, value: object, *, is_clean: bool = False) -> str:
    return f"{name:<10}{value if is_clean else one_line(value)}"
