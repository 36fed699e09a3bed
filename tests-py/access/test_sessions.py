"""What anybody may set, or hold, in a session of his own changes nothing for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from access.conftest import LEVELS, Installation
from access.test_levels import VALUES, outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantumflow_client.embedded import EmbeddedServer

pytestmark = pytest.mark.system

Connection = psycopg.Connection[Any]

_CLAIM = "select * from quantumflow.claim_tasks(gen_random_uuid())"


@pytest.mark.parametrize("how", ["set", "options", "role"])
def test_nobody_says_which_database_this_is(
    installation: Installation,
    server: EmbeddedServer,
    template: str,
    new_database: Callable[..., str],
    how: str,
) -> None:
    author, worker = installation.role("author"), installation.role("worker")
    original = new_database(template)

    def session(database: str, user: str, identity: str) -> Connection:
        dsn = make_conninfo(server.dsn(database), user=user)
        if how == "options":
            options = f"-c quantumflow.identity={identity}"
            return psycopg.connect(dsn, autocommit=True, options=options)
        if how == "role":
            with psycopg.connect(server.dsn(database), autocommit=True) as own:
                own.execute(
                    sql.SQL("alter role {} in database {} set quantumflow.identity = {}").format(
                        sql.Identifier(user), sql.Identifier(database), sql.Literal(identity)
                    )
                )
        connection = psycopg.connect(dsn, autocommit=True)
        if how == "set":
            connection.execute("select set_config('quantumflow.identity', %s, false)", [identity])
        return connection

    with psycopg.connect(server.dsn(original), autocommit=True) as admin:
        for role, level in ((author, "author"), (worker, "worker")):
            admin.execute("select quantumflow.grant_access(%s, %s)", [role, level])
        define = """select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}')"""
        with session(original, author, "evil/1") as connection:
            connection.execute(define)
            connection.execute("select quantumflow.start_flow('w')")
        query = "select value from quantumflow.settings where name = 'identity'"
        (recorded,) = admin.execute(query).fetchone() or ("",)
        (oid,) = admin.execute(
            "select format('%s/%s', (select system_identifier from pg_control_system()), oid) "
            "from pg_database where datname = current_database()"
        ).fetchone() or ("",)
        assert recorded == oid
        with session(original, worker, "evil/1") as connection:
            assert connection.execute(_CLAIM).rowcount == 1
            connection.execute("select quantumflow.sweep()")

    copy = new_database(original)
    with session(copy, worker, recorded) as connection:
        assert outcome(connection, _CLAIM) == "QF404"
        exchange = "select * from quantumflow.complete_and_claim(gen_random_uuid(), '[]')"
        assert outcome(connection, exchange) == "QF404"


# As classid and objid, what this session holds.
_HELD = """
select classid::bigint, objid::bigint, objsubid from pg_locks
where locktype = 'advisory' and pid = pg_backend_pid()
"""
_CREATES = (
    "select quantumflow.define_flow("
    """'{"slug": "v", "steps": [{"name": "a", "queue": "another"}]}')"""
)


@pytest.fixture
def calls(installation: Installation) -> list[tuple[str, str]]:
    """Every public function, and a role that may call it; definitions also of what is there."""
    may_call = {name: installation.may_call(name) for name in LEVELS}
    values = VALUES | {
        "definition": """'{"slug": "w", "steps": [{"name": "a"}, {"name": "c"}]}'""",
        "dry_run": "false",
        "role": f"'{installation.role('viewer')}'",
    }
    found = []
    for function in installation.functions():
        if function.is_public:
            name = next((name for name, may in may_call.items() if function.name in may), "owner")
            found.append((name, function.call(values)))
    return found


def test_nobody_holds_up_others_by_advisory_locks(
    installation: Installation, calls: list[tuple[str, str]]
) -> None:
    # What is taken at all: a lock that is held by whoever may connect must not be waited for.
    taken: dict[str, set[tuple[int, int, int]]] = {}
    for name, call in [*calls, ("author", _CREATES)]:
        session = installation.session(name)
        with session.transaction(force_rollback=True):
            try:
                with session.transaction():
                    session.execute(call)
            except psycopg.Error:
                continue
            if held := {tuple(row) for row in session.execute(_HELD)}:
                taken[call] = held
    (key,) = installation.session("owner").execute(
        "select array[hashtext('pgmq.queue_another')::bigint >> 32 & 4294967295, "
        "hashtext('pgmq.queue_another') & 4294967295]"
    ).fetchone() or ([],)
    model = [call for call in taken if "rebuild_queues" in call]
    # A queue of a name that nobody knows before is made and dropped, to see what pgmq makes.
    assert [call for call in taken if call not in model] == [_CREATES]
    assert taken[_CREATES] == {(*key, 1)}

    nobody = installation.session("nobody")
    for slug in ("w", "v", "another"):
        nobody.execute("select pg_advisory_lock(hashtext('quantumflow'), hashtext(%s))", [slug])
    for text in ("w", "quantumflow", "pgmq.queue_quantum_flow_queue", "grant_access"):
        nobody.execute("select pg_advisory_lock(hashtext(%s))", [text])
        nobody.execute("select pg_advisory_lock(hashtext('quantumflow'), hashtext(%s))", [text])
        nobody.execute(
            "select pg_advisory_lock(hashtext('quantumflow.queue'), hashtext(%s))", [text]
        )
    try:
        for name, call in [*calls, ("author", _CREATES)]:
            session = installation.session(name)
            with session.transaction(force_rollback=True):
                session.execute("set local lock_timeout = '2 s'")
                found = outcome(session, call)
                assert found == "done" or found.startswith("QF"), (call, found)
    finally:
        nobody.execute("select pg_advisory_unlock_all()")


@pytest.mark.parametrize("name", LEVELS)
def test_nobody_locks_a_table_or_row_against_others(installation: Installation, name: str) -> None:
    """A lock that readers may take keeps nobody from work; they may take no other."""
    session = installation.session(name)
    for table in ("workflows", "workflow_versions", "workflow_runs", "step_tasks", "settings"):
        for mode in ("row share", "row exclusive", "share", "exclusive", "access exclusive"):
            found = outcome(session, f"lock table quantumflow.{table} in {mode} mode")
            assert found.startswith("permission denied"), (table, mode)
        for strength in ("key share", "share", "no key update", "update"):
            found = outcome(session, f"select from quantumflow.{table} for {strength}")
            assert found.startswith("permission denied"), (table, strength)
