"""quantumflow page: a run as one HTML file."""

from __future__ import annotations

import importlib.util
from uuid import UUID

import click

from ._command import RUN, App, command
from ._errors import Exit, Problem


def need(module: str, extra: str, command: str) -> None:
    """Refuse a command whose extra is not installed.

    Raises:
        Problem: It is not.
    """
    if importlib.util.find_spec(module) is None:
        raise Problem(
            Exit.USAGE,
            f"quantumflow {command} needs {module}, which is not installed",
            hint=f"Install the extra, in the clone: pip install './python-client[{extra}]'.",
        )


@command("page", example="quantumflow page 0198c0de-0000-7000-8000-000000000000 > run.html")
@click.argument("run_id", metavar="RUN", type=RUN)
@click.option("--no-values", is_flag=True, help="Leave out what the steps were given and put out.")
def page(app: App, run_id: UUID, no_values: bool) -> None:
    """Write a run as one HTML file.

    It needs nothing else, no script either. Its timeline with each attempt, its graph, what
    failed and why, what went in and came out. Times are of the local time zone: TZ=UTC
    quantumflow page ... writes them in UTC.
    """
    need("jinja2", "web", "page")
    from quantumflow_client.page.facts import read
    from quantumflow_client.page.render import page as render

    facts = read(app.run, run_id, outputs=not no_values)
    if no_values:
        facts = facts.without_values()
    click.echo(render(facts))
