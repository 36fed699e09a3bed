"""What is no call of a function of ours: of a session, and what its role may do.

None of it looks a name up but in pg_catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantumflow_client._call import Call

from .statements import nothing

if TYPE_CHECKING:
    from collections.abc import Iterable


_MAY = """
    select n.name, pg_catalog.has_function_privilege(
      pg_catalog.to_regproc('quantumflow.' operator(pg_catalog.||) n.name)::pg_catalog.oid,
      'execute')
    from pg_catalog.unnest(%(names)s::pg_catalog.text[]) as n (name)
"""
_ACT_FOR = "select pg_catalog.set_config('quantumflow.actor', %(who)s, true)"


def may(names: Iterable[str]) -> Call[frozenset[str]]:
    """Which of the functions the role may call; those that are not there it may not."""
    return Call(
        _MAY,
        lambda rows: frozenset(name for name, may_call in rows if may_call),
        {"names": list(names)},
        is_repeatable=True,
    )


def act_for(who: str) -> Call[None]:
    """For whom the session acts in this transaction: audit_log has it as on_behalf_of."""
    return Call(_ACT_FOR, nothing, {"who": who})


# To be told of new work, and of what has become of runs and goals.

CHANNEL, EVENTS = "quantumflow", "quantumflow_events"
LISTEN = "listen quantumflow"
LISTEN_TO_EVENTS = "listen quantumflow_events"
UNLISTEN_ALL = "unlisten *"
NOTIFY = "select pg_catalog.pg_notify('quantumflow', %s)"

# What sessions of ours begin with.

PATH = "pg_catalog,pg_temp"
SHOW_PATH = "show search_path"
SET_PATH = "set local search_path = pg_catalog, pg_temp"

ENCODING = "UTF8"
"""What texts are sent in; a role's or a database's may be SQL_ASCII, which says nothing."""

READABLE = {"DateStyle": "ISO", "IntervalStyle": "postgres"}
"""What psycopg reads by, which a role may have set to something else."""

SAY_READABLE = """
    select pg_catalog.set_config('client_encoding', 'UTF8', true),
      pg_catalog.set_config('DateStyle', 'ISO', true),
      pg_catalog.set_config('IntervalStyle', 'postgres', true)
"""
"""As much, in one transaction, of a session that does not keep what it was told."""

FOR_CALLS = {"search_path": PATH, "standard_conforming_strings": "on"}
"""Where names are looked up, and what a backslash means in the functions that are called."""

SAY_FOR_CALLS = """
    select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
      pg_catalog.set_config('standard_conforming_strings', 'on', true)
"""
