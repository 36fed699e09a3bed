"""Times the engine against raw pgmq on the same server, in the same run: engine.py [--rounds N].

One connection, batches of 100, fsync and synchronous_commit on, a server of its own. Raw pgmq is
send_batch, read and delete. Figures are ratios to raw pgmq, median of the rounds with the spread,
after a round that only warms up; beside them what does not depend on the machine: WAL bytes and
SQL statements (nested ones too) per task, and the share of updates that were HOT. Every run is
checked: all tasks done, the queue empty, check_state() empty.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import psycopg
from psycopg.types.json import Jsonb

from quantumflow_client.embedded import EmbeddedServer

BATCH = 100
SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
}
FLOWS: list[dict[str, Any]] = [
    {"slug": "one_step", "steps": [{"name": "a"}]},
    {"slug": "a_map", "steps": [{"name": "a", "type": "map"}]},
    {
        "slug": "a_chain",
        "steps": [{"name": f"s{n}", "dependencies": [f"s{n - 1}"] if n else []} for n in range(10)],
    },
]


class Cost(NamedTuple):
    """What a workload cost per task, besides time."""

    wal: float
    statements: float
    hot: float | None


class Bench:
    """The workloads, on one connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.worker_id = uuid.uuid4()
        connection.execute("create extension pg_stat_statements")
        connection.execute("select pgmq.create('raw')")
        for flow in FLOWS:
            connection.execute("select quantumflow.define_flow(%s)", [Jsonb(flow)])

    def raw(self, tasks: int) -> int:
        """Send, read and delete messages like ours with pgmq's own functions."""
        run_id = str(uuid.uuid4())
        for _ in range(tasks // BATCH):
            messages = [
                Jsonb(
                    {
                        "workflow_run_id": run_id,
                        "step_name": "a",
                        "task_index": n,
                        "is_map_task": False,
                    }
                )
                for n in range(BATCH)
            ]
            self.connection.execute(
                "select * from pgmq.send_batch(queue_name => 'raw', msgs => %s::jsonb[])",
                [messages],
            )
        done = 0
        while ids := [
            row[0]
            for row in self.connection.execute(
                "select msg_id, message from pgmq.read('raw', 30, %s)", [BATCH]
            )
        ]:
            self.connection.execute("select pgmq.delete('raw', %s::bigint[])", [ids])
            done += len(ids)
        return done

    def one_step(self, tasks: int) -> int:
        """Runs of a single step, started by the hundred."""
        return self._start("one_step", tasks) + self._drain() - tasks

    def a_chain(self, tasks: int) -> int:
        """Runs of ten steps in a row."""
        self._start("a_chain", tasks // 10)
        return self._drain()

    def a_map(self, tasks: int) -> int:
        """One run that maps over its input."""
        self.connection.execute(
            "select quantumflow.start_flow('a_map', %s)", [Jsonb(list(range(tasks)))]
        )
        return self._drain()

    def measure(self, workload: Callable[[int], int], tasks: int) -> tuple[float, Cost]:
        """Run a workload: tasks per second, and what it cost."""
        updates, hot_updates = self._updates()
        self.connection.execute("select pg_stat_statements_reset()")
        before = self._scalar("select pg_current_wal_insert_lsn() - '0/0'")
        began = time.perf_counter()
        done = workload(tasks)
        seconds = time.perf_counter() - began
        wal = self._scalar("select pg_current_wal_insert_lsn() - '0/0'") - before
        statements = self._scalar("select sum(calls) from pg_stat_statements")
        now_updates, now_hot = self._updates()
        if done != tasks:
            raise SystemExit(f"{workload.__name__}: {done} tasks of {tasks}")
        return tasks / seconds, Cost(
            float(wal) / tasks,
            float(statements) / tasks,
            (now_hot - hot_updates) / (now_updates - updates) if now_updates > updates else None,
        )

    def check(self) -> None:
        """Fail unless nothing is left and every rule holds."""
        left = self._scalar("select count(*) from pgmq.q_quantum_flow_queue")
        broken = self._scalar("select count(*) from quantumflow.check_state()")
        if left or broken:
            raise SystemExit(f"{left} messages are left, {broken} rules are broken")

    def _start(self, flow: str, runs: int) -> int:
        for _ in range(runs // BATCH):
            self.connection.execute(
                "select * from quantumflow.start_flows(%s, %s::jsonb[])",
                [flow, [Jsonb({"n": n}) for n in range(BATCH)]],
            )
        return runs

    def _drain(self) -> int:
        done = 0
        while tasks := self.connection.execute(
            """
            select run_id::text, step_slug, task_index, lease_token, input
            from quantumflow.claim_tasks(worker_id => %s, quantity => %s, lease => '30 s')
            """,
            [self.worker_id, BATCH],
        ).fetchall():
            results = [
                {
                    "run_id": run_id,
                    "step_slug": step_slug,
                    "task_index": task_index,
                    "lease_token": lease_token,
                    "output": {"ok": True},
                }
                for run_id, step_slug, task_index, lease_token, _ in tasks
            ]
            outcomes = self.connection.execute(
                "select outcome from quantumflow.complete_tasks(%s)", [Jsonb(results)]
            ).fetchall()
            done += sum(outcome == "completed" for (outcome,) in outcomes)
        return done

    def _updates(self) -> tuple[int, int]:
        self.connection.execute("select pg_stat_force_next_flush()")
        row = self.connection.execute(
            """
            select sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint
            from pg_stat_all_tables
            where schemaname = 'quantumflow'
            """
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    def _scalar(self, query: str) -> Any:
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds, after the first.")
@click.option("--tasks", default=10_000, show_default=True, help="Tasks per workload and round.")
def main(rounds: int, tasks: int) -> None:
    """Time the engine against raw pgmq, and print a table."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder,
        EmbeddedServer(Path(folder), settings=SETTINGS) as server,
        psycopg.connect(
            server.create_database("bench"), autocommit=True, prepare_threshold=0
        ) as connection,
    ):
        try:
            bench = Bench(connection)
            workloads = [bench.raw, bench.one_step, bench.a_chain, bench.a_map]
            rates: dict[str, list[float]] = {w.__name__: [] for w in workloads}
            costs: dict[str, Cost] = {}
            for round_ in range(rounds + 1):
                for workload in workloads:
                    rate, costs[workload.__name__] = bench.measure(workload, tasks)
                    if round_:
                        rates[workload.__name__].append(rate)
                bench.check()
        finally:
            connection.close()
            server.destroy()

    click.echo("workload    ratio to raw pgmq    tasks/s  WAL B/task  statements/task  HOT")
    for name, cost in costs.items():
        ratios = [ours / raw for ours, raw in zip(rates[name], rates["raw"], strict=True)]
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        rate = statistics.median(rates[name])
        hot = "" if cost.hot is None else f"{cost.hot:.3f}"
        click.echo(
            f"{name:10}  {statistics.median(ratios):4.2f} {spread:15} {rate:8.0f}"
            f"  {cost.wal:10.0f}  {cost.statements:15.2f}  {hot}"
        )


if __name__ == "__main__":
    main()
