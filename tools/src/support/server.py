"""The servers that tests run on: thrown away afterwards, and fast, since a crash may lose all."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, cast

from quantumflow_client.embedded import EmbeddedServer

from .old_pgmq import old_pgmq_files

REPOSITORY = Path(__file__).parents[3]

Kind = Literal["embedded", "system"]

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "max_prepared_transactions": "0",
    "log_min_messages": "warning",
    "track_functions": "all",
}


def server_kind() -> Kind:
    """The kind of server that was asked for: QUANTUMFLOW_TEST_SERVER, embedded or system."""
    kind = os.environ.get("QUANTUMFLOW_TEST_SERVER", "embedded")
    if kind not in ("embedded", "system"):
        raise ValueError(f"QUANTUMFLOW_TEST_SERVER is {kind!r}, neither 'embedded' nor 'system'")
    return cast("Kind", kind)


def build_extension() -> None:
    """Assemble the extension's script, lest the tests look at an older one."""
    subprocess.run(["make", "-s", "-C", REPOSITORY / "extension"], check=True)


@contextlib.contextmanager
def throwaway_server(
    kind: Kind,
    name: str = "main",
    *,
    settings: dict[str, str] | None = None,
    extension_files: Sequence[Path] = (),
) -> Iterator[EmbeddedServer]:
    """Run a server of our own, in memory where there is room, and remove it at the end.

    Args:
        kind: Whose binaries.
        name: What it is for; two servers of one process need two names.
        settings: Settings of PostgreSQL, besides those that make it fast.
        extension_files: Files to stage besides pgmq's and quantumflow's.
    """
    folder = _folder()
    _remove_leftovers(folder)
    pgmq = os.environ.get("QUANTUMFLOW_TEST_PGMQ")
    server = EmbeddedServer(
        folder / f"{os.getpid()}-{kind}-{name}",
        kind=kind,
        bindir=os.environ.get("QUANTUMFLOW_TEST_BINDIR"),
        settings=_SETTINGS | (settings or {}),
        extension_files=[*(old_pgmq_files(pgmq) if pgmq else []), *extension_files],
    )
    try:
        server.start()
        yield server
    finally:
        server.destroy()


def _folder() -> Path:
    """Where servers are made: in memory if 4 GB are free there, else below .cache.

    Each database is hundreds of files, and ext4 takes long to make new ones where others have
    just been deleted.
    """
    memory = Path("/dev/shm")
    mine = memory / f"quantumflow-tests-{os.geteuid()}"
    with contextlib.suppress(OSError):
        held = os.statvfs(memory)
        if held.f_bavail * held.f_frsize >= 4 * 2**30 and not held.f_flag & os.ST_NOEXEC:
            mine.mkdir(mode=0o755, exist_ok=True)
            if mine.stat(follow_symlinks=False).st_uid == os.geteuid():
                return mine
    return REPOSITORY / ".cache" / "servers"


def _remove_leftovers(folder: Path) -> None:
    """Remove the servers of test runs that were killed."""
    for found in folder.glob("*-*-*"):
        pid, kind, _ = found.name.split("-", 2)
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            EmbeddedServer(found, kind=cast("Kind", kind)).destroy()
            shutil.rmtree(found, ignore_errors=True)
        except PermissionError:
            pass
