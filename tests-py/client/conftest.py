"""A client of the fresh database, and workers in threads."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class BackgroundWorker:
    """A worker in a thread: `poll_and_run` until it is stopped."""

    def __init__(self, client: Client, **options: Any) -> None:
        self.client = client
        self.tasks_run: int | None = None
        self.error: BaseException | None = None
        self._options = options
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        try:
            self.tasks_run = self.client.poll_and_run(**self._options)
        except BaseException as error:
            self.error = error

    def join(self) -> int:
        """Wait for its end, and return how many tasks it ran."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "the worker does not end"
        if self.error is not None:
            raise self.error
        assert self.tasks_run is not None
        return self.tasks_run

    def stop(self) -> int:
        """Stop it, and return how many tasks it ran."""
        self.client.stop()
        return self.join()


@pytest.fixture
def client(dsn: str) -> Iterator[Client]:
    """A client of the fresh database."""
    with Client(dsn) as client:
        yield client


@pytest.fixture
def work(client: Client) -> Iterator[Callable[..., BackgroundWorker]]:
    """Starts workers of the client in threads; stops them at the end."""
    with contextlib.ExitStack() as workers:

        def start(**options: Any) -> BackgroundWorker:
            worker = BackgroundWorker(client, **options)
            workers.callback(worker.stop)
            return worker

        yield start


@pytest.fixture
def short_lease() -> timedelta:
    """A lease that is renewed several times a second."""
    return timedelta(seconds=1)
