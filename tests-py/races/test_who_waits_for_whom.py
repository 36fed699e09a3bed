"""What somebody's open transaction has done to a workflow, and who waits until it ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from races.stopping import Call
from support.engine import Engine, remove_runs
from support.server import REPOSITORY

pytestmark = pytest.mark.system

Connect = Callable[..., psycopg.Connection[Any]]

_OLDER, _CURRENT, _OTHER = ([{"name": name}] for name in ("older", "current", "other"))


def _delete(engine: Engine, flow: str) -> bool:
    """Delete it; to wait for a moment is an error, since this waits by looking again and again."""
    with engine.connection.transaction():
        engine.value("select set_config('lock_timeout', '60 ms', true)")
        return bool(engine.value("select quantumflow.delete_flow(%s)", flow))


CALLS: dict[str, Callable[[Engine, str], Any]] = {
    "start": lambda engine, flow: engine.value(
        "select quantumflow.start_flow(%s, version => 1)", flow
    ),
    "first start": lambda engine, flow: engine.start(flow),
    "same definition": lambda engine, flow: engine.define(flow, _CURRENT),
    "new definition": lambda engine, flow: engine.define(flow, _OTHER),
    "add_step": lambda engine, flow: engine.value("select quantumflow.add_step(%s, 'more')", flow),
    "rollback": lambda engine, flow: engine.define(flow, _OLDER),
    "delete_flow": _delete,
}

_CHANGES = ("new definition", "add_step", "rollback", "delete_flow")

# Where no run has used the current version: it changes in place.
UNUSED: dict[str, tuple[str, ...]] = {
    "start": ("delete_flow",),
    "first start": ("delete_flow",),
    "same definition": (),
    "new definition": ("first start", *_CHANGES),
    "add_step": ("first start", *_CHANGES),
    "rollback": _CHANGES,
    "delete_flow": ("start", "first start", *_CHANGES),
}

# Where runs have used it: what changes is the next version.
USED: dict[str, tuple[str, ...]] = {
    "start": ("delete_flow",),
    "same definition": (),
    "new definition": _CHANGES,
    "add_step": _CHANGES,
    "rollback": _CHANGES,
    "delete_flow": ("start", *_CHANGES),
}

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def engines(new_engine: Callable[[], Engine]) -> list[Engine]:
    found = [new_engine() for _ in range(4)]
    # The first start in a database is a case of its own.
    found[0].define("any", _OTHER)
    found[0].start("any")
    return found


def _workflow(engine: Engine, *, is_used: bool) -> str:
    """A workflow of an older version that runs have used, and of one that is current."""
    flow = f"flow_{next(_numbers)}"
    engine.define(flow, _OLDER)
    engine.start(flow)
    assert engine.define(flow, _CURRENT) == 2
    if is_used:
        engine.start(flow)
    remove_runs(engine.connection)
    return flow


def _waits(engines: list[Engine], held: str, name: str, flow: str) -> bool:
    """Whether a call waits for an open transaction that has made another."""
    holder, other, watcher = engines[:3]
    with holder.connection.transaction(force_rollback=True):
        CALLS[held](holder, flow)
        if name == "delete_flow":
            try:
                return not _delete(other, flow)
            except psycopg.errors.LockNotAvailable:
                return True
        made = Call(other, lambda engine: CALLS[name](engine, flow))
        waits = made.settle(watcher)
    made.result()
    return waits


@pytest.mark.parametrize(
    ("is_used", "held"),
    [
        pytest.param(is_used, held, id=f"{held}, {'used' if is_used else 'unused'}")
        for is_used, table in ((False, UNUSED), (True, USED))
        for held in table
    ],
)
def test_who_waits(engines: list[Engine], is_used: bool, held: str) -> None:
    table = USED if is_used else UNUSED
    found = []
    for name in table:
        flow = _workflow(engines[3], is_used=is_used)
        if _waits(engines, held, name, flow):
            found.append(name)
        remove_runs(engines[3].connection)
    assert tuple(found) == table[held]
    assert engines[3].problems() == []


def test_the_operators_guide_has_the_same_tables() -> None:
    page = (REPOSITORY / "docs" / "operators.md").read_text("utf-8")
    for table in (UNUSED, USED):
        for held, waiting in table.items():
            marks = ["waits" if name in waiting else "" for name in table]
            assert f"| {' | '.join([held, *marks])} |\n" in page


@pytest.mark.parametrize("by", ["a start", "adopt"])
def test_a_start_does_not_wait_for_who_records_the_identity(connect: Connect, by: str) -> None:
    """It stands in a row that there is once, and the first start in a database writes it."""
    a, b = Engine(connect()), Engine(connect())
    a.define("a", _OTHER)
    a.define("b", _OTHER)
    identity = "select value from quantumflow.settings where name = 'identity'"
    with a.connection.transaction(force_rollback=True):
        if by == "adopt":
            a.value("select quantumflow.adopt()")
        else:
            a.start("a")
        b.value("select set_config('lock_timeout', '60 ms', false)")
        b.start("b")
        assert b.value(identity) is None
    assert b.value(identity) is None
    b.start("b")
    assert b.value(identity) == b.value("select quantumflow._identity()")


@pytest.mark.parametrize("is_used", [False, True])
def test_a_start_waits_for_no_definition_that_finds_a_start_in_its_way(
    engines: list[Engine], is_used: bool
) -> None:
    starting, defining, third, watcher = engines
    flow = _workflow(watcher, is_used=is_used)
    with starting.connection.transaction(), defining.connection.transaction():
        starting.start(flow)
        assert defining.define(flow, _OTHER) == 3
        start = Call(third, lambda engine: engine.start(flow))
        assert not start.settle(watcher)
        assert set(watcher.step_statuses(start.result())) == {"current"}
    assert set(watcher.step_statuses(watcher.start(flow))) == {"other"}
    assert watcher.problems() == []
    remove_runs(watcher.connection)


def test_a_version_is_used_though_the_first_of_its_starts_is_rolled_back(
    engines: list[Engine],
) -> None:
    first, second, _, watcher = engines
    flow = _workflow(watcher, is_used=False)
    frozen = (
        "select frozen_at from quantumflow.workflow_versions "
        "where (workflow_slug, version) = (%s, 2)"
    )
    with first.connection.transaction(force_rollback=True):
        first.start(flow)
        run_id = second.start(flow)
        second.start(flow)
    assert watcher.value(frozen, flow) is None
    assert watcher.define(flow, _OTHER) == 3
    assert set(watcher.step_statuses(run_id)) == {"current"}
    # It is frozen by name, too, as soon as another run of it starts.
    watcher.value("select quantumflow.start_flow(%s, version => 2)", flow)
    assert watcher.value(frozen, flow) is not None
    assert watcher.problems() == []
    remove_runs(watcher.connection)
    assert watcher.value("select quantumflow.delete_flow(%s)", flow)
    left = "select * from quantumflow._first_runs where workflow_slug = %s"
    assert watcher.rows(left, flow) == []


def test_a_definition_of_an_older_snapshot_changes_no_version_in_place(
    engines: list[Engine],
) -> None:
    """It could not see who has started a run of it meanwhile."""
    first, second, defining, watcher = engines
    flow = _workflow(watcher, is_used=False)
    with defining.connection.transaction():
        defining.connection.execute("set transaction isolation level repeatable read")
        defining.rows("select from quantumflow.workflows")
        with first.connection.transaction(force_rollback=True):
            first.start(flow)
            second.start(flow)
        assert defining.define(flow, _OTHER) == 3
    assert watcher.problems() == []
    remove_runs(watcher.connection)


def test_a_definition_that_waits_for_a_queue_keeps_no_start_waiting(engines: list[Engine]) -> None:
    """Somebody else makes the queue that its new content names, and takes his time."""
    making, defining, starting, watcher = engines
    flow = _workflow(watcher, is_used=False)
    steps = [{"name": "other", "queue": f"queue_of_{flow}"}]
    with making.connection.transaction():
        making.define(f"{flow}_beside", steps)
        define = Call(defining, lambda engine: engine.define(flow, steps))
        assert define.settle(watcher)
        start = Call(starting, lambda engine: engine.start(flow))
        assert not start.settle(watcher)
        start.result()
    assert define.result() == 3
    assert watcher.problems() == []
    remove_runs(watcher.connection)


def test_a_first_start_of_a_stricter_level_keeps_no_other_waiting(engines: list[Engine]) -> None:
    strict, defining, starting, watcher = engines
    flow = _workflow(watcher, is_used=False)
    with strict.connection.transaction():
        strict.connection.execute("set transaction isolation level repeatable read")
        strict.start(flow)
        define = Call(defining, lambda engine: engine.define(flow, _OTHER))
        assert not define.settle(watcher)
        assert define.result() == 3
        start = Call(
            starting, lambda e: e.value("select quantumflow.start_flow(%s, version => 2)", flow)
        )
        assert not start.settle(watcher)
        start.result()
    assert watcher.problems() == []
    remove_runs(watcher.connection)
