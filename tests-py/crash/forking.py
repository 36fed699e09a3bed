"""A worker whose handlers begin processes, in every way there is; its main thread hears signals.

Each handler ends its processes with SIGTERM, and returns how they ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from typing import Any

from quantumflow_client import Client

METHODS = ["fork", "spawn", "forkserver"]

client = Client("")


def sleep() -> None:
    time.sleep(60)


def pool(method: str) -> Any:
    context: Any = multiprocessing.get_context(method)
    with context.Pool(2) as pool:  # which is terminated at its end
        found = pool.map(abs, [-1, -2])
    pool.join()
    return found


def process(method: str) -> Any:
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=sleep)
    child.start()
    child.terminate()
    child.join(30)
    return child.exitcode


def fork() -> int:
    child = os.fork()
    if not child:
        sleep()
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def program() -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child.terminate()
    return child.wait(30)


for method in METHODS:
    client.command(f"pool_{method}")(lambda method=method: pool(method))
    client.command(f"process_{method}")(lambda method=method: process(method))
client.command("fork")(fork)
client.command("program")(program)


@client.command("async_fork")
async def async_fork() -> int:
    return fork()


if __name__ == "__main__":
    client.poll_and_run(until_idle=True, concurrency=1)
