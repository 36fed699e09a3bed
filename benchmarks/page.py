"""Writes docs/benchmarks.md and its plots from one recorded run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from .plot import bars, lines, number
from .results import Figure, Key, Results
from .targets import TARGETS
from .workloads import WORKLOADS, Workload

DOCS = Path(__file__).parents[1] / "docs"

_INTRODUCTION = """\
# Benchmarks

How fast quantumflow is, beside raw pgmq and its peers, on one server in one run. This page is
generated (`make bench-page`) from one recorded run, `benchmarks/recorded.json`; no figure is
written by hand.

## How to run them

```sh
make bench
make bench ARGS=--full
make bench-page
```

`make bench` takes the small sizes, minutes; `--full` takes hours and some 30 GB of disk. `--only
W3,W8` names workloads, `--rounds` how often each is repeated, `--json` where the results go
(`make bench ARGS='--json benchmarks/recorded.json'` replaces the recorded run). The server is a
throw-away one. Peers are installed from PyPI and npm, at fixed versions, below `.cache`, the first
time they are needed; one that cannot be installed is named below, and nothing is made up for it.

## The rules

- One server, one configuration, `fsync` and `synchronous_commit` on. Each run has a database of its
  own; connections have made their plans; a checkpoint and `VACUUM ANALYZE` come before.
- Systems take turns within each round; the first round only warms up. A figure is the median of the
  rounds, in brackets the lowest and the highest. A ratio is formed within each round.
- The start of the runs is part of the time. Where a system is slow it is given less to do, which
  is to its favour where its cost grows with size.
- After every run is checked: all tasks done, each once (so each join once), queues empty, and
  `check_state()` without a word. A fast wrong run is a failed run, and listed as such.
- Two tiers. *SQL*: a driver that costs next to nothing calls each system's own functions, as its
  worker does. *SDK*: each system by its own Python library, in the best configuration that its
  documentation leads to and as it comes ("default").
- pgflow is its core, from the npm package; what Supabase provides besides (events for browsers) is
  a function that does nothing. Its worker commits each completion. "grouped by hand" puts those of
  a batch into one transaction, which no worker of pgflow does, to show what its functions could do.
- Counters (bytes of log, statements, commits, index entries, pages) come from the log itself and
  from `pg_stat_statements`; they hardly depend on the machine, and `make test` holds
  them within 5 %.
"""


def write(results: Results, folder: Path = DOCS) -> None:
    """Write the page and its plots."""
    plots = folder / "benchmarks"
    plots.mkdir(exist_ok=True)
    for old in plots.glob("*.svg"):
        old.unlink()
    parts = [_INTRODUCTION, *_about(results), *_targets(results), *_behind(results)]
    for workload in WORKLOADS:
        parts += _workload(results, workload, plots)
    (folder / "benchmarks.md").write_text("\n".join(parts).rstrip() + "\n", "utf-8")


def targets_table(results: Results) -> list[tuple[str, str, str, str, str]]:
    """Each promise with what was measured: name, figure, must, aim, verdict."""
    rows = []
    for target in TARGETS:
        figure = target.figure(results)
        unit = f" {target.unit}" if target.unit else ""
        rows.append(
            (
                target.name,
                "not measured" if figure is None else f"{_shown(figure)}{unit}",
                f"{target.must:g}{unit}",
                f"{target.aim:g}{unit}",
                "" if figure is None else target.verdict(figure),
            )
        )
    return rows


def _about(results: Results) -> Iterator[str]:
    about = results.about
    peers = ", ".join(f"{name} {version}" for name, version in about["peers"].items())
    settings = ", ".join(f"`{k} = {v}`" for k, v in about["settings"].items())
    yield "## This run\n"
    yield from _table(
        ("", ""),
        [
            ("recorded", f"{about['date']}, commit {about['commit']}"),
            ("sizes", f"{about['sizes']}; {about['rounds']} rounds"),
            ("machine", f"{about['processors']}, {about['memory_gb']} GB, {about['system']}"),
            ("load of others at the start", f"{about['load']:g}"),
            ("waiting for the disk, a commit", f"{about['fsync_ms']:g} ms"),
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
    yield from _list("Not measured, and why:", results.missing)
    yield from _list("Failed, so without figures:", results.failed)


def _targets(results: Results) -> Iterator[str]:
    yield "## Targets\n"
    yield (
        "*must* is the gate, *aim* what the design should reach. Ratios against raw pgmq are those "
        "to `send_batch`, `read` and `delete` by the hundred on one connection.\n"
    )
    yield from _table(("what", "measured", "must", "aim", "met"), targets_table(results))


def _behind(results: Results) -> Iterator[str]:
    """Where a peer is ahead, by its best figure."""
    rows = []
    for (workload, case, measure), keys in _tables(results):
        if measure not in ("tasks/s", "run ms p50", "ms p50", "runs/s"):
            continue
        less_is_better = "ms" in measure
        figures = {key.system: results.figure(*key) for key in keys}
        ours = figures.get("quantumflow")
        if ours is None:
            continue
        for system, theirs in figures.items():
            if system.startswith(("quantumflow", "raw")) or theirs is None:
                continue
            if (theirs.value < ours.value) if less_is_better else (theirs.value > ours.value):
                rows.append((f"{workload} {case}", system, measure, _shown(theirs), _shown(ours)))
    yield "## Where peers are ahead\n"
    if rows:
        yield from _table(("workload", "peer", "measure", "theirs", "ours"), rows)
    else:
        yield "Nowhere, in what was measured in this run.\n"


def _workload(results: Results, workload: Workload, plots: Path) -> Iterator[str]:
    tables = [(what, keys) for what, keys in _tables(results) if what[0] == workload.name]
    if not tables:
        return
    yield f"## {workload.name}: {workload.title}\n"
    yield f"{workload.meaning}\n"
    yield f"`make bench ARGS='--only {workload.name}'`\n".replace("`", "`")
    for case, group in groupby(tables, key=lambda table: table[0][1]):
        measures = {measure: keys for (_, _, measure), keys in group}
        size = results.sizes.get(f"{workload.name} {case}")
        yield f"### {case}{f' ({size})' if size else ''}\n"
        systems = list(dict.fromkeys(key.system for keys in measures.values() for key in keys))
        yield from _table(
            ("", *measures),
            [
                (system, *(_cell(results, workload.name, case, m, system) for m in measures))
                for system in systems
            ],
        )
        yield from _plot(results, workload.name, case, measures.get("tasks/s", []), plots)
    traces = {
        key.system: points for key, points in results.traces.items() if key[0] == workload.name
    }
    if traces:
        file = plots / f"{workload.name.lower()}.svg"
        relative = {
            name: [
                (x, y / results.series[Key(workload.name, "held", "offered/s", name)][0])
                for x, y in points
            ]
            for name, points in traces.items()
        }
        file.write_text(
            lines("Served, as a share of what was offered", "s", "x", relative), "utf-8"
        )
        yield f"![{workload.title}](benchmarks/{file.name})\n"


def _plot(
    results: Results, workload: str, case: str, keys: Sequence[Key], plots: Path
) -> Iterator[str]:
    figures = {key.system: figure for key in keys if (figure := results.figure(*key)) is not None}
    if len(figures) > 2:
        slug = "".join(c if c.isalnum() else "-" for c in case.lower())
        file = plots / f"{workload.lower()}-{slug}.svg"
        file.write_text(bars(f"{workload}, {case}", "tasks/s", figures), "utf-8")
        yield f"![{case}](benchmarks/{file.name})\n"


def _tables(results: Results) -> Iterator[tuple[tuple[str, str, str], list[Key]]]:
    """The series, by workload, case and measure, in the order in which they were measured."""
    found: dict[tuple[str, str, str], list[Key]] = {}
    for key in results.series:
        found.setdefault((key.workload, key.case, key.measure), []).append(key)
    yield from found.items()


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


def _list(head: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield "\n".join([head, "", *(f"- {item}" for item in items)]) + "\n"
