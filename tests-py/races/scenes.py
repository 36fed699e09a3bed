"""The states in which two calls meet, and the calls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from races.stopping import holding
from support.engine import Engine, Task, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

# The clock: the leases last from 0 to 10; runs end at 5; the calls race at 20; messages put aside
# are back at 21.
CLAIMED, ENDED, RACE, LATER = 0, 5, 20, 21


@dataclass(frozen=True)
class Case:
    """A run in some state: left is the task that calls are about, right another one."""

    run_id: UUID
    flow: str
    left: Task
    right: Task
    from_step: str | None = None


def _left_and_right(
    setup: Engine, flow: str, flow_input: Any = None, lease: float = RACE / 2
) -> Case:
    """A run whose two first tasks have been claimed."""
    run_id = setup.start(flow, flow_input)
    left, right = sorted(setup.claim(2, lease=lease), key=lambda task: task.key)
    return Case(run_id, flow, left, right)


def _moving(setup: Engine, third: Engine, flow: str) -> Case:
    return _left_and_right(setup, flow)


def _mapping(setup: Engine, third: Engine, flow: str) -> Case:
    return _left_and_right(setup, flow, ["x", "y"])


def _passing(setup: Engine, third: Engine, flow: str) -> Case:
    """Nothing has run out, so that a result of left alone passes its message on to next."""
    return _left_and_right(setup, flow, lease=3600)


def _paused(setup: Engine, third: Engine, flow: str) -> Case:
    """One task under way, one parked, and a step that may be ready before the run is resumed."""
    case = _left_and_right(setup, flow)
    setup.release([case.right])
    assert setup.value("select status from quantumflow.pause_run(%s)", case.run_id) == "paused"
    return case


def _failed(setup: Engine, third: Engine, flow: str) -> Case:
    """Left is the task that the failure cancelled, right the one that failed."""
    case = _left_and_right(setup, flow)
    setup.set_clock(ENDED)
    assert setup.fail(case.right, retryable=False) == "failed"
    return case


def _unfinished(setup: Engine, third: Engine, flow: str) -> Case:
    """A cancelled run whose left task somebody held when it ended."""
    case = _left_and_right(setup, flow)
    setup.set_clock(ENDED)
    with holding(third, "task", case.run_id):
        assert setup.cancel(case.run_id) == "cancelled"
    return case


def _completed(setup: Engine, third: Engine, flow: str) -> Case:
    """Left is the claimed callback of a run of which all steps are done."""
    case = _left_and_right(setup, flow)
    setup.set_clock(ENDED)
    assert setup.complete_all([(case.left, 1), (case.right, 2)]) == ["completed"] * 2
    assert setup.complete(*setup.claim(1)) == "completed"
    (callback,) = setup.claim(1, lease=10)
    return Case(case.run_id, flow, callback, callback, "left")


def _waiting(setup: Engine, third: Engine, flow: str) -> Case:
    """Left waits, or sleeps, and right is claimed."""
    run_id = setup.start(flow)
    (right,) = setup.claim(1, lease=RACE / 2)
    return Case(run_id, flow, Task(run_id, "left", 0, 0, None, 0), right)


def _signalled(setup: Engine, third: Engine, flow: str) -> Case:
    """Left waits, its signal is there, and nobody has looked since: its row was held."""
    case = _waiting(setup, third, flow)
    with holding(third, "task", case.run_id):
        assert _signal(setup, case) == "delivered"
    return case


def _waiting_paused(setup: Engine, third: Engine, flow: str) -> Case:
    """Left waits in a paused run."""
    case = _waiting(setup, third, flow)
    assert setup.value("select status from quantumflow.pause_run(%s)", case.run_id) == "paused"
    return case


def _resumed(setup: Engine, third: Engine, flow: str) -> Case:
    """Left waits, and its signal came while the run was paused."""
    case = _waiting_paused(setup, third, flow)
    assert _signal(setup, case) == "kept"
    assert setup.value("select status from quantumflow.resume_run(%s)", case.run_id) == "started"
    return case


def _waiting_cancelled(setup: Engine, third: Engine, flow: str) -> Case:
    """A cancelled run whose waiting task somebody held when it ended."""
    case = _waiting(setup, third, flow)
    setup.set_clock(ENDED)
    with holding(third, "task", case.run_id):
        assert setup.cancel(case.run_id) == "cancelled"
    return case


def _timed_out(setup: Engine, third: Engine, flow: str) -> Case:
    """A run that failed since no signal came."""
    case = _waiting(setup, third, flow)
    setup.set_clock(ENDED)
    setup.sweep()
    assert setup.run_status(case.run_id) == "failed"
    return case


def _answered(setup: Engine, third: Engine, flow: str) -> Case:
    """A completed run whose left step had its signal."""
    case = _waiting(setup, third, flow)
    setup.set_clock(ENDED)
    assert _signal(setup, case) == "delivered"
    setup.sweep()
    assert setup.complete(case.right) == "completed"
    assert setup.complete(*setup.claim(1)) == "completed"
    assert setup.run_status(case.run_id) == "completed"
    return replace(case, from_step="left")


def _scheduled(setup: Engine, third: Engine, flow: str) -> Case:
    """The last run of a schedule that is due again, which cancels it to start the next one."""
    case = _left_and_right(setup, flow, lease=3600)
    _schedule(setup, case)
    setup.rows(
        "update quantumflow.schedules set due_at = quantumflow._now() + %(s)s * interval '1 s', "
        "next_at = quantumflow._now() + %(s)s * interval '1 s', last_run_id = %(run)s returning 1",
        s=RACE - 1,
        run=case.run_id,
    )
    return case


def _expiring(setup: Engine, third: Engine, flow: str) -> Case:
    """Left and right are under way in a run whose time is over."""
    return _left_and_right(setup, flow, lease=3600)


def _damaged(setup: Engine, third: Engine, flow: str) -> Case:
    """A run that goes on, but right's message is gone, and the run counts wrongly."""
    case = _left_and_right(setup, flow)
    setup.rows(
        "select pgmq.delete(queue, message_id) from quantumflow.step_tasks "
        "where run_id = %s and step_slug = 'right'",
        case.run_id,
    )
    setup.connection.execute(
        "update quantumflow.workflow_runs set remaining_steps = 7 where id = %s", (case.run_id,)
    )
    return case


@dataclass(frozen=True)
class Scene:
    """A state of a run, the calls that meet in it, and the rows that can stop them."""

    build: Callable[[Engine, Engine, str], Case]
    calls: tuple[str, ...]
    right_calls: tuple[str, ...] = ()
    rows: tuple[str, ...] = ("message", "task", "step", "run", "child")
    # Which step's message, task, row and child are held, where it is not left's.
    steps: dict[str, str] = field(default_factory=dict)
    definition: dict[str, Any] = field(default_factory=dict)
    limits: tuple[int, ...] = (3,)
    # The call that the scene is for, if it is: the others do not meet in it.
    about: str = ""
    # The call without which the state is not a sound one, if there is one.
    mends: str = ""
    # Whether no rule is broken right after both calls, before a sweep.
    is_sound: bool = False
    # One of so many of its pairs that would not be long is not.
    share: int = 1


_REPORTS = ("complete", "exchange", "fail", "fail once", "extend", "release")
_RIGHT = tuple(f"{report} right" for report in _REPORTS)
_STEERING = ("cancel", "pause", "resume", "retry run", "delete")
_CALLS = ("claim", *_REPORTS, *_STEERING, "sweep", "prune")
_JOIN: list[dict[str, Any]] = [
    {"name": "left"},
    {"name": "right"},
    {"name": "join", "dependencies": ["left", "right"]},
]
_NOTED = {"on_complete": "note", "on_failure": "note"}

# What may be called beside what waits.
_WAITS = ("signal", "settle", "sweep", "claim", "by hand", "cancel", "pause")
_WAITING_ROWS = ("nothing", "message", "task", "step", "run", "child")


def _wait_scene(
    build: Callable[[Engine, Engine, str], Case],
    calls: tuple[str, ...],
    right_calls: tuple[str, ...] = (),
    *,
    rows: tuple[str, ...] = _WAITING_ROWS,
    **limits: Any,
) -> Scene:
    """A scene in which left is a step that no worker is given: a wait, unless it says otherwise."""
    left = {"name": "left", "type": "wait", "signals": ["go", "stop"]} | limits
    steps = [
        {key: value for key, value in left.items() if value is not None},
        {"name": "right"},
        {"name": "join", "dependencies": ["left"]},
    ]
    return Scene(
        build,
        calls,
        right_calls,
        rows=rows,
        definition={"steps": steps},
        is_sound=True,
        share=5,
    )


SCENES = {
    "moving": Scene(
        _moving,
        (*_CALLS, "hold", "add_step", "start", "start_ready_steps"),
        _RIGHT,
        definition={"steps": _JOIN, **_NOTED},
        limits=(3, 1),
    ),
    "mapping": Scene(
        _mapping,
        ("claim", *_REPORTS, "cancel", "pause", "sweep"),
        _RIGHT,
        steps={"message": "each", "task": "each", "step": "each", "child": "after"},
        definition={
            "steps": [{"name": "each", "type": "map"}, {"name": "after", "dependencies": ["each"]}]
        },
        limits=(3, 1),
    ),
    "passing": Scene(
        _passing,
        (
            "exchange",
            "claim",
            "complete",
            "fail",
            "fail once",
            "extend",
            "release",
            *_STEERING,
            "hold",
            "sweep",
        ),
        ("exchange right", "fail right"),
        steps={"child": "next"},
        definition={
            "steps": [*_JOIN[:2], {"name": "next", "dependencies": ["left"]}],
            **_NOTED,
        },
        about="exchange",
    ),
    "resigning": Scene(
        _moving,
        ("claim", "complete", "fail", "cancel", "pause", "resume", "retry run", "sweep"),
        ("complete right", "fail right"),
        definition={
            "steps": [
                {"name": "left", "on_error": "continue"},
                {"name": "right", "fallback": "instead"},
                {**_JOIN[2], "join": "any", "if": '$.right == "right"'},
                {"name": "next", "dependencies": ["join"]},
                {"name": "after", "after": ["left", "join"]},
            ],
            **_NOTED,
        },
        limits=(3, 1),
    ),
    # Completing left fails the run at the gate, by a report that holds it no longer than others do.
    "undecided": Scene(
        _moving,
        ("claim", "complete", "exchange", "cancel", "pause", "retry run", "sweep"),
        ("complete right", "fail once right"),
        definition={
            "steps": [
                *_JOIN[:2],
                {"name": "join", "dependencies": ["left"], "if": "$.left > 1"},
                {"name": "next", "dependencies": ["join", "right"]},
            ],
            **_NOTED,
        },
        limits=(3, 1),
    ),
    "tolerating": Scene(
        _mapping,
        ("claim", "complete", "fail", "fail once", "cancel", "sweep"),
        ("complete right", "fail right"),
        steps={"message": "each", "task": "each", "step": "each", "child": "after"},
        definition={
            "steps": [
                {"name": "each", "type": "map", "tolerate": "49%", "on_error": "continue"},
                {"name": "after", "dependencies": ["each"], "join": "none", "if": "1 == 1"},
            ]
        },
        limits=(3, 1),
    ),
    # Completing left makes its next iteration, by a report that holds the run as if a step ended.
    "looping": Scene(
        _moving,
        ("claim", "complete", "exchange", "fail", "fail once", *_STEERING[:4], "sweep", "repair"),
        ("complete right", "fail right"),
        steps={"message": "each", "task": "each", "step": "each", "child": "after"},
        definition={
            "steps": [
                {
                    "name": "each",
                    "type": "loop",
                    "until": "$iteration == 2",
                    "max_iterations": 3,
                    "keep": 1,
                },
                {"name": "right"},
                {"name": "after", "dependencies": ["each", "right"]},
            ],
            **_NOTED,
        },
        share=3,
    ),
    "paused": Scene(
        _paused,
        (*_CALLS, "start_ready_steps"),
        definition={"steps": [*_JOIN, {"name": "next", "dependencies": ["left"]}], **_NOTED},
    ),
    "failed": Scene(
        _failed,
        (*_CALLS, "start"),
        rows=("task", "step", "run", "child"),
        definition={"steps": _JOIN},
    ),
    "unfinished": Scene(
        _unfinished,
        _CALLS,
        rows=("message", "task", "step", "run", "end"),
        definition={"steps": _JOIN},
    ),
    "completed": Scene(
        _completed,
        ("claim", *_REPORTS, "cancel", "retry run", "delete", "sweep", "prune"),
        rows=("message", "task", "step", "run", "child", "child task"),
        steps={"message": "_on_complete", "task": "_on_complete"},
        definition={"steps": _JOIN, **_NOTED},
    ),
    "wait due": _wait_scene(
        _waiting,
        (*_WAITS, "fail by hand"),
        ("signal stop", "complete right", "fail right"),
        timeout=10,
    ),
    "wait open": _wait_scene(
        _waiting, (*_WAITS, "fail by hand", "repair"), ("signal stop", "fail right")
    ),
    "wait signalled": _wait_scene(
        _signalled,
        (*_WAITS, "repair"),
        ("signal stop", "fail right"),
        rows=(*_WAITING_ROWS, "signal"),
    ),
    "sleep due": _wait_scene(
        _waiting,
        (*_WAITS[1:], "repair"),
        ("complete right", "fail right"),
        type="sleep",
        signals=None,
        seconds=10,
    ),
    "wait paused": _wait_scene(_waiting_paused, (*_WAITS, "resume", "repair"), timeout=10),
    "wait resumed": _wait_scene(
        _resumed, (*_WAITS, "resume", "repair"), rows=(*_WAITING_ROWS, "signal"), timeout=10
    ),
    "wait cancelled": _wait_scene(
        _waiting_cancelled,
        ("signal", "settle", "sweep", "claim", "cancel", "retry run", "delete", "prune"),
        rows=("nothing", "message", "task", "step", "run", "end"),
    ),
    "wait timed out": _wait_scene(
        _timed_out,
        ("signal", "settle", "sweep", "claim", "retry run", "delete", "prune"),
        rows=("nothing", "task", "step", "run", "child"),
        timeout=ENDED - 1,
    ),
    "wait answered": _wait_scene(
        _answered,
        ("signal", "settle", "sweep", "claim", "retry run", "delete", "prune"),
        rows=("nothing", "task", "step", "run", "child", "signal"),
    ),
    "expiring": Scene(
        _expiring,
        ("settle", "sweep", "claim", "complete", "fail", "exchange", *_STEERING),
        ("complete right", "fail once right"),
        rows=_WAITING_ROWS,
        steps={"message": "_run_timeout", "task": "_run_timeout"},
        definition={"steps": _JOIN, "run_timeout": 10, **_NOTED},
        is_sound=True,
        share=5,
    ),
    "scheduled": Scene(
        _scheduled,
        (
            "settle",
            "sweep",
            "schedule",
            "pause schedule",
            "resume schedule",
            "unschedule",
            *("complete", "fail", "exchange"),
            *_STEERING,
        ),
        ("complete right", "fail right"),
        rows=("nothing", "schedule", "message", "task", "step", "run"),
        definition={"steps": _JOIN, **_NOTED},
        is_sound=True,
        share=5,
    ),
    "damaged": Scene(
        _damaged,
        (*_CALLS, "start_ready_steps", "start", "repair"),
        _RIGHT,
        definition={"steps": _JOIN, **_NOTED},
        mends="repair",
    ),
}


def _handed_out(tasks: list[Task], case: Case) -> tuple[str, ...]:
    return tuple(
        sorted(t.step_slug if t.run_id == case.run_id else f"other {t.step_slug}" for t in tasks)
    )


def _exchange(engine: Engine, case: Case, task: Task, output: str) -> tuple[str, ...]:
    """The outcome, and what was handed out."""
    (outcome,), tasks = engine.exchange([(task, output)], 5)
    return outcome, *_handed_out(tasks, case)


def _steer(verb: str) -> Callable[[Engine, Case], Any]:
    query = f"select status from quantumflow.{verb}(%s)"
    return lambda engine, case: engine.value(query, case.run_id)


def _retry(engine: Engine, case: Case) -> Any:
    query = "select status from quantumflow.retry_run(%s, %s)"
    return engine.value(query, case.run_id, case.from_step)


def _prune(engine: Engine, _: Case) -> Any:
    return engine.value("select quantumflow.prune(%s)", timedelta(seconds=1))


def _add_step(engine: Engine, case: Case) -> Any:
    return engine.value("select step_slug from quantumflow.add_step(%s, 'more')", case.flow)


def _start(engine: Engine, case: Case) -> str:
    engine.start(case.flow, key="again")
    return "started"


def _repair(engine: Engine, _: Case) -> Any:
    """What it could not do, if anything."""
    actions = engine.rows("select action from quantumflow.repair(dry_run => false)")
    return tuple(a for (a,) in actions if not a.startswith("done")) or "repaired"


def _hold(engine: Engine, case: Case) -> Any:
    return engine.value(
        "select quantumflow.hold_task(%s, %s, %s, %s)", *case.left.key, case.left.lease_token
    )


def _signal(engine: Engine, case: Case, name: str = "go") -> Any:
    return engine.value(
        "select quantumflow.send_signal(%s, %s, %s)", case.run_id, name, Jsonb(name)
    )


def _schedule(engine: Engine, case: Case) -> Any:
    query = (
        "select schedule_slug from quantumflow.schedule_flow("
        "'again', %s, '0 0 * * *', overlap => 'cancel')"
    )
    return engine.value(query, case.flow)


def _of_schedule(verb: str) -> Callable[[Engine, Case], Any]:
    query = f"select schedule_slug from quantumflow.{verb}('again')"
    return lambda engine, _: engine.value(query)


def _unschedule(engine: Engine, _: Case) -> Any:
    engine.rows("select quantumflow.unschedule_flow('again')")
    return "again"


def _by_hand(verb: str, more: str) -> Callable[[Engine, Case], Any]:
    query = f"select quantumflow.{verb}(%s, 'left', {more})"
    return lambda engine, case: engine.value(query, case.run_id)


CALLS: dict[str, Callable[[Engine, Case], Any]] = {
    "claim": lambda engine, case: _handed_out(engine.claim(5), case),
    "complete": lambda engine, case: engine.complete(case.left, "left"),
    "exchange": lambda engine, case: _exchange(engine, case, case.left, "left"),
    "fail": lambda engine, case: engine.fail(case.left, retryable=False),
    "fail once": lambda engine, case: engine.fail(case.left),
    "extend": lambda engine, case: engine.extend([case.left])[0],
    "hold": _hold,
    "release": lambda engine, case: engine.release([case.left]),
    "cancel": _steer("cancel_run"),
    "pause": _steer("pause_run"),
    "resume": _steer("resume_run"),
    "delete": _steer("delete_run"),
    "repair": _repair,
    "retry run": _retry,
    "sweep": lambda engine, _: engine.sweep()["lapsed leases"],
    "settle": lambda engine, _: engine.value("select settled from quantumflow.settle()"),
    "signal": _signal,
    "signal stop": lambda engine, case: _signal(engine, case, "stop"),
    "by hand": _by_hand("complete_task", "output => '\"hand\"'"),
    "fail by hand": _by_hand("fail_task", "error_message => 'no'"),
    "prune": _prune,
    "schedule": _schedule,
    "pause schedule": _of_schedule("pause_schedule"),
    "resume schedule": _of_schedule("resume_schedule"),
    "unschedule": _unschedule,
    "add_step": _add_step,
    "start": _start,
    "start_ready_steps": lambda engine, case: engine.start_ready_steps(case.run_id),
    "complete right": lambda engine, case: engine.complete(case.right, "right"),
    "exchange right": lambda engine, case: _exchange(engine, case, case.right, "right"),
    "fail right": lambda engine, case: engine.fail(case.right, retryable=False),
    "fail once right": lambda engine, case: engine.fail(case.right),
    "extend right": lambda engine, case: engine.extend([case.right])[0],
    "release right": lambda engine, case: engine.release([case.right]),
}
NEVER_WAIT = frozenset({"claim", "extend", "extend right", "sweep", "settle"})
# What passes over what it finds busy may leave another state than it would alone.
PASSES_OVER = NEVER_WAIT | {"exchange", "exchange right", "repair", "signal", "signal stop"}

_ENDED, _UNKNOWN = "QF207", "QF201"
# What a call may answer, whatever runs beside it, beside the tasks it was handed.
ANSWERS: dict[str, set[Any]] = {
    "claim": {None},
    "complete": {"completed", "duplicate", "stale", "run_ended"},
    "exchange": {"completed", "duplicate", "stale", "run_ended"},
    "fail": {"failed", "duplicate", "stale", "run_ended"},
    "fail once": {"retrying", "duplicate", "stale", "run_ended"},
    "extend": {"held", "lost", "cancelled"},
    "hold": {"held", "lost", "cancelled"},
    "release": {0, 1},
    "cancel": {"cancelled", _ENDED, _UNKNOWN},
    "pause": {"paused", _ENDED, _UNKNOWN},
    "resume": {"started", _ENDED, _UNKNOWN},
    "delete": {"failed", "cancelled", "completed", "QF213", _UNKNOWN},
    # A task or a step that somebody has is left, to be mended by the next repair.
    "repair": {"repaired", ("not done: it is still so",)},
    "retry run": {"started", "QF213", _UNKNOWN},
    "sweep": {0, 1, 2},
    "prune": {0, 1},
    "settle": {0, 1},
    "signal": {"delivered", "kept", "run_ended", "no_run"},
    "signal stop": {"delivered", "kept", "run_ended", "no_run"},
    "by hand": {"completed", "duplicate", "run_ended", "stale"},
    "fail by hand": {"failed", "duplicate", "run_ended", "stale"},
    "schedule": {"again"},
    "pause schedule": {"again", "QF223"},
    "resume schedule": {"again", "QF223"},
    "unschedule": {"again", "QF223"},
    "add_step": {"more"},
    "start": {"started"},
    "start_ready_steps": {0, 1, _UNKNOWN},
}
ACTED = {"completed", "failed", "retrying"}


def call(name: str, case: Case, engine: Engine) -> Any:
    """Make a call; a refusal with a code of ours is an answer."""
    try:
        return CALLS[name](engine, case)
    except psycopg.Error as error:
        if (error.sqlstate or "").startswith("QF"):
            return error.sqlstate
        raise


class Arena:
    """A database, and the sessions that all cases in it use one after the other."""

    def __init__(self, new_engine: Callable[[], Engine]) -> None:
        self.setup, self.third, self.watcher = new_engine(), new_engine(), new_engine()
        self.racers = new_engine(), new_engine()
        allow_test_clock(self.setup.connection)
        self.setup.value("select quantumflow.setup()")
        # Who waits has a queue that is made when somebody does.
        self.setup.define("any_wait", [{"name": "wait", "type": "wait"}])
        for engine in self.racers:
            engine.set_clock(RACE)
        self._defined: set[str] = set()

    def new_case(self, name: str, max_lost: int, *, of_its_own: bool) -> Case:
        """Build a scene; of_its_own: of a workflow that no other case will find changed."""
        remove_runs(self.setup.connection)
        self._unschedule()
        flow = f"{name}_{max_lost}".replace(" ", "_") + (
            f"_{len(self._defined)}" if of_its_own else ""
        )
        if flow not in self._defined:
            definition = SCENES[name].definition | {"max_lost": max_lost, "timeout": 3600}
            self.setup.define(flow, **definition)
            self._defined.add(flow)
        self.setup.set_clock(CLAIMED)
        return SCENES[name].build(self.setup, self.third, flow)

    def state(self, name: str, case: Case) -> tuple[Any, ...]:
        """What there is after a sweep: runs, steps, tasks, messages, without times and ids."""
        self.setup.set_clock(LATER)
        if SCENES[name].mends:
            call(SCENES[name].mends, case, self.setup)
        self.setup.sweep()
        return tuple(
            self.setup.rows(
                """
                select r.id = %(run)s, 'run', null::int, r.status, r.remaining_steps, r.retries
                from quantumflow.workflow_runs r
                union all
                select s.run_id = %(run)s, s.step_slug, null, s.status, s.remaining_deps,
                  s.remaining_tasks
                from quantumflow.step_states s
                union all
                select t.run_id = %(run)s, t.step_slug, t.task_index, t.status, t.attempts, t.losses
                from quantumflow.step_tasks t
                union all
                select q.message ->> 'workflow_run_id' = %(run)s::text, q.message ->> 'step_name',
                  (q.message ->> 'task_index')::int, 'message', isfinite(q.vt)::int, null::int
                from (
                  select l.message, l.vt from pgmq.q_quantum_flow_queue l
                  union all
                  select l.message, l.vt from pgmq.q_quantum_flow_system l
                ) q
                union all
                select g.run_id = %(run)s, g.signal, null, coalesce(g.step_slug, 'untaken'), null,
                  null
                from quantumflow.signals g
                union all
                select h.last_run_id = %(run)s, h.schedule_slug, null,
                  case when h.paused_at is null then 'goes on' else 'paused' end, null, null
                from quantumflow.schedules h
                order by 1, 2, 3, 4
                """,
                run=case.run_id,
            )
        )

    def _unschedule(self) -> None:
        self.setup.connection.execute("delete from quantumflow.schedules")

    def messages(self) -> int:
        """How many there are, of tasks of either kind."""
        return self.setup.messages() + self.setup.messages("quantum_flow_system")

    def leftovers(self) -> list[tuple[Any, ...]]:
        """What is left when every run has been deleted: nothing."""
        self.setup.set_clock(1e6)
        self.setup.value("select quantumflow.prune('0 s')")
        return self.setup.rows(
            """
            select 'run', count(*) from quantumflow.workflow_runs having count(*) > 0
            union all
            select 'step', count(*) from quantumflow.step_states having count(*) > 0
            union all
            select 'task', count(*) from quantumflow.step_tasks having count(*) > 0
            union all
            select 'failure', count(*) from quantumflow.task_failures having count(*) > 0
            union all
            select 'undone task', count(*) from quantumflow.undone_tasks having count(*) > 0
            union all
            select 'signal', count(*) from quantumflow.signals having count(*) > 0
            union all
            select 'unfinished end', count(*) from quantumflow._unfinished_ends having count(*) > 0
            """
        )

    def work_to_the_end(self, case: Case) -> list[str]:
        """Let a worker go on as long as there is work; answers the statuses of all runs then."""
        self._unschedule()
        if self.setup.run_status(case.run_id) == "paused":
            call("resume", case, self.setup)
        hours = 1
        while self.messages() > 0 and hours < 10:
            self.setup.set_clock(hours * 3600)
            self.setup.sweep()
            self.setup.drain(5)
            if hours > 1:
                self.setup.rows(
                    "select quantumflow.send_signal(run_id, signals[1]) "
                    "from quantumflow.list_waits()"
                )
            hours += 1
        return [row[0] for row in self.setup.rows("select status from quantumflow.workflow_runs")]
