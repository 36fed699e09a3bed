"""A database with runs in every state, on which every change is undone."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from fuzz.values import Known
from support.engine import allow_test_clock
from support.functions import Function, functions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]
Answer = list[tuple[Any, ...]] | str

_RUN = "10000000-0000-0000-0000-00000000000"
_WORKER = "a0000000-0000-0000-0000-00000000000a"
_DEFINITIONS: list[dict[str, Any]] = [
    {
        "slug": "fan",
        "on_complete": "tell",
        "on_failure": "mourn",
        "steps": [
            {"name": "a"},
            {"name": "m", "type": "map", "dependencies": ["a"], "max_attempts": 2},
            {"name": "z", "dependencies": ["m"], "queue": "other", "start_delay": 5},
        ],
    },
    {
        "slug": "root",
        "steps": [{"name": "m", "type": "map", "chunk_size": 2}, {"name": "b", "max_lost": 1}],
    },
    {"slug": "one", "max_attempts": 1, "retry_delay": 0, "steps": [{"name": "a", "args": [1]}]},
    {
        "slug": "gated",
        "steps": [
            {"name": "a", "max_attempts": 1, "on_error": "continue"},
            {"name": "b", "dependencies": ["a"], "if": "$.a.n > 1"},
            {"name": "m", "type": "map", "dependencies": ["b"], "join": "any", "tolerate": "50%"},
            {"name": "z", "dependencies": ["m"], "after": ["a"], "join": "none", "fallback": None},
        ],
    },
    {
        "slug": "waits",
        "run_timeout": 10**7,
        "steps": [
            {"name": "a", "type": "sleep", "seconds": 5},
            {"name": "b", "type": "wait", "signals": ["go", "stop"], "timeout": 10**6},
            {"name": "m", "type": "wait", "after": ["a"]},
            {"name": "z", "dependencies": ["b"]},
        ],
    },
    {
        "slug": "loops",
        "max_attempts": 1,
        "steps": [
            {"name": "a", "type": "loop", "until": "$.last == 9", "max_iterations": 5, "keep": 2},
            {"name": "z", "dependencies": ["a"]},
        ],
    },
]
_STATES = f"""
select quantumflow.start_flow('fan', '{{"n": 1}}', run_id => '{_RUN}1');
select quantumflow.start_flow('fan', run_id => '{_RUN}2', priority => 5);
select quantumflow.complete_task('{_RUN}2', 'a', output => '[1, 2, 3]');
select quantumflow.complete_task('{_RUN}2', 'm', 1, '"two"');
select quantumflow.fail_task('{_RUN}2', 'm', 2, 'not yet');
select quantumflow.start_flow('root', '["x", "y"]', run_id => '{_RUN}3', headers => '{{"h": 1}}');
select quantumflow.start_flow('root', '[]', run_id => '{_RUN}4', idempotency_key => 'key');
select quantumflow.start_flow('one', run_id => '{_RUN}5');
select quantumflow.fail_task('{_RUN}5', 'a', 0, 'no');
select quantumflow.start_flow('one', run_id => '{_RUN}6');
select quantumflow.complete_task('{_RUN}6', 'a');
select quantumflow.start_flow('fan', run_id => '{_RUN}7');
select quantumflow.cancel_run('{_RUN}7', 'no need');
select quantumflow.start_flow('fan', run_id => '{_RUN}8');
select quantumflow.complete_task('{_RUN}8', 'a', output => '{{}}');
select quantumflow.retry_run('{_RUN}8');
select quantumflow.start_flow('fan', run_id => '{_RUN}9');
select quantumflow.pause_run('{_RUN}9');
select quantumflow.start_flow('gated', run_id => '{_RUN}0');
select quantumflow.fail_task('{_RUN}0', 'a', 0, 'no');
select quantumflow.start_flow('waits', run_id => '{_RUN}a', idempotency_key => 'key');
select quantumflow.send_signal('{_RUN}a', 'm', '[1]', key => 'a');
select quantumflow.start_flow('waits', run_id => '{_RUN}b');
select quantumflow.pause_run('{_RUN}b');
select quantumflow.send_signal('{_RUN}b', 'go');
select quantumflow.start_flow('waits', run_id => '{_RUN}c');
select quantumflow.send_signal('{_RUN}c', 'stop');
select quantumflow.fail_task('{_RUN}c', 'a', 0, 'no');
select quantumflow.start_flow('loops', run_id => '{_RUN}d');
select quantumflow.complete_task('{_RUN}d', 'a', n, to_jsonb(n)) from generate_series(0, 2) n;
select quantumflow.start_flow('loops', run_id => '{_RUN}e');
select quantumflow.complete_task('{_RUN}e', 'a', n, to_jsonb(n)) from generate_series(0, 4) n;
select quantumflow.start_flow('loops', run_id => '{_RUN}f');
select quantumflow.complete_task('{_RUN}f', 'a', 0, '9'), quantumflow.complete_task('{_RUN}f', 'z');
select quantumflow.register_worker('{_WORKER}', 'w', '{{a,m}}', '{{other}}');
select quantumflow.claim_tasks('{_WORKER}', 3);
select quantumflow.schedule_flow('nightly', 'one', '30 2 * * *', 'Europe/Berlin');
"""


class Database:
    """A database with runs in every state, whose every change is undone."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.functions = [f for f in functions_of(connection) if f.is_public]
        for definition in _DEFINITIONS:
            connection.execute("select quantumflow.define_flow(%s)", [json.dumps(definition)])
        connection.execute(_STATES)
        allow_test_clock(connection)
        self._known = Known(
            flows=["fan", "root", "one", "gated", "waits", "loops"],
            steps=["a", "b", "m", "z", "_on_complete", "_run_timeout"],
            queues=["quantum_flow_queue", "other", "quantum_flow_system"],
            runs=[f"{_RUN}{n}" for n in "0123456789abcdef"],
            tasks=[],
            definitions=_DEFINITIONS,
            workers=[_WORKER, "b0000000-0000-0000-0000-00000000000b"],
        )
        assert self.problems() == []
        self.at_rest = self.contents()

    @property
    def known(self) -> Known:
        """What there is, with the tasks as they are now."""
        keys = ("run_id", "step_slug", "task_index", "lease_token")
        tasks = self.connection.execute(
            "select run_id::text, step_slug, task_index, coalesce(lease_token, 1) "
            "from quantumflow.step_tasks order by 1, 2, 3"
        ).fetchall()
        return replace(self._known, tasks=[dict(zip(keys, t, strict=True)) for t in tasks])

    def problems(self) -> list[Any]:
        return self.connection.execute("select * from quantumflow.check_state()").fetchall()

    def contents(self) -> str:
        """All rows of all tables, ours and the queues', as one hash."""
        tables = self.connection.execute(
            "select oid::regclass::text from pg_class where relkind in ('r', 'p') and relnamespace "
            "in ('quantumflow'::regnamespace, 'pgmq'::regnamespace) order by 1"
        ).fetchall()
        rows = " union all ".join(f"select '{t}' || x::text as row from {t} x" for (t,) in tables)
        found = self.connection.execute(
            f"select md5(string_agg(r.row, ',' order by r.row)) from ({rows}) r"
        ).fetchone()
        assert found is not None
        return str(found[0])

    def call(self, function: Function, values: dict[str, Any]) -> Answer:
        """Call a function; its answer, or the SQLSTATE with which it was refused."""
        arguments = sql.SQL(", ").join(
            sql.SQL("{} => {}::{}{}").format(
                sql.Identifier(argument.name),
                sql.Placeholder(argument.name),
                sql.SQL("text[]::" if argument.type.endswith("[]") else ""),
                sql.SQL(argument.type),
            )
            for argument in function.arguments
            if argument.name in values
        )
        name = sql.Identifier("quantumflow", function.name)
        try:
            with self.connection.transaction():
                query = sql.SQL("select * from {}({})").format(name, arguments)
                return self.connection.execute(query, values).fetchall()
        except psycopg.Error as error:
            return chosen(error)

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        with self.connection.transaction(force_rollback=True):
            yield


def chosen(error: psycopg.Error) -> str:
    """The SQLSTATE of a refusal, after a look at whether it is one that somebody chose."""
    state = error.sqlstate or str(error)
    diag = error.diag
    if state.startswith("QF"):
        assert diag.message_detail, state
        assert diag.message_hint, state
    else:
        # PostgreSQL's own, where what was sent is not of the argument's type, or is JSON nested so
        # deep that it is taken as a value but not as a part of another.
        of_the_argument = state[:2] in ("22", "54") and "quantumflow." not in (diag.context or "")
        assert of_the_argument or state == "54001", (
            f"{state} {diag.message_primary}\n{diag.context}"
        )
    return state


@pytest.fixture(scope="module")
def database(server: EmbeddedServer, template: str) -> Iterator[Database]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(200_000)
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database fuzz template {}").format(sql.Identifier(template)))
        options = "-c statement_timeout=20s -c client_min_messages=error"
        with psycopg.connect(server.dsn("fuzz"), autocommit=True, options=options) as connection:
            yield Database(connection)
        admin.execute("drop database fuzz with (force)")
    sys.set_int_max_str_digits(before)
