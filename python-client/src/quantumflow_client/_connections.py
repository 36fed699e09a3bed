"""Where connections come from: a DSN, a pool, the environment, or an embedded PostgreSQL.

Calls of a client share a bounded number of connections: see `_places`. Each call is a transaction
of its own in READ COMMITTED, for which the engine's promises are made, and looks names up in
pg_catalog alone: on the search path that a database or a role brings along may stand what somebody
else wants run with our rights.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutinefunction
from math import inf
from threading import TIMEOUT_MAX, Event, Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from . import _sql
from ._borrowed import kind_of
from ._dsn import find_dsn, parts_of, real_dsn
from ._forks import begin_anew_in_forks
from ._log import logger
from ._places import Places
from .errors import BadArgument, ConnectionsBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from ._call import Call

T = TypeVar("T")

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]

_IDLE = 4
"""How many idle connections a client keeps at most."""

_DEFAULTS = {
    "fallback_application_name": "quantumflow",
    "connect_timeout": os.environ.get("PGCONNECT_TIMEOUT") or "10",
    # A network that loses packets must not hold a worker longer than a lease.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


class _Reminded(psycopg.Connection[Any]):
    """A connection whose session does not keep what it began with: each call says it again."""


class _AsyncReminded(psycopg.AsyncConnection[Any]):
    """As `_Reminded`."""


def _arguments(
    dsn: str, prepare_threshold: int | None, *, for_calls: bool = True
) -> dict[str, Any]:
    """What to call connect with: what the DSN says, and what it leaves open.

    Args:
        dsn: The connection string.
        prepare_threshold: None: there is a pooler, maybe.
        for_calls: Whether only calls of ours come: these look names up in pg_catalog alone,
            whatever the DSN, the database or the role says of the search path.
    """
    arguments: dict[str, Any] = {**_DEFAULTS, **parts_of(dsn)}
    arguments["prepare_threshold"] = prepare_threshold
    # The one setting that poolers pass on.
    arguments["client_encoding"] = _sql.session.ENCODING
    if prepare_threshold is not None:
        # One round trip a call: autocommit, at the isolation level that the session begins with.
        # A pooler would refuse the option, or forget it: there each transaction says its level.
        arguments["autocommit"] = True
        options = arguments.get("options") or os.environ.get("PGOPTIONS", "")
        options += " -c default_transaction_isolation=read\\ committed"
        settings = _sql.session.READABLE | (_sql.session.FOR_CALLS if for_calls else {})
        options += "".join(f" -c {name}={value}" for name, value in settings.items())
        arguments["options"] = options.strip()
    return arguments


def connect(dsn: str, *, name: str) -> Connection:
    """An autocommit connection for what is neither a call nor prepared.

    Args:
        dsn: The connection string.
        name: What the session is called, unless the DSN says.
    """
    more = {"autocommit": True, "fallback_application_name": name}
    return psycopg.connect(**_arguments(dsn, None, for_calls=False) | more)


def _is_from_pooler(error: psycopg.OperationalError) -> bool:
    """Whether a pooler refused what `_arguments` asks of a session: then nothing is prepared.

    Errors of connecting have no SQLSTATE, and this is PgBouncer's wording in every version.
    """
    return "unsupported startup parameter" in str(error)


def _is_readable(connection: psycopg.BaseConnection[Any]) -> bool:
    """Whether psycopg can read what comes; no round trip, since the server tells these by itself.

    A pooler may have refused, or forgotten, what the session was asked for.
    """
    said = connection.pgconn.parameter_status
    return (
        (said(b"DateStyle") or b"").startswith(b"ISO")
        and said(b"IntervalStyle") == b"postgres"
        and said(b"client_encoding") != b"SQL_ASCII"
    )


_PATIENCE = 10.0
"""How many seconds a server may take to answer what it is asked first."""


def _has_forgotten(connection: Connection) -> bool:
    """Whether a pooler took what `_arguments` asks of a session, and did not pass it on."""
    with waiting_at_most(_PATIENCE, connection):
        return connection.execute(_sql.session.SHOW_PATH).fetchone() != (_sql.session.PATH,)


async def _ahas_forgotten(connection: AsyncConnection) -> bool:
    """As `_has_forgotten`."""
    alimit_waiting(connection, lambda: _PATIENCE)
    try:
        return await (await connection.execute(_sql.session.SHOW_PATH)).fetchone() != (
            _sql.session.PATH,
        )
    finally:
        del connection.wait


def _overhear(_notice: psycopg.Notify) -> None:
    """What somebody listened for through the same pooler: psycopg would keep it for ever."""


def _dsn_of(connection: psycopg.BaseConnection[Any]) -> str:
    """Where another connection like this one goes."""
    return make_conninfo(connection.info.dsn, password=connection.info.password or None)


def is_alive(connection: psycopg.BaseConnection[Any]) -> bool:
    """Whether a connection can be used again, as far as the socket knows; no round trip."""
    pgconn = connection.pgconn
    if pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return False
    try:
        # Twice: the server's last words come before the end of its stream.
        pgconn.consume_input()
        pgconn.consume_input()
    except psycopg.Error:
        return False
    return pgconn.status == psycopg.pq.ConnStatus.OK


def is_servers_end(sqlstate: str) -> bool:
    """Whether a code says that the server, or the way to it, is lost: not what was asked of it."""
    # A statement that was cancelled was refused; the rest of class 57 is a server that ends.
    is_ending = sqlstate.startswith("57") and sqlstate != "57014"
    return is_ending or sqlstate[:2] in {"08", "28"} or sqlstate in {"25006", "53300"}


def _is_passing(connection: psycopg.BaseConnection[Any], error: psycopg.Error) -> bool:
    """Whether a call failed only for what an upgrade, or a pooler, did below it: once more, then.

    A prepared statement's result changed in an upgrade (0A000), or a pooler changed sessions below
    us (26000): from now on without. A function had begun when an upgrade replaced what it was about
    to call (42883, 42703, 42804, 42846, XX000); nothing has changed then, and the next call is all
    new.
    """
    if isinstance(error, _REPLACED):
        return True
    if not isinstance(error, _STALE) or connection.prepare_threshold is None:
        return False
    connection.prepare_threshold = None
    return True


_STALE = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
_REPLACED = (
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.DatatypeMismatch,
    psycopg.errors.CannotCoerce,
    psycopg.errors.InternalError_,
)


class Source:
    """What both kinds of connections have in common; `_is_async` tells which it is.

    Args:
        source: A DSN, a pool, or None: what `find_dsn` says.
        prepare_threshold: After how many uses psycopg prepares a statement.
        most: How many connections there are at most; a pool has a bound of its own.
        keep: How many idle ones are kept at most.
        wait: How many seconds a call waits for one at most.
        for_calls: Whether only calls of ours come.
        find_dsn: Called when there is no source, at the first use.
    """

    _is_async: ClassVar[bool]

    def __init__(
        self,
        source: Any,
        *,
        prepare_threshold: int | None = 5,
        most: float = inf,
        keep: int = _IDLE,
        wait: float = inf,
        for_calls: bool = True,
        find_dsn: Callable[[], str] = find_dsn,
    ) -> None:
        self._source = source
        self._refuse_strange(source)
        self._dsn: str | None = None
        self._pool = None if source is None or isinstance(source, str) else source
        self._prepare_threshold = prepare_threshold
        self._places: Places[Any] = Places(most if self._pool is None else inf, keep)
        self._wait = wait
        self._for_calls = for_calls
        self._find_dsn = partial(real_dsn, source) if isinstance(source, str) else find_dsn
        self._lock = Lock()
        self._has_waited = False
        self._was_connected = False
        begin_anew_in_forks(self)

    @property
    def is_pooled(self) -> bool:
        """Whether they are of somebody's pool, who has counted on how many are taken from it."""
        return self._pool is not None

    def _refuse_strange(self, source: Any) -> None:
        """Refuse what is neither a DSN nor a pool of the right kind."""
        if isinstance(source, str):
            parts_of(source)
            return
        getconn = getattr(source, "getconn", None)
        if source is not None and (
            getconn is None or self._is_async != iscoroutinefunction(getconn)
        ):
            raise BadArgument(
                f"the source is a {kind_of(source)}: it is a DSN or a psycopg_pool."
                f"{'Async' if self._is_async else ''}ConnectionPool",
                hint="A connection of yours goes to start_flow(..., connection=...).",
            )

    def _forget(self) -> None:
        self._places.forget()
        self._lock = Lock()

    def reopen(self) -> None:
        """Keep idle connections again, after `close`."""
        self._places.open()

    def dsn(self) -> str:
        """Where the connections go; a pool's must have been open once."""
        with self._lock:
            if self._dsn is None:
                self._dsn = self._find_dsn()
            return self._dsn

    def may_pass(self, error: Exception) -> bool:
        """Whether a call that failed so may succeed later: the server was there, and is away."""
        if isinstance(error, ConnectionsBusy):
            return True
        is_away = isinstance(error, psycopg.OperationalError) and (
            error.sqlstate is None or is_servers_end(error.sqlstate)
        )
        return is_away and self._was_connected and not getattr(self._pool, "closed", False)

    def _patience_in_line(self, within: float | None) -> float:
        """How many seconds to wait for a place; says once that somebody has to."""
        if not self._has_waited:
            self._has_waited = True
            logger.warning(
                "all %d connections of a client are in use: calls wait for one (max_connections)",
                self._places.most,
            )
        return self._wait if within is None else min(self._wait, within)

    def _busy(self, seconds: float) -> ConnectionsBusy:
        return ConnectionsBusy(int(self._places.most), seconds)


class Connections(Source):
    """A client's connections."""

    _is_async = False

    def apart(self, keep: int) -> Connections:
        """Connections from the same source that are never those of this object, and unbounded.

        SQL of the user's runs there: the search path is his.

        Args:
            keep: How many idle ones it keeps at most.
        """
        threshold = self._prepare_threshold
        return Connections(self._source, prepare_threshold=threshold, keep=keep, for_calls=False)

    def asynchronous(self, keep: int) -> AsyncConnections:
        """As `apart`, asynchronous ones to the same database; beside a pool, not from it."""
        return AsyncConnections(
            None,
            prepare_threshold=self._prepare_threshold,
            keep=keep,
            for_calls=False,
            find_dsn=self.dsn,
        )

    def open(self) -> Connection:
        """A connection for the caller alone, until it is discarded, beyond the bound."""
        if self._pool is not None:
            pooled: Connection = self._pool.getconn()
            self._was_connected = True
            self._dsn = _dsn_of(pooled)
            return pooled
        threshold, for_calls = self._prepare_threshold, self._for_calls
        kind = _Reminded if threshold is None and for_calls else psycopg.Connection
        arguments = _arguments(self.dsn(), threshold, for_calls=for_calls)
        try:
            connection: Connection = kind.connect(**arguments)
        except psycopg.OperationalError as error:
            if threshold is None or not _is_from_pooler(error):
                raise
            self._prepare_threshold = None
            return self.open()
        if threshold is not None and for_calls and _has_forgotten(connection):
            connection.close()
            self._prepare_threshold = None
            return self.open()
        self._was_connected = True
        if not connection.autocommit:
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            connection.add_notify_handler(_overhear)
        return connection

    def discard(self, connection: Connection) -> None:
        """Give back what `open` gave."""
        if self._pool is not None:
            self._pool.putconn(connection)
        else:
            connection.close()

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """A connection for the caller alone meanwhile, an idle one or a new one."""
        self._take_place()
        connection = None
        try:
            connection = self._places.pop() or self.open()
            yield connection
        finally:
            self._give_back(connection)

    def begin(
        self, patience: Callable[[], float]
    ) -> tuple[Connection, AbstractContextManager[object]]:
        """A connection for the caller alone, in a transaction block, until `end`.

        Args:
            patience: How many seconds the server may be silent at the moment; see `run`.
        """
        self._take_place()
        while True:
            idle: Connection | None = self._places.pop()
            connection = idle
            try:
                connection = connection or self.open()
                limit_waiting(connection, patience)
                block = connection.transaction()
                block.__enter__()
                if self._pool is None and not _is_readable(connection):
                    connection.execute(_sql.session.SAY_READABLE)
                return connection, block
            except BaseException as error:
                # It may have died idle, which shows only now.
                if connection is not None:
                    vars(connection).pop("wait", None)
                if idle is None or not isinstance(error, psycopg.OperationalError):
                    self._give_back(connection)
                    raise
                idle.close()

    def end(self, connection: Connection) -> None:
        """Give back a connection whose transaction block was left."""
        del connection.wait
        self._give_back(connection)

    def run(
        self, call: Call[T], *, patience: float | None = None, within: float | None = None
    ) -> T:
        """Carry a call out, in a transaction of its own, on an idle connection or a new one.

        Args:
            call: The call.
            patience: As for the function `run`.
            within: How many seconds to wait for a connection at most, if less than usual.

        Raises:
            ConnectionsBusy: All connections were in use for so long.
        """
        self._take_place(within)
        connection: Connection | None = None
        try:
            while (connection := self._places.pop()) is not None:
                if not is_alive(connection):
                    connection.close()
                    continue
                try:
                    return run(connection, call, patience=patience)
                except psycopg.OperationalError:
                    # It may have died idle, which shows only now.
                    if not (connection.closed and call.is_repeatable):
                        raise
            connection = self.open()
            return run(connection, call, patience=patience)
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close the idle connections; a pool is its owner's to close."""
        for connection in self._places.close():
            connection.close()

    def _take_place(self, within: float | None = None) -> None:
        told = Event()

        def tell() -> bool:
            told.set()
            return True

        waiting = self._places.take(tell)
        if waiting is None:
            return
        began = time.monotonic()
        try:
            if told.wait(min(self._patience_in_line(within), TIMEOUT_MAX)):
                return
        except BaseException:
            if self._places.leave(waiting):
                self._places.pass_on()
            raise
        if not self._places.leave(waiting):
            raise self._busy(time.monotonic() - began)

    def _give_back(self, connection: Connection | None) -> None:
        """Keep a connection that is not used any more, or close it, and give its place up."""
        try:
            if connection is None:
                return
            if self._pool is not None:
                self._pool.putconn(connection)
            elif not (is_alive(connection) and self._places.keep(connection)):
                connection.close()
        finally:
            self._places.pass_on()


class Session:
    """A connection for many calls, each in a transaction of its own; lost, it is opened anew.

    Args:
        connections: Where it comes from.
        patience: How many seconds the server may be silent at the moment; see the function `run`.
    """

    def __init__(self, connections: Connections, patience: Callable[[], float]) -> None:
        self._connections = connections
        self._patience = patience
        self._connection: Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, alive or not."""
        return self._connection is not None

    @property
    def is_alive(self) -> bool:
        """Whether the connection can be used again."""
        return self._connection is not None and is_alive(self._connection)

    def open(self) -> None:
        """Connect."""
        self._connection = self._connections.open()
        limit_waiting(self._connection, self._patience)

    @property
    def where(self) -> str:
        """Which database it is, on which server, and as whom, for people; it is open."""
        assert self._connection is not None
        info = self._connection.info
        return f'database "{info.dbname}" at {info.host}:{info.port} as "{info.user}"'

    def ask(self, call: Call[T]) -> T:
        """Carry a call out."""
        assert self._connection is not None
        return run(self._connection, call)

    def close(self) -> None:
        """Give the connection back, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            del connection.wait
            self._connections.discard(connection)


def run(connection: Connection, call: Call[T], *, patience: float | None = None) -> T:
    """Carry a call out, in a transaction of its own.

    Args:
        connection: Where.
        call: What.
        patience: How many seconds the server may be silent; None: for ever. After that the
            connection is closed, and it is not known whether the call was done.
    """
    if patience is not None:
        with waiting_at_most(patience, connection):
            return run(connection, call)
    is_repeated = False
    while True:
        try:
            return _transact(connection, call)
        except psycopg.Error as error:  # noqa: PERF203 - twice at most
            if is_repeated or not _is_passing(connection, error):
                raise
            is_repeated = True


@contextmanager
def waiting_at_most(seconds: float, connection: Connection) -> Iterator[None]:
    """Close a connection, with an OperationalError, if the server is silent meanwhile for so long.

    Keepalives notice a network that is gone, but not one in which something between us and the
    server still answers them: a pooler that hangs, a proxy that lost its other side.
    """
    limit_waiting(connection, lambda: seconds)
    try:
        yield
    finally:
        del connection.wait


def limit_waiting(connection: Connection, seconds: Callable[[], float]) -> None:
    """As `waiting_at_most`, from now on: until `del connection.wait`."""
    wait = connection.wait

    def limited(gen: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return wait(_giving_up(gen, seconds), *args, **kwargs)
        except _Silence as silence:
            raise _close(connection, silence) from None

    connection.wait = limited  # type: ignore[method-assign]


def alimit_waiting(connection: AsyncConnection, seconds: Callable[[], float]) -> None:
    """As `limit_waiting`, of an asynchronous connection."""
    wait = connection.wait

    async def limited(gen: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await wait(_giving_up(gen, seconds), *args, **kwargs)
        except _Silence as silence:
            raise _close(connection, silence) from None

    connection.wait = limited  # type: ignore[method-assign]


def _close(connection: psycopg.BaseConnection[Any], silence: _Silence) -> psycopg.OperationalError:
    connection.pgconn.finish()
    return psycopg.OperationalError(f"the server has said nothing for {silence.seconds:.1f} s")


class _Silence(Exception):  # noqa: N818 - nobody else sees it
    """The server does not answer."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


def _giving_up(gen: Generator[Any, Any, T], seconds: Callable[[], float]) -> Generator[Any, Any, T]:
    """What psycopg waits for, but not for ever: it is resumed with 0 while nothing comes."""
    try:
        state = next(gen)
        heard_at = time.monotonic()
        while True:
            ready = yield state
            now = time.monotonic()
            if ready:
                heard_at = now
            elif now >= heard_at + seconds():
                raise _Silence(now - heard_at)
            state = gen.send(ready)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _transact(connection: Connection, call: Call[T]) -> T:
    if connection.autocommit:
        return call.on(connection)
    with connection.transaction():
        if isinstance(connection, _Reminded):
            connection.execute(_sql.session.SAY_FOR_CALLS)
        return call.on(connection)


class AsyncConnections(Source):
    """An asynchronous client's connections; see Connections."""

    _is_async = True

    async def run(
        self, call: Call[T], *, patience: float | None = None, within: float | None = None
    ) -> T:
        """Carry a call out, in a transaction of its own, on an idle connection or a new one.

        Args:
            call: The call.
            patience: As for Connections.
            within: As for Connections.

        Raises:
            ConnectionsBusy: As there.
        """
        if self._pool is not None:
            async with self._pool.connection() as connection:
                self._was_connected = True
                if self._dsn is None:
                    self._dsn = _dsn_of(connection)
                return await arun(connection, call, patience=patience)
        await self._take_place(within)
        connection = None
        try:
            while (connection := self._places.pop()) is not None:
                if not is_alive(connection):
                    await connection.close()
                    continue
                try:
                    return await arun(connection, call, patience=patience)
                except psycopg.OperationalError:
                    if not (connection.closed and call.is_repeatable):
                        raise
            connection = await self._open()
            return await arun(connection, call, patience=patience)
        finally:
            await self._give_back(connection)

    async def begin(
        self, patience: Callable[[], float]
    ) -> tuple[AsyncConnection, AbstractAsyncContextManager[object]]:
        """A connection for the caller alone, in a transaction block; never a pool's."""
        await self._take_place()
        while True:
            idle: AsyncConnection | None = self._places.pop()
            connection = idle
            try:
                connection = connection or await self._open()
                alimit_waiting(connection, patience)
                block = connection.transaction()
                await block.__aenter__()
                if not _is_readable(connection):
                    await connection.execute(_sql.session.SAY_READABLE)
                return connection, block
            except BaseException as error:
                if connection is not None:
                    vars(connection).pop("wait", None)
                if idle is None or not isinstance(error, psycopg.OperationalError):
                    await self._give_back(connection)
                    raise
                await idle.close()

    async def end(self, connection: AsyncConnection) -> None:
        """Give back a connection whose transaction block was left."""
        del connection.wait
        await self._give_back(connection)

    async def close(self) -> None:
        """Close the idle connections; a pool is its owner's to close."""
        for connection in self._places.close():
            await connection.close()

    async def _take_place(self, within: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()

        def hear() -> None:
            if not told.done():
                told.set_result(None)

        def tell() -> bool:
            try:
                loop.call_soon_threadsafe(hear)
            except RuntimeError:  # the loop is closed
                return False
            return True

        waiting = self._places.take(tell)
        if waiting is None:
            return
        patience, began = self._patience_in_line(within), time.monotonic()
        try:
            await asyncio.wait({told}, timeout=None if patience == inf else patience)
        except BaseException:
            if self._places.leave(waiting):
                self._places.pass_on()
            raise
        if not self._places.leave(waiting):
            raise self._busy(time.monotonic() - began)

    async def _give_back(self, connection: AsyncConnection | None) -> None:
        """Keep a connection that is not used any more, or close it, and give its place up."""
        try:
            if connection is not None and not (
                is_alive(connection) and self._places.keep(connection)
            ):
                await connection.close()
        finally:
            self._places.pass_on()

    async def _open(self) -> AsyncConnection:
        dsn = await asyncio.to_thread(self.dsn) if self._dsn is None else self._dsn
        threshold, for_calls = self._prepare_threshold, self._for_calls
        kind = _AsyncReminded if threshold is None and for_calls else psycopg.AsyncConnection
        arguments = _arguments(dsn, threshold, for_calls=for_calls)
        try:
            connection: AsyncConnection = await kind.connect(**arguments)
        except psycopg.OperationalError as error:
            if threshold is None or not _is_from_pooler(error):
                raise
            self._prepare_threshold = None
            return await self._open()
        if threshold is not None and for_calls and await _ahas_forgotten(connection):
            await connection.close()
            self._prepare_threshold = None
            return await self._open()
        self._was_connected = True
        if not connection.autocommit:
            await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
            connection.add_notify_handler(_overhear)
        return connection


async def arun(connection: AsyncConnection, call: Call[T], *, patience: float | None = None) -> T:
    """Carry a call out, in a transaction of its own; see `run`."""
    if patience is not None:
        alimit_waiting(connection, lambda: patience)
        try:
            return await arun(connection, call)
        finally:
            del connection.wait
    is_repeated = False
    while True:
        try:
            return await _atransact(connection, call)
        except psycopg.Error as error:  # noqa: PERF203 - twice at most
            if is_repeated or not _is_passing(connection, error):
                raise
            is_repeated = True


async def _atransact(connection: AsyncConnection, call: Call[T]) -> T:
    if connection.autocommit:
        return await call.aon(connection)
    async with connection.transaction():
        if isinstance(connection, _AsyncReminded):
            await connection.execute(_sql.session.SAY_FOR_CALLS)
        return await call.aon(connection)
