"""What is done: each act is one call of a function, for a form of a page that was made here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from quantumflow_client import _json, _sql

from .pages import house, run_of, uuid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from quantumflow_client._call import Call

    Form = Mapping[str, str]
    Deed = Callable[[Request, Form], tuple[Call[Any], str, str | None]]

_MOST = 1_000_000
"""How many bytes a form has at most."""


async def act(request: Request) -> Response:
    """Do what a form asks for, and go back to where it was."""
    at = house(request)
    if not at.is_operator:
        raise HTTPException(403, "This site is read only; quantumflow web --operator does more.")
    form = await _form(request)
    if not at.gate.is_own_form(request.state.session, form.get("form_key", ""), request):
        raise HTTPException(403, "This form was not made for you, or is stale: load it again.")
    name = request.scope["path"].split("/")[1] + "/" + request.scope["path"].rpartition("/")[2]
    call, back, done = DEEDS[name](request, form)
    answer = await run_in_threadpool(at.database.act, call, request.state.session.who)
    said = done or str(answer)
    if said == "run_ended":
        raise HTTPException(409, "The signal comes too late: the run has ended.")
    # What it was before is not shown again.
    await run_in_threadpool(at.forget)
    return RedirectResponse(f"{back}?done={quote(said)}", 303)


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST:
            raise HTTPException(413, "The form is too large.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None


def _run(make: Callable[[Any, str | None], Call[Any]], done: str) -> Deed:
    def deed(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
        run_id = run_of(request)
        return make(run_id, form.get("reason") or None), f"/runs/{run_id}", done

    return deed


def _retry(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    run_id = run_of(request)
    call = _sql.steering.retry_run(
        run_id,
        form.get("from_step") or None,
        from_iteration=int(text) if (text := form.get("iteration", "")).isdigit() else None,
        given_up=form.get("given_up") == "1",
        reason=form.get("reason") or None,
    )
    return call, f"/runs/{run_id}", "retried"


def _delete(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    call = _sql.steering.delete_run(run_of(request), form.get("reason") or None)
    return call, "/runs", "deleted"


def _signal(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    run_id = run_of(request)
    payload = _value(form, "payload", "null")
    call = _sql.signals.send_signal(
        run_id, form.get("signal", ""), payload, key=form.get("key") or None, encode=_json.encode
    )
    back = "/waits" if form.get("back") == "waits" else f"/runs/{run_id}"
    return call, back, None


def _start(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    slug = request.path_params["workflow_slug"]
    call = _sql.runs.start_flow(
        slug,
        _value(form, "input", "{}"),
        run_id=None,
        priority=0,
        start_at=None,
        idempotency_key=form.get("key") or None,
        headers=None,
        version=None,
    )
    return call, f"/flows/{quote(slug, safe='')}", "started"


def _pause(_request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    kind, name = _paused(form)
    return _sql.steering.pause(kind, name, form.get("reason") or None), _back(kind, name), "held"


def _resume(_request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    kind, name = _paused(form)
    return (
        _sql.steering.resume(kind, name, form.get("reason") or None),
        _back(kind, name),
        "released",
    )


def _paused(form: Form) -> tuple[str, str]:
    kind = form.get("kind", "")
    if kind not in ("queue", "workflow", "command"):
        raise HTTPException(400, "A queue, a workflow or a command can be paused.")
    return kind, form.get("name", "")


def _back(kind: str, name: str) -> str:
    return f"/flows/{quote(name, safe='')}" if kind == "workflow" else "/queues"


def _run_now(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    run_id, step = run_of(request), form.get("step", "")
    task = form.get("task", "")
    call = _sql.steering.run_now(run_id, step, int(task) if task.isdigit() else 0)
    return call, f"/runs/{run_id}/steps/{quote(step, safe='')}", "hurried"


def _cancel_goal(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
    goal_id = uuid_of(request.path_params["slug"])
    call = _sql.goals.cancel_goal(goal_id, form.get("reason") or None)
    return call, f"/goals/{goal_id}", "cancelled"


def _schedule(make: Callable[[str, str | None], Call[Any]], done: str) -> Deed:
    def deed(request: Request, form: Form) -> tuple[Call[Any], str, str | None]:
        return make(request.path_params["slug"], form.get("reason") or None), "/schedules", done

    return deed


def _value(form: Form, name: str, empty: str) -> Any:
    try:
        return json.loads(form.get(name, "").strip() or empty)
    except ValueError as error:
        raise HTTPException(400, f"The {name} is no JSON: {error}.") from None


DEEDS: dict[str, Deed] = {
    "runs/cancel": _run(_sql.steering.cancel_run, "cancelled"),
    "runs/pause": _run(_sql.steering.pause_run, "paused"),
    "runs/resume": _run(_sql.steering.resume_run, "resumed"),
    "runs/retry": _retry,
    "runs/delete": _delete,
    "runs/signal": _signal,
    "runs/run_now": _run_now,
    "flows/start": _start,
    "goals/cancel": _cancel_goal,
    "pauses/pause": _pause,
    "pauses/resume": _resume,
    "schedules/pause": _schedule(_sql.schedules.pause_schedule, "paused"),
    "schedules/resume": _schedule(_sql.schedules.resume_schedule, "resumed"),
}
"""What can be done, by the first and the last word of its address."""
