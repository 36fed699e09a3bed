"""Durable DAG workflows inside PostgreSQL: the client and the worker.

from quantumflow_client import Client, Flow
"""

from importlib import metadata as _metadata

try:
    import psycopg as _psycopg  # noqa: F401 - the first to find out that there is no libpq
except ImportError as error:
    raise ImportError(
        f"{error}\nHINT: psycopg needs libpq. Bring it along: pip install 'psycopg[binary]'; or "
        "install the system's (Debian: libpq5)."
    ) from error

from ._sql import ConditionAnswer, FailedAttempt, FailedItem, RetriedStep, WorkflowVersion
from .async_client import AsyncClient
from .client import Client
from .context import Context
from .errors import (
    AccessError,
    BadArgument,
    ConnectionsBusy,
    DefinitionError,
    HandlerMissing,
    LeaseLost,
    NoDatabase,
    NotInstalled,
    PermanentError,
    QuantumflowError,
    QueueError,
    RetryAfter,
    RunCancelled,
    RunError,
    RunFailed,
    TaskError,
    UnsupportedValue,
    WaitTimeout,
    WorkerHung,
)
from .flow import Flow

__all__ = [
    "AccessError",
    "AsyncClient",
    "BadArgument",
    "Client",
    "ConditionAnswer",
    "ConnectionsBusy",
    "Context",
    "DefinitionError",
    "FailedAttempt",
    "FailedItem",
    "Flow",
    "HandlerMissing",
    "LeaseLost",
    "NoDatabase",
    "NotInstalled",
    "PermanentError",
    "QuantumflowError",
    "QueueError",
    "RetriedStep",
    "RetryAfter",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "TaskError",
    "UnsupportedValue",
    "WaitTimeout",
    "WorkerHung",
    "WorkflowVersion",
]

try:
    __version__ = _metadata.version("quantumflow-client")
except _metadata.PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0"
