"""procrastinate."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import program
from procrastinate import App, PsycopgConnector

_LEFT = "select count(*) from procrastinate_jobs where status <> 'succeeded'"
_AT_ONCE = 1_000


def _app(dsn: str, **pool: Any) -> App:
    return App(connector=PsycopgConnector(conninfo=dsn, **pool))


def install(dsn: str, url: str) -> None:
    """Its schema."""

    async def apply() -> None:
        app = _app(dsn)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    asyncio.run(apply())


def throughput(dsn: str, url: str, tasks: int, concurrency: int, connections: int) -> None:
    """Jobs, deferred by the thousand."""

    async def work() -> None:
        app = _app(dsn, min_size=1, max_size=connections)
        async with app.open_async():
            loop, over = asyncio.get_running_loop(), asyncio.Event()
            countdown = program.Countdown(
                tasks, dsn, _LEFT, lambda: loop.call_soon_threadsafe(over.set)
            )

            @app.task(name="only")
            async def only(n: int) -> None:
                countdown.called()

            for begin in range(0, tasks, _AT_ONCE):
                jobs = ({"n": n} for n in range(begin, min(begin + _AT_ONCE, tasks)))
                await only.batch_defer_async(*jobs)
            worker = asyncio.create_task(
                app.run_worker_async(concurrency=concurrency, install_signal_handlers=False)
            )
            await over.wait()
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            countdown.finish()

    asyncio.run(work())


def serve(dsn: str, url: str) -> None:
    """Answer with the delay of each job."""

    async def work() -> None:
        app = _app(dsn)
        async with app.open_async():

            @app.task(name="only")
            async def only(sent: int) -> None:
                program.answer_delay(sent)

            threading.Timer(1, lambda: program.answer(ready=True)).start()
            await app.run_worker_async()

    asyncio.run(work())


def send(dsn: str, url: str, count: int, every: float) -> None:
    """Defer jobs."""

    async def defer() -> None:
        app = _app(dsn)
        async with app.open_async():

            @app.task(name="only")
            async def only(sent: int) -> None:
                """Runs elsewhere."""

            await only.defer_async(sent=0)
            for _ in range(count):
                await asyncio.sleep(every)
                await only.defer_async(sent=program.now())

    asyncio.run(defer())


if __name__ == "__main__":
    program.main(install=install, throughput=throughput, serve=serve, send=send)
