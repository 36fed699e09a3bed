"""The client of 0.3.0 works with the new version, its prepared statements included.

client_0.3.0.json holds the statements that it sends, and the columns that it reads.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from upgrade.installation import Installation

Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.system

SENT: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("client_0.3.0.json").read_text("utf-8")
)


class OldClient:
    """Sends what the old client sends, and insists on the columns that it reads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sent: set[str] = set()

    def call(self, function: str, **parameters: Any) -> list[tuple[Any, ...]]:
        self.sent.add(function)
        cursor = self.connection.execute(SENT[function]["text"].encode(), parameters, prepare=True)
        # "void" is no type that psycopg knows.
        known = self.connection.adapters.types.get
        types = [(c.name, known(c.type_code)) for c in cursor.description or ()]
        columns = [f"{name}:{t.name if t else 'void'}" for name, t in types]
        assert " ".join(columns) == SENT[function]["columns"]
        return cursor.fetchall()

    def report(self, task: tuple[Any, ...], **more: Any) -> str:
        return json.dumps([self.reference(task) | more])

    @staticmethod
    def reference(task: tuple[Any, ...]) -> dict[str, Any]:
        keys = ("run_id", "step_slug", "task_index", "lease_token")
        return dict(zip(keys, task, strict=False))

    def use_all(self) -> None:
        """A day in its life: every statement."""
        slug = f"f{uuid4().hex}"
        self.define(slug)
        runs = self.start(slug)
        self.work(slug)
        (failed,) = self.call(
            "list_runs", workflow_slug=slug, status="failed", max_runs=10, before=None
        )
        self.mend(failed[0])
        self.end(runs[0])
        self.look_after()

    def define(self, slug: str) -> None:
        definition = json.dumps({"slug": slug, "queue": slug, "steps": [{"name": "s"}]})
        assert self.call("validate_flow", definition=definition) == []
        assert self.call("define_flow", definition=definition) == [(slug, 1, None)]
        assert '"s"' in self.call("get_flow", workflow_slug=slug, version=None)[0][0]
        assert slug in [row[0] for row in self.call("list_flows")]
        empty = f"e{slug}"
        self.call("define_flow", definition=json.dumps({"slug": empty, "steps": [{"name": "s"}]}))
        assert self.call("delete_flow", workflow_slug=empty) == [(True,)]

    def start(self, slug: str) -> list[UUID]:
        """Start six runs: one alone, which is the first, and five at once."""
        ((first,),) = self.call(
            "start_flow",
            workflow_slug=slug,
            input='{"n": 1}',
            run_id=uuid4(),
            priority=1,
            start_at=datetime.now(timezone.utc),
            idempotency_key="key",
            headers='{"h": 1}',
            version=1,
        )
        assert self.call("run_input", run_id=first) == [('{"n": 1}',)]
        inputs = ["1", "2", "3", "4", "5"]
        started = self.call("start_flows", workflow_slug=slug, inputs=inputs, priority=0)
        assert len(started) == 5
        listed = {"workflow_slug": slug, "status": "started", "max_runs": 10, "before": None}
        assert len(self.call("list_runs", **listed)) == 6
        return [first, *(run_id for (run_id,) in started)]

    def work(self, slug: str) -> None:
        worker_id, lease = uuid4(), timedelta(seconds=30)
        self.call("register_worker", worker_id=worker_id, name="old", commands=["s"], queues=[slug])
        claims = {"worker_id": worker_id, "queues": [slug], "lease": lease, "commands": ["s"]}
        done, failed, released, cancelled, handed_over = self.call(
            "claim_tasks", quantity=5, **claims
        )
        ((*_, state, _),) = self.call(
            "extend_leases", worker_id=worker_id, tasks=self.report(done), lease=lease
        )
        assert state == "held"
        assert self.call("hold_task", **self.reference(done)) == [("held",)]
        assert self.call("release_tasks", tasks=self.report(released)) == [(1,)]
        ((*_, outcome),) = self.call("complete_tasks", results=self.report(done, output=5))
        assert outcome == "completed"
        assert self.call("step_output", run_id=done[0], step_slug="s") == [("5",)]
        results = self.report(handed_over, output=6)
        answers = self.call("complete_and_claim", results=results, quantity=1, **claims)
        assert sorted(str(outcome) for *_, outcome in answers) == ["None", "completed"]
        failure = self.report(failed, error_message="it broke", retryable=False)
        ((*_, outcome),) = self.call("fail_tasks", results=failure)
        assert outcome == "failed"
        gone = self.call("cancel_run", run_id=cancelled[0], reason="why")
        assert gone == [(UUID(cancelled[0]),)]
        self.call("stop_worker", worker_id=worker_id)

    def mend(self, run_id: UUID) -> None:
        """What is done with a run that has failed."""
        ((_, *_, message, _),) = self.call("list_failures", run_id=run_id, max_failures=10)
        assert message == "it broke"
        (preview,) = self.call("retry_preview", run_id=run_id, from_step=None)
        assert preview[0] == "s"
        assert self.call("retry_run", run_id=run_id, from_step=None) == [("started",)]
        assert self.call("pause_run", run_id=run_id) == [("paused",)]
        assert self.call("resume_run", run_id=run_id) == [("started",)]

    def end(self, run_id: UUID) -> None:
        ((status,),) = self.call("status", run_id=run_id)
        assert json.loads(status)["status"] == "completed"
        assert self.call("delete_run", run_id=run_id) == [("completed",)]
        assert self.call("prune", older_than=timedelta(days=1), max_runs=10) == [(0,)]

    def look_after(self) -> None:
        self.call("sweep")
        assert self.call("check_state", run_id=None) == []
        assert self.call("repair", dry_run=True) == []
        assert self.call("rebuild_queues")
        assert self.call("setup")[0][0].startswith("ready")
        assert self.call("doctor")
        self.call("version")
        assert self.call("adopt")[0][0]


def test_its_statements_work_before_and_after(
    old: Installation, old_connection: Connection, connect: Callable[..., Connection]
) -> None:
    client = OldClient(old_connection)
    client.use_all()
    assert client.sent == set(SENT)
    prepared = "select count(*) from pg_prepared_statements"
    before = old_connection.execute(prepared).fetchone()

    old.update(connect(old.dsn))

    client.use_all()
    client.use_all()
    assert old_connection.execute(prepared).fetchone() == before
