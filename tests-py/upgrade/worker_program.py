"""A worker that goes on until it is stopped: python -m upgrade.worker_program DSN.

Each line on its standard output is a call of its handler.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from quantumflow_client import Client, Context


def handle(input: Any, ctx: Context) -> Any:  # noqa: A002 - so the client calls it
    line = json.dumps([str(ctx.run_id), ctx.step_slug, ctx.task_index, ctx.attempt])
    os.write(1, f"{line}\n".encode())  # at once: handlers run in several threads
    return input["item"] if "item" in input else len(ctx.run_input)


def main(dsn: str) -> None:
    with Client(dsn) as client:
        for step in ("first", "each", "last"):
            client.command(step)(handle)
        client.poll_and_run(concurrency=4)


if __name__ == "__main__":
    main(*sys.argv[1:])
