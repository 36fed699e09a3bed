"""A network that fails where a test wants it to: a TCP proxy in front of a server's socket.

It understands as much of PostgreSQL's protocol as it takes to tell which call a client makes, and
when the server has answered it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from psycopg.conninfo import conninfo_to_dict, make_conninfo

T = TypeVar("T")

Direction = Literal["to server", "to client"]
BOTH: tuple[Direction, ...] = ("to server", "to client")

_ENCRYPTION = {80877103, 80877104}
"""What a client says that asks for SSL or GSS, before anything else."""

_CALL = re.compile(rb"quantumflow\.(\w+)\s*\(")
_CHUNK = 1 << 16


class Proxy:
    """Passes on what clients and server say, until it is told not to; from any thread.

    It listens on a port of 127.0.0.1 while it is entered as a context manager.
    """

    def __init__(self, dsn: str, *, linger: float = 0.0) -> None:
        """Describe a proxy.

        Args:
            dsn: Connects to a database through its server's Unix socket.
            linger: How many seconds it takes the server to notice that the client of a half-open
                connection has given up.
        """
        where = conninfo_to_dict(dsn)
        self._target = Path(str(where["host"])) / f".s.PGSQL.{where['port']}"
        self._dsn = dsn
        self._linger = linger
        self._links: set[_Link] = set()
        self._to_cut: Counter[str] = Counter()
        self._cuts: Counter[str] = Counter()
        self._swallows_new = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server = self._await(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def dsn(self) -> str:
        """The way to the same database through the proxy."""
        return make_conninfo(self._dsn, host="127.0.0.1", port=self._port)

    @property
    def cuts(self) -> Counter[str]:
        """How many connections were cut after a commit, by call."""
        return self._now(lambda: Counter(self._cuts))

    @property
    def to_cut(self) -> set[str]:
        """The calls whose next answer will not arrive."""
        return self._now(lambda: set(+self._to_cut))

    def cut_after_commit(self, call: str) -> None:
        """Cut the connection on which the next such call is made, when it has committed.

        Its answer is not passed on: the client sees an error, though the call was done.

        Args:
            call: A function of schema quantumflow, or "commit", the statement.
        """
        self._now(lambda: self._to_cut.update([call]))

    def reset(self, share: float = 1.0, chance: random.Random | None = None) -> int:
        """Cut connections, whatever they are doing; answers how many.

        Args:
            share: The part of the connections that this happens to; at least one.
            chance: Chooses them.
        """
        return self._now(lambda: self._each(share, chance, _Link.cut))

    def swallow(
        self,
        directions: Collection[Direction] = BOTH,
        share: float = 1.0,
        chance: random.Random | None = None,
    ) -> int:
        """Pass nothing on any more, on connections that stay open; answers on how many.

        Args:
            directions: Whose bytes vanish.
            share: As for `reset`.
            chance: As for `reset`.
        """
        return self._now(lambda: self._each(share, chance, lambda link: link.swallow(directions)))

    @contextlib.contextmanager
    def swallowing_new(self) -> Iterator[None]:
        """Accept connections meanwhile on which nothing will ever be passed on."""
        self._now(lambda: setattr(self, "_swallows_new", True))
        try:
            yield
        finally:
            self._now(lambda: setattr(self, "_swallows_new", False))

    def _each(self, share: float, chance: random.Random | None, do: Callable[[_Link], None]) -> int:
        links = [link for link in self._links if not link.swallowed]
        if chance is not None:
            chance.shuffle(links)
        links = links[: max(1, round(share * len(links)))]
        for link in links:
            do(link)
        return len(links)

    def _wants_cut(self, call: str) -> bool:
        return self._to_cut[call] > 0

    def _takes_cut(self, call: str) -> bool:
        # Not before it has committed: one that fails, or whose client dies, leaves it to another.
        if wanted := self._wants_cut(call):
            self._to_cut[call] -= 1
            self._cuts[call] += 1
        return wanted

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(reader, writer, self._wants_cut, self._takes_cut)
        if self._swallows_new:
            link.swallow(BOTH)
        self._links.add(link)
        with contextlib.suppress(asyncio.CancelledError):
            await link.run(self._target, self._linger)
        self._links.discard(link)
        link.cut()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _now(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return self._await(call())


class _Link:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        wants_cut: Callable[[str], bool],
        takes_cut: Callable[[str], bool],
    ) -> None:
        self.swallowed: set[Direction] = set()
        self._client, self._to_client = reader, writer
        self._writers = [writer]
        self._wants_cut = wants_cut
        self._takes_cut = takes_cut
        self._statements: dict[bytes, str] = {}
        self._asked = ""
        self._cutting: str | None = None

    def swallow(self, directions: Collection[Direction]) -> None:
        self.swallowed.update(directions)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def run(self, target: Path, linger: float) -> None:
        """Pass everything on until one of the two has gone, and the other may know."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            greeting = await self._greeting()
            server, to_server = await asyncio.open_unix_connection(target)
            self._writers.append(to_server)
            to_server.write(greeting)
            up = asyncio.ensure_future(self._up(to_server))
            down = asyncio.ensure_future(self._down(server))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if down.done() and "to client" in self.swallowed:
                await up
            elif up.done() and self.swallowed:
                await asyncio.sleep(linger)
            self.cut()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _greeting(self) -> bytes:
        """What the client begins with, when it has been told that nothing is encrypted here."""
        while True:
            head = await self._client.readexactly(8)
            if self.swallowed:
                while await self._client.read(_CHUNK):
                    pass
                raise ConnectionAbortedError
            if int.from_bytes(head[4:], "big") not in _ENCRYPTION:
                return head + await self._client.readexactly(int.from_bytes(head[:4], "big") - 8)
            self._to_client.write(b"N")

    async def _up(self, to_server: asyncio.StreamWriter) -> None:
        messages = _Messages()
        with contextlib.suppress(OSError):
            while data := await self._client.read(_CHUNK):
                if "to server" in self.swallowed:
                    continue
                for kind, body in messages.of(data):
                    self._look(kind, body)
                to_server.write(data)
                await to_server.drain()

    async def _down(self, server: asyncio.StreamReader) -> None:
        messages = _Messages()
        held = b""
        with contextlib.suppress(OSError):
            while data := await server.read(_CHUNK):
                if "to client" in self.swallowed:
                    continue
                held += data
                for kind, body in messages.of(data):
                    if kind == b"E":
                        self._cutting = None
                    elif kind == b"Z" and self._cutting is not None:
                        # In a transaction nothing is committed yet.
                        if body == b"I" and self._takes_cut(self._cutting):
                            return
                        self._cutting = None
                if self._cutting is None:
                    self._to_client.write(held)
                    held = b""
                    await self._to_client.drain()

    def _look(self, kind: bytes, body: bytes) -> None:
        """Learn which call the client makes, and whether it is one to cut."""
        if kind == b"P":
            name, text = body.split(b"\0", 2)[:2]
            self._asked = self._statements[name] = _call_in(text)
        elif kind == b"B":
            self._asked = self._statements.get(body.split(b"\0", 2)[1], "")
        elif kind == b"Q":
            self._asked = _call_in(body)
        if kind in {b"Q", b"S"} and self._cutting is None and self._wants_cut(self._asked):
            self._cutting = self._asked


class _Messages:
    """Takes a stream apart into the messages of PostgreSQL's protocol."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The messages that are complete now: the kind and the body of each."""
        data = self._rest + data
        at = 0
        while len(data) >= at + 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            yield data[at : at + 1], data[at + 5 : end]
            at = end
        self._rest = data[at:]


def _call_in(text: bytes) -> str:
    """The function that a statement calls, or "commit"; "" for anything else."""
    found = _CALL.search(text)
    if found is not None:
        return found[1].decode()
    return "commit" if text.strip(b" \0;").lower() == b"commit" else ""
