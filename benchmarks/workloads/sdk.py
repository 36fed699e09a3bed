"""W1, W3, W12 and W17 once more, end to end: each system by its own Python library."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from benchmarks import about, peers
from benchmarks.bench import Bench
from benchmarks.results import percentile
from benchmarks.systems import Absurd
from support.meter.driver import STUCK
from support.meter.quantumflow import Quantumflow
from support.meter.server import CACHE, Database
from support.meter.shapes import CHAIN, SINGLE
from support.meter.system import WrongError

_PROGRAMS = Path(__file__).parents[1] / "sdk"


@dataclass(frozen=True)
class Library:
    """A system's Python library in one configuration.

    Attributes:
        name: In tables and figures.
        program: Which program drives it.
        package: What is installed for it; nothing for our own.
        options: What is chosen, by command; the rest is as it comes.
        done: Counts the tasks that are stored as done.
        is_slow: Whether it is given less to do.
    """

    name: str
    program: str
    package: str | None
    done: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    is_slow: bool = True

    def template(self, bench: Bench) -> Database:
        """A database with the system installed."""
        if self.program == "quantumflow":
            return Quantumflow().template(bench.server)
        if self.program == "absurd":
            return Absurd().template(bench.server)
        database, is_new = bench.server.template(f"sdk_{self.program}")
        if is_new:
            self.call(database, "install")
        return database

    def call(self, database: Database, command: str, **options: Any) -> list[dict[str, Any]]:
        """Run a command of the program to its end; its answers."""
        with self.open(database, command, **options) as process:
            try:
                output, errors = process.communicate(timeout=60 * STUCK)
            except subprocess.TimeoutExpired:
                raise WrongError(f"{self.name}: {command} does not end") from None
        if process.returncode != 0:
            raise WrongError(f"{self.name}: {command}: {errors.strip()[-500:]}")
        return [json.loads(line) for line in output.splitlines() if line.startswith("{")]

    @contextlib.contextmanager
    def open(
        self, database: Database, command: str, **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command of the program, and end it."""
        interpreter = sys.executable if self.package is None else peers.python(self.package)
        options = {
            "dsn": database.dsn(),
            "url": _url(database.dsn()),
            **self.options.get(command, {}),
            **options,
        }
        process = subprocess.Popen(
            [interpreter, _PROGRAMS / f"{self.program}_program.py", command, json.dumps(options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


_RUNS_DONE = "select count(*) from quantumflow.workflow_runs where status = 'completed'"
_JOBS_DONE = "select count(*) from procrastinate_jobs where status = 'succeeded'"
_LOGGED = "select count(*) from pgqueuer_log where status = 'successful'"
_WORKFLOWS_DONE = "select count(*) from dbos.workflow_status where status = 'SUCCESS'"
_TASKS_DONE = "select count(*) from absurd.t_bench where state = 'completed'"

OURS = Library(
    "quantumflow", "quantumflow", None, _RUNS_DONE, {"throughput": {"concurrency": 200}}, False
)
ABSURD = Library(
    "absurd",
    "absurd",
    "absurd-sdk",
    _TASKS_DONE,
    {
        "throughput": {"concurrency": 1, "batch_size": 100, "poll_interval": 0.01},
        "chain": {"poll_interval": 0.01},
        "serve": {"poll_interval": 0.01},
    },
)
DBOS = Library(
    "DBOS queue",
    "dbos",
    "dbos",
    _WORKFLOWS_DONE,
    {
        "throughput": {"polling_interval_sec": 0.01, "sys_db_pool_size": 50},
        "serve": {"polling_interval_sec": 0.01},
    },
)
PROCRASTINATE = Library(
    "procrastinate",
    "procrastinate",
    "procrastinate",
    _JOBS_DONE,
    {"throughput": {"concurrency": 30, "connections": 30}},
)
PGQUEUER = Library(
    "pgqueuer",
    "pgqueuer",
    "pgqueuer",
    _LOGGED,
    {"throughput": {"batch_size": 200, "driver": "psycopg"}},
    False,
)

THROUGHPUT = [
    OURS,
    Library(
        "quantumflow, default",
        "quantumflow",
        None,
        _RUNS_DONE,
        {"throughput": {"concurrency": 10}},
        False,
    ),
    PROCRASTINATE,
    Library(
        "procrastinate, default",
        "procrastinate",
        "procrastinate",
        _JOBS_DONE,
        {"throughput": {"concurrency": 1, "connections": 4}},
    ),
    ABSURD,
    Library(
        "absurd, default",
        "absurd",
        "absurd-sdk",
        _TASKS_DONE,
        {"throughput": {"concurrency": 1, "batch_size": 1, "poll_interval": 0.25}},
    ),
    DBOS,
    Library(
        "DBOS queue, default",
        "dbos",
        "dbos",
        _WORKFLOWS_DONE,
        {"throughput": {"polling_interval_sec": 1.0, "sys_db_pool_size": 20}},
    ),
    PGQUEUER,
    Library(
        "pgqueuer, default",
        "pgqueuer",
        "pgqueuer",
        _LOGGED,
        {"throughput": {"batch_size": 10, "driver": "psycopg"}},
        False,
    ),
    Library(
        "pgqueuer, asyncpg",
        "pgqueuer",
        "pgqueuer",
        _LOGGED,
        {"throughput": {"batch_size": 200, "driver": "asyncpg"}},
        False,
    ),
]
"""Each in the best configuration its documentation leads to, and as it comes."""


def throughput(bench: Bench) -> None:
    """W1: no-op tasks, from the first start to the last result stored, by one worker process."""
    many, few = bench.pick(2_000, 10_000), bench.pick(300, 400)
    for lib in THROUGHPUT:
        bench.size("W1", "SDK", f"{few if lib.is_slow else many:,} tasks", lib.name)
    bench.compare(
        "W1",
        "SDK",
        [
            (lib.name, partial(_throughput, bench, lib, few if lib.is_slow else many))
            for lib in THROUGHPUT
        ],
    )


def _throughput(bench: Bench, library: Library, tasks: int) -> dict[str, float]:
    with bench.server.database(library.template(bench)) as database:
        if library.program == "quantumflow":
            Quantumflow().define(database, SINGLE)
        bench.server.quiesce(database)
        cpu = bench.server.cpu_seconds()
        (found,) = library.call(database, "throughput", tasks=tasks)
        cpu = bench.server.cpu_seconds() - cpu
        done = database.value(library.done)
        if (done, found["called"]) != (tasks, tasks):
            raise WrongError(f"{library.name}: {done} of {tasks} done, {found['called']} handled")
        if library.program == "quantumflow":
            Quantumflow().check(database, runs=tasks, tasks=tasks)
    return {"tasks/s": tasks / found["seconds"], "server CPU us/task": 1e6 * cpu / tasks}


def chain(bench: Bench) -> None:
    """W3: a chain of ten alone, from the start's call to the end of the last handler."""
    many, few = bench.pick((30, 10), (100, 25))
    by_default = Library(
        "absurd, default",
        "absurd",
        "absurd-sdk",
        _TASKS_DONE,
        {"chain": {"poll_interval": 0.25}},
    )
    libraries = [
        (OURS, many),
        (ABSURD, many),
        (by_default, few),
        (Library("DBOS", "dbos", "dbos", _WORKFLOWS_DONE), many),
    ]
    for lib, runs in libraries:
        bench.size("W3", "SDK", f"{runs} runs", lib.name)
    bench.compare(
        "W3",
        "SDK",
        [
            _flush(bench, 200, 0.002),
            *((lib.name, partial(_chain, bench, lib, runs)) for lib, runs in libraries),
        ],
    )


FLUSH = "one flush to disk"


def _flush(
    bench: Bench, samples: int, pause: float
) -> tuple[str, Callable[[], Mapping[str, float]]]:
    """What every durable answer waits for, in the same rounds, after pauses as the work makes."""
    return FLUSH, lambda: {"flush ms": about.fsync_ms(bench.server, samples, pause)}


def _chain(bench: Bench, library: Library, runs: int) -> dict[str, float]:
    with bench.server.database(library.template(bench)) as database:
        if library.program == "quantumflow":
            Quantumflow().define(database, CHAIN)
        found = library.call(database, "chain", runs=runs, steps=len(CHAIN.steps))
        done = database.value(library.done)
        if done != runs or len(found) != runs:
            raise WrongError(f"{library.name}: {done} of {runs} runs done")
        if library.program == "quantumflow":
            Quantumflow().check(database, runs=runs, tasks=runs * len(CHAIN.steps))
    times = [run["run_ms"] for run in found]
    hand_offs = [time for run in found for time in run["hand_off_ms"]]
    return {
        "run ms p50": percentile(times, 0.5),
        "run ms p99": percentile(times, 0.99),
        "hand-off ms p50": percentile(hand_offs, 0.5),
        "hand-off ms p99": percentile(hand_offs, 0.99),
    }


def first_task(bench: Bench) -> None:
    """W12: a task sent by one process to another, which is idle: from the call to the handler."""
    many, few = bench.pick((30, 20), (80, 20))
    alone, several = "1 idle worker", "8 idle workers"
    bench.size("W12", alone, f"{few} tasks")
    bench.size("W12", alone, f"{many} tasks", OURS.name)
    bench.size("W12", several, f"{few} tasks")
    others = [ABSURD, DBOS, PROCRASTINATE, PGQUEUER]
    bench.measure(
        "W12",
        [
            (alone, *_flush(bench, few, _PAUSE)),
            (alone, OURS.name, partial(_first_task, bench, OURS, 1, many)),
            (several, OURS.name, partial(_first_task, bench, OURS, 8, few)),
            *((alone, lib.name, partial(_first_task, bench, lib, 1, few)) for lib in others),
        ],
    )


_PAUSE = 0.1
"""How many seconds a worker is idle before its next task is sent."""


def _first_task(bench: Bench, library: Library, workers: int, count: int) -> dict[str, float]:
    with (
        bench.server.database(library.template(bench)) as database,
        contextlib.ExitStack() as stack,
    ):
        if library.program == "quantumflow":
            Quantumflow().define(database, SINGLE)
        serving = [stack.enter_context(library.open(database, "serve")) for _ in range(workers)]
        for process in serving:
            _line(library, process)
        library.call(database, "send", count=count, every=_PAUSE)
        _wait(lambda: database.value(library.done) == count + 1, f"{library.name}: tasks are left")
        for process in serving:
            process.kill()
        lines = [line for process in serving for line in _rest(process)]
        delays = [json.loads(line)["ms"] for line in lines if line.startswith("{")]
    # The first one was sent to connect and to make plans, without the time.
    delays = sorted(delays)[:-1]
    if len(delays) != count:
        raise WrongError(f"{library.name}: {len(delays)} of {count} tasks were handled")
    return {"ms p50": percentile(delays, 0.5), "ms p99": percentile(delays, 0.99)}


def crash(bench: Bench) -> None:
    """W17: a worker is killed, and killed again, and the server crashes; nothing may be lost."""
    runs, lease = bench.pick(100, 500), 2.0
    bench.size("W17", "crash", f"{runs:,} chains of 10")
    crash = ("quantumflow", partial(_crash, bench, runs, lease))
    bench.compare("W17", "crash", [crash], fewer={"quantumflow": bench.pick(1, 3)})


def _crash(bench: Bench, runs: int, lease: float) -> dict[str, float]:
    system, tasks = Quantumflow(), runs * len(CHAIN.steps)
    with bench.server.database(system.template(bench.server)) as database:
        system.define(database, CHAIN)
        log = CACHE / f"{database.name}.log"
        options = {"file": str(log), "lease": lease}
        pump = database.pump()
        system.start(pump, CHAIN, ["{}"] * runs)

        def handled() -> int:
            return len(log.read_bytes().splitlines()) if log.exists() else 0

        def has_handled(share: float) -> bool:
            return handled() >= share * tasks

        for share in (0.2, 0.5):
            with OURS.open(database, "survive", **options):
                _wait(partial(has_handled, share), "the worker does nothing")
        killed = time.monotonic()
        with OURS.open(database, "survive", **options):
            _wait(partial(has_handled, 0.7), "the worker does nothing")
            database.close()
            bench.server.embedded.restart("immediate")
            _wait(lambda: database.value(_RUNS_DONE) == runs, "runs are not completed")
        seconds = time.monotonic() - killed
        lines = log.read_text().splitlines()
        log.unlink()
        broken = database.value("select count(*) from quantumflow.check_state()")
        lost = runs - database.value(_RUNS_DONE)
        if broken or lost:
            raise WrongError(f"{lost} runs are lost, {broken} rules are broken")
    once = {tuple(line.split()[:2]) for line in lines}
    return {
        "runs lost": lost,
        "tasks handled again": len(lines) - len(once),
        "seconds to the end": seconds,
    }


def _line(library: Library, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    if not process.stdout.readline():
        raise WrongError(f"{library.name} does not serve: {process.stderr.read()[-500:]}")


def _rest(process: subprocess.Popen[str]) -> Sequence[str]:
    assert process.stdout is not None
    return process.stdout.readlines()


def _wait(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + STUCK
    while not is_so():
        if time.monotonic() > deadline:
            raise WrongError(otherwise)
        time.sleep(0.02)


def _url(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    folder = quote(str(parts["host"]), safe="")
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={folder}&port={parts['port']}"
