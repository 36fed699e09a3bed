"""Random graphs with conditions, joins, tolerated failures, fallbacks, maps, empty maps, loops.

QUANTUMFLOW_GRAPHS says how many; each is worked off by one session in an order of its own, and by
four at once, with the same result, which is that of a fold over the graph.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import itertools
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from model.graphs import Node, fold, random_graph
from support.engine import Engine, Task, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from quantumflow_client.embedded import EmbeddedServer

_GRAPHS = int(os.environ.get("QUANTUMFLOW_GRAPHS", "120"))
_SESSIONS = 4
_PORTION = 30
# Seconds: longer than a lease, which ends before its deadline, so that who leaves a task loses it.
_ROUND = 1000
_LEASE = 600.0


@pytest.fixture(scope="module")
def engines(server: EmbeddedServer, template: str) -> Iterator[list[Engine]]:
    """Sessions of a database of their own."""
    name = sql.Identifier("graphs")
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("create database {} template {}").format(name, sql.Identifier(template))
        )
        with contextlib.ExitStack() as opened:
            engines = [
                Engine(opened.enter_context(psycopg.connect(server.dsn("graphs"), autocommit=True)))
                for _ in range(_SESSIONS)
            ]
            allow_test_clock(engines[0].connection)
            yield engines
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


class _Graph:
    """A graph and the input of its runs, of which a number says all."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.slug = f"graph_{seed}"
        self.nodes = {node.name: node for node in random_graph(chance)}
        self.run = [chance.randint(0, 3) for _ in range(chance.randint(0, 4))]

    def mended(self) -> _Graph:
        """The same without a task that fails."""
        found = copy.copy(self)
        found.nodes = {n: replace(node, failing=frozenset()) for n, node in self.nodes.items()}
        return found


class _Player:
    """A session that does what the nodes say: completes, fails, or leaves a task to its lease."""

    def __init__(self, engine: Engine, graphs: dict[UUID, _Graph], chance: random.Random) -> None:
        self._engine = engine
        self._graphs = graphs
        self._chance = chance

    def work(self) -> None:
        """Claim and report until there is nothing to claim."""
        tasks: list[Task] = []
        while tasks := tasks or self._engine.claim(self._chance.choice([1, 5, 20]), lease=_LEASE):
            self._chance.shuffle(tasks)
            failing = [t for t in tasks if t.task_index in self._node(t).failing]
            done = [(t, self._output(t)) for t in tasks if t not in failing]
            lost = [t for t in failing if self._chance.random() < 0.3]
            reported = [t for t in failing if t not in lost]
            tasks = []
            if reported:
                outcomes = self._engine.fail_all(reported)
                assert set(outcomes) <= {"failed", "run_ended"}
            if self._chance.random() < 0.5:
                outcomes, tasks = self._engine.exchange(done, 5, lease=_LEASE)
            else:
                outcomes = self._engine.complete_all(done)
            assert set(outcomes) <= {"completed", "run_ended"}

    def _node(self, task: Task) -> Node:
        return self._graphs[task.run_id].nodes[task.step_slug]

    def _output(self, task: Task) -> object:
        node = self._node(task)
        if node.iterations is not None:
            assert task.input["iteration"] == task.task_index
            assert task.input["last"] == ([task.task_index - 1] if task.task_index else None)
            return [task.task_index]
        if not node.is_map:
            return node.output
        if node.chunk_size is None:
            return [task.task_index]
        return [[task.task_index] for _ in task.input["items"]]


def _steer(engine: Engine, verb: str, run_ids: list[UUID]) -> None:
    """Pause or resume those of the runs that have not ended."""
    engine.rows(
        f"select quantumflow.{verb}(id) from quantumflow.workflow_runs "
        "where id = any (%s) and status in ('started', 'paused')",
        run_ids,
    )


def _play(engines: list[Engine], graphs: dict[UUID, _Graph], chance: random.Random) -> None:
    players = [_Player(engine, graphs, random.Random(chance.random())) for engine in engines]
    for number in itertools.count():
        assert number < 50, f"messages are left: {engines[0].messages()}"
        for engine in engines:
            engine.set_clock(number * _ROUND)
        paused = chance.sample(list(graphs), len(graphs) // 3) if number == 0 else []
        _steer(engines[0], "pause_run", paused)
        with concurrent.futures.ThreadPoolExecutor(len(players)) as pool:
            for future in [pool.submit(player.work) for player in players]:
                future.result()
        engines[0].set_clock(number * _ROUND + 1)
        engines[0].sweep()
        _steer(engines[0], "resume_run", paused)
        assert engines[0].problems() == []
        if engines[0].messages() == 0:
            return


def _check(engine: Engine, graph: _Graph, run_id: UUID) -> None:
    nodes = list(graph.nodes.values())
    ends, fails = fold(nodes, graph.run)
    status, output, gave_up = engine.rows(
        "select status, output, gave_up from quantumflow.workflow_runs where id = %s", run_id
    )[0]
    found = {
        slug: (status, reason, output)
        for slug, status, reason, output in engine.rows(
            "select step_slug, status, skip_reason, quantumflow.step_output(run_id, step_slug) "
            "from quantumflow.step_states where run_id = %s and status <> 'cancelled'",
            run_id,
        )
    }
    assert status == ("failed" if fails else "completed")
    if fails:
        # Of what goes on beside the failure more or less has ended by then.
        hard = set(graph.nodes) - set(ends)
        assert {slug for slug in found if found[slug][0] == "failed"} & hard
        assert set(found) - hard <= set(ends)
        found = {slug: end for slug, end in found.items() if slug not in hard}
        ends = {slug: end for slug, end in ends.items() if slug in found}
    assert found == {slug: (end.status, end.reason, end.output) for slug, end in ends.items()}
    if not fails:
        handed = {name for node in nodes for name in node.dependencies}
        assert output == {
            slug: end.output
            for slug, end in ends.items()
            if end.status == "completed" and slug not in handed
        }
        assert (gave_up or 0) == sum(end.gave_up for end in ends.values())


@pytest.mark.parametrize("portion", range(_GRAPHS // _PORTION))
def test_a_graph_ends_as_a_fold_over_it_says_whoever_works_in_whatever_order(
    engines: list[Engine], portion: int
) -> None:
    look = engines[0]
    graphs = [_Graph(seed) for seed in range(portion * _PORTION, (portion + 1) * _PORTION)]
    look.set_clock(0)
    for graph in graphs:
        look.define(graph.slug, [node.definition() for node in graph.nodes.values()])

    for sessions in (engines[:1], engines):
        look.set_clock(0)
        runs = {look.start(graph.slug, graph.run): graph for graph in graphs}
        _play(sessions, runs, random.Random(portion))
        for run_id, graph in runs.items():
            _check(look, graph, run_id)

        # What was given up runs again, and nothing fails any more: as if nothing had failed before.
        retried = look.rows(
            "select id, (quantumflow.retry_run(id, given_up => true)).status "
            "from quantumflow.workflow_runs where status = 'completed' and gave_up > 0"
        )
        mended = {run_id: runs[run_id].mended() for run_id, _ in retried}
        _play(sessions, mended, random.Random(portion))
        for run_id, graph in mended.items():
            _check(look, graph, run_id)
        remove_runs(look.connection)

    # What is defined is looked at with each look at the state.
    for graph in graphs:
        look.value("select quantumflow.delete_flow(%s)", graph.slug)
