"""make bench: the benchmarks, and the page that shows what they measured."""

from __future__ import annotations

from pathlib import Path

import click

from support.meter.server import CACHE, Server

from . import about, page, waits
from . import pairs as by_turns
from .bench import Bench
from .results import Results
from .workloads import WORKLOADS

RECORDED = Path(__file__).parent / "recorded.json"


@click.group()
def main() -> None:
    """Measure quantumflow beside its peers, and show it."""


@main.command()
@click.option("--full", is_flag=True, help="The sizes of published figures: an hour, 25 GB.")
@click.option("--only", metavar="W3,W8", help="Only these workloads, in this order.")
@click.option("--rounds", default=5, show_default=True, help="How often each is measured.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path),
    default=CACHE / "results.json",
    help="Where the results go.  [default: .cache/bench/results.json]",
)
@click.option("--merge", is_flag=True, help="Keep what that file has of other workloads.")
def run(full: bool, only: str | None, rounds: int, file: Path, merge: bool) -> None:
    """Run the workloads, and print how the figures compare with the targets."""
    named = {workload.name: workload for workload in WORKLOADS}
    names = list(named) if only is None else only.upper().split(",")
    unknown = set(names) - set(named)
    if unknown:
        raise click.UsageError(f"there is no workload {', '.join(sorted(unknown))}")
    workloads = [named[name] for name in names]
    if full:
        click.echo(f"about {sum(workload.minutes for workload in workloads):.0f} minutes")
    results = Results.read(file) if merge and file.exists() else Results()
    with Server() as server:
        facts = about.facts(server, is_full=full)
        if results.about not in ({}, facts):
            raise click.UsageError(f"{file} is of another machine, other versions or sizes")
        results.about = facts
        bench = Bench(server, results, rounds, full)
        for workload in workloads:
            results.forget(workload.name)
            with about.conditions(server, rounds=rounds) as found:
                for part in workload.parts:
                    part(bench)
            results.conditions[workload.name] = found
            click.echo(f"{workload.name}: {found['minutes']:g} minutes")
            results.write(file)
    for name, figure, must, aim, verdict in page.targets_table(results):
        if verdict:
            click.echo(f"{name:62} {figure:34} must {must:9} aim {aim:9} {verdict}")
    for note in [*results.missing.values(), *results.failed.values()]:
        click.echo("\n".join(note))
    click.echo(f"All figures: {file}")
    if any(name in results.failed for name in names):
        raise SystemExit(1)


@main.command()
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=by_turns.RELEASED,
    help="The other engine's script.  [default: that of 0.3.0]",
)
@click.option(
    "--script",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=by_turns.BUILT,
    help="This engine's script.  [default: what was built]",
)
@click.option("--only", metavar="'map; chain'", help="Only these cases, in this order.")
@click.option("--pairs", "count", default=20, show_default=True, help="How many pairs of blocks.")
def pairs(against: Path, script: Path, only: str | None, count: int) -> None:
    """Compare the engine with another one, block by block, by turns."""
    cases = {case.name: case for case in by_turns.cases()}
    known = [*cases, waits.NAME]
    names = known if only is None else [name.strip() for name in only.split(";")]
    if unknown := set(names) - set(known):
        raise click.UsageError(f"there is no {', '.join(sorted(unknown))}, but {'; '.join(known)}")
    scripts = (against, script)
    tables = []
    with Server(by_turns.SETTINGS) as server:
        if chosen := [cases[name] for name in names if name in cases]:
            tables.append(by_turns.table(server, chosen, scripts, count))
        if waits.NAME in names:
            tables.append(waits.table(server, scripts, max(count // 4, 1)))
    click.echo(f"\n{against.name} / {script.name}, {count} pairs of blocks, a task (or start):\n")
    click.echo("\n\n".join(tables))


@main.command("page")
@click.argument("file", type=click.Path(path_type=Path), default=RECORDED)
def write_page(file: Path) -> None:
    """Write docs/benchmarks.md and its plots from the results in FILE, by default the recorded."""
    page.write(Results.read(file))


if __name__ == "__main__":
    main()
