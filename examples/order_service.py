"""An order: paid once, approved by a person where it is large, shipped, or paid back.

quantumflow worker order_service:client
python -c 'import order_service as o; o.client.start_flow(o.orders, o.Order("o-1", 42))'
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from quantumflow_client import Client, Context, Flow, PermanentError


@dataclass
class Order:
    """What a customer wants, and for how much."""

    number: str
    amount: int


@dataclass
class Payment:
    """What a provider has taken."""

    reference: str
    amount: int


@dataclass
class Approval:
    """Who has approved."""

    by: str


@dataclass
class Result:
    """What came of an order: one of these."""

    thank: str | None = None
    refund: str | None = None


class Provider(Protocol):
    """A payment provider, which does nothing twice for one key."""

    def take(self, amount: int, key: str) -> str:
        """Take an amount; its reference."""

    def give_back(self, reference: str) -> None:
        """Give it back."""


client = Client()
orders = Flow("orders", input=Order, output=Result, resources=["provider", "parcels"])


@client.resource
def provider() -> Provider:
    """The real one."""
    raise NotImplementedError("connect to a payment provider here")


@client.resource
def parcels() -> dict[str, str]:
    """What was sent, by number."""
    return {}


@orders.step(max_attempts=5, retry_delay=timedelta(minutes=1), timeout=30)
def pay(ctx: Context, provider: Provider, run: Order = orders.input) -> Payment:
    """Take the money, once, however often it is tried."""
    if run.amount <= 0:
        raise PermanentError(f"an order of {run.amount}")
    return Payment(provider.take(run.amount, ctx.idempotency_key), run.amount)


approved = orders.wait_for(
    "approved",
    payload=Approval,
    timeout=timedelta(days=3),
    depends_on=[pay],
    if_="$.pay.amount > 1000",
    on_error="continue",
)


@orders.step(
    depends_on=[pay],
    after=[approved],
    if_='$status.approved != "failed"',
    max_attempts=3,
    on_error="continue",
)
def ship(parcels: dict[str, str], run: Order = orders.input, paid: Payment = pay.output) -> str:
    """Send it, unless nobody has approved."""
    parcels[run.number] = paid.reference
    return f"parcel of {run.number}"


@orders.step(after=[ship], if_='$status.ship == "completed"')
def thank(run: Order = orders.input) -> str:
    """Tell the customer."""
    return f"{run.number} is on its way"


@orders.step(after=[ship], if_='$status.ship != "completed"')
def refund(provider: Provider, paid: Payment = pay.output) -> str:
    """Give the money back where nothing is sent."""
    provider.give_back(paid.reference)
    return paid.reference


client.register(orders)
