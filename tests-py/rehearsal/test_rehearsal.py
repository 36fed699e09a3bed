"""quantumflow_client.testing: flows run to their end in no time, and nothing is left of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client import Client, Context, Flow, HandlerMissing, PermanentError, RunFailed
from quantumflow_client.errors import UnknownRun, UnsupportedValue
from quantumflow_client.testing import (
    DIES,
    TIMES_OUT,
    Rehearsal,
    Signal,
    Stuck,
    attempts,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

pytest_plugins = ["quantumflow_client.testing.fixtures"]

DAY = timedelta(days=1)


@dataclass
class Order:
    amount: int


@dataclass
class Shipped:
    ship: str


def order_flow(**settings: Any) -> Flow[Order, Shipped]:
    flow = Flow("order", input=Order, output=Shipped, **settings)

    @flow.step(max_attempts=5, retry_delay=timedelta(hours=1))
    def charge(run: Order = flow.input) -> int:
        raise NotImplementedError("the test has a stub for it")

    @flow.step(depends_on=[charge])
    def ship(charge: int) -> str:
        return f"paid {charge}"

    return flow


def ship(approved: bool) -> str:
    return "shipped"


# What comes of a run


def test_a_year_passes_in_no_time() -> None:
    flow = order_flow()
    flow.sleep("rest", seconds=7 * DAY, depends_on=["charge"])
    flow.wait_for("approved", timeout=30 * DAY, depends_on=["rest"])
    began = time.monotonic()
    with Rehearsal() as rehearsal:
        rehearsal.deploy(flow)
        rehearsal.stub({"charge": attempts(ConnectionError("down"), TIMES_OUT, DIES, 42)})
        opened = time.monotonic()
        outcome = rehearsal.run(flow, Order(42), signals=[Signal("approved", "ann", 9 * DAY)])
        seconds = time.monotonic() - opened
    assert outcome.status == "completed"
    assert outcome.steps["charge"].attempts == 4
    assert [a.kind for a in outcome.attempts if a.step_slug == "charge"] == [
        *("error", "timeout", "lost", None)
    ]
    assert outcome.steps["approved"].output == "ann"
    assert 9 * DAY <= outcome.took < 9 * DAY + timedelta(minutes=1)
    assert seconds < 5
    assert opened - began < 60


def test_the_output_is_the_flows_type_and_stubs_may_be_functions() -> None:
    outcome = run(order_flow(), Order(3), stubs={"charge": lambda run: run["amount"] * 2})
    assert outcome.output == Shipped("paid 6")
    assert outcome.steps["ship"].output == "paid 6"


def test_an_output_that_is_not_what_the_flow_says_is_refused_as_it_is_asked_for() -> None:
    flow = Flow("order", input=Order, output=Shipped)
    flow.wait_for("approved", timeout=DAY, fallback=False)
    flow.step(depends_on=["approved"], if_="$.approved == true")(ship)
    outcome = run(flow, Order(3))
    assert outcome.steps["ship"].status == "skipped"
    with pytest.raises(UnsupportedValue, match='it has no "ship", which Shipped needs'):
        _ = outcome.output


def test_a_run_that_fails_is_an_outcome_and_says_what_was_raised() -> None:
    outcome = run(order_flow(), Order(3), stubs={"charge": PermanentError("no such card")})
    assert (outcome.status, outcome.steps["charge"].attempts) == ("failed", 1)
    with pytest.raises(RunFailed, match="no such card") as raised:
        _ = outcome.output
    assert isinstance(raised.value.__cause__, PermanentError)


def test_callbacks_run_too() -> None:
    told: list[Any] = []
    flow = order_flow(on_failure=lambda run, error: told.append((run, error)))
    outcome = run(flow, Order(3), stubs={"order.charge": PermanentError("no")})
    assert outcome.callbacks == {"_on_failure": "completed"}
    assert told == [({"amount": 3}, "step charge: PermanentError: no")]


def test_handlers_of_each_kind_and_their_own_transactions() -> None:
    flow = Flow("kinds")

    @flow.step
    def sync(ctx: Context) -> int:
        with ctx.transaction() as connection:
            connection.execute("create table made (n int)")
            connection.execute("insert into made values (1)")
        return 1

    @flow.step(depends_on=[sync], max_attempts=2, retry_delay=60)
    async def awaited(ctx: Context) -> int:
        await asyncio.sleep(0)
        async with ctx.transaction() as connection:
            await connection.execute("insert into made values (2)")
            if ctx.attempt == 1:
                raise ConnectionError("rolled back")
        return 2

    @flow.step
    def listed() -> list[int]:
        return [1, 2, 3]

    @flow.map(over=listed, depends_on=[awaited], chunk_size=2)
    def each(items: list[int], run: Any) -> list[int]:
        return [item * run["by"] for item in items]

    with Rehearsal() as rehearsal:
        rehearsal.deploy(flow)
        outcome = rehearsal.run(flow, {"by": 10})
        made = rehearsal.connection.execute("select n from made order by n").fetchall()
    assert outcome.output == {"each": [10, 20, 30]}
    assert made == [(1,), (2,)]


def payment_flow() -> Flow:
    payment = Flow("payment")

    @payment.step(max_attempts=3, retry_delay=timedelta(hours=1))
    def pay(run: Any) -> Any:
        raise NotImplementedError("the test has a stub for it")

    return payment


PARENT = {
    "slug": "parent",
    "steps": [{"name": "paid", "type": "flow", "flow": "payment", "output": "$.pay"}],
}


def test_a_child_runs_with_its_own_handlers_and_stubs() -> None:
    stubs = {"payment.pay": attempts(ConnectionError("down"), lambda run: run["run"])}
    outcome = run(PARENT, 42, flows=[payment_flow()], stubs=stubs)
    assert outcome.output == {"paid": 42}
    assert outcome.took >= timedelta(hours=1)


def test_a_child_that_waits_says_so() -> None:
    payment = payment_flow()
    payment.wait_for("confirmed")
    with pytest.raises(Stuck, match=r"step 'confirmed': waits for a signal, confirmed"):
        run(PARENT, 42, flows=[payment], stubs={"pay": 1})


def test_hooks_and_resources_are_those_of_the_client_or_the_tests() -> None:
    client = Client("host=/nowhere")
    closed: list[str] = []
    seen: list[str] = []

    @client.resource
    def mail() -> Iterator[str]:
        yield "real"
        closed.append("mail")

    @client.resource
    def gateway() -> str:
        raise AssertionError("never made where the test provides one")

    @client.around
    def noted(ctx: Context, call: Any) -> Any:
        seen.append(ctx.command)
        return call()

    @client.command("send")
    def send(mail: str, gateway: str) -> list[str]:
        return [mail, gateway]

    definition = {"slug": "mails", "steps": [{"name": "a", "command": "send"}]}
    outcome = run(definition, client=client, resources={"gateway": "fake"})
    assert outcome.output == {"a": ["real", "fake"]}
    assert (seen, closed) == (["send"], ["mail"])


# The clock


def test_a_schedule_starts_what_comes_due_while_time_passes(rehearsal: Rehearsal) -> None:
    flow = Flow("report")

    @flow.step
    def write(ctx: Context) -> Any:
        assert ctx.headers is not None
        return ctx.headers["scheduled_at"]

    rehearsal.deploy(flow)
    client = rehearsal.client
    client.schedule("nightly", flow, "0 3 * * *")
    assert rehearsal.advance(7 * DAY) == 7
    found = rehearsal.connection.execute("select distinct output from quantumflow.workflow_runs")
    assert found.rowcount == 7


def test_code_under_test_may_have_the_rehearsals_client(rehearsal: Rehearsal) -> None:
    flow = order_flow()
    flow.wait_for("approved", depends_on=["charge"])

    def application(client: Client) -> Any:
        client.deploy(flow)
        run_id = client.start_flow(flow, Order(1))
        client.poll_and_run()
        assert client.signal(run_id, "approved", "ann") == "delivered"
        with pytest.raises(UnknownRun):
            client.status(rehearsal._worker_id)
        return client.wait(run_id)

    before = rehearsal.now
    rehearsal.deploy(flow)
    rehearsal.stub({"charge": 1})
    assert application(rehearsal.client) is not None
    assert rehearsal.now - before < timedelta(minutes=1)


def test_nothing_is_left_of_a_rehearsal(dsn: str, connection: psycopg.Connection[Any]) -> None:
    connection.execute("insert into quantumflow.settings values ('test_clock', 'on')")
    theirs = Client(dsn)
    theirs.deploy({"slug": "theirs", "steps": [{"name": "charge", "command": "order.charge"}]})
    run_id = theirs.start_flow("theirs")
    tables = "select relname from pg_class where relkind in ('r', 'p')"
    before = connection.execute(tables).fetchall()
    outcome = run(order_flow(), Order(1), stubs={"order.charge": TIMES_OUT}, database=dsn)
    assert (outcome.status, outcome.steps["charge"].attempts) == ("failed", 5)
    assert connection.execute(tables).fetchall() == before
    assert [flow.workflow_slug for flow in theirs_flows(theirs)] == ["theirs"]
    assert theirs.status(run_id)["steps"][0]["tasks"]["queued"] == 1
    theirs.close()


def theirs_flows(client: Client) -> list[Any]:
    from quantumflow_client import _sql

    return client._run(_sql.definitions.list_flows(), None)


def test_a_database_whose_clock_is_the_time_is_refused(dsn: str) -> None:
    from quantumflow_client.errors import RealClock

    with pytest.raises(RealClock, match="test_clock"):
        run(order_flow(), Order(1), stubs={"charge": 1}, database=dsn)


# What is wrong is said at once


def test_a_run_that_waits_for_a_signal_nobody_sends_says_so() -> None:
    flow = order_flow()
    flow.wait_for("approved", depends_on=["charge"])
    with pytest.raises(Stuck, match=r"step 'approved': waits for a signal, approved") as stuck:
        run(flow, Order(1), stubs={"charge": 1})
    assert "signals={'approved': ...} sends it" in str(stuck.value)


def test_a_run_that_takes_longer_than_it_may_says_so() -> None:
    flow = order_flow()
    flow.sleep("rest", seconds=7 * DAY)
    with pytest.raises(Stuck, match=r"does not end, within 1 day.*:\s+step 'rest'"):
        run(flow, Order(1), stubs={"charge": 1}, within=DAY)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"stubs": {"chrage": 1}},
            LookupError,
            "no step 'chrage' to stub: there is 'order.charge'",
        ),
        ({"stubs": {"ship": lambda item: item}}, TypeError, "'ship' asks for 'item'"),
        ({"stubs": {"ship": object()}}, UnsupportedValue, "the stub of step 'ship'"),
        ({"signals": {"aproved": 1}}, LookupError, "waits for the signal 'aproved': .* none"),
    ],
)
def test_what_is_no_stub_or_no_signal_is_refused(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(order_flow(), Order(1), **{"stubs": {"charge": 1}, **arguments})


def test_a_step_without_handler_is_named_before_anything_runs() -> None:
    definition = {"slug": "bare", "steps": [{"name": "a"}, {"name": "b", "command": "c"}]}
    with pytest.raises(HandlerMissing, match=r"bare.b \('c'\)"):
        run(definition, stubs={"a": 1})
