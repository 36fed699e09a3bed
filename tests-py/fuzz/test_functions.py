"""Every public function with any arguments: it succeeds, or refuses with a code of its own.

The functions and their arguments come from the catalog. A refusal is an SQLSTATE QFnnn, or one of
PostgreSQL's own where it could not make the argument's type of what was sent. Never an internal
error, a broken constraint, a statement that does not end, a state that breaks a rule, or a change
by what was refused.

QUANTUMFLOW_FUZZ_EXAMPLES says how many examples a function gets; by default few, and the same ones.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from quantumflow_client import _extension
from support.server import build_extension

if TYPE_CHECKING:
    from fuzz.conftest import Answer, Database
    from support.functions import Function

# Chance decides how much there is to do.
pytestmark = pytest.mark.timeout(300)

_EXAMPLES = int(os.environ.get("QUANTUMFLOW_FUZZ_EXAMPLES", "8"))


def _settings(share: int = 1) -> settings:
    return settings(
        max_examples=_EXAMPLES * share,
        derandomize="QUANTUMFLOW_FUZZ_EXAMPLES" not in os.environ,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


build_extension()
NAMES = sorted(
    set(
        re.findall(r"^create function quantumflow\.([a-z]\w*)\(", _extension.script(), re.MULTILINE)
    )
)

# A report with one of these outcomes changes nothing.
_IGNORED = {"stale", "duplicate"}

# It makes the transaction end at the task's deadline, and sequences are one transaction.
_ENDS_TRANSACTIONS = "hold_task"


def test_every_public_function_is_fuzzed(database: Database) -> None:
    assert sorted({function.name for function in database.functions}) == NAMES


@pytest.mark.parametrize("name", NAMES)
@_settings()
@given(data=st.data())
def test_a_call_succeeds_or_is_refused(database: Database, name: str, data: st.DataObject) -> None:
    for function in database.functions:
        if function.name == name:
            with database.undone():
                answer = _call(database, function, data)
                if isinstance(answer, str) or function.is_reading or _is_ignored(name, answer):
                    assert database.contents() == database.at_rest
                assert database.problems() == []


@_settings(4)
@given(data=st.data())
def test_calls_after_calls_keep_the_rules(database: Database, data: st.DataObject) -> None:
    functions = [f for f in database.functions if f.name != _ENDS_TRANSACTIONS]
    with database.undone():
        seconds = 0
        for _ in range(data.draw(st.integers(2, 10))):
            seconds += data.draw(st.sampled_from([0, 0, 0, 1, 61, 4000, 10**6]))
            database.connection.execute(
                "select set_config('quantumflow.now', (now() + %s * interval '1 s')::text, true)",
                [seconds],
            )
            before = database.contents()
            answer = _call(database, data.draw(st.sampled_from(functions)), data)
            if isinstance(answer, str):
                assert database.contents() == before
            assert database.problems() == []


def _call(database: Database, function: Function, data: st.DataObject) -> Answer:
    known = database.known
    values: dict[str, Any] = {
        argument.name: data.draw(known.argument(argument), argument.name)
        for argument in function.arguments
        if not argument.has_default or data.draw(st.booleans())
    }
    note(f"{function.name}({values})")
    return database.call(function, values)


def _is_ignored(name: str, answer: list[tuple[Any, ...]]) -> bool:
    if name in ("complete_tasks", "fail_tasks"):
        return {row[3] for row in answer} <= _IGNORED
    if name in ("complete_task", "fail_task"):
        return answer[0][0] in _IGNORED
    return False
