"""Workers that follow the scripts of a workflow, and remember what they held."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import UUID

from model.rules import DIE, FAIL, FATAL, HANG, RELEASE, VIOLATE, Expected, Flow, output_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from support.engine import Engine, Task

Key = tuple[UUID, str, int]

LEASE = 600.0


class Notes:
    """What all workers of one test know together: how far each script is, and old tokens."""

    def __init__(self, flow: Flow, expected: Expected) -> None:
        self.flow = flow
        self.expected = expected
        self._lock = threading.Lock()
        self._played: dict[Key, int] = {}
        self._old: dict[Key, list[tuple[Task, str]]] = {}
        self._live: set[Key] = set()
        self.callbacks: list[Task] = []

    def begin(self, task: Task) -> tuple[str | None, list[tuple[Task, str]]]:
        """What this attempt does (None: succeed), and what became of the earlier ones."""
        with self._lock:
            assert task.key not in self._live, f"{task.key} was handed out twice"
            self._live.add(task.key)
            script = self.flow.step(task.step_slug).script(task.task_index)
            place = self._played.get(task.key, 0)
            self._played[task.key] = place + 1
            if task.step_slug.startswith("_"):
                self.callbacks.append(task)
            action = script[place] if place < len(script) else None
            return action, list(self._old.get(task.key, ()))

    def end(self, task: Task, late_answer: str | None = None) -> None:
        """The attempt is over; a report with its token is answered so from its next claim on."""
        with self._lock:
            self._live.discard(task.key)
            if late_answer is not None:
                self._old.setdefault(task.key, []).append((task, late_answer))


class Worker:
    """Claims and does what the scripts say."""

    def __init__(
        self,
        engine: Engine,
        notes: Notes,
        chance: random.Random,
        after_each_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._notes = notes
        self._chance = chance
        self._after_each_call = after_each_call

    def work(self) -> int:
        """Claim and report until there is nothing to claim; answers how many tasks there were."""
        done = 0
        tasks: list[Task] = []
        while tasks := tasks or self._engine.claim(self._room(), lease=LEASE):
            self._after_each_call()
            done += len(tasks)
            tasks = self._do(tasks)
        return done

    def _room(self) -> int:
        return self._chance.choice([1, 1, 2, 5])

    def _do(self, tasks: list[Task]) -> list[Task]:
        """Do what the scripts say; answers what was handed out with the last reports."""
        completed: list[tuple[Task, object]] = []
        for task in tasks:
            action, earlier = self._notes.begin(task)
            if not task.step_slug.startswith("_"):
                expected = self._notes.expected.inputs[task.step_slug, task.task_index]
                assert task.input == expected
            for old, answer in earlier:
                late = (self._engine.complete, self._engine.fail)[self._chance.randrange(2)](old)
                assert late == answer
            if self._chance.random() < 0.2:
                assert self._engine.extend([task], LEASE)[0] in ("held", "cancelled")
            if action is None:
                output = output_of(self._notes.flow, task.step_slug, task.input)
                completed.append((task, output))
            elif action in (DIE, HANG):
                if action == HANG:
                    self._keep_to_the_deadline(task)
                self._notes.end(task, "stale")
            elif action == RELEASE:
                self._notes.end(task, "stale")
                assert self._engine.release([task]) in (0, 1)
            elif action == VIOLATE:
                self._notes.end(task)
                assert self._engine.complete(task, {"no": "array"}) in (
                    "type_violation",
                    "run_ended",
                )
            else:
                assert action in (FAIL, FATAL)
                self._notes.end(task, "duplicate")
                outcome = self._engine.fail(task, retryable=action == FAIL)
                assert outcome in ("retrying", "failed", "run_ended")
            self._after_each_call()
        for task, _ in completed:
            self._notes.end(task)
        handed_out: list[Task] = []
        if completed:
            if self._chance.random() < 0.5:
                outcomes, handed_out = self._engine.exchange(completed, self._room(), lease=LEASE)
            else:
                outcomes = self._engine.complete_all(completed)
            assert set(outcomes) <= {"completed", "run_ended"}
            self._after_each_call()
            again = self._engine.complete_all(completed[:1])
            assert again[0] in ("duplicate", "run_ended")
        return handed_out

    def _keep_to_the_deadline(self, task: Task) -> None:
        # An extension that meets a message in the hands of a claim, which lets go of it because it
        # is hidden already, says "held" and changes nothing; a worker would extend again soon.
        is_kept = False
        while not is_kept and self._engine.extend([task], 86400) == ["held"]:
            is_kept = self._engine.value(
                "select q.vt > quantumflow._now() + interval '1 hour' "
                "from pgmq.q_quantum_flow_queue q "
                "join quantumflow.step_tasks t on t.message_id = q.msg_id "
                "where (t.run_id, t.step_slug, t.task_index) = (%s, %s, %s)",
                *task.key,
            )
