"""Where connections come from: a DSN, a pool, the environment, or an embedded PostgreSQL.

Calls of a client share idle connections. Each call is a transaction of its own in READ COMMITTED,
for which the engine's promises are made, and looks names up in pg_catalog alone: on the search path
that a database or a role brings along may stand what somebody else wants run with our rights.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from . import _sql

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from ._call import Call

T = TypeVar("T")

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]

_IDLE = 4
"""How many idle connections a client keeps at most."""

EMBEDDED_IN = Path(".quantumflow")
_SAYS_WHERE = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")

_DEFAULTS = {
    "fallback_application_name": "quantumflow",
    "connect_timeout": os.environ.get("PGCONNECT_TIMEOUT") or "10",
    # A network that loses packets must not hold a worker longer than a lease.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def find_dsn() -> str:
    """What the environment says: QUANTUMFLOW_DSN, PG* variables, else an embedded PostgreSQL."""
    dsn = said_dsn()
    return embedded_dsn() if dsn is None else dsn


def said_dsn() -> str | None:
    """What the environment says: QUANTUMFLOW_DSN, or "" for PG* variables; None: nothing."""
    if dsn := os.environ.get("QUANTUMFLOW_DSN"):
        return dsn
    return "" if any(os.environ.get(name) for name in _SAYS_WHERE) else None


def embedded_dsn() -> str:
    """The database of the embedded PostgreSQL in ./.quantumflow, which is started if need be."""
    from .embedded import EmbeddedServer

    server = EmbeddedServer(EMBEDDED_IN)
    server.start()
    server.create_database("quantumflow")
    return server.dsn("quantumflow")


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
    arguments: dict[str, Any] = {**_DEFAULTS, **conninfo_to_dict(dsn)}
    arguments["prepare_threshold"] = prepare_threshold
    if prepare_threshold is not None:
        # One round trip a call: autocommit, at the isolation level that the session begins with.
        # A pooler would refuse the option, or forget it: there each transaction says its level.
        arguments["autocommit"] = True
        options = arguments.get("options") or os.environ.get("PGOPTIONS", "")
        options += " -c default_transaction_isolation=read\\ committed"
        if for_calls:
            options += f" -c search_path={_sql.PATH}"
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


_PATIENCE = 10.0
"""How many seconds a server may take to answer what it is asked first."""


def _has_forgotten(connection: Connection) -> bool:
    """Whether a pooler took what `_arguments` asks of a session, and did not pass it on."""
    with waiting_at_most(_PATIENCE, connection):
        return connection.execute(_sql.SHOW_PATH).fetchone() != (_sql.PATH,)


async def _ahas_forgotten(connection: AsyncConnection) -> bool:
    """As `_has_forgotten`."""
    alimit_waiting(connection, lambda: _PATIENCE)
    try:
        return await (await connection.execute(_sql.SHOW_PATH)).fetchone() != (_sql.PATH,)
    finally:
        del connection.wait


def _overhear(_notice: psycopg.Notify) -> None:
    """What somebody listened for through the same pooler: psycopg would keep it for ever."""


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


class Connections:
    """A client's connections."""

    def __init__(
        self,
        source: str | ConnectionPool[Any] | None,
        *,
        prepare_threshold: int | None = 5,
        keep: int = _IDLE,
        for_calls: bool = True,
    ) -> None:
        self._source = source
        self._dsn = source if isinstance(source, str) else None
        self._pool = None if source is None or isinstance(source, str) else source
        self._prepare_threshold = prepare_threshold
        self._keep = keep
        self._for_calls = for_calls
        self._idle: deque[Connection] = deque()
        self._process = os.getpid()
        self._lock = Lock()
        self._is_closed = False

    def apart(self, keep: int) -> Connections:
        """Connections from the same source that are never those of this object.

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

    def dsn(self) -> str:
        """Where the connections go; a pool's must have been open once."""
        with self._lock:
            if self._dsn is None:
                self._dsn = find_dsn()
            return self._dsn

    def open(self) -> Connection:
        """A connection for the caller alone, until it is given back."""
        if self._pool is not None:
            pooled: Connection = self._pool.getconn()
            self._dsn = make_conninfo(pooled.info.dsn, password=pooled.info.password or None)
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
        if not connection.autocommit:
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            connection.add_notify_handler(_overhear)
        return connection

    def begin(
        self, patience: Callable[[], float]
    ) -> tuple[Connection, AbstractContextManager[object]]:
        """A connection for the caller alone, in a transaction block, until `end`.

        Args:
            patience: How many seconds the server may be silent at the moment; see `run`.
        """
        while True:
            idle = self._pop()
            connection = idle or self.open()
            limit_waiting(connection, patience)
            block = connection.transaction()
            try:
                block.__enter__()
                return connection, block
            except BaseException as error:
                self.end(connection)
                # It may have died idle, which shows only now.
                if idle is None or not isinstance(error, psycopg.OperationalError):
                    raise

    def end(self, connection: Connection) -> None:
        """Give back a connection whose transaction block was left."""
        del connection.wait
        self.give_back(connection)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection that is not used any more, or close it."""
        if self._pool is not None:
            self._pool.putconn(connection)
            return
        with self._lock:
            keep = not self._is_closed and len(self._idle) < self._keep and is_alive(connection)
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def run(self, call: Call[T], *, patience: float | None = None) -> T:
        """Carry a call out, in a transaction of its own, on an idle connection or a new one.

        Args:
            call: The call.
            patience: As for the function `run`.
        """
        while (connection := self._pop()) is not None:
            if not is_alive(connection):
                connection.close()
                continue
            try:
                return self._run_on(connection, call, patience)
            except psycopg.OperationalError:
                # It may have died idle, which shows only now.
                if not (connection.closed and call.is_repeatable):
                    raise
        return self._run_on(self.open(), call, patience)

    def close(self) -> None:
        """Close the idle connections; a pool is its owner's to close."""
        self._is_closed = True
        while (connection := self._pop()) is not None:
            connection.close()

    def _run_on(self, connection: Connection, call: Call[T], patience: float | None) -> T:
        try:
            return run(connection, call, patience=patience)
        finally:
            self.give_back(connection)

    def _pop(self) -> Connection | None:
        with self._lock:
            if self._process != os.getpid():
                # After a fork the connections are the parent's.
                self._idle.clear()
                self._process = os.getpid()
            return self._idle.pop() if self._idle else None


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

    def ask(self, call: Call[T]) -> T:
        """Carry a call out."""
        assert self._connection is not None
        return run(self._connection, call)

    def close(self) -> None:
        """Give the connection back, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.end(connection)


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
            connection.execute(_sql.SET_PATH)
        return call.on(connection)


class AsyncConnections:
    """An asynchronous client's connections; see Connections."""

    def __init__(
        self,
        source: str | AsyncConnectionPool[Any] | None,
        *,
        prepare_threshold: int | None = 5,
        keep: int = _IDLE,
        for_calls: bool = True,
        find_dsn: Callable[[], str] = find_dsn,
    ) -> None:
        self._dsn = source if isinstance(source, str) else None
        self._pool = None if source is None or isinstance(source, str) else source
        self._prepare_threshold = prepare_threshold
        self._keep = keep
        self._for_calls = for_calls
        self._find_dsn = find_dsn
        self._idle: deque[AsyncConnection] = deque()

    async def run(self, call: Call[T]) -> T:
        """Carry a call out, in a transaction of its own, on an idle connection or a new one."""
        if self._pool is not None:
            async with self._pool.connection() as connection:
                return await arun(connection, call)
        while self._idle:
            idle = self._idle.pop()
            if not is_alive(idle):
                await idle.close()
                continue
            try:
                return await self._run_on(idle, call)
            except psycopg.OperationalError:
                if not (idle.closed and call.is_repeatable):
                    raise
        return await self._run_on(await self._open(), call)

    async def begin(
        self, patience: Callable[[], float]
    ) -> tuple[AsyncConnection, AbstractAsyncContextManager[object]]:
        """A connection for the caller alone, in a transaction block; never a pool's."""
        while True:
            idle = self._idle.pop() if self._idle else None
            connection = idle or await self._open()
            alimit_waiting(connection, patience)
            block = connection.transaction()
            try:
                await block.__aenter__()
                return connection, block
            except BaseException as error:
                await self.end(connection)
                if idle is None or not isinstance(error, psycopg.OperationalError):
                    raise

    async def end(self, connection: AsyncConnection) -> None:
        """Give back a connection whose transaction block was left."""
        del connection.wait
        await self.give_back(connection)

    async def give_back(self, connection: AsyncConnection) -> None:
        """Keep a connection that is not used any more, or close it."""
        if len(self._idle) < self._keep and is_alive(connection):
            self._idle.append(connection)
        else:
            await connection.close()

    async def close(self) -> None:
        """Close the idle connections; a pool is its owner's to close."""
        while self._idle:
            await self._idle.pop().close()

    async def _run_on(self, connection: AsyncConnection, call: Call[T]) -> T:
        try:
            return await arun(connection, call)
        finally:
            await self.give_back(connection)

    async def _open(self) -> AsyncConnection:
        if self._dsn is None:
            self._dsn = await asyncio.to_thread(self._find_dsn)
        threshold, for_calls = self._prepare_threshold, self._for_calls
        kind = _AsyncReminded if threshold is None and for_calls else psycopg.AsyncConnection
        arguments = _arguments(self._dsn, threshold, for_calls=for_calls)
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
        if not connection.autocommit:
            await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
            connection.add_notify_handler(_overhear)
        return connection


async def arun(connection: AsyncConnection, call: Call[T]) -> T:
    """Carry a call out, in a transaction of its own."""
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
            await connection.execute(_sql.SET_PATH)
        return await call.aon(connection)
