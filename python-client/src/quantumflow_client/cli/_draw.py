"""Draws the graph of a definition, as text and in Mermaid's language.

Whether the definition is right is for the database to say: what is wrong is drawn as far as it can
be, a cycle as a last layer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ._output import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quantumflow_client._json import Json

_RUN = "run"
"""What a map without dependencies maps over: the run's input."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it is drawn.

    Attributes:
        slug: Its name.
        depends_on: What it waits for and is given.
        over: What a map maps over; None for a single step.
        after: What it waits for only.
        join: How many of the first must have completed: all, any or none.
        notes: When it runs, and what its failure means, where that is not as usual.
        again: When a loop ends; None for what is none.
    """

    slug: str
    depends_on: tuple[str, ...]
    over: str | None
    after: tuple[str, ...] = ()
    join: str = "all"
    notes: tuple[str, ...] = ()
    again: str | None = None

    @property
    def waits_for(self) -> tuple[str, ...]:
        return self.depends_on + self.after


def steps_of(definition: Json) -> list[Step]:
    """The steps of a definition.

    Raises:
        click.UsageError: It does not look like a definition at all.
    """
    try:
        return [_step_of(step) for step in definition["steps"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise click.UsageError(
            "that is no definition of a workflow: see quantumflow flow validate"
        ) from error


def _step_of(step: Json) -> Step:
    depends_on = step.get("dependencies", step.get("depends_on")) or []
    over = None
    if step.get("type") == "map":
        over = step.get("map_over") or (depends_on[0] if depends_on else _RUN)
    after = [*(step.get("after") or []), *(step.get("prefer_after") or [])]
    return Step(
        str(step.get("name", step.get("slug"))),
        tuple(map(str, depends_on)),
        over,
        tuple(map(str, after)),
        str(step.get("join", "all")),
        tuple(_notes(step)),
        _ends(step),
    )


def _notes(step: Json) -> Iterator[str]:
    yield from _waits(step)
    if (ends := _ends(step)) is not None:
        delay = f", {step['delay']} s apart" if "delay" in step else ""
        yield f"again {ends}, {step.get('max_iterations')} times at most{delay}"
    if "if" in step:
        otherwise = ", or it fails" if step.get("otherwise") == "fail" else ""
        yield f"if {step['if']}{otherwise}"
    if step.get("on_error") == "continue":
        yield "if it fails, the run goes on"
    if "fallback" in step:
        yield f"if it fails, its output is {json.dumps(step['fallback'], ensure_ascii=False)[:80]}"
    if "tolerate" in step:
        yield f"of its tasks {step['tolerate']} may fail"


def _ends(step: Json) -> str | None:
    """When a loop ends, as its definition says; None for what is none."""
    if step.get("type") != "loop":
        return None
    return f"while {step['while']}" if "while" in step else f"until {step.get('until')}"


def _waits(step: Json) -> Iterator[str]:
    """What a step that no worker is given waits for."""
    if step.get("type") == "sleep":
        yield f"sleeps until {step['at']}" if "at" in step else f"sleeps {step.get('seconds')} s"
    if step.get("type") == "wait":
        signals = step.get("signals") or [step.get("signal", step.get("name", step.get("slug")))]
        limit = f", {step['timeout']} s at most" if "timeout" in step else ""
        yield f"waits for the signal {' or '.join(map(str, signals))}{limit}"
    if step.get("type") == "plan":
        yield f"runs a plan that may use {', '.join(map(str, step.get('may_use') or []))}"
    if "flow" in step:
        version = f", version {step['flow_version']}" if "flow_version" in step else ""
        limit = f", {step['timeout']} s at most" if "timeout" in step else ""
        yield f"starts a run of {step['flow']}{version}, and waits for it{limit}"


def layers(steps: Iterable[Step]) -> list[list[Step]]:
    """The steps, each in the first layer after all those that it depends on."""
    left = list(steps)
    slugs = {step.slug for step in left}
    done: set[str] = set()
    found: list[list[Step]] = []
    while left:
        ready = [s for s in left if all(d in done or d not in slugs for d in s.waits_for)]
        if not ready:  # a cycle
            return [*found, left]
        found.append(ready)
        done |= {step.slug for step in ready}
        left = [step for step in left if step.slug not in done]
    return found


def text(definition: Json) -> list[str]:
    """The graph as lines of text: a layer after the other, each step with what it waits for."""
    steps = steps_of(definition)
    title = definition.get("title")
    lines = [f"{definition.get('slug')}: {title}" if title else f"{definition.get('slug')}", ""]
    width = max((len(_marked(s.slug, s.over is not None)) for s in steps), default=0)
    for number, layer in enumerate(layers(steps), start=1):
        for place, step in enumerate(layer):
            name = _marked(step.slug, step.over is not None)
            waits = [_marked(d, d == step.over) for d in step.depends_on]
            if step.over == _RUN and not waits:
                waits = [_marked(_RUN, True)]
            needs = f" (needs {step.join})" if step.join != "all" else ""
            given = [", ".join(waits) + needs] if waits else []
            after = [f"after {', '.join(step.after)}"] if step.after else []
            arrow = f"  <- {'; '.join(given + after)}" if given or after else ""
            lines.append(f"{'' if place else number:>4}  {name:<{width}}{arrow}".rstrip())
            lines += [f"{'':>6}{'':<{width}}     {note}" for note in step.notes]
    lines += [
        f"{event.replace('_', ' '):>15}: {definition[event]}"
        for event in ("on_complete", "on_failure")
        if definition.get(event)
    ]
    if "run_timeout" in definition:
        lines.append(f"{'run timeout':>15}: {definition['run_timeout']} s")
    if any(step.over is not None for step in steps):
        lines += ["", "step[] has a task for each item of what it names with []"]
    return [one_line(line) for line in lines]


def _marked(slug: str, is_array: bool) -> str:
    return f"{slug}[]" if is_array else slug


def mermaid(definition: Json) -> list[str]:
    """The graph as a Mermaid flowchart. Ids are numbers: a slug may be a word of the language."""
    steps = steps_of(definition)
    numbers = {step.slug: f"s{i}" for i, step in enumerate(steps)}
    lines = ["flowchart TD"]
    if any(step.over == _RUN and not step.depends_on for step in steps):
        lines.append('  run(["input of the run"])')
    for step in steps:
        left, right = ("[[", "]]") if step.over is not None else ("[", "]")
        join = [f"needs {step.join} of them"] if step.join != "all" else []
        label = _quoted(step.slug, *join, *step.notes)
        lines.append(f"  {numbers[step.slug]}{left}{label}{right}")
    for step in steps:
        for dependency in step.depends_on or ([_RUN] if step.over == _RUN else []):
            arrow = "-->|each|" if dependency == step.over else "-->"
            source = numbers.get(dependency, _RUN if dependency == _RUN else None)
            if source is not None:
                lines.append(f"  {source} {arrow} {numbers[step.slug]}")
        lines += [f"  {numbers[s]} -.-> {numbers[step.slug]}" for s in step.after if s in numbers]
        if step.again is not None:
            lines.append(f"  {numbers[step.slug]} -->|again| {numbers[step.slug]}")
    return lines


_ENTITIES = str.maketrans(
    {"#": "#35;", '"': "#quot;", "&": "#amp;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
)


def _quoted(*lines: str) -> str:
    return '"' + "<br>".join(one_line(line).translate(_ENTITIES) for line in lines) + '"'
