"""Writes the demo's page: that of its run, with what a census has besides."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from quantumflow_client.page.facts import Facts
from quantumflow_client.page.render import page
from quantumflow_client.page.timeline import Mark


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found when the run had ended.

    Attributes:
        checks: What was checked, and what is wrong with it; None: nothing.
    """

    checks: Sequence[tuple[str, str | None]]

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return all(problem is None for _, problem in self.checks)


def write(
    path: Path,
    facts: Facts,
    totals: Mapping[str, Any],
    *,
    server: str,
    killed_at: datetime | None = None,
    verdict: Verdict | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The file.
        facts: The run.
        totals: What `rank` made of it.
        server: Which server and extensions it ran on.
        killed_at: When a worker was killed, if one was.
        verdict: What was found when the run had ended, if it has.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    text = render(facts, totals, server=server, killed_at=killed_at, verdict=verdict)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def render(
    facts: Facts,
    totals: Mapping[str, Any],
    *,
    server: str,
    killed_at: datetime | None = None,
    verdict: Verdict | None = None,
) -> str:
    """The page's text; see `write`."""
    return page(
        facts,
        marks=_marks(facts, killed_at),
        template="census.html.jinja",
        packages=[__package__ or ""],
        totals=totals,
        verdict=verdict,
        held=len(facts.lost),
        workers=len({a.worker for a in facts.attempts if a.worker}),
        server=server,
        python=platform.python_version(),
    )


def _marks(facts: Facts, killed_at: datetime | None) -> list[Mark]:
    """When a worker was killed, and when the first of what it had held was handed out again."""
    held = len(facts.lost)
    marks = [Mark(killed_at, f"killed, holding {held}", "lost")] if killed_at and held else []
    lost = {(a.step_slug, a.task_index): a.ended_at for a in facts.lost}
    again = [
        a.began_at
        for a in facts.attempts
        if a.began_at is not None
        and (ended := lost.get((a.step_slug, a.task_index))) is not None
        and a.began_at >= ended
    ]
    return marks + ([Mark(min(again), "handed out again", "again")] if again else [])
