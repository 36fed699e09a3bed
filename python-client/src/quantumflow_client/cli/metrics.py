"""quantumflow metrics: what Prometheus reads."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import click
import psycopg

from quantumflow_client import _exposition, _sql
from quantumflow_client.errors import QuantumflowError

from ._command import App, command

if TYPE_CHECKING:
    from quantumflow_client._sql.looking import Metric


def _address(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not [ADDRESS]:PORT.", ctx, param)
    return host.strip("[]") or "127.0.0.1", int(port)


@command("metrics", example="quantumflow metrics\nquantumflow metrics --listen :9187")
@click.option(
    "--listen",
    "address",
    metavar="[ADDRESS]:PORT",
    callback=_address,
    help="Serve it at /metrics until stopped; without an address, on 127.0.0.1.",
)
def metrics(app: App, address: tuple[str, int] | None) -> None:
    """Print what there is to measure, for Prometheus.

    In its text format: what goes on, what has ended, how long it waited and took.
    """
    if address is not None:
        serve(app, *address)
        return
    found = app.run(_sql.looking.metrics())
    if app.as_json:
        app.show_rows(found, {}, none="")
    else:
        click.echo(_exposition.text_of(found), nl=False)


def serve(app: App, host: str, port: int) -> None:
    """Answer whoever asks for /metrics; two who ask at once are answered one after the other."""
    lock = threading.Lock()

    def ask() -> list[Metric]:
        with lock:
            return app.run(_sql.looking.metrics())

    ask()  # what is wrong from the beginning is said at once

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, text = 404, "text/plain; charset=utf-8", "It is at /metrics.\n"
            if self.path.partition("?")[0] == "/metrics":
                try:
                    status, kind, text = 200, _exposition.CONTENT_TYPE, _exposition.text_of(ask())
                except (psycopg.Error, QuantumflowError) as error:
                    status, text = 503, f"The database does not answer: {error}\n"
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing of those that are answered."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server((host, port), Handler) as server:
        click.echo(f"http://{server.server_address[0]!s}:{server.server_port}/metrics")
        server.serve_forever()
