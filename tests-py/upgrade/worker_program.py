"""A worker that goes on until it is stopped: python -m upgrade.worker_program DSN.

Each line on its standard output is a call of its handler. It claims as 0.3.0's worker does, for the
database is older than the client at first, and claims have got an argument and a column since.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from quantumflow_client import Client, Context, _sql


def handle(input: Any, ctx: Context) -> Any:  # noqa: A002 - so the client calls it
    line = json.dumps([str(ctx.run_id), ctx.step_slug, ctx.task_index, ctx.attempt])
    os.write(1, f"{line}\n".encode())  # at once: handlers run in several threads
    return input["item"] if "item" in input else len(ctx.run_input)


def claim_as_before() -> None:
    for name in ("_CLAIM_TASKS", "_COMPLETE_AND_CLAIM"):
        statement = getattr(_sql, name)
        old = statement.replace("losses", "0").replace(",\n      held => %(held)s::int", "")
        assert "held" in statement
        assert "held" not in old
        setattr(_sql, name, old)


def main(dsn: str) -> None:
    claim_as_before()
    with Client(dsn) as client:
        for step in ("first", "each", "last"):
            client.command(step)(handle)
        client.poll_and_run(concurrency=4)


if __name__ == "__main__":
    main(*sys.argv[1:])
