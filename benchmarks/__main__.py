"""make bench: the benchmarks, and the page that shows what they measured."""

from __future__ import annotations

from pathlib import Path

import click

from . import about, page
from .bench import Bench
from .results import Results
from .server import CACHE, Server
from .workloads import WORKLOADS

RECORDED = Path(__file__).parent / "recorded.json"


@click.group()
def main() -> None:
    """Measure quantumflow beside its peers, and show it."""


@main.command()
@click.option("--full", is_flag=True, help="The sizes of published figures: hours, 30 GB.")
@click.option("--only", metavar="W3,W8", help="Only these workloads.")
@click.option("--rounds", default=5, show_default=True, help="Rounds, after the first.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path),
    default=CACHE / "results.json",
    help="Where the results go.  [default: .cache/bench/results.json]",
)
def run(full: bool, only: str | None, rounds: int, file: Path) -> None:
    """Run the workloads, and print how the figures compare with the targets."""
    names = [w.name for w in WORKLOADS] if only is None else only.upper().split(",")
    unknown = set(names) - {w.name for w in WORKLOADS}
    if unknown:
        raise click.UsageError(f"there is no workload {', '.join(sorted(unknown))}")
    results = Results()
    with Server() as server:
        results.about |= about.facts(server, is_full=full, rounds=rounds)
        bench = Bench(server, results, rounds, full)
        for workload in WORKLOADS:
            if workload.name in names:
                for part in workload.parts:
                    part(bench)
                    results.write(file)
    for name, figure, must, aim, verdict in page.targets_table(results):
        if verdict:
            click.echo(f"{name:62} {figure:34} must {must:9} aim {aim:9} {verdict}")
    for note in [*results.missing, *results.failed]:
        click.echo(note)
    click.echo(f"All figures: {file}")
    if results.failed:
        raise SystemExit(1)


@main.command("page")
@click.argument("file", type=click.Path(path_type=Path), default=RECORDED)
def write_page(file: Path) -> None:
    """Write docs/benchmarks.md and its plots from the results in FILE, by default the recorded."""
    page.write(Results.read(file))


if __name__ == "__main__":
    main()
