"""The twenty questions of whoever is paged, and what each answer costs beside a history of runs.

python -m plans.questions [RUNS [OPEN]]: make such a history on an embedded server, and print the
table that docs/operators.md has: the line, the least milliseconds of five, the pages.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import psycopg

from plans.history import fill
from plans.measuring import Meter
from support.engine import Engine
from support.server import build_extension, throwaway_server


@dataclass(frozen=True, slots=True)
class Question:
    """One of them.

    Attributes:
        words: The question.
        line: What is typed after `select * from quantumflow.`. {run} goes on, {old} has completed,
            {failed} has failed.
        most: How many pages the answer may read, whatever the history, where 20 runs go on; None:
            it reads all.
    """

    words: str
    line: str
    most: int | None


QUESTIONS = [
    Question("What is running?", "list_runs(status => 'started')", 500),
    Question(
        "What failed, and why?",
        "list_runs(status => 'failed', since => now() - interval '10 min')",
        500,
    ),
    Question("Why is this run waiting?", "why('{run}')", 300),
    Question("Which worker has this task?", "list_attempts('{run}')", 100),
    Question("What is slow, and slower than before?", "stats('order', '7 days', '7 days')", 1000),
    Question("What decided how long it took?", "critical_path('{old}')", 100),
    Question("Will it finish, and when?", "eta('{run}')", 400),
    Question("What is stuck?", "why(only_stuck => true)", 2000),
    Question("What would a retry run again?", "retry_preview('{failed}')", 100),
    Question("Who started it, with what?", "status('{old}')", 100),
    Question("What did the handler return?", "step_output('{old}', 'only')", 50),
    Question("How deep are the queues?", "list_queues()", 1000),
    Question("Are the workers alive?", "list_workers()", 100),
    Question("What became of earlier attempts?", "list_attempts('{failed}')", 100),
    Question("Which version has it?", "find_run('{run}')", 50),
    Question("What changed between versions?", "diff_flow('order', 1, 2)", 100),
    Question("What is safe to delete?", "prune_preview('7 days')", None),
    Question("How big are we?", "list_sizes()", 100),
    Question("Is its state sound?", "check_state('{run}')", 900),
    Question("Is all of it sound?", "check_state()", None),
    Question(
        "What happened at 14:03?",
        "history(now() - interval '7 days', now() - interval '7 days' + interval '10 s')",
        1000,
    ),
]


def main(runs: int = 1_000_000, still_open: int = 10_000) -> None:
    """Print the table."""
    build_extension()
    with (
        throwaway_server("embedded", settings={"shared_buffers": "1GB"}) as server,
        psycopg.connect(server.dsn("postgres"), autocommit=True) as connection,
    ):
        connection.execute("create extension quantumflow cascade")
        connection.execute("select quantumflow.setup()")
        engine = Engine(connection)
        ids = fill(engine, runs, still_open=still_open)
        meter = Meter(engine)
        for question in QUESTIONS:
            query = f"select * from quantumflow.{question.line}"
            statement = query.format_map(ids)
            pages, rows, took = meter.pages(statement), 0, []
            for _ in range(5 if question.most else 1):
                began = time.perf_counter()
                rows = len(connection.execute(statement.encode()).fetchall())
                took.append(time.perf_counter() - began)
            text = query.format(run="RUN", old="RUN", failed="RUN")
            print(f"| {question.words} | `{text}` | {rows} | {1000 * min(took):.1f} | {pages} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
