"""Processes that handlers begin end at SIGTERM, like any other: the worker's signals are its own.

Fails when a forked child keeps the worker's handlers: it then sleeps for a minute.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from crash.forking import METHODS
from quantumflow_client import Client
from support.server import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

ENDED: dict[str, object] = {
    **{f"pool_{method}": [1, 2] for method in METHODS},
    **{f"process_{method}": -15 for method in METHODS},
    "fork": -15,
    "async_fork": -15,
    "program": -15,
}

# As the only process, and as one of several, which hears signals in another way.
ALONE = [sys.executable, "-m", "crash.forking"]
FAMILY = [
    *(sys.executable, "-m", "quantumflow_client.cli", "worker", "crash.forking:client"),
    *("--until-idle", "--processes", "2", "--concurrency", "1"),
]


@pytest.mark.parametrize("command", [ALONE, FAMILY], ids=["alone", "family"])
def test_they_end_at_sigterm(
    command: list[str], dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (part.split("=", 1) for part in dsn.split()):
        monkeypatch.setenv({"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"), value)
    with Client(dsn) as client:
        runs = {}
        for name in ENDED:
            client.deploy({"slug": name, "max_attempts": 1, "steps": [{"name": name}]})
            runs[name] = client.start_flow(name)
        done = subprocess.run(
            command,
            cwd=REPOSITORY / "tests-py",
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert {name: client.wait(run, 0) for name, run in runs.items()} == {
            name: {name: ended} for name, ended in ENDED.items()
        }
