"""A result alone is written before its run is asked for, and is taken back when that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from races.stopping import Call, holding

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.engine import Engine

pytestmark = pytest.mark.system

_ALONE: list[dict[str, Any]] = [{"name": "left"}]
_CHAIN: list[dict[str, Any]] = [*_ALONE, {"name": "next", "dependencies": ["left"]}]


@pytest.mark.parametrize("steps", [_CHAIN, _ALONE], ids=["chain", "end"])
@pytest.mark.parametrize(
    ("steer", "outcome"), [("cancel_run", "run_ended"), ("pause_run", "completed")]
)
def test_a_run_that_does_not_go_on_is_handed_nothing(
    new_engine: Callable[[], Engine], steer: str, outcome: str, steps: list[dict[str, Any]]
) -> None:
    setup, third, steering, reporting = (new_engine() for _ in range(4))
    slug = f"passed_{steer}_{len(steps)}"
    setup.define(slug, steps)
    run_id = setup.start(slug)
    (task,) = setup.claim()

    # Who steers waits for the run first, and who reports has the task by then.
    with holding(third, "run", run_id):
        steered = Call(
            steering, lambda e: e.value(f"select status from quantumflow.{steer}(%s)", run_id)
        )
        assert steered.settle(setup)
        reported = Call(reporting, lambda e: e.exchange([(task, 1)], commands=["next"]))
        assert reported.settle(setup)
    steered.result()

    assert reported.result() == ([outcome], [])
    assert setup.problems() == []
