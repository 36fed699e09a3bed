from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from order_service import Order, Result, client, orders, pay, ship

from quantumflow_client import RunFailed
from quantumflow_client.testing import Outcome, Signal, attempts, run

LARGE = Order("o-1", 5000)


class Provider:
    """Money that was taken, by key; what was asked twice is taken once."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}

    def take(self, amount: int, key: str) -> str:
        self.taken[key] = amount
        return key

    def give_back(self, reference: str) -> None:
        del self.taken[reference]


def play(order: Order, provider: Provider, **more: Any) -> Outcome[Result]:
    return run(orders, order, client=client, resources={"provider": provider}, **more)


def test_a_small_order_is_paid_and_sent() -> None:
    provider = Provider()
    outcome = play(Order("o-1", 42), provider)
    assert outcome.output == Result(thank="o-1 is on its way")
    assert list(provider.taken.values()) == [42]
    assert outcome.took < timedelta(minutes=1)


def test_a_large_one_waits_for_somebody_to_approve() -> None:
    approval = Signal("approved", {"by": "ann"}, after=timedelta(days=2))
    outcome = play(LARGE, Provider(), signals=[approval])
    assert outcome.steps["ship"].status == "completed"
    assert outcome.took >= timedelta(days=2)


def test_nobody_approves_and_the_money_goes_back() -> None:
    provider = Provider()
    outcome = play(LARGE, provider)
    assert outcome.output.refund is not None
    assert provider.taken == {}
    assert outcome.took >= timedelta(days=3)


def test_what_cannot_be_sent_is_paid_back() -> None:
    provider = Provider()
    outcome = play(Order("o-1", 42), provider, stubs={ship: ConnectionError("no carrier")})
    assert (outcome.output.thank, provider.taken, outcome.gave_up) == (None, {}, 1)


def test_a_provider_that_is_down_is_asked_again() -> None:
    stub = attempts(
        ConnectionError("down"), ConnectionError("down"), {"reference": "r", "amount": 1}
    )
    outcome = play(Order("o-1", 1), Provider(), stubs={pay: stub})
    assert outcome.steps["pay"].attempts == 3
    assert outcome.output.thank


def test_an_order_of_nothing_fails_at_once() -> None:
    with pytest.raises(RunFailed, match="an order of 0"):
        _ = play(Order("o-1", 0), Provider()).output
