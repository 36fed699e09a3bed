"""Flows whose steps are checked against each other by mypy, in make lint, and pyright.

What is wrong here has to be refused: a comment that ignores nothing is an error to both.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from typing_extensions import assert_type

from quantumflow_client import AsyncClient, Client, Context, Flow, RunId, Signalled, Slept

if TYPE_CHECKING:
    from uuid import UUID


@dataclass
class Order:
    total: Decimal
    to: list[str]


@dataclass
class Checked:
    ok: bool


class Sent(TypedDict):
    """The outputs of the leaf steps."""

    end: None


flow = Flow("typed_order", input=Order, output=Sent)


@flow.step
def check(run: Order = flow.input) -> Checked:
    return Checked(run.total > 0)


@flow.step(max_attempts=5)
async def listing(ctx: Context, run: Order = flow.input, was: Checked = check.output) -> list[str]:
    return run.to if was.ok else []


@flow.map
def tell(name: str = listing.each, was: Checked = check.output) -> int:
    return len(name)


@flow.map(chunk_size=2)
async def tell_many(names: list[str] = listing.chunk) -> list[int]:
    return [len(name) for name in names]


@flow.step("end")
def last(one: list[int] = tell.output, many: list[int] = tell_many.output) -> None:
    assert one == many


waiting: Flow[Order, Any] = Flow("typed_waits", input=Order)
slept = waiting.sleep("slept", seconds=0)
approved = waiting.wait_for("approved", payload=Checked, depends_on=[slept], fallback={"ok": True})
answered = waiting.wait_for("answered", ["yes", "no"], timeout=1, on_error="continue")
anything = waiting.wait_for("anything", "any", timeout=1, on_error="continue")


@waiting.step
def after(
    until: Slept = slept.output,
    was: Checked = approved.output,
    how: Signalled = answered.output,
    what: str = anything.output,
) -> None: ...


def wrong(other: Flow[Order, Any]) -> None:
    @other.step
    def of_another_payload(was: str = approved.output) -> None: ...  # type: ignore[assignment]

    @other.step
    def of_another_wait(how: str = answered.output) -> None: ...  # type: ignore[assignment]

    @other.step
    def of_another_type(was: str = check.output) -> None: ...  # type: ignore[assignment]

    @other.map
    def of_another_item(name: int = listing.each) -> None: ...  # type: ignore[assignment]

    @other.map
    def of_no_array(name: Any = check.each) -> None: ...  # type: ignore[misc]

    @other.step
    def of_another_input(run: str = other.input) -> None: ...  # type: ignore[assignment]


def clients(client: Client, run_id: UUID) -> None:
    run = client.start_flow(flow, Order(Decimal(1), []))
    assert_type(run, RunId[Sent])
    assert_type(client.wait(run), Sent)
    assert_type(client.start_flows(flow, [Order(Decimal(1), [])]), list[RunId[Sent]])
    client.start_flow(flow, "no order")  # type: ignore[misc]
    client.wait(client.start_flow("by_its_slug", {"any": 1}))["is"].anything()
    client.wait(run_id)["is"].anything()
    assert_type(client.status(run_id)["error_message"], str | None)
    assert_type(check(Order(Decimal(1), [])), Checked)


async def async_clients(client: AsyncClient) -> None:
    run = await client.start_flow(flow, Order(Decimal(1), []))
    assert_type(await client.wait(run), Sent)
    assert_type(await listing(Context.__new__(Context), Order(Decimal(1), [])), list[str])
