"""The only statements of the command line that do not call a function of quantumflow.

They install it. There is nothing to call before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_GUARD = """\
do $$
begin
  if pg_catalog.to_regnamespace('pgmq') is {condition} then
    raise exception '{message}'
      using errcode = '{code}', hint = '{hint}';
  end if;
end
$$;

"""

NEEDS_PGMQ = _GUARD.format(
    condition="null",
    code="QF402",
    message="pgmq is not in this database",
    hint='Where the server offers it: "create extension pgmq". Elsewhere print its script too: '
    "quantumflow install --sql --with-pgmq.",
)
REFUSES_PGMQ = _GUARD.format(
    condition="not null",
    code="duplicate_schema",
    message="pgmq is in this database already",
    hint="Leave out --with-pgmq.",
)
SETUP = "\nselect quantumflow.setup();\n"


def has_pgmq(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has pgmq, as an extension or as plain SQL."""
    row = connection.execute("select to_regnamespace('pgmq') is not null").fetchone()
    assert row is not None
    return bool(row[0])


def missing_files(connection: psycopg.Connection[Any]) -> list[str]:
    """The extensions whose files the server lacks, of pgmq and quantumflow."""
    found = connection.execute(
        "select name from unnest('{pgmq,quantumflow}'::text[]) as name "
        "where name not in (select name from pg_catalog.pg_available_extensions)"
    )
    return [name for (name,) in found]


def create_extension(connection: psycopg.Connection[Any]) -> None:
    """Install quantumflow, and pgmq where it is missing, as extensions."""
    connection.execute("create extension quantumflow cascade")


def installed_version(connection: psycopg.Connection[Any]) -> str | None:
    """The version that the database has, "unknown" if it does not say; None: it has none.

    It is read, not asked for: version() may be somebody else's code, and whoever asks a superuser.
    """
    row = connection.execute(
        "select coalesce(substring(p.prosrc from $$'([^']*)'$$), 'unknown') from pg_proc p "
        "join pg_namespace n on n.oid = p.pronamespace "
        "where n.nspname = 'quantumflow' and p.proname = 'version' and p.pronargs = 0"
    ).fetchone()
    return None if row is None else str(row[0])


def is_owner(connection: psycopg.Connection[Any]) -> bool:
    """Whether the session is the owner's of quantumflow, who may run what is in the schema.

    It is not a superuser's that has taken the owner's role: code could give that back.
    """
    found = connection.execute(
        "select from pg_namespace n, pg_stat_get_activity(pg_backend_pid()) a "
        "join pg_roles r on r.oid = a.usesysid "
        "where n.nspname = 'quantumflow' and pg_get_userbyid(n.nspowner) = current_user "
        "and (r.oid = n.nspowner or not r.rolsuper)"
    )
    return found.rowcount > 0


def is_extension(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has quantumflow as an extension, not as plain SQL."""
    found = connection.execute("select from pg_extension where extname = 'quantumflow'")
    return found.rowcount > 0


def update_extension(connection: psycopg.Connection[Any], version: str) -> None:
    """Update the extension quantumflow."""
    statement = sql.SQL("alter extension quantumflow update to {}")
    connection.execute(statement.format(sql.Literal(version)))


def run_scripts(connection: psycopg.Connection[Any], scripts: Iterable[str]) -> None:
    """Run whole scripts in one transaction."""
    with connection.transaction():
        for script in scripts:
            connection.execute(script.encode())
