"""What a batch costs does not depend on how full the tables are, nor on when plans were made.

A session makes its plans when the tables are empty, keeps them, and goes on for days. All bounds
are on counters (pages touched, scans, WAL), never on time.
"""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Any

import pytest

from plans.measuring import HOT_TABLES, Meter, function_calls, rows_read, table_counters
from support.engine import Engine, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Connect

pytestmark = pytest.mark.system

_TASKS = pytest.mark.parametrize("tasks", [5_000, pytest.param(20_000, marks=pytest.mark.long)])


@pytest.fixture
def engine(connect: Connect) -> Engine:
    engine = Engine(connect())
    engine.define("chain", [{"name": "a"}, {"name": "b", "dependencies": ["a"]}])
    engine.define("wide", [{"name": "each", "type": "map"}])
    engine.define("single", [{"name": "only"}])
    engine.define("later", [{"name": "each", "type": "map", "start_delay": 86400}])
    return engine


@pytest.fixture
def worker(connect: Connect) -> Meter:
    return Meter(Engine(connect()))


def _warm_up(engine: Engine, worker: Meter) -> None:
    """Let the worker's session make its plans while there is next to nothing in the tables."""
    for _ in range(8):
        assert worker.drain(1) == {}
        engine.start("chain")
        assert set(worker.drain(1)) == {"a", "b"}


def _load_chains(engine: Engine, tasks: int) -> None:
    for _ in range(10):
        engine.start_many("chain", [{}] * (tasks // 20))


def _load_wide(engine: Engine, tasks: int) -> None:
    engine.start("wide", list(range(tasks)))


def _nothing(engine: Engine) -> None:
    pass


def _analyze(engine: Engine) -> None:
    engine.connection.execute("analyze")


def _empty_and_analyze(engine: Engine) -> None:
    """As autovacuum finds a system at night: no row, but pages, so that it expects none at all."""
    remove_runs(engine.connection)
    engine.connection.execute("analyze")


@pytest.mark.parametrize(
    ("before", "load", "tasks", "after"),
    [
        pytest.param(_nothing, _load_chains, 5_000, _nothing, id="chains"),
        pytest.param(
            _nothing, _load_chains, 20_000, _nothing, id="many chains", marks=pytest.mark.long
        ),
        pytest.param(_analyze, _load_chains, 5_000, _nothing, id="chains, analyzed while tiny"),
        pytest.param(
            _empty_and_analyze, _load_chains, 5_000, _nothing, id="chains, analyzed while empty"
        ),
        pytest.param(_nothing, _load_chains, 5_000, _analyze, id="chains, analyzed when full"),
        pytest.param(_empty_and_analyze, _load_wide, 5_000, _nothing, id="map, analyzed empty"),
        pytest.param(
            _empty_and_analyze,
            _load_wide,
            20_000,
            _nothing,
            id="large map, analyzed empty",
            marks=pytest.mark.long,
        ),
        pytest.param(_nothing, _load_wide, 5_000, _analyze, id="map, analyzed when full"),
    ],
)
def test_a_session_that_began_on_empty_tables_drains_many_tasks(
    engine: Engine,
    worker: Meter,
    record_property: Callable[[str, object], None],
    before: Callable[[Engine], None],
    load: Callable[[Engine, int], None],
    tasks: int,
    after: Callable[[Engine], None],
) -> None:
    _warm_up(engine, worker)
    before(engine)
    load(engine, tasks)
    after(engine)
    table_counters(engine)  # What this session did is in the statistics from here on.
    counters = table_counters(worker.engine)
    wal = engine.value("select pg_current_wal_insert_lsn()")

    batches = worker.drain()

    wal_bytes = engine.value("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", wal)
    assert sum(len(found) for found in batches.values()) == tasks // 100
    for step, found in batches.items():
        tenth = len(found) // 10
        for measure in ("pages", "rows"):
            costs = [getattr(batch, measure) for batch in found]
            # The first ones find pages cold that later ones share.
            early, late = mean(costs[tenth : 2 * tenth]), mean(costs[-tenth:])
            record_property(f"{measure} a task, {step}", (early / 100, late / 100))
            assert late <= 3 * early
            # One batch ends a map and gathers its outputs.
            assert sorted(costs)[-2] <= {"pages": 150, "rows": 50}[measure] * 100
    for name, now in table_counters(worker.engine).items():
        assert now["scans"] == counters[name]["scans"], f"{name} was scanned"
        updates = now["updates"] - counters[name]["updates"]
        hot = now["hot"] - counters[name]["hot"]
        record_property(f"updates in place, {name}", (hot, updates))
        assert hot >= 0.98 * updates
    record_property("WAL bytes a task", float(wal_bytes) / tasks)
    assert wal_bytes / tasks <= 5_000
    assert engine.problems() == []
    unfinished = "select count(*) from quantumflow.workflow_runs where status = 'started'"
    assert engine.value(unfinished) == 0


def test_a_batch_is_a_fixed_number_of_statements(engine: Engine, worker: Meter) -> None:
    """Counted in calls of the engine's own functions: ten times the tasks, the same calls."""
    _warm_up(engine, worker)
    calls = {}
    for quantity in (10, 100):
        engine.start_many("single", [{}] * quantity)
        before = function_calls(worker.engine)
        worker.claim(quantity)
        worker.complete()
        calls[quantity] = function_calls(worker.engine) - before
        assert worker.claimed() == [("only", quantity)]

    assert 0 < calls[10] <= 60
    assert calls[100] <= calls[10] + 5


def test_the_work_for_a_map_is_linear_in_its_items(
    engine: Engine, worker: Meter, record_property: Callable[[str, object], None]
) -> None:
    _warm_up(engine, worker)
    pages = {}
    for items in (500, 2_000):
        array = f"(select jsonb_agg(n) from generate_series(1, {items}) n)"
        pages[items] = worker.pages(f"select quantumflow.start_flow('wide', {array})")
        pages[items] += sum(batch.pages for batch in worker.drain()["each"])
        record_property(f"pages an item of {items}", pages[items] / items)

    assert pages[2_000] / 2_000 <= 1.5 * pages[500] / 500


@pytest.mark.parametrize(
    ("small", "large"), [(500, 2_000), pytest.param(10_000, 100_000, marks=pytest.mark.long)]
)
@pytest.mark.timeout(900)
def test_the_work_for_a_map_that_tolerates_failures_is_linear_in_its_items(
    engine: Engine,
    worker: Meter,
    record_property: Callable[[str, object], None],
    small: int,
    large: int,
) -> None:
    """With one of a hundred failing, from its start to the end of its run."""
    steps: list[dict[str, Any]] = [
        {"name": "each", "type": "map", "tolerate": "1%"},
        {"name": "sum", "dependencies": ["each"]},
    ]
    engine.define("partial", steps)
    _warm_up(engine, worker)
    costs: dict[int, tuple[float, ...]] = {}
    for items in (small, large):
        before = _counted(worker.engine)
        array = f"(select jsonb_agg(n) from generate_series(1, {items}) n)"
        (run,) = worker.engine.rows(f"select quantumflow.start_flow('partial', {array})")[0]
        failed = 0
        while worker.claim() and worker.claimed():
            failed += worker.fail("step_slug = 'each' and mod(task_index, 100) = 0")
            worker.complete()
        after = _counted(worker.engine)
        costs[items] = tuple((b - a) / items for a, b in zip(before, after, strict=True))
        record_property(f"calls, rows read, rows written an item of {items}", costs[items])
        assert failed == items / 100
        assert engine.rows(
            "select status, gave_up from quantumflow.workflow_runs where id = %s", run
        )[0] == ("completed", failed)
        assert (
            engine.value("select count(*) from quantumflow.failed_items(%s, 'each')", run) == failed
        )

    for less, more in zip(costs[small], costs[large], strict=True):
        assert more <= 1.1 * less
    assert engine.problems() == []


def _counted(engine: Engine) -> tuple[int, int, int]:
    """Calls of the engine's functions, rows read, rows written, up to now."""
    calls, read = function_calls(engine), rows_read(engine)
    written = engine.value(
        "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables "
        "where schemaname in ('quantumflow', 'pgmq')"
    )
    return calls, read, int(written)


@_TASKS
def test_a_claim_does_not_pay_for_tasks_that_are_not_due(
    engine: Engine, worker: Meter, tasks: int
) -> None:
    """A storm of retries, or a big map with a delay, in the same queue."""
    _warm_up(engine, worker)
    pages, rows = [], []
    for delayed in (0, tasks):
        if delayed:
            engine.start("later", list(range(delayed)))
        engine.start_many("single", [{}] * 1_000)
        batches = worker.drain()["only"]
        assert len(batches) == 10
        pages.append(mean(batch.pages for batch in batches[2:]))
        rows.append(mean(batch.rows for batch in batches[2:]))

    assert pages[1] <= 1.5 * pages[0]
    assert rows[1] <= 1.5 * rows[0]


@_TASKS
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(_nothing, _nothing, id="no statistics"),
        pytest.param(_empty_and_analyze, _nothing, id="those of empty tables"),
        pytest.param(_nothing, _analyze, id="those of full tables"),
    ],
)
@pytest.mark.parametrize("commands", [["only"], ["a", "b", "only"]], ids=["one", "several"])
def test_a_claim_does_not_pay_for_what_waits_of_others(
    engine: Engine,
    worker: Meter,
    record_property: Callable[[str, object], None],
    before: Callable[[Engine], None],
    after: Callable[[Engine], None],
    commands: list[str],
    tasks: int,
) -> None:
    _warm_up(engine, worker)
    before(engine)
    pages: dict[int, tuple[int, int]] = {}
    for others in (0, tasks):
        if others:
            engine.start("wide", list(range(others)))
            after(engine)
        costs = []
        for _ in range(5):
            engine.start_many("single", [{}] * 10)
            costs.append(worker.claim(10, commands))
            assert worker.claimed() == [("only", 10)]
            worker.complete()
        idle = min(worker.claim(10, commands) for _ in range(3))
        assert worker.claimed() == []
        pages[others] = (sorted(costs)[2], idle)
        record_property(f"pages of a claim, and of a vain one, beside {others}", pages[others])

    for without, beside in zip(*pages.values(), strict=True):
        assert beside <= 1.5 * without + 5


@_TASKS
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(_nothing, _nothing, id="no statistics"),
        pytest.param(_empty_and_analyze, _nothing, id="those of empty tables"),
        pytest.param(_nothing, _analyze, id="those of full tables"),
    ],
)
def test_a_result_alone_costs_the_same_beside_full_tables(
    engine: Engine,
    worker: Meter,
    record_property: Callable[[str, object], None],
    before: Callable[[Engine], None],
    after: Callable[[Engine], None],
    tasks: int,
) -> None:
    _warm_up(engine, worker)
    before(engine)
    pages = {}
    for others in (0, tasks):
        if others:
            _load_chains(engine, others)
            after(engine)
        costs = []
        for _ in range(8):
            engine.start("chain")
            worker.claim(1, ["a"])
            costs.append(worker.pass_on(["b"]))
        pages[others] = sorted(costs)[4]
        record_property(f"pages of a hand-over beside {others}", pages[others])
    passed_on = engine.value(
        "select count(*) from quantumflow.step_tasks a join quantumflow.step_tasks b "
        "using (run_id, message_id) where (a.step_slug, b.step_slug) = ('a', 'b')"
    )

    assert passed_on == 16
    assert pages[tasks] <= 1.5 * pages[0]


@_TASKS
def test_a_claim_that_finds_nothing_stays_cheap(engine: Engine, worker: Meter, tasks: int) -> None:
    """After so many tasks have passed through the queue, and with a thousand waiting for later."""
    _warm_up(engine, worker)
    _load_wide(engine, tasks)
    worker.drain(1_000)
    engine.start("later", list(range(1_000)))
    # Dead entries of the queue's index are marked so by the first scan that meets them.
    idle = [worker.claim() for _ in range(5)]
    assert worker.claimed() == []

    assert min(idle) <= 500


@pytest.mark.parametrize("table", HOT_TABLES)
def test_hot_tables_have_no_index_that_an_update_would_touch(engine: Engine, table: str) -> None:
    """HOT needs it: no index has a column that changes, in its key or in its predicate."""
    columns = engine.rows(
        "select distinct a.attname from pg_index i "
        "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey) "
        "where i.indrelid = ('quantumflow.' || %s)::regclass",
        table,
    )
    fixed = {"id", "workflow_slug", "idempotency_key", "run_id", "step_slug", "task_index"}
    fixed |= {"parent_run_id", "parent_step_slug", "parent_task_index", "parent_retries"}
    assert {name for (name,) in columns} <= fixed
