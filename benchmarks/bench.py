"""How systems are compared: by turns, round after round, and what does wrong is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import click

from support.meter.driver import Driver, Load
from support.meter.shapes import Shape
from support.meter.system import System, WrongError

from .peers import UnavailableError
from .results import Results

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contestant:
    """A system with the load that it is given: the slow ones get less where time matters."""

    system: System
    load: Load


@dataclass
class Bench(Driver):
    """One run of the benchmarks: the server, what was measured, and how much is asked."""

    results: Results
    rounds: int
    is_full: bool
    is_warm: bool = False

    def pick(self, small: T, full: T) -> T:
        """The small size, or that of a full run."""
        return full if self.is_full else small

    def turns(self, label: str) -> Iterator[int]:
        """The rounds; what round 0 measures is to be dropped, and there is but one in a run."""
        numbers = range(1 if self.is_warm else 0, self.rounds + 1)
        self.is_warm = True
        with click.progressbar(numbers, label=f"{label:28}") as shown:
            yield from shown

    def measure(
        self,
        workload: str,
        contestants: Sequence[tuple[str, str, Callable[[], Mapping[str, float]]]],
        *,
        fewer: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Measure each case of each system in turn; what takes long in fewer rounds.

        What cannot be had, or does wrong, is left out from then on.
        """
        absent: set[tuple[str, str]] = set()
        for number in self.turns(f"{workload} {contestants[0][0]}"):
            for case, name, measure in contestants:
                is_left_out = name in fewer and not 1 <= number <= fewer[name]
                if is_left_out or (case, name) in absent:
                    continue
                try:
                    measured = measure()
                except (UnavailableError, WrongError) as error:
                    absent.add((case, name))
                    self.give_up(workload, f"{case}, {name}", error)
                    continue
                if number:
                    self.results.add(workload, case, name, **measured)

    def compare(
        self,
        workload: str,
        case: str,
        contestants: Sequence[tuple[str, Callable[[], Mapping[str, float]]]],
        *,
        fewer: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Measure systems by turns."""
        cases = [(case, name, measure) for name, measure in contestants]
        self.measure(workload, cases, fewer=fewer)

    def race(
        self,
        workload: str,
        case: str,
        shape: Shape,
        contestants: Sequence[Contestant],
        *,
        fewer: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Compare how fast systems do the same."""
        self.races(workload, shape, {case: (1, contestants)}, fewer=fewer)

    def races(
        self,
        workload: str,
        shape: Shape,
        cases: Mapping[str, tuple[int, Sequence[Contestant]]],
        *,
        fewer: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Compare systems, and cases that differ in how many workers there are."""
        for case, (_, contestants) in cases.items():
            for contestant in contestants:
                self.size(workload, case, contestant.load, contestant.system.name)
        self.measure(
            workload,
            [
                (case, c.system.name, partial(self.time, c.system, shape, c.load, workers=workers))
                for case, (workers, contestants) in cases.items()
                for c in contestants
            ],
            fewer=fewer,
        )

    def size(self, workload: str, case: str, size: object, system: str = "") -> None:
        """Note how large a case is, for all systems or for one."""
        self.results.sizes[workload, case, system] = str(size)

    def give_up(self, workload: str, what: str, error: Exception) -> None:
        """Note what could not be measured: a peer that is not to be had, or work done wrong."""
        notes = self.results.failed if isinstance(error, WrongError) else self.results.missing
        note = f"{workload} {what}: {error}"
        notes.setdefault(workload, []).append(note)
        click.echo(note, err=True)

    def costs(
        self, workload: str, case: str, shape: Shape, contestants: Sequence[Contestant]
    ) -> None:
        """Count what systems spend on the same; once, since counters hardly vary."""
        for contestant in contestants:
            try:
                cost = self.cost(contestant.system, shape, contestant.load)
            except (UnavailableError, WrongError) as error:
                self.give_up(workload, f"{case}, {contestant.system.name}, counted", error)
                continue
            self.results.add(workload, case, contestant.system.name, **cost.as_dict())
