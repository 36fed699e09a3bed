"""What is true when the chaos is over, or is reported with the history of the run concerned."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos.flows import EFFECTS, GONE, Expected, Kind, digest, expect, note
from chaos.runs import SHOWN, Started, history, queues
from support.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from uuid import UUID

    import psycopg

Key = tuple[str, int]
Effect = tuple[str, int, int, int]
"""A row that a task's own transaction left: step, index, attempt, and a digest of the output."""


@dataclass(slots=True)
class Verdict:
    """What was found.

    Attributes:
        tasks: How many tasks were completed.
        redelivered: How many leases were lost.
        effects: How many rows the tasks' own transactions left.
        lost: How many of them are missing.
        doubled: How many are there too often, or of tasks that did not complete.
        innocent_failed: How many runs failed in which no handler fails.
        ends: How many runs ended how.
        problems: All that is wrong, the lost and the doubled included.
    """

    tasks: int
    redelivered: int
    effects: int
    lost: int
    doubled: int
    innocent_failed: int
    ends: Counter[str]
    problems: list[str]


def judge(connection: psycopg.Connection[Any], runs: Iterable[Started], folder: Path) -> Verdict:
    """Compare everything in the database with what a plain loop computes.

    Args:
        connection: To the database, in which nothing happens any more.
        runs: All runs that were started.
        folder: Where the workers say which tasks they began.
    """
    engine = Engine(connection)
    court = _Court(engine)
    for run in runs:
        court.judge(run)
    problems = court.problems
    problems += [f"check_state(): {row}" for row in engine.problems()]
    problems += [
        f"repair() would mend: {row}" for row in engine.rows("select * from quantumflow.repair()")
    ]
    for queue in queues(engine):
        if messages := engine.messages(queue):
            problems.append(f"{messages} messages are left in {queue}")
    begun = Counter(
        line for file in folder.glob("begun_*") for line in file.read_text().splitlines()
    )
    problems += [
        f"task {task} ran {count} times, though max_lost is 1"
        for task, count in begun.items()
        if count > 1
    ]
    return Verdict(
        tasks=court.completed,
        redelivered=int(
            engine.value("select count(*) from quantumflow.task_failures where kind = 'lost'")
        ),
        effects=court.effects,
        lost=court.lost,
        doubled=court.doubled,
        innocent_failed=court.innocent_failed,
        ends=court.ends,
        problems=problems,
    )


class _Court:
    """Judges run after run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runs = {
            row[0]: row[1:]
            for row in engine.rows(
                "select id, status, output, retries, gave_up from quantumflow.workflow_runs"
            )
        }
        self._steps: dict[UUID, dict[str, tuple[str, str | None]]] = defaultdict(dict)
        for run_id, slug, *end in engine.rows(
            "select run_id, step_slug, status, skip_reason from quantumflow.step_states"
        ):
            self._steps[run_id][slug] = end[0], end[1]
        self._tasks: dict[UUID, dict[Key, Any]] = defaultdict(dict)
        for run_id, slug, index, *task in engine.rows(
            "select run_id, step_slug, task_index, status, output, attempts "
            "from quantumflow.step_tasks"
        ):
            self._tasks[run_id][slug, index] = task
        self._wrong_attempts = dict(engine.rows(_WRONG_ATTEMPTS))
        self._effects: dict[UUID, Counter[Effect]] = defaultdict(Counter)
        for run_id, *effect in engine.rows("select * from chaos.effects"):
            self._effects[run_id].update([tuple(effect)])
        self._operations: dict[UUID, set[str]] = defaultdict(set)
        for run_id, verb in engine.rows("select run_id, verb from chaos.operations"):
            self._operations[run_id].add(verb)
        self.ends: Counter[str] = Counter()
        self.completed = self.effects = self.lost = self.doubled = self.innocent_failed = 0
        self.problems: list[str] = []
        self._shown = 0

    def judge(self, run: Started) -> None:
        found = self._runs.get(run.run_id)
        if found is None:
            self._complain(run, ["it was started, and is not there"])
            return
        status, output, retries, gave_up = found
        self.ends[status] += 1
        self.innocent_failed += status == "failed" and run.kind.is_innocent
        expected = expect(run.kind, run.input)
        tasks = self._tasks[run.run_id]
        problems = [
            *self._of_end(run, status, output, expected),
            *self._of_steps(run, status, gave_up, expected),
            *_of_tasks(run.kind, tasks, expected),
            *self._of_callbacks(run, status, retries, output),
            *self._of_effects(run, tasks),
            *self._wrong_attempts.get(run.run_id, ()),
        ]
        self.completed += sum(task[0] == "completed" for task in tasks.values())
        self._complain(run, problems)

    def _of_end(self, run: Started, status: str, output: Any, expected: Expected) -> Iterator[str]:
        was_cancelled = "cancel_run" in self._operations[run.run_id]
        if status not in run.kind.ends | ({"cancelled"} if was_cancelled else set()):
            yield f"its status is {status}"
        asleep = {name for name, this in run.kind.steps.items() if this.get("type") == "sleep"}
        if status == "completed":
            output = {name: value for name, value in output.items() if name not in asleep}
        if status == "completed" and output != expected.output:
            yield f"its output is {output}, not {expected.output}"

    def _of_steps(
        self, run: Started, status: str, gave_up: int | None, expected: Expected
    ) -> Iterator[str]:
        """What was decided, of a run that came to its end."""
        nothing_fails = expected.ends.keys() == run.kind.steps.keys()
        if status == "failed" and run.kind.is_steered and nothing_fails:
            yield "it failed, and nothing of it does"
        if status != "completed":
            return
        steps = self._steps[run.run_id]
        if steps != expected.ends:
            wrong = {name: end for name, end in steps.items() if end != expected.ends.get(name)}
            yield f"its steps are {wrong}, not {expected.ends}"
        if gave_up != (expected.gave_up if run.kind.decides else None):
            yield f"it gave up {gave_up}, not {expected.gave_up}"

    def _of_callbacks(self, run: Started, status: str, retries: int, output: Any) -> Iterator[str]:
        for name, end in (("on_complete", "completed"), ("on_failure", "failed")):
            wanted = name in run.kind.definition and status == end
            task = self._tasks[run.run_id].get((f"_{name}", retries))
            given = {"run": run.input} | ({"output": output} if end == "completed" else {})
            if wanted and (task is None or task[:2] != ["completed", note(given)]):
                yield f"its {name} is {task}"

    def _of_effects(self, run: Started, tasks: Mapping[Key, Any]) -> Iterator[str]:
        steps = run.kind.steps
        wanted = Counter(
            (slug, index, attempts, digest(output))
            for (slug, index), (status, output, attempts) in tasks.items()
            if status == "completed"
            and (slug.startswith("_") or steps[slug].get("command") in EFFECTS)
        )
        found = self._effects[run.run_id]
        self.effects += found.total()
        missing, extra = wanted - found, found - wanted
        self.lost += missing.total()
        self.doubled += extra.total()
        yield from (f"the effect {effect} is missing" for effect in missing)
        yield from (f"the effect {effect} is there {n} times more" for effect, n in extra.items())

    def _complain(self, run: Started, problems: Iterable[str]) -> None:
        for problem in problems:
            self.problems.append(f"run {run.run_id} of {run.kind.slug}: {problem}")
        if problems and self._shown < SHOWN:
            self._shown += 1
            self.problems.append(history(self._engine, run.run_id))


def _of_tasks(kind: Kind, tasks: Mapping[Key, Any], expected: Expected) -> Iterator[str]:
    for (slug, index), (status, output, attempts) in tasks.items():
        limits = kind.definition | kind.steps.get(slug, {})
        limit = limits.get("max_attempts", 3) + limits.get("max_lost", 3) - 1
        if attempts > limit:
            yield f"task {slug}/{index} was claimed {attempts} times, and may be {limit} times"
        is_asleep = kind.steps.get(slug, {}).get("type") == "sleep"
        if status != "completed" or slug.startswith("_") or is_asleep:
            continue
        outputs = expected.tasks.get(slug, [])
        if index >= len(outputs) or outputs[index] is GONE or outputs[index] != output:
            yield f"task {slug}/{index} returned {output}, not {outputs[index : index + 1]}"


_WRONG_ATTEMPTS = """
select t.run_id, array_agg(concat('task ', t.step_slug, '/', t.task_index, ' was claimed ',
  t.attempts, ' times: ', t.losses, ' losses, ', f.failures, ' failures'))
from quantumflow.step_tasks t
join quantumflow.workflow_runs r on r.id = t.run_id
cross join lateral (
  select count(*) as failures
  from quantumflow.task_failures f
  where (f.run_id, f.step_slug, f.task_index) = (t.run_id, t.step_slug, t.task_index)
    and f.kind <> 'lost'
) f
where t.status = 'completed'
  and r.retries = 0
  and t.attempts <> t.losses + f.failures + 1
group by t.run_id
"""
"""Tasks that were completed by more or less than one attempt."""
