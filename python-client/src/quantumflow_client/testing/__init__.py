"""Tests of flows, and of handlers, that wait for nothing.

from quantumflow_client import testing

def test_order():
    outcome = testing.run(order, {"amount": 42}, stubs={"charge": {"paid": 42}})
    assert outcome.output == {"ship": "done"}

See docs/testing-flows.md.
"""

from ._contexts import MadeContext, make_context
from ._outcome import Outcome, StepOutcome, Stuck
from ._rehearsal import Rehearsal, Signal, run
from ._servers import Database, database
from ._stubs import DIES, TIMES_OUT, Attempts, attempts

__all__ = [
    "DIES",
    "TIMES_OUT",
    "Attempts",
    "Database",
    "MadeContext",
    "Outcome",
    "Rehearsal",
    "Signal",
    "StepOutcome",
    "Stuck",
    "attempts",
    "database",
    "make_context",
    "run",
]
