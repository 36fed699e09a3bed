"""Handlers that tests call in processes of their own, which import this module."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from quantumflow_client import Context, RetryAfter, current_task


def add(run: dict[str, int], ctx: Context) -> dict[str, Any]:
    """What it was given, and where it is."""
    ctx.usage(sums=1)
    logging.getLogger("computing").warning("adds %d", run["a"])
    now = current_task()
    return {
        "sum": run["a"] + run["b"],
        "pid": os.getpid(),
        "step": ctx.step_slug,
        "attempt": ctx.attempt,
        "is_current": now is ctx,
        "cancelled": ctx.cancelled,
        "held": ctx.heartbeat(),
        "told": [ctx.progress(n, 2, "half") for n in (1, 2)],
    }


def spin(item: float) -> int:
    """Compute for so many seconds of the processor."""
    end = time.process_time() + item
    n = 0
    while time.process_time() < end:
        n += 1
    return os.getpid()


def double(item: int) -> int:
    """Hardly anything."""
    return item * 2


def misbehave(item: str, ctx: Context) -> Any:
    """Do what the item says, at the first attempt."""
    if ctx.attempt > 1:
        return f"{item} no more"
    if item == "segfault":
        ctypes.string_at(0)
    elif item == "exit":
        os._exit(7)
    elif item == "sys.exit":
        sys.exit(3)
    elif item == "later":
        raise RetryAfter(0, "soon")
    elif item == "transaction":
        ctx.transaction()
    elif item == "fork":
        if (pid := os.fork()) == 0:
            return "from the child"
        os.waitpid(pid, 0)
    elif item == "fork and crash":
        if os.fork() == 0:
            time.sleep(600)
        os.kill(os.getpid(), signal.SIGKILL)
    elif item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def sleep(run: dict[str, Any], ctx: Context) -> str:
    """Begin a process, tell of both, and hang, whatever it is told."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(run["file"]).write_text(f"{os.getpid()} {other.pid}")
    while run.get("stubborn") or not ctx.cancelled:
        time.sleep(0.05)
    return "told to stop"


def echo(run: str) -> str:
    """What it was given."""
    return run


def outputs(ctx: Context, item: int) -> Any:
    """A map's task that asks for what it was not given."""
    return [item, ctx.output_of("things"), ctx.run_input]


def things() -> list[int]:
    """What the map maps over."""
    return [1, 2]


def spin_once() -> int:
    """Where it is."""
    return os.getpid()


def asks_for_http(http: Any) -> None:
    """Ask for a resource."""


def meet(ctx: Context) -> int:
    """End when four are at once at this."""
    folder = Path(f"/tmp/{ctx.run_id}")
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 4:
        time.sleep(0.01)
    return os.getpid()


def beat(ctx: Context) -> bool:
    """Extend the lease."""
    return ctx.heartbeat()


def echo_list(run: Any) -> list[Any]:
    """What it was given, and where it is."""
    return ["handler", run, "process"]


def strange() -> object:
    """Nothing that is JSON."""
    return object()
