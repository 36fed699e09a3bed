"""Opens psql in the embedded PostgreSQL in .quantumflow, or removes it: dev_psql.py [--destroy]."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from quantumflow_client.embedded import EmbeddedServer

REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    """Start the server when it is not running, and become psql."""
    server = EmbeddedServer(REPOSITORY / ".quantumflow")
    if sys.argv[1:] == ["--destroy"]:
        server.destroy()
        return
    server.start()
    dsn = server.create_database()
    psql = server.bindir / "psql"
    os.execv(psql, [str(psql), dsn])


if __name__ == "__main__":
    main()
