"""What was deployed first: quantumflow worker old_code:client --deploy."""

from __future__ import annotations

from typing import Any

from quantumflow_client import Client, Flow

adding = Flow("adding")


@adding.step
def validate(run: Any) -> Any:
    return run


@adding.step(depends_on=[validate])
def ship(validate: Any) -> str:
    return f"old ships {validate}"


removing = Flow("removing")


@removing.step("validate")
def validated(run: Any) -> Any:
    return run


@removing.step("discount", depends_on=[validated])
def discounted(validate: Any) -> Any:
    return validate - 1


@removing.step("ship", depends_on=[validated, discounted])
def ship_discounted(validate: Any, discount: Any) -> str:
    return f"old ships {validate} for {discount}"


renaming = Flow("renaming")


@renaming.step
def check(run: Any) -> Any:
    return run


@renaming.step("ship", depends_on=[check])
def ship_checked(check: Any) -> str:
    return f"old ships {check}"


moving = Flow("moving")


@moving.step("ship")
def move(run: Any) -> str:
    return f"old ships {run}"


shaping = Flow("shaping")


@shaping.step
def price(run: Any) -> Any:
    return run


@shaping.step(depends_on=[price])
def bill(price: Any) -> str:
    return f"old bills {price}"


arguing = Flow("arguing")


@arguing.step(args={"cents": False})
def charge(run: Any, args: Any) -> str:
    assert args == {"cents": False}, args
    return f"{run} euros"


widening = Flow("widening")


@widening.step
def notify(run: Any) -> str:
    return f"old notifies {', '.join(run)}"


defaulting = Flow("defaulting")
defaulting.add_step("validate", command="adding.validate")
defaulting.add_step("ship", depends_on=["validate"], command="defaulting.ship")

flows = [adding, removing, renaming, moving, shaping, arguing, widening, defaulting]
client = Client()
for flow in flows:
    client.register(flow)
