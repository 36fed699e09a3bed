"""quantumflow worker: runs the handlers of a Python module."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from quantumflow_client._log import logger
from quantumflow_client.client import Client
from quantumflow_client.context import TaskFilter
from quantumflow_client.flow import Flow

from . import _output, _processes, _sources
from ._command import App, Seconds, command, end_soon, report, trusted
from ._errors import problem_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@command(
    "worker",
    example="quantumflow worker app:client\n"
    "quantumflow worker app:order_flow --deploy --concurrency 4 --until-idle",
)
@click.argument("source", metavar="MODULE:OBJECT")
@click.option(
    "--queue",
    "queues",
    metavar="NAME",
    multiple=True,
    help="A queue to serve, instead of the handlers' own; more than one, in this order.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    default=10,
    show_default=True,
    help="How many handlers run at once.",
)
@click.option(
    "--prefetch",
    type=click.IntRange(min=0),
    metavar="N",
    default=500,
    show_default=True,
    help="How many tasks more it may hold, if they are quick.",
)
@click.option(
    "--lease",
    type=Seconds(),
    metavar="SECONDS",
    default=30,
    show_default=True,
    help="How long tasks stay this worker's if it dies; it renews them while it lives.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="How many processes do so, each with a --concurrency of its own.",
)
@click.option("--once", is_flag=True, help="Claim once, run that, and end.")
@click.option("--until-idle", is_flag=True, help="End when there is nothing to claim.")
@click.option(
    "--listen",
    "listen_on",
    metavar="DSN",
    help="Where to be told of new work, past a pooler.  [default: where the work is]",
)
@click.option("--no-listen", is_flag=True, help="Only look for new work; listen nowhere.")
@click.option("--name", metavar="TEXT", help="A name for people.  [default: host and process]")
@click.option(
    "--health",
    metavar="[HOST:]PORT",
    callback=lambda _context, _option, value: _address(value),
    help="Where to tell by HTTP whether it goes on; of --processes, each has the next port.",
)
@click.option(
    "--deploy", is_flag=True, help="Define the flows in the database first, if they changed."
)
def worker(
    app: App,
    source: str,
    queues: tuple[str, ...],
    concurrency: int,
    prefetch: int,
    lease: float,
    processes: int,
    once: bool,
    until_idle: bool,
    listen_on: str | None,
    no_listen: bool,
    name: str | None,
    health: tuple[str, int] | None,
    deploy: bool,
) -> None:
    """Run the handlers of a Python module until told to stop.

    OBJECT is a Client, a Flow or a list of Flows in the module MODULE, which is looked for in the
    current folder too. A Client keeps its own database unless --dsn names another. The worker
    works until SIGTERM or Ctrl-C, then finishes what runs and ends with 0. When handlers hang, long
    after their timeout, on all slots, it ends with 6: start it again. Of several processes, one
    that crashes or ends so is replaced.
    """
    _log_to_stderr(as_json=app.as_json)
    client = _client_of(app, source, deploy=deploy)
    options: dict[str, Any] = {
        "queues": queues or None,
        "concurrency": concurrency,
        "prefetch": prefetch,
        "lease": timedelta(seconds=lease),
        "once": once,
        "until_idle": until_idle,
        "listen": not no_listen and (listen_on or True),
        "name": name,
        "health": health,
    }
    try:
        if processes == 1:
            ended = _processes.Ended(client.poll_and_run(**options))
        else:
            # What would stop every process is found out before there is one.
            client._worker(**options).try_connection()  # noqa: SLF001
            client.close()
            said = "%d worker processes begin, each with %d handlers at a time"
            logger.info(said, processes, concurrency)
            program = partial(_work, app.dsn, app.as_json, source, options)
            ended = _processes.run(program, processes, ends_by_itself=once or until_idle)
    finally:
        client.close()
    app.show({"tasks_run": ended.tasks_run}, f"Ran {ended.tasks_run} tasks.")
    raise click.exceptions.Exit(ended.exit_code)


def _work(
    dsn: str | None,
    as_json: bool,
    source: str,
    options: dict[str, Any],
    pipe: Connection,
    number: int,
) -> None:
    """What one of several processes does."""
    _processes.begin_child()
    _log_to_stderr(as_json=as_json)
    app = App()
    app.dsn, app.as_json = dsn, as_json
    if options["name"]:
        options = options | {"name": f"{options['name']} {number}"}
    if options["health"]:
        host, port = options["health"]
        options = options | {"health": (host, port + number - 1)}
    try:
        with closing(_client_of(app, source, deploy=False)) as client:
            worker = client._worker(**options)  # noqa: SLF001
            _processes.obey(pipe, worker)
            ended = _processes.Ended(worker.run())
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        report(problem, error, as_json=as_json)
        ended = _processes.Ended(exit_code=problem.exit_code)
    with suppress(OSError):
        pipe.send(ended)
    end_soon(ended.exit_code)


def _client_of(app: App, source: str, *, deploy: bool) -> Client:
    found = _sources.object_of(source)
    if isinstance(found, Client):
        client = found if app.dsn is None else found.with_source(app.dsn)
        if deploy and not client.flows:
            raise click.UsageError(
                f"{source} is a Client without flows to deploy: client.register(flow) adds one"
            )
    else:
        flows = [found] if isinstance(found, Flow) else found
        if not isinstance(flows, (list, tuple)) or not all(isinstance(f, Flow) for f in flows):
            raise click.UsageError(
                f"{source} is a {type(found).__name__}, "
                "neither a Client nor a Flow nor a list of Flows"
            )
        client = Client(app.source)
        for flow in flows:
            client.register(flow)
    _ready(client)
    for flow in client.flows if deploy else []:
        logger.info("%s", _output.deployed(client.deploy(flow)))
    return client


def _address(text: str | None) -> tuple[str, int] | None:
    """A host, none for every address, and a port."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{text!r} is no port, nor a host and a port")
    return host.strip("[]"), int(port)


def _ready(client: Client) -> Client:
    """The client; without handlers it will call nothing, and that is the first thing to say."""
    return trusted(client) if client.commands or client.flows else client


def _log_to_stderr(*, as_json: bool) -> None:
    """Log what the worker does, unless somebody set logging up already."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else logging.Formatter(_FORMAT))
    if as_json:
        handler.addFilter(TaskFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _JsonFormatter(logging.Formatter):
    """A line of JSON for each record, with what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        extra = {
            name: value
            for name, value in record.__dict__.items()
            if name not in _USUAL and value not in (None, "")
        }
        return json.dumps(document | extra, default=str)
