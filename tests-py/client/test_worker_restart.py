"""A worker and a server that restarts: on a server of its own, for the others need theirs."""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg
import pytest

from quantumflow_client import Client
from support.server import build_extension, server_kind, throwaway_server
from support.waiting import wait_until


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_worker_survives_a_restart_of_its_server(mode: str) -> None:
    build_extension()
    begun, may_end = threading.Event(), threading.Event()

    def handler() -> str:
        begun.set()
        may_end.wait(30)
        return "kept"

    durable = {"fsync": "on", "synchronous_commit": "on"}
    with throwaway_server(server_kind(), "restart", settings=durable) as server:
        server.create_database("work")
        with Client(server.dsn("work")) as client:
            client.command("a")(handler)
            client.deploy({"slug": "one", "max_lost": 1, "steps": [{"name": "a"}]})
            run_id = client.start_flow("one")
            worker = threading.Thread(
                target=client.poll_and_run, kwargs={"lease": timedelta(minutes=1)}
            )
            worker.start()
            assert begun.wait(30)
            server.restart(mode)  # type: ignore[arg-type]
            may_end.set()

            def ended() -> bool:
                try:
                    return bool(client.status(run_id)["status"] == "completed")
                except psycopg.OperationalError:
                    return False

            wait_until(ended)
            assert client.wait(run_id) == {"a": "kept"}
            client.stop()
            worker.join(30)
            assert not worker.is_alive()
