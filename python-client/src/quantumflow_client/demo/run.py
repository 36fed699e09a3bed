"""Runs the demo: a server, two workers, a kill, a third worker, and the proofs."""

from __future__ import annotations

import fcntl
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from quantumflow_client.client import Client
from quantumflow_client.embedded import EmbeddedServer
from quantumflow_client.page.facts import Facts, read
from quantumflow_client.page.render import page as page_of

from . import goal, page, queries, verify
from .census import census
from .progress import Progress, Row, Screen
from .worker import full_name

LEASE = timedelta(seconds=5)
"""How long a dead worker's tasks stay its own."""

_CONCURRENCY = 8
_KILL_AT = 0.25
"""Which part of the files is done when a worker is killed."""

_PATIENCE = 120.0
"""Seconds without any progress after which the demo gives up."""


def run_demo(
    directory: Path,
    *,
    workers: int = 2,
    kill: bool = True,
    limit: int | None = None,
    open_page: bool = False,
    screen: Screen | None = None,
) -> int:
    """Take the census, and check it.

    Args:
        directory: Where the embedded PostgreSQL lives; it keeps running.
        workers: How many worker processes to begin with.
        kill: Whether to kill one of them in the middle of its work, and start another.
        limit: How many files to look at; None: all.
        open_page: Whether to open the page in a browser.
        screen: Where to write; by default the standard output.

    Returns:
        The exit code: 0, or 1 if anything is not as it should be.

    Raises:
        EmbeddedServerError: There is no server.
        DemoFailed: It could not go on to its end.
    """
    screen = screen or Screen()
    directory = directory.absolute()
    files = directory / "demo"
    server = EmbeddedServer(directory)
    screen.say(
        screen.paint(f"A census of Python {platform.python_version()}'s own library", bold=True)
    )
    screen.say()
    with ExitStack() as stack:
        stack.enter_context(_ending_on_sigterm())
        server.start()
        dsn = server.create_database()
        stack.enter_context(_alone(files))
        connection = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        screen.say(f"  {queries.server(connection)}, in {server.home}")
        demo = _Demo(
            screen=screen,
            connection=connection,
            client=stack.enter_context(Client(dsn)),
            dsn=dsn,
            files=files,
            limit=limit,
        )
        good = demo.take_census(workers, kill=kill) and demo.reach_goal()
    _say_how_to_look(screen, server, directory, demo.page, demo.goal_page)
    if open_page:
        webbrowser.open(demo.page.as_uri())
    return 0 if good else 1


class DemoFailed(Exception):  # noqa: N818 - as RunFailed
    """The demo could not go on to its end; the message says why."""


@dataclass(slots=True)
class _Hand:
    """A worker process, and what became of it."""

    name: str
    process: subprocess.Popen[bytes]
    application_name: str
    log: Path
    worker_id: UUID | None = None
    killed_at: datetime | None = None
    held: int = 0

    @property
    def full_name(self) -> str:
        """What it registered as."""
        return full_name(self.name, self.process.pid)


@dataclass(slots=True)
class _Demo:
    """One census."""

    screen: Screen
    connection: psycopg.Connection[Any]
    client: Client
    dsn: str
    files: Path
    limit: int | None
    hands: list[_Hand] = field(default_factory=list)

    @property
    def page(self) -> Path:
        """Where the report goes."""
        return self.files / "census.html"

    @property
    def goal_page(self) -> Path:
        """Where the page of the second act goes."""
        return self.files / "goal.html"

    @property
    def victim(self) -> _Hand | None:
        """The worker that was killed."""
        return next((hand for hand in self.hands if hand.killed_at is not None), None)

    def take_census(self, workers: int, *, kill: bool) -> bool:
        """Run the workflow and check it; whether all is well."""
        for run_id in queries.unfinished_runs(self.connection, census.slug):
            self.client.cancel(run_id, "the demo that started it was ended")
        self.page.unlink(missing_ok=True)
        self.goal_page.unlink(missing_ok=True)
        self.client.deploy(census)
        run_id = self.client.start_flow(census.slug, {"limit": self.limit, "page": str(self.page)})
        self.screen.say(
            f"  run {run_id}: {workers} worker process{'es' if workers > 1 else ''}, "
            f"leases of {LEASE.total_seconds():g} s"
        )
        self.screen.say()
        try:
            with self._ending_workers():
                for _ in range(workers):
                    self._start_worker(run_id)
                self._watch(run_id, kill=kill)
        except BaseException:
            self.screen.keep()
            self._cancel(run_id)
            raise
        return self._verify(run_id)

    def reach_goal(self) -> bool:
        """The second act: decompose a goal in words, and run what it comes to; whether all is well.

        Its functions are called here, in the demo's own process.
        """
        say = self.screen.say
        say()
        say(self.screen.paint(f'A goal in words: "{goal.GOAL}"', bold=True))
        say()
        result = goal.reach(self.client)
        run_id = result.run_id
        if run_id is None or not result.ok:
            say(f"  {self.screen.paint(self.screen.bad, 'red')} {result.error}")
            return False
        found = read(lambda call: call.on(self.connection), run_id)
        for line in found.goal.tree if found.goal else []:
            say(f"  {'  ' * line.depth}{line.name}{f'  {line.status}' if line.status else ''}")
        say()
        say(f"  {self.screen.paint(self.screen.good, 'green')} {result.outputs['answer__tell']}")
        self.goal_page.write_text(page_of(found), encoding="utf-8")
        return True

    # The workers

    def _start_worker(self, run_id: UUID) -> _Hand:
        name = f"worker {len(self.hands) + 1}"
        application_name = f"{run_id} {name}"
        log = self.files / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "quantumflow_client.demo.worker",
                    name,
                    str(_CONCURRENCY),
                    str(LEASE.total_seconds()),
                ],
                cwd=self.files,  # where no file of the user's can be taken for a module
                env=os.environ
                | {"QUANTUMFLOW_DSN": make_conninfo(self.dsn, application_name=application_name)},
                stdin=subprocess.PIPE,  # its end tells the worker that we are gone
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        hand = _Hand(name, process, application_name, log)
        self.hands.append(hand)
        return hand

    @contextmanager
    def _ending_workers(self) -> Iterator[None]:
        try:
            yield
        finally:
            for hand in self.hands:
                hand.process.terminate()
            for hand in self.hands:
                try:
                    hand.process.wait(5)
                except subprocess.TimeoutExpired:
                    hand.process.kill()
                    hand.process.wait()
                assert hand.process.stdin is not None
                hand.process.stdin.close()

    def _kill(self, hand: _Hand, run_id: UUID) -> bool:
        """Kill a worker, but only while it holds tasks; whether it did.

        It is stopped first. When the server has done what the worker had asked for, nothing about
        its tasks can change any more, and the database tells what it holds.
        """
        hand.worker_id = queries.worker_named(self.connection, hand.full_name)
        if hand.worker_id is None:
            return False
        hand.process.send_signal(signal.SIGSTOP)
        is_quiet = self._wait_until_quiet(hand)
        hand.held = queries.tasks_held(self.connection, run_id, hand.worker_id)
        if hand.held == 0 or not is_quiet:
            hand.process.send_signal(signal.SIGCONT)
            return False
        hand.killed_at = datetime.now(timezone.utc)
        hand.process.kill()
        hand.process.wait()
        return True

    def _wait_until_quiet(self, hand: _Hand) -> bool:
        """Wait until the server has done what a stopped worker asked for; whether it has.

        It has not while it waits for the worker to take a long answer.
        """
        end = time.monotonic() + 1
        while queries.is_busy(self.connection, hand.application_name):
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    # The run

    def _watch(self, run_id: UUID, *, kill: bool) -> None:
        """Show how the run goes on until it has ended, and kill a worker in the middle."""
        progress = Progress(self.screen)
        began = time.monotonic()
        last, moved = "", began
        redelivered = False
        while True:
            status = self.client.status(run_id)
            now = time.monotonic()
            lost = sum(step["tasks"]["failures"] for step in status["steps"])
            progress.draw(status, self._rows(run_id, lost))
            if status["status"] != "started":
                break
            parse = next(step["tasks"] for step in status["steps"] if step["step_slug"] == "parse")
            victim = self.victim
            if kill and victim is None:
                if parse.get("completed", 0) > parse["total"] * _KILL_AT:
                    hand = self.hands[0]
                    if self._kill(hand, run_id):
                        new = self._start_worker(run_id)
                        self._tell(
                            now - began,
                            f"{hand.name} is killed (SIGKILL), holding {_tasks(hand.held)}; "
                            f"{new.name} starts",
                        )
            elif victim is not None and not redelivered and lost >= victim.held:
                redelivered = True
                self._tell(
                    now - began,
                    f"the leases of {victim.name} are over: its tasks are back in the queue",
                )
            counts = str([step["tasks"] for step in status["steps"]])
            if counts != last:
                last, moved = counts, now
            self._check_workers(now - moved)
            time.sleep(0.02 if kill and victim is None else 0.1)
        self.screen.keep()
        self.screen.say()
        if status["status"] != "completed":
            raise DemoFailed(f"run {run_id} {status['status']}: {status['error_message']}")
        if kill and self.victim is None:
            raise DemoFailed(
                "the run was over before a worker could be killed: take more files, or --no-kill"
            )

    def _tell(self, seconds: float, what: str) -> None:
        self.screen.say(f"  {seconds:4.1f} s  {what}")

    def _check_workers(self, unmoved: float) -> None:
        """Give up when a worker has ended by itself, or nothing happens."""
        for hand in self.hands:
            if hand.killed_at is None and hand.process.poll() is not None:
                raise DemoFailed(
                    f"{hand.name} ended by itself, with {hand.process.returncode}: {_end(hand.log)}"
                )
        if unmoved > _PATIENCE:
            raise DemoFailed(
                f"nothing has happened for {unmoved:.0f} s: {_end(self.hands[-1].log)}"
            )

    def _rows(self, run_id: UUID, lost: int) -> list[Row]:
        done = queries.tasks_done(self.connection, run_id)
        rows = []
        for hand in self.hands:
            if hand.worker_id is None:
                hand.worker_id = queries.worker_named(self.connection, hand.full_name)
            if hand.worker_id is None:
                rows.append(Row(hand.name, "starts"))
            elif hand.killed_at is None:
                rows.append(Row(hand.name, f"{done[hand.worker_id]:,} done"))
            else:
                note = f"{done[hand.worker_id]:,} done, killed with {_tasks(hand.held)} in hand"
                note += f", {lost} put back in the queue" if lost else ""
                rows.append(Row(hand.name, note, "red"))
        return rows

    def _cancel(self, run_id: UUID) -> None:
        """Cancel a run that the demo does not see to its end, unless it has one."""
        try:
            if self.client.status(run_id)["status"] == "started":
                self.client.cancel(run_id, "the demo was interrupted")
        except psycopg.Error:
            pass  # the server is gone; the next demo cancels it

    # The proofs

    def _verify(self, run_id: UUID) -> bool:
        """Check the run that has ended, write the page anew with what was found, and say it."""
        screen = self.screen
        plain = verify.plain_loop(
            self.limit,
            lambda done, of: screen.draw(
                [f"  the same in a plain loop: {done:,} of {of:,} files"],
                f"  the same in a plain loop: {done:,} of {of:,} files",
            ),
        )
        victim = self.victim
        checks = verify.checks(
            self.connection,
            run_id,
            plain,
            self.page,
            victim=None if victim is None else victim.worker_id,
        )
        facts = read(lambda call: call.on(self.connection), run_id)
        verdict = page.Verdict(checks)
        page.write(
            self.page,
            facts,
            queries.output_of(self.connection, run_id, "rank"),
            server=queries.server(self.connection),
            killed_at=None if victim is None else victim.killed_at,
            verdict=verdict,
        )
        for title, problem in checks:
            if problem is None:
                screen.say(f"  {screen.paint(screen.good, 'green')} {title}")
            else:
                screen.say(f"  {screen.paint(screen.bad, 'red')} {title}: no, {problem}")
        screen.say()
        self._say_figures(facts, plain)
        return verdict.is_good

    def _say_figures(self, facts: Facts, plain: verify.Plain) -> None:
        say, totals = self.screen.say, plain.totals
        done = sum(step.total for step in facts.steps)
        workers = len({a.worker for a in facts.attempts if a.worker})
        most, files = totals["imports"][0] if totals["imports"] else ("nothing", 0)
        say(
            f"  {totals['files']:,} files, {totals['lines']:,} lines, "
            f"{totals['functions']:,} functions; {most} is imported by {files:,} of them"
        )
        say(
            f"  workflow     {done:,} tasks in {facts.seconds:.1f} s, each of them durable, in "
            f"{workers} processes"
        )
        say(f"  plain loop   {len(plain.results):,} files in {plain.seconds:.1f} s, in one process")
        say(f"  redelivered  {_tasks(len(facts.lost))}")


_LOOK = (
    "select id, status, completed_at - started_at as took "
    "from quantumflow.workflow_runs order by id desc limit 5"
)


def _say_how_to_look(
    screen: Screen, server: EmbeddedServer, directory: Path, page: Path, goal_page: Path
) -> None:
    program = _program()
    where = ""
    if directory != Path(".quantumflow").absolute():
        where = f" --directory {shlex.quote(str(directory))}"
    psql = shlex.join([str(server.bindir / "psql"), server.dsn(), "-c", _LOOK])
    screen.say()
    screen.say(f"  page         {page}")
    if goal_page.exists():
        screen.say(f"  goal         {goal_page}")
    screen.say(f"  runs         {psql}")
    screen.say(f"  psql         {program} dev{where} --psql")
    screen.say(f"  server       keeps running, until: {program} dev{where} --stop")


def _program() -> str:
    """How this program is called from here."""
    called = Path(sys.argv[0]).absolute()
    if called.name != "quantumflow" or shutil.which("quantumflow") == str(called):
        return "quantumflow"
    here = Path.cwd()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) else called))


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"


def _end(log: Path) -> str:
    return log.read_text("utf-8", errors="replace")[-2000:].strip() or "it wrote nothing"


@contextmanager
def _alone(files: Path) -> Iterator[None]:
    """Refuse to run beside another demo: each cancels what the other has started."""
    files.mkdir(parents=True, exist_ok=True)
    with (files / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"another demo runs in {files.parent}") from None
        yield


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo in order, its workers first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
