"""A worker process of the demo: python -m quantumflow_client.demo.worker NAME CONCURRENCY LEASE.

The database is QUANTUMFLOW_DSN. The process ends with the one that started it: when its standard
input ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from datetime import timedelta

from quantumflow_client.client import Client

from .census import census


def main(name: str, concurrency: int, lease: timedelta) -> None:
    """Work until told to stop.

    Args:
        name: What the worker registers as, with the number of its process.
        concurrency: How many tasks it may hold.
        lease: How long it may be silent before its tasks are others'.
    """
    warnings.simplefilter("ignore")  # of the files that it parses
    client = Client()
    client.register(census)
    threading.Thread(target=_stop_with_parent, args=(client,), daemon=True).start()
    client.poll_and_run(
        concurrency=concurrency,
        # The files are few: the others are to have some, too.
        prefetch=0,
        lease=lease,
        name=full_name(name, os.getpid()),
    )


def full_name(name: str, pid: int) -> str:
    """What a worker registers as."""
    return f"{name} (pid {pid})"


def _stop_with_parent(client: Client) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    while True:
        client.stop()
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), timedelta(seconds=float(sys.argv[3])))
