"""A server that restarts, below a worker and who waits: one of its own, others need theirs."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from quantumflow_client import AsyncClient, Client
from support.server import build_extension, server_kind, throwaway_server
from support.waiting import wait_until


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_worker_and_who_waits_survive_a_restart_of_their_server(mode: str) -> None:
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
            aclient = AsyncClient(server.dsn("work"))
            with ThreadPoolExecutor() as threads:
                waits = [
                    threads.submit(client.wait, run_id, 60),
                    threads.submit(client.wait, run_id),
                    threads.submit(asyncio.run, aclient.wait(run_id, 60)),
                ]
                wait_until(lambda: aclient._connections._was_connected)
                server.restart(mode)  # type: ignore[arg-type]
                may_end.set()
                assert [wait.result(60) for wait in waits] == [{"a": "kept"}] * 3
            asyncio.run(aclient.close())
            client.stop()
            worker.join(30)
            assert not worker.is_alive()
