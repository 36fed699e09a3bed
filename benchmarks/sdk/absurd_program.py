"""absurd's Python SDK. A chain is a task whose steps are checkpoints."""

from __future__ import annotations

import threading
from typing import Any

import program
from absurd_sdk import Absurd

_LEFT = "select count(*) from absurd.t_bench where state <> 'completed'"


def throughput(
    dsn: str, url: str, tasks: int, concurrency: int, batch_size: int, poll_interval: float
) -> None:
    """Tasks without steps."""
    app = Absurd(dsn, queue_name="bench")
    countdown = program.Countdown(tasks, dsn, _LEFT, app.stop_worker)

    @app.register_task("only")
    def only(params: Any, ctx: Any) -> bool:
        countdown.called()
        return True

    for n in range(tasks):
        app.spawn("only", {"n": n})
    app.start_worker(concurrency=concurrency, batch_size=batch_size, poll_interval=poll_interval)
    countdown.finish()


def chain(dsn: str, url: str, runs: int, steps: int, poll_interval: float) -> None:
    """One run at a time, for an idle worker in this process."""
    worker, sender = Absurd(dsn, queue_name="bench"), Absurd(dsn, queue_name="bench")
    measured = [program.Steps(steps)]

    def step() -> bool:
        measured[0].step()
        return True

    @worker.register_task("chain")
    def run(params: Any, ctx: Any) -> bool:
        for n in range(steps):
            ctx.step(f"s{n}", step)
        return True

    thread = threading.Thread(target=worker.start_worker, kwargs={"poll_interval": poll_interval})
    thread.start()
    try:
        for _ in range(runs):
            measured[0] = program.Steps(steps)
            task = sender.spawn("chain", {}, queue="bench")
            measured[0].finish()
            sender.await_task_result(task["task_id"], timeout=60)
    finally:
        worker.stop_worker()
        thread.join()


def serve(dsn: str, url: str, poll_interval: float) -> None:
    """Answer with the delay of each task."""
    app = Absurd(dsn, queue_name="bench")

    @app.register_task("only")
    def only(params: Any, ctx: Any) -> bool:
        program.answer_delay(params["sent"])
        return True

    program.answer(ready=True)
    app.start_worker(poll_interval=poll_interval)


def send(dsn: str, url: str, count: int, every: float) -> None:
    """Spawn tasks."""
    app = Absurd(dsn, queue_name="bench")
    app.spawn("only", {"sent": 0}, queue="bench")
    program.pace(count, every, lambda now: app.spawn("only", {"sent": now}, queue="bench"))


if __name__ == "__main__":
    program.main(throughput=throughput, chain=chain, serve=serve, send=send)
