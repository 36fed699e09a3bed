"""Delivery: reports are sent, and what is answered is told to whom it concerns.

A report's way: a handler ends in its execution, which makes a report of that; through the inbox it
comes to the core, which says when to send it, and with which others. Here it is sent. Once it is
answered, the worker holds its task no more, and the core knows.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from quantumflow_client import _sql
from quantumflow_client._log import logger
from quantumflow_client._sql.tasks import UNANSWERED, Completion, Failure

from .refusals import refusal_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantumflow_client._call import Call
    from quantumflow_client._connections import Session
    from quantumflow_client._sql.tasks import Outcome, Task, TaskKey

    from .actions import Deliver
    from .core import Core
    from .execution import Execution
    from .leases import Held
    from .offer import Offer
    from .reports import Report

_FINAL = {"failed", "type_violation"}


class Undelivered(Exception):  # noqa: N818 - its cause is the error
    """A delivery failed: whatever it was concerns some report at most."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Delivery:
    """Sends reports.

    Args:
        offer: Who reports.
        session: Where.
        core: Is told of the answer.
        held: Where what was reported is not kept any more.

    Attributes:
        counts: How many reports came to what.
    """

    def __init__(self, offer: Offer, session: Session, core: Core, held: Held) -> None:
        self._offer = offer
        self._session = session
        self._core = core
        self._held = held
        self.counts: Counter[str] = Counter()

    def deliver(self, action: Deliver) -> list[Task] | None:
        """Report, and claim if asked to.

        Returns:
            The next tasks, if it was asked to claim.

        Raises:
            Undelivered: The call failed.
        """
        reports, tasks = action.reports, None
        try:
            if action.quantity:
                outcomes, tasks = self._session.ask(
                    _sql.tasks.complete_and_claim(
                        self._offer.worker_id,
                        _completions(reports),
                        quantity=action.quantity,
                        queues=self._offer.queues,
                        lease=self._offer.lease,
                        commands=self._offer.commands,
                        held=self._core.held - len(reports),
                    )
                )
            else:
                outcomes = self._session.ask(plain(reports))
        except Exception as error:
            raise Undelivered(error) from error
        self.answered(reports, outcomes)
        return tasks

    def answered(self, reports: Sequence[Report], outcomes: Mapping[TaskKey, Outcome]) -> None:
        """Reports were answered: tell of what came of them."""
        for report in reports:
            answer = outcomes.get(report.ref[:3], UNANSWERED)
            self.counts[answer.outcome] += 1
            if answer.outcome != "completed" and (execution := self._held.get(report.ref)):
                _tell(report, answer, execution)
        self._held.forget([report.ref for report in reports])
        self._core.delivered(reports, time.monotonic())

    def refused(self, action: Deliver, error: Exception) -> None:
        """The database refused what was reported: find out which, and go on with the others."""
        refusal = refusal_of(error)
        fate = self._core.refused(action, refusal, time.monotonic())
        why = f"{refusal.sqlstate or refusal.type}: {refusal.message}"
        if not (fate.put_aside or fate.replaced or fate.given_up):
            n = len(action.reports)
            logger.log(logging.DEBUG, "a batch of %d reports is refused: %s", n, why)
        for report in fate.put_aside:
            self._log_refusal(logging.WARNING, report, "is refused, and comes again later", why)
        for report in fate.replaced:
            is_text = isinstance(report, Failure) and refusal.is_of(report)
            what = "is refused, and goes in ASCII" if is_text else "is refused for good: it fails"
            self._log_refusal(logging.WARNING, report, what, why)
        for report in fate.given_up:
            self._log_refusal(logging.ERROR, report, "is refused: its lease runs out", why)
        self._held.forget([report.ref for report in fate.given_up])

    def _log_refusal(self, level: int, report: Report, what: str, why: str) -> None:
        execution = self._held.get(report.ref)
        if execution is None:
            logger.log(level, "the report of %s %s: %s", report.ref, what, why)
            return
        logger.log(
            level,
            "the report of %s, attempt %d, %s: %s",
            execution,
            execution.task.attempt,
            what,
            why,
            extra=execution.extra,
        )


def plain(reports: Sequence[Report]) -> Call[dict[TaskKey, Outcome]]:
    """The call that reports outputs, or failures, and no more."""
    if completions := _completions(reports):
        return _sql.tasks.complete_tasks(completions)
    return _sql.tasks.fail_tasks(report for report in reports if isinstance(report, Failure))


def _completions(reports: Sequence[Report]) -> list[Completion]:
    return [report for report in reports if isinstance(report, Completion)]


def _tell(report: Report, answer: Outcome, execution: Execution) -> None:
    """Tell what a report came to, unless all went well."""
    task, message = execution.task, answer.detail
    # With the error its handler's frames go, and all that they hold.
    raised, execution.error = execution.error, None
    level, error = logging.WARNING, None
    if answer.outcome == "retrying" or answer.outcome in _FINAL:
        is_final = answer.outcome in _FINAL
        what = f"failed, attempt {task.attempt} of {task.max_attempts}"
        what += ", for good" if is_final else f", {answer.detail}"
        if isinstance(report, Failure):
            message, error = report.message, raised
    elif answer.outcome == "run_ended":
        # Told to stop, a handler raises what it likes.
        level, what = logging.INFO, "is dropped"
    else:
        # A duplicate is no loss: an answer was, and the report was sent again.
        level = logging.INFO if answer.outcome == "duplicate" else logging.WARNING
        what = f"was reported, which came to nothing: {answer.outcome}"
    logger.log(level, "%s %s: %s", execution, what, message, exc_info=error, extra=execution.extra)
