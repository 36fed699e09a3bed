# Written by tools/async_calls.py from _calls/signals.py: change that, then `make calls`.
"""Signals, and who waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from quantumflow_client import _sql

from .base import AsyncCalls, slug_of

if TYPE_CHECKING:
    from uuid import UUID

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._json import Json
    from quantumflow_client._sql.signals import WaitSummary
    from quantumflow_client._sql.workers import Settled
    from quantumflow_client.flow import Flow

T = TypeVar("T")


class AsyncSignalCalls(AsyncCalls):
    """Signals, and who waits for them."""

    async def signal(
        self,
        run_id: UUID,
        signal: str,
        payload: Json = None,
        *,
        key: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> str:
        """Send a run a signal: a step that waits for it goes on, now or when it comes to that.

        Args:
            run_id: The run.
            signal: The signal's name.
            payload: What the step puts out: what docs/values.md lists.
            key: What identifies it: the same key again, for the same run, is the same signal.
            connection: As for `start_flow`.

        Returns:
            `delivered`: a step was waiting. `kept`: for a step that will wait, or until the run is
            resumed. `duplicate`: it was sent before, with this key. `run_ended`: nobody will take
            it any more. `no_run`: there is no such run, and nothing was kept.

        Raises:
            BadSignal: Its name or its key is too long, or empty.
            InboxFull: The run has been sent as many as it may.
            RunInputTooLarge: The payload is too large.
            UnsupportedValue: The payload cannot be stored as JSON.

        Calls quantumflow.send_signal.
        """
        call = _sql.signals.send_signal(run_id, signal, payload, key=key, encode=self._encode)
        return await self._run(call, connection)

    async def signal_by_key(
        self,
        workflow_slug: str | Flow[Any, Any],
        idempotency_key: str,
        signal: str,
        payload: Json = None,
        *,
        key: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> str:
        """Send a signal to the run that was started with a key: a webhook knows the order.

        Args:
            workflow_slug: The workflow: its slug, or a Flow.
            idempotency_key: The one that the run was started with.
            signal: As for `signal`.
            payload: As for `signal`.
            key: As for `signal`.
            connection: As for `start_flow`.

        Returns:
            As `signal`. `no_run`: none was started with this key, yet or any more: send it again.

        Raises:
            UnknownWorkflow: There is no such workflow.
            BadSignal, InboxFull, RunInputTooLarge, UnsupportedValue: As for `signal`.

        Calls quantumflow.send_signal_by_key.
        """
        call = _sql.signals.send_signal_by_key(
            slug_of(workflow_slug), idempotency_key, signal, payload, key=key, encode=self._encode
        )
        return await self._run(call, connection)

    async def waits(
        self,
        workflow_slug: str | Flow[Any, Any] | None = None,
        signal: str | None = None,
        *,
        max_runs: int = 100,
        with_input: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> list[WaitSummary]:
        """The steps that wait for a signal: what is to be approved, for example.

        Args:
            workflow_slug: Only of this workflow.
            signal: Only those that wait for this signal.
            max_runs: Of how many runs at most.
            with_input: Whether to say, too, what each step is given: what there is to decide on.
            connection: As for `start_flow`.

        Raises:
            BadPageSize: max_runs is out of range.

        Calls quantumflow.list_waits.
        """
        slug = None if workflow_slug is None else slug_of(workflow_slug)
        call = _sql.signals.list_waits(slug, signal, max_runs=max_runs, with_input=with_input)
        return await self._run(call, connection)

    async def settle(
        self, max_tasks: int = 100, *, connection: AsyncBorrowed | None = None
    ) -> Settled:
        """Let sleeps that are over end, and waits that have their signal or no time left.

        Workers do so by themselves. It is for a program that has none.

        Args:
            max_tasks: How many at most.
            connection: As for `start_flow`.

        Returns:
            How many were settled, and when the next is due.

        Calls quantumflow.settle.
        """
        return await self._run(_sql.workers.settle(max_tasks), connection)
