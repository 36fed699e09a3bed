"""What a call costs, in counters, which are the same on a slow machine and on a fast one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.engine import Engine

HOT_TABLES = ("workflow_runs", "step_states", "step_tasks")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch cost: pages touched, and rows read from tables, each as often as it was."""

    pages: int
    rows: int


class Meter:
    """A worker's calls on one session, each with the number of pages it looked at."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.connection.execute(
            "create temporary table batch "
            "(run_id uuid, step_slug text, task_index int, lease_token bigint)"
        )

    def pages(self, query: str, *parameters: Any) -> int:
        """Run a statement; answers how many shared pages it touched, functions included."""
        (((plan,),),) = self.engine.rows(
            f"explain (analyze, buffers, timing off, format json) {query}", *parameters
        )
        root = plan["Plan"]
        return int(root["Shared Hit Blocks"]) + int(root["Shared Read Blocks"])

    def claim(self, quantity: int = 100, commands: list[str] | None = None) -> int:
        """Claim; answers the pages. What was claimed is in the table batch."""
        self.engine.connection.execute("truncate batch")
        return self.pages(
            "insert into batch select run_id, step_slug, task_index, lease_token "
            "from quantumflow.claim_tasks(%s, %s, commands => %s)",
            self.engine.worker_id,
            quantity,
            commands,
        )

    def claimed(self) -> list[tuple[str, int]]:
        """The steps of what was claimed, and how many tasks of each."""
        return [
            (slug, count)
            for slug, count in self.engine.rows(
                "select step_slug, count(*) from batch group by step_slug order by step_slug"
            )
        ]

    def complete(self) -> int:
        """Complete what was claimed; answers the pages."""
        reports = self.engine.value(
            "select jsonb_agg(jsonb_build_object('run_id', run_id, 'step_slug', step_slug, "
            "'task_index', task_index, 'lease_token', lease_token, 'output', 1))::text from batch"
        )
        return self.pages("select * from quantumflow.complete_tasks(%s::jsonb)", reports)

    def fail(self, condition: str) -> int:
        """Fail those of what was claimed for which it holds, for good; answers how many."""
        return int(
            self.engine.value(
                f"with failing as (delete from batch where {condition} returning *) "
                "select count(*) from quantumflow.fail_tasks((select coalesce(jsonb_agg("
                "to_jsonb(f) || '{\"retryable\": false}'), '[]') from failing f))"
            )
        )

    def pass_on(self, commands: list[str]) -> int:
        """Complete the one task that was claimed, and claim what it makes ready; the pages."""
        return self.pages(
            "select * from quantumflow.complete_and_claim(%s, "
            "(select jsonb_agg(to_jsonb(b) || '{\"output\": 1}') from batch b), commands => %s)",
            self.engine.worker_id,
            commands,
        )

    def drain(self, quantity: int = 100) -> dict[str, list[Batch]]:
        """Claim and complete all there is; answers what each full batch cost, by step."""
        found: dict[str, list[Batch]] = {}
        rows = rows_read(self.engine)
        while True:
            pages = self.claim(quantity)
            claimed = self.claimed()
            if not claimed:
                return found
            pages += self.complete()
            before, rows = rows, rows_read(self.engine)
            if len(claimed) == 1 and claimed[0][1] == quantity:
                found.setdefault(claimed[0][0], []).append(Batch(pages, rows - before))


def keep_autovacuum_away(engine: Engine) -> None:
    """After its visit calls plan anew, and the pages of the catalogs that they read are counted."""
    tables = "select oid::regclass::text from pg_class where relkind = 'r' and "
    schemas = "relnamespace in ('quantumflow'::regnamespace, 'pgmq'::regnamespace)"
    for (table,) in engine.rows(tables + schemas):
        engine.connection.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())


def table_counters(engine: Engine) -> dict[str, dict[str, int]]:
    """Sequential scans, updates and updates in place of each hot table, up to now."""
    _flush(engine)
    found = engine.rows(
        "select relname, seq_scan, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables "
        "where schemaname = 'quantumflow' and relname = any (%s)",
        list(HOT_TABLES),
    )
    return {
        name: {"scans": scans, "updates": updates, "hot": hot}
        for name, scans, updates, hot in found
    }


def function_calls(engine: Engine) -> int:
    """Calls of the engine's functions, by each other too, up to now."""
    _flush(engine)
    return int(
        engine.value(
            "select coalesce(sum(calls), 0) from pg_stat_user_functions "
            "where schemaname = 'quantumflow'"
        )
    )


def rows_read(engine: Engine) -> int:
    """Rows that scans of the engine's tables and queues found, up to now."""
    _flush(engine)
    return int(
        engine.value(
            "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) "
            "from pg_stat_user_tables where schemaname in ('quantumflow', 'pgmq')"
        )
    )


def _flush(engine: Engine) -> None:
    """Make what this session did visible in the statistics, and read none from before."""
    engine.value("select pg_stat_force_next_flush()")
    engine.value("select pg_stat_clear_snapshot()")
