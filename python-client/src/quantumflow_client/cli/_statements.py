"""The only statements of the command line that do not call a function of quantumflow.

They install it, or look whether it is there and whose it is, before anything of it is called.
Names are looked up in pg_catalog alone: on the path of the database or the role, others may have
put views and functions that would run with the rights of whoever installs.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from quantumflow_client import _sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg
    from typing_extensions import LiteralString

PREAMBLE = f"{_sql.session.SET_PATH};\nset local standard_conforming_strings = on;\n\n"
"""What every script begins with, in whose transaction it holds: its words mean what they say."""

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
    ((found,),) = _ask(connection, "select to_regnamespace('pgmq') is not null")
    return bool(found)


def missing_files(connection: psycopg.Connection[Any]) -> list[str]:
    """The extensions whose files the server lacks, of pgmq and quantumflow."""
    found = _ask(
        connection,
        "select name from unnest('{pgmq,quantumflow}'::text[]) as name "
        "where name not in (select name from pg_available_extensions)",
    )
    return [name for (name,) in found]


def create_extension(connection: psycopg.Connection[Any]) -> None:
    """Install quantumflow, and pgmq where it is missing, as extensions."""
    with _on_our_path(connection):
        connection.execute("create extension quantumflow cascade")


def installed_version(connection: psycopg.Connection[Any]) -> str | None:
    """The version that the database has, "unknown" if it does not say; None: it has none.

    It is read, not asked for: version() may be somebody else's code, and whoever asks a superuser.
    """
    found = _ask(
        connection,
        "select coalesce(substring(p.prosrc from $$'([^']*)'$$), 'unknown') from pg_proc p "
        "join pg_namespace n on n.oid = p.pronamespace "
        "where n.nspname = 'quantumflow' and p.proname = 'version' and p.pronargs = 0",
    )
    return str(found[0][0]) if found else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a session is to the quantumflow of its database.

    Attributes:
        is_supreme: Whether a superuser logged in. One that has taken another role still counts:
            code could give that back.
        owner: Who owns the schema; None: there is none.
        is_owner: Whether the session acts as that owner.
        stranger: Who else than superusers owns the schema or something in it.
    """

    is_supreme: bool
    owner: str | None
    is_owner: bool
    stranger: str | None

    @property
    def may_run_it(self) -> bool:
        """Whether code of the schema gets no rights that its owner lacks: a superuser's."""
        return not self.is_supreme or (self.owner is not None and self.stranger is None)


def standing(connection: psycopg.Connection[Any]) -> Standing:
    """What the session is to quantumflow: read from the catalog, nothing of it is run."""
    (found,) = _ask(
        connection,
        """
        select login.rolsuper, owner.rolname, coalesce(owner.rolname = current_user, false), (
          select r.rolname
          from (
            select n.nspowner
            union all
            select p.proowner from pg_proc p where p.pronamespace = n.oid
            union all
            select t.typowner from pg_type t where t.typnamespace = n.oid
            union all
            select c.relowner from pg_class c where c.relnamespace = n.oid
            union all
            select p.proowner
            from pg_class c
            join pg_trigger t on t.tgrelid = c.oid
            join pg_proc p on p.oid = t.tgfoid
            where c.relnamespace = n.oid
          ) o (id)
          join pg_roles r on r.oid = o.id
          where not r.rolsuper
          limit 1)
        from pg_stat_get_activity(pg_backend_pid()) a
        join pg_roles login on login.oid = a.usesysid
        left join pg_namespace n on n.nspname = 'quantumflow'
        left join pg_roles owner on owner.oid = n.nspowner
        """,
    )
    return Standing(*found)


def is_extension(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has quantumflow as an extension, not as plain SQL."""
    return bool(_ask(connection, "select 1 from pg_extension where extname = 'quantumflow'"))


def update_extension(connection: psycopg.Connection[Any], version: str) -> None:
    """Update the extension quantumflow."""
    statement = sql.SQL("alter extension quantumflow update to {}")
    with _on_our_path(connection):
        connection.execute(statement.format(sql.Literal(version)))


def run_scripts(connection: psycopg.Connection[Any], scripts: Iterable[str]) -> None:
    """Run whole scripts in one transaction."""
    with _on_our_path(connection):
        # A function that is not checked now would fail when it is called.
        connection.execute("set local check_function_bodies = on")
        for script in scripts:
            connection.execute(script.encode())


def _ask(connection: psycopg.Connection[Any], query: LiteralString) -> list[Any]:
    with _on_our_path(connection):
        return connection.execute(query).fetchall()


@contextmanager
def _on_our_path(connection: psycopg.Connection[Any]) -> Iterator[None]:
    with connection.transaction():
        connection.execute(PREAMBLE.encode())
        yield
