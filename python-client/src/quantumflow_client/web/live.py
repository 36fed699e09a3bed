"""What changes of a run while somebody looks: its parts, as soon as they differ."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from quantumflow_client.errors import QuantumflowError
from quantumflow_client.page.render import LIVE

from .pages import house, run_context, run_of
from .site import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from starlette.requests import Request

    from .gate import Session
    from .site import House

MOST = 200
"""How many may look at something live at once."""

_EVERY = 1.0
_AWAY = 2.0
_BEAT = 15.0
"""After how many seconds of nothing a sign of life is sent, by which a proxy keeps us."""

_PLACES = {"top": "head", "foot": "foot"}
"""Where a block is on the page, if not at its own name."""


async def live(request: Request) -> StreamingResponse:
    """Tell a browser what changes of a run, until it has ended."""
    at = house(request)
    if at.lookers >= MOST:
        raise HTTPException(503, "So many look at runs live that there is no room for more.")
    told = _told(at, run_of(request), request.state.session, request)
    return StreamingResponse(told, media_type="text/event-stream")


async def _told(at: House, run_id: UUID, session: Session, request: Request) -> AsyncIterator[str]:
    at.lookers += 1
    sent: dict[str, str] = {}
    heard_at = time.monotonic()
    is_away = False
    try:
        while not (at.is_closing() or await request.is_disconnected()):
            began = time.monotonic()
            try:
                parts, is_open = await run_in_threadpool(_parts, at, run_id, session)
            except QuantumflowError as error:
                yield _event("end", error.message)
                return
            except psycopg.Error:
                if not is_away:
                    yield _event("state", "The database is away. This goes on when it is back.")
                is_away = True
                await asyncio.sleep(_AWAY)
                continue
            if is_away or not sent:
                yield _event("state", "Live." if is_open else "")
                is_away = False
            for name, html in parts.items():
                if sent.get(name) != html:
                    # The first time the page has it already, but maybe not the same.
                    yield _event("part", {"id": name, "html": html})
                    sent[name] = html
                    heard_at = time.monotonic()
            if not is_open:
                yield _event("end", "It has ended.")
                return
            if time.monotonic() - heard_at > _BEAT:
                yield ": \n\n"
                heard_at = time.monotonic()
            # What takes long is asked more seldom.
            await asyncio.sleep(max(_EVERY, 10 * (time.monotonic() - began)))
    finally:
        at.lookers -= 1


def _parts(at: House, run_id: UUID, session: Session) -> tuple[dict[str, str], bool]:
    """The parts of the page, by where they are; what is the same for all is written once."""

    def write() -> tuple[dict[str, str], bool, str]:
        values = run_context(at, run_id)
        site = at.site(f"/runs/{run_id}", session)
        template = ENVIRONMENT.get_template("run.html.jinja")
        context = template.new_context({**at.context(site), **values})
        parts = {_PLACES.get(name, name): "".join(template.blocks[name](context)) for name in LIVE}
        return parts, values["facts"].is_open, values["facts"].run["status"]

    parts, is_open, status = at.kept(("parts", run_id), 0.5, write)
    acts = at.kept(("acts", run_id, session.key, status), 60.0, lambda: _acts(at, run_id, session))
    return {**parts, "acts": acts}, is_open


def _acts(at: House, run_id: UUID, session: Session) -> str:
    """What can be done: forms, each viewer's own, written anew only when the status changes."""
    site = at.site(f"/runs/{run_id}", session)
    template = ENVIRONMENT.get_template("site_run.html.jinja")
    context = template.new_context({**at.context(site), **run_context(at, run_id)})
    return "".join(template.blocks["acts"](context))


def _event(kind: str, value: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n"
