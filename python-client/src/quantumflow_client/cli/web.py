"""quantumflow web: what goes on, in a browser."""

from __future__ import annotations

import ipaddress
import os
import secrets
from typing import TYPE_CHECKING

import click

from ._command import App, Seconds, command, refuse_strangers
from .page import need

if TYPE_CHECKING:
    from typing import TypeAlias

    _Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - they are refused without names
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def _network(ctx: click.Context, param: click.Parameter, text: str | None) -> _Network | None:
    try:
        return None if text is None else ipaddress.ip_network(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no network: {error}.", ctx, param) from None


@command(
    "web",
    example="quantumflow web\nquantumflow web --operator --port 8420\n"
    "quantumflow web --bind 0.0.0.0 --host-name flows.example.com "
    "--trust-header X-Forwarded-User --from 10.0.0.7/32",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8420,
    show_default=True,
    help="Where it listens.",
)
@click.option(
    "--bind",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="From where it can be reached: by default from this machine alone.",
)
@click.option(
    "--host-name",
    "host_names",
    metavar="NAME[:PORT]",
    multiple=True,
    help="A name by which browsers may ask for it, as a proxy passes it on; may be repeated.",
)
@click.option("--operator", is_flag=True, help="Offer what steers, too, as far as the role may.")
@click.option(
    "--trust-header",
    metavar="NAME",
    help="A header in which a proxy says who it is; whoever it names needs no token.",
)
@click.option(
    "--from", "network", metavar="CIDR", callback=_network, help="From where it is believed."
)
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="How many connections to the database at most, however many look.",
)
@click.option(
    "--patience",
    type=Seconds(0.1),
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    help="How long the database may work on one question.",
)
def web(
    app: App,
    port: int,
    bind: str,
    host_names: tuple[str, ...],
    operator: bool,
    trust_header: str | None,
    network: _Network | None,
    connections: int,
    patience: float,
) -> None:
    """Show what goes on, in a browser.

    Runs, flows, queues, workers, schedules, waits. It prints a link with a token, made anew
    each time, or QUANTUMFLOW_WEB_TOKEN; who has it may look, and with --operator steer. Times
    are of the local time zone. It goes on until SIGTERM.
    """
    if (trust_header is None) != (network is None):
        raise click.UsageError("--trust-header and --from CIDR are given both or neither")
    if bind in _EVERYWHERE and not host_names:
        raise click.UsageError(
            f"--bind {bind or '::'} needs --host-name: by which name it is asked"
        )
    for module in ("starlette", "uvicorn", "jinja2"):
        need(module, "web", "web")
    import uvicorn

    from quantumflow_client.web.app import make
    from quantumflow_client.web.database import Database
    from quantumflow_client.web.gate import Gate
    from quantumflow_client.web.site import House

    token = os.environ.get("QUANTUMFLOW_WEB_TOKEN") or secrets.token_urlsafe(24)
    database = Database(app.source, connections=connections, patience=patience)
    try:
        refuse_strangers(database.connections)
    except BaseException:
        database.connections.close()
        raise
    gate = Gate(
        token,
        port=port,
        hosts=hosts_of(bind, port, host_names),
        header=trust_header,
        networks=[network] if network is not None else [],
    )
    click.echo(f"http://{_name_of(bind, port, host_names)}/?token={token}")
    house = House(database, gate, is_operator=operator)
    config = uvicorn.Config(
        make(house),
        host=bind,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=400,
        timeout_graceful_shutdown=15,
    )
    server = uvicorn.Server(config)
    house.is_closing = lambda: server.should_exit
    server.run()


def hosts_of(bind: str, port: int, names: tuple[str, ...]) -> list[str]:
    """What the Host header may be: the address it listens on, or the names that were given."""
    own = [] if bind in _EVERYWHERE else [f"[{bind}]" if ":" in bind else bind]
    if bind in ("127.0.0.1", "::1", "localhost"):
        own = list(_LOOPBACK)
    found = [f"{name}:{port}" for name in own] + ([*own] if port == 80 else [])
    return found + [name.lower() for name in names]


def _name_of(bind: str, port: int, names: tuple[str, ...]) -> str:
    return names[0] if names else f"[{bind}]:{port}" if ":" in bind else f"{bind}:{port}"
