"""What runs in a process of a handler's own: it is sent tasks, and sends back what came of each.

Beside that it only asks: whether the task is cancelled, for the output of a step, to extend the
lease. When the worker is gone, so is this process, and all that it has begun, whatever they do.
"""

from __future__ import annotations

import fcntl
import importlib
import logging
import logging.handlers
import os
import pickle
import signal
import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NoReturn

from quantumflow_client import _json
from quantumflow_client._sql.tasks import Spent
from quantumflow_client.context import Context, begin_on

from .fork import end_child
from .handlers import Handler, Place, Unfit
from .reports import completion_of, failure_of, said
from .signals import STOPPING, Listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantumflow_client._call import Call
    from quantumflow_client._sql.tasks import Task

    from .steps import Step

_NO_TRANSACTION = (
    "in a process of its own a handler has no ctx.transaction(), and no ctx.complete(): they would "
    "hold the task in a session of the worker's. Return what is to be written, for a step that "
    "writes it"
)


@dataclass(frozen=True, slots=True)
class Job:
    """A task for a process.

    Attributes:
        place: Where the handler is.
        task: The task.
        step: What the flow at hand says of its step.
        input: The task's input, if a hook has changed it.
        log_level: From which level on log records are of use.
    """

    place: Place
    task: Task
    step: Step | None
    input: dict[str, Any] | None
    log_level: int


@dataclass(frozen=True, slots=True)
class Question:
    """What a process asks: a method of the execution, and an argument if it takes one."""

    method: str
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task, or of a question: a value, an error, or why the code cannot take it."""

    value: Any = None
    error: BaseException | None = None
    unfit: str | None = None


def main(requests: int, life: int) -> NoReturn:
    """Work until the worker ends.

    Args:
        requests: The descriptor of a socket to the worker.
        life: That of a pipe of which only the worker holds the other end.
    """
    _end_with(life)
    # A service manager sends SIGTERM to every process it finds; when to end is the worker's word.
    Listening(dict.fromkeys(STOPPING, lambda *_: None))
    parent = _Parent(Connection(requests))
    while True:
        job = parent.next()
        if job is None:
            os._exit(0)
        parent.answer(_done(job, parent))


class _Parent:
    """The worker, as this process knows it. For any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._job: Job | None = None

    def next(self) -> Job | None:
        """The next task; None: the worker has ended."""
        try:
            self._job = self._connection.recv()
        except (EOFError, OSError):
            return None
        return self._job

    def tell(self, record: logging.LogRecord) -> None:
        """Send a log record."""
        data = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._connection.send_bytes(data)

    def answer(self, answer: Answer) -> None:
        """Tell what came of the job; nobody asks about it from now on."""
        data = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._job = None
            self._connection.send_bytes(data)

    def ask(self, job: Job, method: str, *arguments: object) -> Any:
        """Ask something about a job.

        Raises:
            RuntimeError: It is over, or this is another process.
            BaseException: What the execution has raised.
        """
        if os.getpid() != self._process:
            raise RuntimeError("a process that a handler has forked cannot ask for its task")
        question = pickle.dumps(Question(method, arguments), pickle.HIGHEST_PROTOCOL)
        with self._lock:
            if job is not self._job:
                raise RuntimeError("the handler has ended, and its task is over")
            self._connection.send_bytes(question)
            answer: Answer = self._connection.recv()
        if answer.error is not None:
            raise answer.error
        return answer.value


class _ToParent(logging.handlers.QueueHandler):
    """Sends log records to the worker, whose handlers they concern."""

    def __init__(self, parent: _Parent) -> None:
        super().__init__(parent)  # type: ignore[arg-type]
        self._process = os.getpid()
        self._parent = parent

    def enqueue(self, record: logging.LogRecord) -> None:
        if os.getpid() == self._process:
            self._parent.tell(record)


def _done(job: Job, parent: _Parent) -> Answer:
    """What came of a task."""
    process, began = os.getpid(), time.monotonic()
    used: dict[str, float] = {}
    output: Any = None
    error: BaseException | None = None

    def fetch(call: Call[Any]) -> Any:
        return parent.ask(job, "fetch", call)

    ctx = Context(
        job.task,
        cancelled=lambda: bool(parent.ask(job, "is_cancelled")),
        heartbeat=lambda: bool(parent.ask(job, "heartbeat")),
        fetch=fetch,
        transaction=_no_transaction,
        used=used,
    )
    if job.input is not None:
        ctx.input = job.input
        ctx.keep_input()
    try:
        handler = _handler(job.place)
        _log_to(parent, job.log_level)
        arguments = handler.arguments(ctx, job.step)
        began = time.monotonic()
        context = copy_context()
        context.run(begin_on, ctx)
        output = context.run(handler.function, **arguments)
    except BaseException as raised:
        error = raised
    if os.getpid() != process:
        end_child(error)
    if isinstance(error, Unfit):
        return Answer(unfit=str(error))
    spent = Spent(time.monotonic() - began, _json.encode(used) if used else None)
    if error is None:
        return Answer(completion_of(job.task.ref, output, spent, handler.encode))
    return Answer(failure_of(job.task.ref, error, spent))


def _no_transaction() -> NoReturn:
    raise RuntimeError(_NO_TRANSACTION)


@cache
def _handler(place: Place) -> Handler:
    hook = place.encode
    encode = _json.encode if hook is None else _json.Encoder(resolve(*hook))
    return Handler.of(resolve(*place.function), encode)


def resolve(module: str, name: str) -> Callable[..., Any]:
    """The function of a name in a module.

    Raises:
        ImportError, AttributeError: There is none.
    """
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


@cache
def _log_to(parent: _Parent, level: int) -> None:
    """Send log records to the worker, unless the handler's module has set up logging."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_ToParent(parent))
        root.setLevel(level)


def _end_with(life: int) -> None:
    """Let this process, and those that it begins, be killed as soon as the worker is gone.

    By the kernel, when the other end of the pipe is closed: a handler may hold the interpreter.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    # It may be gone already; and elsewhere there is no such signal.
    threading.Thread(target=_wait_for_end, args=(life,), daemon=True).start()


def _wait_for_end(life: int) -> None:
    os.read(life, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def sendable(error: BaseException) -> BaseException:
    """An error that can be sent: itself, or one with its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - it is our own
    except BaseException:
        return RuntimeError(said(lambda: repr(error), "an error that could not be told"))
    return error
