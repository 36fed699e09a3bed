"""Handlers that misbehave, and their neighbours: python -m crash.misbehaving OPTIONS... .

OPTIONS are those of `quantumflow worker`; the database is QUANTUMFLOW_DSN, and BEHAVIOURS_IN a
folder for what handlers want to tell.

The worker gives handlers half a second after their deadline, so that nobody waits long.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from quantumflow_client import Client, Context, RetryAfter
from quantumflow_client._worker import watch
from quantumflow_client.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

client = Client()
BEHAVIOURS: dict[str, Callable[..., Any]] = {}
BLOCKING: set[str] = set()
"""Those of which the async form blocks the loop."""

_place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="clean")


def behaviour(function: Callable[..., Any]) -> Callable[..., Any]:
    """Something that both a `def` and an `async def` handler may do."""
    name = function.__name__
    BEHAVIOURS[name] = function

    async def do_async(ctx: Context) -> Any:
        return function(ctx)

    client.command(f"sync_{name}")(function)
    client.command(f"async_{name}")(do_async)
    return function


def blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    BLOCKING.add(function.__name__)
    return behaviour(function)


def tell(ctx: Context, what: str) -> None:
    """Leave a file for the test."""
    (Path(os.environ["BEHAVIOURS_IN"]) / f"{what}-{ctx.task_index}-{os.getpid()}").touch()


def say_hung(ctx: Context) -> None:
    tell(ctx, "hung")


# What never ends


@blocking
def hangs(ctx: Context) -> NoReturn:
    say_hung(ctx)
    while True:
        time.sleep(0.05)


@blocking
def spins(ctx: Context) -> NoReturn:
    say_hung(ctx)
    while True:
        pass


class _Endless(dict[str, int]):
    def items(self) -> Any:
        while True:
            time.sleep(0.05)


@blocking
def encodes_for_ever(ctx: Context) -> Any:
    say_hung(ctx)
    return _Endless(a=1)


# What raises


class _Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


@behaviour
def raises_the_unprintable(ctx: Context) -> NoReturn:
    raise _Unprintable


class _NoTraceback(Exception):  # noqa: N818
    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise KeyboardInterrupt

    def __str__(self) -> str:
        return "no traceback"


@behaviour
def raises_without_a_traceback(ctx: Context) -> NoReturn:
    raise _NoTraceback


class _Later(RetryAfter):
    def __init__(self) -> None:
        """Does not call the base's."""


@behaviour
def asks_for_no_delay(ctx: Context) -> NoReturn:
    raise _Later


@behaviour
def exits(ctx: Context) -> NoReturn:
    raise SystemExit(3)


@behaviour
def interrupts(ctx: Context) -> NoReturn:
    raise KeyboardInterrupt


@behaviour
def raises_a_base_exception(ctx: Context) -> NoReturn:
    raise BaseException("base")


@behaviour
def exhausts_memory(ctx: Context) -> NoReturn:
    raise MemoryError


@behaviour
def exhausts_the_stack(ctx: Context) -> NoReturn:
    exhausts_the_stack(ctx)
    raise AssertionError


class _Hostile(dict[str, int]):
    def __iter__(self) -> NoReturn:
        raise SystemExit(3)

    items = keys = __len__ = __iter__

    def __bool__(self) -> NoReturn:
        raise KeyboardInterrupt


@behaviour
def returns_the_hostile(ctx: Context) -> Any:
    return _Hostile(a=1)


class _Guarded:
    def __getattribute__(self, name: str) -> NoReturn:
        raise KeyboardInterrupt(name)


@behaviour
def returns_the_guarded(ctx: Context) -> Any:
    return _Guarded()


# What reaches for others


@behaviour
def sets_a_record_factory(ctx: Context) -> NoReturn:
    usual = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = usual(*args, **kwargs)
        record.run_id = "mine"
        return record

    logging.setLogRecordFactory(make)
    ctx.logger.warning("with a factory of its own")
    raise ValueError("logged")


@behaviour
def sets_a_filter_that_raises(ctx: Context) -> NoReturn:
    def refuse(_: logging.LogRecord) -> bool:
        raise SystemExit(3)

    logging.getLogger("quantumflow_client").addFilter(refuse)
    raise ValueError("not logged")


def _fork(ctx: Context) -> bool:
    """Fork; whether this is the child."""
    if os.fork():
        return False
    tell(ctx, "child")
    return True


@behaviour
def forks(ctx: Context) -> str:
    return "child" if _fork(ctx) else "parent"


@behaviour
def forks_and_raises(ctx: Context) -> str:
    if _fork(ctx):
        raise ValueError("child")
    raise ValueError("parent")


@behaviour
def forks_and_exits(ctx: Context) -> str:
    if _fork(ctx):
        sys.exit(0)
    return "parent"


@client.command("async_forks_and_waits")
async def forks_and_waits(ctx: Context) -> str:
    child = _fork(ctx)
    await asyncio.sleep(0.01)
    if child:
        tell(ctx, "ran-on")
    return "parent"


@client.command("async_forks_in_a_task")
async def forks_in_a_task(ctx: Context) -> str:
    async def fork() -> bool:
        return _fork(ctx)

    await asyncio.create_task(fork())
    return "parent"


@client.command("async_cancels_all")
async def cancels_all(ctx: Context) -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(60)


@client.command("async_stops_the_loop")
async def stops_the_loop(ctx: Context) -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return "stopped"


@client.command("async_exits_in_a_task")
async def exits_in_a_task(ctx: Context) -> None:
    async def leave() -> NoReturn:
        raise SystemExit(3)

    await asyncio.create_task(leave())


@client.command("async_exits_in_a_callback")
async def exits_in_a_callback(ctx: Context) -> str:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(0.01)
    return "still here"


@client.command("async_ignores_cancellation")
async def ignores_cancellation(ctx: Context) -> None:
    say_hung(ctx)
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


@client.command("async_leaves_a_blocking_task")
async def leaves_a_blocking_task(ctx: Context) -> str:
    async def block() -> None:
        await asyncio.sleep(0.05)
        hangs(ctx)

    asyncio.get_running_loop().leaked = asyncio.create_task(block())  # type: ignore[attr-defined]
    return "left"


@client.command("async_hangs_in_a_thread")
async def hangs_in_a_thread(ctx: Context) -> None:
    await asyncio.to_thread(hangs, ctx)


@client.command("sync_kills_its_process")
def kills_its_process() -> NoReturn:
    os._exit(9)


# Neighbours


def _look_around() -> str:
    """What a handler before has left in the context; "clean" if nothing."""
    found = _place.get()
    _place.set("dirty")
    return found


@client.command("sync_quick")
def sync_quick() -> str:
    return _look_around()


@client.command("async_quick")
async def async_quick() -> str:
    await asyncio.sleep(0)
    return _look_around()


@client.command("sync_slow")
def sync_slow(ctx: Context) -> str:
    tell(ctx, "slow-sync")
    while not (Path(os.environ["BEHAVIOURS_IN"]) / "go").exists():
        time.sleep(0.01)
    return _look_around()


@client.command("async_slow")
async def async_slow(ctx: Context) -> str:
    tell(ctx, "slow-async")
    while not (Path(os.environ["BEHAVIOURS_IN"]) / "go").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return _look_around()


if __name__ == "__main__":
    watch._GRACE = 0.5
    sys.argv[1:1] = ["worker", "crash.misbehaving:client"]
    main()
