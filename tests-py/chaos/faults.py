"""What breaks, and how often it did."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chaos.flows import DROPPED_QUEUE
from chaos.runs import ROLE, persist
from chaos.spells import Spells
from support.proxy import BOTH, Direction, Proxy
from support.waiting import wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from chaos.server_log import ServerLog
    from chaos.workers import Workers
    from quantumflow_client.embedded import EmbeddedServer

_OFTEN = ("claim_tasks", "complete_and_claim", "commit", "start_flow")
_CALLS = (
    *_OFTEN,
    "complete_tasks",
    "fail_tasks",
    "extend_leases",
    "hold_task",
    "sweep",
    "register_worker",
)
"""The calls whose answers get lost; those that are made all the time come first."""

_TERMINATE = """
select count(pg_terminate_backend(pid))
from (
  select pid
  from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()
  order by state = 'active' desc, random()
  limit %s) s
"""

_NOISE = "select pg_notify('chaos_noise', repeat('x', 7900))"
_IS_QUIET = "select from pg_notification_queue_usage() u where u < 0.5"
_TRANSACTIONS = "select pid from pg_stat_activity where datname = %s and xact_start is not null"


class Faults:
    """Breaks one thing at a time.

    Attributes:
        counts: How many faults there were, by kind.
        links_swallowed: How many connections were half-open.
    """

    def __init__(
        self,
        server: EmbeddedServer,
        dsn: str,
        proxy: Proxy,
        workers: Workers,
        chance: random.Random,
        log: ServerLog,
    ) -> None:
        self._server = server
        self._dsn = dsn
        self._log = log
        self._spells = Spells(self._say)
        self._proxy = proxy
        self._workers = workers
        self._chance = chance
        self._calls = list(_CALLS)
        self._open = ExitStack()
        self._over = threading.Event()
        self._later: list[threading.Thread] = []
        self.counts: Counter[str] = Counter()
        self.links_swallowed = 0

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, *_: object) -> None:
        """Let everything through again."""
        self._open.close()
        self._over.set()
        for thread in self._later:
            thread.join()

    def happen(self, kind: str) -> None:
        """Let a fault happen, to as many workers as there are to be."""
        self._workers.refill()
        kinds: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "stall": self._stall,
            "end": self._end,
            "terminate": self._terminate,
            "restart": self._restart,
            "cut": self._cut,
            "reset": self._reset,
            "swallow": self._swallow,
            "blackout": self._blackout,
            "drop": self._drop,
            "hurry": self._hurry,
            "deafen": self._deafen,
        }
        kinds[kind]()

    def wait(self) -> None:
        """Wait until the connections were cut that are cut when something happens."""

        def were_cut() -> bool:
            self._workers.refill()
            return self._proxy.to_cut.isdisjoint(_OFTEN)

        wait_until(were_cut, timeout=300, what="a cut")

    def _kill(self) -> None:
        self._workers.kill(self._chance)
        self.counts["worker killed"] += 1

    def _stall(self) -> None:
        self._workers.stall(self._chance, self._chance.uniform(1, 9))
        self.counts["worker stalled"] += 1

    def _end(self) -> None:
        self._workers.end(self._chance)
        self.counts["worker ended in order"] += 1

    def _terminate(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            row = connection.execute(_TERMINATE, (self._chance.randint(1, 3),)).fetchone()
        assert row is not None
        self.counts["backend terminated"] += row[0]

    def _restart(self) -> None:
        self._server.stop("immediate")
        self._log.keep()
        self._server.start()
        self.counts["server crashed"] += 1

    def _cut(self) -> None:
        # All of them in turn, so that even a short chaos has each.
        self._calls.append(call := self._calls.pop(0))
        self._proxy.cut_after_commit(call)

    def _reset(self) -> None:
        self._proxy.reset(self._chance.random(), self._chance)
        self.counts["connections reset"] += 1

    def _swallow(self) -> None:
        directions: list[tuple[Direction, ...]] = [BOTH, ("to server",), ("to client",)]
        directions = directions[self.counts["half-open"] % 3 :]
        self.links_swallowed += self._proxy.swallow(
            directions[0], self._chance.random() / 2, self._chance
        )
        self.counts["half-open"] += 1

    def _blackout(self) -> None:
        """No connection works any more, and no new one either, for a while."""
        self.links_swallowed += self._proxy.swallow()
        self._open.enter_context(self._proxy.swallowing_new())
        timer = threading.Timer(self._chance.uniform(1, 4), self._open.close)
        timer.daemon = True
        timer.start()
        self.counts["half-open"] += 1

    def _drop(self) -> None:
        """A queue is gone with its messages, and mended a little later, while others work."""
        spell = self._spells.begin("queue gone")

        def make_again() -> None:
            self._say("select quantumflow.setup()")
            while self._say("select from quantumflow.repair(false)"):
                pass
            self._spells.end(spell)

        self._say(
            "select pgmq.drop_queue(%s) from pgmq.list_queues() where queue_name = %s",
            (DROPPED_QUEUE, DROPPED_QUEUE),
        )
        self.counts["queue dropped"] += 1
        self._after(self._chance.uniform(0.2, 3), make_again)

    def _hurry(self) -> None:
        """The workers' role gets a statement_timeout that many of their calls exceed."""
        spell = self._spells.begin("hurry")

        def leave_time() -> None:
            self._limit("0")
            self._spells.end(spell)

        self._limit(self._chance.choice(["10ms", "30ms", "100ms"]))
        self.counts["statement_timeout"] += 1
        self._after(self._chance.uniform(1, 4), leave_time)

    def _limit(self, timeout: str) -> None:
        statement = sql.SQL("alter role {} set statement_timeout = {}")
        self._say(statement.format(sql.Identifier(ROLE), sql.Literal(timeout)))
        self._say(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = %s",
            (ROLE,),
        )

    def _deafen(self) -> None:
        """A listener of another database sits in a transaction, and the NOTIFY queue fills up."""
        spell = self._spells.begin("deaf")
        elsewhere = make_conninfo(self._dsn, dbname="postgres")
        listener = psycopg.connect(elsewhere, autocommit=True)
        listener.execute("listen chaos_noise")
        listener.execute("begin")
        listener.execute("select 1")

        def hear() -> None:
            listener.close()
            wait_until(lambda: self._say(_IS_QUIET), timeout=60, what="a short NOTIFY queue")
            self._spells.end(spell)

        self._after(self._chance.uniform(1, 5), hear)
        with psycopg.connect(elsewhere, autocommit=True) as noisy:
            # Whoever else is refused shows in the server's log.
            noisy.execute("set log_min_messages = panic")
            while noisy.execute(_IS_QUIET).rowcount and not listener.closed:
                noisy.execute(_NOISE)
            # Who began before may have looked before, and notify when it is full.
            began = noisy.execute(_TRANSACTIONS, (conninfo_to_dict(self._dsn)["dbname"],))
            self._spells.note(spell, [pid for (pid,) in began])
            with contextlib.suppress(psycopg.errors.ProgramLimitExceeded):
                while not listener.closed:  # the queue may be longer than that
                    noisy.execute(_NOISE)
                return
        self.counts["NOTIFY queue full"] += 1

    def _say(self, query: Any, parameters: tuple[object, ...] = ()) -> int:
        """Execute a statement, however often that takes; answers how many rows came of it."""

        def say() -> int:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                return connection.execute(query, parameters).rowcount

        return persist(say)

    def _after(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something later, but before the faults end."""

        def wait_and_do() -> None:
            self._over.wait(seconds)
            do()

        thread = threading.Thread(target=wait_and_do, daemon=True)
        thread.start()
        self._later.append(thread)
