"""What the figures depend on: the machine, the versions, the settings, the speed of its disk."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import peers
from .server import SETTINGS, Server


def facts(server: Server, *, is_full: bool, rounds: int) -> dict[str, Any]:
    """Everything to know about a run of the benchmarks."""
    with server.admin() as admin:
        (postgres,) = admin.execute("show server_version").fetchone() or ("",)
        (pgmq,) = admin.execute(
            "select default_version from pg_available_extensions where name = 'pgmq'"
        ).fetchone() or ("",)
        (quantumflow,) = admin.execute(
            "select default_version from pg_available_extensions where name = 'quantumflow'"
        ).fetchone() or ("",)
    return {
        "date": datetime.now(tz=timezone.utc).date().isoformat(),
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "sizes": "full" if is_full else "small",
        "rounds": rounds,
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "postgresql": postgres,
        "pgmq": pgmq,
        "quantumflow": quantumflow,
        "peers": peers.VERSIONS,
        "settings": SETTINGS,
        "fsync_ms": round(_fsync_ms(server), 3),
    }


def _fsync_ms(server: Server, samples: int = 200) -> float:
    """What a commit waits for the disk: its median with the wait less that without."""
    with server.admin() as admin:
        admin.execute("create table fsyncs (n int)")
        medians = []
        for waits in ("on", "off"):
            admin.execute(f"set synchronous_commit = {waits}".encode())
            times = []
            for n in range(samples):
                began = time.perf_counter()
                admin.execute("insert into fsyncs values (%s)", [n])
                times.append(1000 * (time.perf_counter() - began))
            medians.append(statistics.median(times))
        admin.execute("drop table fsyncs")
    return max(medians[0] - medians[1], 0.0)


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
