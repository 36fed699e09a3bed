"""quantumflow flow: the workflows' definitions."""

from __future__ import annotations

import json

import click

from quantumflow_client import _sql

from . import _draw, _output, _sources
from ._command import App, command
from ._errors import Exit, Problem

_SOURCE = "FILE|MODULE:FLOW"


@click.group("flow", invoke_without_command=True)
@click.pass_context
def flow(ctx: click.Context) -> None:
    """Define, draw, list and delete workflows."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_slug_option = click.option(
    "--slug", metavar="TEXT", help="The workflow, where the definition has no slug."
)


@command("validate", example="quantumflow flow validate order.json")
@click.argument("source", metavar=_SOURCE)
@_slug_option
def validate(app: App, source: str, slug: str | None) -> int:
    """Say everything that is wrong with a definition, and define nothing.

    The definition is a JSON file, - for the standard input, or a Flow in a Python module. Ends
    with 1 when something is wrong.
    """
    problems = app.run(_sql.definitions.validate_flow(_sources.definition_of(source), slug))
    app.show_rows(
        problems,
        {
            "code": lambda problem: problem.code,
            "where": lambda problem: problem.path,
            "problem": lambda problem: problem.message,
        },
        none="The definition is valid.",
    )
    return Exit.UNWELL if problems else Exit.OK


@command(
    "deploy",
    example="quantumflow flow deploy app:order_flow\nquantumflow flow deploy order.json --rollback",
)
@click.argument("source", metavar=_SOURCE)
@_slug_option
@click.option("--rollback", is_flag=True, help="Make an older version current again.")
def deploy(app: App, source: str, slug: str | None, rollback: bool) -> None:
    """Define a workflow in the database.

    The same content again is the same version. New content becomes the next version, and current.
    Content from before the current version leaves that one current, unless told to roll back.
    """
    version = app.run(
        _sql.definitions.define_flow(_sources.definition_of(source), slug, rollback=rollback)
    )
    if not rollback:
        version = version.beside(app.run(_sql.definitions.list_flows()))
    app.show(version, _output.deployed(version))


@command(
    "show",
    example="quantumflow flow show order\nquantumflow flow show order.json --mermaid",
)
@click.argument("source", metavar=f"SLUG|{_SOURCE}")
@click.option("--text", "drawing", flag_value="text", help="Draw it as text.  [default]")
@click.option(
    "--mermaid",
    "drawing",
    flag_value="mermaid",
    help="Print a Mermaid flowchart, as Markdown pages can show it.",
)
@click.option("--version", type=int, metavar="N", help="A version of SLUG, not the current one.")
def show(app: App, source: str, drawing: str | None, version: int | None) -> None:
    """Draw a workflow's graph, layer by layer; with --json, print its definition.

    SLUG is a workflow in the database. A file or a Python object needs no database.
    """
    if _sources.is_definition(source):
        if version is not None:
            raise click.UsageError("--version is for a workflow in the database")
        definition = _sources.definition_of(source)
    else:
        definition = app.run(_sql.definitions.get_flow(source, version))
    draw = _draw.mermaid if drawing == "mermaid" else _draw.text
    app.show(definition, draw(definition))


@command(
    "test",
    example='quantumflow flow test order ship \'{"run": {"amount": 5}, "check": {"ok": true}}\'',
)
@click.argument("slug")
@click.argument("step")
@click.argument("input_json", metavar="INPUT")
@click.option(
    "--status",
    metavar="JSON",
    default="{}",
    help='What became of steps that it waits for, as {"check": "skipped"}.',
)
@click.option("--version", type=int, metavar="N", help="A version; by default the current.")
def test(app: App, slug: str, step: str, input_json: str, status: str, version: int | None) -> None:
    """Ask the condition of a STEP of the workflow SLUG of an input, and show what it looks at.

    INPUT is what the step would be given, an object with "run" and each dependency that completed:
    JSON, - for JSON from the standard input, @FILE for JSON in a file.
    """
    answer = app.client.test_condition(
        slug,
        step,
        _sources.json_of(input_json),
        status=_sources.json_of(status),
        version=version,
    )
    says = {True: "true: the step runs", False: "false", None: "unknown: the step fails"}
    lines = [says[answer.result] + (f"; {answer.reason}" if answer.reason else "")]
    lines += [
        f"  {path}  {json.dumps(seen, ensure_ascii=False)}" for path, seen in answer.saw.items()
    ]
    app.show(answer, [_output.one_line(line) for line in lines])


@command("list", example="quantumflow flow list")
def list_(app: App) -> None:
    """List the workflows, the newest first."""
    flows = app.run(_sql.definitions.list_flows())
    app.show_rows(
        flows,
        {
            "workflow": lambda found: found.workflow_slug,
            "version": lambda found: found.current_version,
            "steps": lambda found: found.steps,
            "has run": lambda found: "yes" if found.frozen else "no",
            "defined": lambda found: _output.when(found.created_at),
            "title": lambda found: found.title,
        },
        none="There are no workflows. Define one: quantumflow flow deploy.",
    )


@command("delete", example="quantumflow flow delete order")
@click.argument("slug")
def delete(app: App, slug: str) -> None:
    """Delete a workflow with all its versions; refused while it has runs."""
    if not app.run(_sql.definitions.delete_flow(slug)):
        raise Problem(
            Exit.NOT_FOUND,
            f'workflow "{slug}" does not exist',
            hint="List them: quantumflow flow list.",
        )
    app.show({"workflow_slug": slug, "deleted": True}, f"{slug} is deleted.")


for _command in (validate, deploy, show, test, list_, delete):
    flow.add_command(_command)
