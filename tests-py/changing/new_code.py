"""What was deployed next: quantumflow worker new_code:client --deploy."""

from __future__ import annotations

from typing import Any

from quantumflow_client import Client, Flow

adding = Flow("adding")


@adding.step
def validate(run: Any) -> Any:
    return run


@adding.step(depends_on=[validate])
def discount(validate: Any) -> Any:
    return validate - 1


@adding.step(depends_on=[validate, discount])
def ship(validate: Any, discount: Any) -> str:
    return f"new ships {validate} for {discount}"


removing = Flow("removing")


@removing.step("validate")
def validated(run: Any) -> Any:
    return run


@removing.step("ship", depends_on=[validated])
def ship_validated(validate: Any) -> str:
    return f"new ships {validate}"


renaming = Flow("renaming")


@renaming.step
def verify(run: Any) -> Any:
    return run


@renaming.step("ship", depends_on=[verify])
def ship_verified(verify: Any) -> str:
    return f"new ships {verify}"


moving = Flow("moving")


@moving.step("ship", command="moving.ship_2")
def move(run: Any) -> str:
    return f"new ships {run}"


shaping = Flow("shaping")


@shaping.step(command="shaping.price_2")
def price(run: Any) -> Any:
    return {"net": run}


@shaping.step(command="shaping.bill_2", depends_on=[price])
def bill(price: Any) -> str:
    return f"new bills {price['net']}"


arguing = Flow("arguing")


@arguing.step(command="arguing.charge_2", args={"cents": True})
def charge(run: Any, args: Any) -> str:
    assert args == {"cents": True}, args
    return f"{run * 100} cents"


widening = Flow("widening")


@widening.map
def notify(item: Any) -> str:
    return f"new notifies {item}"


defaulting = Flow("defaulting")
defaulting.add_step("validate", command="adding.validate")
defaulting.add_step("discount", depends_on=["validate"], command="adding.discount")


@defaulting.step("ship", depends_on=["validate", "discount"])
def ship_anyhow(validate: Any, discount: Any = None) -> str:
    return f"new ships {validate} for {discount}"


flows = [adding, removing, renaming, moving, shaping, arguing, widening, defaulting]
client = Client()
for flow in flows:
    client.register(flow)
