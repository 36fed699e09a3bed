"""Writes the demo's page: one HTML file that needs nothing else."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from .queries import Story
from .timeline import draw_graph, duration, lay_out

_TEMPLATE = "census.html.jinja"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found when the run had ended.

    Attributes:
        checks: What was checked, and what is wrong with it; None: nothing.
        plain_seconds: How long a plain loop took over the same files.
    """

    checks: Sequence[tuple[str, str | None]]
    plain_seconds: float

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return all(problem is None for _, problem in self.checks)


def write(
    path: Path,
    story: Story,
    totals: Mapping[str, Any],
    *,
    killed_at: datetime | None = None,
    verdict: Verdict | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The file.
        story: The run.
        totals: What `rank` made of it.
        killed_at: When a worker was killed; by default the last that was heard of it.
        verdict: What was found when the run had ended, if it has.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(
        render(story, totals, killed_at=killed_at, verdict=verdict), encoding="utf-8"
    )
    temporary.replace(path)


def render(
    story: Story,
    totals: Mapping[str, Any],
    *,
    killed_at: datetime | None = None,
    verdict: Verdict | None = None,
) -> str:
    """The page's text; see `write`."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": "{:,}".format, "duration": duration}
    template = resources.files(__package__).joinpath(_TEMPLATE).read_text("utf-8")
    return environment.from_string(template).render(
        story=story,
        totals=totals,
        verdict=verdict,
        timeline=lay_out(story, killed_at),
        graphs={
            "wide": draw_graph(story, upright=False),
            "upright": draw_graph(story, upright=True),
        },
        python=platform.python_version(),
    )
