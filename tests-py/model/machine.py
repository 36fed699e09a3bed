"""The engine as a small Python model: what each call does to runs, steps, tasks and history.

It says what must come of a call, and leaves open only what the contract leaves open: which of the
tasks that may be claimed are handed out, in which order lapsed leases are noticed, and the jitter
of a retry's delay. These the model is told, and checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any

from support.engine import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from uuid import UUID

    from model.rules import Flow, Step


def told_at(seconds: float) -> str:
    """A moment of the clock, as JSON tells it."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat()


LIVE = ("queued", "started")
GOING_ON = ("started", "paused")
CALLBACKS = {"completed": "_on_complete", "failed": "_on_failure"}

Key = tuple[str, int]


@dataclass
class TaskState:
    """A task. Times are seconds of the clock; lease_end is when its message is visible again.

    It is ready between ready_at and ready_by, which differ by the jitter until somebody looks.
    """

    ready_at: float
    item: Any = None
    status: str = "queued"
    attempts: int = 0
    losses: int = 0
    token: int | None = None
    output: Any = None
    started_at: float = 0
    lease_end: float = 0
    ready_by: float = -1

    def delay(self, earliest: float, latest: float) -> None:
        self.ready_at, self.ready_by = earliest, latest


@dataclass
class StepState:
    """A step, as its row says it, and whether it fell back."""

    remaining_deps: int
    remaining_tasks: int | None
    status: str = "created"
    output: Any = None
    skip_reason: str | None = None
    tasks: int = 0
    failed_tasks: int = 0
    has_started: bool = False
    fell_back: bool = False
    started_at: float = 0


@dataclass
class SentSignal:
    """A signal that a run was sent, and who has taken it."""

    name: str
    payload: Any
    taken_by: str | None = None


@dataclass
class RunState:
    """A run with all that is its."""

    id: UUID
    flow: Flow
    status: str = "started"
    retries: int = 0
    output: Any = None
    steps: dict[str, StepState] = field(default_factory=dict)
    tasks: dict[Key, TaskState] = field(default_factory=dict)
    # By step, task, retries and attempt: the kind, the token of the lease, and whether its holder
    # said so.
    failures: dict[tuple[str, int, int, int], tuple[str, int | None, bool]] = field(
        default_factory=dict
    )
    signals: list[SentSignal] = field(default_factory=list)

    def has_ended(self, name: str) -> bool:
        """Whether a step has ended while its run goes on."""
        status = self.steps[name].status
        return status in ("completed", "skipped") or (
            status == "failed" and self.flow.step(name).goes_on
        )

    def _was_given_up(self, name: str) -> bool:
        return self.steps[name].fell_back or (
            self.steps[name].status == "failed" and self.flow.step(name).goes_on
        )

    @property
    def remaining_steps(self) -> int:
        return sum(not self.has_ended(name) for name in self.steps)

    @property
    def gave_up(self) -> int | None:
        """How many steps, each of which counts once, and tolerated tasks; None: it never can."""
        if not self.flow.can_give_up:
            return None
        return sum(
            1 if self._was_given_up(name) else step.failed_tasks
            for name, step in self.steps.items()
        )

    def output_of(self, name: str) -> Any:
        is_here = self.flow.step(name).is_map or self.steps[name].fell_back
        return self.steps[name].output if is_here else self.tasks[name, 0].output

    def failed_with(self, key: Key, token: int | None) -> bool:
        """Whether a reported failure of the task was one of this lease."""
        return token is not None and any(
            was_reported and failed_token == token and found[:2] == key
            for found, (_, failed_token, was_reported) in self.failures.items()
        )

    # What happens to steps.

    def start(self, now: float) -> None:
        for step in self.flow.steps:
            self.steps[step.name] = StepState(len(step.waits_for), None if step.is_map else 1)
        self.start_ready(now)

    def start_ready(self, now: float, passed: frozenset[str] = frozenset()) -> None:
        """Start what waits for nothing more, and what that leads to; end the run if it is done.

        A level at a time; passed: those that have passed the gate before.
        """
        while self.status == "started":
            ready = [
                step
                for step in self.flow.steps
                if self.steps[step.name].status == "created"
                and self.steps[step.name].remaining_deps == 0
            ]
            if not ready:
                break
            self._pass_gate(ready, passed, now)
            passed = frozenset()
        if self.status in GOING_ON and self.remaining_steps == 0:
            self.end("completed", now)

    def _pass_gate(self, ready: list[Step], passed: frozenset[str], now: float) -> None:
        """Of what comes to the gate at once nothing starts, or is skipped, if one fails the run."""
        verdicts = {
            step.name: "starts" if step.name in passed else self._verdict(step) for step in ready
        }
        failing = [step for step in ready if verdicts[step.name] == "fails"]
        fatal = [step for step in failing if step.last_resort is None]
        for step in fatal or failing:
            self.failures[step.name, 0, self.retries, 0] = ("condition", None, False)
        if fatal:
            for step in fatal:
                self.steps[step.name].status = "failed"
            self.end("failed", now)
            return
        for step in ready:
            verdict = verdicts[step.name]
            if verdict == "starts":
                self._become_ready(step, now)
            elif verdict == "fails":
                self._go_on_without(step)
            else:
                self.steps[step.name].status = "skipped"
                self.steps[step.name].skip_reason = verdict
                self._release_dependents(step)

    def _verdict(self, step: Step) -> str:
        statuses = {name: self.steps[name].status for name in step.waits_for}
        given = {
            name: self.output_of(name)
            for name in step.dependencies
            if statuses[name] == "completed"
        }
        return step.verdict(step.dependencies, given | {"run": self.flow.run_input}, statuses)

    def _become_ready(self, step: Step, now: float) -> None:
        state = self.steps[step.name]
        state.status, state.has_started, state.started_at = "started", True, now
        items = step.tasks(self._source(step)) if step.is_map else [None]
        state.tasks = len(items)
        if step.is_map:
            kept = sum(key[0] == step.name for key in self.tasks)
            state.remaining_tasks = len(items) - kept
        for index, item in enumerate(items):
            self.tasks.setdefault((step.name, index), TaskState(_due_at(step, now), item))
        if not items:
            self._finish(step)

    def _source(self, step: Step) -> Any:
        """What a map maps over; nothing, where that did not complete."""
        if step.map_over is None:
            return self.flow.run_input
        is_there = self.steps[step.map_over].status == "completed"
        return self.output_of(step.map_over) if is_there else []

    def count_done(self, keys: Iterable[Key], now: float) -> None:
        """Take tasks off their steps, and go on with those steps that have none left."""
        keys = list(keys)
        for slug, _ in keys:
            state = self.steps[slug]
            assert state.remaining_tasks is not None
            state.remaining_tasks -= 1
        for slug in dict.fromkeys(slug for slug, _ in keys):
            if self.steps[slug].remaining_tasks == 0:
                self._finish(self.flow.step(slug))
        self.start_ready(now)

    def _finish(self, step: Step) -> None:
        state = self.steps[step.name]
        state.status = "completed"
        if step.is_map:
            tasks = sorted((key, task) for key, task in self.tasks.items() if key[0] == step.name)
            state.output = step.gathered([self._places(step, task) for _, task in tasks])
        self._release_dependents(step)

    def _places(self, step: Step, task: TaskState) -> Any:
        """What of a map's output is a task's: null for each item of one that failed."""
        if task.status == "completed":
            return task.output
        return None if step.chunk_size is None else [None] * len(task.item)

    def _release_dependents(self, step: Step) -> None:
        for other in self.flow.steps:
            if step.name in other.waits_for:
                self.steps[other.name].remaining_deps -= 1

    def _go_on_without(self, step: Step) -> None:
        """End a step that failed, and what is left of its tasks."""
        state = self.steps[step.name]
        if step.fallback is None:
            state.status = "failed"
        else:
            state.status, state.output, state.remaining_tasks = "completed", step.fallback, 0
            state.fell_back = True
        for key, task in self.tasks.items():
            if key[0] == step.name and task.status in LIVE:
                task.status = "cancelled"
        self._release_dependents(step)

    def _fail_task(self, key: Key, now: float) -> None:
        """A task has failed for good: it is tolerated, or its step fails, or the run."""
        step, state = self.flow.step(key[0]), self.steps[key[0]]
        if state.failed_tasks < step.tolerated(state.tasks):
            state.failed_tasks += 1
            self.count_done([key], now)
        elif step.last_resort is not None:
            self._go_on_without(step)
            self.start_ready(now)
        else:
            self.end("failed", now, failed_step=step.name)

    def end(self, status: str, now: float, failed_step: str | None = None) -> None:
        """End the run: what is left of it is cancelled, its callback is made."""
        self.status = status
        if failed_step is not None:
            self.steps[failed_step].status = "failed"
        for task in self.tasks.values():
            if task.status in LIVE:
                task.status = "cancelled"
        for state in self.steps.values():
            if state.status in ("created", "started"):
                state.status = "cancelled"
        if status == "completed":
            inner = {name for step in self.flow.steps for name in step.dependencies}
            self.output = {
                name: self.output_of(name)
                for name, state in self.steps.items()
                if name not in inner and state.status == "completed"
            }
        if self.flow.has_callbacks and status in CALLBACKS:
            self.tasks[CALLBACKS[status], self.retries] = TaskState(now)

    # What no worker is given.

    def _oldest_signal(self, step: Step) -> SentSignal | None:
        return next((s for s in self.signals if not s.taken_by and s.name in step.signals), None)

    def open_waits(self, name: str | None = None) -> list[Step]:
        """The steps that are to be settled, by their start; of those that wait for a signal."""
        steps = [
            step
            for step in self.flow.steps
            if step.is_settled
            and (name is None or name in step.signals)
            and (step.name, 0) in self.tasks
            and self.tasks[step.name, 0].status == "queued"
        ]
        return sorted(steps, key=lambda step: (self.steps[step.name].started_at, step.name))

    def settle(self, now: float) -> int:
        """Settle what is due, and what that makes due."""
        settled = 0
        while self.status == "started" and (
            due := [
                step
                for step in self.open_waits()
                if self.tasks[step.name, 0].ready_at <= now or self._oldest_signal(step)
            ]
        ):
            self.settle_steps(due, now)
            settled += len(due)
        return settled

    def settle_steps(self, due: list[Step], now: float) -> None:
        """Settle these: those that complete, and then those that fail."""
        done, failing = [], []
        for step in due:
            task = self.tasks[step.name, 0]
            signal = self._oldest_signal(step)
            if signal is not None:
                signal.taken_by = step.name
                told = {"signal": signal.name, "payload": signal.payload}
                task.output = told if len(step.signals) > 1 else signal.payload
                done.append(step)
            elif step.sleeps is not None:
                task.output = {"until": told_at(task.ready_at)}
                done.append(step)
            else:
                failing.append(step)
        for step in done:
            task = self.tasks[step.name, 0]
            task.status = "completed"
            task.attempts += 1
        self.count_done([(step.name, 0) for step in done], now)
        for step in failing:
            if self.tasks[step.name, 0].status == "queued":
                self.fail_attempt((step.name, 0), "timeout", now, final=True, was_reported=False)

    # What happens to tasks.

    def deadline(self, key: Key) -> float:
        return self.tasks[key].started_at + self.flow.step(key[0]).timeout

    def is_claimable(self, key: Key, now: float) -> bool:
        task = self.tasks[key]
        if self.flow.step(key[0]).is_settled:
            return False
        may_run = key[0] in CALLBACKS.values() or self.status == "started"
        return task.status == "queued" and may_run and task.ready_at <= now

    def has_lapsed(self, key: Key, now: float) -> bool:
        task = self.tasks[key]
        return task.status == "started" and task.lease_end <= now

    def fail_attempt(
        self, key: Key, kind: str, now: float, *, final: bool, was_reported: bool = True
    ) -> bool:
        """Write a failure of the attempt; answers whether it was the last the task may have."""
        task, step = self.tasks[key], self.flow.step(key[0])
        was_queued = task.status == "queued"
        task.attempts += was_queued
        failure = *key, self.retries, task.attempts
        self.failures[failure] = (kind, None if was_queued else task.token, was_reported)
        if kind == "lost":
            task.losses += 1
            is_last = task.losses >= step.max_lost
        else:
            is_last = final or task.attempts - task.losses >= step.max_attempts
        if not was_reported:
            task.token = None
        task.status = "failed" if is_last else "queued"
        if not is_last:
            self._delay(task, step, kind, now)
        if is_last and key[0] not in CALLBACKS.values():
            self._fail_task(key, now)
        return is_last

    def _delay(self, task: TaskState, step: Step, kind: str, now: float) -> None:
        longest = max(3600, step.retry_delay)
        wait = step.retry_delay * 2 ** (task.attempts - task.losses - 1)
        if kind == "lost":
            task.delay(now, now)
        else:
            task.delay(now + min(longest, wait), now + min(longest, wait * 1.25))

    def retry(self, from_step: str | None, now: float, *, given_up: bool) -> str | None:
        """Run again what did not finish, from_step, what was given up, and what depends on these.

        None, or a code.
        """
        if from_step is not None and from_step not in self.steps:
            return "QF215"
        given = {
            name
            for name, state in self.steps.items()
            if given_up
            and (self._was_given_up(name) or (state.status == "completed" and state.failed_tasks))
        }
        covered: set[str] = set()
        for step in self.flow.steps:
            if step.name == from_step or (given | covered) & set(step.waits_for):
                covered.add(step.name)
        again = {name for name in self.steps if not self.has_ended(name)} | given | covered
        if not again:
            return "QF214"
        for key, task in list(self.tasks.items()):
            if key[0] in CALLBACKS.values():
                task.status = "cancelled" if task.status in LIVE else task.status
            elif key[0] in covered or (key[0] in again and task.status != "completed"):
                del self.tasks[key]
        passed = frozenset(name for name in again - covered if self.steps[name].has_started)
        for step in self.flow.steps:
            if step.name in again:
                self.steps[step.name] = StepState(
                    len(set(step.waits_for) & again), None if step.is_map else 1
                )
        self.status, self.output = "started", None
        self.retries += 1
        self.start_ready(now, passed)
        return None


def _due_at(step: Step, now: float) -> float:
    """When a task is due that was made now."""
    if step.sleeps is not None:
        return now + step.sleeps
    if step.signals:
        return inf if step.gives_up_after is None else now + step.gives_up_after
    return now


@dataclass
class Model:
    """All runs of one workflow, and the clock."""

    flow: Flow
    now: float = 0
    runs: dict[UUID, RunState] = field(default_factory=dict)

    def start(self, run_id: UUID) -> None:
        self.runs[run_id] = RunState(run_id, self.flow)
        self.runs[run_id].start(self.now)

    def tasks(self) -> Iterator[tuple[RunState, Key, TaskState]]:
        for run in self.runs.values():
            for key, task in run.tasks.items():
                yield run, key, task

    def _fate(self, run_id: UUID, key: Key, token: int | None, *, by_hand: bool) -> str:
        """The precedence of outcomes; "acts" where the report counts."""
        run = self.runs.get(run_id)
        task = run.tasks.get(key) if run else None
        if run is None or task is None:
            # History outlives its task only until the run is deleted; there is no such task.
            return "stale"
        if not by_hand and (token is None or task.token != token):
            return "duplicate" if run.failed_with(key, token) else "stale"
        if task.status in ("cancelled", "skipped"):
            return "run_ended"
        return (
            "acts"
            if task.status == "started" or (by_hand and task.status == "queued")
            else ("duplicate")
        )

    def fits(self, run_id: UUID, key: Key, output: Any) -> bool:
        """Whether the task may have this output, if it may have any."""
        run = self.runs[run_id]
        if key[0] in CALLBACKS.values():
            return True
        if run.flow.step(key[0]).chunk_size is not None:
            return isinstance(output, list) and len(output) == len(run.tasks[key].item)
        return not run.flow.feeds_map(key[0]) or isinstance(output, list)

    def complete(self, run_id: UUID, key: Key, token: int | None, output: Any) -> str:
        return self.complete_all([(run_id, key, token, output)])[0]

    def complete_all(self, results: Sequence[tuple[UUID, Key, int | None, Any]]) -> list[str]:
        """Tasks complete at once, and then their steps: what these come to is for no other result.

        Only one alone may have an output that does not fit.
        """
        outcomes = [self._record(*result) for result in results]
        done: dict[UUID, list[Key]] = {}
        for (run_id, key, *_), outcome in zip(results, outcomes, strict=True):
            if outcome == "completed" and key[0] not in CALLBACKS.values():
                done.setdefault(run_id, []).append(key)
        for run_id, keys in done.items():
            self.runs[run_id].count_done(keys, self.now)
        return outcomes

    def _record(self, run_id: UUID, key: Key, token: int | None, output: Any) -> str:
        fate = self._fate(run_id, key, token, by_hand=token is None)
        if fate != "acts":
            return fate
        run = self.runs[run_id]
        task = run.tasks[key]
        task.output = output
        if not self.fits(run_id, key, output):
            run.fail_attempt(key, "error", self.now, final=True)
            return "type_violation"
        task.status = "completed"
        return "completed"

    def fail(self, run_id: UUID, key: Key, token: int | None, *, final: bool) -> str:
        fate = self._fate(run_id, key, token, by_hand=token is None)
        if fate != "acts":
            return fate
        run = self.runs[run_id]
        is_late = run.tasks[key].status == "started" and self.now >= run.deadline(key)
        kind = "timeout" if is_late else "error"
        is_last = run.fail_attempt(key, kind, self.now, final=final)
        return "failed" if is_last else "retrying"

    def settle(self) -> int:
        """Somebody settles what is due of all runs."""
        return sum(run.settle(self.now) for run in list(self.runs.values()))

    def send(self, run_id: UUID, name: str, payload: Any) -> str:
        """A signal is sent, and settled at once."""
        run = self.runs.get(run_id)
        if run is None:
            return "no_run"
        if run.status not in GOING_ON:
            return "run_ended"
        run.signals.append(SentSignal(name, payload))
        if run.status == "paused":
            return "kept"
        waits = run.open_waits(name)
        untaken = sum(s.name == name and not s.taken_by for s in run.signals)
        run.settle_steps(waits[:untaken], self.now)
        return "delivered" if untaken <= len(waits) else "kept"

    def release(self, run_id: UUID, key: Key, token: int) -> int:
        if self._fate(run_id, key, token, by_hand=False) != "acts":
            return 0
        task = self.runs[run_id].tasks[key]
        task.status, task.token = "queued", None
        task.attempts -= 1
        return 1

    def extend(self, run_id: UUID, key: Key, token: int, lease: float) -> str:
        fate = self._fate(run_id, key, token, by_hand=False)
        if fate == "acts":
            run = self.runs[run_id]
            task = run.tasks[key]
            task.lease_end = max(task.lease_end, min(self.now + lease, run.deadline(key)))
            return "held"
        return "cancelled" if fate == "run_ended" else "lost"

    def hold(self, run_id: UUID, key: Key, token: int) -> str:
        fate = self._fate(run_id, key, token, by_hand=False)
        if fate == "acts":
            run = self.runs[run_id]
            return "held" if self.now < run.deadline(key) else "lost"
        return "cancelled" if fate == "run_ended" else "lost"

    def claim(self, run_id: UUID, key: Key, token: int, lease: float) -> None:
        run = self.runs[run_id]
        assert run.is_claimable(key, self.now), f"{key} was handed out, but is {run.tasks[key]}"
        task = run.tasks[key]
        task.status, task.token = "started", token
        task.attempts += 1
        task.started_at = self.now
        task.lease_end = self.now + min(lease, run.flow.step(key[0]).timeout)

    def lapse(self, noticed: Iterable[tuple[UUID, Key]]) -> None:
        """A call has noticed that these leases ran out, in this order."""
        for run_id, key in noticed:
            run = self.runs[run_id]
            assert run.has_lapsed(key, self.now), (
                f"{key} has lost its lease, but is {run.tasks[key]}"
            )
            kind = self._kind_of_lapse(run, key)
            run.fail_attempt(key, kind, self.now, final=False, was_reported=False)

    def _kind_of_lapse(self, run: RunState, key: Key) -> str:
        return "timeout" if run.tasks[key].lease_end >= run.deadline(key) else "lost"
