"""What was measured, round by round, and what follows from it."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Key(NamedTuple):
    """Which series of values: the workload, its case, the measure with its unit, the system."""

    workload: str
    case: str
    measure: str
    system: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A median and its spread."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure | None:
        """The figure of some values; none of none."""
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1]) if found else None

    def scaled(self, times: float) -> Figure:
        """In another unit."""
        return Figure(self.value * times, self.low * times, self.high * times)


@dataclass
class Results:
    """All that one run of the benchmarks measured.

    Attributes:
        about: Machine, versions, settings, which sizes: the same for all workloads.
        conditions: By workload, when it was measured, and what else went on.
        series: The values of the rounds, in order, without the first round, which warms up.
        traces: Longer series for plots: points of (x, y).
        sizes: How large each case was, by workload, case and system; without a system, for all.
        missing: By workload, what was not measured, and why.
        failed: By workload, what turned out wrong, so that its figures are not here.
    """

    about: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    series: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    traces: dict[Key, list[tuple[float, float]]] = field(default_factory=dict)
    sizes: dict[tuple[str, str, str], str] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, workload: str, case: str, system: str, **measured: float) -> None:
        """Add one round's values, by measure."""
        for measure, value in measured.items():
            self.series[Key(workload, case, measure, system)].append(value)

    def figure(self, workload: str, case: str, measure: str, system: str) -> Figure | None:
        """The median of the rounds."""
        return Figure.of(self.series.get(Key(workload, case, measure, system), ()))

    def ratio(self, above: Key, below: Key, times: float = 1) -> Figure | None:
        """The median of the ratios within each round."""
        pairs = zip(self.series.get(above, ()), self.series.get(below, ()), strict=False)
        return Figure.of(times * a / b for a, b in pairs if b)

    def size(self, workload: str, case: str, system: str) -> str:
        """How large a case was for a system."""
        found = self.sizes.get((workload, case, system))
        return self.sizes.get((workload, case, ""), "") if found is None else found

    def difference(self, above: Key, below: Key) -> Figure | None:
        """The median of the differences within each round."""
        pairs = zip(self.series.get(above, ()), self.series.get(below, ()), strict=False)
        return Figure.of(a - b for a, b in pairs)

    def forget(self, workload: str) -> None:
        """Drop what is known of a workload, which is about to be measured again."""
        keyed: tuple[dict[Any, Any], ...] = (self.series, self.traces, self.sizes)
        for found in keyed:
            for key in [key for key in found if key[0] == workload]:
                del found[key]
        for named in (self.conditions, self.missing, self.failed):
            named.pop(workload, None)

    def write(self, file: Path) -> None:
        """Store as JSON."""
        content = {
            "about": self.about,
            "conditions": self.conditions,
            "sizes": [[*key, size] for key, size in self.sizes.items()],
            "missing": self.missing,
            "failed": self.failed,
            "series": [[*key, values] for key, values in self.series.items()],
            "traces": [[*key, points] for key, points in self.traces.items()],
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, file: Path) -> Results:
        """Read what `write` stored."""
        content = json.loads(file.read_text("utf-8"))
        return cls(
            about=content["about"],
            conditions=content["conditions"],
            sizes={(row[0], row[1], row[2]): row[3] for row in content["sizes"]},
            missing=content["missing"],
            failed=content["failed"],
            series=defaultdict(list, {Key(*row[:4]): row[4] for row in content["series"]}),
            traces={Key(*row[:4]): [(x, y) for x, y in row[4]] for row in content["traces"]},
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values is."""
    found = sorted(values)
    return found[min(len(found) - 1, math.ceil(share * len(found)) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How time grows with size: the slope of a line through the logarithms; 1 is linear."""
    return statistics.linear_regression(
        [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    ).slope
