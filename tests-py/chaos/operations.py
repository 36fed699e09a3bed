"""An operator who steers random runs while everything breaks: python -m chaos.operations DSN SEED.

What is about to be done is written to chaos.operations first. The operator says when it is ready.
On SIGTERM it lets go of the runs that are paused, and prints what was found wrong: a line of JSON
each.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from chaos import flows, spells
from chaos.flows import DROPPED_QUEUE
from chaos.runs import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

T = TypeVar("T")

_PAUSE = 0.15
"""How many seconds there are between two operations, on average."""

_REFUSALS = {"QF207", "QF213", "QF214"}
"""What a run may answer that has ended, or not ended, in the meantime."""


class Operator:
    """Does one thing after another."""

    def __init__(self, dsn: str, seed: int) -> None:
        kinds = [kind for kind in flows.kinds(seed) if kind.is_steered]
        self._dsn = dsn
        self._chance = random.Random(f"{seed} operator")
        self._slugs = [kind.slug for kind in kinds]
        self._decides = {kind.slug for kind in kinds if kind.decides}
        self._effects = {kind.slug for kind in kinds if kind.has_effects}
        self._steps = {kind.slug: list(kind.steps) for kind in kinds}
        self._connection: psycopg.Connection[Any] | None = None
        self._must_end = threading.Event()
        self._look_again_at = 0.0
        self.problems: list[str] = []

    def run(self) -> None:
        """Go on until told to end."""
        verbs: dict[Callable[[], object], int] = {
            self._pause: 10,
            self._resume: 10,
            self._hold: 3,
            self._let_go: 9,
            self._limit: 3,
            self._cancel: 6,
            self._retry: 10,
            self._sweep: 3,
            self._start_ready_steps: 3,
            self._status: 3,
            self._check: 1,
            self._repair: 1,
        }
        while not self._must_end.wait(self._chance.uniform(0, 2 * _PAUSE)):
            (verb,) = self._chance.choices(list(verbs), list(verbs.values()))
            self._persist(verb)
        while self._persist(self._resume):
            pass
        while self._persist(self._let_go) is not False:
            pass
        while self._persist(self._lift) is None:
            pass

    def end(self) -> None:
        """Let go of everything, and end."""
        self._must_end.set()

    # What there is to do

    def _pause(self) -> None:
        if run := self._some_run("started"):
            self._steer("pause_run", run[0])

    def _resume(self) -> bool:
        run = self._some_run("paused")
        if run is not None:
            self._steer("resume_run", run[0])
        return run is not None

    def _hold(self) -> None:
        """Pause a queue, a flow or a command; for a moment, since it is let go more often."""
        of = self._chance.choice(["queue", "flow", "command"])
        names = {"queue": flows.QUEUES, "flow": self._slugs, "command": ("count", "acount")}
        self._ask(f"select quantumflow.pause_{of}(%s)", self._chance.choice(names[of]))

    def _let_go(self) -> bool:
        """Resume what has been paused longest; whether there was something."""
        paused = self._ask("select kind, name from quantumflow.list_pauses() limit 1")
        if paused:
            ((kind, name),) = paused
            of = "flow" if kind == "workflow" else kind
            self._ask(f"select quantumflow.resume_{of}(%s)", name)
        return bool(paused)

    def _limit(self) -> None:
        self._ask(
            "select limit_name from quantumflow.set_limit('chaos', %s, %s)",
            self._chance.choice([0, 1, 3, 10, 10]),
            self._chance.choice([None, None, 50]),
        )

    def _lift(self) -> bool:
        self._ask("select quantumflow.remove_limit('chaos')")
        return True

    def _cancel(self) -> None:
        if run := self._some_run(self._chance.choice(["started", "paused"])):
            self._steer("cancel_run", run[0])

    def _retry(self) -> None:
        run = self._some_run(self._chance.choice(["cancelled", "failed", "completed"]))
        if run is None:
            return
        run_id, slug = run
        step, given_up = None, False
        # Where effects are counted, nothing that was done may be done again.
        if slug not in self._effects and self._chance.random() < 0.5:
            step = self._chance.choice(self._steps[slug])
        if slug not in self._effects and slug in self._decides:
            given_up = self._chance.random() < 0.5
        self._steer("retry_preview", run_id, step, None, given_up)
        self._steer("retry_run", run_id, step, None, given_up)

    def _sweep(self) -> None:
        self._ask("select * from quantumflow.sweep()")

    def _start_ready_steps(self) -> None:
        if run := self._some_run("started"):
            started = self._ask("select quantumflow.start_ready_steps(%s)", run[0])
            if started != [(0,)]:
                self.problems.append(f"start_ready_steps({run[0]}), while work went on: {started}")

    def _status(self) -> None:
        if run := self._some_run(self._chance.choice(["started", "completed"])):
            self._ask("select quantumflow.status(%s)", run[0])
        self._ask("select * from quantumflow.doctor()")
        self._ask("select * from quantumflow.list_runs()")

    def _check(self) -> None:
        self._expect_nothing("quantumflow.check_state()")

    def _repair(self) -> None:
        self._expect_nothing("quantumflow.repair(false)")

    # How

    def _some_run(self, status: str) -> tuple[UUID, str] | None:
        """A run of that status, one of the latest."""
        found = self._ask(
            "select id, workflow_slug from quantumflow.workflow_runs "
            "where status = %s and workflow_slug = any (%s) order by created_at desc limit 40",
            status,
            self._slugs,
        )
        return self._chance.choice(found) if found else None

    def _steer(self, verb: str, run_id: UUID, *arguments: object) -> None:
        insert = "insert into chaos.operations values (%s, %s, %s)"
        self._ask(insert, run_id, verb, [None if a is None else str(a) for a in arguments])
        places = ", ".join(["%s"] * (1 + len(arguments)))
        try:
            self._ask(f"select * from quantumflow.{verb}({places})", run_id, *arguments)
        except psycopg.Error as error:
            if error.sqlstate not in _REFUSALS:
                raise

    def _ask(self, query: str, *parameters: object) -> list[Any]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._dsn, autocommit=True, application_name=OPERATOR
            )
        cursor = self._connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []

    def _expect_nothing(self, function: str) -> None:
        """While a queue is gone, and not rebuilt, it may be found that its messages are missing.

        All that there is is read for it, so a tenth of the time must do.
        """
        asked_at = time.monotonic()
        if asked_at < self._look_again_at:
            return
        ((began,),) = self._ask("select clock_timestamp()")
        found = [row for (row,) in self._ask(f"select to_jsonb(p) from {function} p")]
        self._look_again_at = time.monotonic() + 9 * (time.monotonic() - asked_at)
        ((was_gone,),) = self._ask(spells.SINCE, "queue gone", began)
        if was_gone:
            found = [row for row in found if row["queue"] != DROPPED_QUEUE or row["rule"] != 2]
        if found:
            self.problems.append(f"{function}, while work went on: {found[:5]}")

    def _persist(self, do: Callable[[], T]) -> T | None:
        try:
            return do()
        except psycopg.OperationalError as error:
            if error.sqlstate == "40P01":
                self.problems.append(f"the operator met a deadlock: {error}")
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        except psycopg.Error as error:
            self.problems.append(f"the operator was refused: {error!r}")
        return None


def main(dsn: str, seed: int) -> None:
    operator = Operator(dsn, seed)
    signal.signal(signal.SIGTERM, lambda *_: operator.end())
    print("ready", flush=True)
    operator.run()
    for problem in operator.problems:
        print(json.dumps(problem))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
