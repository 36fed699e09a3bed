"""What is learned from runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantumflow_client._call import Call

from .statements import scalar, statement

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Another value for a key of a step, and what speaks for it.

    Attributes:
        step_slug: The step.
        key: timeout, max_attempts, retry_delay or chunk_size.
        current: What it is now, as a definition would say it.
        suggested: What it should be.
        n: How many attempts, or tasks, speak for it.
        predicted_gain: The share of a run's median time that it is predicted to save.
        confidence: 1 - 1/w, where w is what a fair bet on each pair of a trial has made of 1.
        why: What speaks for it, in words.
    """

    step_slug: str
    key: str
    current: Any
    suggested: Any
    n: int
    predicted_gain: float
    confidence: float
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Other settings for a workflow, and what came of them.

    Attributes:
        number: 1, 2, 3 and so on.
        level: What it might change: basic, advanced or aggressive.
        state: proposed, trial, adopted, rejected, rolled_back or superseded.
        base_version: The version that it changes.
        tuned_version: The version with its changes.
        changes: What it changes, and why: recommendations as objects.
        predicted_gain: The share of a run's time that it was predicted to save.
        measured_gain: What it saved in the median of its pairs; None before there is one.
        won: How many pairs the tuned version has won.
        lost: How many it has lost.
        dropped: How many said nothing.
        confidence: As of a recommendation, by the pairs since its state began.
        reason: Why it is in this state.
        made_at: When it was proposed.
        adopted_at: When it was adopted first.
        decided_at: When it ended.
    """

    number: int
    level: str
    state: str
    base_version: int
    tuned_version: int
    changes: Any
    predicted_gain: float | None
    measured_gain: float | None
    won: int
    lost: int
    dropped: int
    confidence: float
    reason: str | None
    made_at: datetime
    adopted_at: datetime | None
    decided_at: datetime | None


_RECOMMENDATIONS = statement(
    "recommendations",
    """
    select step_slug, key, current, suggested, n, predicted_gain::float8, confidence::float8, why
    from quantumflow.recommendations(workflow_slug => %(workflow_slug)s, level => %(level)s)
    """,
)


def recommendations(workflow_slug: str, level: str | None) -> Call[list[Recommendation]]:
    """What the past of a workflow says that its settings should be."""
    return Call(
        _RECOMMENDATIONS,
        lambda rows: [Recommendation(*row) for row in rows],
        {"workflow_slug": workflow_slug, "level": level},
        is_repeatable=True,
    )


_OPTIMIZE_FLOW = statement(
    "optimize_flow",
    """
    select number
    from quantumflow.optimize_flow(
      workflow_slug => %(workflow_slug)s,
      level => %(level)s,
      preserve_structure => %(preserve_structure)s,
      apply => %(apply)s)
    """,
)


def optimize_flow(
    workflow_slug: str, level: str | None, preserve_structure: bool | None, apply: str
) -> Call[int | None]:
    """Make a policy; its number, None where nothing is to be changed."""
    return Call(
        _OPTIMIZE_FLOW,
        scalar,
        {
            "workflow_slug": workflow_slug,
            "level": level,
            "preserve_structure": preserve_structure,
            "apply": apply,
        },
    )


_ROLLBACK_POLICY = statement(
    "rollback_policy",
    """
    select number
    from quantumflow.rollback_policy(workflow_slug => %(workflow_slug)s, reason => %(reason)s)
    """,
)


def rollback_policy(workflow_slug: str, reason: str | None) -> Call[int]:
    """End the policy that is at work; its number."""
    return Call(_ROLLBACK_POLICY, scalar, {"workflow_slug": workflow_slug, "reason": reason})


_POLICY_HISTORY = statement(
    "policy_history",
    """
    select number, level, state, base_version, tuned_version, changes, predicted_gain::float8,
      measured_gain::float8, won, lost, dropped, confidence::float8, reason, made_at, adopted_at,
      decided_at
    from quantumflow.policy_history(workflow_slug => %(workflow_slug)s)
    """,
)


def policy_history(workflow_slug: str) -> Call[list[Policy]]:
    """What was proposed, tried and adopted, oldest first."""
    return Call(
        _POLICY_HISTORY,
        lambda rows: [Policy(*row) for row in rows],
        {"workflow_slug": workflow_slug},
        is_repeatable=True,
    )
