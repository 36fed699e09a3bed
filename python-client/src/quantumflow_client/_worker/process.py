"""Processes for handlers that compute: one each at a time, killed where it has to end.

A process is begun when a handler needs one, used anew by the next, and never shared: what one does,
a crash, an exit, a hang, concerns its own task alone. The thread of the handler's slot waits for
it, and answers what it asks; another thread looks who has to be killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from quantumflow_client._log import logger
from quantumflow_client.errors import ProcessDied

from .child import Answer, Job, Question, sendable

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS_MOST = 500
"""After how many tasks a process is replaced: what they leave behind adds up."""

IDLE_MOST = 60.0
"""For how many seconds a process is kept that nobody needs."""

GRACE = 1.0
"""How many seconds a handler has to end that was told to stop."""

_LOOK_EVERY = 0.1
"""How many seconds lie between two looks who has to be killed."""

_END = 5.0
"""How many seconds a process that was killed may take to be gone."""

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from quantumflow_client._worker.child import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


class Supervised(Protocol):
    """An execution, as far as its process is concerned. For any thread."""

    deadline: float
    told_to_stop_at: float | None

    def is_cancelled(self) -> bool:
        """Whether the handler is to stop."""

    def heartbeat(self) -> bool:
        """Extend the lease now."""

    def fetch(self, call: Any) -> Any:
        """Carry out a handler's call."""


class Processes:
    """The processes of a worker; none until a handler needs one. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._busy: dict[_Process, Supervised] = {}
        self._watch: threading.Thread | None = None
        self._is_closed = False

    def do(self, job: Job, execution: Supervised) -> Answer:
        """Have a task done in a process.

        Raises:
            ProcessDied: It ended before the handler did.
        """
        process = self._take(execution)
        try:
            answer = process.do(job, execution)
        except BaseException:
            self._give_back(process, is_good=False)
            raise
        self._give_back(process, is_good=process.tasks < TASKS_MOST)
        return answer

    def close(self) -> None:
        """Kill them all."""
        with self._lock:
            self._is_closed = True
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for process in idle:
            process.discard()
        for process in busy:
            process.kill("the worker has ended")

    def _take(self, execution: Supervised) -> _Process:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    self._busy[process] = execution
                    return process
                process.discard()
        process = _Process()
        with self._lock:
            is_closed = self._is_closed
            self._busy[process] = execution
            if self._watch is None:
                self._watch = threading.Thread(
                    target=self._main, name="quantumflow-processes", daemon=True
                )
                self._watch.start()
        if is_closed:
            process.kill("the worker has ended")
        return process

    def _give_back(self, process: _Process, *, is_good: bool) -> None:
        with self._lock:
            del self._busy[process]
            if is_good and not process.is_doomed and not self._is_closed:
                process.idle_since = time.monotonic()
                self._idle.append(process)
                return
        process.discard()

    def _main(self) -> None:
        """Look who has to be killed, as long as there is anybody."""
        while True:
            time.sleep(_LOOK_EVERY)
            now = time.monotonic()
            with self._lock:
                late = [p for p in self._idle if now >= p.idle_since + IDLE_MOST]
                self._idle = [process for process in self._idle if process not in late]
                if not self._idle and not self._busy and not late:
                    self._watch = None
                    return
                doomed = []
                for process, execution in self._busy.items():
                    if (why := _has_to_end(process, execution, now)) is not None:
                        # From here on no other task is given to it.
                        process.is_doomed = True
                        doomed.append((process, why))
            for process in late:
                process.discard()
            for process, why in doomed:
                process.kill(why)


def _has_to_end(process: _Process, execution: Supervised, now: float) -> str | None:
    """Why a process has to be killed, if it has."""
    if not process.is_alive:
        # What it has begun may hold its end of the socket.
        return "it has ended"
    if now >= execution.deadline:
        return "its task's time was over"
    stop_at = execution.told_to_stop_at
    if stop_at is not None and now >= stop_at + GRACE:
        return "its handler did not end when told to stop"
    return None


class _Process:
    """A process: one task at a time.

    Attributes:
        tasks: How many it was given.
        idle_since: When it was needed last.
        is_doomed: Whether it is about to be killed.
    """

    def __init__(self) -> None:
        self.tasks = 0
        self.is_doomed = False
        self.idle_since = 0.0
        self._killed: str | None = None
        self._lock = threading.Lock()
        ours, its = socket.socketpair()
        its_life, self._life = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
                    "-c",
                    _BOOT,
                    json.dumps([path or str(Path.cwd()) for path in sys.path]),
                    str(its.fileno()),
                    str(its_life),
                ],
                pass_fds=(its.fileno(), its_life),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(self._life)
            raise
        finally:
            its.close()
            os.close(its_life)
        self._socket = ours
        self._connection = Connection(os.dup(ours.fileno()))

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended. Who has is not laid to rest: its number stays its own."""
        if self._process.returncode is not None:
            return False
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self._process.pid, how) is None
        except ChildProcessError:
            return False

    def do(self, job: Job, execution: Supervised) -> Answer:
        """Have a task done.

        Raises:
            ProcessDied: It ended before the handler did.
        """
        self.tasks += 1
        try:
            self._connection.send(job)
            while True:
                message = self._connection.recv()
                if isinstance(message, Answer):
                    return message
                if isinstance(message, Question):
                    self._connection.send(_answer(message, execution))
                elif isinstance(message, logging.LogRecord):
                    _log(message)
        except Exception as error:  # what comes from there may be cut off, or be nothing of ours
            self.kill()
            code = self._process.returncode
            how = _said_of(code) if self._killed is None else f"was killed: {self._killed}"
            raise ProcessDied(how, exit_code=code) from error

    def kill(self, why: str | None = None) -> None:
        """End it, and all that it has begun.

        Args:
            why: For what; None: it has ended by itself.
        """
        with self._lock:
            if self._process.returncode is not None:
                return
            if self.is_alive:
                self._killed = why
            # What it began is of its group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END)
            # Wakes who waits for it, whoever else holds the other end.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def discard(self) -> None:
        """End it; nobody waits for it any more."""
        self.kill()
        self._connection.close()
        self._socket.close()
        with suppress(OSError):
            os.close(self._life)


def _answer(question: Question, execution: Supervised) -> Answer:
    answer: Callable[..., Any] = getattr(execution, question.method)
    try:
        return Answer(answer(*question.arguments))
    except BaseException as error:
        return Answer(error=sendable(error))


def _log(record: logging.LogRecord) -> None:
    """Let the worker's handlers have a record of a process."""
    log = logging.getLogger(record.name)
    try:
        if log.isEnabledFor(record.levelno):
            log.handle(record)
    except BaseException as error:
        logger.error("a log record of a process raised %r", type(error))


def _said_of(code: int | None) -> str:
    if code is None:
        return "is in a state that cannot be ended"
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
