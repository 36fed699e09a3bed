"""What a worker does next. No clock, no database, no threads.

The loop tells what happened, and carries the actions out. A worker fills its free slots with
claimed tasks, and has some more waiting if they are quick; a task that was lost before has it for
itself. It collects what their handlers return, and reports it in batches. The call that reports
brings the next tasks, because that is when new work appears; with a backlog of quick ones it
reports on a second connection while it claims (see `apart`). Unreported results survive a lost
connection; what the database refuses is put aside (see `asides`). Asked to stop, it claims no more,
lets handlers finish, reports, and is done.
"""

from __future__ import annotations

import enum
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from quantumflow_client._sql.tasks import Completion, Failure

from .actions import (
    Claim,
    CloseSecond,
    Connect,
    Deliver,
    DeliverApart,
    Finish,
    Look,
    OpenSecond,
    Register,
    Release,
    Rest,
    Settle,
    Sweep,
)
from .apart import Apart
from .asides import BATCH_ROWS, Asides, Fate, batches
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from quantumflow_client._sql.tasks import Task, TaskRef
    from quantumflow_client._sql.workers import Settled

    from .actions import Action
    from .refusals import Refusal
    from .reports import Report

LINGER = 0.005
"""How many seconds after a claim its first results wait for the others."""

IDLE_FIRST, IDLE_MOST, IDLE_MOST_LISTENING = 0.01, 0.2, 1.0
"""How many seconds after an empty claim the next one comes: doubled each time, jittered.

A worker that hears of new work still looks for what nobody tells of: delays that end, leases that
run out. The database counts on it: see quantumflow._notify.
"""

IDLE_WOKEN = 0.05
"""How many seconds that delay is at most when a worker was woken."""

HERD_FIRST, HERD_MOST = 0.001, 0.004
"""How many seconds a woken worker waits at most before it claims: jittered, none if the claim
before found something, else doubled each time. One that was too late leaves others the start."""

NEWS_EVERY = 0.01
"""How many seconds lie between a claim and the next one that a notification makes, at the least,
of a worker that has tasks or was too late: a stream of them is not to make a claim of each task."""

RETRY_FIRST, RETRY_MOST = 0.1, 10.0
"""How many seconds after a failed call the next one comes: doubled each time, jittered."""

MISSING_MOST = 1.0
"""How many seconds that is at most where only the queue is missing: it may be made any time."""

CONFLICTS_MOST = 5
"""How often in a row a call that met another one is repeated at once."""

LOSSES_MOST = 3
"""How often in a row the same reports may lose the connection, until they are taken for refused."""

SWEEP_EVERY = 5.0
"""How many seconds there are between sweeps, jittered."""

SETTLE_EVERY, SETTLE_EVERY_DEAF = 5.0, 1.0
"""How many seconds there are between two calls that settle, at most: of what is due before the
next one, of a signal too, a worker that listens is told, and one that does not looks sooner."""

REGISTER_EVERY = 15.0
"""How many seconds there are between the times at which a worker says that it is there, whatever it
has to do: to be seen, and to be known again where its row is gone."""

GRACE = 2.0
"""How many seconds handlers have to end after a second request to stop."""


class Stopping(enum.IntEnum):
    """How urgently a worker was asked to stop."""

    NO = 0
    SOON = 1
    NOW = 2


class Core:
    """The state of one worker.

    Args:
        concurrency: How many handlers run at once.
        prefetch: How many tasks more it has at most, if they are quick.
        lease: How long a lease is, in seconds: how long a stopping worker tries to report its last
            results.
        once: Claim only once.
        until_idle: Finish when there is nothing to claim, nothing runs, and others have left
            nothing that this one may be able to do.
        second: Whether it may have a second connection to report on.
        random: A number from 0 to 1, for jitter.
        deadline: Until when a task must be reported.
        settles: Whether it settles what waits for a time or a signal.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        prefetch: int,
        lease: float,
        once: bool,
        until_idle: bool,
        second: bool,
        random: Callable[[], float],
        deadline: Callable[[TaskRef], float],
        settles: bool = False,
    ) -> None:
        self.tasks_run = 0
        self.is_connected = False
        self.stopping = Stopping.NO
        self._concurrency = concurrency
        self._lease = lease
        self._once = once
        self._until_idle = until_idle
        self._random = random
        self._pace = Pace(concurrency, 0 if once else prefetch)
        self._held = 0
        self._suspects: set[TaskRef] = set()
        self._expected = 0
        self._expected_by = 0.0
        self._outbox: deque[Report] = deque()
        self._asides = Asides(random=random, deadline=deadline)
        self._apart = Apart(may=second and not once)
        self._under_way: Sequence[Report] = ()
        self._is_turn_of_asides = False
        self._owed: set[TaskRef] = set()
        self._is_exchange_refused = False
        self._conflicts = 0
        self._losses = 0
        self._broken_at = -inf
        self._unstarted: list[TaskRef] = []
        self._unfit: dict[TaskRef, str] = {}
        self._claim_at = 0.0
        self._claimed_at = 0.0
        self._claim_delay = 0.0
        self._claim_not_before = 0.0
        self._idle_delay = 0.0
        self._idle_most = IDLE_MOST
        self._herd_delay = 0.0
        self._is_woken = False
        self._is_idle = False
        self._others_left: bool | None = None
        self.has_claimed = False
        self._sweep_at: float | None = None
        self._is_sweep_due = False
        self._settles = settles
        self._settle_at = inf
        self._settle_every = SETTLE_EVERY_DEAF
        self._is_tended = not settles
        self._register_at = 0.0
        self._retry_at = 0.0
        self._retry_delay = 0.0
        self._drained_at: float | None = None
        self._finish_by: float | None = None

    # What happened

    def connected(self, now: float) -> None:
        """Connect succeeded."""
        self.is_connected = True
        self._register_at = now + REGISTER_EVERY
        self._settle_at = now if self._settles else inf
        self._retry_delay = 0.0
        # Leases may have run out meanwhile: results go before what would find that. Unless it was
        # one of them that cost us the connection, just now.
        self._owe(report.ref for report in self._unreported())
        if now >= self._broken_at + self._lease / 2:
            self._asides.hasten(now)
            self._owe(self._asides.tasks())

    def disconnected(self) -> None:
        """The connection is gone; `failed` says so too."""
        self.is_connected = False

    def failed(self, now: float) -> float:
        """The last action failed and changed nothing: it comes again, after a growing delay.

        Returns:
            The delay in seconds.
        """
        self._retry_delay = self._grown(self._retry_delay)
        delay = self._jittered(self._retry_delay)
        self._retry_at = now + delay
        return delay

    def conflicted(self) -> bool:
        """The last action met another call and changed nothing.

        Returns:
            Whether it comes again at once; if not, it was refused.
        """
        self._conflicts += 1
        return self._conflicts <= CONFLICTS_MOST

    def broke(self, delivery: Deliver, now: float) -> bool:
        """The connection was lost by a delivery; `failed` says so too.

        Returns:
            Whether the reports are to be taken for refused: it may well be for them.
        """
        self._losses += 1
        is_refusal = self._is_trial(delivery.reports) or self._losses >= LOSSES_MOST
        if is_refusal:
            self._broken_at = now
        return is_refusal

    def refused(self, delivery: Deliver, refusal: Refusal, now: float) -> Fate:
        """The database refused a delivery.

        Returns:
            What becomes of its reports.
        """
        self._answered()
        is_trial = self._is_trial(delivery.reports)
        self._is_turn_of_asides = not is_trial and not delivery.quantity
        if is_trial:
            fate = self._asides.refused(refusal, now)
        elif delivery.quantity:
            # Perhaps it was only the claim.
            self._is_exchange_refused = True
            return Fate()
        else:
            self._leave_outbox(delivery.reports)
            fate = self._asides.add(delivery.reports, refusal, now)
        gone = {report.ref for report in fate.given_up}
        self._suspects -= gone
        self._owed = {
            task for task in self._owed if task not in gone and not self._asides.is_waiting(task)
        }
        return fate

    def claim_refused(self, now: float, most: float = RETRY_MOST) -> float:
        """The database refused a claim for now.

        Args:
            now: The time.
            most: How many seconds later the next one comes at most.

        Returns:
            After how many seconds it comes.
        """
        self._conflicts = 0
        self._claim_delay = self._grown(self._claim_delay, most)
        delay = self._jittered(self._claim_delay)
        self._claim_not_before = now + delay
        return delay

    def claimed(self, tasks: Collection[Task], *, asked: int, now: float) -> None:
        """A claim was answered."""
        self._answered()
        self._claim_delay = 0.0
        self._is_turn_of_asides = True
        self.has_claimed = True
        self._claimed_at = now
        self._is_idle = not tasks and not self._held and not self._under_way and not self._asides
        self._others_left = None
        kept_waiting = self._held < self._concurrency and self._pace.ahead > 0
        self._apart.claimed(tasks, asked=asked, kept_waiting=kept_waiting, now=now)
        self._held += len(tasks)
        self._suspects.update(task.ref for task in tasks if task.losses)
        self._expected += len(tasks)
        self._expected_by = now + LINGER
        self._pace.weighed(len(tasks), sum(task.size for task in tasks))
        if tasks:
            self._herd_delay = 0.0
            self._is_tended = not self._settles
        elif self._is_woken:
            self._herd_delay = min(max(self._herd_delay * 2, HERD_FIRST), HERD_MOST)
        self._is_woken = False
        if tasks:
            self._idle_delay = 0.0
            self._claim_at = now if len(tasks) >= asked else now + IDLE_FIRST
        else:
            self._idle_delay = min(max(self._idle_delay * 2, IDLE_FIRST), self._idle_most)
            self._claim_at = now + self._jittered(self._idle_delay)
        if self._is_idle:
            self._pace.restart()

    def ended(self, reports: Collection[Report], seconds: float) -> None:
        """Handlers have ended, which ran for so many seconds altogether."""
        self._freed(len(reports))
        self._pace.timed(len(reports), seconds)
        self.tasks_run += len(reports)
        self._outbox.extend(reports)

    def settled(self, task: TaskRef, seconds: float, now: float) -> None:
        """A handler has ended, which ran for so long, and there is nothing to report."""
        self._suspects.discard(task)
        self._freed(1)
        self._pace.timed(1, seconds)
        self.tasks_run += 1
        self._idle_delay = 0.0
        self._claim_at = now

    def unstarted(self, task: TaskRef, unfit: str | None = None) -> None:
        """A task was claimed, but its handler will not be called, or was stopped by us.

        Args:
            task: The task.
            unfit: Why the code at hand cannot take it.
        """
        self._freed(1)
        self._pace.restart()
        self._unstarted.append(task)
        if unfit is not None:
            self._unfit[task] = unfit

    def left(self, task: TaskRef, now: float) -> None:
        """A handler runs on without its task, which is over; its slot is free again."""
        self._suspects.discard(task)
        self._freed(1)
        self._claim_at = now

    def pause(self, until: float) -> None:
        """What was claimed cannot be begun: claim no more until then."""
        self._claim_not_before = max(self._claim_not_before, until)

    def delivered(self, reports: Sequence[Report], now: float) -> None:
        """Reports were answered, whatever the answers."""
        if reports is self._under_way:
            self._under_way = ()
        else:
            self._answered()
            is_trial = self._is_trial(reports)
            self._is_turn_of_asides = not is_trial
            if is_trial:
                self._asides.delivered()
            else:
                self._leave_outbox(reports)
        self._apart.reported(reports)
        tasks = [report.ref for report in reports]
        self._owed.difference_update(tasks)
        self._suspects.difference_update(tasks)
        self._is_idle = False
        self._idle_delay = 0.0
        self._claim_at = now

    def returned(self) -> None:
        """What was delivered apart failed: it goes the ordinary way, which knows why."""
        self._outbox.extendleft(reversed(self._under_way))
        self._under_way = ()
        self._apart.failed()

    def second_opened(self, now: float) -> None:
        """There is a second connection."""
        self._apart.opened(now)

    def second_lost(self, now: float) -> None:
        """There is none, or none any more."""
        self._apart.lost(now)

    def released(self) -> None:
        """Release was answered."""
        self._answered()
        self._suspects.difference_update(self._unstarted)
        self._unstarted, self._unfit = [], {}

    def looked(self, *, others_left: bool) -> None:
        """Whether others have left something to other code that this one may be able to do.

        It comes back in a moment, up to a minute.
        """
        self._answered()
        self._others_left = others_left

    def woken(self, now: float) -> None:
        """Somebody says that there is new work."""
        self._idle_delay = min(self._idle_delay, IDLE_WOKEN)
        self._is_woken = True
        claim_at = now + self._herd_delay * self._random()
        if self._held or self._herd_delay:
            claim_at = max(claim_at, self._claimed_at + NEWS_EVERY)
        self._claim_at = min(self._claim_at, claim_at)

    def listening(self, is_listening: bool) -> None:
        """Whether somebody would say so has changed."""
        self._idle_most = IDLE_MOST_LISTENING if is_listening else IDLE_MOST
        self._settle_every = SETTLE_EVERY if is_listening else SETTLE_EVERY_DEAF

    def due(self, now: float) -> None:
        """Somebody says that there is something to settle, or will be soon."""
        self._settle_at = min(self._settle_at, now)

    def tended(self, settled: Settled, now: float) -> None:
        """Settle was answered."""
        due_in = self._settle_every if settled.due_in is None else settled.due_in
        self._settle_at = now + min(due_in, self._settle_every)
        self._is_tended = not settled.tasks and due_in > 0
        if settled.tasks:
            # What that made ready.
            self._is_idle = False
            self._idle_delay = 0.0
            self._claim_at = now

    def not_tended(self, now: float, *, never: bool) -> None:
        """Settle was refused: it comes again later, or never on this connection."""
        self._settle_at = inf if never else now + SETTLE_EVERY
        self._is_tended = True

    def stop(self, now: float, how: Stopping = Stopping.SOON) -> None:
        """Somebody wants the worker to end."""
        self.stopping = max(self.stopping, how)
        if self.stopping is Stopping.NOW and self._finish_by is None:
            self._finish_by = now + GRACE

    @property
    def held(self) -> int:
        """How many tasks the worker has that it has neither reported nor handed back."""
        unreported = len(self._outbox) + len(self._under_way) + len(self._asides)
        return self._held + unreported + len(self._unstarted)

    # What to do about it

    def next(self, now: float) -> Action:
        """The next action."""
        if self._is_done(now):
            return Finish()
        if now < self._retry_at:
            return self._rest(now, self._retry_at)
        if not self.is_connected:
            return Connect()
        if now >= self._register_at and not self._is_draining:
            self._register_at = now + REGISTER_EVERY
            return Register()
        if self._unstarted:
            return Release(self._unstarted, self._unfit)
        if self._expected and now >= self._expected_by:
            self._expected = 0
        if self._is_to_settle(now):
            return Settle()
        if self._until_idle and self._is_idle and self._others_left is None and self.held == 0:
            return Look()
        if self._is_to_sweep(now):
            self._is_sweep_due = False
            self._sweep_at = now + self._jittered(SWEEP_EVERY)
            return Sweep()
        if not self._under_way and self._apart.is_to_close(now):
            return CloseSecond()
        if not self._is_draining and self._apart.is_to_open(now):
            return OpenSecond()
        # By turns, so that neither waits for all of the other.
        turns = [self._next_delivery, self._next_claim, self._next_trial]
        if self._is_turn_of_asides:
            turns = [self._next_trial, self._next_delivery, self._next_claim]
        for turn in turns:
            if (action := turn(now)) is not None:
                return action
        # Until they are answered, those that are under way keep others waiting.
        results = None if self._goes_apart and self._under_way else self._missing() or 1
        return self._rest(now, *self._what_comes(), results=results)

    def _is_to_settle(self, now: float) -> bool:
        """Whether to settle; one that ends when it is idle does so before it is."""
        is_last = self._until_idle and self._is_idle and not self._is_tended
        return not self._is_draining and (now >= self._settle_at or is_last)

    def _is_to_sweep(self, now: float) -> bool:
        """Whether to sweep: not before what has waited for it is reported, or put aside."""
        if self._sweep_at is None:
            self._sweep_at = now + SWEEP_EVERY * self._random()
        if now < self._sweep_at or self._is_draining:
            return False
        if not self._is_sweep_due:
            self._is_sweep_due = True
            self._owe(report.ref for report in self._unreported())
        return not self._owed

    def _next_delivery(self, now: float) -> Action | None:
        if not self._outbox or self._missing():
            return None
        batch = self._batch()
        if self._goes_apart:
            if self._under_way:
                return None
            self._leave_outbox(batch)
            self._under_way = batch
            return DeliverApart(batch)
        is_last = len(batch) == len(self._outbox) and self._owed.issubset(r.ref for r in batch)
        is_exchange = is_last and isinstance(batch[0], Completion) and self._may_claim(now)
        return Deliver(batch, self._quantity() if is_exchange else 0)

    def _next_claim(self, now: float) -> Action | None:
        if self._reports_first or not self._wants_tasks or not self._may_claim(now):
            return None
        return Claim(self._quantity()) if now >= self._claim_at else None

    def _next_trial(self, now: float) -> Action | None:
        return Deliver(self._asides.next(now)) if self._asides.is_due(now) else None

    def _what_comes(self) -> list[float]:
        """The times at which there may be something to do."""
        times = [self._expected_by] if self._expected else []
        if not self._is_draining:
            times.append(self._register_at)
            times.append(self._settle_at)
        if not self._is_draining and not self._is_sweep_due and self._sweep_at is not None:
            times.append(self._sweep_at)
        if self._wants_tasks and not self._reports_first:
            times.append(max(self._claim_at, self._claim_not_before))
        if self._asides:
            times.append(self._asides.due)
        if (close_at := self._apart.close_at) is not None and not self._under_way:
            times.append(close_at)
        return times

    @property
    def _reports_first(self) -> bool:
        """Whether there are reports that no claim goes before."""
        return bool(self._owed) or (bool(self._outbox) and not self._goes_apart)

    @property
    def _goes_apart(self) -> bool:
        """Whether reports go on the second connection."""
        return self._apart.is_on and not self._is_draining

    def _unreported(self) -> Iterator[Report]:
        yield from self._under_way
        yield from self._outbox

    @property
    def _is_draining(self) -> bool:
        return self.stopping is not Stopping.NO or (self._once and self.has_claimed)

    def _is_done(self, now: float) -> bool:
        if self._finish_by is not None and now >= self._finish_by:
            return True
        if self._held:
            return False
        if self.held == 0:
            is_idle = self._is_idle and self._others_left is False and self._is_tended
            return self._is_draining or (self._until_idle and is_idle)
        if not self._is_draining:
            return False
        # The last results are worth no more than the leases they were made under.
        if self._drained_at is None:
            self._drained_at = now
        return now >= self._drained_at + self._lease

    def _freed(self, tasks: int) -> None:
        self._held -= tasks
        self._expected = max(0, self._expected - tasks)

    def _answered(self) -> None:
        self._retry_delay = 0.0
        self._is_exchange_refused = False
        self._conflicts = self._losses = 0

    def _owe(self, tasks: Iterable[TaskRef]) -> None:
        """Neither sweep nor claim before these are reported, or put aside."""
        self._owed.update(tasks)

    def _is_trial(self, reports: Sequence[Report]) -> bool:
        return reports[0].ref in self._asides

    def _leave_outbox(self, reports: Collection[Report]) -> None:
        done = {report.ref for report in reports}
        self._outbox = deque(report for report in self._outbox if report.ref not in done)

    def _room(self) -> int:
        """How many tasks to ask for: what can start at once, or within a moment."""
        if self._is_draining or self._asides.is_full or self._suspects:
            return 0
        taken = self._held
        if self._goes_apart:
            # Else results would pile up where claims are answered sooner than reports.
            taken += len(self._outbox)
        return max(0, self._concurrency + self._pace.ahead - taken)

    @property
    def _wants_tasks(self) -> bool:
        room = self._room()
        return room > 0 and room * 2 >= self._pace.ahead

    def _may_claim(self, now: float) -> bool:
        return now >= self._claim_not_before and not self._is_exchange_refused

    def _quantity(self) -> int:
        return min(self._room(), self._pace.largest_claim)

    def _missing(self) -> int:
        """How many results are waited for before they are reported; 0 if for none."""
        enough = min((self._concurrency + self._pace.ahead + 1) // 2, BATCH_ROWS)
        return max(0, min(enough - len(self._outbox), self._expected, self._held))

    def _batch(self) -> list[Report]:
        """What to report next: outputs last, for the call that reports them brings new tasks."""
        failures = [report for report in self._outbox if isinstance(report, Failure)]
        return next(batches(failures or self._outbox))

    def _rest(self, now: float, *until: float, results: int | None = 1) -> Rest:
        times = [*until] if self._finish_by is None else [*until, self._finish_by]
        return Rest(max(0.0, min(times) - now) if times else None, results)

    def _grown(self, delay: float, most: float = RETRY_MOST) -> float:
        return min(max(delay * 2, RETRY_FIRST), most)

    def _jittered(self, delay: float) -> float:
        return delay * (0.5 + self._random() / 2)
