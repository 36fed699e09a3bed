"""What work costs besides time: counters, the same on a slow machine and on a fast one.

Most come from the write-ahead log itself, read with pg_waldump: exact, and nothing needs a flush of
statistics. Statements and pages come from pg_stat_statements, nested statements included.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psycopg

_RECORD = re.compile(r"^rmgr: (\w+) .*?\bdesc: (\w+)(.*)$")
_RELATION = re.compile(r"rel \d+/(\d+)/(\d+)")

# Each puts one entry into an index; a split puts one too, besides moving others.
_INDEX_INSERTS = {"INSERT_LEAF", "INSERT_POST", "SPLIT_L", "SPLIT_R"}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a task cost, on average.

    Attributes:
        wal_bytes: Bytes of write-ahead log.
        statements: SQL statements, nested ones included.
        commits: Transactions that wrote something.
        pages: Pages of tables and indexes that were looked at, each as often as it was.
        index_entries: Entries put into indexes.
        hot_share: The share of row updates that touched no index; of the measured schema only.
        multixacts: Multixacts that were made.
    """

    wal_bytes: float
    statements: float
    commits: float
    pages: float
    index_entries: float
    hot_share: float
    multixacts: float

    def as_dict(self) -> dict[str, float]:
        """The counters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Meter:
    """Reads the counters of one database; from a connection to another one of the same server.

    Args:
        admin: The connection, to a database that has the extension pg_stat_statements.
        dsn: The measured database.
        wal_folder: The server's pg_wal.
        pg_waldump: The program.
        schema: Whose tables' updates count for the share of HOT ones.
    """

    def __init__(
        self,
        admin: psycopg.Connection[Any],
        dsn: str,
        *,
        wal_folder: Path,
        pg_waldump: Path,
        schema: str,
    ) -> None:
        self._admin = admin
        self._dsn = dsn
        self._wal_folder = wal_folder
        self._pg_waldump = pg_waldump
        self._schema = schema

    @contextlib.contextmanager
    def measure(self, tasks: int) -> Iterator[list[Cost]]:
        """Measure a block of work of so many tasks; its cost is the list's only member then."""
        found: list[Cost] = []
        with psycopg.connect(self._dsn, autocommit=True) as database:
            (oid,) = _row(
                database, "select oid from pg_database where datname = current_database()"
            )
        self._admin.execute("select pg_stat_statements_reset()")
        begin = self._position()
        yield found
        end = self._position()
        statements, pages = _row(
            self._admin,
            """
            select coalesce(sum(calls), 0)::float,
              coalesce(sum(shared_blks_hit + shared_blks_read) filter (where toplevel), 0)::float
            from pg_stat_statements
            where dbid = %s
            """,
            oid,
        )
        (wal_bytes,) = _row(self._admin, "select pg_wal_lsn_diff(%s, %s)::float", end, begin)
        log = self._read_log(begin, end, oid)
        updates = log["HOT_UPDATE"] + log["UPDATE"]
        found.append(
            Cost(
                wal_bytes=wal_bytes / tasks,
                statements=statements / tasks,
                commits=log["COMMIT"] / tasks,
                pages=pages / tasks,
                index_entries=log["index entry"] / tasks,
                hot_share=log["HOT_UPDATE"] / updates if updates else 1.0,
                multixacts=log["CREATE_ID"] / tasks,
            )
        )

    def _position(self) -> str:
        return str(_row(self._admin, "select pg_current_wal_insert_lsn()::text")[0])

    def _read_log(self, begin: str, end: str, oid: int) -> Counter[str]:
        """Count the records of interest between two positions of the log."""
        # A commit, so that all records before it are in the files.
        self._admin.execute("set synchronous_commit = on")
        self._admin.execute("select pg_logical_emit_message(true, 'bench', '')")
        dump = subprocess.run(
            [self._pg_waldump, "--path", self._wal_folder, "--start", begin, "--end", end],
            check=True,
            capture_output=True,
            text=True,
        )
        ours = self._tables()
        count: Counter[str] = Counter()
        for line in dump.stdout.splitlines():
            record = _RECORD.match(line)
            if record is None:
                continue
            manager, what, rest = record.groups()
            relation = _RELATION.search(rest)
            if manager == "Btree" and what in _INDEX_INSERTS:
                count["index entry"] += relation is not None and int(relation[1]) == oid
            elif manager == "Heap" and what in ("HOT_UPDATE", "UPDATE"):
                count[what] += (
                    relation is not None and int(relation[1]) == oid and int(relation[2]) in ours
                )
            elif what in ("COMMIT", "CREATE_ID"):
                count[what] += 1
        return count

    def _tables(self) -> set[int]:
        """The files of the measured schema's tables."""
        with psycopg.connect(self._dsn, autocommit=True) as database:
            return {
                row[0]
                for row in database.execute(
                    "select pg_relation_filenode(oid) from pg_class "
                    "where relkind = 'r' and relnamespace = %s::regnamespace",
                    [self._schema],
                )
            }


def _row(connection: psycopg.Connection[Any], query: str, *parameters: Any) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return tuple(row)
