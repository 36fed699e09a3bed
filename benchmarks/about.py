"""What the figures depend on: the machine, the versions, the settings, and what else went on."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from support.meter.server import SETTINGS, Server

from . import peers


def facts(server: Server, *, is_full: bool) -> dict[str, Any]:
    """What is the same for all workloads of a run, though it be made in parts."""
    with server.admin() as admin:
        (postgres,) = admin.execute("show server_version").fetchone() or ("",)
        (pgmq,) = admin.execute(
            "select default_version from pg_available_extensions where name = 'pgmq'"
        ).fetchone() or ("",)
        (quantumflow,) = admin.execute(
            "select default_version from pg_available_extensions where name = 'quantumflow'"
        ).fetchone() or ("",)
    return {
        "sizes": "full" if is_full else "small",
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": postgres,
        "pgmq": pgmq,
        "quantumflow": quantumflow,
        "peers": peers.VERSIONS,
        "settings": SETTINGS,
    }


@contextlib.contextmanager
def conditions(server: Server, *, rounds: int) -> Iterator[dict[str, Any]]:
    """What goes on while a workload is measured; complete when the block has ended."""
    found: dict[str, Any] = {
        "time": datetime.now(tz=timezone.utc).isoformat(" ", "minutes"),
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "rounds": rounds,
        "fsync_ms": round(fsync_ms(server), 3),
    }
    idle = _Processors.now()
    time.sleep(1)
    began = _Processors.now()
    found["busy_before"] = round(began.busy_since(idle), 3)
    clock = time.monotonic()
    yield found
    found["stolen"] = round(_Processors.now().stolen_since(began), 3)
    found["minutes"] = round((time.monotonic() - clock) / 60, 1)


def fsync_ms(server: Server, samples: int = 200, pause: float = 0) -> float:
    """What a commit waits for the disk: its median with the wait less that without.

    Args:
        server: The server.
        samples: How many commits of each kind.
        pause: How many seconds nothing happens before each: a disk that sleeps answers later.
    """
    with server.admin() as admin:
        medians = []
        for waits in ("on", "off"):
            admin.execute(f"set synchronous_commit = {waits}".encode())
            times = []
            for _ in range(samples):
                time.sleep(pause)
                began = time.perf_counter()
                admin.execute("select pg_logical_emit_message(true, 'bench', '')")
                times.append(1000 * (time.perf_counter() - began))
            medians.append(statistics.median(times))
    return max(medians[0] - medians[1], 0.0)


class _Processors(NamedTuple):
    """The time that all processors together have spent, in the kernel's ticks."""

    busy: int
    stolen: int
    all: int

    @classmethod
    def now(cls) -> _Processors:
        """Up to now; nothing where the kernel does not tell."""
        try:
            ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except FileNotFoundError:
            return cls(0, 0, 0)
        idle, waiting, stolen = ticks[3], ticks[4], ticks[7]
        return cls(sum(ticks) - idle - waiting, stolen, sum(ticks))

    def busy_since(self, before: _Processors) -> float:
        """The share of the time since then in which they did something, for whomever."""
        return (self.busy - before.busy) / max(self.all - before.all, 1)

    def stolen_since(self, before: _Processors) -> float:
        """The share of the time since then that other machines had."""
        return (self.stolen - before.stolen) / max(self.all - before.all, 1)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except FileNotFoundError:
        pass
    return platform.processor() or platform.machine()


def _output(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip()
