"""Where each object of the extension stands, and which functions it calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

SQL = REPOSITORY / "extension" / "sql"
MANIFEST = SQL / "quantumflow.sql"

# What a loop makes, each with its arguments below its name, as in task/claim_plain.sql.
_MADE_OF_TEXT = re.compile(r"^ +'(_\w+)',\n +'p_", re.MULTILINE)
_MADE = re.compile(
    r"^create (?:or replace )?(?:unlogged )?(function|procedure|table|view)\s+quantumflow\.(\w+)",
    re.MULTILINE,
)
_CALL = re.compile(r"\bquantumflow\.(\w+)\s*\(")
_EXECUTED = re.compile(r"\bexecute\b[^;]*;", re.IGNORECASE)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_COMMENT = re.compile(r"--[^\n]*")

_BODIES = """
select p.proname::text, coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
from pg_proc p
where p.pronamespace = 'quantumflow'::regnamespace
"""

_OF_TABLES = """
select t.relname::text, p.proname::text
from pg_trigger g
join pg_class t on t.oid = g.tgrelid
join pg_proc p on p.oid = g.tgfoid
where t.relnamespace = 'quantumflow'::regnamespace and not g.tgisinternal
union
select t.relname::text, p.proname::text
from pg_depend d
join pg_attrdef f on f.oid = d.objid
join pg_class t on t.oid = f.adrelid
join pg_proc p on p.oid = d.refobjid
where d.classid = 'pg_attrdef'::regclass
  and d.refclassid = 'pg_proc'::regclass
  and p.pronamespace = 'quantumflow'::regnamespace
union
select v.relname::text, p.proname::text
from pg_depend d
join pg_rewrite w on w.oid = d.objid
join pg_class v on v.oid = w.ev_class
join pg_proc p on p.oid = d.refobjid
where d.classid = 'pg_rewrite'::regclass
  and d.refclassid = 'pg_proc'::regclass
  and p.pronamespace = 'quantumflow'::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Called:
    """A call: who calls, and what.

    Attributes:
        caller: A function, or a table or view by a trigger, a default or a query.
        callee: A function.
    """

    caller: str
    callee: str


def floors() -> list[str]:
    """The folders in the order in which the manifest installs their functions, the lowest first."""
    parts = re.findall(r"^\\ir (\S+)$", MANIFEST.read_text("utf-8"), re.MULTILINE)
    return list(
        dict.fromkeys(
            part.partition("/")[0]
            for part in parts
            if Path(part).name not in ("tables.sql", "types.sql")
        )
    )


def places() -> dict[str, str]:
    """By the name of a function, table or view: its file, as in the manifest."""
    found: dict[str, str] = {}
    for file in sorted(SQL.rglob("*.sql")):
        text, place = file.read_text("utf-8"), file.relative_to(SQL).as_posix()
        found.update(dict.fromkeys(_MADE_OF_TEXT.findall(text), place))
        for _kind, name in _MADE.findall(text):
            found[name] = place
            # What queue/default.sql makes of a statement's text stands where the text does.
            if name.endswith("_statement"):
                for queue in ("default", "system"):
                    found[name.removesuffix("_statement") + f"_{queue}"] = place
    return found


def bodies(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """By a function's name: what it does, without comments and texts that are not executed."""
    return {name: code(body) for name, body in connection.execute(_BODIES)}


def code(body: str) -> str:
    """A body without its comments, and without its literals but those of EXECUTE."""
    body = _COMMENT.sub("", body)
    executed = " ".join(_EXECUTED.findall(body))
    return _LITERAL.sub("''", body) + executed


def calls(connection: psycopg.Connection[Any]) -> Iterator[Called]:
    """Every call of a function of ours by another object of ours."""
    functions = bodies(connection)
    for name, body in functions.items():
        for callee in sorted(set(_CALL.findall(body)) & set(functions)):
            if callee != name:
                yield Called(name, callee)
    for name, callee in connection.execute(_OF_TABLES):
        yield Called(name, callee)
