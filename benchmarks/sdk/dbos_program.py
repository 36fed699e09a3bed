"""DBOS. Its queue for single steps; a chain is a workflow whose steps run in the process."""

from __future__ import annotations

from typing import Any

import program
from dbos import DBOS, DBOSConfig

_LEFT = "select count(*) from dbos.workflow_status where status <> 'SUCCESS'"


def _configure(url: str, **settings: Any) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "log_level": "ERROR",
        "application_version": "1",
        **settings,
    }
    DBOS(config=config)


def install(dsn: str, url: str) -> None:
    """Launching makes the tables."""
    _configure(url)
    DBOS.launch()
    DBOS.destroy()


def throughput(
    dsn: str, url: str, tasks: int, polling_interval_sec: float, sys_db_pool_size: int
) -> None:
    """Workflows without steps, enqueued one by one, while the queue is worked on."""
    _configure(url, sys_db_pool_size=sys_db_pool_size)
    counting: list[program.Countdown] = []

    @DBOS.workflow()
    def only(n: int) -> bool:
        counting[0].called()
        return True

    DBOS.launch()
    DBOS.register_queue("bench", polling_interval_sec=polling_interval_sec)
    counting.append(program.Countdown(tasks, dsn, _LEFT, lambda: None))
    for n in range(tasks):
        DBOS.enqueue_workflow("bench", only, n)
    counting[0].finish()
    DBOS.destroy()


def chain(dsn: str, url: str, runs: int, steps: int) -> None:
    """One run at a time."""
    _configure(url)
    measured = [program.Steps(steps)]

    @DBOS.step()
    def step() -> bool:
        measured[0].step()
        return True

    @DBOS.workflow()
    def run() -> bool:
        for _ in range(steps):
            step()
        return True

    DBOS.launch()
    for _ in range(runs):
        measured[0] = program.Steps(steps)
        handle = DBOS.start_workflow(run)
        measured[0].finish()
        handle.get_result()
    DBOS.destroy()


def _only() -> Any:
    @DBOS.workflow(name="only")
    def only(sent: int) -> bool:
        program.answer_delay(sent)
        return True

    return only


def serve(dsn: str, url: str, polling_interval_sec: float) -> None:
    """Answer with the delay of each task."""
    import threading

    _configure(url)
    _only()
    DBOS.launch()
    DBOS.register_queue("bench", polling_interval_sec=polling_interval_sec)
    program.answer(ready=True)
    threading.Event().wait()


def send(dsn: str, url: str, count: int, every: float) -> None:
    """Enqueue workflows."""
    _configure(url)
    DBOS.listen_queues([])
    only = _only()
    DBOS.launch()
    DBOS.enqueue_workflow("bench", only, 0)
    program.pace(count, every, lambda now: DBOS.enqueue_workflow("bench", only, now))
    DBOS.destroy()


if __name__ == "__main__":
    program.main(install=install, throughput=throughput, chain=chain, serve=serve, send=send)
