"""Reports that the database refused: which of a batch it was about, and what becomes of those.

A refused batch is halved until what is refused is single, first between steps and between runs, for
one reason is often that of all of a step or a run; what is not refused is delivered on the way. The
offenders are put aside, each for a delay of its own, and come again together. No clock, no
database.

The halving ends early where nothing gets through: after a number of refusals in a row a few single
reports are tried, and if these are refused too, all that is left is put aside as it is. What was
never tried by itself is so once before a failure is reported in its place.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING

from .refusals import Refusal, substitute_of
from .reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from quantumflow_client._sql.tasks import TaskRef

BATCH_ROWS = 500
BATCH_BYTES = 16_000_000
"""How much one report holds at most, unless a single result is larger."""

DELAY_FIRST, DELAY_MOST = 0.1, 10.0
"""How many seconds after a refusal a report comes again: doubled each time, jittered."""

GIVE_UP = 60.0
"""For how many seconds a report is tried before a failure is reported in its place."""

MISSES, PROBES = 15, 3
"""How many refusals in a row are enough to try single reports, and how many of these."""

LAST_MISSES = 64
"""How many of those that are tried for the last time may be refused in a row, by themselves, until
the others are taken for refused."""

ROWS_MOST, BYTES_MOST = 1_000, 64_000_000
"""With how much of it put aside a worker claims nothing more."""


@dataclass(slots=True)
class Fate:
    """What became of reports that were refused."""

    put_aside: list[Report] = field(default_factory=list)
    """Come again later; only those for which this is the first time."""

    replaced: list[Report] = field(default_factory=list)
    """Were refused for good, or for too long: a failure is reported in their place."""

    given_up: list[Report] = field(default_factory=list)
    """Were that failure, and are refused too: are not reported at all."""


@dataclass(slots=True)
class _Aside:
    report: Report
    since: float
    delay: float = 0.0
    due: float | None = None
    """None while it is being tried."""
    own: Refusal | None = None
    """Why it was refused by itself, not only among others."""
    is_substitute: bool = False


@dataclass(slots=True)
class _Hunt:
    """The search for the offenders among some reports; groups are tried from the left."""

    groups: deque[list[Report]]
    misses: int = 0
    """How many refusals there were in a row."""
    is_last: bool = False
    """Whether these are single reports that will not be put aside again."""

    @property
    def most(self) -> int:
        """How many refusals in a row there may be."""
        return LAST_MISSES if self.is_last else MISSES + PROBES


class Asides:
    """What was refused and is not reported yet.

    Args:
        random: A number from 0 to 1, for jitter and samples.
        deadline: Until when a task must be reported.
    """

    def __init__(
        self, *, random: Callable[[], float], deadline: Callable[[TaskRef], float]
    ) -> None:
        self._random = random
        self._deadline = deadline
        self._known: dict[TaskRef, _Aside] = {}
        self._bytes = 0
        self._hunts: deque[_Hunt] = deque()
        self._soonest = inf

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, task: TaskRef) -> bool:
        return task in self._known

    def is_waiting(self, task: TaskRef) -> bool:
        """Whether a task's report is not being tried."""
        aside = self._known.get(task)
        return aside is not None and aside.due is not None

    def tasks(self) -> Collection[TaskRef]:
        """The tasks whose reports these are."""
        return self._known.keys()

    @property
    def is_full(self) -> bool:
        """Whether it is so much that nothing is to be claimed."""
        return len(self._known) >= ROWS_MOST or self._bytes >= BYTES_MOST

    def is_due(self, now: float) -> bool:
        """Whether something is to be tried now."""
        return bool(self._hunts) or now >= self._soonest

    @property
    def due(self) -> float:
        """When something is to be tried next."""
        return -inf if self._hunts else self._soonest

    def hasten(self, now: float) -> None:
        """Try everything now."""
        for aside in self._known.values():
            if aside.due is not None:
                aside.due = now
        self._find_soonest()

    def next(self, now: float) -> Sequence[Report]:
        """What to try now: one call. The same until it is answered."""
        if not self._hunts:
            self._hunts.extend(self._due_hunts(now))
        hunt = self._hunts[0]
        if hunt.misses >= MISSES and len(hunt.groups[0]) > 1:
            hunt.groups.appendleft([self._sample(hunt)])
        return hunt.groups[0]

    def delivered(self) -> None:
        """What was to be tried was answered, whatever the answers."""
        hunt = self._hunts[0]
        hunt.misses = 0
        for report in hunt.groups.popleft():
            self._forget(report.ref)
        self._tidy()

    def add(self, reports: Sequence[Report], refusal: Refusal, now: float) -> Fate:
        """A batch was refused that is not from here."""
        for report in reports:
            self._known[report.ref] = _Aside(report, now)
            self._bytes += report.size
        self._hunts.appendleft(_Hunt(deque([_alike_together(reports)])))
        return self.refused(refusal, now)

    def refused(self, refusal: Refusal, now: float) -> Fate:
        """What was to be tried was refused."""
        hunt = self._hunts[0]
        group = hunt.groups.popleft()
        refused: list[Report] = []
        if len(group) == 1:
            self._known[group[0].ref].own = refusal
            refused += group
        else:
            hunt.groups.extend(_halves(group))
        # Who sends what PostgreSQL cannot hold is found in any case: it will not get better.
        if not any(refusal.is_of(report) for report in group):
            hunt.misses += 1
        if hunt.misses >= hunt.most:
            rest = [report for group in hunt.groups for report in group]
            hunt.groups.clear()
            if hunt.is_last:
                for report in rest:
                    self._known[report.ref].own = refusal
            refused += rest
        self._tidy()
        fate, last = self._decide(refused, now)
        substitutes = [self._replace(report) for report in fate.replaced]
        if substitutes:
            self._hunts.append(_Hunt(deque(batches(substitutes))))
        if last:
            last.sort(key=lambda _: self._random())
            self._hunts.append(_Hunt(deque([report] for report in last), is_last=True))
        for report in fate.given_up:
            self._forget(report.ref)
        self._find_soonest()
        return fate

    def _decide(self, reports: Sequence[Report], now: float) -> tuple[Fate, list[Report]]:
        """What becomes of refused reports; beside those that are to be tried for the last time."""
        fate = Fate()
        last = []
        jitter = 0.5 + self._random() / 2
        for report in reports:
            aside = self._known[report.ref]
            is_new = not aside.delay
            aside.delay = min(max(aside.delay * 2, DELAY_FIRST), DELAY_MOST)
            aside.due = now + aside.delay * jitter
            # As long as that again is left for the failure.
            leaves_time = now + 2 * aside.delay < self._deadline(report.ref)
            is_value = aside.own is not None and aside.own.is_of(report)
            if leaves_time and now < aside.since + GIVE_UP and not is_value:
                if is_new:
                    fate.put_aside.append(report)
            elif aside.is_substitute:
                fate.given_up.append(report)
            elif aside.own is not None:
                fate.replaced.append(report)
            else:
                aside.due = None
                last.append(report)
        return fate, last

    def _replace(self, report: Report) -> Report:
        aside = self._known[report.ref]
        assert aside.own is not None
        substitute = substitute_of(report, aside.own)
        aside.report, aside.is_substitute, aside.due, aside.own = substitute, True, None, None
        self._bytes += substitute.size - report.size
        return substitute

    def _due_hunts(self, now: float) -> Iterator[_Hunt]:
        """What is due, and what is nearly so, lest each comes alone."""
        due = [
            aside
            for aside in self._known.values()
            if aside.due is not None and aside.due - aside.delay / 2 <= now
        ]
        for aside in due:
            aside.due = None
        self._find_soonest()

        def kind(aside: _Aside) -> tuple[bool, str]:
            return aside.own is not None, type(aside.report).__name__

        for (was_single, _), asides in groupby(sorted(due, key=kind), key=kind):
            # Where nothing got through, one tells whether something does by now.
            misses = 0 if was_single else MISSES
            reports = _alike_together(aside.report for aside in asides)
            yield _Hunt(deque(batches(reports)), misses)

    def _sample(self, hunt: _Hunt) -> Report:
        group = hunt.groups[self._below(len(hunt.groups))]
        report = group.pop(self._below(len(group)))
        if not group:
            hunt.groups.remove(group)
        return report

    def _below(self, count: int) -> int:
        return min(int(self._random() * count), count - 1)

    def _forget(self, task: TaskRef) -> None:
        aside = self._known.pop(task, None)
        if aside is not None:
            self._bytes -= aside.report.size

    def _tidy(self) -> None:
        while self._hunts and not self._hunts[0].groups:
            self._hunts.popleft()

    def _find_soonest(self) -> None:
        self._soonest = min(
            (aside.due for aside in self._known.values() if aside.due is not None), default=inf
        )


def _step(report: Report) -> str:
    return report.ref.step_slug


def _run(report: Report) -> str:
    return report.ref.run_id


def _alike_together(reports: Iterable[Report]) -> list[Report]:
    return sorted(reports, key=lambda report: (_step(report), _run(report)))


def _halves(group: list[Report]) -> tuple[list[Report], list[Report]]:
    """A group in two: between two steps, or else two runs, as near to its middle as can be."""
    middle = len(group) // 2
    for of in (_step, _run):
        borders = [n for n in range(1, len(group)) if of(group[n - 1]) != of(group[n])]
        if borders:
            middle = min(borders, key=lambda n: abs(n - len(group) // 2))
            break
    return group[:middle], group[middle:]


def batches(reports: Iterable[Report]) -> Iterator[list[Report]]:
    """Reports in the order given, as many to a batch as one call holds."""
    batch: list[Report] = []
    size = 0
    for report in reports:
        size += report.size
        if batch and (size > BATCH_BYTES or len(batch) == BATCH_ROWS):
            yield batch
            batch, size = [], report.size
        batch.append(report)
    if batch:
        yield batch
