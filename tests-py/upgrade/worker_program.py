"""A worker that goes on until it is stopped: python -m upgrade.worker_program DSN.

Each line on its standard output is a call of its handler. It claims and reports as 0.3.0's worker
does, for the database is older than the client at first: calls have got an argument and columns
since.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from quantumflow_client import Client, Context, PermanentError, _sql


def handle(input: Any, ctx: Context) -> Any:  # noqa: A002 - so the client calls it
    line = json.dumps([str(ctx.run_id), ctx.step_slug, ctx.task_index, ctx.attempt])
    os.write(1, f"{line}\n".encode())  # at once: handlers run in several threads
    if "fail" in (ctx.args, input.get("item")):
        raise PermanentError("as it is meant to")
    return input["item"] if "item" in input else len(ctx.run_input)


# What 0.3.0 does not ask for, and what its worker takes for granted.
_SINCE = {
    "losses": "0",
    "step_type": "null",
    "version": "0",
    "retries": "0",
    "fresh_since": "0",
    "reason": "null",
    "detail": "null",
}
_COLUMN = re.compile(rf"\b({'|'.join(_SINCE)})\b")


def call_as_before() -> None:
    for name in ("_CLAIM_TASKS", "_COMPLETE_TASKS", "_COMPLETE_AND_CLAIM", "_FAIL_TASKS"):
        columns, of, call = getattr(_sql.tasks, name).partition("from quantumflow.")
        call = call.replace(",\n      held => %(held)s::int", "")
        assert "held" not in call
        columns = _COLUMN.sub(lambda column: _SINCE[column[1]], columns)
        setattr(_sql.tasks, name, columns + of + call)
    known, _, since = _sql.workers._REGISTER_WORKER.partition(",\n      host => ")
    assert since
    setattr(_sql.workers, "_REGISTER_WORKER", f"{known})")  # noqa: B010 - a LiteralString


def main(dsn: str) -> None:
    call_as_before()
    with Client(dsn) as client:
        for step in ("first", "each", "last"):
            client.command(step)(handle)
        client.poll_and_run(concurrency=4)


if __name__ == "__main__":
    main(*sys.argv[1:])
