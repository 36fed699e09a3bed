"""Errors: told apart by SQLSTATE, in the database's own words."""

from __future__ import annotations

import pickle
import re
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from quantumflow_client import Client, QuantumflowError, RetryAfter, RunFailed, WaitTimeout, errors
from quantumflow_client.errors import _BY_CODE, class_of


def test_every_code_of_the_database_has_a_class_and_every_class_a_code(
    connection: psycopg.Connection[Any],
) -> None:
    sources = connection.execute(
        "select prosrc from pg_proc where pronamespace = 'quantumflow'::regnamespace"
    ).fetchall()
    codes = {code for (source,) in sources for code in re.findall(r"\bQF\d{3}\b", source)}
    assert codes == set(_BY_CODE)


def test_every_class_of_a_code_is_of_its_concept() -> None:
    for code, error in _BY_CODE.items():
        assert error.code == code
        assert error.__base__ is class_of(code[:3] + "??")
        assert error.__doc__


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("QF201", errors.UnknownRun),
        ("QF199", errors.DefinitionError),
        ("QF299", errors.RunError),
        ("QF399", errors.TaskError),
        ("QF499", errors.QueueError),
        ("QF599", errors.AccessError),
        ("QF699", errors.GoalError),
        ("QF799", QuantumflowError),
        ("QF999", QuantumflowError),
    ],
)
def test_an_unknown_code_becomes_its_concept(code: str, expected: type[QuantumflowError]) -> None:
    assert class_of(code) is expected


def test_an_error_has_the_databases_words(client: Client) -> None:
    with pytest.raises(errors.UnknownWorkflow) as caught:
        client.start_flow("nothing")
    error = caught.value
    assert error.sqlstate == "QF111"
    assert "nothing" in error.message
    assert isinstance(error.__cause__, psycopg.Error)
    assert (error.detail, error.hint) == (
        error.__cause__.diag.message_detail,
        error.__cause__.diag.message_hint,
    )
    assert error.hint is not None
    assert error.hint in str(error)


def test_errors_that_are_not_ours_stay_psycopgs(dsn: str) -> None:
    with Client(dsn) as client, psycopg.connect(dsn) as borrowed:
        borrowed.execute("set transaction isolation level serializable")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            client.signal(uuid4(), "go", connection=borrowed)


def test_an_unknown_run_is_unknown_to_every_verb(client: Client) -> None:
    for verb in (client.status, client.wait, client.cancel):
        with pytest.raises(errors.UnknownRun):
            verb(uuid4())


def test_errors_survive_pickling() -> None:
    run = UUID(int=1)
    for error in (RunFailed(run, "no"), WaitTimeout(run, "started"), RetryAfter(3, "busy")):
        copy = pickle.loads(pickle.dumps(error))
        assert (str(copy), vars(copy)) == (str(error), vars(error))
