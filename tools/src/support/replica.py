"""A streaming replica of a server, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict

from quantumflow_client.embedded import EmbeddedServer
from support.waiting import wait_until


@contextlib.contextmanager
def synchronous_replica(primary: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """Run a replica without which the primary acknowledges no commit; removed at the end.

    Args:
        primary: A running server of ours.
    """
    replica = EmbeddedServer(
        primary.directory.with_name(f"{primary.directory.name}-replica"),
        kind=primary.kind,
        settings=primary._settings,
    )
    where = conninfo_to_dict(primary.dsn("postgres"))
    try:
        with replica._locked():
            owner, home, bindir = replica._place()
            replica._stage(home, bindir)
            folder = home / "server"
            folder.mkdir(mode=0o700)
            os.chown(folder, owner.uid, owner.gid)
            done = owner.run(
                bindir / "pg_basebackup",
                *("--pgdata", folder / "data", "--write-recovery-conf", "--checkpoint", "fast"),
                *("--no-sync", "--host", str(where["host"]), "--port", str(where["port"])),
                *("--username", str(where["user"])),
            )
            assert done.returncode == 0, done.stderr
        replica.start()
        _require(primary)
        yield replica
    finally:
        replica.destroy()


def _require(primary: EmbeddedServer) -> None:
    """Let every commit wait for the replica."""
    with psycopg.connect(primary.dsn("postgres"), autocommit=True) as connection:
        connection.execute("alter system set synchronous_standby_names = '*'")
        connection.execute("select pg_reload_conf()")

        def is_synchronous() -> bool:
            found = connection.execute(
                "select from pg_stat_replication where sync_state = 'sync' and state = 'streaming'"
            )
            return found.rowcount == 1

        wait_until(is_synchronous, what="the replica is synchronous")


def take_over(primary: EmbeddedServer, replica: EmbeddedServer) -> None:
    """Let the primary die while commits wait for the replica, and the replica take its place."""
    with (
        psycopg.connect(primary.dsn("postgres"), autocommit=True) as of_primary,
        psycopg.connect(replica.dsn("postgres"), autocommit=True) as of_replica,
    ):
        (receiver,) = of_replica.execute("select pid from pg_stat_wal_receiver").fetchall()[0]
        os.kill(receiver, signal.SIGSTOP)
        try:
            waiting = "select from pg_stat_activity where wait_event = 'SyncRep'"
            wait_until(lambda: of_primary.execute(waiting).rowcount > 0, what="a commit waits")
            primary.stop("immediate")
        finally:
            os.kill(receiver, signal.SIGCONT)
        assert of_replica.execute("select pg_promote()").fetchone() == (True,)
