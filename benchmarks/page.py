"""Writes docs/benchmarks.md and its plots from one recorded run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .plot import bars, lines, number
from .results import Figure, Key, Results
from .targets import BESIDE, TARGETS, Target
from .workloads import WORKLOADS, Workload

DOCS = Path(__file__).parents[1] / "docs"

_INTRODUCTION = """\
# Benchmarks

How fast quantumflow is, beside raw pgmq and its peers, on one server of one machine. This page is
generated (`make bench-page`) from recorded figures, `benchmarks/recorded.json`; no figure is
written by hand. The explanations of missed targets are (`benchmarks/causes.md`).

## How to run them

```sh
make bench
make bench ARGS=--full
make bench-page
make pairs
```

`make bench` takes the small sizes, minutes; `--full` takes about an hour and 25 GB of disk. `--only
W3,W8` names workloads, `--rounds` how often each is measured, `--json` where the results go, and
`--merge` keeps what that file has of other workloads, so that a run can be made in parts: `make
bench ARGS='--full --only W3,W12 --json benchmarks/recorded.json --merge'`. The server is a
throw-away one. Peers are installed from PyPI and npm, at fixed versions, below `.cache`, the first
time they are needed; one that cannot be installed is named below, and nothing is made up for it.

`make pairs` compares the engine with an older one, by default 0.3.0: blocks of work by turns, each
engine in a database of its own, and the median of the ratios of two neighbours. It says what the
backend used of the processor and what it wrote to the log, besides the time, so that a change of a
few hundredths shows on a busy machine too. `make pairs ARGS="--against FILE.sql --only map"` takes
any other script (`extension/quantumflow--*.sql`, as another commit's `make build` makes it). "p50"
is of single calls, or runs, by a worker that has nothing else; one chain is compared with absurd's
by SQL as well, a commit a step. What four workers of one map wait for is sampled, and shares.

## The rules

- One server, one configuration, `fsync` and `synchronous_commit` on. Each run has a database of its
  own; connections have made their plans; a checkpoint and `VACUUM ANALYZE` come before.
- Systems take turns within each round; the first round of all only warms up. A figure is the median
  of the rounds, in brackets the lowest and the highest. A ratio is formed within each round.
- The start of the runs is part of the time. Where a system is slow it is given less to do, which
  is to its favour where its cost grows with size.
- After every run is checked: all tasks done, each once (so each join once), queues empty, and
  `check_state()` without a word (beside millions of finished runs, for the newest ten). A fast
  wrong run is a failed run, and listed as such.
- Two tiers. *SQL*: a driver that costs next to nothing calls each system's own functions, as its
  worker does. *SDK*: each system by its own Python library, one worker process, in the best
  configuration that its documentation leads to and as it comes ("default"). Ratios are to
  whichever of the two is faster.
- "quantumflow" claims with `claim_tasks` and reports with `complete_tasks`, "handed over" does both
  with `complete_and_claim`, as the Python client does.
- pgflow is its core, from the npm package; what Supabase provides besides (events for browsers) is
  a function that does nothing. It reads by the hundred, or by ten, its worker's default; ratios are
  to whichever is faster. Its worker commits each completion, and so it is measured. "grouped by
  hand" puts those of a batch into one transaction, which no worker of pgflow does, to show what
  its functions could do.
- A latency "less one fsync" is less what a commit waits for the disk, measured in the same
  round: the median of the smallest commits, less that of as many which do not wait; 2 ms after
  the one before in the chain, and 0.1 s in W12, as the work's own, for a disk that rests answers
  later. "one fsync" among the conditions is back to back.
- Counters (bytes of log, statements, commits, index entries, pages) come from the log itself and
  from `pg_stat_statements`; they hardly depend on the machine, and `make test` holds
  them within 5 %.
"""

CAUSES = Path(__file__).parent / "causes.md"


def write(results: Results, folder: Path = DOCS) -> None:
    """Write the page and its plots."""
    plots = folder / "benchmarks"
    plots.mkdir(exist_ok=True)
    for old in plots.glob("*.svg"):
        old.unlink()
    parts = [_INTRODUCTION, *_about(results), *_targets(results), *_behind(results)]
    for workload in WORKLOADS:
        parts += _workload(results, workload, plots)
    parts += _conditions(results)
    (folder / "benchmarks.md").write_text("\n".join(parts).rstrip() + "\n", "utf-8")


def targets_table(
    results: Results, targets: Sequence[Target] = TARGETS
) -> list[tuple[str, str, str, str, str]]:
    """Each promise with what was measured: name, figure, must, aim, verdict."""
    rows = []
    for target in targets:
        figure = target.figure(results)
        unit = f" {target.unit}" if target.unit else ""
        rows.append(
            (
                target.name,
                "not measured" if figure is None else f"{_shown(figure)}{unit}",
                "" if target.must is None else f"{target.must:g}{unit}",
                "" if target.aim is None else f"{target.aim:g}{unit}",
                "" if figure is None else target.verdict(figure),
            )
        )
    return rows


def causes(text: str) -> dict[str, str]:
    """What was found out about missed targets, by target: a heading each, then paragraphs.

    Raises:
        ValueError: A heading is not the name of a target.
    """
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, _, words = part.partition("\n")
        if name not in {target.name for target in TARGETS}:
            raise ValueError(f"{CAUSES.name}: there is no target {name!r}")
        found[name] = words.strip()
    return found


def _about(results: Results) -> Iterator[str]:
    about = results.about
    peers = ", ".join(f"{name} {version}" for name, version in about["peers"].items())
    settings = ", ".join(f"`{k} = {v}`" for k, v in about["settings"].items())
    parts = results.conditions.values()
    times = sorted(part["time"] for part in parts)
    commits = ", ".join(dict.fromkeys(part["commit"] for part in parts))
    yield "## This run\n"
    yield from _table(
        ("", ""),
        [
            (
                "recorded",
                f"{times[0]} to {times[-1]}, commit {commits}; [conditions](#conditions)",
            ),
            ("sizes", about["sizes"]),
            ("machine", f"{about['processors']}, {about['memory_gb']} GB, {about['system']}"),
            ("PostgreSQL", f"{about['postgresql']}, pgmq {about['pgmq']}"),
            ("quantumflow", f"{about['quantumflow']}, Python {about['python']}"),
            ("peers", peers),
            ("settings", settings),
        ],
    )
    if about["sizes"] == "small":
        yield (
            "The sizes are small, which is enough to see that all works and what the counters say; "
            "rates and latencies of such a run, on a machine that others use too, are not to be "
            "quoted. Where the targets name a size, that of a full run is meant.\n"
        )
    for head, notes in (
        ("Not measured, and why:", results.missing),
        ("Failed, so without figures:", results.failed),
    ):
        lines = [f"- {note}" for of_workload in notes.values() for note in of_workload]
        if lines:
            yield "\n".join([head, "", *lines]) + "\n"


def _targets(results: Results) -> Iterator[str]:
    head = ("what", "measured", "must", "aim", "met")
    rows = targets_table(results)
    yield "## Targets\n"
    yield (
        "*must* is the gate, *aim* what the design should reach. Ratios against raw pgmq are those "
        "to `send_batch`, `read` and `delete` by the hundred on one connection.\n"
    )
    yield from _table(head, rows)
    missed = [name for name, *_, verdict in rows if verdict == "missed"]
    known = causes(CAUSES.read_text("utf-8"))
    if missed:
        yield "### Missed, and why\n"
        for name in missed:
            yield f"**{name}.** {known.get(name, 'The cause is not known yet.')}\n"
    yield "### Beside them\n"
    yield "Nothing is promised about these; they help to judge the others.\n"
    yield from _table(head[:2], [row[:2] for row in targets_table(results, BESIDE)])


_LESS_IS_BETTER = ("run ms p50", "ms p50")
_TOLD = ("tasks/s", "items/s", "runs/s", *_LESS_IS_BETTER)
"""The measures that are plotted, and that tell who is ahead: the first that a workload has."""


def _behind(results: Results) -> Iterator[str]:
    """Where a peer is ahead of whichever of our configurations is best."""
    rows = []
    for (workload, case, measure), keys in _tables(results).items():
        if measure not in _TOLD:
            continue
        less_is_better = measure in _LESS_IS_BETTER
        figures = {key.system: results.figure(*key) for key in keys}
        ours = [f for name, f in figures.items() if name.startswith("quantumflow") and f]
        if not ours:
            continue
        best = (min if less_is_better else max)(ours, key=lambda figure: figure.value)
        for system, theirs in figures.items():
            if system.startswith(("quantumflow", "raw")) or theirs is None:
                continue
            if (theirs.value < best.value) if less_is_better else (theirs.value > best.value):
                rows.append((f"{workload} {case}", system, measure, _shown(theirs), _shown(best)))
    yield "## Where peers are ahead\n"
    if rows:
        yield from _table(("workload", "peer", "measure", "theirs", "our best"), rows)
    else:
        yield "Nowhere, in what was measured in this run.\n"


def _workload(results: Results, workload: Workload, plots: Path) -> Iterator[str]:
    blocks = _blocks(results, workload.name)
    if not blocks:
        return
    yield f"## {workload.name}: {workload.title}\n"
    yield f"{workload.meaning}\n"
    yield f"`make bench ARGS='--only {workload.name}'`\n"
    for block in blocks:
        if block.title:
            yield f"### {block.title}\n"
        yield from _table(
            ("", "size", *(measure.replace("_", " ") for measure in block.measures)),
            [
                (
                    label,
                    results.size(workload.name, case, system),
                    *(_cell(results, workload.name, case, m, system) for m in block.measures),
                )
                for case, rows in block.rows.items()
                for label, system in rows
            ],
        )
        yield from _plot(results, workload.name, block, plots)
    yield from _traces(results, workload, plots)


@dataclass(frozen=True, slots=True)
class _Block:
    """A table: its rows by case, each a label and a system."""

    title: str
    measures: tuple[str, ...]
    rows: dict[str, list[tuple[str, str]]]


def _blocks(results: Results, workload: str) -> list[_Block]:
    """The tables of a workload: one a case, or a common one for many small cases."""
    measures: dict[str, list[str]] = {}
    systems: dict[str, list[str]] = {}
    for key in results.series:
        if key.workload == workload:
            for found, what in ((measures, key.measure), (systems, key.system)):
                if what not in found.setdefault(key.case, []):
                    found[key.case].append(what)
    if sum(map(len, systems.values())) > 2 * len(systems):
        return [
            _Block(case, tuple(measures[case]), {case: [(name, name) for name in systems[case]]})
            for case in measures
        ]
    several = len({name for names in systems.values() for name in names}) > 1
    common: dict[tuple[str, ...], dict[str, list[tuple[str, str]]]] = {}
    for case, names in systems.items():
        rows = [(f"{case}, {name}" if several else case, name) for name in names]
        common.setdefault(tuple(measures[case]), {})[case] = rows
    return [_Block("", columns, rows) for columns, rows in common.items()]


def _plot(results: Results, workload: str, block: _Block, plots: Path) -> Iterator[str]:
    measure = next((measure for measure in _TOLD if measure in block.measures), None)
    if measure is None:
        return
    figures = {
        label: figure
        for case, rows in block.rows.items()
        for label, system in rows
        if (figure := results.figure(workload, case, measure, system)) is not None
    }
    ours = {
        label
        for rows in block.rows.values()
        for label, system in rows
        if system.startswith("quantumflow")
    }
    if len(figures) > 2:
        slug = "".join(c if c.isalnum() else "-" for c in f"{workload} {block.title}".lower())
        file = plots / f"{slug.strip('-')}.svg"
        title = f"{workload}, {block.title}" if block.title else workload
        file.write_text(bars(title, measure, figures, ours), "utf-8")
        yield f"![{title}: {measure}](benchmarks/{file.name})\n"


def _traces(results: Results, workload: Workload, plots: Path) -> Iterator[str]:
    """What was served over time, as a share of what was offered."""
    found = {
        key.system: [
            (x, y / results.series[key._replace(measure="offered/s")][0]) for x, y in points
        ]
        for key, points in results.traces.items()
        if key.workload == workload.name
    }
    if found:
        file = plots / f"{workload.name.lower()}.svg"
        title = f"{workload.name}, runs a second, as a share of the rate offered"
        file.write_text(lines(title, "seconds", "share", found), "utf-8")
        yield f"![{title}](benchmarks/{file.name})\n"


def _conditions(results: Results) -> Iterator[str]:
    yield "## Conditions\n"
    yield (
        "Busy is the share of the processors' time that others had in the second before, stolen "
        "the share that other machines had meanwhile.\n"
    )
    yield from _table(
        ("", "began", "minutes", "rounds", "commit", "busy before", "stolen", "one fsync"),
        [
            (
                workload.name,
                part["time"],
                f"{part['minutes']:g}",
                f"{part['rounds']}",
                part["commit"],
                f"{part['busy_before']:.0%}",
                f"{part['stolen']:.1%}",
                f"{part['fsync_ms']:g} ms",
            )
            for workload in WORKLOADS
            if (part := results.conditions.get(workload.name)) is not None
        ],
    )


def _tables(results: Results) -> dict[tuple[str, str, str], list[Key]]:
    """The series, by workload, case and measure, in the order in which they were measured."""
    found: dict[tuple[str, str, str], list[Key]] = {}
    for key in results.series:
        found.setdefault((key.workload, key.case, key.measure), []).append(key)
    return found


def _cell(results: Results, workload: str, case: str, measure: str, system: str) -> str:
    figure = results.figure(workload, case, measure, system)
    return "" if figure is None else _shown(figure)


def _shown(figure: Figure) -> str:
    if figure.low == figure.high:
        return number(figure.value)
    return f"{number(figure.value)} ({number(figure.low)} to {number(figure.high)})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    body = [head, ["---"] * len(head), *rows]
    yield "\n".join(f"| {' | '.join(row)} |" for row in body) + "\n"
