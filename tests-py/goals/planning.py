"""A worker that plans: python -m goals.planning PHASE, and dies by SIGKILL in that phase."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from quantumflow_client import Client, Flow

PHASES = ("asked", "asked again", "running")


def planning(client: Client, phase: str) -> Flow:
    """The workflow, and the decomposer, of which the functions are registered.

    Args:
        client: Who handles their commands.
        phase: In which of PHASES the process kills itself; anything else: in none.
    """
    flow = Flow("planning", retry_delay=0)

    def die(where: str) -> None:
        if where == phase:
            os.kill(os.getpid(), signal.SIGKILL)

    def plan(problems: Any) -> Any:
        die("asked again" if problems else "asked")
        return [{"id": "do"}, {"id": "end", "depends_on": ["do"]}] if problems else "no plan"

    flow.plan("p", may_use=["do", "end"])(plan)
    client.decomposer("planner", may_use=["do", "end"])(plan)

    @client.command("do")
    def do() -> int:
        die("running")
        return 1

    client.command("end")(lambda do: do + 1)
    client.register(flow)
    return flow


def main() -> None:
    with Client() as client:
        planning(client, sys.argv[1])
        client.poll_and_run(until_idle=True, concurrency=1, prefetch=0)


if __name__ == "__main__":
    main()
