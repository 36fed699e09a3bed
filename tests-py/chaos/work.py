"""The handlers of the chaos: quantumflow worker chaos.work:client.

Effects go to the table chaos.effects, which allows doubles, so that they show.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from chaos.flows import MisbehaviourError, compute, dies, digest, note, troubles
from quantumflow_client import Client, Context, PermanentError, RetryAfter

Json = Any

client = Client()

_SLEEP = 2.5
"""How many seconds a slow attempt takes: longer than its step's timeout."""

_FOLDER = Path(os.environ["CHAOS_FOLDER"])

_EFFECT = "insert into chaos.effects values (%s, %s, %s, %s, %s)"


def _misbehave(ctx: Context) -> float:
    """Raise what this attempt is meant to raise, or answer how many seconds to sleep."""
    trouble = ctx.args.get("trouble")
    if trouble is None:
        return 0
    if dies(ctx.args, ctx.input):
        raise PermanentError("this never works")
    if trouble == "some die":
        return 0
    if not trouble.startswith("always") and ctx.attempt > troubles(
        ctx.args, ctx.run_id, ctx.task_index
    ):
        return 0
    if trouble.endswith("kills"):
        _note_down("killed", ctx)
        os.kill(os.getpid(), signal.SIGKILL) if ctx.attempt % 2 else os._exit(9)
    if trouble.endswith("hangs"):
        _note_down("hung", ctx)
        threading.Event().wait()
    if trouble == "blocks":
        _note_down("blocked", ctx)
        time.sleep(_SLEEP)
        return 0
    if trouble == "sleeps":
        return _SLEEP
    if ctx.attempt == 2:
        raise RetryAfter(0.02)
    raise MisbehaviourError("not yet")


@client.command("count")
def count(ctx: Context) -> Json:
    time.sleep(_misbehave(ctx))
    return compute(ctx.args, ctx.input)


@client.command("acount")
async def acount(ctx: Context) -> Json:
    await asyncio.sleep(_misbehave(ctx))
    return compute(ctx.args, ctx.input)


@client.command("ask")
def ask(ctx: Context) -> Json:
    """Asks the database for more, as a handler may, while connections break."""
    _misbehave(ctx)
    assert ctx.run_input is not None
    ctx.heartbeat()
    return compute(ctx.args, ctx.input)


@client.command("effect")
def effect(ctx: Context) -> Json:
    output = compute(ctx.args, ctx.input)
    with ctx.transaction() as connection:
        connection.execute(_EFFECT, _row(ctx, output))
        _misbehave(ctx)
    return output


@client.command("aeffect")
async def aeffect(ctx: Context) -> Json:
    output = compute(ctx.args, ctx.input)
    async with ctx.transaction() as connection:
        await connection.execute(_EFFECT, _row(ctx, output))
    return output


@client.command("note")
def noted(ctx: Context) -> Json:
    output = note(ctx.input)
    with ctx.transaction() as connection:
        connection.execute(_EFFECT, _row(ctx, output))
    return output


@client.command("log")
def log(ctx: Context) -> Json:
    """Says on a file that it began, before anything else can happen."""
    _note_down("begun", ctx)
    return compute(ctx.args, ctx.input)


def _note_down(what: str, ctx: Context) -> None:
    with (_FOLDER / f"{what}_{os.getpid()}").open("a") as stream:
        stream.write(f"{ctx.run_id} {ctx.step_slug} {ctx.task_index}\n")


def _row(ctx: Context, output: Json) -> tuple[Any, ...]:
    return ctx.run_id, ctx.step_slug, ctx.task_index, ctx.attempt, digest(output)
