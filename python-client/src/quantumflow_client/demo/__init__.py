"""The demo: a workflow from its start to its end, with a worker killed in the middle.

It takes a census of Python's own standard library, a task for each file, and proves from the
database that every file was counted exactly once.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

__all__ = ["main"]


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=".quantumflow",
    show_default=True,
    help="Where the embedded PostgreSQL has its files. The page goes there, too.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 16),
    default=2,
    show_default=True,
    metavar="N",
    help="How many worker processes to begin with.",
)
@click.option(
    "--kill/--no-kill",
    default=True,
    help="Whether to kill a worker in the middle.  [default: kill]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Look at the first N files only.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser at the end.")
def main(directory: Path, workers: int, kill: bool, limit: int | None, open_page: bool) -> int:
    """See it work: a census of Python's own standard library.

    Each of its about 1,700 files is one task of a workflow in an embedded PostgreSQL. Two
    processes work on them; one is killed while it holds tasks, and another takes over. Then the
    database is asked whether every file was counted exactly once, and the same is counted again
    in a plain loop. It ends with 0 if everything is right, and leaves a page to look at.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise click.ClickException(
            "the demo needs its extra, in the clone: pip install './python-client[demo]'"
        )
    from .run import DemoFailed, run_demo

    try:
        return run_demo(directory, workers=workers, kill=kill, limit=limit, open_page=open_page)
    except DemoFailed as error:
        click.echo(f"Error: {error}", err=True)
        return 1
