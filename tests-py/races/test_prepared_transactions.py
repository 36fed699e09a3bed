"""A deletion waits for prepared transactions, which have no process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from support.server import server_kind, throwaway_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def preparing() -> Iterator[EmbeddedServer]:
    settings = {"max_prepared_transactions": "5"}
    with throwaway_server(server_kind(), "prepared", settings=settings) as started:
        yield started


@pytest.mark.parametrize("is_new", [True, False])
def test_a_definition_is_not_deleted_below_a_prepared_start(
    preparing: EmbeddedServer, is_new: bool
) -> None:
    dsn = preparing.create_database(f"prepared_{is_new}".lower())
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("select quantumflow.configure('notify', '0')")
        owner.execute(
            """select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}')"""
        )
        if not is_new:
            owner.execute("select quantumflow.start_flow('w')")
            owner.execute("select quantumflow.cancel_run(id) from quantumflow.workflow_runs")
            owner.execute("select quantumflow.delete_run(id) from quantumflow.workflow_runs")
        with psycopg.connect(dsn) as caller:
            caller.execute("select quantumflow.start_flow('w')")
            caller.execute("prepare transaction 'start'")
        owner.execute("set lock_timeout = '100 ms'")
        try:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner.execute("select quantumflow.delete_flow('w')")
        finally:
            owner.execute("commit prepared 'start'")
        with pytest.raises(psycopg.DatabaseError) as caught:
            owner.execute("select quantumflow.delete_flow('w')")
        assert caught.value.sqlstate == "QF113"
        assert owner.execute("select * from quantumflow.check_state()").fetchall() == []
        row = owner.execute("select count(*) from quantumflow.claim_tasks(gen_random_uuid())")
        assert row.fetchone() == (1,)
