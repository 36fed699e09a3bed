"""Durable DAG workflows inside PostgreSQL: the client and the worker.

from quantumflow_client import Client, Flow
"""

from importlib import metadata as _metadata

from ._sql import FailedAttempt, RetriedStep, WorkflowVersion
from .async_client import AsyncClient
from .client import Client
from .context import Context
from .errors import (
    AccessError,
    DefinitionError,
    HandlerMissing,
    LeaseLost,
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
)
from .flow import Flow

__all__ = [
    "AccessError",
    "AsyncClient",
    "Client",
    "Context",
    "DefinitionError",
    "FailedAttempt",
    "Flow",
    "HandlerMissing",
    "LeaseLost",
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
    "WorkflowVersion",
]

try:
    __version__ = _metadata.version("quantumflow-client")
except _metadata.PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0"
