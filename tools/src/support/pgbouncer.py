"""PgBouncer in front of a server's socket, where the system has it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .waiting import wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pgbouncer(dsn: str, mode: str, *, size: int) -> Iterator[str]:
    """Run PgBouncer; answers the way to the same database through it.

    Args:
        dsn: Connects to a database through its server's Unix socket.
        mode: transaction or session.
        size: How many connections it has to the server at most.
    """
    assert PROGRAM is not None
    where = conninfo_to_dict(dsn)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    # Root runs it as another user, who cannot reach the tests' own folder.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        users, settings = folder / "users", folder / "pgbouncer.ini"
        users.write_text(f'"{where["user"]}" ""\n')
        settings.write_text(
            f"""
            [databases]
            * = host={where["host"]} port={where["port"]}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {port}
            unix_socket_dir =
            auth_type = trust
            auth_file = {users}
            pool_mode = {mode}
            default_pool_size = {size}
            """.replace("            ", "")
        )
        as_root = ["-u", "nobody"] if os.getuid() == 0 else []
        process = subprocess.Popen([PROGRAM, "-q", *as_root, settings])
        through = make_conninfo(dsn, host="127.0.0.1", port=port)
        try:
            wait_until(lambda: _answers(through), what="PgBouncer answers")
            yield through
        finally:
            process.kill()
            process.wait()


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True
