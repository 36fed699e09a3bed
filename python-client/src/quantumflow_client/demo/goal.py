"""The demo's second act: a goal in words, which rules decompose."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantumflow_client._goals import ExecutionResult
    from quantumflow_client.client import Client

GOAL = "Tell which package is larger, json or email"

_DECOMPOSER = "librarian"


def measure(args: dict[str, str]) -> int:
    """How many lines a package of the library has."""
    package = Path(importlib.import_module(args["package"]).__file__ or "").parent
    texts = (path.read_text("utf-8") for path in sorted(package.rglob("*.py")))
    return sum(len(text.splitlines()) for text in texts)


def compare(measure__first: int, measure__second: int) -> dict[str, int]:
    """The lines of both."""
    return {"json": measure__first, "email": measure__second}


def tell(answer__compare: dict[str, int]) -> str:
    """The answer, in words."""
    small, large = sorted(answer__compare, key=lambda name: answer__compare[name])
    return f"{large} has {answer__compare[large]:,} lines, and {small} {answer__compare[small]:,}"


_STEPS: dict[str, Callable[..., Any]] = {"measure": measure, "compare": compare, "tell": tell}


def reach(client: Client) -> ExecutionResult:
    """Say what goals come to, and reach one."""
    client.register_decomposer(_DECOMPOSER)
    client.add_method(
        _DECOMPOSER,
        [
            {"id": "measure", "goal": "measure both packages"},
            {"id": "answer", "goal": "answer in words", "depends_on": ["measure"]},
        ],
        pattern=r"which package is larger",
    )
    client.add_method(
        _DECOMPOSER,
        [
            {"id": "first", "command": "measure", "args": {"package": "json"}},
            {"id": "second", "command": "measure", "args": {"package": "email"}},
        ],
        pattern=r"measure both",
    )
    client.add_method(
        _DECOMPOSER,
        [{"id": "compare"}, {"id": "tell", "depends_on": ["compare"]}],
        pattern=r"answer in words",
    )
    return client.compose_from_goal(GOAL, _DECOMPOSER, _STEPS, timeout=60)
