"""Running a server's programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from quantumflow_client.embedded import EmbeddedServer


def run_program(server: EmbeddedServer, program: str, *arguments: str | Path) -> str:
    """Run psql, pg_dump and the like.

    Args:
        server: Whose program.
        program: Its name.
        arguments: What it is called with.

    Returns:
        What it wrote to its standard output.

    Raises:
        AssertionError: It failed; the message is what it wrote to its standard error.
    """
    done = subprocess.run(
        [server.bindir / program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
    )
    assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr}"
    return done.stdout
