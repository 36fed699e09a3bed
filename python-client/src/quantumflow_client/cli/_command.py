"""What the commands have in common: where the database is, how to print, how to end."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click
import psycopg

from quantumflow_client import _connections, _dsn, _sql
from quantumflow_client.client import Client
from quantumflow_client.errors import not_installed

from . import _output, _statements
from ._errors import Exit, Problem, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from quantumflow_client._call import Call

T = TypeVar("T")


_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_AWAY = 1.0
"""How many seconds there are between two looks whether the server is back."""


class App:
    """One use of the command: its options, and the connections that it opened."""

    def __init__(self) -> None:
        self.dsn: str | None = None
        self.as_json = False
        self.filter: dict[str, Any] = {}

    @cached_property
    def source(self) -> str:
        """The connection string; "" when libpq's PG* variables say it all.

        Raises:
            Problem: Nothing says which database.
        """
        if self.dsn is not None:
            return self.dsn
        said = _dsn.said_dsn()
        if said is not None:
            return said
        if _dsn.EMBEDDED_IN.is_dir():
            return _dsn.embedded_dsn()
        raise Problem(
            Exit.UNREACHABLE,
            "no database is named",
            detail=f"Neither --dsn nor QUANTUMFLOW_DSN nor PGHOST, PGDATABASE and the like are "
            f"set, and ./{_dsn.EMBEDDED_IN} does not exist.",
            hint="Name one, or make one here: quantumflow dev.",
        )

    @cached_property
    def connections(self) -> _connections.Connections:
        """Connections to the database."""
        return _connections.Connections(self.source)

    @cached_property
    def client(self) -> Client:
        """A client of the database."""
        return trusted(Client(self.source))

    @cached_property
    def _trusted(self) -> _connections.Connections:
        """The connections, now that it is known whose code would run there."""
        refuse_strangers(self.connections)
        return self.connections

    def run(self, call: Call[T]) -> T:
        """Call a function of the database.

        Raises:
            Problem: It is a stranger's, and would run with a superuser's rights.
        """
        return self._trusted.run(call)

    def run_patiently(self, call: Call[T]) -> T:
        """As `run`; a server that is away, and was there before, is waited for."""
        is_away = False
        while True:
            try:
                return self.run(call)
            except psycopg.OperationalError as error:
                if not self.connections.may_pass(error):
                    raise
                if not is_away:
                    click.echo("The server is away, and waited for.", err=True)
                is_away = True
            time.sleep(_AWAY)

    def close(self) -> None:
        """Close what was opened."""
        for opened in (self.__dict__.get("connections"), self.__dict__.get("client")):
            if opened is not None:
                opened.close()

    def show(self, document: object, text: str | Iterable[str]) -> None:
        """Print one thing: as JSON, or as text."""
        if self.as_json:
            click.echo(_output.as_json(document))
        else:
            click.echo(text if isinstance(text, str) else "\n".join(text))

    def show_status(self, run_id: UUID, status: str) -> None:
        """Print what a run's status is now."""
        self.show({"run_id": run_id, "status": status}, f"{run_id} is {status}.")

    def show_rows(
        self, rows: Sequence[Any], head: dict[str, Callable[[Any], object]], *, none: str
    ) -> None:
        """Print a list: a line of JSON for each row, or a table.

        Args:
            rows: The rows.
            head: The table's columns, and what of a row is in them.
            none: What to say when there are no rows.
        """
        if self.as_json:
            for row in rows:
                click.echo(_output.as_json(row))
        elif not rows:
            click.echo(none)
        else:
            cells = [[cell(row) for cell in head.values()] for row in rows]
            click.echo("\n".join(_output.table(list(head), cells)))


def refuse_strangers(connections: _connections.Connections) -> None:
    """Refuse to run code of whoever owns the schema with a superuser's rights, if he has them not.

    Anybody who may create schemas may have made one called quantumflow.

    Raises:
        NotInstalled: The session is a superuser's, and there is no schema. Somebody could make it
            between this look and the call.
        Problem: The session is a superuser's, and something in the schema is not.
    """
    with connections.lent() as connection:
        session = _statements.standing(connection)
    if session.may_run_it:
        return
    if session.owner is None:
        raise not_installed('schema "quantumflow" does not exist')
    raise Problem(
        Exit.REFUSED,
        f"quantumflow belongs to {session.stranger}, whose code would run with your rights",
        detail="This is a session of a superuser's.",
        hint=f"Connect as {session.stranger}, or as a role with access to quantumflow.",
    )


def trusted(client: Client) -> Client:
    """The client, now that it is known whose code it would run; see refuse_strangers."""
    try:
        refuse_strangers(client._connections)  # noqa: SLF001
    except BaseException:
        client.close()
        raise
    return client


class Seconds(click.ParamType):  # type: ignore[type-arg]  # of newer ones
    """A length of time, in seconds, that Python can hold; none of NaN, for example."""

    name = "seconds"

    def __init__(self, least: float = 0.0) -> None:
        self._least = least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = timedelta(seconds=float(value)).total_seconds()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        if seconds < self._least:
            self.fail(f"{value!r} is less than {self._least:g} s.", param, ctx)
        return seconds


class Ago(click.ParamType):  # type: ignore[type-arg]  # of newer ones
    """A length of time: 30m, 2h, 7d."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if (ago := _AGO.fullmatch(value)) is None:
            self.fail(f"{value!r} is not a length of time such as 30m, 2h or 7d.", param, ctx)
        return _length(ago)


def _length(ago: re.Match[str]) -> timedelta:
    return timedelta(**{_UNITS[ago[2]]: float(ago[1])})


@dataclass(frozen=True, slots=True)
class _Prefix:
    """How the id of a run begins, to be looked up."""

    text: str


class Run(click.ParamType):  # type: ignore[type-arg]  # of newer ones
    """A run: its id, or as many of the first digits of it as no other run shares."""

    name = "run"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> UUID | _Prefix:
        if isinstance(value, (UUID, _Prefix)):
            return value
        try:
            return UUID(value)
        except ValueError:
            if re.fullmatch("[0-9a-fA-F-]{1,36}", value) is None:
                self.fail(f"{value!r} is not the id of a run, nor its beginning.", param, ctx)
            return _Prefix(value)


RUN = Run()


def _with_runs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command be given runs by the beginnings of their ids."""

    @wraps(function)
    def called(app: App, *args: Any, **options: Any) -> Any:
        for name, value in options.items():
            if isinstance(value, _Prefix):
                options[name] = app.run(_sql.runs.find_run(value.text))
        return function(app, *args, **options)

    return called


def moment(ctx: click.Context, param: click.Parameter, text: str | None) -> datetime | None:
    """A time that an option names, or how long ago: 2h; without a zone, local."""
    if text is None:
        return None
    if (ago := _AGO.fullmatch(text)) is not None:
        return datetime.now(timezone.utc) - _length(ago)
    try:
        at = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
        return at.astimezone()
    except (ValueError, OverflowError):
        expected = "a time such as 2030-01-31T09:00+01:00, nor so long ago as 30m, 2h or 7d"
        raise click.BadParameter(f"{text!r} is not {expected}.", ctx, param) from None


class Group(click.Group):
    """The group of all commands: reports errors, and ends with the codes that Exit lists."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Be the program: run what the arguments ask for, and end."""
        arguments = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):  # what a terminal cannot show, it must not refuse
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            ended = super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
        except Exception as error:
            problem = problem_of(error)
            if problem is None or not standalone_mode:
                raise
            report(problem, error, as_json="--json" in arguments)
            ended = problem.exit_code
        if standalone_mode:
            if args is None:
                end_soon(int(ended or 0))
            sys.exit(int(ended or 0))
        return ended


_PATIENCE = 5.0
"""How many seconds a process has to end when its work is done."""


def end_soon(exit_code: int) -> None:
    """End this process a moment later even if threads do not.

    Python waits for every thread that is no daemon: one that a handler began, or gave work in a
    pool, may hang.
    """

    def end() -> None:
        time.sleep(_PATIENCE)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(exit_code)

    threading.Thread(target=end, name="quantumflow-end", daemon=True).start()


def report(problem: Problem, error: Exception, *, as_json: bool) -> None:
    """Write what is wrong to the standard error."""
    if as_json:
        click.echo(_output.as_json(problem.as_json()), err=True)
        return
    if isinstance(error, click.ClickException):
        error.show()
        return
    code = f" ({problem.code})" if problem.code else ""
    lines = [f"Error: {problem.message}{code}"]
    lines += [f"DETAIL: {problem.detail}"] if problem.detail else []
    lines += [f"HINT: {problem.hint}"] if problem.hint else []
    click.echo(_output.lines_of("\n".join(lines)), err=True)


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    assert option.name is not None
    if value not in (None, False):
        setattr(ctx.ensure_object(App), option.name, value)


_COMMON = (
    click.option(
        "--dsn",
        metavar="DSN",
        expose_value=False,
        callback=_keep,
        help="The database, as a libpq connection string or URL.",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Print JSON: one document, or one a line for a list. Errors too, on stderr.",
    ),
)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command has; they may stand before its name too."""
    for option in reversed(_COMMON):
        function = option(function)
    return function


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command: a decorator. It is called with the App, then its parameters.

    Args:
        name: The command's name.
        example: Lines that show its use; they are printed at the end of its help.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        lines = "".join(f"\n  {line}" for line in example.splitlines())
        made = click.command(name, epilog=f"\b\nExample:{lines}")
        return made(common(click.pass_obj(_with_runs(function))))

    return decorate


def honour_no_color(ctx: click.Context) -> None:
    """Print no colours when NO_COLOR is set, even on a terminal."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False
