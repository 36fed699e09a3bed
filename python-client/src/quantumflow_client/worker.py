"""The worker, for who runs one without a client; `Client.poll_and_run` makes its own."""

from ._worker.core import Stopping
from ._worker.loop import Worker

__all__ = ["Stopping", "Worker"]
