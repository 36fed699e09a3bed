# Written by tools/async_calls.py from _calls/base.py: change that, then `make calls`.
"""What all calls have in common: how they come to the database, and how flows are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from quantumflow_client._values import explained
from quantumflow_client.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._call import Call
    from quantumflow_client._connections import AsyncConnections
    from quantumflow_client._json import Encoder, Json

T = TypeVar("T")

NO_INPUT: Mapping[str, Json] = {}


class AsyncCalls:
    """What makes calls has connections, and encodes values."""

    _connections: AsyncConnections
    _encode: Encoder

    async def _run(self, call: Call[T], connection: AsyncBorrowed | None) -> T:
        with explained(call):
            if connection is None:
                return await self._connections.run(call)
            return await call.aon(connection)


def definition_of(flow: Flow | Mapping[str, Json]) -> Mapping[str, Json]:
    """A flow's definition."""
    return flow.definition() if isinstance(flow, Flow) else flow


def slug_of(workflow: str | Flow[Any, Any]) -> str:
    """A workflow's slug."""
    return workflow.slug if isinstance(workflow, Flow) else workflow


def output_of(workflow: str | Flow[Any, Any]) -> object:
    """What the output of a workflow's runs is; None: as JSON is."""
    return workflow.output if isinstance(workflow, Flow) else None
