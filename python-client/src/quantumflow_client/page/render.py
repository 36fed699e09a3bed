"""Writes a run's page, or parts of it, with jinja2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from . import graph, timeline, words
from .words import Clock, length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from quantumflow_client._sql.looking import Attempt

    from .facts import Facts, Step
    from .timeline import Mark, Timeline

LEGEND = {
    "waits": "waits",
    "completed": "worked on, and completed",
    "works": "is being worked on",
    "again": "done again, after a worker was lost",
    "failed": "failed",
    "timeout": "took too long",
    "lost": "lost with its worker",
    "silent": "nothing is heard of its worker",
    "cancelled": "cancelled",
    "undone": "completed, and undone by a retry",
}
"""What each kind of a bar means."""

LIVE = (
    "top",
    "why",
    "timeline",
    "graph",
    "children",
    "failures",
    "steps",
    "values",
    "events",
    "foot",
)
"""The blocks of the template that change while a run goes on."""

_LARGE = 60
"""Of how many steps a graph is drawn once, from top to bottom, whatever the width of the screen."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step in the table: how long it waited for its first task to begin, was worked on, took."""

    step: Step
    waited: timedelta | None
    worked: timedelta
    took: timedelta | None


@dataclass(frozen=True, slots=True)
class View:
    """What the template writes of a run, worked out."""

    tiles: Sequence[tuple[str, str]]
    told: str
    timeline: Timeline
    graphs: Mapping[str, graph.Graph]
    steps: Sequence[StepRow]
    path: str

    @property
    def is_map(self) -> dict[str, bool]:
        """Whether a step is a map."""
        return {row.step.slug: row.step.is_map for row in self.steps}

    @property
    def totals(self) -> dict[str, int]:
        """How many tasks a step has."""
        return {row.step.slug: row.step.total for row in self.steps}


def page(
    facts: Facts,
    *,
    clock: Clock | None = None,
    marks: Sequence[Mark] = (),
    template: str = "run.html.jinja",
    packages: Iterable[str] = (),
    **more: Any,
) -> str:
    """A run's page: one HTML file that needs nothing else.

    Args:
        facts: The run.
        clock: Says in which time zone.
        marks: Moments to name in its timeline.
        template: One that extends run.html.jinja.
        packages: Where that is.
        more: What it needs besides.
    """
    clock = clock or Clock()
    environment = environment_of(*packages)
    context = context_of(environment, facts, clock, marks) | {"site": None, "sheet": sheet()}
    return environment.get_template(template).render(**context, **more)


def context_of(
    environment: jinja2.Environment, facts: Facts, clock: Clock, marks: Sequence[Mark] = ()
) -> dict[str, Any]:
    """What the template of a run needs."""
    return {
        "facts": facts,
        "run": facts.run,
        "view": view_of(facts, clock, marks),
        **drawing(environment, clock),
    }


def drawing(environment: jinja2.Environment, clock: Clock) -> dict[str, Any]:
    """What any template needs that draws, or writes moments."""
    shared = {"clock": clock, "legend": LEGEND}
    return {**shared, "draw": environment.get_template("drawn.html.jinja").make_module(shared)}


def view_of(facts: Facts, clock: Clock, marks: Sequence[Mark] = ()) -> View:
    """Work out what the template writes of a run."""
    critical = frozenset(step.step_slug for step in facts.path)
    shapes = {"upright": True} if len(facts.steps) > _LARGE else {"wide": False, "upright": True}
    rows = [_row(step, facts) for step in facts.steps]
    return View(
        tiles=_tiles(facts, clock),
        told=_told(facts),
        timeline=timeline.lay_out(facts, clock, marks),
        graphs={
            name: graph.draw(facts.steps, upright=upright, critical=critical)
            for name, upright in shapes.items()
        },
        steps=rows,
        path=", ".join(
            f"{p.step_slug} ({p.share:.0%})" if p.share is not None else p.step_slug
            for p in facts.path
        ),
    )


def _tiles(facts: Facts, clock: Clock) -> list[tuple[str, str]]:
    run = facts.run
    ended = None if facts.is_open else facts.run["ended_at"]
    tiles = [
        ("started", clock.moment(facts.begin)),
        ("took" if ended else "so far", length(facts.seconds)),
        ("steps done", f"{len(facts.steps) - run['remaining_steps']} of {len(facts.steps)}"),
        ("tasks", words.number(sum(step.total for step in facts.steps))),
    ]
    if facts.eta is not None and facts.eta.expected_at is not None:
        tiles.append(("expected to end", clock.moment(facts.eta.expected_at)))
    failed = sum(step.tasks.get("failures", 0) for step in facts.steps)
    tiles += [("attempts that failed", words.number(failed))] if failed else []
    tiles += [("retries of the run", str(run["retries"]))] if run["retries"] else []
    tiles += [("given up, and gone on", str(run["gave_up"]))] if run["gave_up"] else []
    tiles += [("priority", f"{run['priority']} s")] if run["priority"] else []
    tiles += [("key", run["idempotency_key"])] if run["idempotency_key"] else []
    return tiles


def _told(facts: Facts) -> str:
    """The timeline in a sentence or two."""
    workers = len({a.worker for a in facts.attempts if a.worker})
    said = f"{words.plural(len(facts.attempts), 'attempt')} on {words.plural(workers, 'worker')}"
    lost = len(facts.lost)
    if lost:
        said += f", {words.number(lost)} of them lost with their workers and done again by others"
    more = " Point at a bar to see what it is; the table of the steps has the same in numbers."
    return f"{said}.{more}"


def _row(step: Step, facts: Facts) -> StepRow:
    attempts = facts.attempts_of.get(step.slug, [])
    began = [a.began_at for a in attempts if a.began_at is not None]
    waited = None
    if step.started_at is not None and began:
        waited = max(min(began) - step.started_at, timedelta())
    took = None
    if step.started_at is not None:
        took = (step.ended_at or max(facts.at, step.started_at)) - step.started_at
    return StepRow(step, waited, sum((_worked(a, facts.at) for a in attempts), timedelta()), took)


def _worked(attempt: Attempt, now: datetime) -> timedelta:
    if attempt.began_at is None:
        return timedelta()
    return max((attempt.ended_at or now) - attempt.began_at, timedelta())


# The environment


@cache
def environment_of(*packages: str) -> jinja2.Environment:
    """Where templates come from, and what they may call; nothing of a run is ever HTML.

    Args:
        packages: Packages with templates of their own, before those of this one.
    """
    loaders = [jinja2.PackageLoader(package, "templates") for package in packages]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*loaders, jinja2.PackageLoader(__package__, "templates")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    filters: dict[str, Callable[..., Any]] = {
        "number": words.number,
        "length_of": length,
        "size": words.size,
        "written": words.written,
        "json_text": _json_text,
        "shown": _shown,
        "brief": words.brief,
    }
    environment.filters.update(filters)
    return environment


def sheet() -> Markup:
    """The one sheet."""
    return Markup(file("sheet.css"))  # noqa: S704 - a file of ours


def file(name: str, package: str | None = None) -> str:
    """A file beside the templates, of this package or another."""
    return (
        resources.files(package or __package__)
        .joinpath("templates")
        .joinpath(name)
        .read_text("utf-8")
    )


def _finalize(value: Any) -> Any:
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return words.visible(value) if is_text else value


def _shown(text: str) -> str:
    """A text, as far as it is shown: its end, which is what matters of a traceback."""
    if len(text) <= words.MOST_TEXT:
        return text
    return f"... of {len(text):,} characters, the last\n{text[-words.MOST_TEXT :]}"


def _json_text(text: str) -> str:
    """JSON text, a line for each part, as far as it is shown."""
    if len(text) > 10 * words.MOST_TEXT:
        return f"{text[: words.MOST_TEXT]}\n... of {len(text):,} characters"
    return words.written(json.loads(text))
