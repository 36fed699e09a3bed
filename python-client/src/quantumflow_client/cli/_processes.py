"""Several worker processes: a parent starts them, and others for those that crash, until all end.

Each child has a pipe to the parent. The parent says on it how urgently to stop; its end means that
the parent is gone, and a child then stops too. A child says on it how it ended; one that dies
without a word has crashed. Signals go to the parent: a child that gets one as well, from a terminal
or an init system, stops, but no sooner than the parent says.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client._log import logger
from quantumflow_client._worker.signals import STOPPING, Listening
from quantumflow_client.worker import Stopping

from ._errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import FrameType

    from quantumflow_client.worker import Worker

    Program = Callable[[Connection, int], None]

RESTART_FIRST, RESTART_MOST = 0.5, 30.0
"""How many seconds after a crash another process is started: doubled each time."""

SETTLED = 60.0
"""After how many seconds of work a process's crashes are forgotten."""

_OTHERS_MAY_DO_BETTER = (Exit.OK, Exit.UNREACHABLE, Exit.HUNG)
"""How a process may end that is replaced, unless it had nothing to do."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A child's last word."""

    tasks_run: int = 0
    exit_code: Exit = Exit.OK


class _Place:
    """Where a child is, or is to be."""

    def __init__(self, number: int, program: Program) -> None:
        self.tasks_run = 0
        self.due: float | None = 0.0
        self.process: SpawnProcess | None = None
        self._number = number
        self._program = program
        self._delay = 0.0
        self._started_at = 0.0

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, childs = context.Pipe()
        self.process = context.Process(target=self._program, args=(childs, self._number))
        self.process.start()
        childs.close()
        self._started_at = time.monotonic()
        self.due = None

    def stop(self, how: Stopping) -> None:
        self.due = None
        if self.process is not None:
            with suppress(OSError):
                self._pipe.send(how)

    def end(self) -> Ended | None:
        """The last word of a child that is dead; None: it had none."""
        assert self.process is not None
        ended: Ended | None = None
        with suppress(EOFError, OSError):
            # Not waiting: processes that it has left behind may hold the other end.
            ended = self._pipe.recv() if self._pipe.poll() else None
        self._pipe.close()
        code = self.process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        self.obituary = f"worker process {self.process.pid} {how}"
        self.process = None
        if ended is not None:
            self.tasks_run += ended.tasks_run
        return ended

    def restart(self) -> None:
        now = time.monotonic()
        if now >= self._started_at + SETTLED:
            self._delay = 0.0
        self._delay = min(max(self._delay * 2, RESTART_FIRST), RESTART_MOST)
        self.due = now + self._delay
        logger.warning("%s: another one in %.1f s", self.obituary, self._delay)


def run(program: Program, count: int, *, ends_by_itself: bool) -> Ended:
    """Run worker processes until they were told to stop, or have nothing to do.

    Args:
        program: What a child does, with its end of the pipe and its number.
        count: How many there are.
        ends_by_itself: Whether a child that ends without an error is not replaced.

    Returns:
        How many tasks were run, as far as children could tell, and how to end: with the error of
        the first child that cannot go on, which has reported it.
    """
    family = _Family([_Place(number, program) for number in range(1, count + 1)], ends_by_itself)
    with _signals() as (received, signalled):
        while True:
            family.bury()
            family.stop(Stopping(min(len(received), Stopping.NOW)))
            pause = family.start(time.monotonic())
            if pause is None and family.is_gone():
                return Ended(family.tasks_run(), family.exit_code)
            if select.select([signalled], [], [], pause)[0]:
                os.read(signalled, 1000)


class _Family:
    """The children, and what becomes of them."""

    def __init__(self, places: Sequence[_Place], ends_by_itself: bool) -> None:
        self.exit_code = Exit.OK
        self._places = places
        self._ends_by_itself = ends_by_itself
        self._stopping = Stopping.NO

    def bury(self) -> None:
        """Look who is dead, and replace those for whom another may do better."""
        for place in self._places:
            if place.process is None or place.process.is_alive():
                continue
            ended = place.end()
            if ended is not None and ended.exit_code not in _OTHERS_MAY_DO_BETTER:
                self.exit_code = self.exit_code or ended.exit_code
            elif self._stopping is Stopping.NO:
                if ended is None or ended.exit_code is not Exit.OK or not self._ends_by_itself:
                    place.restart()
            elif ended is None:
                logger.warning("%s while it was to stop", place.obituary)
                self.exit_code = self.exit_code or Exit.UNWELL

    def stop(self, how: Stopping) -> None:
        """Stop all of them if somebody wants that, or one of them cannot go on."""
        if self.exit_code is not Exit.OK:
            how = max(how, Stopping.SOON)
        if how is not self._stopping:
            self._stopping = how
            for place in self._places:
                place.stop(how)

    def start(self, now: float) -> float | None:
        """Start those that are due; in how many seconds the next one is."""
        pauses = []
        for place in self._places:
            if place.due is not None and now >= place.due:
                place.start()
            elif place.due is not None:
                pauses.append(place.due - now)
        return min(pauses, default=None)

    def is_gone(self) -> bool:
        """Whether none is left."""
        return all(place.process is None for place in self._places)

    def tasks_run(self) -> int:
        """How many tasks those ran that could tell."""
        return sum(place.tasks_run for place in self._places)


@contextmanager
def _signals() -> Iterator[tuple[list[int], int]]:
    """The signals to stop so far, and what can be read after another one or a child's end.

    After the second one, the next has its usual effect.
    """
    received: list[int] = []
    signalled, signal_now = os.pipe()
    os.set_blocking(signal_now, False)

    def look(_number: int, _frame: FrameType | None) -> None:
        with suppress(BlockingIOError):
            os.write(signal_now, b"!")

    def listen(number: int, frame: FrameType | None) -> None:
        received.append(number)
        look(number, frame)
        if len(received) == Stopping.NOW:
            listening.restore()

    listening = Listening(dict.fromkeys(STOPPING, listen))
    looking = Listening({signal.SIGCHLD: look})
    try:
        yield received, signalled
    finally:
        listening.restore()
        looking.restore()
        os.close(signal_now)
        os.close(signalled)


def begin_child() -> None:
    """Let Ctrl-C, which goes to children too, interrupt nothing before the worker is there."""
    Listening({signal.SIGINT: lambda *_: None})


def obey(pipe: Connection, worker: Worker) -> None:
    """Stop a worker when the parent says so or is gone, or at a signal."""

    def listen() -> None:
        try:
            while True:
                worker.stop(pipe.recv())
        except (EOFError, OSError):
            pass
        finally:
            worker.stop()

    threading.Thread(target=listen, name="quantumflow-parent", daemon=True).start()
    Listening(dict.fromkeys(STOPPING, lambda *_: worker.stop()))
