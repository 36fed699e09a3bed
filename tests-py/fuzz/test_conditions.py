"""Conditions at random: those that a definition may have take no longer than their input is long.

QUANTUMFLOW_FUZZ_EXAMPLES says how many are tried; by default few, and the same ones.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from fuzz.conditions import SPLITS, Count, Maker, Tree, hostile, text_of
from fuzz.values import STRANGE

if TYPE_CHECKING:
    from fuzz.conftest import Connection, Database

_EXAMPLES = int(os.environ.get("QUANTUMFLOW_FUZZ_EXAMPLES", "25"))
_SEED = 1 if "QUANTUMFLOW_FUZZ_EXAMPLES" not in os.environ else random.randrange(10**9)
_ACCEPTED = """
select c.number
from unnest(%s::text[]) with ordinality c (text, number)
where not exists (
  select from quantumflow._condition_problems(c.text, '{a,b}', '{}'))
"""


def _made(number: int) -> dict[str, tuple[Tree, bool]]:
    maker = Maker(_SEED)
    made = {}
    for _ in range(number):
        tree, is_lax = maker.condition()
        made["lax " * is_lax + text_of(tree)] = (tree, is_lax)
    return made


def _accepted(connection: Connection, texts: list[str]) -> set[str]:
    return {texts[n - 1] for (n,) in connection.execute(_ACCEPTED, [texts]).fetchall()}


def _grows_faster(tree: Tree, is_lax: bool) -> bool:
    counts = ([Count(size, is_lax, split).of(tree) for size in (16, 144)] for split in SPLITS)
    return any(large > 200 + 12 * small for small, large in counts)


def test_an_accepted_condition_takes_time_by_the_size_of_its_input(database: Database) -> None:
    made = _made(40 * _EXAMPLES)
    accepted = _accepted(database.connection, list(made))
    faster = {text for text, (tree, is_lax) in made.items() if _grows_faster(tree, is_lax)}
    assert accepted & faster == set(), f"seed {_SEED}"
    # Of both kinds enough for this to mean something.
    assert len(faster) > len(made) / 10
    assert len([text for text in accepted if "*" in text]) > len(made) / 10


def test_a_condition_is_asked_without_an_error(database: Database) -> None:
    connection = database.connection
    made = sorted(_accepted(connection, list(_made(20 * _EXAMPLES))))
    for make in hostile():
        given = make(64)
        asked = connection.execute(
            "select count(*), count(h), count(*) filter (where h is null and y is null) "
            "from unnest(%s::text[]) c (text) "
            "cross join lateral (select quantumflow._with_mode(c.text)) w (condition) "
            "cross join lateral quantumflow._holds(w.condition, %s, %s) h "
            "cross join lateral quantumflow._why_unknown(w.condition, %s, %s) y "
            "cross join lateral quantumflow._saw(w.condition, %s, %s) s",
            [made, *(json.dumps(given), '{"status": {"a": "completed"}}') * 3],
        ).fetchone()
        assert asked is not None
        assert asked[0] == len(made)
        assert asked[2] == 0, "an unknown condition without a reason"


def test_almost_any_text_is_a_condition_or_refused(database: Database) -> None:
    chance = random.Random(_SEED)
    parts = [*STRANGE, *_made(5 * _EXAMPLES)]
    texts = []
    for _ in range(20 * _EXAMPLES):
        left, right = chance.choice(parts), chance.choice(parts)
        texts.append(left[: chance.randint(0, len(left))] + right[chance.randint(0, len(right)) :])
    texts = [text for text in texts if text]
    definition = {
        "slug": "w",
        "steps": [{"name": f"s{n}", "if": text[:2000]} for n, text in enumerate(texts)],
    }
    codes = database.connection.execute(
        "select distinct code from quantumflow.validate_flow(%s)", [json.dumps(definition)]
    ).fetchall()
    assert codes == [("QF117",)]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_an_accepted_condition_takes_less_than_a_second_of_a_megabyte(database: Database) -> None:
    """By the processor's time, which others that work do not change by much."""
    accepted = _accepted(database.connection, list(_made(20 * _EXAMPLES)))
    dsn = database.connection.info.dsn
    with psycopg.connect(dsn, autocommit=True, host=database.connection.info.host) as connection:
        spent = Path(f"/proc/{connection.info.backend_pid}/schedstat")
        connection.execute("set statement_timeout = 0")
        for make in hostile():
            n = 1000
            while len(json.dumps(make(2 * n))) < 2_000_000 and n < 70_000:
                n *= 2
            connection.execute(
                "create temporary table given as select %s::jsonb", [json.dumps(make(n))]
            )
            for text in sorted(accepted):
                before = int(spent.read_text().split()[0])
                connection.execute(
                    "select quantumflow._holds(quantumflow._with_mode(%s), jsonb, "
                    """'{"status": {"a": "completed"}}') from given""",
                    [text],
                )
                assert int(spent.read_text().split()[0]) - before < 1e9, text
            connection.execute("drop table given")


@pytest.mark.long
def test_a_condition_costs_less_than_twice_what_containment_does(database: Database) -> None:
    """By the processor's time: the same guard around `@>`, and the same question."""
    connection = database.connection
    holds = connection.execute(
        "select pg_get_functiondef('quantumflow._holds'::regproc)"
    ).fetchone()
    assert holds is not None
    contains = (
        holds[0]
        .replace("quantumflow._holds(", "quantumflow._contains(")
        .replace(
            "jsonb_path_match(p_input, p_condition::jsonpath, p_variables, silent => true)",
            "p_input @> p_condition::jsonb",
        )
    )
    assert contains.count("@>") == 1
    spent = Path(f"/proc/{connection.info.backend_pid}/schedstat")
    given = json.dumps({"run": {"amount": 42, "kind": "a"}, "check": {"ok": True}})

    def cost(function: str, question: str) -> int:
        before = int(spent.read_text().split()[0])
        connection.execute(
            f"select count(quantumflow.{function}(%s || left(n::text, 0), %s::jsonb, '{{}}')) "
            "from generate_series(1, 50000) n",
            [question, given],
        )
        return int(spent.read_text().split()[0]) - before

    with database.undone():
        connection.execute(contains)
        asked = min(cost("_holds", 'strict $.run.kind == "b"') for _ in range(5))
        contained = min(cost("_contains", '{"run": {"kind": "b"}}') for _ in range(5))
    assert asked < 2 * contained
