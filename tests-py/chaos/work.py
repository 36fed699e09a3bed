"""The handlers of the chaos: quantumflow worker chaos.work:client.

Effects go to the table chaos.effects, which allows doubles, so that they show.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from chaos.flows import MisbehaviourError, compute, digest, note, troubles
from quantumflow_client import Client, Context, PermanentError, RetryAfter

Json = Any

client = Client()

_SLEEP = 2.5
"""How many seconds a slow attempt takes: longer than its step's timeout."""

_EFFECT = "insert into chaos.effects values (%s, %s, %s, %s, %s)"


def _misbehave(ctx: Context) -> float:
    """Raise what this attempt is meant to raise, or answer how many seconds to sleep."""
    trouble = ctx.args.get("trouble")
    if trouble is None:
        return 0
    if trouble == "dies":
        raise PermanentError("this never works")
    if ctx.attempt > troubles(ctx.args, ctx.run_id, ctx.task_index):
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
    line = f"{ctx.run_id} {ctx.step_slug} {ctx.task_index}\n"
    file = Path(os.environ["CHAOS_FOLDER"]) / f"begun_{os.getpid()}"
    with file.open("a") as stream:
        stream.write(line)
    return compute(ctx.args, ctx.input)


def _row(ctx: Context, output: Json) -> tuple[Any, ...]:
    return ctx.run_id, ctx.step_slug, ctx.task_index, ctx.attempt, digest(output)
