"""The page of the benchmarks shows the recorded run, and nothing else.

Fails when docs/benchmarks.md or a plot was not made anew (make bench-page) after what it shows
changed, or when a run made in parts mixes figures of different times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import page
from benchmarks.__main__ import RECORDED
from benchmarks.results import Key, Results
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_is_made_from_the_recorded_run(tmp_path: Path) -> None:
    page.write(Results.read(RECORDED), tmp_path)

    made = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.rglob("*.*")}
    there = {
        file.relative_to(page.DOCS): file.read_text()
        for file in [page.DOCS / "benchmarks.md", *(page.DOCS / "benchmarks").glob("*")]
    }
    assert sorted(made) == sorted(there)
    assert [str(name) for name in made if made[name] != there[name]] == []


def test_an_explanation_is_of_a_target() -> None:
    (name, *_) = (target.name for target in TARGETS)

    assert page.causes(f"# Head\n\nWords.\n\n## {name}\n\nBecause.\n") == {name: "Because."}
    with pytest.raises(ValueError, match="no target 'speed'"):
        page.causes("## speed\n\nBecause.\n")


def test_a_workload_measured_again_replaces_its_figures_only() -> None:
    results = Results()
    for workload in ("W1", "W12"):
        results.add(workload, "single-step", "quantumflow", **{"tasks/s": 100.0})
        results.sizes[workload, "single-step", ""] = "10 runs"
        results.missing[workload] = ["a peer"]
        results.conditions[workload] = {"rounds": 5}

    results.forget("W1")

    assert dict(results.series) == {Key("W12", "single-step", "tasks/s", "quantumflow"): [100.0]}
    assert list(results.sizes) == [("W12", "single-step", "")]
    assert (list(results.missing), list(results.conditions)) == (["W12"], ["W12"])
