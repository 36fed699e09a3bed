"""W3, W10, W15: how long things take, SQL against SQL."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.bench import Bench
from benchmarks.results import percentile
from benchmarks.systems import Absurd, Pgflow, Raw
from support.meter.driver import STUCK, Load, drain
from support.meter.quantumflow import Quantumflow, Task
from support.meter.server import Database, Pump
from support.meter.shapes import CHAIN, MAP, SINGLE
from support.meter.system import System, WrongError


def chain_alone(bench: Bench) -> None:
    """W3: a chain of ten, one run at a time, on one connection."""
    runs = bench.pick(10, 40)
    systems = [Quantumflow(), Quantumflow(hands_over=True), Pgflow(), Absurd()]
    bench.size("W3", "SQL", Load(runs))
    bench.compare("W3", "SQL", [(s.name, partial(_one_at_a_time, bench, s, runs)) for s in systems])


def _one_at_a_time(bench: Bench, system: System, runs: int) -> dict[str, float]:
    load = Load(runs)
    times = []
    with bench.prepared(system, CHAIN, load) as (_, pumps):
        for text in load.inputs():
            began = time.perf_counter()
            system.start(pumps[0], CHAIN, [text])
            drain(system, CHAIN, pumps, len(CHAIN.steps))
            times.append(1000 * (time.perf_counter() - began))
    return {"run ms p50": percentile(times, 0.5), "run ms p99": percentile(times, 0.99)}


_START_AHEAD = "select quantumflow.start_flow($1, $2::jsonb, priority => $3::int)"
_TIMES = """
    select array_agg(extract(epoch from r.completed_at - r.created_at)::float * 1000)
    from quantumflow.workflow_runs r
    where r.workflow_slug = 'single'
      and not exists (
        select
        from quantumflow.workflow_runs m
        where m.workflow_slug = 'map'
          and m.completed_at < r.created_at)
    """


def mixed(bench: Bench) -> None:
    """W10: short runs that arrive while a long map is worked on, and without it."""
    items, runs = bench.pick((15_000, 50), (60_000, 200))

    def arrive(items: int, priority: int) -> dict[str, float]:
        system = Quantumflow()
        with bench.server.database(system.template(bench.server)) as database:
            system.define(database, MAP)
            system.define(database, SINGLE)
            starter, worker = database.pump(), database.pump()
            if items:
                system.start(starter, MAP, Load(items=items).inputs())
            work = threading.Thread(target=drain, args=(system, SINGLE, [worker], runs + items))
            work.start()
            for text in Load(runs).inputs():
                starter(_START_AHEAD, SINGLE.slug, text, str(priority))
                time.sleep(0.01)
            work.join()
            system.check(database, runs=runs + (items > 0), tasks=runs + items)
            times = database.value(_TIMES)
        return {"run ms p50": percentile(times, 0.5), "run ms p99": percentile(times, 0.99)}

    for condition, size, priority in [
        ("beside a map", items, 0),
        ("beside a map, before it", items, 60),
        ("alone", 0, 0),
    ]:
        beside = f" beside {size:,} items" if size else ""
        bench.size("W10", condition, f"{runs} short runs{beside}")
        bench.compare("W10", condition, [("quantumflow", partial(arrive, size, priority))])


BACKLOGS = ("empty", "delayed", "queued", "in flight", "other command", "other command, more")


def claims(bench: Bench) -> None:
    """W15: how long a claim takes, whatever else is in the queue.

    Ten runs are started before each claim of ten, and only the claim is timed: until it has ten.
    The backlogs are made once; each round leaves them as long as they were.
    """
    part = bench.pick(10, 1)
    sizes = {
        "delayed": 100_000,
        "queued": 100_000,
        "in flight": 10_000,
        "other command": 50_000,
        "other command, more": 500_000,
    }
    count = bench.pick(50, 100)
    try:
        with contextlib.ExitStack() as stack:
            contestants = []
            for name in BACKLOGS:
                size = sizes.get(name, 0) // part
                bench.size("W15", name, f"{size:,} messages")
                ours = stack.enter_context(_claims(bench, name, size))
                contestants.append((name, "quantumflow", partial(_spread, ours, count)))
                if not name.startswith("other command"):
                    raw = stack.enter_context(_reads(bench, name, size))
                    contestants.append((name, "raw pgmq", partial(_spread, raw, count)))
            bench.measure("W15", contestants)
    except WrongError as error:
        bench.give_up("W15", "claim", error)


_LATER = {"slug": "later", "steps": [{"name": "a", "type": "map", "start_delay": 86400}]}
_OTHER = {"slug": "other", "steps": [{"name": "a", "type": "map", "command": "other"}]}
_CLAIM = """
    select run_id, step_slug, task_index, lease_token, input
    from quantumflow.claim_tasks($1::uuid, 10, lease => '1 h', commands => array['only', 'each'])
    """


@contextlib.contextmanager
def _claims(bench: Bench, backlog: str, size: int) -> Iterator[Callable[[], float]]:
    system = Quantumflow()
    with bench.server.database(system.template(bench.server)) as database:
        system.define(database, SINGLE)
        system.define(database, MAP)
        pump = database.pump()
        _fill(database, system, pump, backlog, size)
        bench.server.quiesce(database)

        def claim() -> float:
            system.start(pump, SINGLE, ["{}"] * 10)
            began = time.perf_counter()
            tasks: list[Task] = []
            while len(tasks) < 10 and time.perf_counter() - began < STUCK:
                tasks += system.tasks(pump(_CLAIM, system.worker_id))
            seconds = time.perf_counter() - began
            if len(tasks) < 10:
                raise WrongError(f"{len(tasks)} of 10 tasks claimed, {backlog}")
            system.complete(pump, SINGLE, tasks)
            return seconds

        yield claim
        broken = database.value("select count(*) from quantumflow.check_state()")
        if broken:
            raise WrongError(f"{broken} rules are broken, {backlog}")


def _fill(database: Database, system: Quantumflow, pump: Pump, backlog: str, size: int) -> None:
    if backlog == "empty":
        return
    definition = {
        "delayed": _LATER,
        "other command": _OTHER,
        "other command, more": _OTHER,
    }.get(backlog)
    slug = "map" if definition is None else definition["slug"]
    if definition is not None:
        database.value("select quantumflow.define_flow(%s::jsonb)::text", json.dumps(definition))
    for begin in range(0, size, 10_000):
        items = json.dumps(list(range(min(10_000, size - begin))))
        pump("select quantumflow.start_flow($1, $2::jsonb)", str(slug), items)
    if backlog == "in flight":
        for _ in range(size // 1_000):
            pump(
                "select count(*) from quantumflow.claim_tasks($1::uuid, 1000, lease => '1 h')",
                system.worker_id,
            )


@contextlib.contextmanager
def _reads(bench: Bench, backlog: str, size: int) -> Iterator[Callable[[], float]]:
    system = Raw()
    with bench.server.database(system.template(bench.server)) as database:
        pump = database.pump()
        system.send(pump, size)
        if backlog == "delayed":
            database.execute("update pgmq.q_raw set vt = now() + interval '1 day'")
        elif backlog == "in flight":
            database.execute(f"select count(*) from pgmq.read('raw', 3600, {size})")
        bench.server.quiesce(database)

        def read() -> float:
            system.send(pump, 10)
            began = time.perf_counter()
            found = pump("select msg_id, message from pgmq.read('raw', 3600, 10)")
            seconds = time.perf_counter() - began
            ids = b",".join(found.get_value(n, 0) or b"" for n in range(found.ntuples))
            pump("select count(*) from pgmq.delete('raw', $1::bigint[])", b"{" + ids + b"}")
            return seconds

        yield read


def _spread(once: Callable[[], float], count: int) -> dict[str, float]:
    """Do it so many times, after some that make plans."""
    times = [1000 * once() for _ in range(count + 20)][20:]
    return {"ms p50": percentile(times, 0.5), "ms p99": percentile(times, 0.99)}
