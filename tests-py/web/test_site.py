"""What the site shows, and does; what it says when the database refuses, is away, or is slow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from page.test_page import EVIL, Elements
from web.sites import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGES = [
    "/",
    "/runs",
    "/flows",
    "/queues",
    "/workers",
    "/workers?all=1",
    "/schedules",
    "/waits",
    "/history",
    "/goals",
]
FLOW = {
    "slug": "site",
    "steps": [
        {"name": "list"},
        {"name": "each", "type": "map", "dependencies": ["list"]},
        {"name": "last", "dependencies": ["each"]},
    ],
}
ASKS = {"slug": "asks", "steps": [{"name": "ask", "type": "wait", "signal": "approved"}]}


class Engine:
    """The database, by its functions."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)

    def one(self, statement: str, *values: object) -> Any:
        row = self.connection.execute(statement.encode(), values).fetchone()
        return None if row is None else row[0]

    def define(self, flow: dict[str, Any]) -> None:
        self.one("select quantumflow.define_flow(%s)", json.dumps(flow))

    def work(self, output: str) -> None:
        """Complete what there is to claim now."""
        self.one(
            "select quantumflow.complete_task(t.run_id, t.step_slug, t.task_index, %s, "
            "t.lease_token) from quantumflow.claim_tasks(gen_random_uuid(), 100) t",
            output,
        )

    def fail(self, error: str) -> None:
        """Fail what there is to claim now."""
        self.one(
            "select quantumflow.fail_task(t.run_id, t.step_slug, t.task_index, %s, t.lease_token, "
            "retryable => false, error_details => jsonb_build_object('traceback', %s::text)) "
            "from quantumflow.claim_tasks(gen_random_uuid(), 100) t",
            error,
            f"Traceback of {error}",
        )

    def status(self, run_id: object) -> Any:
        return self.one("select status from quantumflow.workflow_runs where id = %s", run_id)


@pytest.fixture
def engine(dsn: str) -> Iterator[Engine]:
    made = Engine(dsn)
    yield made
    made.connection.close()


@pytest.fixture
def operator(dsn: str) -> Iterator[Visitor]:
    visitor = Visitor(dsn, operator=True)
    yield visitor
    visitor.close()


def test_an_empty_database_has_every_page(operator: Visitor) -> None:
    for path in PAGES:
        Elements(operator.get(path))
    for path in ("/runs/x", "/runs/00000000-0000-0000-0000-000000000001", "/flows/none", "/no"):
        operator.get(path, expect=404)


def test_a_failed_run_is_read_retried_and_ends(operator: Visitor, engine: Engine) -> None:
    engine.define(FLOW)
    run_id = engine.one("select quantumflow.start_flow('site')")
    engine.fail(EVIL)
    for path in (*PAGES, f"/runs/{run_id}", f"/runs/{run_id}/steps/list", "/flows/site"):
        text = operator.get(path)
        assert text.count("<script") == 1, path  # ours
        assert "\u202e" not in text
    assert "Traceback of &lt;script&gt;" in operator.get(f"/runs/{run_id}")
    preview = operator.get(f"/runs/{run_id}/retry")
    assert "Tasks again" in preview
    back = operator.post(f"/runs/{run_id}/retry", f"/runs/{run_id}/retry", reason="fixed")
    assert "It is retried" in operator.get(back)
    engine.work('["a", "b"]')
    engine.work('"<b>"')
    engine.work("1")
    assert engine.status(run_id) == "completed"
    assert "&lt;b&gt;" in operator.get(f"/runs/{run_id}/steps/each")
    answer = operator.browser.get(f"/runs/{run_id}/steps/each/output")
    assert answer.json() == ["<b>", "<b>"]
    assert answer.headers["content-disposition"].startswith("attachment")
    operator.get(f"/runs/{run_id}/steps/none", expect=404)
    # A stale form: it was failed when the page was made.
    text = operator.post(f"/runs/{run_id}/cancel", "/flows/site", expect=409)
    assert "QF2" in text
    assert operator.post(f"/runs/{run_id}/delete", f"/runs/{run_id}") == "/runs?done=deleted"
    assert engine.status(run_id) is None


def test_what_waits_is_approved(operator: Visitor, engine: Engine) -> None:
    engine.define(ASKS)
    run_id = engine.one("select quantumflow.start_flow('asks', '{\"amount\": 42}')")
    assert 'href="/waits?workflow=asks"' in operator.get(f"/runs/{run_id}")
    text = operator.get("/waits?workflow=asks")
    assert "approved" in text
    assert "&#34;amount&#34;: 42" in text
    form: dict[str, Any] = {"signal": "approved", "back": "waits"}
    path = f"/runs/{run_id}/signal"
    assert "no JSON" in operator.post(path, "/waits", expect=400, payload="{", **form)
    assert operator.post(path, "/waits", payload='{"by": "ann"}', **form) == "/waits?done=delivered"
    engine.one("select settled from quantumflow.settle()")
    assert engine.status(run_id) == "completed"
    assert "Nothing waits" in operator.get("/waits")
    assert "too late" in operator.post(path, "/flows/asks", expect=409, **form)


def test_flows_are_started_and_compared(operator: Visitor, engine: Engine) -> None:
    engine.define(ASKS)
    assert operator.post("/flows/asks/start", "/flows/asks", input="{}", key="k") == (
        "/flows/asks?done=started"
    )
    engine.define({**ASKS, "title": "Ask"})
    assert "Compare" in operator.get("/flows/asks")
    assert "title" in operator.get("/flows/asks/diff?from=1&to=2")
    assert "the same" in operator.get("/flows/asks/diff?from=1&to=1")
    assert "QF112" in operator.get("/flows/asks/diff?from=1&to=9", expect=404)
    assert "QF112" in operator.get("/flows/asks?version=7", expect=404)


def test_runs_are_filtered_and_paged_by_the_address(operator: Visitor, engine: Engine) -> None:
    engine.define(ASKS)
    for _ in range(52):
        engine.one("select quantumflow.start_flow('asks')")
    engine.one(
        "select (quantumflow.cancel_run(run_id, 'enough')).status "
        "from quantumflow.list_runs('asks', max_runs => 1)"
    )
    text = operator.get("/runs?workflow=asks&status=started")
    assert text.count('<th scope="row"') == 50
    (older,) = [
        part.partition('"')[0] for part in text.split('href="/runs?') if "before" in part[:200]
    ][:1]
    assert operator.get("/runs?" + older.replace("&amp;", "&")).count('<th scope="row"') == 1
    assert "enough" in operator.get("/runs?status=cancelled")
    assert "QF212" in operator.get("/runs?status=nonsense", expect=409)
    operator.get("/runs?before=x", expect=400)
    for query, rows in (
        ("error=enou", 1), ("error=nothing", 0), ("since=2030-01-01", 0), ("key=none", 0),
        ("until=2030-01-01T10:00&status=cancelled", 1), ("input=customer%3Dc42", 0),
        ("with_children=1&status=cancelled", 1),
    ):  # fmt: skip
        assert operator.get(f"/runs?{query}").count('<th scope="row"') == rows, query
    operator.get("/runs?since=soon", expect=400)
    text = operator.get("/history?acts=1")
    assert "cancel_run" in text
    assert "run started" not in text
    assert "run started" in operator.get("/history")


def test_queues_commands_and_flows_are_paused(operator: Visitor, engine: Engine) -> None:
    engine.define(FLOW)
    run_id = engine.one("select quantumflow.start_flow('site')")
    form: dict[str, Any] = {"kind": "command", "name": "list", "reason": "the shop is closed"}
    assert operator.post("/pauses/pause", "/queues", **form) == "/queues?done=held"
    assert "the shop is closed" in operator.get("/queues")
    assert operator.post("/pauses/resume", "/queues", **form) == "/queues?done=released"
    form = {"kind": "workflow", "name": "site"}
    assert operator.post("/pauses/pause", "/flows/site", **form) == "/flows/site?done=held"
    assert "It is paused" in operator.get("/flows/site")
    operator.post("/pauses/resume", "/flows/site", **form)
    operator.post("/pauses/pause", "/queues", expect=400, kind="schema", name="x")
    assert "QF4" in operator.post("/pauses/pause", "/queues", expect=409, kind="queue", name="x")
    text = operator.post(f"/runs/{run_id}/run_now", "/queues", step="list", task="0")
    assert text == f"/runs/{run_id}/steps/list?done=hurried"


def test_schedules_are_paused_and_resumed(operator: Visitor, engine: Engine) -> None:
    engine.define(ASKS)
    engine.one("select next_at from quantumflow.schedule_flow('nightly', 'asks', '0 3 * * *')")
    operator.post("/schedules/nightly/pause", "/schedules")
    assert "paused" in operator.get("/schedules")
    operator.post("/schedules/nightly/resume", "/schedules")


def test_what_takes_too_long_is_stopped(dsn: str, engine: Engine) -> None:
    visitor = Visitor(dsn, patience=0.2)
    engine.define(ASKS)
    with engine.connection.transaction():
        engine.connection.execute("lock table quantumflow.workflow_runs")
        assert "took too long" in visitor.get("/runs", expect=504)
    visitor.get("/runs")
    visitor.close()


def test_a_database_that_is_away_is_asked_again(
    operator: Visitor, engine: Engine, connect: Callable[..., Any], dsn: str
) -> None:
    operator.get("/runs")
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    admin = connect(psycopg.conninfo.make_conninfo(dsn, dbname="postgres"))
    admin.execute(f"alter database {name} allow_connections false")
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
    )
    answer = operator.browser.get("/runs")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert 'http-equiv="refresh"' in answer.text
    admin.execute(f"alter database {name} allow_connections true")
    operator.get("/runs")


def test_a_run_is_live_until_it_has_ended(operator: Visitor, engine: Engine) -> None:
    engine.define(ASKS)
    run_id = engine.one("select quantumflow.start_flow('asks')")
    assert f'data-live="/runs/{run_id}/live"' in operator.get(f"/runs/{run_id}")
    engine.one("select quantumflow.send_signal(%s, 'approved')", run_id)
    engine.one("select settled from quantumflow.settle()")
    operator.house.forget()
    assert "data-live" not in operator.get(f"/runs/{run_id}")
    told = operator.get(f"/runs/{run_id}/live")
    ids = [json.loads(line[6:])["id"] for line in told.splitlines() if line.startswith("data: {")]
    assert {"head", "timeline", "graph", "steps", "values", "acts", "foot"} <= set(ids)
    assert told.rstrip().endswith('event: end\ndata: "It has ended."')
