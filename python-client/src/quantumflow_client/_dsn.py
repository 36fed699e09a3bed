"""Which database: what a DSN says, what the environment says, or an embedded PostgreSQL.

An embedded one is a private, empty database: it is used only where somebody asked for it, or sits
at a terminal and sees that it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ._log import logger
from .errors import BadArgument, NoDatabase

EMBEDDED = "embedded"
"""In place of a DSN: the embedded PostgreSQL."""

EMBEDDED_IN = Path(".quantumflow")

SAYS_WHERE = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")

_FORM = "A connection string is postgresql://user@host/database or host=... dbname=..."


def find_dsn() -> str:
    """What the environment says: QUANTUMFLOW_DSN, PG* variables, else an embedded PostgreSQL.

    Raises:
        NoDatabase: Nothing is said, nor is there an embedded one here, nor a person.
    """
    dsn = said_dsn()
    if dsn is not None:
        parts_of(dsn, "QUANTUMFLOW_DSN")
        return real_dsn(dsn)
    if not EMBEDDED_IN.is_dir() and not _is_at_terminal():
        raise NoDatabase
    logger.warning(
        "no database is named: working on the embedded PostgreSQL in %s", EMBEDDED_IN.absolute()
    )
    return embedded_dsn()


def said_dsn() -> str | None:
    """What the environment says: QUANTUMFLOW_DSN, or "" for PG* variables; None: nothing."""
    if dsn := os.environ.get("QUANTUMFLOW_DSN"):
        return dsn
    return "" if any(os.environ.get(name) for name in SAYS_WHERE) else None


def real_dsn(dsn: str) -> str:
    """A DSN, or that of the embedded PostgreSQL for the word that stands for it."""
    return embedded_dsn() if dsn == EMBEDDED else dsn


def embedded_dsn() -> str:
    """The database of the embedded PostgreSQL in ./.quantumflow, which is started if need be."""
    from .embedded import EmbeddedServer

    server = EmbeddedServer(EMBEDDED_IN)
    server.start()
    server.create_database("quantumflow")
    return server.dsn("quantumflow")


def parts_of(dsn: str, name: str = "the DSN") -> dict[str, Any]:
    """What a connection string says, by the names of libpq's parameters; nothing of `embedded`.

    Args:
        dsn: The connection string.
        name: What to call it in an error.

    Raises:
        BadArgument: It is none. What it may hold of a password is not shown.
    """
    if dsn == EMBEDDED:
        return {}
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        scheme, is_url, _ = dsn.partition("://")
        if is_url and scheme not in {"postgresql", "postgres"} and " " not in scheme:
            kind, plus, _ = scheme.partition("+")
            raise BadArgument(
                f"{name}, {scheme}://..., is no connection string of PostgreSQL",
                hint=f"Leave out what names a driver, +...: {kind}://..." if plus else _FORM,
            ) from None
        # What it quotes then may be of a password with a space; so it is no cause either.
        why = "" if 'missing "="' in str(error) else f": {str(error).strip()}"
        raise BadArgument(f"{name} is no connection string{why}", hint=_FORM) from None


def _is_at_terminal() -> bool:
    """Whether somebody types what is run, or sees it: a terminal, a prompt, a notebook."""
    return hasattr(sys, "ps1") or (sys.stdin is not None and sys.stdin.isatty())
