"""What runs asks for facts of a step, never for its kind: definition/ and step/kind/ know kinds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from rooms.rooms import places

if TYPE_CHECKING:
    import psycopg

KNOW_KINDS = ("definition/", "step/kind/")

_TEXTS = """
select p.proname::text, coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
from pg_proc p
where p.pronamespace = 'quantumflow'::regnamespace
union all
select c.relname::text, pg_get_viewdef(c.oid)
from pg_class c
where c.relnamespace = 'quantumflow'::regnamespace
  and c.relkind = 'v'
"""

_COMMENT = re.compile(r"--[^\n]*")
_QUESTIONS = re.compile(
    r"""\bstep_type\s*(?:=|<>|!=|~|in\b|is\b|like\b|when\b|\))  # the type, compared
    | (?:=|<>|!=|\bfrom)\s*\w*\.?step_type\b
    | \blike\s+'\\_                                             # a pattern of names
    | \bstarts_with\([^)]*_slug,\s*'_'
    | ''?_on_(?:complete|failure)''?                            # the names themselves
    """,
    re.VERBOSE | re.IGNORECASE,
)


def questions(body: str, kinds: list[str]) -> list[str]:
    """Where a body asks for a step's kind: by its type, or by the names of callbacks."""
    code = _COMMENT.sub("", body)
    names = re.compile("'(?:" + "|".join(map(re.escape, kinds)) + ")'")
    return [found.group() for ask in (_QUESTIONS, names) for found in ask.finditer(code)]


@pytest.fixture
def kinds(connection: psycopg.Connection[Any]) -> list[str]:
    """But plan, which is also what planners make, and a kind of failure."""
    kinds = "select step_type from quantumflow._kinds() where step_type <> 'plan'"
    return [kind for (kind,) in connection.execute(kinds)]


def test_nobody_else_asks_for_a_kind(connection: psycopg.Connection[Any], kinds: list[str]) -> None:
    where = places()
    asking = {
        f"{where[name]}: {name}": asked
        for name, body in connection.execute(_TEXTS)
        if not where[name].startswith(KNOW_KINDS) and (asked := questions(body, kinds))
    }
    assert asking == {}


@pytest.mark.parametrize(
    "body",
    [
        "where w.step_type <> 'callback'",
        "where w.step_type = p_type",
        "case w.step_type when 'single' then 1 end",
        "where k.step_type in (select 1)",
        "if v_type is distinct from w.step_type then",
        "where t.step_slug like '\\_%'",
        "execute $$... t.step_slug like '\\_%%' ...$$",
        "where t.step_slug in ('_on_complete', '_on_failure')",
        "case when starts_with(t.step_slug, '_') then",
        "v_kind := 'map';",
    ],
)
def test_what_asks_for_a_kind_is_found(body: str, kinds: list[str]) -> None:
    assert questions(body, kinds)


@pytest.mark.parametrize(
    "body",
    [
        "select w.step_type, w.counts",
        "jsonb_build_object('step_type', w.step_type, 'map_over', w.map_over)",
        "where w.counts -- step_type = 'map'",
    ],
)
def test_what_passes_a_kind_on_is_not(body: str, kinds: list[str]) -> None:
    assert not questions(body, kinds)
