"""Durable DAG workflows inside PostgreSQL: the client and the worker.

from quantumflow_client import Client, Flow
"""

try:
    import psycopg as _psycopg  # noqa: F401 - the first to find out that there is no libpq
except ImportError as error:
    raise ImportError(
        f"{error}\nHINT: psycopg needs libpq. Bring it along: pip install 'psycopg[binary]'; or "
        "install the system's (Debian: libpq5)."
    ) from error

from ._awaited import Signalled, Slept
from ._goals import ExecutionResult
from ._runs import RunId, RunState, RunStatus
from ._sql.definitions import ConditionAnswer, WorkflowVersion
from ._sql.goals import GoalEvent, GoalSummary, Method
from ._sql.learning import Policy, Recommendation
from ._sql.limits import Limit
from ._sql.looking import (
    Attempt,
    Difference,
    Estimate,
    Event,
    Metric,
    PastEvent,
    PathStep,
    QueueSummary,
    Reason,
    Size,
    StepStats,
    WorkerSummary,
)
from ._sql.runs import FailedAttempt, RunSummary
from ._sql.schedules import Schedule
from ._sql.signals import WaitSummary
from ._sql.steering import FailedItem, Pause, PrunedRuns, RetriedStep, RunAct
from ._sql.workers import Settled
from ._version import __version__ as __version__
from .async_client import AsyncClient
from .client import Client
from .composer import (
    compose_from_goal,
    compose_from_task_graph,
    compose_multiple_workflows,
    create_workflow,
)
from .context import Context, TaskFilter, current_task
from .errors import (
    AccessError,
    BadArgument,
    ConnectionsBusy,
    DefinitionError,
    GoalError,
    HandlerMissing,
    LeaseLost,
    NoDatabase,
    NotInstalled,
    PermanentError,
    ProcessDied,
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
    "Attempt",
    "BadArgument",
    "Client",
    "ConditionAnswer",
    "ConnectionsBusy",
    "Context",
    "DefinitionError",
    "Difference",
    "Estimate",
    "Event",
    "ExecutionResult",
    "FailedAttempt",
    "FailedItem",
    "Flow",
    "GoalError",
    "GoalEvent",
    "GoalSummary",
    "HandlerMissing",
    "LeaseLost",
    "Limit",
    "Method",
    "Metric",
    "NoDatabase",
    "NotInstalled",
    "PastEvent",
    "PathStep",
    "Pause",
    "PermanentError",
    "Policy",
    "ProcessDied",
    "PrunedRuns",
    "QuantumflowError",
    "QueueError",
    "QueueSummary",
    "Reason",
    "Recommendation",
    "RetriedStep",
    "RetryAfter",
    "RunAct",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunId",
    "RunState",
    "RunStatus",
    "RunSummary",
    "Schedule",
    "Settled",
    "Signalled",
    "Size",
    "Slept",
    "StepStats",
    "TaskError",
    "TaskFilter",
    "UnsupportedValue",
    "WaitSummary",
    "WaitTimeout",
    "WorkerHung",
    "WorkerSummary",
    "WorkflowVersion",
    "compose_from_goal",
    "compose_from_task_graph",
    "compose_multiple_workflows",
    "create_workflow",
    "current_task",
]
