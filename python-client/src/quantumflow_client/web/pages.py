"""What is shown: a function for each page, that asks and hands on."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from quantumflow_client import _sql
from quantumflow_client.page import facts, graph, render
from quantumflow_client.page.facts import Step

from .site import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from .site import House

_PAGE = 50
"""How many rows a list has."""

_MOST_EVENTS = 1000

_SOON = 2.0
"""For how many seconds what several viewers see alike is kept."""


def house(request: Request) -> House:
    """What the pages share."""
    found: House = request.app.state.house
    return found


def run_of(request: Request) -> UUID:
    """Which run is asked for."""
    try:
        return UUID(request.path_params["run_id"])
    except ValueError:
        raise HTTPException(404, "That is no run's id.") from None


def overview(request: Request) -> Response:
    """What needs somebody, what goes on, what failed last."""
    at = house(request)
    ask = at.database.ask

    def look() -> dict[str, Any]:
        return {
            "findings": [f for f in ask(_sql.installation.doctor()) if f.state != "ok"],
            "reasons": ask(_sql.looking.why(None, only_stuck=False)),
            "queues": ask(_sql.looking.list_queues()),
            "workers": ask(_sql.looking.list_workers(alive_only=True)),
            "latest": ask(_sql.runs.list_runs(max_runs=10)),
            "failed": ask(_sql.runs.list_failures(None, max_failures=10)),
            "schedules": ask(_sql.schedules.list_schedules(None))[:5],
            "waits": ask(_sql.signals.list_waits(None, None, max_runs=10, with_input=False)),
        }

    return at.show(request, "overview.html.jinja", at.kept("overview", _SOON, look))


FILTERS = ("workflow", "status", "error", "key", "input", "since", "until")
"""What runs are filtered by, besides gave_up and with_children."""


def runs(request: Request) -> Response:
    """The latest runs that a filter in the address lets through."""
    at = house(request)
    asked = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    gave_up = request.query_params.get("gave_up") == "1"
    with_children = request.query_params.get("with_children") == "1"
    before = request.query_params.get("before")
    found = at.database.ask(
        _sql.runs.list_runs(
            asked["workflow"] or None,
            status=asked["status"] or None,
            before=uuid_of(before) if before else None,
            gave_up=gave_up or None,
            since=_moment(at, "since", asked["since"]),
            until=_moment(at, "until", asked["until"]),
            idempotency_key=asked["key"] or None,
            error=asked["error"] or None,
            input=_searched(asked["input"]),
            with_children=with_children,
            max_runs=_PAGE + 1,
        )
    )
    checked = {"gave_up": gave_up, "with_children": with_children}
    kept = {k: v for k, v in asked.items() if v} | {k: "1" for k, is_so in checked.items() if is_so}
    more = None
    if len(found) > _PAGE:
        more = "?" + urlencode(kept | {"before": str(found[_PAGE - 1].run_id)})
    return at.show(
        request,
        "runs.html.jinja",
        {
            "runs": found[:_PAGE],
            "asked": asked,
            **checked,
            "more": more,
            "is_first": not before,
            "first": "?" + urlencode(kept),
            "flows": [
                flow.workflow_slug for flow in at.database.ask(_sql.definitions.list_flows())
            ],
            "now": datetime.now(timezone.utc),
        },
    )


def _moment(at: House, name: str, text: str) -> datetime | None:
    """A moment that somebody typed; without a zone, in that of the site."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
        return found.astimezone() if found.tzinfo else at.clock.from_local(found)
    except (ValueError, OverflowError):
        raise HTTPException(
            400, f"{name} is {text!r}: it is to be a time such as 2030-01-31T09:00."
        ) from None


def _searched(text: str) -> Any:
    """What the input is to contain: JSON, or NAME=VALUE as people type it."""
    if not text:
        return None
    name, equals, value = text.partition("=")
    if equals and not text.lstrip().startswith(("{", "[", '"')):
        return {name.strip(): _read(value.strip())}
    return _read(text)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def uuid_of(text: str) -> UUID:
    """The id that a text is."""
    try:
        return UUID(text)
    except ValueError:
        raise HTTPException(400, f"{text!r} is no id.") from None


def run(request: Request) -> Response:
    """A run, as the page of it shows it, with what can be done."""
    at = house(request)
    return at.show(request, "site_run.html.jinja", run_context(at, run_of(request)))


def run_context(at: House, run_id: UUID) -> dict[str, Any]:
    """What the template of a run needs, but for the site; what many look at is asked once."""

    def look() -> dict[str, Any]:
        found = facts.read(at.database.ask, run_id, outputs=False)
        return render.context_of(ENVIRONMENT, found, at.clock)

    context = at.kept(("run", run_id), 1.0, look)
    return {k: v for k, v in context.items() if k not in ("draw", "clock", "legend")}


def step(request: Request) -> Response:
    """A step of a run: its attempts, and what it put out."""
    at = house(request)
    ask = at.database.ask
    run_id, slug = run_of(request), request.path_params["step_slug"]
    state: Any = ask(_sql.runs.status(run_id))
    attempts = ask(_sql.looking.list_attempts(run_id, slug))
    row = next((s for s in state["steps"] if s["step_slug"] == slug), None)
    number = _number(request, "from", 0)
    outputs, failed = [], []
    if row is not None:
        outputs = ask(
            _sql.tasks.list_outputs(
                run_id, slug, after_index=number - 1, max_items=20, read=lambda text, _: text
            )
        )
        failed = ask(_sql.steering.failed_items(run_id, slug)) if row["step_type"] == "map" else []
    first = _number(request, "attempts", 0)
    return at.show(
        request,
        "step.html.jinja",
        {
            "run": state,
            "slug": slug,
            "step": row,
            "attempts": attempts[first : first + 200],
            "first": first,
            "total": len(attempts),
            "outputs": outputs,
            "next_output": outputs[-1][0] + 1 if len(outputs) == 20 else None,
            "failed": failed[:200],
            "failed_total": len(failed),
        },
    )


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdigit() and len(text) < 10 else default


def output(request: Request) -> Response:
    """The whole output of a step, as a file."""
    at = house(request)
    run_id, slug = run_of(request), request.path_params["step_slug"]
    text = at.database.ask(_sql.tasks.step_output(run_id, slug))
    if text is None:
        raise HTTPException(404, "The step has no output.")
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in slug)
    headers = {"Content-Disposition": f'attachment; filename="{name}.json"'}
    return Response(text, media_type="application/json", headers=headers)


def retry(request: Request) -> Response:
    """What a retry would run again, before it is done."""
    at = house(request)
    run_id = run_of(request)
    from_step = request.query_params.get("from") or None
    given_up = request.query_params.get("given_up") == "1"
    state: Any = at.database.ask(_sql.runs.status(run_id))
    iteration = _number(request, "iteration", 0) or None
    steps = at.database.ask(
        _sql.steering.retry_preview(run_id, from_step, from_iteration=iteration, given_up=given_up)
    )
    return at.show(
        request,
        "retry.html.jinja",
        {
            "run": state,
            "steps": steps,
            "from_step": from_step,
            "iteration": iteration,
            "given_up": given_up,
        },
    )


def flows(request: Request) -> Response:
    """The workflows."""
    at = house(request)
    return at.show(
        request, "flows.html.jinja", {"flows": at.database.ask(_sql.definitions.list_flows())}
    )


def flow(request: Request) -> Response:
    """A version of a workflow: its graph, its definition, its latest runs."""
    at = house(request)
    ask = at.database.ask
    slug = request.path_params["workflow_slug"]
    version = _number(request, "version", 0) or None
    definition: Any = ask(_sql.definitions.get_flow(slug, version))
    summary = next(f for f in ask(_sql.definitions.list_flows()) if f.workflow_slug == slug)
    steps = steps_of(definition)
    large = len(steps) > 60
    shapes = {"upright": True} if large else {"wide": False, "upright": True}
    versions = range(max(summary.versions, summary.current_version), 0, -1)
    return at.show(
        request,
        "flow.html.jinja",
        {
            "flow": summary,
            "definition": definition,
            "version": version or summary.current_version,
            "versions": list(versions),
            "graphs": {name: graph.draw(steps, upright=up) for name, up in shapes.items()},
            "runs": ask(_sql.runs.list_runs(slug, max_runs=10)),
            "stats": ask(_sql.looking.stats(slug, timedelta(days=1), timedelta(days=7))),
            "paused": next(
                (
                    p
                    for p in ask(_sql.steering.list_pauses())
                    if (p.kind, p.name) == ("workflow", slug)
                ),
                None,
            ),
        },
    )


def steps_of(definition: Mapping[str, Any]) -> list[Step]:
    """The steps of a definition, of which none has begun."""
    return [
        Step(
            number=number,
            slug=step["name"],
            type=step.get("type", "single"),
            status="created",
            depends_on=step.get("dependencies", []),
            after=[*step.get("after", []), *step.get("prefer_after", [])],
            tasks={},
            started_at=None,
            ended_at=None,
            note=f"if {step['if']}" if "if" in step else None,
        )
        for number, step in enumerate(definition["steps"], 1)
    ]


def diff(request: Request) -> Response:
    """What differs between two versions of a workflow."""
    at = house(request)
    slug = request.path_params["workflow_slug"]
    first, second = _number(request, "from", 1), _number(request, "to", 1)
    found = at.database.ask(_sql.looking.diff_flow(slug, first, second))
    values = {"slug": slug, "first": first, "second": second, "found": found}
    return at.show(request, "diff.html.jinja", values)


def queues(request: Request) -> Response:
    """What waits and runs, by queue and command, and why."""
    at = house(request)
    values = at.kept(
        "queues",
        _SOON,
        lambda: {
            "queues": at.database.ask(_sql.looking.list_queues()),
            "reasons": at.database.ask(_sql.looking.why(None, only_stuck=False)),
            "sizes": at.database.ask(_sql.looking.list_sizes()),
            "pauses": at.database.ask(_sql.steering.list_pauses()),
            "limits": at.database.ask(_sql.limits.list_limits()),
        },
    )
    return at.show(request, "queues.html.jinja", values)


def workers(request: Request) -> Response:
    """Who works, or all who are known."""
    at = house(request)
    everyone = request.query_params.get("all") == "1"
    found = at.database.ask(_sql.looking.list_workers(alive_only=not everyone))
    return at.show(request, "workers.html.jinja", {"workers": found, "everyone": everyone})


def schedules(request: Request) -> Response:
    """What is started by the clock."""
    at = house(request)
    found = at.database.ask(_sql.schedules.list_schedules(None))
    return at.show(request, "schedules.html.jinja", {"schedules": found})


def waits(request: Request) -> Response:
    """What waits for a signal, with what there is to decide by."""
    at = house(request)
    slug = request.query_params.get("workflow") or None
    found = at.database.ask(_sql.signals.list_waits(slug, None, max_runs=100, with_input=True))
    return at.show(request, "waits.html.jinja", {"waits": found, "workflow": slug})


def goals(request: Request) -> Response:
    """The latest goals."""
    at = house(request)
    return at.show(
        request, "goals.html.jinja", {"goals": at.database.ask(_sql.goals.list_goals(None, 100))}
    )


def goal(request: Request) -> Response:
    """A goal: its tasks, its run, what came of it."""
    at = house(request)
    found = at.database.ask(_sql.goals.goal_status(uuid_of(request.path_params["goal_id"])))
    return at.show(request, "goal.html.jinja", {"goal": found})


def history(request: Request) -> Response:
    """What people did, and what happened, in a time."""
    at = house(request)
    now = datetime.now(timezone.utc)
    asked = {name: request.query_params.get(name, "").strip() for name in ("since", "until", "run")}
    since = _moment(at, "since", asked["since"]) or now - timedelta(minutes=10)
    until = _moment(at, "until", asked["until"])
    run_id = uuid_of(asked["run"]) if asked["run"] else None
    found = at.database.ask(_sql.looking.history(since, until, run_id))
    acts_only = request.query_params.get("acts") == "1"
    if acts_only:  # a function's name; what happens by itself is two words
        found = [event for event in found if " " not in event.what]
    values = {
        "events": found[-_MOST_EVENTS:],
        "total": len(found),
        "asked": asked,
        "acts_only": acts_only,
        "since": since,
        "until": until,
    }
    return at.show(request, "history.html.jinja", values)
