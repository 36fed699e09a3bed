"""quantumflow's client."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import program

from quantumflow_client import Client

_LEFT = "select count(*) from quantumflow.workflow_runs where status <> 'completed'"
_AT_ONCE = 1_000


def throughput(dsn: str, url: str, tasks: int, concurrency: int) -> None:
    """Single-step runs, started by the thousand."""
    client = Client(dsn)
    countdown = program.Countdown(tasks, dsn, _LEFT, client.stop)

    @client.command("only")
    def only() -> bool:
        countdown.called()
        return True

    for begin in range(0, tasks, _AT_ONCE):
        client.start_flows("single", [{"n": n} for n in range(begin, min(begin + _AT_ONCE, tasks))])
    client.poll_and_run(concurrency=concurrency)
    countdown.finish()


def chain(dsn: str, url: str, runs: int, steps: int) -> None:
    """One run at a time, for an idle worker in this process."""
    client = Client(dsn)
    measured = [program.Steps(steps)]

    def step() -> bool:
        measured[0].step()
        return True

    for n in range(steps):
        client.command(f"s{n}")(step)
    worker = threading.Thread(target=client.poll_and_run)
    worker.start()
    try:
        for _ in range(runs):
            measured[0] = program.Steps(steps)
            run_id = client.start_flow("chain_10", {})
            measured[0].finish()
            client.wait(run_id, timeout=60)
    finally:
        client.stop()
        worker.join()


def serve(dsn: str, url: str) -> None:
    """Answer with the delay of each task."""
    client = Client(dsn)

    @client.command("only")
    def only(run: dict[str, Any]) -> bool:
        program.answer_delay(run["sent"])
        return True

    program.answer(ready=True)
    client.poll_and_run()


def send(dsn: str, url: str, count: int, every: float) -> None:
    """Start single-step runs."""
    with Client(dsn) as client:
        client.start_flow("single", {"sent": 0})  # Connects, and makes plans.
        program.pace(count, every, lambda now: client.start_flow("single", {"sent": now}))


def survive(dsn: str, url: str, file: str, lease: float) -> None:
    """Work until killed, and write down each task that was begun."""
    log = os.open(Path(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    client = Client(dsn)

    def step(ctx: Any) -> bool:
        os.write(log, f"{ctx.run_id} {ctx.step_slug} {ctx.attempt}\n".encode())
        return True

    for n in range(10):
        client.command(f"s{n}")(step)
    program.answer(ready=True)
    client.poll_and_run(lease=timedelta(seconds=lease), concurrency=50)


if __name__ == "__main__":
    program.main(throughput=throughput, chain=chain, serve=serve, send=send, survive=survive)
