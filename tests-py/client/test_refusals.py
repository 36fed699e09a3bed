"""Workers whose reports or claims are refused, for every reason there is: nobody else waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from quantumflow_client import Client, Context, Flow, RetryAfter
from quantumflow_client._worker import core
from support.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]
Work = Callable[..., Any]

INNOCENT = 30

REFUSALS = [
    [
        "02000",
        "03000",
        "0A000",
        "0B000",
        "20000",
        "21000",
        "23505",
        "23514",
        "25001",
        "25P02",
        "26000",
        "2F000",
        "34000",
        "38000",
        "39000",
    ],
    [
        "3B000",
        "3D000",
        "3F000",
        "40000",
        "40001",
        "40P01",
        "42501",
        "42883",
        "42P01",
        "42P17",
        "42804",
        "44000",
        "53000",
        "53100",
    ],
    [
        "53200",
        "54000",
        "55000",
        "55006",
        "55P03",
        "57014",
        "58000",
        "58030",
        "F0000",
        "HV000",
        "P0000",
        "P0001",
        "P0002",
        "P0003",
    ],
    ["XX000", "XX001", "XX002", "QF203", "QF309", "QF401", "QF404", "QF999", "ZZ999"],
]
"""One code of each class at least that a server can answer and go on."""

VALUES = ["22000", "22003", "22021", "22P02", "22P05", "54001"]
"""PostgreSQL cannot hold a value."""

LOSSES = ["08006", "25006", "57P01"]
"""The server is lost, or so it says."""


@pytest.fixture(autouse=True)
def consistent(connection: Connection) -> Iterator[None]:
    """Whatever was refused, the database's rules hold afterwards."""
    yield
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


@pytest.fixture
def refuse(connection: Connection) -> Callable[..., None]:
    """Lets the database refuse what would give a task a status: of one run, or of any."""
    connection.execute(
        """
        create table refused (run_id uuid, status text, code text, seconds float);

        create function refuse() returns trigger language plpgsql security definer as $$
        declare
          v_refused public.refused;
        begin
          select * into v_refused from public.refused r
          where r.status = new.status and coalesce(r.run_id, new.run_id) = new.run_id;
          if v_refused.seconds is not null then
            perform pg_sleep(v_refused.seconds);
          elsif v_refused.code is not null then
            raise exception 'refused: %', v_refused.code using errcode = v_refused.code;
          end if;
          return new;
        end $$;

        create trigger refuse after update on quantumflow.step_tasks
        for each row execute function refuse();
        """
    )

    def refuse(
        status: str, code: str | None, run_id: UUID | None = None, seconds: float | None = None
    ) -> None:
        connection.execute(
            "insert into refused values (%s, %s, %s, %s)", (run_id, status, code, seconds)
        )

    return refuse


@pytest.fixture
def flow(client: Client) -> str:
    """A workflow of one step, and one of the same step with little time."""
    client.command("a")(lambda run: run)
    steps = [{"name": "a"}]
    client.deploy({"slug": "one", "steps": steps})
    client.deploy({"slug": "hasty", "timeout": 8, "max_attempts": 1, "steps": steps})
    return "one"


def failures(connection: Connection) -> dict[UUID, str]:
    """The error of each run that has one failed attempt."""
    rows = connection.execute("select run_id, error_message from quantumflow.task_failures")
    return dict(rows.fetchall())


def completed(connection: Connection) -> int:
    row = connection.execute(
        "select count(*) from quantumflow.workflow_runs where status = 'completed'"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("codes", [*REFUSALS, VALUES], ids=lambda codes: codes[0])
def test_whatever_one_report_is_refused_with_all_others_are_recorded(
    client: Client,
    connection: Connection,
    flow: str,
    refuse: Callable[..., None],
    codes: list[str],
) -> None:
    guilty = dict(zip(client.start_flows("hasty", range(len(codes))), codes, strict=True))
    for run_id, code in guilty.items():
        refuse("completed", code, run_id)
    client.start_flows(flow, range(INNOCENT))
    client.poll_and_run(until_idle=True, concurrency=100)
    assert completed(connection) == INNOCENT
    errors = failures(connection)
    assert errors.keys() == guilty.keys()
    for run_id, code in guilty.items():
        assert f"refused: {code}" in errors[run_id]
        cannot_hold = errors[run_id].startswith("PostgreSQL cannot hold the output")
        assert cannot_hold == (codes is VALUES)


@pytest.mark.parametrize("code", LOSSES)
def test_a_report_that_makes_the_server_look_lost_is_found_too(
    client: Client, connection: Connection, flow: str, refuse: Callable[..., None], code: str
) -> None:
    (guilty,) = client.start_flows("hasty", [0])
    refuse("completed", code, guilty)
    client.start_flows(flow, range(INNOCENT))
    client.poll_and_run(until_idle=True, concurrency=100)
    assert completed(connection) == INNOCENT
    assert f"refused: {code}" in failures(connection)[guilty]


@pytest.mark.parametrize("code", ["42501", "57014", "XX000", "QF401"])
def test_while_every_report_is_refused_it_claims_and_then_reports_them_all(
    client: Client,
    connection: Connection,
    flow: str,
    refuse: Callable[..., None],
    work: Work,
    code: str,
) -> None:
    refuse("completed", code)
    client.start_flows(flow, range(INNOCENT))
    work(concurrency=5)
    started = "select from quantumflow.step_tasks where status = 'started'"
    wait_until(lambda: connection.execute(started).rowcount == INNOCENT)
    connection.execute("truncate refused")
    wait_until(lambda: completed(connection) == INNOCENT)
    assert failures(connection) == {}


@pytest.mark.parametrize("code", ["55P03", "57014", "53100", "XX000", "P0001"])
def test_while_every_claim_is_refused_it_reports_what_it_has(
    client: Client, connection: Connection, refuse: Callable[..., None], work: Work, code: str
) -> None:
    begun, may_end = threading.Barrier(3), threading.Event()

    def handler() -> None:
        begun.wait(30)
        may_end.wait(30)

    client.command("a")(handler)
    client.deploy({"slug": "one", "steps": [{"name": "a"}]})
    client.start_flows("one", [1, 2])
    work(concurrency=4)
    begun.wait(30)
    refuse("started", code)
    later = client.start_flow("one")
    may_end.set()
    wait_until(lambda: completed(connection) == 2)
    assert client.status(later)["status"] == "started"
    begun.reset()
    connection.execute("truncate refused")
    threading.Thread(target=begun.wait, args=[30], daemon=True).start()
    threading.Thread(target=begun.wait, args=[30], daemon=True).start()
    wait_until(lambda: completed(connection) == 3)
    assert failures(connection) == {}


def test_a_worker_that_is_told_to_stop_waits_for_a_refused_report_for_one_lease(
    client: Client,
    connection: Connection,
    flow: str,
    refuse: Callable[..., None],
    work: Work,
    short_lease: timedelta,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refuse("completed", "42501")
    run_id = client.start_flow(flow)
    worker = work(lease=short_lease)
    wait_until(lambda: "comes again later" in caplog.text)
    assert worker.stop() == 1
    assert "ended with 1 tasks unreported" in caplog.text
    assert caplog.text.count("comes again later") == 1
    (record,) = [r for r in caplog.records if "comes again later" in r.getMessage()]
    assert (record.levelname, record.run_id, record.attempt) == ("WARNING", run_id, 1)  # type: ignore[attr-defined]
    # What the lease leaves over is done once it is possible.
    connection.execute("truncate refused")
    wait_until(lambda: client.poll_and_run(once=True))
    assert completed(connection) == 1


def test_the_lease_of_a_refused_report_is_kept(
    client: Client,
    connection: Connection,
    flow: str,
    refuse: Callable[..., None],
    work: Work,
    short_lease: timedelta,
) -> None:
    refuse("completed", "42501")
    client.start_flow(flow)
    work(lease=short_lease)
    seen: set[Any] = set()

    def lease() -> set[Any]:
        seen.add(connection.execute("select vt from pgmq.q_quantum_flow_queue").fetchone())
        return seen

    wait_until(lambda: len(lease()) > 4)
    connection.execute("truncate refused")
    wait_until(lambda: completed(connection) == 1)
    assert connection.execute("select losses from quantumflow.step_tasks").fetchone() == (0,)


def test_a_sweep_or_a_release_that_is_refused_stops_nothing(
    client: Client,
    connection: Connection,
    flow: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    work: Work,
) -> None:
    from quantumflow_client import _sql
    from quantumflow_client._connections import Session

    monkeypatch.setattr(core, "SWEEP_EVERY", 0.05)
    call, refused = Session.ask, set()

    def refusing(self: Session, asked: Any) -> Any:
        for name in ("sweep", "release_tasks", "register_worker"):
            if asked.statement == _sql.STATEMENTS[name]:
                refused.add(name)
                raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")
        return call(self, asked)

    monkeypatch.setattr(Session, "ask", refusing)
    working = work()
    wait_until(lambda: "sweep" in refused)
    client.start_flows(flow, range(INNOCENT))
    wait_until(lambda: completed(connection) == INNOCENT)
    assert working.stop() == INNOCENT
    assert "register_worker" in refused


def test_a_report_over_the_statement_timeout_delays_nobody_elses(
    client: Client,
    connection: Connection,
    database: str,
    flow: str,
    refuse: Callable[..., None],
) -> None:
    connection.execute(f"alter database {database} set statement_timeout = '300 ms'")
    (guilty,) = client.start_flows("hasty", [0])
    refuse("completed", None, guilty, seconds=5)
    client.start_flows(flow, range(7))
    client.poll_and_run(until_idle=True, concurrency=100)
    assert completed(connection) == 7
    assert "57014" in failures(connection)[guilty]


def test_a_report_that_waits_for_a_lock_is_recorded_when_it_is_free(
    client: Client, connect: Callable[..., Connection], database: str, flow: str, work: Work
) -> None:
    looking, holding = connect(), connect(autocommit=False)
    looking.execute(f"alter database {database} set lock_timeout = '100 ms'")
    guilty = client.start_flow(flow)
    holding.execute("select from quantumflow.step_states where run_id = %s for update", (guilty,))
    client.start_flows(flow, range(INNOCENT))
    work(concurrency=100)
    wait_until(lambda: completed(looking) == INNOCENT)
    assert client.status(guilty)["status"] == "started"
    holding.rollback()
    assert client.wait(guilty, timeout=30) == {"a": {}}
    assert failures(looking) == {}


def test_a_step_whose_queue_is_gone_delays_no_other_run(
    client: Client, connection: Connection, flow: str, work: Work
) -> None:
    client.deploy(
        {
            "slug": "gone",
            "timeout": 5,
            "steps": [
                {"name": "first", "command": "a"},
                {"name": "b", "command": "a", "dependencies": ["first"], "queue": "gone"},
            ],
        }
    )
    connection.execute("select pgmq.drop_queue('gone')")
    client.start_flows("gone", range(3))
    client.start_flows(flow, range(INNOCENT))
    work(concurrency=100)
    wait_until(lambda: completed(connection) == INNOCENT)


class Odd(RetryAfter):
    """A delay that is none."""

    def __init__(self, seconds: Any) -> None:
        super().__init__(0, "odd")
        self.seconds = seconds


@pytest.mark.parametrize("odd", [timedelta(0), float("nan"), "soon", None, object()])
def test_an_odd_delay_is_its_own_tasks_trouble(
    client: Client, connection: Connection, odd: Any
) -> None:
    def handler(run: int) -> int:
        if run == 0:
            raise Odd(odd)
        return run

    flow = Flow("one", retry_delay=0, max_attempts=1)
    flow.step("a")(handler)
    client.deploy(flow)
    guilty, *_ = client.start_flows("one", range(5))
    client.poll_and_run(until_idle=True)
    assert completed(connection) == 4
    assert failures(connection)[guilty] == "Odd: odd"


@pytest.fixture
def latin(server: EmbeddedServer) -> Iterator[str]:
    """The connection string of a database that holds no more than LATIN1."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        # The only provider there was before 15.
        provider = "locale_provider libc" if admin.info.server_version >= 150000 else ""
        admin.execute(
            "create database latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0"
            f" {provider}".encode()
        )
        with psycopg.connect(server.dsn("latin"), autocommit=True) as connection:
            connection.execute("create extension pgmq")
            connection.execute("create extension quantumflow")
            connection.execute("select quantumflow.setup()")
        yield server.dsn("latin")
        admin.execute("drop database latin with (force)")


def test_an_error_that_the_database_cannot_hold_is_tried_again(latin: str) -> None:
    def handler(run: int, ctx: Context) -> int:
        if run == 0 and ctx.attempt < 3:
            raise ValueError("5 \N{EURO SIGN}, \0, \ud800, caf\N{LATIN SMALL LETTER E WITH ACUTE}")
        return run

    flow = Flow("one", retry_delay=0)
    flow.step("a")(handler)
    with Client(latin) as client, psycopg.connect(latin, autocommit=True) as connection:
        client.deploy(flow)
        guilty, *_ = client.start_flows("one", range(5))
        client.poll_and_run(until_idle=True)
        assert completed(connection) == 5
        rows = connection.execute(
            "select run_id, kind, error_message, error_details ->> 'type'"
            " from quantumflow.task_failures"
        ).fetchall()
        text = r"ValueError: 5 \u20ac, \ufffd, \ufffd, caf\xe9"
        assert rows == [(guilty, "error", text, "ValueError")] * 2


def test_an_error_in_making_a_report_is_its_own_tasks_trouble(
    client: Client, connection: Connection, flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantumflow_client._sql.tasks import Completion

    row = Completion.row

    def broken(self: Completion) -> str:
        if self.output == "0":
            raise TypeError("no such row")
        return row(self)

    monkeypatch.setattr(Completion, "row", broken)
    (guilty,) = client.start_flows("hasty", [0])
    client.start_flows(flow, range(1, INNOCENT + 1))
    client.poll_and_run(until_idle=True, concurrency=100)
    assert completed(connection) == INNOCENT
    assert "TypeError: no such row" in failures(connection)[guilty]


def test_after_an_outage_longer_than_its_leases_a_worker_reports_before_it_sweeps(
    client: Client,
    connection: Connection,
    server: EmbeddedServer,
    connect: Callable[..., Connection],
    database: str,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "SWEEP_EVERY", 0.05)
    admin = connect(server.dsn("postgres"))
    count = 7
    begun, may_end = threading.Barrier(count + 1), threading.Event()

    def handler(run: int) -> int:
        begun.wait(30)
        may_end.wait(30)
        return run

    client.command("a")(handler)
    client.deploy({"slug": "one", "max_lost": 1, "steps": [{"name": "a"}]})
    client.start_flows("one", range(count))
    work(concurrency=count, lease=timedelta(seconds=1))
    begun.wait(30)
    admin.execute(f"alter database {database} allow_connections false")
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> %s",
        (database, connection.info.backend_pid),
    )
    may_end.set()
    held = "select from pgmq.q_quantum_flow_queue where vt > clock_timestamp()"
    wait_until(lambda: connection.execute(held).rowcount == 0)
    admin.execute(f"alter database {database} allow_connections true")
    wait_until(lambda: completed(connection) == count)
    lost = connection.execute("select from quantumflow.step_tasks where losses > 0").rowcount
    assert lost == 0
