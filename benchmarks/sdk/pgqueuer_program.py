"""pgqueuer, with psycopg or with asyncpg."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import program
import psycopg
from pgqueuer import PgQueuer

_LEFT = "select count(*) from pgqueuer"
_AT_ONCE = 1_000


@contextlib.asynccontextmanager
async def _queuer(dsn: str, url: str, driver: str) -> AsyncIterator[PgQueuer]:
    if driver == "asyncpg":
        import asyncpg

        connection = await asyncpg.connect(url)
        try:
            yield PgQueuer.from_asyncpg_connection(connection)
        finally:
            await connection.close()
    else:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            yield PgQueuer.from_psycopg_connection(connection)


def install(dsn: str, url: str) -> None:
    """Its schema."""

    async def make() -> None:
        async with _queuer(dsn, url, "psycopg") as queuer:
            await queuer.queries.install()

    asyncio.run(make())


def throughput(dsn: str, url: str, tasks: int, batch_size: int, driver: str) -> None:
    """Jobs, enqueued by the thousand."""

    async def work() -> None:
        async with _queuer(dsn, url, driver) as queuer:
            loop = asyncio.get_running_loop()
            countdown = program.Countdown(
                tasks, dsn, _LEFT, lambda: loop.call_soon_threadsafe(queuer.shutdown.set)
            )

            @queuer.entrypoint("only")
            async def only(job: Any) -> None:
                countdown.called()

            for begin in range(0, tasks, _AT_ONCE):
                count = min(_AT_ONCE, tasks - begin)
                await queuer.queries.enqueue(["only"] * count, [b"{}"] * count, [0] * count)
            await queuer.run(batch_size=batch_size)
            countdown.finish()

    asyncio.run(work())


def serve(dsn: str, url: str) -> None:
    """Answer with the delay of each job."""

    async def work() -> None:
        async with _queuer(dsn, url, "psycopg") as queuer:

            @queuer.entrypoint("only")
            async def only(job: Any) -> None:
                program.answer_delay(json.loads(job.payload)["sent"])

            asyncio.get_running_loop().call_later(1, lambda: program.answer(ready=True))
            await queuer.run()

    asyncio.run(work())


def send(dsn: str, url: str, count: int, every: float) -> None:
    """Enqueue jobs."""

    async def enqueue() -> None:
        async with _queuer(dsn, url, "psycopg") as queuer:
            await queuer.queries.enqueue("only", b'{"sent": 0}')
            for _ in range(count):
                await asyncio.sleep(every)
                payload = json.dumps({"sent": program.now()}).encode()
                await queuer.queries.enqueue("only", payload)

    asyncio.run(enqueue())


if __name__ == "__main__":
    program.main(install=install, throughput=throughput, serve=serve, send=send)
