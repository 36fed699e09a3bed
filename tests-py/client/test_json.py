"""Values on their way to jsonb: what is refused, and where in the value it is."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from quantumflow_client import _json
from quantumflow_client.errors import UnsupportedValue

CIRCLE: dict[str, Any] = {"a": [1]}
CIRCLE["a"].append(CIRCLE)

DEEP: Any = {1, 2}
for _ in range(60):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1, 2}, ": Object of type set"),
        ({"rows": [1, {"when": date(2030, 1, 1)}]}, ' at ["rows"][1]["when"]: Object of type date'),
        ([1, (2, float("nan"))], " at [1][1]: Out of range float values"),
        ({"n": 10**5000}, ' at ["n"]: Exceeds the limit'),
        ({"a": {(1, 2): 3}}, ' at ["a"]: keys must be str'),
        ({"x" * 100: b""}, ' at ["' + "x" * 79 + "]: Object of type bytes"),
        (CIRCLE, ' at ["a"][1]: Circular reference'),
        (DEEP, " at " + "[0]" * 50 + "...: Object of type set"),
    ],
)
def test_what_is_no_json_is_named_by_its_place(value: Any, says: str) -> None:
    with pytest.raises(UnsupportedValue) as raised:
        _json.encode(value, "the output")
    assert str(raised.value).startswith(f"the output cannot be stored as JSON{says}")
