"""Puts the site together: its addresses, its gate, and what it says when something is wrong."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from quantumflow_client import errors
from quantumflow_client._log import logger

from . import pages
from .acts import DEEDS, act
from .gate import HEADERS, LASTS
from .live import live
from .site import STATIC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .site import House

_UNKNOWN = (
    errors.UnknownRun, errors.UnknownWorkflow, errors.UnknownVersion, errors.StepNotInRun,
    errors.UnknownStep, errors.UnknownSchedule,
)  # fmt: skip

_AGAIN = 5
"""After how many seconds a page is asked again by itself while the database is away."""


def make(house: House) -> ASGIApp:
    """The site, as an ASGI application."""
    run, flow = "/runs/{run_id}", "/flows/{workflow_slug:path}"

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        house.database.connections.close()

    app = Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/static/{name}", _static),
            Route("/runs", pages.runs),
            Route(run, pages.run),
            Route(f"{run}/live", live),
            Route(f"{run}/retry", pages.retry, methods=["GET"]),
            Route(f"{run}/steps/{{step_slug:path}}/output", pages.output),
            Route(f"{run}/steps/{{step_slug:path}}", pages.step),
            Route("/flows", pages.flows),
            Route(f"{flow}/diff", pages.diff),
            *(_act(name) for name in DEEDS),
            Route(flow, pages.flow),
            Route("/queues", pages.queues),
            Route("/workers", pages.workers),
            Route("/schedules", pages.schedules),
            Route("/waits", pages.waits),
            Route("/goals", pages.goals),
            Route("/goals/{goal_id}", pages.goal),
            Route("/history", pages.history),
        ],
        exception_handlers={
            HTTPException: _refused,
            errors.QuantumflowError: _refused_by_database,
            psycopg.Error: _database_failed,
            Exception: _broken,
        },
        lifespan=lifespan,
    )
    app.state.house = house
    return _Guard(app, house)


def _act(name: str) -> Route:
    kind, _, what = name.partition("/")
    if kind == "pauses":
        return Route(f"/{name}", act, methods=["POST"])
    place = {"runs": "{run_id}", "flows": "{workflow_slug:path}"}.get(kind, "{slug:path}")
    return Route(f"/{kind}/{place}/{what}", act, methods=["POST"])


class _Guard:
    """Stands before everything: the host's name, the headers, and who may come in."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        request = Request(scope, receive)
        answer = self._answer(request)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """What to answer in place of the site; None: nothing, it may be looked at."""
        gate = self._house.gate
        if not gate.is_known_host(request):
            return PlainTextResponse("This host is not known here; see --host-name.\n", 421)
        if request.url.path.startswith("/static/"):
            return None
        token = request.query_params.get("token")
        if token is not None and request.url.path == "/" and gate.is_token(token):
            return self._let_in(request)
        session = gate.session(request)
        if session is None:
            said: Response = self._house.say(
                "Not let in",
                "Open the link that quantumflow web has printed; it says who may look.",
                more="A link is good while the process runs, who is let in for 12 hours.",
                status=401,
            )
            return said
        request.state.session = session
        return None

    def _let_in(self, request: Request) -> Response:
        # A page that goes on by itself: after a redirection from elsewhere, the cookie would not
        # be sent yet.
        answer: Response = self._house.say("Welcome", "One moment.", status=200, again=0, more="/")
        answer.set_cookie(
            self._house.gate.cookie,
            self._house.gate.new_cookie(),
            max_age=LASTS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


def _add_headers(message: MutableMapping[str, Any]) -> None:
    said = {name for name, _ in message["headers"]}
    message["headers"] = [
        *message["headers"],
        *(
            (name.lower().encode(), value.encode())
            for name, value in HEADERS.items()
            if name.lower().encode() not in said
        ),
    ]


def _static(request: Request) -> Response:
    found = STATIC.get(request.path_params["name"])
    if found is None:
        return PlainTextResponse("There is no such file.\n", 404)
    text, kind = found
    # Its address changes with it.
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(text, media_type=kind, headers=headers)


# What is said when something is wrong


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said: Response = pages.house(request).say(
        {403: "Refused", 404: "Not found"}.get(error.status_code, "It cannot be done"),
        error.detail,
        status=error.status_code,
    )
    return said


def _refused_by_database(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.QuantumflowError)
    if isinstance(error, errors.ConnectionsBusy):
        return _away(request, "All connections are in use: many look at once.")
    is_unknown = isinstance(error, _UNKNOWN)
    code = f" ({error.sqlstate})" if error.sqlstate else ""
    said: Response = pages.house(request).say(
        "Not found" if is_unknown else "It cannot be done",
        f"{error.message}{code}",
        more=" ".join(filter(None, (error.detail, error.hint))),
        status=404 if is_unknown else 409,
    )
    return said


def _database_failed(request: Request, error: Exception) -> Response:
    at = pages.house(request)
    said: Response
    if isinstance(error, psycopg.errors.QueryCanceled):
        said = at.say(
            "It took too long",
            "The database was asked for something that took longer than it may, and stopped.",
            more="Ask for less: a narrower filter, one step in place of a run.",
            status=504,
        )
        return said
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        said = at.say(
            "Refused",
            f"The database's role may not: {error.diag.message_primary}.",
            more="Whoever owns quantumflow gives rights, with quantumflow.grant_access.",
            status=403,
        )
        return said
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return _away(request, "The database is away.")
    return _broken(request, error)


def _away(request: Request, text: str) -> Response:
    more = f"This page is asked for again in {_AGAIN} seconds."
    said: Response = pages.house(request).say(
        "Not now", text, more=more if request.method == "GET" else "", status=503, again=_AGAIN
    )
    return said


def _broken(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    text = "Something is wrong with this page. The log of quantumflow web has more."
    said: Response = pages.house(request).say("Broken", text, status=500)
    return said
