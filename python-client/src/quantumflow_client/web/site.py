"""What every page of the site has: who looks, what may be done, where templates come from."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import HTMLResponse

from quantumflow_client.page import render
from quantumflow_client.page.words import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from .database import Database
    from .gate import Gate, Session

T = TypeVar("T")

PAGES = (
    ("/", "Overview", None),
    ("/runs", "Runs", "list_runs"),
    ("/flows", "Flows", "list_flows"),
    ("/queues", "Queues", "list_queues"),
    ("/workers", "Workers", "list_workers"),
    ("/schedules", "Schedules", "list_schedules"),
    ("/waits", "Waits", "list_waits"),
    ("/goals", "Goals", "list_goals"),
    ("/history", "History", "history"),
)
"""The pages, and which function the role must be allowed to call to see one."""

ACTS = (
    "cancel_goal", "cancel_run", "delete_run", "pause_command", "pause_flow", "pause_queue",
    "pause_run", "pause_schedule", "resume_command", "resume_flow", "resume_queue", "resume_run",
    "resume_schedule", "retry_run", "run_now", "send_signal", "start_flow",
)  # fmt: skip
"""What can be done, by the function that does it."""

DONE = {
    "cancelled": "It is cancelled.",
    "deleted": "It is deleted, with its tasks and their history.",
    "paused": "It is paused: nothing of it starts until it is resumed.",
    "resumed": "It goes on.",
    "retried": "It is retried: what it did not finish runs again.",
    "delivered": "The signal is delivered: a step was waiting for it.",
    "kept": "The signal is kept until a step waits for it.",
    "duplicate": "The signal was sent before, with this key.",
    "started": "It is started.",
    "held": "Nothing of it is handed out until it is resumed.",
    "released": "It is handed out again.",
    "hurried": "It waits no longer for its time.",
}
"""What to say after an act, by the word in the address: texts of ours, whatever that says."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What to say at the top of a page."""

    text: str
    more: str | None = None
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What a template knows of the site, for one viewer at one page."""

    path: str
    who: str
    form_key: str
    rights: frozenset[str]
    pages: list[tuple[str, str]]
    notice: Notice | None = None

    def static(self, name: str) -> str:
        """Where a file of ours is."""
        return f"/static/{name}?{VERSION}"

    def is_at(self, path: str) -> bool:
        """Whether a page is the one that is looked at, or above it."""
        return self.path == path or (path != "/" and self.path.startswith(f"{path}/"))

    def may(self, name: str) -> bool:
        """Whether an act is offered."""
        return name in self.rights


@dataclass(slots=True)
class House:
    """What all pages share.

    Attributes:
        database: Where calls go.
        gate: Who may come in.
        is_operator: Whether anything but looking is offered.
        clock: Writes moments.
        lookers: How many look at something live.
        is_closing: Whether the process is about to end, and with it what is live.
    """

    database: Database
    gate: Gate
    is_operator: bool = False
    clock: Clock = field(default_factory=Clock)
    lookers: int = 0
    is_closing: Callable[[], bool] = bool
    _kept: dict[object, tuple[float, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def kept(self, key: object, seconds: float, make: Callable[[], T]) -> T:
        """What was made not longer ago than that, or is made now: many may look at once."""
        now = time.monotonic()
        with self._lock:
            found = self._kept.get(key)
        if found is not None and found[0] > now:
            value: T = found[1]
            return value
        value = make()
        with self._lock:
            self._kept[key] = (time.monotonic() + seconds, value)
            for old in [k for k, (until, _) in self._kept.items() if until < now]:
                del self._kept[old]
        return value

    def forget(self) -> None:
        """Ask everything anew: something was done."""
        with self._lock:
            self._kept.clear()

    def rights(self) -> frozenset[str]:
        """What the database's role may call, of what a page shows or does."""
        names = [name for *_, name in PAGES if name is not None] + list(ACTS)
        return self.kept("rights", 30.0, lambda: self.database.may(names))

    def site(self, path: str, session: Session, notice: Notice | None = None) -> Site:
        """What a template knows of the site."""
        rights = self.rights()
        return Site(
            path=path,
            who=session.who or ("operator" if self.is_operator else "read only"),
            form_key=self.gate.form_key(session),
            rights=rights if self.is_operator else rights - set(ACTS),
            pages=[(at, name) for at, name, right in PAGES if right is None or right in rights],
            notice=notice,
        )

    def context(self, site: Site | None) -> dict[str, Any]:
        """What every template needs."""
        return {"site": site, **render.drawing(ENVIRONMENT, self.clock)}

    def show(
        self, request: Request, template: str, values: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """A page, for who looks at it."""
        done = DONE.get(request.query_params.get("done", ""))
        notice = Notice(done) if done else None
        site = self.site(request.url.path, request.state.session, notice)
        text = ENVIRONMENT.get_template(template).render(**self.context(site), **values)
        return HTMLResponse(text, status)

    def say(self, title: str, text: str, *, status: int, more: str = "", again: int = 0) -> Any:
        """A page for when there is nothing else to show; it asks nothing of the database."""
        values = {"title": title, "text": text, "more": more, "again": again, "static": _static}
        page = ENVIRONMENT.get_template("said.html.jinja").render(**values)
        headers = {"Retry-After": str(again)} if again else {}
        return HTMLResponse(page, status, headers)


ENVIRONMENT = render.environment_of(__package__ or "")

STATIC = {
    "sheet.css": (render.file("sheet.css"), "text/css"),
    "live.js": (render.file("live.js", package=__package__), "text/javascript"),
}
"""The files that pages refer to."""

VERSION = hashlib.sha256("".join(text for text, _ in STATIC.values()).encode()).hexdigest()[:12]


def _static(name: str) -> str:
    return f"/static/{name}?{VERSION}"
