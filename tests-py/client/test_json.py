"""Values on their way to jsonb: what is refused, and where in the value it is."""

from __future__ import annotations

from typing import Any

import pytest

from quantumflow_client import _json
from quantumflow_client.errors import UnsupportedValue

CIRCLE: dict[str, Any] = {"a": [1]}
CIRCLE["a"].append(CIRCLE)

NO = object()

DEEP: Any = NO
for _ in range(60):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": {1, NO}}, ' at ["a"]: Object of type object'),
        ({"rows": [1, {"when": NO}]}, ' at ["rows"][1]["when"]: Object of type object'),
        ([1, (2, float("nan"))], " at [1][1]: Out of range float values"),
        ({"n": 10**5000}, ' at ["n"]: Exceeds the limit'),
        ({"a": {(1, 2): 3}}, ' at ["a"]: an object\'s keys are texts, which a tuple is not'),
        ({"x" * 100: NO}, ' at ["' + "x" * 79 + "]: Object of type object"),
        (CIRCLE, ' at ["a"][1]: Circular reference'),
        (DEEP, " at " + "[0]" * 50 + "...: Object of type object"),
    ],
)
def test_what_is_no_json_is_named_by_its_place(value: Any, says: str) -> None:
    with pytest.raises(UnsupportedValue) as raised:
        _json.encode(value, "the output")
    assert str(raised.value).startswith(f"the output cannot be stored as JSON{says}")
