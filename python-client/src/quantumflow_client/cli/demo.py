"""quantumflow demo: hands over to quantumflow_client.demo, which is loaded only then."""

from __future__ import annotations

import importlib
from typing import Any

import click


@click.command(
    "demo",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="See it work: a workflow from its start to its end.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def demo(ctx: click.Context, arguments: tuple[str, ...]) -> Any:
    """Call quantumflow_client.demo.main: a click command, or a function of the arguments."""
    found = importlib.import_module("quantumflow_client.demo").main
    if isinstance(found, click.Command):
        with found.make_context("demo", list(arguments), parent=ctx.parent) as context:
            return found.invoke(context)
    return found(list(arguments))
